//! An object that is replaced whole, sealed.
//!
//! ```text
//! 0 magic "THRSEA\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 data key u32 | 16 sealed: nonce [24], ciphertext, tag [16]
//! ```
//! Bytes 0 to 16 and the object's name are authenticated with it, so that one object does not pass for another.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::keyring::{Keyring, SEAL};

const MAGIC: [u8; 8] = *b"THRSEA\r\n";
const VERSION: u16 = 1;
const HEADER: usize = 16;
/// Bytes that the envelope adds.
pub(crate) const ENVELOPE: usize = HEADER + SEAL;

/// Seals an object's bytes and replaces it.
///
/// # Errors
/// [`StoreError`]; the object is then as before, or as given.
pub(crate) fn replace(
    flash: &mut dyn Flash,
    keyring: &Keyring,
    object: Object,
    plain: &[u8],
) -> Result<(), StoreError> {
    Ok(flash.replace(object, &seal(keyring, object, plain)?)?)
}

/// The bytes of a sealed object.
///
/// # Errors
/// [`StoreError::Keys`] without random bytes.
pub(crate) fn seal(keyring: &Keyring, object: Object, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::with_capacity(ENVELOPE + plain.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&keyring.current().to_le_bytes());
    let about = about(&bytes, object);
    keyring.seal(&about, plain, &mut bytes)?;
    Ok(bytes)
}

/// The bytes of a sealed object; `None` if it is not there.
///
/// # Errors
/// [`StoreError::Damaged`] if it does not open, [`StoreError::Version`], a failing flash.
pub(crate) fn read(
    flash: &dyn Flash,
    keyring: &Keyring,
    object: Object,
    max: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    match flash.read_all(object, max + ENVELOPE as u64)? {
        Some(bytes) => open(keyring, object, &bytes).map(Some),
        None => Ok(None),
    }
}

/// The number of the data key with which an object is sealed; `None` if it is not there.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Version`], a failing flash.
pub(crate) fn key(flash: &dyn Flash, object: Object) -> Result<Option<u32>, StoreError> {
    let mut header = [0; HEADER];
    if flash.len(object)?.is_none() {
        return Ok(None);
    }
    let read = flash.read(object, 0, &mut header)?;
    let mut reader = Reader::new(object, &header[..read]);
    reader.magic(&MAGIC)?;
    reader.version(VERSION)?;
    reader.zero(2)?;
    reader.u32().map(Some)
}

/// True if bytes say of themselves that they are sealed; they need not be.
pub(crate) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The bytes in an envelope.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Version`].
pub(crate) fn open(keyring: &Keyring, object: Object, bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut reader = Reader::new(object, bytes);
    reader.magic(&MAGIC)?;
    reader.version(VERSION)?;
    reader.zero(2)?;
    let key = reader.u32()?;
    let about = about(&bytes[..HEADER], object);
    let damaged = reader.damaged("it does not open with the unit's key");
    keyring.open_sealed(key, &about, &bytes[HEADER..]).ok_or(damaged)
}

fn about(header: &[u8], object: Object) -> Vec<u8> {
    [header, object.name().as_bytes()].concat()
}
