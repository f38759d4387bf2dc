//! A content on its way to an update: a file that grows as it arrives, and beside it what of it has arrived.
//!
//! ```text
//! <data>/update/pushed     the content, a bundle or a delta, as far as it came
//! <data>/update/progress   a `Resume` of 59 bytes: never more than is durable in `pushed`
//! ```
//! Owns that a push goes on where it stopped, after a cut and after a start of the unit, and that nothing stays that nobody goes on
//! with. Refuses more than a bundle can be, and
//! room that the log and the gallery may need.

use super::refusal;
use rustix::fs::statvfs;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use threshold_bundle::MAX_BUNDLE_BYTES;
use threshold_wire::bulk::{Content, Resume};
use threshold_wire::update::UpdateRefusal;

/// The longest content; a delta is one that packs, so it is no longer than its bundle by more than some bytes.
pub const MAX_CONTENT_BYTES: u64 = MAX_BUNDLE_BYTES;

/// What the gallery may take beside an update: 100,000 templates of 512 components, and what cleaning their segments takes.
pub const GALLERY_BYTES: u64 = 64 << 20;

/// How long what has arrived is kept without a word of its sender.
pub const KEPT_MS: u64 = 10 * 60_000;

/// Bytes that arrive between two syncs: at 3 Mbaud one every 14 s, and what a cut costs is as much line time.
const SYNC_BYTES: u64 = 4 << 20;

/// Bytes that are hashed before a call is answered again.
const HASH_BYTES: usize = 4 << 20;

const PUSHED: &str = "pushed";
const PROGRESS: &str = "progress";
const PROGRESS_FRESH: &str = "progress.tmp";

/// The bundle that is made of a delta.
pub(super) const MADE: &str = "bundle";

/// A content that comes, or has come.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    file: File,
    /// Bytes since the last sync.
    unsynced: u64,
    /// The medium failed once: what has arrived since the last sync may not be there, whatever it says next time.
    failed: bool,
    /// The hash of what was read again so far, once all of it is there.
    hasher: Box<blake3::Hasher>,
}

impl Staging {
    /// Where a content comes to, with what of it is there; so many bytes stay free for the store.
    ///
    /// # Errors
    /// [`UpdateRefusal`] if it is too long, there is no room, or the medium fails.
    pub fn open(
        folder: &Path,
        content: Content,
        store_bytes: u64,
    ) -> Result<(Self, Option<Resume>), UpdateRefusal> {
        if content.len > MAX_CONTENT_BYTES {
            return Err(refusal::too_long(content.len, MAX_CONTENT_BYTES));
        }
        let fault = |error: io::Error| refusal::medium(&error);
        make(folder).map_err(fault)?;
        let there = std::fs::metadata(folder.join(PUSHED)).map_or(0, |meta| meta.len());
        let said = |kept: &Resume| {
            let chunks = u64::from(kept.progress.next) * u64::from(kept.chunk_bytes);
            kept.content == content && chunks.min(content.len) <= there
        };
        let kept = progress(folder).filter(said);
        if kept.is_none() {
            forget(folder).map_err(fault)?;
        }
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(folder.join(PUSHED)).map_err(fault)?;
        let there = file.metadata().map_err(fault)?.len();
        room_for(folder, content.len.saturating_sub(there), store_bytes)?;
        let folder = folder.to_owned();
        Ok((Self { folder, file, unsynced: 0, failed: false, hasher: Box::default() }, kept))
    }

    /// Takes bytes at their place; `resume` is what has arrived with them.
    ///
    /// # Errors
    /// The medium's, now or before: then it is opened anew, and goes on from what was durable.
    pub fn write(&mut self, offset: u64, bytes: &[u8], resume: &Resume) -> io::Result<()> {
        let written = self.file.write_all_at(bytes, offset);
        self.failed |= written.is_err();
        written?;
        self.unsynced += bytes.len() as u64;
        match self.unsynced >= SYNC_BYTES {
            true => self.keep(resume),
            false => Ok(()),
        }
    }

    /// Makes durable what has arrived, and then that it has.
    ///
    /// # Errors
    /// As [`Staging::write`].
    pub fn keep(&mut self, resume: &Resume) -> io::Result<()> {
        if self.failed {
            return Err(io::Error::other("the medium failed before"));
        }
        let kept = self.keep_durably(resume);
        self.failed = kept.is_err();
        kept
    }

    /// True once the medium failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    fn keep_durably(&mut self, resume: &Resume) -> io::Result<()> {
        self.file.sync_data()?;
        self.unsynced = 0;
        let fresh = self.folder.join(PROGRESS_FRESH);
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all_at(&resume.to_bytes(), 0)?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.folder.join(PROGRESS))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Takes it off the medium.
    ///
    /// # Errors
    /// The medium's.
    pub fn forget(&self) -> io::Result<()> {
        forget(&self.folder)
    }

    /// Reads some more of the whole; gives its hash once all of it was read.
    ///
    /// # Errors
    /// The medium's.
    pub fn hash_some(&mut self) -> io::Result<Option<[u8; 32]>> {
        if self.hasher.count() == 0 {
            self.file.seek(SeekFrom::Start(0))?;
        }
        let mut piece = vec![0; HASH_BYTES];
        let mut len = 0;
        while let Some(rest) = piece.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match self.file.read(rest)? {
                0 => break,
                more => len += more,
            }
        }
        self.hasher.update(piece.get(..len).unwrap_or(&[]));
        Ok((len < HASH_BYTES).then(|| *self.hasher.finalize().as_bytes()))
    }
}

