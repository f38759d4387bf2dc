//! The unit's memory: the gallery, the log, and the few counters that must outlive a power cut.
//!
//! Owns the formats on flash and the order of writes that keeps them whole: after a cut there is the old state or the
//! new one, and an entry that was acknowledged is there.
//! Refuses to decide, to keep pixels, to use an id twice, and to go on with bytes that it cannot vouch for: a
//! damaged file is an error that names the file, the place and the remedy, never a guess.
//! Terms: an *object* is one named piece of flash; a *segment* is one of those that the log or the gallery is made of, a *batch* what became
//! durable there together; *durable* is what a power cut cannot take; the *generation* counts changes of the gallery; the
//! *anchor* holds the counters that tell an older file from the current one; a *tombstone* is the id of a person who was
//! removed; a *checkpoint* is the unit's signature under how far the log had come.
#![forbid(unsafe_code)]

pub mod administrators;
mod anchor;
mod bytes;
pub mod cells;
pub mod chain;
pub mod commission;
mod count;
pub mod error;
pub mod file;
pub mod flash;
pub mod gallery;
mod keyring;
pub mod keys;
mod log;
mod lots;
mod meter;
pub mod mock;
mod originals;
pub mod overlay;
pub mod receipt;
mod sealed;
mod snapshot;
pub mod store;
mod tombstones;

pub use administrators::{AdministratorError, Roster};
pub use cells::{Cells, CellsError, Device};
pub use chain::{ChainError, Checkpoint, verify_entries};
pub use error::{StoreError, TailCut};
pub use file::FileFlash;
pub use flash::{Flash, FlashError, FlashFault, Object, Operation, Place, Series};
pub use gallery::{Beside, Gallery, GalleryError, Member};
pub use keys::{Counter, FileKeys, Keeper, KeyError, KeyProvider};
pub use log::{FirstBad, LogSize, Verified, verify};
pub use mock::{MockFlash, MockKeys};
pub use overlay::{Overlay, StillKeys};
pub use receipt::{Receipt, ReceiptError};
pub use store::{Figures, KEY_FILE, Proof, Proving, Pruned, RESERVE_BYTES, Store, StoreSize};
