//! The messages of commissioning: how a unit gets its relay authority from the owner's recovery key (safety rule 8).
//!
//! The unit gives a challenge; the host signs it with the recovery key and asks for the relay authority by that, perhaps with
//! another recovery key to come in place of the one before.
//! Owns no check of a signature: `recovery` draws what is signed, behind the feature `session`.

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::KeyId;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// How long a challenge may be answered: the host asks for the key before it asks for a challenge.
pub const CHALLENGE_MS: u64 = 60_000;

/// A signature by a recovery key.
pub type Signature = Vec<u8, SIGNATURE_BYTES>;

/// Whether a unit may move its lock, as far as its owner's recovery key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Commission {
    /// It was never commissioned, and knows no recovery key: its first owner brings one.
    Never,
    /// It may: it was commissioned with this recovery key.
    Holds(KeyId),
    /// It may not before it is commissioned again with this recovery key: it was wiped, lost its store, or has another owner
    /// than the trusted line that it was commissioned over.
    Waits(KeyId),
    /// It may not, and cannot be commissioned: its record of the recovery key cannot be read, and nothing else knows that key.
    Unreadable,
}

/// A challenge, to be answered once and soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct CommissionChallenge {
    /// Random bytes.
    pub nonce: [u8; 32],
    /// The unit's public signing key, Ed25519, which is signed with them.
    pub unit: [u8; 32],
    /// How the unit stands.
    pub commission: Commission,
}

/// The answer to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct CommissionFinish {
    /// The recovery key that the unit knows, or its first one: an Ed25519 public key with its signature.
    pub key: Signed,
    /// The recovery key that takes its place from now on.
    pub successor: Option<Signed>,
}

/// A recovery key and what it signed, which is the same for both.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Signed {
    /// The public key.
    pub key: [u8; 32],
    /// Its signature.
    pub signature: Signature,
}

/// How the unit stands now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Commissioned {
    /// [`Commission::Holds`].
    pub commission: Commission,
}
