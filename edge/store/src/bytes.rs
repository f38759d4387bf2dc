//! Reads the little-endian fields of an object, and knows where it is when one does not fit.

use crate::count::{MOST, UNREACHED};
use crate::error::StoreError;
use crate::flash::Object;

/// The bytes at a place of a layout of fixed length.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

/// A place in an object's bytes.
pub(crate) struct Reader<'a> {
    object: Object,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(object: Object, bytes: &'a [u8]) -> Self {
        Self { object, bytes, at: 0 }
    }

    /// The error that something does not fit here.
    pub(crate) fn damaged(&self, what: &'static str) -> StoreError {
        StoreError::Damaged { object: self.object, offset: self.at as u64, what }
    }

    /// Bytes not yet read.
    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], StoreError> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(self.damaged("the end comes too early"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, StoreError> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, StoreError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A number that the store counts on from.
    pub(crate) fn count(&mut self) -> Result<u64, StoreError> {
        let error = self.damaged(UNREACHED);
        self.u64().and_then(|number| if number <= MOST { Ok(number) } else { Err(error) })
    }

    pub(crate) fn magic(&mut self, magic: &[u8; 8]) -> Result<(), StoreError> {
        let error = self.damaged("not a file of this kind");
        if self.array::<8>()? == *magic { Ok(()) } else { Err(error) }
    }

    pub(crate) fn version(&mut self, supported: u16) -> Result<(), StoreError> {
        match self.version_up_to(supported)? {
            found if found == supported => Ok(()),
            found => Err(StoreError::Version { object: self.object, found, supported }),
        }
    }

    /// A version from 1 to `supported`.
    pub(crate) fn version_up_to(&mut self, supported: u16) -> Result<u16, StoreError> {
        let found = u16::from_le_bytes(self.array()?);
        if (1..=supported).contains(&found) {
            return Ok(found);
        }
        Err(StoreError::Version { object: self.object, found, supported })
    }

    pub(crate) fn zero(&mut self, len: usize) -> Result<(), StoreError> {
        let error = self.damaged("a reserved byte is not zero");
        if self.take(len)?.iter().all(|&byte| byte == 0) { Ok(()) } else { Err(error) }
    }

    /// Checks the hash of `N` bytes at the end over everything before it, and goes on without it.
    pub(crate) fn hashed<const N: usize>(
        self,
        hash: impl Fn(&[u8]) -> [u8; N],
    ) -> Result<Self, StoreError> {
        let Some((covered, found)) = self.bytes.split_last_chunk::<N>() else {
            return Err(self.damaged("the end comes too early"));
        };
        if hash(covered) != *found || self.at > covered.len() {
            return Err(self.damaged("its bytes do not give its checksum"));
        }
        Ok(Self { bytes: covered, ..self })
    }
}
