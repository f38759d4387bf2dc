//! A session: frames that only two keys can make and read, each once.
//!
//! Owns the nonces. A sealed frame takes the next number of its direction, a repeated message a fresh one; a receiver
//! takes only numbers above the last one it took. No function takes a nonce, so none can be used twice.
//! A session ends long before its numbers do: past [`WORN_AT`] frames it seals nothing more and a new one is opened.
//! Refuses to know who may ask what, and to keep keys on a disk.
//! Terms: *forged* is a frame whose tag does not verify, whatever the cause.

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod golden;
mod held;
mod key;
mod open;

pub use held::Held;
pub use key::{KeyError, SecretKey};
pub use open::{Accepted, HandshakeError, Opening, accept};

pub(crate) use key::{check_public, fill_random};
pub(crate) use open::{Greeting, Purpose, builder, noise_message, prologue, session};

use crate::bulk::Packet;
use crate::frame::{self, BodyTooLong, Encoded, Frame, MAX_SEALED_BYTES, Sealed, TAG_BYTES};
use crate::handshake::{MAX_NOISE_BYTES, NoiseMessage};
use alloc::boxed::Box;
use core::fmt;
use heapless::Vec;
use snow::StatelessTransportState;

/// Frames in one direction after which a session is renewed: 2^32, a year of a busy line at 3 Mbaud, and a four
/// thousand millionth of what the cipher's nonce counts.
pub const WORN_AT: u64 = 1 << 32;

/// What a sealed frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside<'a> {
    /// A call, an answer, an error, a refusal.
    Message(Frame<'a>),
    /// A packet of a transfer.
    Bulk(Packet<'a>),
}

/// Why nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The message does not fit a frame.
    #[error(transparent)]
    TooLong(#[from] BodyTooLong),
    /// The session has sealed as many frames as one may; open another.
    #[error("the session has sealed {WORN_AT} frames; open a new one")]
    Worn,
    /// The cipher failed, which it has no reason to.
    #[error("the cipher failed; open a new session")]
    Cipher,
}

/// Why a sealed frame is not taken. The session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// A frame that was taken already, or one that a later one has overtaken.
    #[error("frame {nonce} came after frame {taken}: sent twice or out of order")]
    Replayed {
        /// Its number.
        nonce: u64,
        /// The last one that was taken.
        taken: u64,
    },
    /// Not made with this session's key: changed on the way, or of another session.
    #[error("a sealed frame does not verify")]
    Forged,
    /// Genuine, and of no kind that this version knows.
    #[error(
        "a sealed frame has content of another version; install the same build on host and unit"
    )]
    Unreadable,
}

/// One end of a session. Holding one proves that the other end has the key that was expected.
pub struct Session {
    keys: StatelessTransportState,
    /// The last number that was sealed under.
    sealed: u64,
    /// The last number that was taken.
    taken: u64,
    /// What was opened last.
    inside: Box<[u8; MAX_SEALED_BYTES]>,
}

impl Session {
    fn new(keys: StatelessTransportState) -> Self {
        Self { keys, sealed: 0, taken: 0, inside: Box::new([0; MAX_SEALED_BYTES]) }
    }

    /// The number that the next sealed frame gets: the mark of a bulk packet.
    #[must_use]
    pub fn next_mark(&self) -> u64 {
        self.sealed + 1
    }

    /// The number of the last frame that was taken.
    #[must_use]
    pub fn last_mark(&self) -> u64 {
        self.taken
    }

    /// Seals a message or a packet for the line.
    ///
    /// # Errors
    /// [`SealError`]. A number is used up in any case but [`SealError::Worn`].
    pub fn seal(&mut self, inside: &Inside<'_>) -> Result<Encoded, SealError> {
        let mut plain: Vec<u8, { MAX_SEALED_BYTES - TAG_BYTES }> = Vec::new();
        match inside {
            Inside::Message(frame) => frame.write(&mut plain)?,
            Inside::Bulk(packet) => {
                if !packet.write(&mut plain) {
                    return Err(BodyTooLong.into());
                }
            }
        }
        let mut cipher = [0; MAX_SEALED_BYTES];
        let (nonce, cipher) = self.encrypt(&plain, &mut cipher)?;
        Ok(Sealed { nonce, cipher }.encode()?)
    }

    /// Opens a sealed frame.
    ///
    /// # Errors
    /// [`OpenError`]; a frame that is not genuine changes nothing.
    pub fn open(&mut self, sealed: &Sealed<'_>) -> Result<Inside<'_>, OpenError> {
        let len = self.decrypt(sealed)?;
        self.inside(len)
    }

    /// What the first bytes of what was decrypted last are.
    fn inside(&self, len: usize) -> Result<Inside<'_>, OpenError> {
        let plain = self.inside.get(..len).unwrap_or(&[]);
        match plain.first() {
            Some(1..=4) => {
                frame::frame_of(plain).map(Inside::Message).map_err(|_| OpenError::Unreadable)
            }
            _ => Packet::read(plain).map(Inside::Bulk).ok_or(OpenError::Unreadable),
        }
    }

    /// Seals a proof for a handshake's last message, where no frame is.
    pub(crate) fn seal_proof(&mut self, plain: &[u8]) -> Option<NoiseMessage> {
        let mut cipher = [0; MAX_NOISE_BYTES];
        let (_, cipher) = self.encrypt(plain, &mut cipher).ok()?;
        NoiseMessage::from_slice(cipher).ok()
    }

    /// Opens the other end's first proof.
    pub(crate) fn open_proof(&mut self, cipher: &[u8]) -> Result<&[u8], OpenError> {
        let len = self.decrypt(&Sealed { nonce: self.taken + 1, cipher })?;
        Ok(self.inside.get(..len).unwrap_or(&[]))
    }

    /// Encrypts under the next number. The only place that encrypts.
    fn encrypt<'a>(
        &mut self,
        plain: &[u8],
        cipher: &'a mut [u8],
    ) -> Result<(u64, &'a [u8]), SealError> {
        if self.sealed >= WORN_AT {
            return Err(SealError::Worn);
        }
        // Used up before it is used, so that no failure in between can use it again.
        self.sealed += 1;
        let len =
            self.keys.write_message(self.sealed, plain, cipher).map_err(|_| SealError::Cipher)?;
        Ok((self.sealed, cipher.get(..len).ok_or(SealError::Cipher)?))
    }

    /// Decrypts what is genuine and above the last number taken, and gives its length. The only place that decrypts.
    fn decrypt(&mut self, sealed: &Sealed<'_>) -> Result<usize, OpenError> {
        let Sealed { nonce, cipher } = *sealed;
        if nonce <= self.taken {
            return Err(OpenError::Replayed { nonce, taken: self.taken });
        }
        let inside = &mut self.inside[..];
        let len = self.keys.read_message(nonce, cipher, inside).map_err(|_| OpenError::Forged)?;
        self.taken = nonce;
        Ok(len)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("sealed", &self.sealed)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
