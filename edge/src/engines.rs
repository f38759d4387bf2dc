//! Which engine the unit runs, and that it passed its self-test.
//!
//! A unit that was told to use the GPU and cannot goes on with the processor, once that one passed its own self-test with the
//! same packs; it says so and writes it down, since people at the door will wait longer. A device may also not come back at all:
//! whoever supervises the unit ends it then, and the starts that ended so are counted in the data folder.
//! Refuses to go back, and to fall back for anything but the device: the next start tries the GPU again.

use crate::config::{EngineConfig, EngineKind};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::Engine;
use threshold_models::pack::{Pack, PackDir, PackError};
use threshold_record::ModelId;

/// In the data folder while a device is opened and tested: one byte, the starts in a row that have begun it.
const TRIED: &str = "gpu-tried";
/// Of so many that did not come to its end the next one runs on the processor: one may be a power cut.
const TRIES: u8 = 2;

/// Why there is no engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineFault {
    /// A pack is missing, of the wrong kind, or fails its self-test.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// The GPU, its driver, its kernels or their self-test.
    #[error("GPU: {0}")]
    Device(String),
    /// A build without the GPU's engine.
    #[cfg(not(feature = "cuda"))]
    #[error(
        "this build has no engine for a GPU: start with `--engine cpu`, or build threshold-edge with `--features cuda`"
    )]
    NotBuilt,
}

/// An engine that passed its self-test, with what the log says of it.
pub type Tested = (Box<dyn Engine>, String);

/// Makes the engine that takes the place of a device that failed, self-test and all. It takes nothing until then.
pub type Spare = Box<dyn FnOnce() -> Result<Tested, EngineFault> + Send>;

/// What the unit computes with.
pub struct Opened {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// What the log says of it.
    pub words: String,
    /// What takes its place if it fails; `None` where nothing can.
    pub spare: Option<Spare>,
    /// Why the device that was asked for does not compute; `None` if the engine is the one asked for.
    pub unusable: Option<String>,
}

/// The engine that is asked for; the processor's if that is a device's that cannot be used, or from which the last starts did not
/// come back, of which `data` keeps count.
///
/// # Errors
/// [`EngineFault`].
pub fn open(
    config: &EngineConfig,
    data: &Path,
    detector: &Pack,
    embedder: &Pack,
) -> Result<Opened, EngineFault> {
    match config.kind {
        EngineKind::Cpu => {
            let (engine, words) = cpu(config, detector, embedder)?;
            Ok(Opened { engine, words, spare: None, unusable: None })
        }
        EngineKind::Cuda => {
            let spare = spare(config.clone(), [detector.id, embedder.id]);
            backed(tried(data, || cuda(config, detector, embedder)), spare)
        }
    }
}

/// What opening and testing a device gives; its fault without a try, once, if two starts in a row did not come to the end of one.
/// A folder that takes no file counts nothing: the device is tried.
///
/// # Errors
/// Those of the device.
fn tried(
    data: &Path,
    device: impl FnOnce() -> Result<Tested, EngineFault>,
) -> Result<Tested, EngineFault> {
    let count = data.join(TRIED);
    let before = fs::read(&count).ok().and_then(|bytes| bytes.first().copied()).unwrap_or(0);
    if before >= TRIES {
        let _ = fs::remove_file(&count);
        return Err(EngineFault::Device(format!(
            "{TRIES} starts in a row did not come back from its self-test; the next one tries it again"
        )));
    }
    let _ = put(&count, before + 1);
    let tested = device();
    let _ = fs::remove_file(&count);
    tested
}

/// Durable on return: a device may take the whole board with it.
fn put(path: &Path, byte: u8) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(&[byte])?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// A device's engine with its spare; or, if the device cannot be used, the spare at once. Any other fault stays one.
///
/// # Errors
/// The spare's.
pub fn backed(device: Result<Tested, EngineFault>, spare: Spare) -> Result<Opened, EngineFault> {
    match device {
        Ok((engine, words)) => Ok(Opened { engine, words, spare: Some(spare), unusable: None }),
        Err(EngineFault::Device(why)) => {
            let (engine, words) = spare()?;
            Ok(Opened { engine, words, spare: None, unusable: Some(why) })
        }
        Err(fault) => Err(fault),
    }
}

/// The processor's engine with the very packs of these ids, read anew: a device's engine keeps none of them in memory.
fn spare(config: EngineConfig, [detector, embedder]: [ModelId; 2]) -> Spare {
    Box::new(move || {
        let packs = PackDir::open(&PackDir::locate(config.packs.as_deref())?)?;
        cpu(&config, &packs.find(detector)?, &packs.find(embedder)?)
    })
}

fn cascade(config: &EngineConfig) -> CascadeOptions {
    CascadeOptions { min_face_px: f64::from(config.min_face_px), ..CascadeOptions::default() }
}

