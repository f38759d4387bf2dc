//! Why a device did not do its work; every message ends with what to do.

/// A device that cannot be used, or a step that it did not do.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// No driver library on this machine.
    #[error("no CUDA driver on this machine; install NVIDIA's driver, or use the CPU engine")]
    NoDriver,
    /// The driver cannot load what our kernels were built with.
    #[error(
        "the CUDA driver is for CUDA {}.{}, the kernels need {}.{}; update the driver (JetPack 6 or later), or use the CPU engine",
        found / 1000, found % 1000 / 10, needed / 1000, needed % 1000 / 10
    )]
    OldDriver {
        /// The driver's version, 1000 major + 10 minor.
        found: i32,
        /// The least that is needed.
        needed: i32,
    },
    /// No such device.
    #[error("no CUDA device {ordinal}, {found} found; check the device's number and `nvidia-smi`")]
    NoDevice {
        /// Asked for.
        ordinal: usize,
        /// How many there are.
        found: usize,
    },
    /// No kernel image for this device.
    #[error("no kernels for compute capability {}.{} in {folder} (there: {available}); build them with `cargo xtask kernels`", capability / 10, capability % 10)]
    NoImage {
        /// 10 major + minor.
        capability: u32,
        /// Where images were looked for.
        folder: String,
        /// What is there.
        available: String,
    },
    /// A kernel image is not what the manifest says.
    #[error(
        "{file} is damaged: its hash is not the manifest's; build the kernels again with `cargo xtask kernels`"
    )]
    Damaged {
        /// The file.
        file: String,
    },
    /// A kernel image that the driver does not take.
    #[error(
        "the driver does not load {file}: {message}; build the kernels again with `cargo xtask kernels`, or update the driver"
    )]
    NotLoaded {
        /// The file.
        file: String,
        /// What the driver said.
        message: String,
    },
    /// A file that cannot be read.
    #[error("{file}: {message}; check the path and its permissions")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        message: String,
    },
    /// Not enough memory.
    #[error(
        "{asked} bytes of device memory asked for, {free} free; look for a larger smallest face, or a smaller frame"
    )]
    OutOfMemory {
        /// Bytes.
        asked: usize,
        /// Bytes; 0 if the device does not tell.
        free: usize,
    },
    /// A kernel that the images do not hold.
    #[error("no kernel named {name} in the images; build them with `cargo xtask kernels`")]
    UnknownKernel {
        /// Its name.
        name: String,
    },
    /// A launch that the device refused, or a fault in a kernel.
    #[error("kernel {kernel}: {message}; this is a bug, please report it with the device's name")]
    Refused {
        /// Its name.
        kernel: String,
        /// What the device said.
        message: String,
    },
    /// Device memory does not hold what was written there.
    #[error(
        "the weights on the device are not those that were copied there; restart the unit, and if it comes again, replace the board: its memory fails"
    )]
    Corrupt,
    /// A copy beyond a buffer.
    #[error("bytes {at}..{} of a buffer of {buffer}; this is a bug, please report it", at.saturating_add(*len))]
    OutOfRange {
        /// First byte.
        at: usize,
        /// Bytes.
        len: usize,
        /// The buffer's length.
        buffer: usize,
    },
    /// A call of the driver failed.
    #[error(
        "{call}: {message} (code {code}); restart the unit, and if it comes again, check the device with `nvidia-smi`"
    )]
    Driver {
        /// What was called.
        call: &'static str,
        /// The driver's code.
        code: i32,
        /// The driver's words.
        message: String,
    },
}
