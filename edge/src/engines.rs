//! Which engine the unit runs, and that it passed its self-test.
//!
//! Refuses to fall back: a unit that was told to use the GPU and cannot is a unit with a fault, locked, that says why. One
//! that quietly took two seconds for a visit would be found out by the people at the door.

use crate::config::{EngineConfig, EngineKind};
use std::path::PathBuf;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::Engine;
use threshold_models::pack::{Pack, PackError};

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// A pack is missing, of the wrong kind, or fails its self-test.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The GPU, its driver, its kernels or their self-test.
    #[cfg(feature = "cuda")]
    #[error("GPU: {0}")]
    Kernel(#[from] threshold_kernels::KernelError),
    /// A build without the GPU's engine.
    #[cfg(not(feature = "cuda"))]
    #[error(
        "this build has no engine for a GPU: start with `--engine cpu`, or build threshold-edge with `--features cuda`"
    )]
    NotBuilt,
}

/// The engine that is asked for, with what the log says of it.
///
/// # Errors
/// [`EngineFault`].
pub fn open(
    config: &EngineConfig,
    detector: &Pack,
    embedder: &Pack,
) -> Result<(Box<dyn Engine>, String), EngineFault> {
    let cascade =
        CascadeOptions { min_face_px: f64::from(config.min_face_px), ..CascadeOptions::default() };
    match config.kind {
        EngineKind::Cpu => {
            let defaults = EngineOptions::default();
            let threads = config.threads.map_or(defaults.threads, usize::from);
            let options = EngineOptions { threads, cascade, ..defaults };
            let mut engine = CpuEngine::new(detector, Some(embedder), &options)?;
            engine.self_test()?;
            let words = format!("engine=cpu {:?}\nthreads={threads}", options.simd);
            Ok((Box::new(engine), words))
        }
        EngineKind::Cuda => cuda(config, detector, embedder, cascade),
    }
}

#[cfg(feature = "cuda")]
fn cuda(
    config: &EngineConfig,
    detector: &Pack,
    embedder: &Pack,
    cascade: CascadeOptions,
) -> Result<(Box<dyn Engine>, String), EngineFault> {
    use threshold_kernels::device::{Device as _, cuda::Cuda};
    use threshold_kernels::{CudaEngine, KernelError};

    let device = Cuda::open(0, &kernels(config)).map_err(KernelError::from)?;
    let words = format!("engine=cuda {}", device.name());
    let mut engine = CudaEngine::new(device, detector, cascade)?.with_embedder(embedder)?;
    engine.self_test()?;
    Ok((Box::new(engine), words))
}

#[cfg(not(feature = "cuda"))]
fn cuda(
    config: &EngineConfig,
    _: &Pack,
    _: &Pack,
    _: CascadeOptions,
) -> Result<(Box<dyn Engine>, String), EngineFault> {
    let _ = kernels(config);
    Err(EngineFault::NotBuilt)
}

/// The folder of kernels: as configured, else beside the program.
fn kernels(config: &EngineConfig) -> PathBuf {
    let beside = || {
        let program = std::env::current_exe().unwrap_or_default();
        program.with_file_name("kernels")
    };
    config.kernels.clone().unwrap_or_else(beside)
}
