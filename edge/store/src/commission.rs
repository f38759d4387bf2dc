//! The record of the owner's recovery key, which outlives a wipe and the loss of the store.
//!
//! ```text
//!  0 magic "THRCOM\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 recovery key [32], Ed25519, public
//! 44 BLAKE3 [16] of "Threshold commission record 1" and bytes 0 to 44
//! ```
//! It lies on a flash of its own, so that whoever deletes the store does not delete it too, and is replaced whole. It holds no
//! secret and is not sealed: the secret of the store goes with a wipe. The hash finds damage; who may write the place can write
//! another key there, which SECURITY.md says.
//! Refuses to be a part of the store: nothing of that is needed to read it.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, Object};

const MAGIC: [u8; 8] = *b"THRCOM\r\n";
const VERSION: u16 = 1;
const CHECKED: usize = 44;
const CHECK: usize = 16;
const PURPOSE: &[u8] = b"Threshold commission record 1";

/// Bytes of a record.
pub const RECORD_BYTES: usize = CHECKED + CHECK;

/// The recovery key of the record; `None` if there is no record.
///
/// # Errors
/// [`StoreError`] for a record that is damaged or of a later program, and of the flash.
pub fn read(flash: &dyn Flash) -> Result<Option<[u8; 32]>, StoreError> {
    let Some(bytes) = flash.read_all(Object::Commission, RECORD_BYTES as u64)? else {
        return Ok(None);
    };
    let mut reader = Reader::new(Object::Commission, &bytes);
    reader.magic(&MAGIC)?;
    reader.version(VERSION)?;
    reader.zero(2)?;
    let mut reader = reader.hashed(check)?;
    let key = reader.array()?;
    if reader.left() != 0 {
        return Err(reader.damaged("bytes behind the recovery key"));
    }
    Ok(Some(key))
}

/// Writes the record in place of one that is there; durable on return, and after a power cut the old one or the new one.
///
/// # Errors
/// [`StoreError`] of the flash.
pub fn write(flash: &mut dyn Flash, recovery_key: &[u8; 32]) -> Result<(), StoreError> {
    Ok(flash.replace(Object::Commission, &bytes(recovery_key))?)
}

/// The bytes of a record.
#[must_use]
pub fn bytes(recovery_key: &[u8; 32]) -> [u8; RECORD_BYTES] {
    let mut bytes = [0; RECORD_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..CHECKED].copy_from_slice(recovery_key);
    let check = check(&bytes[..CHECKED]);
    bytes[CHECKED..].copy_from_slice(&check);
    bytes
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = blake3::Hasher::new().update(PURPOSE).update(bytes).finalize();
    let mut check = [0; CHECK];
    check.copy_from_slice(&hash.as_bytes()[..CHECK]);
    check
}
