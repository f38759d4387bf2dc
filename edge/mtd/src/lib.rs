//! The medium of raw flash: a partition of NAND or NOR behind Linux's MTD, as `/dev/mtdN`; and the choice of the medium by the path.
//!
//! A cell is an erase block and a page what the flash writes at once, on NOR 512 bytes; what stands beside the pages (OOB) is the
//! driver's. A block is erased and marked bad by the kernel, and its mark outlives the store.
//! Reads and writes go to the flash without a cache, so that what was programmed is durable at once and there is nothing to sync.
//! The kernel gives a page that it could not correct as if it were sound; the count of such pages tells, and the read is an error.
//! One page is programmed a second time, with zeros, to void a block's mark before the block is erased: SLC NAND and NOR bear that, and MLC is refused.
//! Of large flash the first 8,192 blocks are used. Pages are not moved before their bits fade: a unit whose flash is read for years without
//! a write relies on the driver's correction.
//! Refuses what is no MTD, what cannot be written, what another process, UBI or a mounted file system has, and pages and blocks of sizes
//! that cells are not made of.

#![deny(unsafe_code)]

mod calls;

use calls::Info;
use rustix::fs::{major, minor};
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use threshold_store::cells::{MAX_BLOCKS, MIN_DEVICE_BYTES, Medium, MediumError, Shape};
use threshold_store::{CellsError, Device};

/// Of the character devices of MTD: even minor numbers are `/dev/mtdN`, odd ones `/dev/mtdNro`.
const MAJOR: u32 = 90;

/// A page of flash that takes smaller writes.
const PAGE_BYTES: u32 = 512;

const NOR: u8 = 3;
const NAND: u8 = 4;
const RAM: u8 = 1;
const WRITEABLE: u32 = 0x400;

/// `EUCLEAN`: the kernel read the page and had to correct it.
const CORRECTED: i32 = 117;

/// Opens the medium of a path that was formatted: flash, or a block device or file.
///
/// # Errors
/// [`CellsError`].
pub fn open(path: &Path) -> Result<Box<dyn Medium>, CellsError> {
    Ok(match is_flash(path) {
        true => Box::new(Mtd::open(path)?),
        false => Box::new(Device::open(path)?),
    })
}

/// Opens the medium of a path that is to be formatted.
///
/// # Errors
/// [`CellsError`].
pub fn to_format(path: &Path) -> Result<Box<dyn Medium>, CellsError> {
    if !is_flash(path) {
        return Ok(Box::new(Device::to_format(path)?));
    }
    let flash = Mtd::open(path)?;
    let found = flash.shape.bytes();
    match found < MIN_DEVICE_BYTES {
        true => Err(CellsError::TooSmall { found, least: MIN_DEVICE_BYTES }),
        false => Ok(Box::new(flash)),
    }
}

/// Open flash. While it lives no other process of ours can open the same.
#[derive(Debug)]
pub struct Mtd {
    file: File,
    shape: Shape,
    written_bytes: u64,
    /// Pages that could not be corrected, as the kernel counted them when it was asked last.
    failed: AtomicU32,
}

/// The minor number of a character device of MTD; `None` of everything else.
fn minor_of(metadata: &Metadata) -> Option<u32> {
    let device = metadata.rdev();
    let is_mtd = metadata.file_type().is_char_device() && major(device) == MAJOR;
    is_mtd.then(|| minor(device))
}

fn is_flash(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| minor_of(&metadata).is_some())
}

