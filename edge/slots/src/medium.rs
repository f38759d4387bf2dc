//! What the slots ask of a medium: two copies of a small state, and two folders of files that are written once.
//!
//! Small on purpose, so that a simulator can keep these promises and no more. Names are those of a manifest, or of a bundle's
//! own texts: one folder deep at most, and no way out of a slot.

use crate::Slot;
use std::io::{self, Read};

/// Where state and slots lie.
///
/// The law that a body keeps and that the simulator enforces: of what was written into a slot a power cut may keep, lose or tear any
/// part, until its file was synced and the slot settled; a cut within `clear` leaves any of the files. `set_state` is durable on
/// return; a cut inside it leaves that copy as before, as given, or torn.
pub trait Medium: Send {
    /// One copy of the state, 0 or 1; `None` if it was never written. More than `max` bytes are cut off.
    ///
    /// # Errors
    /// The medium's.
    fn state(&self, copy: usize, max: usize) -> io::Result<Option<Vec<u8>>>;

    /// Writes one copy of the state, durably.
    ///
    /// # Errors
    /// The medium's; the copy is then as before, as given, or torn.
    fn set_state(&mut self, copy: usize, bytes: &[u8]) -> io::Result<()>;

    /// Names of everything in a slot that is not a folder, in any order.
    ///
    /// # Errors
    /// The medium's.
    fn list(&self, slot: Slot) -> io::Result<Vec<String>>;

    /// Opens a file of a slot.
    ///
    /// # Errors
    /// The medium's; `NotFound` if it is not there, `InvalidData` if it is no plain file.
    fn open(&self, slot: Slot, name: &str) -> io::Result<Box<dyn Read + '_>>;

    /// True if a file of a slot may be executed by its owner, which a program has to be.
    ///
    /// # Errors
    /// The medium's; `NotFound` if it is not there.
    fn may_execute(&self, slot: Slot, name: &str) -> io::Result<bool>;

    /// Takes everything out of a slot.
    ///
    /// # Errors
    /// The medium's; some of it may be there then.
    fn clear(&mut self, slot: Slot) -> io::Result<()>;

    /// Makes an empty file in a slot, in which it is not; a program may be executed.
    ///
    /// # Errors
    /// The medium's.
    fn create(&mut self, slot: Slot, name: &str, is_program: bool) -> io::Result<()>;

    /// Appends to the file that was made last.
    ///
    /// # Errors
    /// The medium's.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes of the file that was made last durable; what is read afterwards comes from the medium, where the system can
    /// be asked for that.
    ///
    /// # Errors
    /// The medium's.
    fn sync(&mut self) -> io::Result<()>;

    /// Makes the names of a slot's files durable, as they are now.
    ///
    /// # Errors
    /// The medium's.
    fn settle(&mut self, slot: Slot) -> io::Result<()>;
}
