//! Frames: how one message stands on the line, and how a receiver finds the next one after noise.
//!
//! ```text
//! on the line: COBS(frame) 00            at most MAX_ENCODED_BYTES with the 00
//! frame:        0 kind u8                1 call, 2 answer, 3 error, 4 refusal
//!               1 id u32 LE              the caller's number of this request; the answer repeats it
//!               5 key [u8; 8]            hash of path and schema of the body's type; zero in a refusal
//!              13 body                   postcard, at most MAX_BODY_BYTES
//!            13+n crc u32 LE             CRC-32 (IEEE) of bytes 0 to 13+n
//!
//! sealed:       0 kind u8                16
//!               1 nonce varint           LEB128 without padding, 1 to 10 bytes; strictly increasing in each direction
//!             1+n cipher                 ChaCha20-Poly1305 of `kind | id | key | body` or of a bulk packet
//!             end tag [u8; 16]           instead of the checksum
//! ```
//! What a sealed frame carries is told inside, where nobody can change it. The nonce is a varint because a chunk of
//! 512 bytes would not reach 94 % of the line beside eight bytes of it.
//! COBS leaves no zero byte inside, so that every 00 ends a frame and a receiver is in step again at the next one.
//! Empty frames (00 00) are silently skipped: a sender may put a 00 first to end whatever noise stood before.

use core::ffi::CStr;
use heapless::Vec;

/// The longest body: a page of 32 log entries, and every other message with room to spare.
pub const MAX_BODY_BYTES: usize = 2176;

/// Bytes before the body.
pub const HEADER_BYTES: usize = 13;

/// The longest frame with a checksum before COBS.
pub const MAX_FRAME_BYTES: usize = HEADER_BYTES + MAX_BODY_BYTES + 4;

/// The longest sealed frame before COBS: a chunk of 4 KiB with its packet's head, kind, nonce and tag.
pub const MAX_SEALED_BYTES: usize = crate::bulk::MAX_PACKET_BYTES + 1 + 10 + TAG_BYTES;

/// The longest frame on the line, its 00 included: COBS adds one byte for each 254 begun.
pub const MAX_ENCODED_BYTES: usize = MAX_SEALED_BYTES + MAX_SEALED_BYTES / 254 + 2;

/// Bytes that prove a sealed frame.
pub const TAG_BYTES: usize = 16;

/// The first byte of a sealed frame.
const SEALED: u8 = 16;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A request to the unit.
    Call = 1,
    /// The unit's response to a call.
    Answer = 2,
    /// The unit's own no to a call that it read: a [`crate::RequestError`].
    Error = 3,
    /// The unit could not read the call: a [`crate::Refusal`].
    Refusal = 4,
}

/// A frame that arrived whole: its checksum held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// The caller's number of the request.
    pub id: u32,
    /// Hash of path and schema of the body's type.
    pub key: [u8; 8],
    /// The body, postcard.
    pub body: &'a [u8],
}

/// A sealed frame as it arrived. Only its session can tell whether it is genuine, and what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Number of the frame in its direction.
    pub nonce: u64,
    /// The cipher and its tag, at least [`TAG_BYTES`].
    pub cipher: &'a [u8],
}

/// What stood between two 00.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived<'a> {
    /// A frame whose checksum held.
    Open(Frame<'a>),
    /// A frame for a session.
    Sealed(Sealed<'a>),
}

/// Why bytes between two 00 are not a frame. The receiver is in step again after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// More bytes without a 00 than a frame can have.
    #[error("more than {max} bytes without the end of a frame", max = MAX_ENCODED_BYTES)]
    TooLong,
    /// Not COBS.
    #[error("the frame's byte stuffing is broken")]
    Stuffing,
    /// Fewer bytes than header and checksum take.
    #[error("a frame of {len} bytes is too short")]
    TooShort {
        /// Bytes after COBS.
        len: usize,
    },
    /// The bytes were changed on the way.
    #[error("the frame's checksum is {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// What stands in the frame.
        found: u32,
        /// What its bytes give.
        computed: u32,
    },
    /// A sealed frame where none is read.
    #[error("a sealed frame where no session is")]
    NoSession,
    /// A nonce that is none.
    #[error("a sealed frame without a nonce")]
    Nonce,
    /// A kind of a later version.
    #[error("a frame of unknown kind {kind}")]
    Kind {
        /// The byte.
        kind: u8,
    },
}