impl Mtd {
    /// Opens flash, formatted or not.
    ///
    /// # Errors
    /// [`CellsError`].
    pub fn open(path: &Path) -> Result<Self, CellsError> {
        let metadata = std::fs::metadata(path).map_err(|error| MediumError::of(&error))?;
        let minor = minor_of(&metadata).ok_or(CellsError::NoDevice)?;
        if minor % 2 == 1 {
            return Err(CellsError::OtherFlash { kind: "a device for reading only" });
        }
        let file = OpenOptions::new().read(true).write(true).open(path);
        let mut file = file.map_err(|error| MediumError::of(&error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(CellsError::Busy),
            Err(TryLockError::Error(error)) => return Err(MediumError::of(&error).into()),
        }
        let number = minor / 2;
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let name = std::fs::read_to_string(format!("/sys/class/mtd/mtd{number}/name"));
        if is_mounted(&mounts, number, name.unwrap_or_default().trim()) || has_ubi(number) {
            return Err(CellsError::Busy);
        }
        let info = calls::info(&file).map_err(|error| MediumError::of(&error))?;
        let size = file.seek(SeekFrom::End(0)).map_err(|error| MediumError::of(&error))?;
        let shape = shape(&info, size)?;
        let stats = calls::ecc_stats(&file).map_err(|error| MediumError::of(&error))?;
        Ok(Self { file, shape, written_bytes: 0, failed: AtomicU32::new(stats.failed) })
    }

    fn place(&self, block: u32, page: u32, len: usize) -> Result<u64, MediumError> {
        let pages = u64::from(page) + len.div_ceil(self.shape.page_bytes as usize) as u64;
        if block >= self.shape.blocks || pages > u64::from(self.shape.block_pages) {
            return Err(MediumError::io(format!("it has no page {page} of block {block}")));
        }
        let page = u64::from(page) * u64::from(self.shape.page_bytes);
        Ok(u64::from(block) * self.shape.block_bytes() + page)
    }
}

/// How cells divide flash.
fn shape(info: &Info, size: u64) -> Result<Shape, CellsError> {
    let &Info { kind, flags, erase_bytes, write_bytes, .. } = info;
    let kind = match kind {
        NAND | NOR | RAM => None,
        2 => Some("ROM"),
        6 => Some("DataFlash"),
        7 => Some("a volume of UBI"),
        8 => Some("MLC NAND, whose pages take no second write"),
        _ => Some("flash of another kind"),
    };
    if let Some(kind) = kind {
        return Err(CellsError::OtherFlash { kind });
    }
    if flags & WRITEABLE == 0 {
        return Err(CellsError::OtherFlash { kind: "flash that takes no writes" });
    }
    // A page is a whole number of writes.
    let page_bytes = write_bytes.max(PAGE_BYTES);
    let blocks = size.checked_div(u64::from(erase_bytes)).unwrap_or(0);
    let shape = Shape {
        page_bytes,
        block_pages: erase_bytes / page_bytes,
        blocks: blocks.min(MAX_BLOCKS) as u32,
    };
    let is_whole =
        page_bytes.checked_rem(write_bytes) == Some(0) && erase_bytes.is_multiple_of(page_bytes);
    match is_whole && shape.is_fit() {
        true => Ok(shape),
        false => Err(CellsError::Unfit { blocks, block_bytes: erase_bytes, page_bytes }),
    }
}

/// True if a file system has the flash of that number and name, by its block device or, as JFFS2 does, without one.
fn is_mounted(mounts: &str, number: u32, name: &str) -> bool {
    let own = [
        format!("mtd{number}"),
        format!("/dev/mtd{number}"),
        format!("/dev/mtdblock{number}"),
        format!("mtd:{name}"),
    ];
    mounts
        .lines()
        .filter_map(|line| line.split(' ').next())
        .any(|source| own.contains(&source.to_owned()))
}

/// True if UBI has the flash of that number.
fn has_ubi(number: u32) -> bool {
    let devices = std::fs::read_dir("/sys/class/ubi").into_iter().flatten().flatten();
    let numbers =
        devices.filter_map(|device| std::fs::read_to_string(device.path().join("mtd_num")).ok());
    numbers.into_iter().any(|held| held.trim().parse() == Ok(number))
}

impl Medium for Mtd {
    fn shape(&self) -> Shape {
        self.shape
    }

    fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    fn read(&self, block: u32, page: u32, into: &mut [u8]) -> Result<(), MediumError> {
        let place = self.place(block, page, into.len())?;
        match self.file.read_exact_at(into, place) {
            Err(error) if error.raw_os_error() == Some(CORRECTED) => {}
            read => read.map_err(|error| MediumError::of(&error))?,
        }
        let stats = calls::ecc_stats(&self.file).map_err(|error| MediumError::of(&error))?;
        // Pages that another process reads of the same partition count as well: then this one is read again.
        match self.failed.swap(stats.failed, Ordering::Relaxed) == stats.failed {
            true => Ok(()),
            false => {
                let detail =
                    format!("a page of block {block} has more errors than can be corrected");
                Err(MediumError::io(detail))
            }
        }
    }

    fn program(&mut self, block: u32, page: u32, bytes: &[u8]) -> Result<(), MediumError> {
        let place = self.place(block, page, bytes.len())?;
        self.written_bytes += bytes.len() as u64;
        self.file.write_all_at(bytes, place).map_err(|error| MediumError::of(&error))
    }

    fn void(&mut self, block: u32) -> Result<(), MediumError> {
        self.program(block, 0, &vec![0; self.shape.page_bytes as usize])
    }

    fn erase(&mut self, block: u32, _used: u32) -> Result<(), MediumError> {
        let start = self.place(block, 0, 0)?;
        let len = self.shape.block_bytes();
        calls::erase(&self.file, start, len).map_err(|error| MediumError::of(&error))
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        Ok(())
    }

