//! What can go wrong in the store. Every text says what was found, where, and what to do.

use crate::administrators::AdministratorError;
use crate::cells::CellsError;
use crate::chain::ChainError;
use crate::flash::{FlashError, FlashFault, Object};
use crate::gallery::GalleryError;
use crate::keys::KeyError;
use threshold_record::{ModelId, PersonId};

/// A damaged end of the log that was left out at open: records that were being written when the power went. None of
/// them had been acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailCut {
    /// Sequence of the last entry that is there.
    pub head: u64,
    /// Bytes that were left out.
    pub bytes: u64,
}

/// The store cannot do what was asked, or cannot vouch for what it holds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StoreError {
    /// The flash failed.
    #[error(transparent)]
    Flash(#[from] FlashError),
    /// The device of the store cannot be used.
    #[error("the device of the store: {0}")]
    Device(#[from] CellsError),
    /// The change is against the gallery's rules; nothing was changed.
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    /// The change is against the roster's rules; nothing was changed.
    #[error(transparent)]
    Administrator(#[from] AdministratorError),
    /// The keeper of the unit's secret failed.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A checkpoint or the log's chain does not hold.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The flash is of a format that is not sealed, or not sealed yet.
    #[error(
        "the data folder is of an older format, whose log cannot be checked; start the unit once, which converts it"
    )]
    NotSealedYet,
    /// The flash is sealed and the secret is not there.
    #[error(
        "the unit's secret is gone, and without it nothing on the flash can be read; see that keeper in [keys] is what keeps it, put \
         the unit's own key back, or move the data folder away, start the unit and enrol again"
    )]
    NoSecret,
    /// The key ring is gone and other objects are there.
    #[error(
        "{} is missing beside {beside}, and without it nothing on the flash can be read; restore the newest backup of the whole \
         data folder, or move the folder away, start the unit and enrol again",
        Object::Keys
    )]
    NoKeys {
        /// An object that is there.
        beside: Object,
    },
    /// The flash was sealed by another secret, or its key ring was changed.
    #[error(
        "{} does not open with this unit's secret: the flash is of another unit, or was changed; put the unit's own flash and \
         key together again, or move the data folder away, start the unit and enrol again",
        Object::Keys
    )]
    WrongSecret,
    /// The cipher took no more.
    #[error(
        "the store could not seal what it was given; start the unit again, and report this with the log"
    )]
    NotSealed,
    /// The key ring holds no more data keys.
    #[error(
        "{max} data keys are in use, each by something sealed with it; let the unit run until the oldest segments of its log are \
         gone, and change the key then"
    )]
    DataKeysUsedUp {
        /// Keys that fit.
        max: usize,
    },
    /// No gallery is loaded.
    #[error("no gallery is loaded; see the fault that the unit reported at start")]
    NoGallery,
    /// An object's bytes are not what was written.
    #[error(
        "{object} is damaged at byte {offset} ({what}); restore the data folder from a backup, or move the whole folder \
         away, start the unit and enrol again"
    )]
    Damaged {
        /// The object.
        object: Object,
        /// First byte that does not fit.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// An object was written by a later program.
    #[error(
        "{object} has format {found}, this program reads up to {supported}; start the newer threshold-edge that wrote it"
    )]
    Version {
        /// The object.
        object: Object,
        /// What its bytes say.
        found: u16,
        /// The newest that this code reads.
        supported: u16,
    },
    /// The gallery belongs to another model.
    #[error(
        "the gallery holds {templates} templates of {people} people made by model {gallery}, this unit compares with model \
         {unit}; start the unit with the pack of the gallery's model, or with --discard-templates to keep the names and enrol \
         everybody again"
    )]
    OtherModel {
        /// The gallery's model.
        gallery: ModelId,
        /// The unit's model.
        unit: ModelId,
        /// People in the gallery.
        people: usize,
        /// Templates of them.
        templates: usize,
    },
    /// An older object was put back, or a newer one is missing.
    #[error(
        "{object} stands at {found}, but this unit had reached {expected}: an older file was put back or the file is gone; \
         restore the newest backup of the whole data folder, or move the folder away, start the unit and enrol again"
    )]
    RolledBack {
        /// The object.
        object: Object,
        /// Where it stands: generation, sequence, or count.
        found: u64,
        /// Where the anchor says that it stood.
        expected: u64,
    },
    /// The whole flash was put back as it once was.
    #[error(
        "the flash is of step {found} of the unit's counter, which stands at {expected}: all of it was put back as it once was; put the \
         newest one back, or move the data folder away, start the unit, commission it with the owner's recovery key and enrol again"
    )]
    OlderFlash {
        /// The step that the flash names.
        found: u64,
        /// Where the counter stands.
        expected: u64,
    },
    /// The counter is behind the flash.
    #[error(
        "the flash is of step {found} of the unit's counter, which stands at {expected} only: it is the counter of another unit, or was \
         made anew; put the unit's own TPM and flash together again, or move the data folder away, start the unit, commission it with \
         the owner's recovery key and enrol again"
    )]
    OtherCounter {
        /// The step that the flash names.
        found: u64,
        /// Where the counter stands.
        expected: u64,
    },
    /// The gallery's segments are sound, each by itself, and are not those of one gallery.
    #[error(
        "the segments of the gallery ({} and on) do not make up the gallery of generation {generation}: an older file was put \
         back, or one is gone; restore the newest backup of the whole data folder, or move the folder away, start the unit and \
         enrol again",
        Object::GallerySegment(1)
    )]
    MixedGallery {
        /// The generation that they say they are of.
        generation: u64,
    },
    /// The anchor is gone and other objects are there.
    #[error(
        "{} is missing beside {beside}, so that nobody can tell whether that is the newest; restore the newest backup of the \
         whole data folder, or move the folder away, start the unit and enrol again",
        Object::Anchor
    )]
    NoAnchor {
        /// An object that is there.
        beside: Object,
    },
    /// An earlier write of the log failed in a way that leaves its end unknown.
    #[error(
        "the log takes no entries since a write failed; check the medium and start the unit again"
    )]
    LogStopped,
    /// An entry refers to a context that is not in force.
    #[error(
        "an entry refers to context {number}, which is not in force; name the context to the store first"
    )]
    ContextNotInForce {
        /// What the entry says.
        number: u16,
    },
    /// The log has used every number for context records.
    #[error(
        "the log holds 65535 context records; pull the log, then move the data folder away and enrol again"
    )]
    ContextsUsedUp,
    /// A number of the store has come to its end: of entries, batches, generations or steps.
    #[error(
        "the store has counted as far as it can, which no unit lives to see, so that its flash was forged; pull the log, then move the \
         data folder away, start the unit and enrol again"
    )]
    NumbersUsedUp,
    /// The context is longer than a record holds.
    #[error("a context of {len} bytes; at most {max} fit, so shorten names and settings")]
    ContextTooLong {
        /// Bytes given.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// The person is removed for good, but the templates' bytes could not be taken off the flash.
    #[error(
        "person {} is removed and stays removed, but the templates still stand in the gallery's file: {source}", person.0
    )]
    NotErased {
        /// Who was removed.
        person: PersonId,
        /// Why the file could not be replaced.
        source: Box<Self>,
    },
}

impl StoreError {
    /// True if the medium has no space left.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Flash(error) if error.fault == FlashFault::Full)
    }

    /// True if it is what keeps the secret, or its counter, that does not stand with this flash: the medium is not to blame.
    #[must_use]
    pub fn is_of_keys(&self) -> bool {
        matches!(
            self,
            Self::Keys(_)
                | Self::NoSecret
                | Self::WrongSecret
                | Self::OlderFlash { .. }
                | Self::OtherCounter { .. }
        )
    }
}
