//! The key ring: every key of a unit, sealed by the keeper's secret, and what is sealed with them.
//!
//! ```text
//!  0 magic "THRKEY\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 nonce [24] | 36 sealed body | tag [16]
//! body: store id [16] | form u8 | reserved [7] | identity [32] | link [32] | pairing code [16] | number of the current data key u32
//!       count u32 | count times: number u32 | key [32]
//!       while objects are converted: hashes [96] of what they were (`originals`)
//! ```
//! Sealed is XChaCha20-Poly1305 with random nonces, here and everywhere (RFC 8439 and draft-irtf-cfrg-xchacha-03): a nonce is never
//! made from a sequence number, which a torn append would use twice. The associated data of each sealed piece are the
//! store's id and what its owner says of its kind and place, so that a piece put elsewhere does not open.
//! The identity is an Ed25519 key (RFC 8032), the link's an X25519 key (RFC 7748). A data key seals the store's objects; after a
//! rotation new pieces take the new one, and the old one goes once nothing is sealed with it.
//! Form says whether the store's objects are still those of a format without keys, which are being converted.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::keys::{Counter, Keeper, KeyProvider, SECRET_BYTES, Secret};
use crate::originals::Originals;
use crate::sealed;
use chacha20poly1305::aead::{Aead as _, AeadInOut as _, KeyInit as _, Payload};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use zeroize::Zeroizing;

const MAGIC: [u8; 8] = *b"THRKEY\r\n";
const VERSION: u16 = 1;
const HEADER: usize = 12;
pub(crate) const NONCE: usize = 24;
pub(crate) const TAG: usize = 16;
/// Bytes that sealing adds.
pub(crate) const SEAL: usize = NONCE + TAG;
const FIXED: usize = 16 + 8 + 32 + 32 + 16 + 8;
/// Data keys that a ring holds: more than the log has segments, each of which keeps one at most.
const MAX_KEYS: usize = 1024;
const MAX_BYTES: u64 =
    (HEADER + SEAL + FIXED + MAX_KEYS * (4 + SECRET_BYTES) + Originals::LEN) as u64;

/// What the store's other objects are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Of a format without keys, or partly so: they are being converted.
    Converting,
    /// Sealed, all of them.
    Sealed,
}

/// The open key ring.
pub(crate) struct Keyring {
    provider: Arc<dyn KeyProvider>,
    wrapping: XChaCha20Poly1305,
    store_id: [u8; 16],
    form: Form,
    /// What is converted.
    originals: Originals,
    identity: SigningKey,
    link: Secret,
    pairing_code: Zeroizing<[u8; 16]>,
    current: u32,
    data: BTreeMap<u32, (Secret, XChaCha20Poly1305)>,
}

impl Keyring {
    /// Opens the ring on the flash, or makes one if nothing is sealed yet.
    ///
    /// A new ring is on the flash before its secret is kept, so that no cut leaves a secret without its ring. Hence objects that
    /// are not sealed are taken for those of an older program, to be converted, only while the keeper has no secret:
    /// afterwards they were put there by somebody else, if they are not those with which a conversion began.
    ///
    /// # Errors
    /// [`StoreError::NoSecret`], [`StoreError::WrongSecret`], [`StoreError::NoKeys`], [`StoreError::NoAnchor`], damage, a failing
    /// keeper or flash.
    pub(crate) fn open(
        flash: &mut dyn Flash,
        provider: &Arc<dyn KeyProvider>,
    ) -> Result<Self, StoreError> {
        let bytes = flash.read_all(Object::Keys, MAX_BYTES)?;
        let secret = provider.secret()?;
        let anchor = flash.read_all(Object::Anchor, u64::from(u16::MAX))?;
        let beside = others(flash, &[Object::Keys, Object::Anchor])?;
        match (bytes, secret, anchor) {
            (Some(bytes), Some(secret), _) => Self::from_bytes(&bytes, &secret, provider),
            (_, None, Some(anchor)) if !sealed::is_sealed(&anchor) => {
                Self::make(flash, provider, None, Form::Converting)
            }
            (Some(_), None, Some(_)) => Err(StoreError::NoSecret),
            (None, _, Some(_)) => Err(StoreError::NoKeys { beside: Object::Anchor }),
            (_, secret, None) => match beside {
                None => Self::make(flash, provider, secret, Form::Sealed),
                Some(beside) => Err(StoreError::NoAnchor { beside }),
            },
        }
    }

