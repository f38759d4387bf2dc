//! Context records: what was in force when an entry was written, stored once for each change.
//!
//! A [`crate::LogEntry`] has 64 bytes and cannot spell out its model, policy and configuration. It carries three
//! numbers instead; each names a context record that stands earlier in the same log. Number 0 means none.
//! Model contexts are [`ModelContext`], policy contexts `policy::rule::Settled`, clock contexts [`ClockContext`], each behind a
//! version byte; configuration contexts are UTF-8 text, one `key=value` a line. No entry names a clock context.

use crate::decision::coded;
use crate::{Metric, ModelId};
use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The longest context, in bytes.
pub const MAX_CONTEXT_BYTES: usize = 512;

coded! {
    /// What a context record describes.
    ContextKind {
        /// The embedder: [`ModelContext`].
        Model = 0 => "model",
        /// The policy in force.
        Policy = 1 => "policy",
        /// The unit's configuration.
        Config = 2 => "config",
        /// What is known of the time at a start: [`ClockContext`].
        Clock = 3 => "clock",
    }
}

/// A numbered context record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Context {
    /// What entries call it; from 1, in the order of writing.
    pub number: u16,
    /// What it describes.
    pub kind: ContextKind,
    /// The description.
    pub bytes: Vec<u8, MAX_CONTEXT_BYTES>,
}

/// The embedder that was in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct ModelContext {
    /// The pack.
    pub id: ModelId,
    /// The pack's name, for people.
    pub name: String<64>,
    /// How its distances are measured, so that a score can be printed as a distance for ever.
    pub metric: Metric,
}

/// How far the wall clock had come when a start began, so that no later start goes back behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ClockContext {
    /// The latest trusted time of any entry before, milliseconds since 1970-01-01 UTC.
    pub latest_ms: u64,
}

impl ClockContext {
    /// The version byte in front of the encoding.
    pub const VERSION: u8 = 1;

    /// The bytes of its context record.
    ///
    /// # Errors
    /// [`ContextError::TooLong`]; does not happen with the field of version 1.
    pub fn to_bytes(&self) -> Result<Vec<u8, MAX_CONTEXT_BYTES>, ContextError> {
        encode(Self::VERSION, self)
    }

    /// What a context record's bytes say.
    ///
    /// # Errors
    /// [`ContextError`] for a later version or other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContextError> {
        decode(Self::VERSION, bytes)
    }
}

/// Why bytes are not the context that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Written by a later version.
    #[error(
        "context of version {found}, this program reads up to {supported}; update this program"
    )]
    Version {
        /// What the bytes say.
        found: u8,
        /// The newest that this code reads.
        supported: u8,
    },
    /// Not what the version byte promises.
    #[error("the context's bytes do not decode; pull the log again")]
    Malformed,
    /// Longer than a context record holds.
    #[error("the context takes more than {max} bytes; shorten names and settings", max = MAX_CONTEXT_BYTES)]
    TooLong,
}

impl ModelContext {
    /// The version byte in front of the encoding.
    pub const VERSION: u8 = 1;

    /// The bytes of its context record.
    ///
    /// # Errors
    /// [`ContextError::TooLong`]; does not happen with the field sizes of version 1.
    pub fn to_bytes(&self) -> Result<Vec<u8, MAX_CONTEXT_BYTES>, ContextError> {
        encode(Self::VERSION, self)
    }

    /// The model of a context record's bytes.
    ///
    /// # Errors
    /// [`ContextError`] for a later version or other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ContextError> {
        decode(Self::VERSION, bytes)
    }
}

/// A version byte and the postcard encoding of a value.
///
/// # Errors
/// [`ContextError::TooLong`].
pub fn encode<T: Serialize>(
    version: u8,
    value: &T,
) -> Result<Vec<u8, MAX_CONTEXT_BYTES>, ContextError> {
    let mut buffer = [version; MAX_CONTEXT_BYTES];
    let len = postcard::to_slice(value, &mut buffer[1..]).map_err(|_| ContextError::TooLong)?.len();
    Vec::from_slice(&buffer[..=len]).map_err(|_| ContextError::TooLong)
}

/// The value behind a version byte.
///
/// # Errors
/// [`ContextError`] for another version, other bytes, or bytes left over.
pub fn decode<T: for<'de> Deserialize<'de>>(version: u8, bytes: &[u8]) -> Result<T, ContextError> {
    let (&found, body) = bytes.split_first().ok_or(ContextError::Malformed)?;
    if found != version {
        return Err(ContextError::Version { found, supported: version });
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        _ => Err(ContextError::Malformed),
    }
}