/// A frame ready for the line, its 00 included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded(Vec<u8, MAX_ENCODED_BYTES>);

impl Encoded {
    /// The bytes to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn stuff(plain: &[u8]) -> Result<Self, BodyTooLong> {
        let mut line = Vec::new();
        line.resize(MAX_ENCODED_BYTES, 0).map_err(|_| BodyTooLong)?;
        let len = cobs::try_encode(plain, &mut line).map_err(|_| BodyTooLong)?;
        line.truncate(len);
        line.push(0).map_err(|_| BodyTooLong)?;
        Ok(Self(line))
    }
}

/// The body is longer than a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message of more than {max} bytes does not fit a frame", max = MAX_BODY_BYTES)]
pub struct BodyTooLong;

impl Frame<'_> {
    /// The frame as it goes on the line, with its checksum.
    ///
    /// # Errors
    /// [`BodyTooLong`].
    pub fn encode(&self) -> Result<Encoded, BodyTooLong> {
        let mut plain: Vec<u8, MAX_FRAME_BYTES> = Vec::new();
        self.write(&mut plain)?;
        let crc = crc32fast::hash(&plain);
        plain.extend_from_slice(&crc.to_le_bytes()).map_err(|_| BodyTooLong)?;
        Encoded::stuff(&plain)
    }

    /// The frame without its checksum, as a session seals it.
    pub(crate) fn write<const N: usize>(&self, plain: &mut Vec<u8, N>) -> Result<(), BodyTooLong> {
        if self.body.len() > MAX_BODY_BYTES {
            return Err(BodyTooLong);
        }
        plain.push(self.kind as u8).map_err(|_| BodyTooLong)?;
        for part in [&self.id.to_le_bytes()[..], &self.key, self.body] {
            plain.extend_from_slice(part).map_err(|_| BodyTooLong)?;
        }
        Ok(())
    }
}

impl Sealed<'_> {
    /// The frame as it goes on the line.
    ///
    /// # Errors
    /// [`BodyTooLong`].
    pub fn encode(&self) -> Result<Encoded, BodyTooLong> {
        let mut plain: Vec<u8, MAX_SEALED_BYTES> = Vec::new();
        plain.push(SEALED).map_err(|_| BodyTooLong)?;
        crate::varint::write(self.nonce, &mut plain).map_err(|_| BodyTooLong)?;
        plain.extend_from_slice(self.cipher).map_err(|_| BodyTooLong)?;
        Encoded::stuff(&plain)
    }
}

/// Finds frames in a stream of bytes. Bounded, never out of step for longer than one frame.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8, MAX_ENCODED_BYTES>,
    /// The buffer holds a frame that was handed out; the next byte starts anew.
    spent: bool,
    /// More bytes came than a frame has; everything up to the next 00 is dropped.
    overlong: bool,
    bad_frames: u64,
}