    /// Opens the ring that is on the flash, and changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NoKeys`], [`StoreError::NoSecret`], [`StoreError::WrongSecret`], damage, a failing keeper or flash.
    pub(crate) fn read(
        flash: &dyn Flash,
        provider: &Arc<dyn KeyProvider>,
    ) -> Result<Self, StoreError> {
        let Some(bytes) = flash.read_all(Object::Keys, MAX_BYTES)? else {
            return Err(match flash.len(Object::Anchor)? {
                Some(_) => StoreError::NotSealedYet,
                None => StoreError::NoKeys { beside: Object::Anchor },
            });
        };
        let secret = provider.secret()?.ok_or(StoreError::NoSecret)?;
        Self::from_bytes(&bytes, &secret, provider)
    }

    /// Makes a ring of new keys, durable on return, under the keeper's secret or a new one.
    fn make(
        flash: &mut dyn Flash,
        provider: &Arc<dyn KeyProvider>,
        kept: Option<Secret>,
        form: Form,
    ) -> Result<Self, StoreError> {
        let draw = || -> Result<Secret, StoreError> {
            let mut bytes = Secret::default();
            provider.random(bytes.as_mut())?;
            Ok(bytes)
        };
        let secret = kept.clone().map_or_else(draw, Ok)?;
        let (mut store_id, mut pairing_code) = ([0; 16], Zeroizing::new([0; 16]));
        provider.random(&mut store_id)?;
        provider.random(pairing_code.as_mut())?;
        let mut ring = Self {
            provider: Arc::clone(provider),
            wrapping: wrapping(&secret),
            store_id,
            form,
            originals: Originals::of(flash)?,
            identity: SigningKey::from_bytes(&*draw()?),
            link: draw()?,
            pairing_code,
            current: 0,
            data: BTreeMap::new(),
        };
        ring.rotate(flash)?;
        if kept.is_none() {
            provider.keep(&secret)?;
        }
        Ok(ring)
    }

    fn from_bytes(
        bytes: &[u8],
        secret: &Secret,
        provider: &Arc<dyn KeyProvider>,
    ) -> Result<Self, StoreError> {
        let mut reader = Reader::new(Object::Keys, bytes);
        reader.magic(&MAGIC)?;
        reader.version(VERSION)?;
        reader.zero(2)?;
        let nonce: [u8; NONCE] = reader.array()?;
        let sealed = reader.take(reader.left())?;
        let wrapping = wrapping(secret);
        let payload = Payload { msg: sealed, aad: &bytes[..HEADER] };
        let body = wrapping.decrypt(&XNonce::from(nonce), payload);
        let body = Zeroizing::new(body.map_err(|_| StoreError::WrongSecret)?);
        let mut reader = Reader::new(Object::Keys, &body);
        let store_id = reader.array()?;
        let form = match reader.u8()? {
            0 => Form::Converting,
            1 => Form::Sealed,
            _ => return Err(reader.damaged("the form")),
        };
        reader.zero(7)?;
        let identity = SigningKey::from_bytes(&Zeroizing::new(reader.array()?));
        let link = Zeroizing::new(reader.array()?);
        let pairing_code = Zeroizing::new(reader.array()?);
        let (current, count) = (reader.u32()?, reader.u32()?);
        let mut data = BTreeMap::new();
        for _ in 0..count {
            let number = reader.u32()?;
            data.insert(number, data_key(Zeroizing::new(reader.array()?)));
        }
        let originals = match form {
            Form::Converting => Originals::read(&mut reader)?,
            Form::Sealed => Originals::default(),
        };
        if reader.left() != 0 || !data.contains_key(&current) {
            return Err(reader.damaged("the data keys"));
        }
        Ok(Self {
            provider: Arc::clone(provider),
            wrapping,
            store_id,
            form,
            originals,
            identity,
            link,
            pairing_code,
            current,
            data,
        })
    }

