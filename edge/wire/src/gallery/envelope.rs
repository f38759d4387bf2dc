//! The envelope of a gallery on a disk: one sender's key made it, one recipient's key opens it.
//!
//! ```text
//!   0 magic "THRGBX\r\n"
//!   8 version u16 (1) | 10 reserved u16, zero
//!  12 key id [8]: of the recipient
//!  20 the Noise message [136]: e [32] | s, sealed [48] | payload, sealed [56]: length u64, BLAKE3 [32] of the content
//! 156 the content in pieces of 65,519 bytes, the last shorter, each with its tag [16]
//! ```
//! It is Noise's one-way pattern X, `Noise_X_25519_ChaChaPoly_BLAKE2s`, made for files: a fresh key and both static keys make
//! the secret, so that nobody but the recipient reads it and nobody but the two can make it. Bytes 0 to 20 are its prologue. The
//! pieces are the pattern's transport messages, whose nonces count up, so that none can be left out, added or moved; the payload
//! says where they end, which Noise leaves to whoever uses it.
//! What X does not keep: who has the recipient's secret can make one that looks as if the sender had; and who gets the
//! recipient's secret later reads what was sealed before.

use super::{GalleryFault, MAX_GALLERY_BYTES};
use crate::session::{KeyError, SecretKey, builder, check_public};
use alloc::vec::Vec;
use threshold_record::KeyId;

const X: &str = "Noise_X_25519_ChaChaPoly_BLAKE2s";
const MAGIC: [u8; 8] = *b"THRGBX\r\n";
const VERSION: u16 = 1;
const PROLOGUE: usize = 20;
const PAYLOAD: usize = 8 + 32;
const TAG: usize = 16;
const MESSAGE: usize = 32 + 32 + TAG + PAYLOAD + TAG;
/// Bytes of content in a piece: Noise's longest message, less the tag.
const PIECE: usize = 65_535 - TAG;

/// True if bytes say of themselves that they are an envelope; they need not be.
#[must_use]
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Whom an envelope is for.
///
/// # Errors
/// [`GalleryFault`] for bytes that are no envelope of this format.
pub fn recipient(bytes: &[u8]) -> Result<KeyId, GalleryFault> {
    let len = bytes.len() as u64;
    if len > MAX_GALLERY_BYTES {
        return Err(GalleryFault::TooLong { len, max: MAX_GALLERY_BYTES });
    }
    if !is_sealed(bytes) {
        return Err(GalleryFault::NotAGallery);
    }
    let prologue = bytes.first_chunk::<PROLOGUE>().ok_or(GalleryFault::Forged)?;
    let found = u16::from_le_bytes([prologue[8], prologue[9]]);
    if found != VERSION {
        return Err(GalleryFault::Version { found, supported: VERSION });
    }
    let mut key = KeyId([0; 8]);
    key.0.copy_from_slice(&prologue[12..]);
    Ok(key)
}

/// Seals a content for a recipient.
///
/// # Errors
/// [`KeyError`] for a recipient's key that is none, and without random numbers.
pub fn seal(sender: &SecretKey, recipient: &[u8; 32], content: &[u8]) -> Result<Vec<u8>, KeyError> {
    check_public(recipient)?;
    let mut bytes = Vec::with_capacity(PROLOGUE + MESSAGE + sealed_len(content.len()));
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&KeyId::of(recipient).0);
    let mut payload = [0; PAYLOAD];
    payload[..8].copy_from_slice(&(content.len() as u64).to_le_bytes());
    payload[8..].copy_from_slice(blake3::hash(content).as_bytes());
    let sealed = || {
        let mut state =
            builder(X, &bytes, sender)?.remote_public_key(recipient)?.build_initiator()?;
        let mut message = [0; MESSAGE];
        state.write_message(&payload, &mut message)?;
        let mut pieces = Vec::from(message);
        let mut keys = state.into_transport_mode()?;
        let mut piece = alloc::vec![0; PIECE + TAG];
        for plain in content.chunks(PIECE) {
            let len = keys.write_message(plain, &mut piece)?;
            pieces.extend_from_slice(piece.get(..len).unwrap_or(&[]));
        }
        Ok::<_, snow::Error>(pieces)
    };
    let sealed = sealed().map_err(|_| KeyError::NoRandom)?;
    bytes.extend_from_slice(&sealed);
    Ok(bytes)
}

/// The public key of the sender, and the content.
///
/// # Errors
/// [`GalleryFault`].
pub fn open(recipient: &SecretKey, bytes: &[u8]) -> Result<([u8; 32], Vec<u8>), GalleryFault> {
    let sealed_for = self::recipient(bytes)?;
    let own = recipient.key_id();
    if sealed_for != own {
        return Err(GalleryFault::ForAnother { sealed_for, own });
    }
    let (prologue, rest) = bytes.split_at_checked(PROLOGUE).ok_or(GalleryFault::Forged)?;
    let (message, pieces) = rest.split_at_checked(MESSAGE).ok_or(GalleryFault::Forged)?;
    opened(recipient, prologue, message, pieces).ok_or(GalleryFault::Forged)
}

fn opened(
    recipient: &SecretKey,
    prologue: &[u8],
    message: &[u8],
    pieces: &[u8],
) -> Option<([u8; 32], Vec<u8>)> {
    let mut state = builder(X, prologue, recipient).ok()?.build_responder().ok()?;
    let mut payload = [0; PAYLOAD];
    if state.read_message(message, &mut payload).ok()? != PAYLOAD {
        return None;
    }
    let sender: [u8; 32] = state.get_remote_static()?.try_into().ok()?;
    let (len, hash) = payload.split_first_chunk::<8>()?;
    let len = usize::try_from(u64::from_le_bytes(*len)).ok()?;
    // Before room is made: the sender's word is no better than the sender.
    if sealed_len(len) != pieces.len() {
        return None;
    }
    let mut keys = state.into_transport_mode().ok()?;
    let mut content = Vec::with_capacity(len);
    let mut plain = alloc::vec![0; PIECE + TAG];
    for piece in pieces.chunks(PIECE + TAG) {
        let len = keys.read_message(piece, &mut plain).ok()?;
        content.extend_from_slice(plain.get(..len)?);
    }
    (blake3::hash(&content).as_bytes() == hash).then_some((sender, content))
}

fn sealed_len(len: usize) -> usize {
    len.saturating_add(len.div_ceil(PIECE).saturating_mul(TAG))
}
