//! Bulk: content of any length in chunks, repeated selectively, resumed where it stopped.
//!
//! ```text
//! chunk:   0 kind u8 5    1 transfer u8    2 index varint    then the chunk's bytes
//! status:  0 kind u8 6    1 transfer u8    2 state u8        then next varint, seen varint, map varint
//! query:   0 kind u8 7    1 transfer u8
//! ```
//! A packet travels sealed; it has no checksum of its own. A chunk's offset is its index times the window's chunk size;
//! only the last chunk is shorter. Everything below `next` has arrived, and of the 64 chunks from `next` on those whose
//! bit is set in `map`. `seen` is the number of the last frame that the receiver's session took: on a line that keeps the
//! order, whatever was sent up to it and has not arrived is lost, so that a sender repeats at once and never twice.
//! Refuses IO, clocks and ciphers: the owner of a machine hands in time, marks and bytes.
//! Terms: a *mark* is the number of a sealed frame in its direction; a *transfer* is one content on its way.

mod receiver;
mod sender;

pub use receiver::{Receiver, Resume, ResumeError, Write};
pub use sender::{Send, Sender};

use crate::varint;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The largest chunk.
pub const MAX_CHUNK_BYTES: usize = 4096;

/// The longest packet.
pub const MAX_PACKET_BYTES: usize = 1 + 1 + 5 + MAX_CHUNK_BYTES;

/// The most chunks under way: what a status can tell of.
pub const MAX_WINDOW_CHUNKS: u8 = 64;

/// How long a line may be silent before a transfer on it ends: with the owner's own delays it stays below five seconds.
pub const SILENCE_MS: u64 = 4_000;

/// How long a transfer may stand still while the peer is heard: a chunk in fifty gets through at a bit error rate of
/// 1e-3, one every 2.4 s at 115,200 baud.
pub const STANDSTILL_MS: u64 = 60_000;

/// How much is under way at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Window {
    /// Bytes of a chunk: 512, 1,024, 2,048 or 4,096.
    pub chunk_bytes: u16,
    /// Chunks under way, 1 to [`MAX_WINDOW_CHUNKS`].
    pub chunks: u8,
}

impl Window {
    /// For a line that is not paced by a baud rate: USB, a pty, a socket.
    pub const USB: Self = Self { chunk_bytes: 4096, chunks: 16 };

    /// For a line of this speed: small chunks where errors and waiting calls cost most, and as many as cover a round trip
    /// of 40 ms with a chunk's own time at both ends.
    #[must_use]
    pub const fn of_baud(baud: u32) -> Self {
        if baud <= 1_000_000 {
            Self { chunk_bytes: 512, chunks: 8 }
        } else {
            Self { chunk_bytes: 1024, chunks: 16 }
        }
    }

    /// What both ends can do.
    ///
    /// # Errors
    /// [`BulkError::BadWindow`] if the other end names a window that is none.
    pub fn agreed(self, other: Self) -> Result<Self, BulkError> {
        let known = matches!(other.chunk_bytes, 512 | 1024 | 2048 | 4096);
        if !known || other.chunks == 0 || other.chunks > MAX_WINDOW_CHUNKS {
            return Err(BulkError::BadWindow {
                chunk_bytes: other.chunk_bytes,
                chunks: other.chunks,
            });
        }
        Ok(Self {
            chunk_bytes: self.chunk_bytes.min(other.chunk_bytes),
            chunks: self.chunks.min(other.chunks),
        })
    }
}

/// What is transferred: told before the first chunk, checked after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Content {
    /// Bytes of the whole.
    pub len: u64,
    /// BLAKE3 of the whole.
    pub hash: [u8; 32],
}

/// What of a content has arrived: everything before `next`, and chunk `next` + n where bit n of `map` is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Progress {
    /// The first chunk that is missing.
    pub next: u32,
    /// Chunks behind it; bit 0 is never set.
    pub map: u64,
}

/// How a transfer stands with its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Chunks are missing, or the whole is being checked.
    Receiving = 0,
    /// The whole is there and its hash is right.
    Done = 1,
    /// The whole is there and its hash is wrong; the receiver has dropped it.
    Mismatch = 2,
    /// The receiver knows no such transfer.
    Unknown = 3,
}

/// What a receiver tells its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which transfer.
    pub transfer: u8,
    /// How it stands.
    pub stage: Stage,
    /// What has arrived.
    pub progress: Progress,
    /// The last mark that the receiver saw.
    pub seen: u64,
}

/// One packet of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A piece of the content.
    Chunk {
        /// Which transfer.
        transfer: u8,
        /// Which chunk.
        index: u32,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// What has arrived.
    Status(Status),
    /// What has arrived? Asked when nothing was heard, and at the end.
    Query {
        /// Which transfer.
        transfer: u8,
    },
}

