//! The bundle that a unit is updated by: one signed file with everything that the unit runs.
//!
//! A bundle is a tar file (POSIX ustar, uncompressed) of these members, in this order and no other:
//!
//! ```text
//! KEYS           text: the build key, its serial, the keys that are revoked
//! KEYS.sig       64 bytes: Ed25519 by the release key over KEYS
//! MANIFEST       text: format, compatible, version, security counter, and each file's name, kind, length and BLAKE3
//! MANIFEST.sig   64 bytes: Ed25519 by the build key over MANIFEST
//! <file> ...     the manifest's files, in its order
//! ```
//! Every header is the one that [`write`](fn@write) makes for its member's name, kind and length, every filling is zero, and
//! two blocks of zeros end the file: no bit of it is free, so that one that was changed is always seen.
//! The release key stays offline and signs build keys; a build key signs bundles. Whoever has neither program checks one with
//! `tar`, `openssl pkeyutl -verify -rawin` and `b3sum` (docs/bundle.md).
//!
//! Owns the format and every check of it before a byte is believed. Refuses to write anywhere: its reader hands bytes to a
//! [`Sink`], which knows whether the whole was right only when the reader has returned.
#![forbid(unsafe_code)]

mod delta;
mod keys;
mod manifest;
mod member;
mod read;
mod signed;
mod texts;
mod write;

pub use delta::{Base, Part, is_delta, pieces, rebuild, write_delta};
pub use ed25519_dalek::SigningKey;
pub use keys::{Keys, Trust, development_key, from_hex};
pub use manifest::{FileEntry, FileKind, MAX_BUNDLE_BYTES, Manifest};
pub use read::{Installed, Nowhere, Sink, id, read};
pub use texts::Texts;
pub use write::{Source, write};

/// Why a bundle is not taken. Nothing of it was believed then, whatever was handed to the sink.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file or the medium.
    #[error("the bundle could not be read or written: {0}")]
    Io(#[from] std::io::Error),
    /// It is no bundle, or it ends early, or something was changed in it.
    #[error("the bundle is damaged at byte {at}: {what}; fetch it again")]
    Damaged {
        /// Where, from its start.
        at: u64,
        /// What is not as it must be.
        what: &'static str,
    },
    /// A text in it is not one that this program reads.
    #[error(
        "the bundle's {member} is not one that this program reads: {what}; update this program, or fetch the bundle again"
    )]
    Text {
        /// Which.
        member: &'static str,
        /// What is wrong with it.
        what: String,
    },
    /// A signature is missing or wrong.
    #[error(
        "the bundle's {member} is not signed by the {signer} key: take a bundle of the unit's maker"
    )]
    Signature {
        /// Of which.
        member: &'static str,
        /// By which key it must be.
        signer: &'static str,
    },
    /// It is signed with development keys, which everybody has.
    #[error(
        "the bundle is a developer's, signed with a key that everybody has: a unit at a door takes none"
    )]
    Development,
    /// Its build key was revoked, or its list of keys is older than one that the unit has seen.
    #[error(
        "the bundle's build key is revoked, or its list of keys (serial {serial}) is older than serial {known}: take a newer bundle"
    )]
    KeyRevoked {
        /// Of the bundle's list.
        serial: u64,
        /// The newest that was seen.
        known: u64,
    },
    /// It is for other boards.
    #[error("the bundle is for {found}, and this unit is {wanted}: take the bundle for it")]
    OtherBoard {
        /// Whom it is for.
        found: String,
        /// What the unit is.
        wanted: String,
    },
    /// It is older than what the unit may run.
    #[error(
        "the bundle has security counter {found}, and this unit takes {least} and above: take a newer bundle"
    )]
    Older {
        /// Its counter.
        found: u64,
        /// The least.
        least: u64,
    },
    /// A delta makes it of another bundle than the unit runs.
    #[error("the delta was made against another bundle than the unit runs: send the bundle whole")]
    OtherBase,
    /// What shall go into a bundle cannot.
    #[error("{name} cannot go into a bundle: {what}")]
    Source {
        /// The file.
        name: String,
        /// Why.
        what: String,
    },
}
