//! A unit's log as the administrator keeps it: what was pulled, with the links and signatures that vouch for it.
//!
//! Owns the bytes of the file, the reading through it that finds the first entry which is not as it was pulled, and the
//! appending. One file for each unit, beside the keychain; nothing in it is ever written over, and only what no signature is
//! under is ever taken back.
//! Refuses to vouch for entries behind the last signed checkpoint, and for its own end: whoever cuts the file at a
//! checkpoint leaves a whole, older log, which only a look at the unit or at a copy tells from the one that was there.
//!
//! ```text
//! head    "Threshold log 1\n" [16] | 16 unit's public signing key [32] | 48 store id [16] | 64 BLAKE3 of what stands before [32]
//! entry   "E" | 1 log entry [64] | 65 its link of the chain [32]
//! signed  "C" | 1 checkpoint [160], of the entry before it
//! begin   "L" | 1 checkpoint [160], after which the next entry comes; those between were not there to be pulled any more
//! ```

mod examine;

pub use examine::{Bad, BadKind, Contents, Position};

use crate::error::HostError;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use threshold_record::LogEntry;
use threshold_store::Checkpoint;
use threshold_store::chain::Chain;
use threshold_wire::trust::Identity;

const MAGIC: &[u8; 16] = b"Threshold log 1\n";
const HEAD: usize = 96;
const ENTRY: u8 = b'E';
const SIGNED: u8 = b'C';
// A single bit that flips makes none of the three another one.
const BEGIN: u8 = b'L';

/// A kept log that takes what comes next.
pub struct KeptLog {
    path: PathBuf,
    out: BufWriter<File>,
    chain: Chain,
    contents: Contents,
    mended: bool,
}

