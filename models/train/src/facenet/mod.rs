//! FaceNet, trained by triplets: the installed one's last layer or last block to a shorter embedding, or a whole network of ours
//! from scratch.
//!
//! Owns the configuration, the photos' rows, the losses and the run. Where the last layer or block alone is trained, everything
//! before it stays as installed, so that a photo passes through it once, however long the training takes.
//! Terms: a photo's *row* is what goes into what is trained: the 1,792 *features* before the last layer, the 3 x 3 x 1,792 before
//! the last block, or the crop. People
//! are of two halves (`eval::split`): of the fit half, most are learnt from and some held back; the check half is looked at
//! once, when the run is done.

pub mod batch;
pub mod config;
pub mod mined;
pub mod network;
pub mod objective;
pub mod pairs;
pub mod photos;
pub mod run;
pub mod start;
pub mod triplet;
