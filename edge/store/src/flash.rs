//! What the store asks of flash: a few objects that are read, appended to, made durable, replaced whole, or removed.
//!
//! Small on purpose: a file body, a raw device or a mock can keep these promises and no more are used.
//! An object has no path here; the body decides where it lies.

use std::fmt;

/// The pieces of flash that the store uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Object {
    /// The key ring.
    Keys,
    /// The gallery's snapshot.
    Gallery,
    /// Ids that are never used again.
    Tombstones,
    /// The counters that tell an older file from the current one.
    Anchor,
    /// The log of format 1, a single file; it is read once, to make segments of it.
    SingleLog,
    /// The administrators of the unit.
    Administrators,
    /// Says that everything else is being wiped.
    Wiping,
    /// Room that is held back for a full medium.
    Reserve,
    /// The record of the owner's recovery key: no part of the store, which a wipe leaves as it is (`commission`).
    Commission,
    /// A segment of the log, by its number.
    Segment(u32),
    /// A segment of the gallery, by its number.
    GallerySegment(u32),
}

/// What segments make up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Series {
    /// The log.
    Log,
    /// The gallery.
    Gallery,
}

impl Series {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Log, Self::Gallery];

    /// The segment of a number.
    #[must_use]
    pub const fn segment(self, number: u32) -> Object {
        match self {
            Self::Log => Object::Segment(number),
            Self::Gallery => Object::GallerySegment(number),
        }
    }
}

impl Object {
    /// Every object of the store but the segments.
    pub const FIXED: [Self; 8] = [
        Self::Keys,
        Self::Gallery,
        Self::Tombstones,
        Self::Anchor,
        Self::SingleLog,
        Self::Administrators,
        Self::Wiping,
        Self::Reserve,
    ];

    /// Its name, which is the file's name in the file body.
    #[must_use]
    pub fn name(self) -> String {
        self.to_string()
    }

    /// The segment whose name that is.
    #[must_use]
    pub fn segment_named(name: &str) -> Option<Self> {
        let number = |from, to| name.strip_prefix(from)?.strip_suffix(to)?.parse().ok();
        let object = number("events.", ".log")
            .map(Self::Segment)
            .or_else(|| number("gallery.", ".seg").map(Self::GallerySegment))?;
        (object.name() == name).then_some(object)
    }

    /// What a segment is a part of, and its number; `None` for every other object.
    #[must_use]
    pub fn part(self) -> Option<(Series, u32)> {
        match self {
            Self::Segment(number) => Some((Series::Log, number)),
            Self::GallerySegment(number) => Some((Series::Gallery, number)),
            _ => None,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keys => f.write_str("store.keys"),
            Self::Gallery => f.write_str("gallery.snapshot"),
            Self::Tombstones => f.write_str("gallery.tombstones"),
            Self::Anchor => f.write_str("store.anchor"),
            Self::SingleLog => f.write_str("events.log"),
            Self::Administrators => f.write_str("store.administrators"),
            Self::Wiping => f.write_str("store.wiping"),
            Self::Reserve => f.write_str("store.reserve"),
            Self::Commission => f.write_str("store.commission"),
            Self::Segment(number) => write!(f, "events.{number:08}.log"),
            Self::GallerySegment(number) => write!(f, "gallery.{number:08}.seg"),
        }
    }
}

/// Where the store's bytes live.
///
/// The law that a body keeps and that the mock enforces: appended bytes are readable at once, and durable only after
/// `sync`; before that a power cut may keep, lose, tear or reorder them. `replace` is durable on return, and a cut
/// inside it leaves the old object or the new one. `replace_all` does that for each of several by itself: a cut inside it may leave
/// the old one of any and the new one of any other. `remove` is durable on return; a cut or an error inside it leaves
/// the object whole, gone, or half erased with its first bytes still sound.
pub trait Flash: Send {
    /// Numbers of the segments that are there, rising.
    fn segments(&self, of: Series) -> Vec<u32>;

    /// Bytes of an object; `None` if it is not there.
    ///
    /// # Errors
    /// [`FlashError`].
    fn len(&self, object: Object) -> Result<Option<u64>, FlashError>;

    /// Bytes of the medium that an object would take with `more` bytes appended at once; `None` where its own bytes are what it takes.
    fn taken(&self, object: Object, more: usize) -> Option<u64> {
        let _ = (object, more);
        None
    }

    /// What keeps its bytes.
    fn place(&self) -> Place {
        Place::Folder
    }

    /// Bytes that its medium was given since it was opened, an erase that overwrites included; `None` where it does not count them, and
    /// those of the objects are what is known.
    fn medium_bytes(&self) -> Option<u64> {
        None
    }

