//! FaceNet's last layer, trained by triplets: from what the installed one sees before it to a shorter embedding.
//!
//! Owns the configuration, the photos' features, the triplets and the run. Everything before the last layer stays as
//! installed, so that a photo passes through it once, however long the training takes.
//! Terms: *features* are the 1,792 values before the last layer. People are of two halves (`eval::split`): of the fit
//! half, most are learnt from and some held back; the check half is looked at once, when the run is done.

pub mod config;
pub mod pairs;
pub mod photos;
pub mod run;
pub mod start;
pub mod triplet;