impl Decoder {
    /// A decoder at the start of a line.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new(), spent: false, overlong: false, bad_frames: 0 }
    }

    /// Takes bytes from the front of `bytes` up to the end of a frame; `None` once all were taken without one.
    /// Call it in a loop until it gives `None`. A sealed frame is [`FrameError::NoSession`] here.
    pub fn feed(&mut self, bytes: &mut &[u8]) -> Option<Result<Frame<'_>, FrameError>> {
        Some(match self.feed_any(bytes)? {
            Ok(Arrived::Open(frame)) => Ok(frame),
            Ok(Arrived::Sealed(_)) => Err(FrameError::NoSession),
            Err(error) => Err(error),
        })
    }

    /// As [`Decoder::feed`], with sealed frames for a session to open.
    pub fn feed_any(&mut self, bytes: &mut &[u8]) -> Option<Result<Arrived<'_>, FrameError>> {
        while !bytes.is_empty() {
            if self.take(bytes) {
                return Some(self.finish());
            }
        }
        None
    }

    /// Frames that arrived broken.
    #[must_use]
    pub fn bad_frames(&self) -> u64 {
        self.bad_frames
    }

    /// Forgets a half frame, for a line that was opened anew.
    pub fn reset(&mut self) {
        self.buffer.clear();
        self.spent = false;
        self.overlong = false;
    }

    /// Takes the bytes before the next 00 and the 00, or all; true if a frame ended.
    fn take(&mut self, bytes: &mut &[u8]) -> bool {
        if self.spent {
            self.reset();
        }
        // core's own search for a 00, which takes a word at a step.
        let zero = CStr::from_bytes_until_nul(bytes).ok().map(CStr::count_bytes);
        let (front, rest) = bytes.split_at(zero.unwrap_or(bytes.len()));
        *bytes = rest.get(1..).unwrap_or(&[]);
        self.overlong = self.overlong || self.buffer.extend_from_slice(front).is_err();
        zero.is_some() && (self.overlong || !self.buffer.is_empty())
    }

    fn finish(&mut self) -> Result<Arrived<'_>, FrameError> {
        self.spent = true;
        let parsed = if self.overlong {
            Err(FrameError::TooLong)
        } else {
            match cobs::decode_in_place(&mut self.buffer) {
                // The longest frame in COBS leaves a byte to spare.
                Ok(len) if len > MAX_SEALED_BYTES => Err(FrameError::TooLong),
                Ok(len) => parse(self.buffer.get(..len).unwrap_or(&[])),
                Err(_) => Err(FrameError::Stuffing),
            }
        };
        if parsed.is_err() {
            self.bad_frames = self.bad_frames.saturating_add(1);
        }
        parsed
    }
}

fn parse(plain: &[u8]) -> Result<Arrived<'_>, FrameError> {
    let short = FrameError::TooShort { len: plain.len() };
    if let [SEALED, rest @ ..] = plain {
        let mut rest = rest;
        let nonce = crate::varint::read(&mut rest).ok_or(FrameError::Nonce)?;
        return match rest.len() {
            0..TAG_BYTES => Err(short),
            _ => Ok(Arrived::Sealed(Sealed { nonce, cipher: rest })),
        };
    }
    let (covered, crc) = plain.split_last_chunk::<4>().ok_or(short)?;
    let (found, computed) = (u32::from_le_bytes(*crc), crc32fast::hash(covered));
    if covered.len() < HEADER_BYTES {
        return Err(short);
    }
    if covered.len() > HEADER_BYTES + MAX_BODY_BYTES {
        return Err(FrameError::TooLong);
    }
    if found != computed {
        return Err(FrameError::Checksum { found, computed });
    }
    frame_of(covered).map(Arrived::Open)
}

/// The frame of bytes that a checksum or a tag has proved.
pub(crate) fn frame_of(covered: &[u8]) -> Result<Frame<'_>, FrameError> {
    let short = FrameError::TooShort { len: covered.len() };
    let (header, body) = covered.split_first_chunk::<HEADER_BYTES>().ok_or(short)?;
    let [kind, i0, i1, i2, i3, key @ ..] = *header;
    let kind = match kind {
        1 => FrameKind::Call,
        2 => FrameKind::Answer,
        3 => FrameKind::Error,
        4 => FrameKind::Refusal,
        kind => return Err(FrameError::Kind { kind }),
    };
    if body.len() > MAX_BODY_BYTES {
        return Err(FrameError::TooLong);
    }
    Ok(Frame { kind, id: u32::from_le_bytes([i0, i1, i2, i3]), key, body })
}