    fn write(&self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        // No byte more: a vector that grows leaves its keys behind.
        let len = FIXED + self.data.len() * (4 + SECRET_BYTES) + Originals::LEN;
        let mut body = Zeroizing::new(Vec::with_capacity(len));
        body.extend_from_slice(&self.store_id);
        body.push(u8::from(self.form == Form::Sealed));
        body.extend_from_slice(&[0; 7]);
        body.extend_from_slice(self.identity.as_bytes());
        body.extend_from_slice(self.link.as_ref());
        body.extend_from_slice(self.pairing_code.as_ref());
        body.extend_from_slice(&self.current.to_le_bytes());
        body.extend_from_slice(&(self.data.len() as u32).to_le_bytes());
        for (number, (key, _)) in &self.data {
            body.extend_from_slice(&number.to_le_bytes());
            body.extend_from_slice(key.as_ref());
        }
        if self.form == Form::Converting {
            body.extend_from_slice(&self.originals.to_bytes());
        }
        let mut bytes = Vec::with_capacity(HEADER + SEAL + body.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        let mut nonce = [0; NONCE];
        self.provider.random(&mut nonce)?;
        let payload = Payload { msg: &body, aad: &bytes };
        let sealed = self.wrapping.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| StoreError::NotSealed)?;
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(flash.replace(Object::Keys, &bytes)?)
    }

    /// Says that every object is sealed now; durable on return.
    pub(crate) fn all_sealed(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        let was = std::mem::replace(&mut self.form, Form::Sealed);
        self.write(flash).inspect_err(|_| self.form = was)
    }

    /// Makes a new data key; what is sealed from now on takes it. Durable on return.
    pub(crate) fn rotate(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        if self.data.len() >= MAX_KEYS {
            return Err(StoreError::DataKeysUsedUp { max: MAX_KEYS });
        }
        let mut key = Secret::default();
        self.provider.random(key.as_mut())?;
        let was = self.current;
        self.current = was.checked_add(1).ok_or(StoreError::NotSealed)?;
        self.data.insert(self.current, data_key(key));
        self.write(flash).inspect_err(|_| {
            // Whether the flash has it is not known; a number is not used for two keys.
            self.data.remove(&self.current);
            self.current = was;
        })
    }

    /// Drops the data keys before `oldest`, with which nothing is sealed any more. Durable on return.
    pub(crate) fn drop_before(
        &mut self,
        flash: &mut dyn Flash,
        oldest: u32,
    ) -> Result<(), StoreError> {
        let kept = self.data.split_off(&oldest.min(self.current));
        let dropped = std::mem::replace(&mut self.data, kept);
        if dropped.is_empty() {
            return Ok(());
        }
        self.write(flash)
    }

    /// What the other objects are.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// What the other objects were when their conversion began.
    pub(crate) fn originals(&self) -> &Originals {
        &self.originals
    }

    /// The number of the data key that new pieces are sealed with.
    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// The number of the oldest data key that is kept.
    pub(crate) fn oldest(&self) -> u32 {
        self.data.keys().next().copied().unwrap_or(self.current)
    }

    /// How many data keys something may be sealed with.
    pub(crate) fn n_data_keys(&self) -> u32 {
        self.data.len() as u32
    }

    /// What keeps the secret.
    pub(crate) fn keeper(&self) -> Keeper {
        self.provider.keeper()
    }

    /// Where the keeper's counter stands; `None` if it has none.
    pub(crate) fn counter(&self) -> Result<Option<Counter>, StoreError> {
        Ok(self.provider.counter()?)
    }

    /// Has the keeper's counter make a step, or find that it was made.
    pub(crate) fn count_to(&self, to: u64) -> Result<(), StoreError> {
        Ok(self.provider.count_to(to)?)
    }

    /// Lets the keeper forget the secret.
    pub(crate) fn forget(&self) -> Result<(), StoreError> {
        Ok(self.provider.forget()?)
    }