/// Makes the folder, if it is not there.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The content of that hash, if all of it has arrived.
#[must_use]
pub fn whole(folder: &Path, hash: &[u8; 32]) -> Option<File> {
    let kept = progress(folder).filter(|kept| kept.content.hash == *hash)?;
    let chunks = kept.content.len.div_ceil(u64::from(kept.chunk_bytes.max(1)));
    let file = File::open(folder.join(PUSHED)).ok()?;
    let there = file.metadata().ok()?.len();
    (u64::from(kept.progress.next) == chunks && there == kept.content.len).then_some(file)
}

/// Takes what was pushed off the medium.
///
/// # Errors
/// The medium's.
pub fn forget(folder: &Path) -> io::Result<()> {
    // The word of it first, so that it never stands for a file that is gone.
    remove(&folder.join(PROGRESS))?;
    remove(&folder.join(PUSHED))
}

/// Takes off the medium what a start finds and nobody goes on with: what was made of a delta, and a content that is old. A clock that
/// is behind its time makes it young, and then it is kept for as long as one that came just now. True if a content is kept.
///
/// # Errors
/// The medium's.
pub(super) fn begin(folder: &Path) -> io::Result<bool> {
    remove(&folder.join(MADE))?;
    remove(&folder.join(PROGRESS_FRESH))?;
    let age = std::fs::metadata(folder.join(PUSHED))
        .and_then(|meta| meta.modified())
        .map(|at| at.elapsed().unwrap_or_default());
    match age {
        Ok(age) if age < Duration::from_millis(KEPT_MS) => Ok(true),
        Ok(_) => forget(folder).map(|()| false),
        Err(error) if error.kind() == ErrorKind::NotFound => forget(folder).map(|()| false),
        Err(error) => Err(error),
    }
}

/// Removes a file, if it is there.
///
/// # Errors
/// The medium's.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Refuses if so many bytes more would take the `store_bytes` that the log and the gallery may still need.
///
/// # Errors
/// [`UpdateRefusal`].
pub fn room_for(folder: &Path, bytes: u64, store_bytes: u64) -> Result<(), UpdateRefusal> {
    let room = statvfs(folder).map_err(|error| refusal::medium(&error.into()))?;
    fits(room.f_bavail.saturating_mul(room.f_frsize), bytes, store_bytes)
}

fn fits(free: u64, bytes: u64, store_bytes: u64) -> Result<(), UpdateRefusal> {
    let wanted = bytes.saturating_add(store_bytes);
    match bytes == 0 || free >= wanted {
        true => Ok(()),
        false => Err(refusal::no_room(wanted, free)),
    }
}

fn progress(folder: &Path) -> Option<Resume> {
    Resume::from_bytes(&std::fs::read(folder.join(PROGRESS)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use threshold_wire::bulk::{Receiver, Window};

    #[test]
    fn what_the_store_may_need_stays_free_and_what_takes_nothing_is_not_refused() {
        let (bundle, store) = (60 << 20, 505 << 20);
        assert_eq!(fits(bundle + store, bundle, store), Ok(()));
        let refused = fits(bundle + store - 1, bundle, store).expect_err("a byte is missing");
        assert_eq!(refused.code, UpdateRefusal::NO_ROOM);
        assert!(refused.text.contains("takes 565;"), "{refused}");
        assert_eq!(fits(0, 0, store), Ok(()));
    }

    #[test]
    fn what_the_medium_did_not_take_is_never_kept_as_arrived() {
        let folder = tempfile::tempdir().unwrap();
        let content = Content { len: 100, hash: [1; 32] };
        let window = Window::USB.agreed(Window::USB).unwrap();
        let mut receiver = Receiver::new(1, content, window, None, 0).unwrap();
        let (mut staging, kept) = Staging::open(folder.path(), content, 0).unwrap();
        assert_eq!(kept, None);
        // A file that takes no writes, and lets itself be synced.
        staging.file = File::open(folder.path().join(PUSHED)).unwrap();
        let write = receiver.take(1, 0, &[7; 100]).unwrap().unwrap();
        let (offset, bytes) = (write.offset, write.bytes);
        let resume = receiver.resume();
        staging.write(offset, bytes, &resume).unwrap_err();
        assert!(staging.has_failed());
        staging.keep(&resume).unwrap_err();
        assert_eq!(progress(folder.path()), None, "what was not written counts as arrived");
        let (staging, kept) = Staging::open(folder.path(), content, 0).unwrap();
        assert!(kept.is_none() && !staging.has_failed());
    }
}
