//! Wiping: the keeper forgets the secret, and with it everything on the flash is erased; then the flash is cleared.
//!
//! Owns the order, so that a wipe that was begun is finished by the next start, wherever the power went: first
//! [`Object::Wiping`], which says so, then the secret, then every object, that one last. Refuses to leave a unit that is half
//! there: the folder is then a new unit's, with another identity.
//! Whoever can put that object on the flash could take the others off it as well, so that it gives nobody more power.

use super::Store;
use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::keys::KeyProvider;

impl Store {
    /// Forgets everything for good. Afterwards this store is of no more use, and the next open makes a new unit.
    ///
    /// # Errors
    /// [`StoreError`] if the secret may still be there; the next start then finishes the wipe. What else could not be taken away
    /// is no error, since nobody can read it.
    pub fn wipe(&mut self) -> Result<(), StoreError> {
        let flash = self.flash.as_mut();
        if let Err(error) = flash.replace(Object::Wiping, b"wiping\n") {
            let _ = flash.remove(Object::Wiping);
            return Err(error.into());
        }
        // If that fails the secret may be half gone: the next start finishes it, and does not look for a secret in vain.
        self.keyring.forget()?;
        self.gallery = None;
        let _ = clear(flash);
        Ok(())
    }
}

/// Finishes a wipe that was begun.
///
/// # Errors
/// [`StoreError`]; it is tried again at the next start.
pub(super) fn finish(flash: &mut dyn Flash, keys: &dyn KeyProvider) -> Result<(), StoreError> {
    if flash.len(Object::Wiping)?.is_none() {
        return Ok(());
    }
    keys.forget()?;
    clear(flash)
}

fn clear(flash: &mut dyn Flash) -> Result<(), StoreError> {
    for series in Series::ALL {
        for number in flash.segments(series) {
            flash.remove(series.segment(number))?;
        }
    }
    for object in Object::FIXED.into_iter().filter(|&object| object != Object::Wiping) {
        flash.remove(object)?;
    }
    Ok(flash.remove(Object::Wiping)?)
}
