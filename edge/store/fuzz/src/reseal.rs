//! A sealed flash taken apart into what stands behind its seals, and put together again: whoever has the unit's secret writes such a one.
//!
//! Owns where each sealed piece stands, under which key, and what has to fit so that the reader behind the seal is reached: lengths,
//! checksums, the link of each batch to the piece before it, the end that a segment's head says of the one before, and the signature of
//! its checkpoint. The digest of the gallery is left as it is: its records are read before it is compared.

use crate::{checksum, open};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signer as _, SigningKey};
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::{
    Access, Administrator, ContextKind, Credential, EntryKind, Interval, LogEntry, Name, PersonId,
    Role, Schedule, ScheduleId,
};
use threshold_store::{MockFlash, Object, Series};

const NONCE: usize = 24;
const SEAL: usize = NONCE + 16;
/// Bytes in front of the sealed part: of the ring, an object that is replaced whole, a segment's head and a batch of the log, a gallery
/// segment's header and a batch of it.
const RING: usize = 12;
const WHOLE: usize = 16;
const HEAD: usize = 24;
const BATCH: usize = 16;
const GALLERY: usize = 24;
const GALLERY_BATCH: usize = 12;
/// The link that a batch of the log begins with.
const LINK: usize = 8;
/// Where a segment's head has its checkpoint, and what of that is signed.
const CHECKPOINT: usize = 64;
const SIGNED: usize = 96;

/// One sealed piece.
#[derive(Clone)]
pub struct Piece {
    /// Where it stands.
    pub object: Object,
    /// The plain bytes in front of it, a segment's header before its first batch included.
    pub front: Vec<u8>,
    /// What is sealed.
    pub content: Vec<u8>,
    nonce: [u8; NONCE],
}

/// A flash taken apart, with its pieces in the order in which they stand.
#[derive(Clone)]
pub struct Apart {
    /// The flash.
    pub flash: MockFlash,
    /// Its pieces, the ring's first.
    pub pieces: Vec<Piece>,
    wrapping: XChaCha20Poly1305,
    keys: Keys,
}

/// What the ring's body says.
#[derive(Clone)]
struct Keys {
    store_id: [u8; 16],
    identity: SigningKey,
    current: u32,
    data: BTreeMap<u32, XChaCha20Poly1305>,
}

impl Keys {
    fn of(body: &[u8]) -> Option<Self> {
        let (count, mut rest) = (word(body, 108)?, body.get(112..)?);
        let mut data = BTreeMap::new();
        for _ in 0..count.min(64) {
            let (key, behind) = rest.split_first_chunk::<36>()?;
            let number = word(key, 0)?;
            let key: [u8; 32] = *key.last_chunk()?;
            data.insert(number, XChaCha20Poly1305::new((&key).into()));
            rest = behind;
        }
        let identity = SigningKey::from_bytes(body.get(24..)?.first_chunk()?);
        let current = word(body, 104)?;
        Some(Self { store_id: *body.first_chunk()?, identity, current, data })
    }

