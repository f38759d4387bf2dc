//! Training: what the door runs, learnt from pictures, by the networks' own definitions.
//!
//! Owns the networks' gradients, the losses, the draw of samples, the runs and their folders. Refuses to define a network
//! (`models::net` does, and the engines run the same), to touch a pack in use, and to know a door.
//! Terms as in ARCHITECTURE.md; a *window* is a square of a picture that becomes a network's input, a *sample* a window
//! with its answer, *held back* what a run never learns from.
#![forbid(unsafe_code)]

pub mod adam;
pub mod args;
pub mod batch;
mod celeba;
pub mod checkpoint;
pub mod command;
pub mod config;
pub mod curves;
pub mod export;
pub mod facenet;
#[cfg(test)]
mod goldens;
pub mod layers;
pub mod learner;
pub mod loss;
pub mod pace;
pub mod pictures;
pub mod random;
pub mod run;
pub mod sample;
pub mod say;
pub mod sheet;
pub mod stage;
pub mod start;
pub mod trainable;
pub mod validate;
pub mod view;
