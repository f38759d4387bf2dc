//! The CUDA kernels, run by the emulator from their own sources, beside the CPU engine.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod detection;
