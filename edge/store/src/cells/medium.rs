//! What a layout of cells asks of a medium: blocks of pages, as NAND flash has them.
//!
//! The law that the layout keeps, and that the medium in memory (`nand`) enforces: a page is programmed once between two erases of
//! its block, and the pages of a block in rising order; an erase takes a whole block. So raw NAND, a partition of an eMMC and a plain
//! file of a fixed length serve alike. What was programmed or erased is read at once, and durable after `sync`; before that a power cut
//! may keep, lose, tear or reorder it.

use crate::flash::FlashFault;
use std::fmt;
use std::io::{self, ErrorKind};

/// What an erased page is full of.
pub const BLANK: u8 = 0xff;

/// `ENXIO` and `ENODEV`, which the kernel says of a device that went away. The same on all of Linux.
const NO_SUCH_ADDRESS: i32 = 6;
const NO_SUCH_DEVICE: i32 = 19;

/// How a medium is divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a page, at least 512.
    pub page_bytes: u32,
    /// Pages of a block, at least 8.
    pub block_pages: u32,
    /// Blocks.
    pub blocks: u32,
}

impl Shape {
    /// Bytes of all blocks.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.block_bytes() * u64::from(self.blocks)
    }

    /// True if cells can be made of its blocks: pages of 512 bytes to 64 KiB, and 8 to 4,096 of them in each of 24 blocks or more.
    #[must_use]
    pub fn is_fit(self) -> bool {
        self.page_bytes.is_multiple_of(512)
            && (512..=64 << 10).contains(&self.page_bytes)
            && (8..=4096).contains(&self.block_pages)
            && self.blocks >= 24
    }

    /// Bytes of a page.
    pub(super) fn page(self) -> usize {
        self.page_bytes as usize
    }

    /// Bytes of a block.
    #[must_use]
    pub fn block_bytes(self) -> u64 {
        u64::from(self.page_bytes) * u64::from(self.block_pages)
    }

    /// Pages that so many bytes take.
    pub(super) fn pages_of(self, bytes: usize) -> u32 {
        bytes.div_ceil(self.page()) as u32
    }
}

/// A medium did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediumError {
    /// What kind of failure.
    pub fault: FlashFault,
    /// What the system said.
    pub detail: String,
}

impl MediumError {
    /// What a system call on a medium failed with.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        let fault = match (error.raw_os_error(), error.kind()) {
            (Some(NO_SUCH_ADDRESS | NO_SUCH_DEVICE), _) => FlashFault::Gone,
            (_, ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                FlashFault::ReadOnly
            }
            _ => FlashFault::Io,
        };
        Self { fault, detail: error.to_string() }
    }

    /// A failure of the medium itself.
    #[must_use]
    pub fn io(detail: impl Into<String>) -> Self {
        Self { fault: FlashFault::Io, detail: detail.into() }
    }
}

impl fmt::Display for MediumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Blocks of pages.
pub trait Medium: fmt::Debug + Send + Sync {
    /// How it is divided.
    fn shape(&self) -> Shape;

    /// Bytes that it was given since it was opened, of writes that failed too. An erase counts where it is to overwrite.
    fn written_bytes(&self) -> u64;

    /// Reads whole pages of a block, from `page` on.
    ///
    /// # Errors
    /// [`MediumError`].
    fn read(&self, block: u32, page: u32, into: &mut [u8]) -> Result<(), MediumError>;

    /// Programs whole pages of a block, from `page` on, which are blank.
    ///
    /// # Errors
    /// [`MediumError`]; some of them may be programmed then, or torn.
    fn program(&mut self, block: u32, page: u32, bytes: &[u8]) -> Result<(), MediumError>;

    /// Makes of a block's first page, which was programmed, one that reads as anything else: the one exception to the law, which on NAND
    /// is to program it over with zeros. A block whose erasing is cut off may keep its first page and lose others, and would say
    /// that it is clean.
    ///
    /// # Errors
    /// [`MediumError`].
    fn void(&mut self, block: u32) -> Result<(), MediumError>;

    /// Erases a block, of which no page from `used` on was programmed: a medium that erases by overwriting leaves those alone.
    ///
    /// # Errors
    /// [`MediumError`]; any part may be erased then.
    fn erase(&mut self, block: u32, used: u32) -> Result<(), MediumError>;

    /// Makes everything durable.
    ///
    /// # Errors
    /// [`MediumError`]; nothing is known then of what was done since the last sync.
    fn sync(&mut self) -> Result<(), MediumError>;

    /// True if a block was marked bad, by its maker or by [`Medium::mark_bad`].
    ///
    /// # Errors
    /// [`MediumError`].
    fn is_bad(&self, block: u32) -> Result<bool, MediumError>;

    /// Marks a block bad for good; durable on return.
    ///
    /// # Errors
    /// [`MediumError`]; of a medium that has no such marks always [`FlashFault::Io`].
    fn mark_bad(&mut self, block: u32) -> Result<(), MediumError>;
}

impl<M: Medium + ?Sized> Medium for Box<M> {
    fn shape(&self) -> Shape {
        (**self).shape()
    }

    fn written_bytes(&self) -> u64 {
        (**self).written_bytes()
    }

    fn read(&self, block: u32, page: u32, into: &mut [u8]) -> Result<(), MediumError> {
        (**self).read(block, page, into)
    }

    fn program(&mut self, block: u32, page: u32, bytes: &[u8]) -> Result<(), MediumError> {
        (**self).program(block, page, bytes)
    }

    fn void(&mut self, block: u32) -> Result<(), MediumError> {
        (**self).void(block)
    }

    fn erase(&mut self, block: u32, used: u32) -> Result<(), MediumError> {
        (**self).erase(block, used)
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        (**self).sync()
    }

    fn is_bad(&self, block: u32) -> Result<bool, MediumError> {
        (**self).is_bad(block)
    }

    fn mark_bad(&mut self, block: u32) -> Result<(), MediumError> {
        (**self).mark_bad(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_system_call_says_is_told_by_what_helps() {
        let of = |number| MediumError::of(&io::Error::from_raw_os_error(number)).fault;
        for (number, fault) in [
            (1, FlashFault::ReadOnly),
            (5, FlashFault::Io),
            (6, FlashFault::Gone),
            (13, FlashFault::ReadOnly),
            (19, FlashFault::Gone),
            (30, FlashFault::ReadOnly),
            (74, FlashFault::Io),
        ] {
            assert_eq!(of(number), fault, "{number}");
        }
    }
}
