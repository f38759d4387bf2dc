//! CUDA's compilers in the cache folder, from PyPI by pinned version and hash; no CUDA is installed anywhere.
//!
//! NVRTC 12.6 is JetPack 6's compiler, and what it makes every later driver loads. nvcc 13.0 makes what 12.6 cannot,
//! and reads all sources a second time. Its five parts are pinned together, because each asks for the others without
//! a version and pip would mix releases.

use crate::wheels;
use anyhow::{Result, bail};
use std::path::PathBuf;
use threshold_models::pack::cache_dir;

/// The version of NVRTC.
pub(super) const NVRTC: &str = "12.6.85";
/// The version of nvcc and of the ptxas beside it.
pub(super) const NVCC: &str = "13.0.88";

/// Package, version, SHA-256 of the x86-64 wheel: 128 MB to fetch, 337 MB on disk.
pub(super) const PINS: [(&str, &str, &str); 7] = [
    (
        "nvidia-cuda-nvrtc-cu12",
        NVRTC,
        "800927308ccc5dd6246d3f61f7fcef2ed7ec4e59e199090d360d3293f78bd5a2",
    ),
    (
        "nvidia-cuda-runtime-cu12",
        "12.6.77",
        "ba3b56a4f896141e25e19ab287cd71e52a6a0f4b29d0d31609f60e3b4d5219b7",
    ),
    ("nvidia-cuda-nvcc", NVCC, "56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03"),
    (
        "nvidia-cuda-crt",
        "13.0.88",
        "2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4",
    ),
    ("nvidia-nvvm", "13.0.88", "c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0"),
    (
        "nvidia-cuda-runtime",
        "13.0.96",
        "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
    ),
    (
        "nvidia-cuda-cccl",
        "13.0.85",
        "e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649",
    ),
];

/// The compilers at hand.
pub(super) struct Sdk {
    folder: PathBuf,
}

impl Sdk {
    /// The compilers, after fetching them if they are not there.
    ///
    /// # Errors
    /// If this machine cannot run them, or Python, pip or a package cannot be had.
    pub(super) fn install() -> Result<Self> {
        if (std::env::consts::OS, std::env::consts::ARCH) != ("linux", "x86_64") {
            bail!(
                "the pinned CUDA compilers run on x86-64 Linux only; compile there and copy target/kernels"
            );
        }
        let folder = cache_dir()?.join("cuda").join(format!("nvrtc-{NVRTC}-nvcc-{NVCC}"));
        let requirements =
            PINS.map(|(name, version, hash)| format!("{name}=={version} --hash=sha256:{hash}\n"));
        let advice = "pip could not fetch CUDA's compilers: install Python 3 with pip, check the network and pip's index (python3 -m \
                      pip config list), then try again; only `cargo xtask kernels` and the step of `ci` need them";
        wheels::provide(&folder, "CUDA's compilers", &requirements.concat(), advice)?;
        Ok(Self { folder })
    }

    /// NVRTC's library.
    pub(super) fn nvrtc(&self) -> PathBuf {
        self.folder.join("nvidia/cuda_nvrtc/lib/libnvrtc.so.12")
    }

    /// The headers that NVRTC's sources include.
    pub(super) fn nvrtc_include(&self) -> PathBuf {
        self.folder.join("nvidia/cuda_runtime/include")
    }

    /// A program of nvcc's folder.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join("nvidia/cu13/bin").join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_version_and_a_hash_of_its_own() {
        for (i, (name, version, hash)) in PINS.iter().enumerate() {
            assert!(version.split('.').count() == 3, "{name}");
            assert!(hash.len() == 64 && hash.bytes().all(|c| c.is_ascii_hexdigit()), "{name}");
            assert!(PINS[..i].iter().all(|pin| pin.0 != *name && pin.2 != *hash), "{name}");
        }
    }
}
