//! The handshake's messages: how a session is opened and how an administrator is paired.
//!
//! Frozen at version 1 for ever, like the hello, so that a host one version off can still look and update. For that
//! reason an answer carries its own [`HandshakeRefusal`] and not a [`crate::RequestError`], which grows.
//! Refuses to know keys and ciphers: `session` and `pairing` do, behind the feature `session`.

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{KeyId, Name, Role};

/// The longest Noise message of a handshake: the pairing's last, with a key, a name and two tags.
pub const MAX_NOISE_BYTES: usize = 160;

/// A Noise message.
pub type NoiseMessage = Vec<u8, MAX_NOISE_BYTES>;

/// The host opens a session: the first message of `Noise_KK`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SessionOpen {
    /// Whose key the message was made with.
    pub key_id: KeyId,
    /// `e, es, ss`.
    pub message: NoiseMessage,
}

/// The unit's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SessionOpened {
    /// The second message, `e, ee, se`, with the administrator's role inside.
    Welcome(NoiseMessage),
    /// No session.
    Refused(HandshakeRefusal),
}

/// The host begins to pair: the first message of `Noise_XXpsk3`, `e`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PairStart {
    /// `e`.
    pub message: NoiseMessage,
}

/// The unit's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum PairStarted {
    /// The second message, `e, ee, s, es`.
    Go(NoiseMessage),
    /// Not now.
    Refused(HandshakeRefusal),
}

/// The host proves that it knows the code: the third message, `s, se, psk`, with [`PairRequest`] inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PairFinish {
    /// `s, se, psk`.
    pub message: NoiseMessage,
}

/// The unit's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum PairFinished {
    /// The administrator stands in the roster, durable. The message is the unit's proof that it knows the code too:
    /// a [`Paired`], sealed. A host keeps the unit's key only after it has opened it.
    Paired(NoiseMessage),
    /// Not paired.
    Refused(HandshakeRefusal),
}

/// What the host says of its administrator, where only a unit with the code can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PairRequest {
    /// What the administrator is called.
    pub name: Name,
}

/// What the unit says of the pairing, where only the paired host can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Paired {
    /// What the administrator may ask from now on.
    pub role: Role,
}

/// Why the unit opens no session or pairs nobody. Not authenticated: whoever holds the line can say so, and no more
/// follows from it than that the host stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum HandshakeRefusal {
    /// The line has no hello yet, and a handshake is bound to one.
    #[error("the unit was not greeted before the handshake; say hello first")]
    NoHello,
    /// The unit has no key of its own.
    #[error("the unit has no key yet; start it with a store that keeps one")]
    NoKeys,
    /// No administrator has this key, or none has it any more.
    #[error(
        "the unit does not know this administrator's key; pair with the unit, or ask its owner"
    )]
    UnknownKey,
    /// The message is none, or not of who it says, or the two ends disagree on unit, version or key.
    #[error(
        "the handshake does not verify: another unit answers under this name, or somebody changes what the line carries; \
         check the cable and the unit, then pair again"
    )]
    Forged,
    /// Nobody is at the unit to let anybody pair, or the time or the attempts are used up.
    #[error(
        "the unit does not pair now; hold the button inside its housing and try again within two minutes"
    )]
    WindowClosed,
    /// The code is wrong.
    #[error(
        "the pairing code is wrong; {left} attempts are left before the button must be held again"
    )]
    WrongCode {
        /// Attempts left.
        left: u8,
    },
    /// The host's key is no key.
    #[error("the host's key is of no use; make a fresh one and pair again")]
    BadKey,
    /// The roster takes no more, or not this key any more, or its store failed.
    #[error(
        "the unit could not keep the administrator; pair with another key (--keys) if this one was revoked there, revoke one that is not \
         needed, or see the unit's own messages"
    )]
    NotKept,
    /// More handshakes than a unit computes.
    #[error("the unit was asked for too many handshakes; try again in a second")]
    Busy,
}

/// How many handshakes a unit computes: each takes a millisecond, and a line of 3 Mbaud carries thousands a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ration {
    left: u64,
    since_ms: u64,
}

impl Ration {
    /// Handshakes at once: two people who pair and open a session, and a typing error.
    pub const BURST: u64 = 8;

    /// Milliseconds after which there is one more.
    pub const EVERY_MS: u64 = 250;

    /// All at once.
    #[must_use]
    pub const fn full() -> Self {
        Self { left: Self::BURST, since_ms: 0 }
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`HandshakeRefusal::Busy`] if none is left.
    pub fn take(&mut self, now_ms: u64) -> Result<(), HandshakeRefusal> {
        let earned = now_ms.saturating_sub(self.since_ms) / Self::EVERY_MS;
        self.since_ms = self.since_ms.saturating_add(earned.saturating_mul(Self::EVERY_MS));
        self.left = self.left.saturating_add(earned).min(Self::BURST);
        self.left = self.left.checked_sub(1).ok_or(HandshakeRefusal::Busy)?;
        Ok(())
    }
}
