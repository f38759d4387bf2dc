//! Flash that counts the bytes which are given to it, for whoever asks how it wears.
//!
//! A body that counts what its medium is given is asked. Of another one it counts what the store hands over, of writes that failed too;
//! what a file system writes beside that (names, its journal, the rest of a page) it cannot know.

use crate::flash::{Flash, FlashError, Object, Place, Series};

/// A body of flash with the count of bytes given to it since it was opened.
pub(crate) struct Metered {
    base: Box<dyn Flash>,
    bytes: u64,
}

impl Metered {
    pub(crate) fn new(base: Box<dyn Flash>) -> Self {
        Self { base, bytes: 0 }
    }

    /// Bytes given to it.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.base.medium_bytes().unwrap_or(self.bytes)
    }
}

impl Flash for Metered {
    fn segments(&self, of: Series) -> Vec<u32> {
        self.base.segments(of)
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        self.base.len(object)
    }

    fn taken(&self, object: Object, more: usize) -> Option<u64> {
        self.base.taken(object, more)
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn medium_bytes(&self) -> Option<u64> {
        self.base.medium_bytes()
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        self.base.read(object, offset, into)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.bytes += bytes.len() as u64;
        self.base.append(object, bytes)
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.base.sync(object)
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.bytes += bytes.len() as u64;
        self.base.replace(object, bytes)
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        self.bytes += objects.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        self.base.replace_all(objects)
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.base.remove(object)
    }
}
