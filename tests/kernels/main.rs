//! The CUDA kernels, run by the emulator from their own sources, beside the CPU engine and plain Rust; with feature `gpu` the
//! same on a card.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod ceilings;
mod convolutions;
mod detection;
#[cfg(not(feature = "gpu"))]
mod drivers;
mod embedders;
mod faults;
mod frames;
#[cfg(not(feature = "gpu"))]
mod launches;
mod layers;
mod networks;
mod places;
#[cfg(not(feature = "gpu"))]
mod planted;
mod quality;
mod recognise;
mod rig;
mod search;
mod suppression;
