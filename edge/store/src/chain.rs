//! The chain over a unit's log, and its signed checkpoints: what shows whoever pulls the log that nobody changed it.
//!
//! Owns the two chains and the checkpoint's bytes, the same on the unit and at whoever pulled the log.
//! `entries`: C(n) = BLAKE3 of C(n-1) and the entry's 64 bytes; `contexts`: the same over number u16, kind u8 and bytes of
//! each context in the order of their numbers. Both begin with zeros, and are keyed with what is derived from the store's id
//! and the unit's public key, so that no two units have a link in common. That key is no secret: that nobody reads the log on
//! flash is the seal's work, and that nobody else writes it the signature's.
//!
//! ```text
//!  0 version u16 (1)  | 4 boot u32           | 24 sequence u64      | 64 contexts' chain [32]
//!  2 contexts u16     | 8 store id [u8; 16]  | 32 entries' chain [32] | 96 Ed25519 signature [64] of "Threshold log checkpoint 1" and bytes 0 to 96
//! ```
//! Refuses to vouch for entries behind the last checkpoint. Which of the entries between two checkpoints was changed it
//! cannot say, only that one was; [`crate::verify`] on the unit's flash can.

use crate::bytes::array;
use crate::keyring::{Keyring, is_signed};
use threshold_record::{Context, LogEntry};

/// A link of a chain.
pub type Link = [u8; 32];

const VERSION: u16 = 1;
const SIGNED: usize = 96;
const PURPOSE: &[u8] = b"Threshold log checkpoint 1";

/// Makes links for one unit's log.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    entries: [u8; 32],
    contexts: [u8; 32],
}

impl Chain {
    /// The chains of a store and a unit's public signing key.
    #[must_use]
    pub fn of(store_id: &[u8; 16], identity: &[u8; 32]) -> Self {
        let owner = [&store_id[..], identity].concat();
        Self {
            entries: blake3::derive_key("Threshold store 2026 chain of log entries", &owner),
            contexts: blake3::derive_key("Threshold store 2026 chain of log contexts", &owner),
        }
    }

    /// The link of an entry after the link before it.
    #[must_use]
    pub fn entry(&self, before: &Link, entry: &LogEntry) -> Link {
        let mut bytes = [0; 32 + LogEntry::LEN];
        bytes[..32].copy_from_slice(before);
        bytes[32..].copy_from_slice(&entry.to_bytes());
        *blake3::keyed_hash(&self.entries, &bytes).as_bytes()
    }

    /// The link of a context after the link before it.
    #[must_use]
    pub fn context(&self, before: &Link, context: &Context) -> Link {
        let mut hasher = blake3::Hasher::new_keyed(&self.contexts);
        hasher.update(before);
        hasher.update(&context.number.to_le_bytes());
        hasher.update(&[context.kind.code()]);
        hasher.update(&context.bytes);
        *hasher.finalize().as_bytes()
    }
}

/// How far a log had come, signed by the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The store's id.
    pub store_id: [u8; 16],
    /// Sequence of the last entry; 0 before the first.
    pub sequence: u64,
    /// The link of that entry.
    pub chain: Link,
    /// The highest number of a context.
    pub contexts: u16,
    /// The link of that context.
    pub contexts_chain: Link,
    /// The unit's count of starts.
    pub boot: u32,
    /// The unit's signature.
    pub signature: [u8; 64],
}

/// Why a checkpoint, or entries, are not what the unit signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Written by a later version.
    #[error("a checkpoint of version {found}, this program reads up to 1; update this program")]
    Version {
        /// What the bytes say.
        found: u16,
    },
    /// Not signed by that unit, or changed afterwards.
    #[error(
        "the checkpoint of entry {sequence} is not signed by this unit; ask for the unit's own, and whether this is the unit that \
         was paired"
    )]
    NotSigned {
        /// Where it says that it stands.
        sequence: u64,
    },
    /// Two checkpoints of different stores, or in the wrong order.
    #[error(
        "the checkpoints of entries {start} and {end} do not belong to one log in this order; the unit was wiped, or its flash \
         is another's"
    )]
    NotOneLog {
        /// Sequence of the first one.
        start: u64,
        /// Sequence of the second one.
        end: u64,
    },
    /// An entry is missing, there twice, or in another place.
    #[error("entry {expected} is missing: entry {found} stands in its place; pull the log again")]
    OutOfOrder {
        /// The sequence that comes next.
        expected: u64,
        /// What is there.
        found: u64,
    },
    /// The entries end before the checkpoint.
    #[error(
        "entry {expected} is missing: the entries end before the checkpoint of entry {end}; pull the log again"
    )]
    Missing {
        /// The sequence that comes next.
        expected: u64,
        /// Sequence of the checkpoint.
        end: u64,
    },
    /// The entries are not those that the unit signed.
    #[error("one of the entries {first} to {end} is not the one that the unit wrote")]
    Changed {
        /// Sequence of the first one that is not vouched for.
        first: u64,
        /// Sequence of the checkpoint.
        end: u64,
    },
}