    /// The cipher of a data key's number; of one that is not there the current one's.
    fn cipher(&self, number: u32) -> Option<&XChaCha20Poly1305> {
        self.data.get(&number).or_else(|| self.data.get(&self.current))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Sound images: of a store with something behind every seal, at three times of its life.
///
/// # Panics
/// If the store does not do its work on sound flash.
#[must_use]
pub fn sound() -> [MockFlash; 3] {
    let flash = MockFlash::new();
    let mut store = open(&flash).expect("an empty flash opens");
    store.load_gallery(crate::MODEL).expect("an empty gallery");
    let name = |text| Name::new(text).expect("a name");
    for (key, text) in [(1, "an owner"), (2, "another")] {
        let administrator = Administrator { key: [key; 32], name: name(text), role: Role::Owner };
        store.put_administrator(administrator).expect("room");
    }
    let intervals = [Interval { days: 31, from: 480, to: 1_080 }];
    let intervals = heapless::Vec::from_slice(&intervals).expect("room");
    let schedule = Schedule { id: ScheduleId(1), name: name("days"), intervals };
    store.put_schedule(schedule).expect("room");
    for text in ["Ada", "Grace", "Emmy"] {
        let id = store.add_person(name(text)).expect("room");
        store.put_template(crate::template(id, 0)).expect("room");
    }
    let early = flash.copy();
    let credential = Credential::Wiegand26 { facility: 1, card: 7 };
    let credentials = heapless::Vec::from_slice(&[credential]).expect("room");
    let schedule = Some(ScheduleId(1));
    let access =
        Access { valid_from: None, valid_until: Some(4_000_000_000), schedule, credentials };
    store.set_access(PersonId(1), access).expect("a person who is there");
    store.remove_person(PersonId(2)).expect("a person who is there");
    let second = store.roster().administrators()[1].key_id();
    store.revoke_administrator(second).expect("not the last owner");
    let mut images = vec![early];
    for mark in 0..24_u8 {
        let config = store.context_number(ContextKind::Config, &[mark / 8]).expect("room");
        let entry = LogEntry { context_config: config, ..LogEntry::of(EntryKind::Decision) };
        store.append(entry).expect("room");
        if mark % 4 == 0 {
            store.sync().expect("room");
        }
        if mark == 12 {
            images.push(flash.copy());
        }
    }
    store.save_lockout([1, 2, 3, 4]).expect("room");
    images.push(flash.copy());
    images.try_into().unwrap_or_else(|_| panic!("three images"))
}

impl Apart {
    /// Takes a sound flash apart.
    ///
    /// # Panics
    /// If it is not sound.
    #[must_use]
    pub fn of(flash: &MockFlash) -> Self {
        let secret = flash.keys().secret().expect("kept").expect("kept");
        let key = blake3::derive_key("Threshold store 2026 key ring", secret.as_ref());
        let wrapping = XChaCha20Poly1305::new((&key).into());
        let ring = flash.bytes(Object::Keys).expect("a ring");
        let (front, sealed) = ring.split_at(RING);
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE>().expect("a nonce");
        let payload = Payload { msg: ciphertext, aad: front };
        let body = wrapping.decrypt(&XNonce::from(*nonce), payload).expect("the ring");
        let keys = Keys::of(&body).expect("the ring");
        let (object, front) = (Object::Keys, front.to_vec());
        let pieces = vec![Piece { object, front, content: body, nonce: *nonce }];
        let mut apart = Self { flash: flash.copy(), pieces, wrapping, keys };
        let whole = [Object::Gallery, Object::Tombstones, Object::Anchor, Object::Administrators];
        for object in whole {
            if let Some(bytes) = flash.bytes(object) {
                apart.take(object, &bytes, 0, WHOLE, bytes.len());
            }
        }
        let segments = |series| threshold_store::Flash::segments(flash, series);
        for object in segments(Series::Log).into_iter().map(Object::Segment) {
            let bytes = flash.bytes(object).expect("listed");
            let mut end = HEAD + word(&bytes, 20).expect("a head") as usize;
            apart.take(object, &bytes, 0, HEAD, end);
            while end < bytes.len() {
                let len = u16::from_le_bytes([bytes[end], bytes[end + 1]]);
                let next = end + BATCH + SEAL + usize::from(len);
                apart.take(object, &bytes, end, end + BATCH, next);
                end = next;
            }
        }
        for object in segments(Series::Gallery).into_iter().map(Object::GallerySegment) {
            let bytes = flash.bytes(object).expect("listed");
            let (mut from, mut at) = (0, GALLERY);
            while at < bytes.len() {
                let end = at + GALLERY_BATCH + word(&bytes, at).expect("a batch") as usize;
                apart.take(object, &bytes, from, at + GALLERY_BATCH, end);
                (from, at) = (end, end);
            }
        }
        apart
    }

    /// Opens a piece whose plain bytes begin at `from` and whose sealed ones are those of `at..end`.
    fn take(&mut self, object: Object, bytes: &[u8], from: usize, at: usize, end: usize) {
        let front = bytes[from..at].to_vec();
        let (nonce, ciphertext) = bytes[at..end].split_first_chunk::<NONCE>().expect("a nonce");
        let (about, key) = self.about(object, &front, bytes, from);
        let cipher = self.keys.cipher(key).expect("a key");
        let payload = Payload { msg: ciphertext, aad: &about };
        let content = cipher.decrypt(&XNonce::from(*nonce), payload).expect("it is sound");
        self.pieces.push(Piece { object, front, content, nonce: *nonce });
    }

    /// What is said along with a piece that begins at `from` of an object's bytes, and the number of its key.
    fn about(&self, object: Object, front: &[u8], bytes: &[u8], from: usize) -> (Vec<u8>, u32) {
        let id = &self.keys.store_id[..];
        let key = |of: &[u8], at| word(of, at).unwrap_or(0);
        let place = (from as u32).to_le_bytes();
        match object {
            Object::Segment(_) if from == 0 => {
                ([id, front, b"segment head"].concat(), key(front, 16))
            }
            Object::Segment(number) => {
                let number = number.to_le_bytes();
                ([id, b"log batch", &number, &place, front].concat(), key(bytes, 16))
            }
            Object::GallerySegment(_) => {
                let prefix = &front[front.len().saturating_sub(GALLERY_BATCH)..];
                let header = if from == 0 { front } else { bytes };
                let header = header.get(..GALLERY).unwrap_or(&[]);
                let place = (from.max(GALLERY) as u32).to_le_bytes();
                ([id, b"gallery", header, &place, prefix].concat(), key(prefix, 8))
            }
            _ => ([id, front, object.name().as_bytes()].concat(), key(front, 12)),
        }
    }

    /// Puts it together: a flash of these pieces. `fit` makes fit what stands behind the seals.
    #[must_use]
    pub fn together(mut self, fit: bool) -> MockFlash {
        let mut bytes = BTreeMap::<Object, Vec<u8>>::new();
        let pieces = std::mem::take(&mut self.pieces);
        if let Some(keys) = pieces.first().and_then(|ring| Keys::of(&ring.content)) {
            self.keys = keys;
        }
        // The end of the piece of the log before, and its last bytes.
        let (mut ended, mut tail) = (0_u32, [0; LINK]);
        let mut batches = 0_u64;
        for mut piece in pieces {
            let so_far = bytes.remove(&piece.object).unwrap_or_default();
            let from = so_far.len();
            let is_head = matches!(piece.object, Object::Segment(_)) && from == 0;
            if fit {
                self.fit(&mut piece, is_head, ended, tail, batches);
            }
            let sealed = self.seal(&piece, &so_far);
            if let Object::Segment(_) = piece.object {
                ended = (from + piece.front.len() + sealed.len()) as u32;
                tail = sealed.last_chunk().copied().unwrap_or_default();
                batches += u64::from(!is_head);
            }
            bytes.insert(piece.object, [so_far, piece.front, sealed].concat());
        }
        let before: BTreeSet<Object> = self.objects().collect();
        for object in before {
            if !bytes.contains_key(&object) {
                self.flash.set_bytes(object, None);
            }
        }
        for (object, bytes) in bytes {
            self.flash.set_bytes(object, Some(bytes));
        }
        self.flash
    }

    fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        let parts = Series::ALL.into_iter().flat_map(|series| {
            let numbers = threshold_store::Flash::segments(&self.flash, series);
            numbers.into_iter().map(move |number| series.segment(number))
        });
        Object::FIXED.into_iter().filter(|&object| object != Object::Reserve).chain(parts)
    }

    /// Makes the lengths, the checksums, the links and the signature of a piece fit.
    fn fit(&self, piece: &mut Piece, is_head: bool, ended: u32, tail: [u8; LINK], batches: u64) {
        let Piece { object, front, content, .. } = piece;
        match object {
            Object::Segment(number) if is_head => {
                content.resize(content.len().max(CHECKPOINT + SIGNED + 64), 0);
                if *number > 1 {
                    content[4..8].copy_from_slice(&ended.to_le_bytes());
                    content[8..16].copy_from_slice(&tail);
                }
                // A count of batches that was harmed by much stays as it is.
                if content[29..32] == [0; 3] {
                    content[24..32].copy_from_slice(&batches.to_le_bytes());
                }
                let (signed, signature) = content[CHECKPOINT..].split_at_mut(SIGNED);
                let said = [b"Threshold log checkpoint 1", &signed[..]].concat();
                signature[..64].copy_from_slice(&self.keys.identity.sign(&said).to_bytes());
                set(front, 20, &((SEAL + content.len()) as u32).to_le_bytes());
            }
            Object::Segment(_) => {
                content.resize(content.len().clamp(LINK, usize::from(u16::MAX)), 0);
                content[..LINK].copy_from_slice(&tail);
                let len = content.len() as u16;
                set(front, 0, &len.to_le_bytes());
                set(front, 2, &(!len).to_le_bytes());
            }
            Object::GallerySegment(_) => {
                let at = front.len().saturating_sub(GALLERY_BATCH);
                let len = (SEAL + content.len()) as u32;
                set(front, at, &len.to_le_bytes());
                set(front, at + 4, &(!len).to_le_bytes());
            }
            _ => checksum::make_fit(*object, content),
        }
    }

    fn seal(&self, piece: &Piece, so_far: &[u8]) -> Vec<u8> {
        let Piece { object, front, content, nonce } = piece;
        let (about, key) = match object {
            Object::Keys => (front.clone(), 0),
            _ => self.about(*object, front, so_far, so_far.len()),
        };
        let cipher = match object {
            Object::Keys => Some(&self.wrapping),
            _ => self.keys.cipher(key),
        };
        let payload = Payload { msg: content, aad: &about };
        let sealed = cipher.and_then(|cipher| cipher.encrypt(&XNonce::from(*nonce), payload).ok());
        [&nonce[..], &sealed.unwrap_or_default()].concat()
    }
}

fn set(bytes: &mut [u8], at: usize, to: &[u8]) {
    if let Some(place) = bytes.get_mut(at..at + to.len()) {
        place.copy_from_slice(to);
    }
}
