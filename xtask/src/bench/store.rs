//! `cargo xtask bench store`: the store's work beside redb and SQLite, which come from crates.io.
//!
//! Owns the page around the tables; what is measured and how stands in `tests/peers`, a workspace of its own.

use super::peers::made;
use crate::program::{cargo, output};
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::fs;

/// Measures, and writes `docs/store-peers.md`.
///
/// # Errors
/// If a side does not work.
pub(super) fn run() -> Result<()> {
    let made = made()?;
    let peers = root().join("tests/peers");
    // Our own dependencies in the versions that ship; the peers' are pinned in their manifest.
    fs::copy(root().join("Cargo.lock"), peers.join("Cargo.lock")).context("copying Cargo.lock")?;
    let folder = root().join("target/bench/store");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut measured = cargo(&["run", "--quiet", "--release", "--manifest-path"]);
    measured.arg(peers.join("Cargo.toml")).arg("--target-dir").arg(root().join("target/peers"));
    let tables = output(measured.arg("--").arg(&folder))?;
    let lock = fs::read_to_string(peers.join("Cargo.lock")).context("reading Cargo.lock")?;
    let version = |name: &str| {
        let after = lock.split_once(&format!("name = \"{name}\"\nversion = \""));
        after.and_then(|(_, after)| after.split('"').next()).unwrap_or("unknown").to_owned()
    };
    let page = format!(
        "# The store beside its peers\n\nWritten by `cargo xtask bench store`.\n\n{made}\n\
         Peers, from crates.io: redb {}; rusqlite {} with its SQLite, a write-ahead log and `synchronous = FULL`.\n\n\
         All sides work in turns in folders of one file system, and every act is durable when it returns.\n\
         A peer writes a person and the template in one transaction; ours is two acts, as the link asks for them.\n\
         The peers keep neither tombstones, nor counters, nor a check of their bytes beyond their own.\n\
         Bytes are those of one act: passed to `write` and its kin, and of the pages that were dirtied (`/proc/self/io`).\n\
         Syncs are counted by `strace` in processes of their own, on folders that were empty.\n\
         A ratio is ours over the peer's median: under 1, ours is quicker.\n{tables}",
        version("redb"),
        version("rusqlite"),
    );
    fs::write(root().join("docs/store-peers.md"), page.trim_end().to_owned() + "\n")
        .context("writing docs/store-peers.md")?;
    println!("written: docs/store-peers.md");
    Ok(())
}
