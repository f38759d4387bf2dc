//! The references and the installed detector, for tests that need photos; they are skipped aloud without.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use threshold_models::pack::{Pack, PackDir};

/// The folder of references and the installed detector; a test without them says aloud that it is skipped.
pub(crate) fn references(test: &str) -> Option<(PathBuf, Pack)> {
    let shared = std::env::var_os("THRESHOLD_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let detector = PackDir::locate(None).and_then(|dir| PackDir::open(&dir)?.detector());
    match detector {
        Ok(detector) if shared.join("wider-dev").is_dir() => Some((shared, detector)),
        _ => {
            skipped(test, "no references or packs: set THRESHOLD_SHARED, cargo xtask setup");
            None
        }
    }
}

/// Says past the harness, which keeps what a test prints, that a test is skipped.
pub(crate) fn skipped(test: &str, why: &str) {
    let _ = std::io::stderr().write_all(format!("\nskipped: {test} ({why})\n").as_bytes());
}
