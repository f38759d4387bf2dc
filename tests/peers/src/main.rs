//! The store's work done by our store, by redb and by SQLite, in turns, in folders of one file system.
//!
//! Owns the page's tables; the date and the machine are xtask's. Every side is durable on return: ours by its own rules,
//! redb with its immediate durability, SQLite with a write-ahead log and `synchronous = FULL`.
//!
//! `threshold-peers FOLDER` measures and prints the tables; `threshold-peers FOLDER count SIDE WORK TIMES` does a piece of
//! work so many times, for `strace`, which counts the syncs.

mod load;
mod measure;
mod ours;
mod redb_side;
mod sqlite;
mod syncs;
mod table;
mod work;

use anyhow::{Context as _, Result, bail};
use std::path::Path;
use work::{Side, Work};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words {
        [folder] => {
            println!("{}", table::tables(Path::new(folder))?);
            Ok(())
        }
        [folder, "count", side, work, times] => {
            let side =
                Side::ALL.into_iter().find(|one| one.name() == side).context("no such side")?;
            let work =
                Work::ALL.into_iter().find(|one| one.name() == work).context("no such work")?;
            syncs::work_for_strace(Path::new(folder), side, work, times.parse()?)
        }
        _ => bail!("threshold-peers FOLDER"),
    }
}
