//! Why a pack was not read, written or found; every message ends with what to do.

use crate::engine::EngineError;
use safetensors::SafeTensorError;
use std::path::PathBuf;

/// A pack that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The file or folder could not be read or written.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A fault with the file that it is in.
    #[error("{}: {fault}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// The fault.
        fault: Box<PackError>,
    },
    /// The file is longer than any pack is.
    #[error("{len} bytes, a pack has at most {max}; make it again with `threshold model fetch`")]
    TooLong {
        /// Bytes found.
        len: u64,
        /// The most that a pack has.
        max: u64,
    },
    /// The bytes are not a safetensors file.
    #[error("not a pack, or damaged: {0}; make it again with `threshold model fetch`")]
    Format(#[from] SafeTensorError),
    /// A safetensors file without a pack's description.
    #[error("a safetensors file, but no pack; make one of it with `threshold model import <file>`")]
    NoMeta,
    /// The description cannot be read.
    #[error(
        "the pack's description cannot be read: {0}; make it again with `threshold model fetch`"
    )]
    Json(#[from] serde_json::Error),
    /// The description contradicts itself or its network.
    #[error("the pack's description is wrong: {fault}; make it again with `threshold model fetch`")]
    Meta {
        /// What is wrong.
        fault: String,
    },
    /// A tensor is missing, has another shape, or is one too many.
    #[error(
        "tensor {name}: expected {}, found {}; make the pack again with `threshold model fetch`",
        shape_text(expected),
        shape_text(found)
    )]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What the network needs; `None` if it has no such tensor.
        expected: Option<Vec<usize>>,
        /// What the pack has.
        found: Option<Vec<usize>>,
    },
    /// A tensor's element type is not the one that packs of this network have.
    #[error(
        "tensor {name} is {found}, expected {expected}; make the pack again with `threshold model fetch`"
    )]
    ElementType {
        /// The tensor's name.
        name: String,
        /// What packs of this network hold.
        expected: String,
        /// What this one holds.
        found: String,
    },
    /// A weight is not a number, or too large for its element type.
    #[error(
        "tensor {name} holds a value that is not finite; make the pack again with `threshold model fetch`"
    )]
    NotFinite {
        /// The tensor's name.
        name: String,
    },
    /// The pack holds another kind of network than was asked for.
    #[error("{name} is a pack of {found}, expected {expected}; name another pack")]
    WrongNetwork {
        /// The pack's name.
        name: String,
        /// What was asked for.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// The engine's outputs are not the pack's golden vectors.
    #[error(
        "self-test of {name} failed: {network} differs by {difference:e}, at most {tolerance:e} is right; \
         the memory or the processor may be faulty: restart, then make the pack again with `threshold model fetch`"
    )]
    SelfTest {
        /// The pack's name.
        name: String,
        /// The network's name.
        network: &'static str,
        /// The largest difference.
        difference: f32,
        /// The largest that is allowed.
        tolerance: f32,
    },
    /// The engine failed in the self-test.
    #[error("self-test: {0}; make the pack again with `threshold model fetch`")]
    Engine(#[from] EngineError),
    /// The folder holds no such pack.
    #[error(
        "no {what} in {}{}; fetch packs with `cargo xtask setup` or `threshold model fetch`, or name another folder",
        dir.display(),
        broken_text(broken)
    )]
    NotFound {
        /// What was looked for.
        what: String,
        /// The folder.
        dir: PathBuf,
        /// Packs in the folder that could not be read, with the reason.
        broken: Vec<String>,
    },
    /// There is no folder to look in.
    #[error("no folder for packs; set THRESHOLD_PACKS or HOME, or name one with --packs")]
    NoFolder,
}

fn shape_text(shape: &Option<Vec<usize>>) -> String {
    shape.as_ref().map_or_else(|| "none".to_owned(), |shape| format!("{shape:?}"))
}

fn broken_text(broken: &[String]) -> String {
    match broken {
        [] => String::new(),
        broken => format!(" (unreadable: {})", broken.join(", ")),
    }
}
