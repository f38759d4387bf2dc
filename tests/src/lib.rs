//! What the test areas share: where the references are, how a golden array is read, how a skip is said aloud.
//!
//! Refuses to let a test pass silently: [`skipped`] prints what was not checked and why.

#![forbid(unsafe_code)]

pub mod cable;
pub mod entry;
pub mod fault_line;
pub mod forged;
pub mod lots;
pub mod swtpm;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use threshold_models::pack::{PackDir, cache_dir};

/// The folder of reference models, goldens and photos: `THRESHOLD_SHARED`, else `../shared` beside the workspace.
#[must_use]
pub fn shared() -> Option<PathBuf> {
    let folder = match std::env::var_os("THRESHOLD_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => workspace_root().join("../shared"),
    };
    folder.join("golden").is_dir().then_some(folder)
}

/// The packs that `cargo xtask setup` made, if the detector and an embedder are among them.
#[must_use]
pub fn packs() -> Option<PackDir> {
    let packs = PackDir::open(&PackDir::locate(None).ok()?).ok()?;
    let has = |detector| packs.entries().iter().any(|e| e.meta.network.is_detector() == detector);
    (has(true) && has(false)).then_some(packs)
}

/// The folder of test photos: `THRESHOLD_PHOTOS`, else the one that `cargo xtask setup` filled.
#[must_use]
pub fn photos() -> Option<PathBuf> {
    let named = std::env::var_os("THRESHOLD_PHOTOS").map(PathBuf::from);
    let folder = named.or_else(|| Some(cache_dir().ok()?.join("photos")))?;
    folder.join("obama.jpg").is_file().then_some(folder)
}

/// The root of this workspace.
#[must_use]
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Why a check against references did not run, and what lets it run.
pub const NO_REFERENCES: &str = "no folder of references: set THRESHOLD_SHARED";

/// Says aloud that a check did not run; call it right before returning from the test. `cargo xtask ci` counts these lines.
pub fn skipped(what: &str, why: &str) {
    // A line of its own, whatever dots the harness has written before it, and in one piece.
    let line = format!("\nskipped: {what} ({why})\n");
    // Not by `eprintln!`: the harness keeps that to itself when the test passes. A closed stream is no failed test.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// A numpy array of f32, f64, i64, i32 or u8, as f64 values with its shape, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct Npy {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major.
    pub data: Vec<f64>,
}

impl Npy {
    /// The values as f32.
    #[must_use]
    pub fn f32(&self) -> Vec<f32> {
        self.data.iter().map(|&value| value as f32).collect()
    }
}

/// Reads a `.npy` file of version 1 or 2, C order, little endian.
///
/// # Panics
/// If the file is missing or of another kind: the goldens are fixed, so that is a broken checkout.
#[must_use]
pub fn npy(path: &Path) -> Npy {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(&bytes[..6], b"\x93NUMPY", "{} is no npy file", path.display());
    let (start, len) = if bytes[6] == 1 {
        (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]])))
    } else {
        (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize)
    };
    let header = String::from_utf8_lossy(&bytes[start..start + len]).into_owned();
    assert!(header.contains("'fortran_order': False"), "{header}");
    let after = |key: &str, open: char, close: char| {
        let rest = header.split(key).nth(1).unwrap_or("");
        rest.split(open).nth(1).and_then(|part| part.split(close).next()).unwrap_or("").to_owned()
    };
    let kind = after("'descr':", '\'', '\'');
    let shape: Vec<usize> = after("'shape':", '(', ')')
        .split(',')
        .filter_map(|part| part.trim().parse().ok())
        .collect();
    let body = &bytes[start + len..];
    let data: Vec<f64> = match kind.as_str() {
        "<f4" => chunks(body).map(|b| f64::from(f32::from_le_bytes(b))).collect(),
        "<f8" => chunks(body).map(f64::from_le_bytes).collect(),
        "<i8" => chunks(body).map(|b| i64::from_le_bytes(b) as f64).collect(),
        "<i4" => chunks(body).map(|b| f64::from(i32::from_le_bytes(b))).collect(),
        "|u1" => body.iter().map(|&b| f64::from(b)).collect(),
        other => panic!("{}: element type {other} is not read here", path.display()),
    };
    assert_eq!(data.len(), shape.iter().product::<usize>(), "{}", path.display());
    Npy { shape, data }
}

fn chunks<const N: usize>(body: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    body.chunks_exact(N).map(|part| {
        let mut value = [0; N];
        value.copy_from_slice(part);
        value
    })
}
