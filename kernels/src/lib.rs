//! The CUDA engine: the cascade in our own FP16 kernels, from the raw camera frame to final boxes and landmarks;
//! and the search of a gallery that lies on the device.
//!
//! Owns the kernels (`cuda/`), the emulator that runs their sources on the processor (`emulator/`), the devices, the
//! launchers and the engine. Refuses to know the cascade's meaning: that is `threshold_models::cascade`'s, which the kernels
//! repeat rounding by rounding and tests compare them with.

#![deny(unsafe_code)]

mod alone;
#[allow(
    unsafe_code,
    reason = "a device is driven through a foreign interface; every block says why it is sound"
)]
pub mod device;
mod embed;
mod engine;
mod fragments;
mod gallery;
pub mod launch;
mod one_output;
mod picture;
mod places;
mod recognise;
mod room;
pub mod rounding;
mod self_test;
mod stages;
pub mod weights;

pub use alone::Alone;
pub use embed::{DeviceNetwork, Embedder, Recorded, Timed, Traced};
pub use engine::{Counts, CudaEngine, KernelError};
pub use gallery::{DeviceGallery, Enrolled};
pub use one_output::one_output;
pub use places::Pending;
pub use stages::{CascadeNetwork, Cell, OneWindow, Stages};
