//! The reserve: room that is held back, for the log of a unit whose medium is full.
//!
//! Owns only the room. The object holds nothing that anybody reads: bytes that no file system makes smaller, durable, of one
//! length. To use the reserve is to take it away: whatever follows is written to the log itself, so that it is as durable,
//! sealed and chained as ever, and nothing has to be carried over later.
//! Refuses to promise anything: whoever else writes to the medium may take the room, and on a medium that takes nothing for another
//! reason there is none. The log's next write then fails, and the door stays locked.

use super::Store;
use crate::error::StoreError;
use crate::flash::{Flash, Object};

/// Bytes that are held back: a hundred attempts and admissions take a tenth of it, the head of a new segment and an anchor
/// included.
pub const RESERVE_BYTES: usize = 1 << 20;

impl Store {
    /// True if the reserve is held back.
    ///
    /// # Errors
    /// [`StoreError`] of the flash.
    pub fn has_reserve(&self) -> Result<bool, StoreError> {
        Ok(self.flash.len(Object::Reserve)? == Some(RESERVE_BYTES as u64))
    }

    /// Holds the reserve back; durable on return. Nothing happens if it is held back already.
    ///
    /// # Errors
    /// [`StoreError`] of the flash, which may be full; the reserve is then as before.
    pub fn make_reserve(&mut self) -> Result<(), StoreError> {
        if self.has_reserve()? {
            return Ok(());
        }
        let mut bytes = vec![0; RESERVE_BYTES];
        blake3::Hasher::new_derive_key("Threshold store 2026 reserve")
            .finalize_xof()
            .fill(&mut bytes);
        Ok(self.flash.replace(Object::Reserve, &bytes)?)
    }

    /// Gives its room back to the medium.
    ///
    /// # Errors
    /// [`StoreError`] of the flash; it may be gone all the same.
    pub fn take_reserve(&mut self) -> Result<(), StoreError> {
        Ok(self.flash.remove(Object::Reserve)?)
    }
}
