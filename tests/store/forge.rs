//! The pieces of a log on flash, and somebody who has the unit's secret and seals pieces of his own.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use std::ops::Range;
use threshold_store::{MockFlash, Object};

/// Bytes in front of a segment's sealed head.
const PLAIN: usize = 24;
/// Bytes in front of a batch's sealed part.
const PREFIX: usize = 16;

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
    store_id: Vec<u8>,
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
        Self { store_id: body[..16].to_vec(), data: XChaCha20Poly1305::new((&key).into()) }
    }

    fn about(&self, number: u32, start: usize, prefix: &[u8]) -> Vec<u8> {
        let (number, start) = (number.to_le_bytes(), (start as u32).to_le_bytes());
        [&self.store_id[..], b"log batch", &number, &start, prefix].concat()
    }

    /// Changes what a batch holds and seals it again for its place, as the unit would.
    pub(crate) fn change(
        &self,
        number: u32,
        segment: &mut [u8],
        batch: Range<usize>,
        change: impl FnOnce(&mut [u8]),
    ) {
        let (prefix, sealed) = segment[batch.clone()].split_at(PREFIX);
        let about = self.about(number, batch.start, prefix);
        let nonce = XNonce::try_from(&sealed[..24]).unwrap();
        let payload = Payload { msg: &sealed[24..], aad: &about };
        let mut content = self.data.decrypt(&nonce, payload).unwrap();
        change(&mut content);
        let payload = Payload { msg: &content, aad: &about };
        let sealed = self.data.encrypt(&nonce, payload).unwrap();
        segment[batch.start + PREFIX + 24..batch.end].copy_from_slice(&sealed);
    }
}