    /// Reads from `offset` into `into`, as many bytes as there are; fewer only at the object's end.
    ///
    /// # Errors
    /// [`FlashError`].
    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError>;

    /// Appends bytes to an object that is there. After an error some of them may stand there.
    ///
    /// # Errors
    /// [`FlashError`].
    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError>;

    /// Makes an object's bytes durable. After an error nothing is known of what was appended since the last sync: it may be
    /// read, and never become durable, although later syncs succeed.
    ///
    /// # Errors
    /// [`FlashError`].
    fn sync(&mut self, object: Object) -> Result<(), FlashError>;

    /// Puts other bytes in an object's place, durably and at once, and makes it if it is not there.
    ///
    /// # Errors
    /// [`FlashError`]; the object is then as before, or as given.
    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError>;

    /// Puts other bytes in the places of several objects, each as [`Flash::replace`] does, and in no order; a body may do that with
    /// fewer syncs than one after the other takes.
    ///
    /// # Errors
    /// [`FlashError`]; each object is then as before, or as given.
    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        objects.iter().try_for_each(|(object, bytes)| self.replace(*object, bytes))
    }

    /// Takes an object away, if it is there.
    ///
    /// # Errors
    /// [`FlashError`].
    fn remove(&mut self, object: Object) -> Result<(), FlashError>;

    /// The whole of an object, or its first `max + 1` bytes if it is longer than makes sense; `None` if it is not there.
    ///
    /// # Errors
    /// [`FlashError`].
    fn read_all(&self, object: Object, max: u64) -> Result<Option<Vec<u8>>, FlashError> {
        let Some(len) = self.len(object)? else { return Ok(None) };
        let len = len.min(max.saturating_add(1));
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let read = self.read(object, 0, &mut bytes)?;
        bytes.truncate(read);
        Ok(Some(bytes))
    }
}

/// What was being done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Opening it.
    Open,
    /// Reading it.
    Read,
    /// Appending to it.
    Append,
    /// Making it durable.
    Sync,
    /// Replacing it.
    Replace,
    /// Taking it away.
    Remove,
}

/// What keeps a body's bytes, as far as the remedy of a failure differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// A folder, on a medium that others write to as well.
    #[default]
    Folder,
    /// A device that the store has to itself.
    Device,
}

/// What kind of failure it was, as far as the remedy differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashFault {
    /// No space left.
    Full,
    /// The medium or the folder takes no writes.
    ReadOnly,
    /// Another process has the store open.
    Busy,
    /// The medium failed.
    Io,
    /// The medium is no longer there.
    Gone,
    /// The mock's power was cut.
    PowerCut,
}

/// An operation on an object failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot {} {object}: {detail}; {}", operation.verb(), fault.remedy(*place))]
pub struct FlashError {
    /// The object.
    pub object: Object,
    /// What was being done.
    pub operation: Operation,
    /// What kind of failure.
    pub fault: FlashFault,
    /// Where.
    pub place: Place,
    /// What the system said.
    pub detail: String,
}

impl Operation {
    const fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Read => "read",
            Self::Append => "append to",
            Self::Sync => "make durable",
            Self::Replace => "replace",
            Self::Remove => "remove",
        }
    }
}

impl FlashFault {
    /// What helps.
    #[must_use]
    pub const fn remedy(self, place: Place) -> &'static str {
        match (self, place) {
            (Self::Full, Place::Folder) => "free space on the medium of the data folder",
            (Self::Full, Place::Device) => {
                "remove people, or begin anew on a larger device and push the gallery to it"
            }
            (Self::ReadOnly, Place::Folder) => {
                "make the data folder writable for the user that runs the unit, and the medium not read-only"
            }
            (Self::ReadOnly, Place::Device) => {
                "let the user that runs the unit write to the device, and see that it is not read-only"
            }
            (Self::Busy, Place::Folder) => {
                "stop the other threshold-edge that uses this data folder"
            }
            (Self::Busy, Place::Device) => "stop the other threshold-edge that uses this device",
            (Self::Io, Place::Folder) => {
                "check the medium and the system's log, and copy the data folder while it can be read"
            }
            (Self::Io, Place::Device) => {
                "check the device and the system's log and start the unit again; if it stays so, copy the device and the data folder \
                 while they can be read"
            }
            (Self::Gone, Place::Folder) => {
                "see that the medium of the data folder is connected, and start the unit again"
            }
            (Self::Gone, Place::Device) => {
                "see that the device is connected, and start the unit again"
            }
            (Self::PowerCut, _) => "open the store again",
        }
    }
}
