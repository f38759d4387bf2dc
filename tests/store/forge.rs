//! The pieces of a log on flash, and somebody who has the unit's secret and seals pieces of his own.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::SigningKey;
use std::ops::Range;
use threshold_store::{MockFlash, Object};

/// Bytes in front of a segment's sealed head.
const PLAIN: usize = 24;
/// Bytes in front of a batch's sealed part.
const PREFIX: usize = 16;
/// Bytes in front of the sealed part of an object that is replaced whole.
const WHOLE: usize = 16;
/// Bytes in front of the first batch of a segment of the gallery, and in front of a batch's sealed part there.
const GALLERY: usize = 24;
const GALLERY_PREFIX: usize = 12;

fn u32_at(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Where the head of a segment and each of its whole batches stand.
pub(crate) fn pieces(segment: &[u8]) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    pieces.push(0..PLAIN + u32_at(segment, 20));
    while let Some(start) = pieces.last().map(|last: &Range<usize>| last.end)
        && start < segment.len()
    {
        let length = u16::from_le_bytes([segment[start], segment[start + 1]]);
        pieces.push(start..start + PREFIX + 40 + usize::from(length));
    }
    pieces
}

/// The sequence that a batch says of its first entry, and its count of entries.
pub(crate) fn entries_of(batch: &[u8]) -> (u64, u16) {
    let first = u64::from_le_bytes(batch[8..16].try_into().unwrap());
    (first, u16::from_le_bytes([batch[4], batch[5]]))
}

/// The keys of a flash, taken from its ring.
pub(crate) struct Stolen {
    pub(crate) store_id: [u8; 16],
    /// What the unit signs with.
    pub(crate) identity: SigningKey,
    data: XChaCha20Poly1305,
}

impl Stolen {
    /// Opens the ring with the keeper's secret; it holds a single data key.
    pub(crate) fn from(flash: &MockFlash) -> Self {
        let secret = flash.keys().secret().unwrap().unwrap();
        let key = blake3::derive_key("Threshold store 2026 key ring", secret.as_ref());
        let ring = flash.bytes(Object::Keys).unwrap();
        let cipher = XChaCha20Poly1305::new((&key).into());
        let nonce = XNonce::try_from(&ring[12..36]).unwrap();
        let body = cipher.decrypt(&nonce, Payload { msg: &ring[36..], aad: &ring[..12] }).unwrap();
        assert_eq!(u32_at(&body, 108), 1, "one data key");
        let key: [u8; 32] = body[116..148].try_into().unwrap();
        Self {
            store_id: body[..16].try_into().unwrap(),
            identity: SigningKey::from_bytes(body[24..56].try_into().unwrap()),
            data: XChaCha20Poly1305::new((&key).into()),
        }
    }

    /// Opens what was sealed under `before`, changes it, and seals it again under `after`.
    fn again(
        &self,
        sealed: &[u8],
        [before, after]: [&[&[u8]]; 2],
        change: impl FnOnce(&mut Vec<u8>),
    ) -> Vec<u8> {
        let about = |parts: &[&[u8]]| [&self.store_id[..], &parts.concat()].concat();
        let nonce = XNonce::try_from(&sealed[..24]).unwrap();
        let (before, after) = (about(before), about(after));
        let payload = Payload { msg: &sealed[24..], aad: &before };
        let mut content = self.data.decrypt(&nonce, payload).unwrap();
        change(&mut content);
        let payload = Payload { msg: &content, aad: &after };
        [&nonce[..], &self.data.encrypt(&nonce, payload).unwrap()].concat()
    }

    /// Changes what a batch holds and seals it again for its place, as the unit would.
    pub(crate) fn change(
        &self,
        number: u32,
        segment: &mut [u8],
        batch: Range<usize>,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let (prefix, sealed) = segment[batch.clone()].split_at(PREFIX);
        let (number, start) = (number.to_le_bytes(), (batch.start as u32).to_le_bytes());
        let about: &[&[u8]] = &[b"log batch", &number, &start, prefix];
        let sealed = self.again(sealed, [about; 2], change);
        segment[batch.start + PREFIX..batch.end].copy_from_slice(&sealed);
    }

    /// Changes what the head of a segment of the log says. What stands behind it does not continue it any more.
    pub(crate) fn change_head(&self, segment: &mut [u8], change: impl FnOnce(&mut Vec<u8>)) {
        let end = PLAIN + u32_at(segment, 20);
        let (plain, sealed) = segment[..end].split_at(PLAIN);
        let about: &[&[u8]] = &[plain, b"segment head"];
        let sealed = self.again(sealed, [about; 2], change);
        segment[PLAIN..end].copy_from_slice(&sealed);
    }

    /// Changes what an object holds that is replaced whole.
    pub(crate) fn change_whole(
        &self,
        flash: &MockFlash,
        object: Object,
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let bytes = flash.bytes(object).unwrap();
        let (header, sealed) = bytes.split_at(WHOLE);
        let name = object.name();
        let about: &[&[u8]] = &[header, name.as_bytes()];
        let sealed = self.again(sealed, [about; 2], change);
        flash.set_bytes(object, Some([header, &sealed].concat()));
    }

    /// Changes the header of a segment of the gallery, and what its one batch holds.
    pub(crate) fn change_gallery(
        &self,
        flash: &MockFlash,
        number: u32,
        header: impl FnOnce(&mut [u8]),
        change: impl FnOnce(&mut Vec<u8>),
    ) {
        let object = Object::GallerySegment(number);
        let mut bytes = flash.bytes(object).unwrap();
        let (before, batch) = bytes.split_at_mut(GALLERY);
        let (prefix, sealed) = batch.split_at(GALLERY_PREFIX);
        assert_eq!(u32_at(prefix, 0), sealed.len(), "one batch");
        let (place, mut after) = ((GALLERY as u32).to_le_bytes(), before.to_vec());
        header(&mut after);
        let about = [&before[..], &after].map(|header| [&b"gallery"[..], header, &place, prefix]);
        let sealed = self.again(sealed, [&about[0], &about[1]], change);
        let bytes = [&after, prefix, &sealed].concat();
        flash.set_bytes(object, Some(bytes));
    }
}