impl KeptLog {
    /// Opens the file, or makes it, and reads it through.
    ///
    /// # Errors
    /// [`HostError::KeptForeign`] for a file of another unit or log, [`HostError::KeptBad`] for one that is not as it was pulled,
    /// [`HostError::FileBusy`] while another run of this program appends to it, [`HostError::File`] if the disk refuses.
    pub fn open(path: &Path, identity: &Identity) -> Result<Self, HostError> {
        let fail = || HostError::file(path);
        if let Some(folder) = path.parent() {
            let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
            made.map_err(fail())?;
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(path).map_err(fail())?;
        claim(&file, path)?;
        let len = file.metadata().map_err(fail())?.len();
        if len < HEAD as u64 {
            // Made just now, or by a pull that was cut off before the head was whole: nothing was kept yet.
            file.set_len(0).map_err(fail())?;
            file.write_all(&head_of(identity)).map_err(fail())?;
            file.sync_all().map_err(fail())?;
            sync_folder(path)?;
        }
        let (found, contents) = read(path)?;
        if found != *identity {
            return Err(HostError::KeptForeign { path: path.to_path_buf() });
        }
        if let Some(bad) = contents.bad {
            return Err(HostError::KeptBad { path: path.to_path_buf(), bad });
        }
        let len = file.metadata().map_err(fail())?.len();
        let mended = contents.whole_bytes < len;
        if mended {
            file.set_len(contents.whole_bytes).map_err(fail())?;
        }
        let mut out = BufWriter::new(file);
        out.seek(SeekFrom::End(0)).map_err(fail())?;
        let chain = Chain::of(&identity.store_id, &identity.key);
        Ok(Self { path: path.to_path_buf(), out, chain, contents, mended })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    #[must_use]
    pub fn contents(&self) -> &Contents {
        &self.contents
    }

    /// True if a half-written last record was cut off when the file was opened.
    #[must_use]
    pub fn was_mended(&self) -> bool {
        self.mended
    }

    /// Appends the entry that comes next; durable with [`KeptLog::sync`].
    ///
    /// # Errors
    /// [`HostError::LogGap`] for another entry, [`HostError::File`] if the disk refuses.
    pub fn append(&mut self, entry: &LogEntry) -> Result<(), HostError> {
        let tip = self.contents.tip;
        if entry.sequence != tip.sequence.saturating_add(1) {
            return Err(HostError::LogGap {
                expected: tip.sequence.saturating_add(1),
                found: entry.sequence,
            });
        }
        let link = self.chain.entry(&tip.link, entry);
        self.write(&[&[ENTRY], &entry.to_bytes(), &link])?;
        self.contents.take_entry(entry.sequence, link);
        Ok(())
    }

    /// Appends the unit's signature under what stands before it; unless that is there already.
    ///
    /// # Errors
    /// [`HostError::UnitDiffers`] if it vouches for other entries than these, [`HostError::File`] if the disk refuses.
    pub fn sign(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError> {
        let tip = self.contents.tip;
        if (checkpoint.sequence, checkpoint.chain) != (tip.sequence, tip.link) {
            let first = self.contents.signed.saturating_add(1);
            return Err(HostError::UnitDiffers { first, last: tip.sequence });
        }
        if self.contents.signed < tip.sequence {
            self.write(&[&[SIGNED], &checkpoint.to_bytes()])?;
            self.contents.take_signed(checkpoint);
        }
        Ok(())
    }

    /// Goes on behind a checkpoint, since the entries before it are not there any more.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub fn begin(&mut self, checkpoint: &Checkpoint) -> Result<(), HostError> {
        self.write(&[&[BEGIN], &checkpoint.to_bytes()])?;
        self.contents.take_begin(checkpoint);
        Ok(())
    }

    /// Makes durable what was appended.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub fn sync(&mut self) -> Result<(), HostError> {
        let written = self.out.flush().and_then(|()| self.out.get_ref().sync_data());
        written.map_err(HostError::file(&self.path))
    }

    /// Takes back what was appended since, as long as no signature is under it.
    ///
    /// # Errors
    /// [`HostError::File`] if the disk refuses.
    pub fn take_back(&mut self, before: &Contents) -> Result<(), HostError> {
        self.sync()?;
        let file = self.out.get_mut();
        let taken = file
            .set_len(before.whole_bytes)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .and_then(|_| file.sync_all());
        taken.map_err(HostError::file(&self.path))?;
        self.contents = before.clone();
        Ok(())
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), HostError> {
        for part in parts {
            self.out.write_all(part).map_err(HostError::file(&self.path))?;
            self.contents.whole_bytes += part.len() as u64;
        }
        Ok(())
    }
}

/// Reads a kept log through: whose it is, and what it holds up to the first thing that is not right.
///
/// # Errors
/// [`HostError::KeptForeign`] for a file that is no kept log, [`HostError::File`] if the disk refuses.
pub fn read(path: &Path) -> Result<(Identity, Contents), HostError> {
    let mut file = BufReader::new(File::open(path).map_err(HostError::file(path))?);
    let foreign = || HostError::KeptForeign { path: path.to_path_buf() };
    let mut head = [0; HEAD];
    file.read_exact(&mut head).map_err(|_| foreign())?;
    let mut identity = Identity { key: [0; 32], store_id: [0; 16] };
    identity.key.copy_from_slice(&head[16..48]);
    identity.store_id.copy_from_slice(&head[48..64]);
    if head != head_of(&identity) {
        return Err(foreign());
    }
    let contents = examine::examine(&mut file, &identity, HEAD as u64);
    Ok((identity, contents.map_err(HostError::file(path))?))
}

/// The entries of a kept log that was read through, from a sequence on.
///
/// # Errors
/// [`HostError::File`] if the disk refuses.
pub fn entries(
    path: &Path,
    from: u64,
) -> Result<impl Iterator<Item = LogEntry> + use<>, HostError> {
    let mut file = BufReader::new(File::open(path).map_err(HostError::file(path))?);
    file.seek(SeekFrom::Start(HEAD as u64)).map_err(HostError::file(path))?;
    let mut record = examine::Record::default();
    let entries = std::iter::from_fn(move || {
        while record.next(&mut file).ok()? {
            if let Some(entry) = record.entry().filter(|entry| entry.sequence >= from) {
                return Some(entry);
            }
        }
        None
    });
    Ok(entries)
}

fn head_of(identity: &Identity) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    head[..16].copy_from_slice(MAGIC);
    head[16..48].copy_from_slice(&identity.key);
    head[48..64].copy_from_slice(&identity.store_id);
    let check = *blake3::hash(&head[..64]).as_bytes();
    head[64..].copy_from_slice(&check);
    head
}

/// Claims a file for as long as it is open: two pulls that append at once would leave a file that looks tampered with.
///
/// # Errors
/// [`HostError::FileBusy`] if another run of this program has it.
pub(crate) fn claim(file: &File, path: &Path) -> Result<(), HostError> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(HostError::FileBusy { path: path.to_path_buf() }),
        // A disk that knows no locks keeps the file all the same.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(()),
    }
}

/// Makes durable that a file of this name is in its folder, and the folder in the one above, since it may be as new.
///
/// # Errors
/// [`HostError::File`] if the disk refuses.
pub fn sync_folder(path: &Path) -> Result<(), HostError> {
    path.ancestors().skip(1).take(2).try_for_each(|folder| sync_one(folder, path))
}

/// Makes durable what stands in a file's own folder, which has been there.
///
/// # Errors
/// [`HostError::File`].
#[cfg(feature = "parquet")]
pub fn sync_own_folder(path: &Path) -> Result<(), HostError> {
    sync_one(path.parent().unwrap_or(Path::new("")), path)
}

fn sync_one(folder: &Path, path: &Path) -> Result<(), HostError> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(HostError::file(path))
}