fn cpu(config: &EngineConfig, detector: &Pack, embedder: &Pack) -> Result<Tested, EngineFault> {
    let defaults = EngineOptions::default();
    let threads = config.threads.map_or(defaults.threads, usize::from);
    let options = EngineOptions { threads, cascade: cascade(config), ..defaults };
    let mut engine = CpuEngine::new(detector, Some(embedder), &options)?;
    engine.self_test()?;
    let words = format!("engine=cpu {:?}\nthreads={threads}", options.simd);
    Ok((Box::new(engine), words))
}

#[cfg(feature = "cuda")]
fn cuda(config: &EngineConfig, detector: &Pack, embedder: &Pack) -> Result<Tested, EngineFault> {
    use threshold_kernels::device::{Device as _, cuda::Cuda};
    use threshold_kernels::{CudaEngine, KernelError};

    let tested = || -> Result<Tested, KernelError> {
        let device = Cuda::open(0, &kernels(config))?;
        let words = format!("engine=cuda {}", device.name());
        let engine = CudaEngine::new(device, detector, cascade(config))?;
        let mut engine = engine.with_embedder(embedder)?;
        engine.self_test()?;
        Ok((Box::new(engine), words))
    };
    tested().map_err(|fault| EngineFault::Device(fault.to_string()))
}

#[cfg(not(feature = "cuda"))]
fn cuda(config: &EngineConfig, _: &Pack, _: &Pack) -> Result<Tested, EngineFault> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::engine::{Detection, Embedding, EngineError};
    use threshold_models::frame::Frame;

    struct NoEngine;

    impl Engine for NoEngine {
        fn detect(&mut self, _: &Frame) -> Result<Vec<Detection>, EngineError> {
            Ok(Vec::new())
        }

        fn embed(&mut self, _: &Frame, _: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
            Err(EngineError::NoEmbedder)
        }
    }

    fn tested(words: &str) -> Result<Tested, EngineFault> {
        Ok((Box::new(NoEngine), words.to_owned()))
    }

    #[test]
    fn a_device_that_two_starts_did_not_come_back_from_is_left_alone_for_one() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let unmade = || -> Result<Tested, EngineFault> { unreachable!("it is not asked for") };
        // A start that is ended in the middle: what it leaves is what stands there meanwhile.
        let ended = || {
            let mut left = Vec::new();
            let seen = tried(data, || {
                left = fs::read(data.join(TRIED)).unwrap();
                tested("engine=cuda")
            });
            assert!(seen.is_ok());
            assert!(!data.join(TRIED).exists(), "a try that came to its end counts nothing");
            fs::write(data.join(TRIED), &left).unwrap();
            left
        };
        for expected in [1, 2] {
            assert_eq!(ended(), [expected]);
        }
        let left_alone = tried(data, unmade).err().unwrap().to_string();
        assert_eq!(
            left_alone,
            "GPU: 2 starts in a row did not come back from its self-test; the next one tries it again"
        );
        // The one after tries it again, and a device that says no is counted out as well.
        let gone = tried(data, || Err(EngineFault::Device("no driver".to_owned())));
        assert!(gone.is_err_and(|why| why.to_string().contains("no driver")));
        assert!(!data.join(TRIED).exists());
        // Bytes that are no count are as good as none, and a folder that is not there keeps none.
        fs::write(data.join(TRIED), []).unwrap();
        assert!(tried(data, || tested("engine=cuda")).is_ok());
        assert!(tried(&data.join("none"), || tested("engine=cuda")).is_ok());
    }

    #[test]
    fn the_spare_is_made_where_the_device_cannot_be_used_and_not_before() {
        let gone = || EngineFault::Device("no driver".to_owned());
        let spare = || -> Spare { Box::new(|| tested("engine=cpu")) };
        let unmade = || -> Spare { Box::new(|| unreachable!("it is not asked for")) };
        let with = |device, spare| {
            let opened = backed(device, spare).map_err(|fault| fault.to_string());
            opened.map(|o| (o.words, o.spare.is_some(), o.unusable))
        };
        assert_eq!(
            with(tested("engine=cuda"), unmade()),
            Ok(("engine=cuda".to_owned(), true, None))
        );
        let fell_back = ("engine=cpu".to_owned(), false, Some("no driver".to_owned()));
        assert_eq!(with(Err(gone()), spare()), Ok(fell_back));
        // A spare that cannot be had is a fault, and so is what is none of the device's.
        let failing: Spare = Box::new(|| Err(EngineFault::Device("no memory".to_owned())));
        assert!(with(Err(gone()), failing).is_err_and(|why| why.contains("no memory")));
        let packs = EngineFault::Pack(PackError::from(EngineError::NoEmbedder));
        assert!(with(Err(packs), unmade()).is_err());
    }
}
