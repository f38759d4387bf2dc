//! The system calls on `/dev/mtdN`, as `linux/include/uapi/mtd/mtd-abi.h` has them, behind safe functions.
//!
//! Owns every `unsafe` of the edge. Each call hands the kernel one argument of the type that the call's number names, and gets back that
//! argument and what the call gave.

use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl, opcode};
use std::ffi::c_void;
use std::fs::File;
use std::io;

/// `struct mtd_info_user`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) kind: u8,
    pub(crate) flags: u32,
    /// Of a device of 4 GiB or more the lower half.
    pub(crate) size: u32,
    /// Bytes of an erase block.
    pub(crate) erase_bytes: u32,
    /// The least that a write takes, and a multiple of which it must be.
    pub(crate) write_bytes: u32,
    pub(crate) oob_bytes: u32,
    pub(crate) padding: u64,
}

/// `struct erase_info_user64`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) len: u64,
}

/// `struct mtd_ecc_stats`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EccStats {
    pub(crate) corrected: u32,
    pub(crate) failed: u32,
    pub(crate) bad_blocks: u32,
    pub(crate) table_blocks: u32,
}

const MEMGETINFO: Opcode = opcode::read::<Info>(b'M', 1);
const MEMGETBADBLOCK: Opcode = opcode::write::<i64>(b'M', 11);
const MEMSETBADBLOCK: Opcode = opcode::write::<i64>(b'M', 12);
const ECCGETSTATS: Opcode = opcode::read::<EccStats>(b'M', 18);
const MEMERASE64: Opcode = opcode::write::<Span>(b'M', 20);

/// How the device is divided.
pub(crate) fn info(file: &File) -> io::Result<Info> {
    call::<MEMGETINFO, Info>(file, Info::default()).map(|(info, _)| info)
}

/// What its error correction met since it was attached.
pub(crate) fn ecc_stats(file: &File) -> io::Result<EccStats> {
    call::<ECCGETSTATS, EccStats>(file, EccStats::default()).map(|(stats, _)| stats)
}

/// True if the block that begins there is marked bad.
pub(crate) fn is_bad(file: &File, at: u64) -> io::Result<bool> {
    call::<MEMGETBADBLOCK, i64>(file, offset(at)?).map(|(_, given)| given != 0)
}

/// Marks the block that begins there bad.
pub(crate) fn mark_bad(file: &File, at: u64) -> io::Result<()> {
    call::<MEMSETBADBLOCK, i64>(file, offset(at)?).map(drop)
}

/// Erases a block.
pub(crate) fn erase(file: &File, start: u64, len: u64) -> io::Result<()> {
    call::<MEMERASE64, Span>(file, Span { start, len }).map(drop)
}

fn offset(at: u64) -> io::Result<i64> {
    i64::try_from(at).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// What may be the argument of a call here: plain numbers, of which the kernel may write any.
trait Numbers: Copy {}
impl Numbers for Info {}
impl Numbers for Span {}
impl Numbers for EccStats {}
impl Numbers for i64 {}

struct Call<const OPCODE: Opcode, T>(T);

// SAFETY: the pointer is to a `T` that the call has for itself, aligned and as long as the number of the call says, since each number
// above is made of the type that it is used with; a `T` is plain numbers, so that whatever the kernel writes there is one.
#[allow(unsafe_code, reason = "an ioctl's argument is known to its caller alone")]
unsafe impl<const OPCODE: Opcode, T: Numbers> Ioctl for Call<OPCODE, T> {
    type Output = (T, IoctlOutput);

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        OPCODE
    }

    fn as_ptr(&mut self) -> *mut c_void {
        (&raw mut self.0).cast()
    }

    unsafe fn output_from_ptr(
        given: IoctlOutput,
        argument: *mut c_void,
    ) -> rustix::io::Result<Self::Output> {
        // SAFETY: it is the pointer of `as_ptr`, whose `Call` `ioctl` still holds.
        let argument = unsafe { argument.cast::<T>().read() };
        Ok((argument, given))
    }
}

fn call<const OPCODE: Opcode, T: Numbers>(
    file: &File,
    argument: T,
) -> io::Result<(T, IoctlOutput)> {
    loop {
        // SAFETY: the caller above names a number with the type that it was made of. A driver that is not MTD's and knows the number
        // reads and writes as many bytes at the most, since the number says how many; `lib` asks none but MTD's.
        #[allow(unsafe_code, reason = "a system call that no crate wraps")]
        let done = unsafe { ioctl(file, Call::<OPCODE, T>(argument)) };
        match done {
            Err(rustix::io::Errno::INTR) => {}
            done => return Ok(done?),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use std::mem::{offset_of, size_of};

    /// Numbers as strace and every 64-bit Linux on Arm and x86 have them, and layouts as `mtd-abi.h` gives them to C, in which every
    /// number begins at a multiple of its length. They are a promise of the kernel, which no machine's header has otherwise.
    #[test]
    fn the_calls_have_their_numbers_and_the_arguments_their_layouts() {
        assert_eq!(MEMGETINFO, 0x8020_4d01);
        assert_eq!(MEMGETBADBLOCK, 0x4008_4d0b);
        assert_eq!(MEMSETBADBLOCK, 0x4008_4d0c);
        assert_eq!(ECCGETSTATS, 0x8010_4d12);
        assert_eq!(MEMERASE64, 0x4010_4d14);
        assert_eq!(size_of::<Info>(), 32);
        assert_eq!(
            [
                offset_of!(Info, flags),
                offset_of!(Info, size),
                offset_of!(Info, erase_bytes),
                offset_of!(Info, write_bytes),
                offset_of!(Info, oob_bytes),
                offset_of!(Info, padding)
            ],
            [4, 8, 12, 16, 20, 24]
        );
        assert_eq!((size_of::<Span>(), offset_of!(Span, len)), (16, 8));
        assert_eq!(size_of::<EccStats>(), 16);
        assert_eq!(
            [
                offset_of!(EccStats, failed),
                offset_of!(EccStats, bad_blocks),
                offset_of!(EccStats, table_blocks)
            ],
            [4, 8, 12]
        );
    }

    #[test]
    fn a_file_that_is_no_flash_answers_no_call() {
        let file = tempfile();
        assert!(info(&file).is_err());
        assert!(ecc_stats(&file).is_err());
        assert!(is_bad(&file, 0).is_err());
        assert!(is_bad(&file, u64::MAX).is_err());
        assert!(mark_bad(&file, 0).is_err());
        assert!(erase(&file, 0, 512).is_err());
    }

    fn tempfile() -> File {
        File::open("/dev/null").unwrap()
    }
}
