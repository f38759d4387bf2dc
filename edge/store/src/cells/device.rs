//! The medium of a block device or a partition, and of a plain file of a fixed length.
//!
//! A block is 128 KiB of it at the least, a page a logical block of the device; a plain file has pages of 512 bytes.
//! To erase is to overwrite: what lies below a device's own translation of flash may keep what it held, as under a file system, sealed as
//! everything of the store.
//! The kernel writes pages of its cache, of which the bytes around ours are as they were.
//! It has no marks of bad blocks, since a device keeps spare ones of its own: what fails to take a page may take the next one.
//! Of a large device the first 8,192 blocks are used.
//! Refuses a device that is mounted or that another process has open, anything that is neither device nor file, and MTD flash by its
//! block device, which erases by itself and knows no bad blocks: the body of that is `edge/mtd`.

use super::medium::{BLANK, Medium, MediumError, Shape};
use super::open::CellsError;
use super::page;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// The least that is formatted: the reserve, a gallery of thousands and some segments of the log.
pub const MIN_DEVICE_BYTES: u64 = 32 << 20;

/// Bytes of a page where the device does not ask for more.
const PAGE_BYTES: u32 = 512;
/// The largest logical block that is known.
const MAX_PAGE_BYTES: u32 = 4096;
const BLOCK_BYTES: u32 = 128 << 10;
/// 1 GiB and more: a full log and the largest gallery take less, and a start reads the head of each.
pub const MAX_BLOCKS: u64 = 8192;
/// So few pages of a block would be too little beside those at its front.
const MIN_PAGES: u32 = 64;

/// The block devices that the kernel makes of MTD flash.
const MTD_BLOCK_MAJOR: u64 = 31;

/// Without `O_CREAT`, of a block device: nobody else has claimed it, a mounted file system neither. The same on all of Linux.
const O_EXCL: i32 = 0o200;

/// An open device. While it lives no other process can open the same.
#[derive(Debug)]
pub struct Device {
    file: File,
    shape: Shape,
    written_bytes: u64,
}

impl Device {
    /// Opens a device that was formatted.
    ///
    /// # Errors
    /// [`CellsError`].
    pub fn open(path: &Path) -> Result<Self, CellsError> {
        let (mut file, metadata) = take(path)?;
        let size = size(&mut file)?;
        let page_bytes = page_bytes(&metadata);
        // Where the second superblock lies follows from what the first would say.
        let shapes = [shape_of(page_bytes, size), shape_of(PAGE_BYTES, size)];
        let places = [0].into_iter().chain(shapes.map(Shape::block_bytes));
        let mut later = None;
        for place in places {
            let mut bytes = [0; page::SUPERBLOCK];
            match file.read_exact_at(&mut bytes, place) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
                read => read.map_err(failed)?,
            }
            match page::read_superblock(&bytes) {
                Some((_, Some(shape))) => {
                    let expected = shape.bytes();
                    if size < expected {
                        return Err(CellsError::OtherSize { found: size, expected });
                    }
                    return Ok(Self { file, shape, written_bytes: 0 });
                }
                Some((found, None)) => later = Some(found),
                None => {}
            }
        }
        let supported = page::VERSION;
        Err(later.map_or(CellsError::NotFormatted, |found| CellsError::Later { found, supported }))
    }

    /// Opens a device that is to be formatted.
    ///
    /// # Errors
    /// [`CellsError`].
    pub fn to_format(path: &Path) -> Result<Self, CellsError> {
        let (mut file, metadata) = take(path)?;
        let size = size(&mut file)?;
        if size < MIN_DEVICE_BYTES {
            return Err(CellsError::TooSmall { found: size, least: MIN_DEVICE_BYTES });
        }
        let shape = shape_of(page_bytes(&metadata), size);
        Ok(Self { file, shape, written_bytes: 0 })
    }

    fn place(&self, block: u32, page: u32, len: usize) -> Result<u64, MediumError> {
        let pages = u64::from(page) + len.div_ceil(self.shape.page()) as u64;
        if block >= self.shape.blocks || pages > u64::from(self.shape.block_pages) {
            return Err(MediumError::io(format!("it has no page {page} of block {block}")));
        }
        let page = u64::from(page) * u64::from(self.shape.page_bytes);
        Ok(u64::from(block) * self.shape.block_bytes() + page)
    }
}