/// Why a transfer ended without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BulkError {
    /// Nothing was heard.
    #[error(
        "the line was silent for {silent_ms} ms; check the cable, then start again: what has arrived is kept"
    )]
    Dead {
        /// For how long.
        silent_ms: u64,
    },
    /// The peer is heard, and no chunk gets through.
    #[error(
        "no data got through for {still_ms} ms; the line is too noisy: use a shorter cable or a lower speed, then start again"
    )]
    TooNoisy {
        /// For how long.
        still_ms: u64,
    },
    /// The whole is not what was announced.
    #[error(
        "the data that arrived are not those that were announced; start again from the beginning"
    )]
    Mismatch,
    /// The receiver has forgotten the transfer.
    #[error("the other end no longer knows this transfer; start again: what has arrived is kept")]
    Forgotten,
    /// The peer tells of chunks that cannot be.
    #[error(
        "the other end tells of data that were never sent; install the same build on host and unit"
    )]
    BadPeer,
    /// The peer names a window that is none.
    #[error(
        "the other end asks for {chunks} chunks of {chunk_bytes} bytes; install the same build on host and unit"
    )]
    BadWindow {
        /// Bytes of a chunk.
        chunk_bytes: u16,
        /// Chunks under way.
        chunks: u8,
    },
    /// More chunks than are counted.
    #[error("{len} bytes are more than one transfer carries; send them in parts")]
    TooLong {
        /// Bytes of the whole.
        len: u64,
    },
}

impl Content {
    /// Chunks of this size that the content has.
    fn n_chunks(&self, chunk_bytes: u16) -> Result<u32, BulkError> {
        let count = self.len.div_ceil(u64::from(chunk_bytes.max(1)));
        // A few numbers are kept free so that sums of an index and a window never overflow.
        match u32::try_from(count) {
            Ok(count) if count < u32::MAX - 128 => Ok(count),
            _ => Err(BulkError::TooLong { len: self.len }),
        }
    }

    /// Bytes of a chunk.
    fn chunk_len(&self, index: u32, chunk_bytes: u16) -> usize {
        let start = u64::from(index) * u64::from(chunk_bytes);
        self.len.saturating_sub(start).min(u64::from(chunk_bytes)) as usize
    }
}

impl Packet<'_> {
    /// The first bytes of packets; frames in a seal begin with 1 to 4.
    const CHUNK: u8 = 5;
    const STATUS: u8 = 6;
    const QUERY: u8 = 7;

    /// Which transfer.
    #[must_use]
    pub fn transfer(&self) -> u8 {
        match *self {
            Self::Chunk { transfer, .. } | Self::Query { transfer } => transfer,
            Self::Status(status) => status.transfer,
        }
    }

    /// Appends the packet; false if it does not fit.
    #[must_use]
    pub fn write<const N: usize>(&self, out: &mut Vec<u8, N>) -> bool {
        let mut write = || match *self {
            Self::Chunk { transfer, index, bytes } => {
                out.extend_from_slice(&[Self::CHUNK, transfer]).ok()?;
                varint::write(index.into(), out).ok()?;
                out.extend_from_slice(bytes).ok()
            }
            Self::Status(status) => {
                let Progress { next, map } = status.progress;
                out.extend_from_slice(&[Self::STATUS, status.transfer, status.stage as u8]).ok()?;
                [next.into(), status.seen, map]
                    .into_iter()
                    .try_for_each(|n| varint::write(n, out))
                    .ok()
            }
            Self::Query { transfer } => out.extend_from_slice(&[Self::QUERY, transfer]).ok(),
        };
        write().is_some()
    }

    /// The packet of these bytes; `None` if they are none.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Packet<'_>> {
        let (&[kind, transfer], mut rest) = bytes.split_first_chunk()?;
        let packet = match kind {
            Self::CHUNK => {
                let index = varint::read_u32(&mut rest)?;
                let bytes = core::mem::take(&mut rest);
                (bytes.len() <= MAX_CHUNK_BYTES).then_some(Packet::Chunk {
                    transfer,
                    index,
                    bytes,
                })?
            }
            Self::STATUS => {
                let (&stage, numbers) = rest.split_first()?;
                rest = numbers;
                let stage = match stage {
                    0 => Stage::Receiving,
                    1 => Stage::Done,
                    2 => Stage::Mismatch,
                    3 => Stage::Unknown,
                    _ => return None,
                };
                let next = varint::read_u32(&mut rest)?;
                let seen = varint::read(&mut rest)?;
                let map = varint::read(&mut rest)?;
                Packet::Status(Status { transfer, stage, progress: Progress { next, map }, seen })
            }
            Self::QUERY => Packet::Query { transfer },
            _ => return None,
        };
        rest.is_empty().then_some(packet)
    }
}
