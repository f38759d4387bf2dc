//! The receiving end of a transfer: which chunks are there, what to tell the sender, and how to go on after a cut.
//!
//! Owns the bitmap. Refuses to hold the content: it says where a chunk's bytes belong, its owner writes them there, and
//! persists a [`Resume`] only after they are durable.
//!
//! ```text
//! resume: 0 version u8     1
//!         1 len u64 LE     bytes of the whole
//!         9 hash [u8; 32]  BLAKE3 of the whole
//!        41 chunk u16 LE   bytes of a chunk
//!        43 next u32 LE    the first chunk that is missing
//!        47 map u64 LE     chunks behind it
//!        55 crc u32 LE     CRC-32 of bytes 0 to 55
//! ```

use super::{
    BulkError, Content, MAX_WINDOW_CHUNKS, Progress, SILENCE_MS, STANDSTILL_MS, Stage, Status,
    Window,
};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Where a chunk's bytes belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Write<'a> {
    /// Offset in the content.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// The receiving end.
#[derive(Clone, Debug)]
pub struct Receiver {
    transfer: u8,
    content: Content,
    window: Window,
    n_chunks: u32,
    progress: Progress,
    seen: u64,
    /// Frames since the last status.
    untold: u8,
    /// A status is due at once.
    tell: bool,
    stage: Stage,
    heard_ms: u64,
    /// When the last chunk came that was missing.
    moved_ms: u64,
}

/// What of a content has arrived, to be kept across a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Resume {
    /// Which content.
    pub content: Content,
    /// Bytes of a chunk.
    pub chunk_bytes: u16,
    /// What has arrived.
    pub progress: Progress,
}

/// Why bytes are no [`Resume`]: start from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what was kept of a transfer is damaged or of another version; it starts from the beginning"
)]
pub struct ResumeError;

impl Receiver {
    /// A receiver of a content, from its beginning or from what was kept of the same one.
    ///
    /// # Errors
    /// [`BulkError::TooLong`] or [`BulkError::BadWindow`].
    pub fn new(
        transfer: u8,
        content: Content,
        window: Window,
        kept: Option<&Resume>,
        now_ms: u64,
    ) -> Result<Self, BulkError> {
        let window = window.agreed(window)?;
        let n_chunks = content.n_chunks(window.chunk_bytes)?;
        let progress = kept.map_or_else(Progress::default, |kept| {
            kept.progress_in(content, window.chunk_bytes, n_chunks)
        });
        Ok(Self {
            transfer,
            content,
            window,
            n_chunks,
            progress,
            seen: 0,
            untold: 0,
            tell: false,
            stage: Stage::Receiving,
            heard_ms: now_ms,
            moved_ms: now_ms,
        })
    }

    /// Which transfer.
    #[must_use]
    pub fn transfer(&self) -> u8 {
        self.transfer
    }

    /// What has arrived, for the answer to an offer.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What to persist once the bytes of all [`Write`]s so far are durable.
    #[must_use]
    pub fn resume(&self) -> Resume {
        Resume {
            content: self.content,
            chunk_bytes: self.window.chunk_bytes,
            progress: self.progress,
        }
    }