    fn is_bad(&self, block: u32) -> Result<bool, MediumError> {
        let at = self.place(block, 0, 0)?;
        calls::is_bad(&self.file, at).map_err(|error| MediumError::of(&error))
    }

    fn mark_bad(&mut self, block: u32) -> Result<(), MediumError> {
        let at = self.place(block, 0, 0)?;
        calls::mark_bad(&self.file, at).map_err(|error| MediumError::of(&error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    const SLC: Info = Info {
        kind: NAND,
        flags: WRITEABLE,
        size: 64 << 20,
        erase_bytes: 128 << 10,
        write_bytes: 2048,
        oob_bytes: 64,
        padding: 0,
    };

    #[test]
    fn flash_is_divided_as_it_erases_and_writes() {
        let of = |info: Info, size| shape(&info, size);
        let large = Shape { page_bytes: 2048, block_pages: 64, blocks: 512 };
        assert_eq!(of(SLC, 64 << 20), Ok(large));
        // Of 2 GiB the first gibibyte, whatever the 32 bits of the size say.
        assert_eq!(of(SLC, 2 << 30), Ok(Shape { blocks: 8192, ..large }));
        let small = Info { write_bytes: 512, erase_bytes: 16 << 10, ..SLC };
        let shape = Shape { page_bytes: 512, block_pages: 32, blocks: 4096 };
        assert_eq!(of(small, 64 << 20), Ok(shape));
        for write_bytes in [1, 8, 256] {
            let nor = Info { kind: NOR, write_bytes, erase_bytes: 64 << 10, ..SLC };
            let shape = Shape { page_bytes: 512, block_pages: 128, blocks: 1024 };
            assert_eq!(of(nor, 64 << 20), Ok(shape), "{write_bytes}");
        }
    }

    #[test]
    fn flash_that_makes_no_cells_is_refused_with_what_helps() {
        let check = |info: Info, size: u64, expected: &str| {
            let error = shape(&info, size).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains("; name "), "{error}");
        };
        check(Info { kind: 2, ..SLC }, 64 << 20, "it is ROM");
        check(Info { kind: 7, ..SLC }, 64 << 20, "a volume of UBI");
        check(Info { kind: 8, ..SLC }, 64 << 20, "MLC NAND");
        check(Info { kind: 0, ..SLC }, 64 << 20, "another kind");
        check(Info { flags: 0, ..SLC }, 64 << 20, "takes no writes");
        check(Info { write_bytes: 528, erase_bytes: 528 * 64, ..SLC }, 64 << 20, "pages of 528");
        check(Info { write_bytes: 0, ..SLC }, 64 << 20, "8 to 4096");
        check(Info { write_bytes: 384, ..SLC }, 64 << 20, "8 to 4096");
        check(Info { erase_bytes: 0, ..SLC }, 64 << 20, "blocks of 0 bytes");
        check(Info { erase_bytes: 2048 * 4, ..SLC }, 64 << 20, "blocks of 8192 bytes");
        check(Info { erase_bytes: 2048 * 65 + 1, ..SLC }, 64 << 20, "blocks of 133121 bytes");
        check(SLC, 23 * (128 << 10), "it has 23 blocks");
        check(SLC, 0, "it has 0 blocks");
    }

    #[test]
    fn flash_that_a_file_system_has_is_found_by_its_name_and_its_number() {
        let mounts = "/dev/root / ext4 rw 0 0\nmtd3 /a jffs2 rw 0 0\n/dev/mtdblock4 /b ext4 rw 0 0\nmtd:logs /c jffs2 rw 0 0\n";
        for (number, name, expected) in
            [(3, "x", true), (4, "x", true), (5, "logs", true), (5, "x", false), (33, "", false)]
        {
            assert_eq!(is_mounted(mounts, number, name), expected, "{number} {name}");
        }
    }

    #[test]
    fn what_is_no_flash_is_refused_by_its_own_words() {
        for path in ["/dev/null", "/"] {
            assert_eq!(Mtd::open(Path::new(path)).err(), Some(CellsError::NoDevice), "{path}");
            assert_eq!(open(Path::new(path)).err(), Some(CellsError::NoDevice), "{path}");
            assert_eq!(to_format(Path::new(path)).err(), Some(CellsError::NoDevice), "{path}");
        }
        let absent = open(Path::new("/dev/mtd-that-is-not-there")).err().unwrap().to_string();
        assert!(absent.contains("check the device"), "{absent}");
    }
}
