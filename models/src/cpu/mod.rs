//! The CPU engine: f32 arithmetic for the networks and int8 products for the search, in own kernels for AVX-512, AVX2, NEON
//! and any other processor.
//!
//! Owns prepacked weights, the kernels, the threads and the buffers. Refuses to know what a face is: the cascade's
//! semantics are [`crate::cascade`]'s, the crop [`crate::crop`]'s. The only module of this crate that may hold unsafe
//! code, each block with its reason.

mod aligned;
#[cfg(test)]
mod allocation;
mod conv;
mod dot;
mod engine;
#[cfg(target_arch = "aarch64")]
mod neon;
mod network;
mod pages;
mod place;
mod planes;
mod pnet;
mod pool;
mod pooling;
mod reference;
mod run;
mod simd;
mod stages;
mod vector;
mod weights;
mod winograd;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use dot::{Probe, Rows};
pub use engine::{CpuEngine, EngineOptions};
pub use network::Network;
pub(crate) use pages::prefer_large;
pub use pool::Pool;
pub use reference::{evaluate, evaluate_one};
pub use simd::Simd;
pub use stages::CpuStages;
pub use weights::Weights;