impl Checkpoint {
    /// Bytes of a checkpoint.
    pub const LEN: usize = SIGNED + 64;

    /// The checkpoint of a place in the log, signed.
    pub(crate) fn sign(keyring: &Keyring, tip: &Tip, boot: u32) -> Self {
        let mut checkpoint = Self {
            store_id: keyring.store_id(),
            sequence: tip.head,
            chain: tip.chain,
            contexts: tip.given,
            contexts_chain: tip.contexts_chain,
            boot,
            signature: [0; 64],
        };
        checkpoint.signature = keyring.sign(&checkpoint.signed());
        checkpoint
    }

    /// The place where it stands.
    pub(crate) fn tip(&self) -> Tip {
        Tip {
            head: self.sequence,
            given: self.contexts,
            chain: self.chain,
            contexts_chain: self.contexts_chain,
        }
    }

    /// Its bytes; see the file's header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &VERSION.to_le_bytes());
        put(2, &self.contexts.to_le_bytes());
        put(4, &self.boot.to_le_bytes());
        put(8, &self.store_id);
        put(24, &self.sequence.to_le_bytes());
        put(32, &self.chain);
        put(64, &self.contexts_chain);
        put(SIGNED, &self.signature);
        bytes
    }

    /// The checkpoint of bytes. Holding one proves nothing before [`Checkpoint::verify`].
    ///
    /// # Errors
    /// [`ChainError::Version`].
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, ChainError> {
        let found = u16::from_le_bytes(array(bytes, 0));
        if found != VERSION {
            return Err(ChainError::Version { found });
        }
        Ok(Self {
            store_id: array(bytes, 8),
            sequence: u64::from_le_bytes(array(bytes, 24)),
            chain: array(bytes, 32),
            contexts: u16::from_le_bytes(array(bytes, 2)),
            contexts_chain: array(bytes, 64),
            boot: u32::from_le_bytes(array(bytes, 4)),
            signature: array(bytes, SIGNED),
        })
    }

    /// Checks that the unit of this public key signed it.
    ///
    /// # Errors
    /// [`ChainError::NotSigned`].
    pub fn verify(&self, identity: &[u8; 32]) -> Result<(), ChainError> {
        match is_signed(identity, &self.signed(), &self.signature) {
            true => Ok(()),
            false => Err(ChainError::NotSigned { sequence: self.sequence }),
        }
    }

    fn signed(&self) -> Vec<u8> {
        [PURPOSE, &self.to_bytes()[..SIGNED]].concat()
    }
}

/// Checks that entries are those, all of them and no others, that the unit of this public key wrote after checkpoint `start`
/// (or from the first entry on) and up to `end`.
///
/// # Errors
/// [`ChainError`], which names the first entry that is missing, or those among which one is another.
pub fn verify_entries(
    identity: &[u8; 32],
    start: Option<&Checkpoint>,
    entries: impl IntoIterator<Item = LogEntry>,
    end: &Checkpoint,
) -> Result<(), ChainError> {
    end.verify(identity)?;
    let mut tip = Tip::default();
    if let Some(start) = start {
        start.verify(identity)?;
        if start.store_id != end.store_id || start.sequence > end.sequence {
            return Err(ChainError::NotOneLog { start: start.sequence, end: end.sequence });
        }
        tip = start.tip();
    }
    let chain = Chain::of(&end.store_id, identity);
    // A checkpoint is whoever's who has the unit's key, and may say any number.
    let first = tip.head.saturating_add(1);
    for entry in entries {
        let expected = tip.head.saturating_add(1);
        if entry.sequence != expected || entry.sequence > end.sequence {
            return Err(ChainError::OutOfOrder { expected, found: entry.sequence });
        }
        tip.take_entry(&chain, &entry);
    }
    if tip.head < end.sequence {
        return Err(ChainError::Missing { expected: tip.head + 1, end: end.sequence });
    }
    if tip.chain != end.chain {
        return Err(ChainError::Changed { first, end: end.sequence });
    }
    Ok(())
}

/// A place in the log: behind which entry and context, and their links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tip {
    /// Sequence of the last entry.
    pub(crate) head: u64,
    /// Numbers of contexts given out.
    pub(crate) given: u16,
    pub(crate) chain: Link,
    pub(crate) contexts_chain: Link,
}

impl Tip {
    /// Goes on behind the next entry.
    pub(crate) fn take_entry(&mut self, chain: &Chain, entry: &LogEntry) {
        self.chain = chain.entry(&self.chain, entry);
        self.head = entry.sequence;
    }

    /// Goes on behind the next context.
    pub(crate) fn take_context(&mut self, chain: &Chain, context: &Context) {
        self.contexts_chain = chain.context(&self.contexts_chain, context);
        self.given = context.number;
    }
}
