//! The CUDA kernels, run by the emulator from their own sources, beside the CPU engine and plain Rust.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod ceilings;
mod detection;
mod faults;
mod frames;
mod networks;
mod planted;
mod rig;
mod suppression;
