//! The CPU engine: f32 arithmetic for the networks, in own kernels for AVX-512, AVX2, NEON and any other processor.
//!
//! Owns prepacked weights, the kernels, the threads and the buffers. Refuses to know what a face is: the cascade's
//! semantics are [`crate::cascade`]'s, the crop [`crate::crop`]'s. The only module of this crate that may hold unsafe
//! code, each block with its reason.

mod reference;

pub use reference::evaluate;