    /// The store's id, drawn at its first start.
    pub(crate) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// Seals `plain` with the current data key and writes it behind `out`: nonce, ciphertext, tag. `about` says what it is and
    /// where it stands, and must be said again to open it.
    ///
    /// # Errors
    /// [`StoreError::Keys`] without random bytes.
    pub(crate) fn seal(
        &self,
        about: &[u8],
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let (_, cipher) = self.data.get(&self.current).ok_or(StoreError::NotSealed)?;
        let mut nonce = [0; NONCE];
        self.provider.random(&mut nonce)?;
        out.extend_from_slice(&nonce);
        let start = out.len();
        out.extend_from_slice(plain);
        let about = self.about(about);
        let tag = cipher
            .encrypt_inout_detached(&XNonce::from(nonce), &about, (&mut out[start..]).into())
            .map_err(|_| StoreError::NotSealed)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// What was sealed with data key `key` under `about`; `None` if it was not, or was changed.
    pub(crate) fn open_sealed(&self, key: u32, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut plain = sealed.to_vec();
        let range = self.open_in_place(key, about, &mut plain)?;
        plain.truncate(range.end);
        plain.drain(..range.start);
        Some(plain)
    }

    /// Opens what was sealed with data key `key` under `about` where it stands, and gives the place of the plain bytes in it; if
    /// it does not open it is left as it is.
    pub(crate) fn open_in_place(
        &self,
        key: u32,
        about: &[u8],
        sealed: &mut [u8],
    ) -> Option<Range<usize>> {
        let (_, cipher) = self.data.get(&key)?;
        let (nonce, rest) = sealed.split_first_chunk_mut::<NONCE>()?;
        let (ciphertext, tag) = rest.split_last_chunk_mut::<TAG>()?;
        let len = ciphertext.len();
        let about = self.about(about);
        // The tag is compared before anything is deciphered.
        let (nonce, tag) = (XNonce::from(*nonce), Tag::from(*tag));
        cipher.decrypt_inout_detached(&nonce, &about, ciphertext.into(), &tag).ok()?;
        Some(NONCE..NONCE + len)
    }

    fn about(&self, about: &[u8]) -> Vec<u8> {
        [&self.store_id[..], about].concat()
    }

    /// The unit's public signing key.
    pub(crate) fn identity(&self) -> [u8; 32] {
        self.identity.verifying_key().to_bytes()
    }

    /// The unit's signature over bytes.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        self.identity.sign(bytes).to_bytes()
    }

    /// The unit's secret key of the link.
    pub(crate) fn link(&self) -> &Secret {
        &self.link
    }

    /// The code on the label inside the housing.
    pub(crate) fn pairing_code(&self) -> &[u8; 16] {
        &self.pairing_code
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring").field("form", &self.form).finish_non_exhaustive()
    }
}

/// An object that is on the flash and not among these.
pub(crate) fn others(flash: &dyn Flash, but: &[Object]) -> Result<Option<Object>, StoreError> {
    let numbers =
        |series| flash.segments(series).into_iter().map(move |n| Series::segment(series, n));
    for object in Series::ALL.into_iter().flat_map(numbers).chain(Object::FIXED) {
        // Nobody reads the reserve, and an older program's wipe leaves it.
        let counts = object != Object::Reserve && !but.contains(&object);
        if counts && flash.len(object)?.is_some() {
            return Ok(Some(object));
        }
    }
    Ok(None)
}

/// True if the unit of this public key signed these bytes.
pub(crate) fn is_signed(identity: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    let key = VerifyingKey::from_bytes(identity);
    key.is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
}

fn wrapping(secret: &Secret) -> XChaCha20Poly1305 {
    let key = Zeroizing::new(blake3::derive_key("Threshold store 2026 key ring", secret.as_ref()));
    XChaCha20Poly1305::new((&*key).into())
}

fn data_key(key: Secret) -> (Secret, XChaCha20Poly1305) {
    let cipher = XChaCha20Poly1305::new((&*key).into());
    (key, cipher)
}
