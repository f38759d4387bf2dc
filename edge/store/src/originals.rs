//! What a flash of a format that was not sealed held when its conversion began: a hash of each object, kept in the key ring until
//! everything is sealed.
//!
//! A conversion that is cut off goes on at the next start, and reads objects that are not sealed although the keeper has a secret by
//! then. They must be those with which it began: whoever puts others there, also much later beside a copy of the ring of
//! that time, is found out.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};
use crate::log;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// The hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Originals {
    /// Replaced by sealed ones while the conversion goes on.
    anchor: [u8; 32],
    tombstones: [u8; 32],
    /// Log and gallery, which stay until it is over.
    rest: [u8; 32],
}

impl Originals {
    pub(crate) const LEN: usize = 3 * 32;

    /// Those of the flash as it is.
    ///
    /// # Errors
    /// A failing flash.
    pub(crate) fn of(flash: &dyn Flash) -> Result<Self, FlashError> {
        Ok(Self {
            anchor: hash(flash, [Object::Anchor])?,
            tombstones: hash(flash, [Object::Tombstones])?,
            rest: rest(flash)?,
        })
    }

    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let parts = [self.anchor, self.tombstones, self.rest];
        bytes.as_chunks_mut().0.iter_mut().zip(parts).for_each(|(into, part)| *into = part);
        bytes
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, StoreError> {
        let (anchor, tombstones, rest) = (reader.array()?, reader.array()?, reader.array()?);
        Ok(Self { anchor, tombstones, rest })
    }

    /// Anchor or tombstones, as they are or are not there, must be those of then.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], a failing flash.
    pub(crate) fn check(&self, flash: &dyn Flash, object: Object) -> Result<(), StoreError> {
        let expected = if object == Object::Anchor { self.anchor } else { self.tombstones };
        same(hash(flash, [object])?, expected, object)
    }

    /// Log and gallery must be those of then.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], a failing flash.
    pub(crate) fn check_rest(&self, flash: &dyn Flash) -> Result<(), StoreError> {
        same(rest(flash)?, self.rest, Object::Gallery)
    }
}

fn same(found: [u8; 32], expected: [u8; 32], object: Object) -> Result<(), StoreError> {
    if found == expected {
        return Ok(());
    }
    let what = "not what was there when its conversion began";
    Err(StoreError::Damaged { object, offset: 0, what })
}

fn rest(flash: &dyn Flash) -> Result<[u8; 32], FlashError> {
    let segments = log::plain_segments(flash)?.into_iter().map(Object::Segment);
    hash(flash, [Object::Gallery, Object::SingleLog].into_iter().chain(segments))
}

fn hash(
    flash: &dyn Flash,
    objects: impl IntoIterator<Item = Object>,
) -> Result<[u8; 32], FlashError> {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = vec![0; CHUNK];
    for object in objects {
        // Its length, or one that none has, tells where the next one begins.
        let len = flash.len(object)?;
        hasher.update(&len.unwrap_or(u64::MAX).to_le_bytes());
        let mut offset = 0;
        while offset < len.unwrap_or(0) {
            let read = flash.read(object, offset, &mut bytes)?;
            if read == 0 {
                break;
            }
            hasher.update(&bytes[..read]);
            offset += read as u64;
        }
    }
    Ok(*hasher.finalize().as_bytes())
}