    /// True once every chunk is there: the owner compares the hash of the whole and calls [`Receiver::checked`].
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.progress.next == self.n_chunks && self.stage == Stage::Receiving
    }

    /// True once the whole is there and its hash is right.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// The owner has computed the hash of the whole.
    ///
    /// # Errors
    /// [`BulkError::Mismatch`] if it is not the announced one; the owner drops what it has.
    pub fn checked(&mut self, hash: &[u8; 32]) -> Result<(), BulkError> {
        self.tell = true;
        if *hash == self.content.hash && self.progress.next == self.n_chunks {
            self.stage = Stage::Done;
            return Ok(());
        }
        self.stage = Stage::Mismatch;
        Err(BulkError::Mismatch)
    }

    /// A sealed frame of the peer was taken, of whatever kind; call it before the frame itself is taken.
    pub fn saw(&mut self, mark: u64, now_ms: u64) {
        // A jump is a lost frame, which the sender should hear of at once.
        if self.seen != 0 && mark != self.seen + 1 {
            self.tell = true;
        }
        self.seen = mark;
        self.heard_ms = now_ms;
    }

    /// Takes a chunk; `None` if it was there already or belongs to another transfer.
    ///
    /// # Errors
    /// [`BulkError::BadPeer`] for a chunk that the content or the window cannot have.
    pub fn take<'a>(
        &mut self,
        transfer: u8,
        index: u32,
        bytes: &'a [u8],
    ) -> Result<Option<Write<'a>>, BulkError> {
        if transfer != self.transfer || self.stage != Stage::Receiving {
            self.tell = true;
            return Ok(None);
        }
        let Progress { next, map } = self.progress;
        if index >= self.n_chunks
            || bytes.len() != self.content.chunk_len(index, self.window.chunk_bytes)
        {
            return Err(BulkError::BadPeer);
        }
        let Some(ahead) = index.checked_sub(next) else {
            // Below the window: the sender missed a status.
            self.tell = true;
            return Ok(None);
        };
        if ahead >= u32::from(MAX_WINDOW_CHUNKS) {
            return Err(BulkError::BadPeer);
        }
        if map >> ahead & 1 == 1 {
            self.tell = true;
            return Ok(None);
        }
        self.moved_ms = self.heard_ms;
        self.progress.map |= 1 << ahead;
        let run = self.progress.map.trailing_ones();
        self.progress.next += run;
        self.progress.map = self.progress.map.checked_shr(run).unwrap_or(0);
        self.untold += 1;
        // At least eight statuses a window: a sender never waits for one. The last chunk is told of at once.
        if u32::from(self.untold) * 8 >= self.window.chunks.into()
            || self.progress.next == self.n_chunks
        {
            self.tell = true;
        }
        Ok(Some(Write { offset: u64::from(index) * u64::from(self.window.chunk_bytes), bytes }))
    }

    /// Takes a query.
    pub fn take_query(&mut self) {
        self.tell = true;
    }

    /// The status to send, if one is due.
    ///
    /// # Errors
    /// [`BulkError::Dead`] if nothing was heard for too long, [`BulkError::TooNoisy`] if only other things were; what has arrived
    /// can be resumed.
    pub fn poll(&mut self, now_ms: u64) -> Result<Option<Status>, BulkError> {
        let silent_ms = now_ms.saturating_sub(self.heard_ms);
        if self.stage == Stage::Receiving && silent_ms >= SILENCE_MS {
            return Err(BulkError::Dead { silent_ms });
        }
        let still_ms = now_ms.saturating_sub(self.moved_ms);
        if self.stage == Stage::Receiving && still_ms >= STANDSTILL_MS {
            return Err(BulkError::TooNoisy { still_ms });
        }
        if !self.tell {
            return Ok(None);
        }
        self.tell = false;
        self.untold = 0;
        let Self { transfer, stage, progress, seen, .. } = *self;
        Ok(Some(Status { transfer, stage, progress, seen }))
    }

    /// When to poll again if nothing arrives.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        if self.tell { 0 } else { (self.heard_ms + SILENCE_MS).min(self.moved_ms + STANDSTILL_MS) }
    }
}

impl Resume {
    /// Bytes of a kept one.
    pub const LEN: usize = 59;

    const VERSION: u8 = 1;

    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = Self::VERSION;
        bytes[1..9].copy_from_slice(&self.content.len.to_le_bytes());
        bytes[9..41].copy_from_slice(&self.content.hash);
        bytes[41..43].copy_from_slice(&self.chunk_bytes.to_le_bytes());
        bytes[43..47].copy_from_slice(&self.progress.next.to_le_bytes());
        bytes[47..55].copy_from_slice(&self.progress.map.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..55]);
        bytes[55..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What was kept.
    ///
    /// # Errors
    /// [`ResumeError`] for damaged bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ResumeError> {
        let (covered, crc) = bytes.split_last_chunk::<4>().ok_or(ResumeError)?;
        if covered.len() != Self::LEN - 4
            || crc32fast::hash(covered) != u32::from_le_bytes(*crc)
            || covered[0] != Self::VERSION
        {
            return Err(ResumeError);
        }
        let field = |at: usize, len: usize| {
            let mut value = [0; 8];
            value[..len].copy_from_slice(&covered[at..at + len]);
            u64::from_le_bytes(value)
        };
        let mut hash = [0; 32];
        hash.copy_from_slice(&covered[9..41]);
        Ok(Self {
            content: Content { len: field(1, 8), hash },
            chunk_bytes: field(41, 2) as u16,
            progress: Progress { next: field(43, 4) as u32, map: field(47, 8) },
        })
    }

    /// What of this content is there, in chunks of this window: nothing if another content was kept. Both ends of a transfer
    /// that goes on ask this, so that they begin at one place.
    ///
    /// # Errors
    /// [`BulkError::TooLong`].
    pub fn in_window(&self, content: Content, window: Window) -> Result<Progress, BulkError> {
        let n_chunks = content.n_chunks(window.chunk_bytes)?;
        Ok(self.progress_in(content, window.chunk_bytes, n_chunks))
    }

    fn progress_in(&self, content: Content, chunk_bytes: u16, n_chunks: u32) -> Progress {
        if self.content != content || chunk_bytes == 0 {
            return Progress::default();
        }
        let progress = if self.chunk_bytes == chunk_bytes {
            self.progress
        } else {
            // Another speed than before: whole chunks of what is there without a gap.
            let bytes =
                (u64::from(self.progress.next) * u64::from(self.chunk_bytes)).min(content.len);
            let next = if bytes == content.len {
                u64::from(n_chunks)
            } else {
                bytes / u64::from(chunk_bytes)
            };
            Progress { next: u32::try_from(next).unwrap_or(0), map: 0 }
        };
        let highest =
            u64::from(progress.next) + u64::from(u64::BITS - progress.map.leading_zeros());
        match progress.map & 1 == 0 && highest <= u64::from(n_chunks) {
            true => progress,
            false => Progress::default(),
        }
    }
}
