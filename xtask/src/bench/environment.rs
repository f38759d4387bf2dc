//! The peers' Python environments in the cache folder, from PyPI by pinned versions.
//!
//! Refuses to install what is there: an environment that holds the pinned versions is left as it is. `ci` never comes
//! here; only the syntax of the Python is tested.

use crate::program::{python, run_quietly};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_models::pack::cache_dir;

/// A peer: what it is called, what is installed, and which file of `python/` speaks for it.
pub(super) struct Environment {
    pub(super) name: &'static str,
    pub(super) script: &'static str,
    /// All packages, since none brings its own: torch's would be another 1.9 GB of CUDA.
    pins: &'static [&'static str],
    /// A file of `python/` that finishes the installation.
    finish: Option<&'static str>,
}

pub(super) const ONNXRUNTIME: Environment = Environment {
    name: "onnxruntime",
    script: "onnxruntime_peer.py",
    pins: &[
        "onnxruntime==1.32.0",
        "onnx==1.23.2",
        "opencv-python-headless==5.0.0.93",
        "safetensors==0.8.0",
        "numpy==2.4.6",
        "flatbuffers==25.12.19",
        "ml-dtypes==0.6.0",
        "packaging==26.4",
        "protobuf==7.36.2",
        "typing-extensions==4.16.0",
    ],
    finish: None,
};

/// The newest torch that facenet-pytorch 2.5.3's numpy 1 can be used with, which the golden numbers were made with too.
pub(super) const FACENET_PYTORCH: Environment = Environment {
    name: "facenet-pytorch",
    script: "torch_peer.py",
    pins: &[
        "facenet-pytorch==2.5.3",
        "torch==2.2.2",
        "torchvision==0.17.2",
        "numpy==1.26.4",
        "pillow==13.0.0",
        "requests==2.34.2",
        "certifi==2026.10.19.post1",
        "charset-normalizer==3.5.3",
        "idna==3.20",
        "urllib3==2.8.0",
        "typing-extensions==4.16.0",
        "filelock==4.3.1",
        "fsspec==2026.9.0",
        "jinja2==3.1.6",
        "markupsafe==3.0.4",
        "mpmath==1.3.0",
        "networkx==3.6.1",
        "sympy==1.14.0",
    ],
    finish: Some("cuda_stand_ins.py"),
};

/// PyTorch alone, in the same environment.
pub(super) const TRAINING: Environment = Environment { script: "train_peer.py", ..FACENET_PYTORCH };

impl Environment {
    /// Its Python, after installing what is missing.
    ///
    /// # Errors
    /// If Python, pip or a package cannot be had.
    pub(super) fn python(&self) -> Result<PathBuf> {
        let folder = cache_dir()?.join("peers").join(self.name);
        let interpreter = folder.join("bin/python");
        // Written last, so that an installation that was cut short is made anew.
        let installed = folder.join("installed");
        let pins = self.pins.join("\n");
        if fs::read_to_string(&installed).is_ok_and(|there| there == pins) && interpreter.exists() {
            return Ok(interpreter);
        }
        println!("installing {} into {}", self.name, folder.display());
        run_quietly(python().args(["-m", "venv", "--clear"]).arg(&folder))
            .context("no virtual environment: install Python 3 with venv and pip")?;
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        run_quietly(
            Command::new(&interpreter)
                .args(pip)
                .args(["--no-cache-dir", "--no-deps", "--only-binary=:all:"])
                .args(self.pins),
        )
        .with_context(|| format!("pip could not install {}", self.name))?;
        if let Some(script) = self.finish {
            run_quietly(
                Command::new(&interpreter).arg("-B").arg(folder_of_scripts().join(script)),
            )?;
        }
        fs::write(&installed, pins).with_context(|| format!("writing {}", installed.display()))?;
        Ok(interpreter)
    }
}

/// Where the peers' Python lies.
pub(super) fn folder_of_scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bench/python")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_python_of_the_peers_is_python() {
        // Parsed and not compiled, so that no byte code is left beside the sources.
        let parse = "import ast, sys\nfor name in sys.argv[1:]: ast.parse(open(name).read(), name)";
        let scripts: Vec<PathBuf> =
            fs::read_dir(folder_of_scripts()).unwrap().map(|entry| entry.unwrap().path()).collect();
        for environment in [ONNXRUNTIME, FACENET_PYTORCH, TRAINING] {
            for script in [Some(environment.script), environment.finish].into_iter().flatten() {
                assert!(scripts.contains(&folder_of_scripts().join(script)), "{script}");
            }
        }
        match python().args(["-c", parse]).args(&scripts).output() {
            Ok(done) => {
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
            Err(error) => println!("skipped: no Python ({error})"),
        }
    }

    #[test]
    fn every_package_has_a_pinned_version() {
        for environment in [ONNXRUNTIME, FACENET_PYTORCH] {
            assert!(environment.pins.iter().all(|pin| pin.contains("==")), "{}", environment.name);
        }
    }
}