impl Medium for Device {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    fn read(&self, block: u32, page: u32, into: &mut [u8]) -> Result<(), MediumError> {
        let place = self.place(block, page, into.len())?;
        self.file.read_exact_at(into, place).map_err(|error| MediumError::of(&error))
    }

    fn program(&mut self, block: u32, page: u32, bytes: &[u8]) -> Result<(), MediumError> {
        let place = self.place(block, page, bytes.len())?;
        self.written_bytes += bytes.len() as u64;
        self.file.write_all_at(bytes, place).map_err(|error| MediumError::of(&error))
    }

    fn void(&mut self, block: u32) -> Result<(), MediumError> {
        self.program(block, 0, &vec![0; self.shape.page()])
    }

    fn erase(&mut self, block: u32, used: u32) -> Result<(), MediumError> {
        let blank = vec![BLANK; used as usize * self.shape.page()];
        self.program(block, 0, &blank)
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        self.file.sync_data().map_err(|error| MediumError::of(&error))
    }

    fn is_bad(&self, _block: u32) -> Result<bool, MediumError> {
        Ok(false)
    }

    fn mark_bad(&mut self, block: u32) -> Result<(), MediumError> {
        Err(MediumError::io(format!("block {block} cannot be erased")))
    }
}

/// Opens a device or a file for this process alone.
fn take(path: &Path) -> Result<(File, Metadata), CellsError> {
    let metadata = std::fs::metadata(path).map_err(failed)?;
    let is_device = metadata.file_type().is_block_device();
    if !is_device && !metadata.is_file() {
        return Err(CellsError::NoDevice);
    }
    if is_device && major(&metadata) == MTD_BLOCK_MAJOR {
        return Err(CellsError::BehindBlocks);
    }
    let flags = if is_device { O_EXCL } else { 0 };
    let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path);
    let file = match file {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => return Err(CellsError::Busy),
        file => file.map_err(failed)?,
    };
    match file.try_lock() {
        Ok(()) => Ok((file, metadata)),
        Err(TryLockError::WouldBlock) => Err(CellsError::Busy),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn size(file: &mut File) -> Result<u64, CellsError> {
    file.seek(SeekFrom::End(0)).map_err(failed)
}

fn shape_of(page_bytes: u32, size: u64) -> Shape {
    let block_pages = (BLOCK_BYTES / page_bytes).max(MIN_PAGES);
    let blocks = size / u64::from(page_bytes * block_pages);
    Shape { page_bytes, block_pages, blocks: blocks.min(MAX_BLOCKS) as u32 }
}

/// A logical block of a device, as the kernel tells it.
fn page_bytes(metadata: &Metadata) -> u32 {
    if !metadata.file_type().is_block_device() {
        return PAGE_BYTES;
    }
    let (device, major) = (metadata.rdev(), major(metadata));
    let minor = (device & 0xff) | (device >> 12 & !0xff);
    // A partition's stands with its disk.
    let told = ["queue", "../queue"].into_iter().find_map(|queue| {
        let path = format!("/sys/dev/block/{major}:{minor}/{queue}/logical_block_size");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    });
    told.unwrap_or(MAX_PAGE_BYTES).clamp(PAGE_BYTES, MAX_PAGE_BYTES).next_power_of_two()
}

fn major(metadata: &Metadata) -> u64 {
    let device = metadata.rdev();
    (device >> 8 & 0xfff) | (device >> 32 & !0xfff)
}

fn failed(error: io::Error) -> CellsError {
    MediumError::of(&error).into()
}
