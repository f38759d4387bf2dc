//! The line: a pseudo-terminal or a serial device, as bytes in and out.
//!
//! Owns opening, and opening again: a device that was unplugged is tried once a second; a pseudo-terminal is made anew
//! after each visitor, because Linux keeps a visitor's exclusive claim (TIOCEXCL) on it for as long as its other end is
//! open, and the next one would be refused.

use super::link::{Link, LinkError};
use rustix::fs::{Mode, OFlags};
use serialport::{SerialPort, TTYPort};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};
use threshold_wire::speed;

/// The line's speed until a host asks for another.
const BAUD: u32 = speed::BASE;

/// How long a line may take no bytes before an answer is given up.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// How long the last bytes take from a driver's buffer through a UART's own: 16 bytes at the first speed.
const LEAVING: Duration = Duration::from_millis(2);

/// Time between two attempts to open a device that is gone.
const REOPEN: Duration = Duration::from_secs(1);

/// How long a pseudo-terminal that a visitor left is kept after the link has moved on: somebody may have followed the
/// link just before, and would open an end without its other one.
const GRACE: Duration = Duration::from_millis(50);

/// What came in.
#[derive(Debug)]
pub enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing within the patience.
    Nothing,
    /// Whoever was there has gone, for the reason told, once.
    HungUp(Option<String>),
}

/// A line to the administrator.
pub trait Line: Send {
    /// Waits for bytes.
    fn receive(&mut self, into: &mut [u8], patience: Duration) -> Received;

    /// Sends all bytes.
    ///
    /// # Errors
    /// What the line said.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Lets the line run at this speed once everything is sent. False if it does not, and runs at the first one again.
    fn set_speed(&mut self, baud: u32) -> bool;
}

/// Why a line was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// No pseudo-terminal.
    #[error("no pseudo-terminal: {0}; is /dev/pts mounted?")]
    NoPty(io::Error),
    /// The link to the pseudo-terminal cannot be made.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The device was not opened.
    #[error(
        "serial device {path}: {said}; check that it is there, that this user may open it, and that no other program has it"
    )]
    Device {
        /// As typed.
        path: String,
        /// What the driver said.
        said: String,
    },
}

/// Opens the line that was typed: `pty:<path>` or a device. True beside it if nobody but this machine's users can reach
/// it.
///
/// # Errors
/// [`LineError`].
pub fn open(typed: &str) -> Result<(Box<dyn Line>, bool), LineError> {
    match typed.strip_prefix("pty:") {
        Some(path) => Ok((Box::new(Pty::open(Path::new(path))?), true)),
        None => Ok((Box::new(Device::open(typed)?), false)),
    }
}

/// A pseudo-terminal that a link leads to.
pub struct Pty {
    link: Link,
    serving: End,
    /// Made after the visitor hung up, and when; it takes over once the old one is surely left.
    next: Option<(End, Instant)>,
    /// What was said last of a pseudo-terminal that cannot be made, so that it is said once.
    said: Option<String>,
}

/// Our end of a pseudo-terminal.
struct End {
    master: TTYPort,
    /// Kept open until the first byte: a pseudo-terminal that nobody has open looks hung up.
    slave: Option<OwnedFd>,
}

impl Pty {
    /// Makes a pseudo-terminal and lets a link at `path` lead to it.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn open(path: &Path) -> Result<Self, LineError> {
        let mut link = Link::take(path)?;
        let serving = End::behind(&mut link)?;
        Ok(Self { link, serving, next: None, said: None })
    }

    fn left(&mut self) -> Received {
        match self.next.take() {
            Some((next, made)) if made.elapsed() < GRACE => {
                self.next = Some((next, made));
                std::thread::sleep(GRACE / 10);
                Received::Nothing
            }
            // The old one was asked again after the link had moved, so nobody can have come in between.
            Some((next, _)) => {
                self.serving = next;
                Received::HungUp(None)
            }
            None => match End::behind(&mut self.link) {
                Ok(next) => {
                    self.next = Some((next, Instant::now()));
                    self.said = None;
                    Received::Nothing
                }
                Err(error) => {
                    std::thread::sleep(REOPEN);
                    let why = Some(error.to_string());
                    let fresh = self.said != why;
                    self.said.clone_from(&why);
                    Received::HungUp(why.filter(|_| fresh))
                }
            },
        }
    }
}

impl End {
    fn behind(link: &mut Link) -> Result<Self, LineError> {
        let (mut master, slave) =
            TTYPort::pair().map_err(|error| LineError::NoPty(io::Error::from(error)))?;
        master
            .set_timeout(WRITE_PATIENCE)
            .map_err(|error| LineError::NoPty(io::Error::from(error)))?;
        let name = slave.name().unwrap_or_default();
        // A handle of our own: serialport's would take a lock on the terminal when it gives up an exclusive claim.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty())
            .map_err(|error| LineError::NoPty(error.into()))?;
        link.lead_to(Path::new(&name))?;
        Ok(Self { master, slave: Some(slave) })
    }
}

impl Line for Pty {
    fn receive(&mut self, into: &mut [u8], patience: Duration) -> Received {
        let End { master, slave } = &mut self.serving;
        match read(master, into, patience) {
            Ok(0) => {
                if let Some(slave) = slave {
                    // A visitor who came and went without a word may have left an exclusive claim.
                    let _ = rustix::termios::ioctl_tiocnxcl(slave);
                }
                self.link.restore();
                Received::Nothing
            }
            Ok(count) => {
                *slave = None;
                Received::Bytes(count)
            }
            Err(_) => self.left(),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        write(&mut self.serving.master, bytes)
    }

    fn set_speed(&mut self, _: u32) -> bool {
        // A pseudo-terminal is as quick as its reader.
        true
    }
}

/// A serial device, opened again when it comes back.
pub struct Device {
    path: String,
    port: Option<TTYPort>,
    tried: Instant,
    /// False for a line without bits, whose driver takes no speed.
    has_speed: bool,
}

impl Device {
    /// Opens the device exclusively.
    ///
    /// # Errors
    /// [`LineError::Device`].
    pub fn open(path: &str) -> Result<Self, LineError> {
        let fail = |said: String| LineError::Device { path: path.to_owned(), said };
        let port = serialport::new(path, BAUD).timeout(WRITE_PATIENCE).open_native();
        let port = port.map_err(|error| fail(error.to_string()))?;
        let has_speed = has_speed(Path::new(path));
        // Some UARTs take a speed that they cannot keep.
        match port.baud_rate() {
            Ok(found) if has_speed && found != BAUD => {
                Err(fail(format!("it runs at {found} baud, not {BAUD}")))
            }
            _ => {
                let (path, tried) = (path.to_owned(), Instant::now());
                Ok(Self { path, port: Some(port), tried, has_speed })
            }
        }
    }
}

/// False for the USB device port (`ttyGS`): its driver says 9600 baud whatever it is told, and is as quick as the bus.
fn has_speed(path: &Path) -> bool {
    let device = path.canonicalize();
    let name = device.as_deref().unwrap_or(path).file_name().unwrap_or_default();
    !name.to_string_lossy().starts_with("ttyGS")
}

impl Line for Device {
    fn receive(&mut self, into: &mut [u8], patience: Duration) -> Received {
        if self.port.is_none() {
            std::thread::sleep(patience);
            if self.tried.elapsed() >= REOPEN {
                self.tried = Instant::now();
                self.port = Self::open(&self.path).ok().and_then(|device| device.port);
            }
        }
        let Some(port) = &mut self.port else { return Received::Nothing };
        match read(port, into, patience) {
            Ok(0) => Received::Nothing,
            Ok(count) => Received::Bytes(count),
            Err(error) => {
                self.port = None;
                Received::HungUp(Some(format!("{}: {error}", self.path)))
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.port {
            Some(port) => write(port, bytes),
            None => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        // A device that comes back is opened at the first speed.
        let Some(port) = &mut self.port else { return baud == BAUD };
        if !self.has_speed {
            return true;
        }
        // What was answered leaves at the speed that it was asked at, if anybody takes it: a line that nobody reads is not
        // waited for. Some UARTs take a speed that they cannot keep.
        let begun = Instant::now();
        while port.bytes_to_write().is_ok_and(|left| left > 0) && begun.elapsed() < WRITE_PATIENCE {
            std::thread::sleep(LEAVING);
        }
        std::thread::sleep(LEAVING);
        let runs =
            port.set_baud_rate(baud).is_ok() && port.baud_rate().is_ok_and(|found| found == baud);
        if !runs && port.set_baud_rate(BAUD).is_err() {
            self.port = None;
        }
        runs
    }
}

/// Some bytes; 0 if none came within the patience, an error if the other end is gone.
fn read(port: &mut TTYPort, into: &mut [u8], patience: Duration) -> io::Result<usize> {
    port.set_timeout(patience).map_err(io::Error::from)?;
    let read = match port.read(into) {
        Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
        Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(0),
        other => other,
    };
    port.set_timeout(WRITE_PATIENCE).map_err(io::Error::from)?;
    read
}

fn write(port: &mut TTYPort, mut bytes: &[u8]) -> io::Result<()> {
    // serialport's timeout cuts writes too, so a write may take a part only.
    while !bytes.is_empty() {
        match port.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or(&[]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn the_usb_device_port_has_no_speed_whatever_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        std::fs::write(folder.join("ttyGS0"), b"").unwrap();
        symlink(folder.join("ttyGS0"), folder.join("cable")).unwrap();
        assert!(!has_speed(&folder.join("ttyGS0")) && !has_speed(&folder.join("cable")));
        // One that is not there yet is told by its name alone.
        assert!(!has_speed(Path::new("/dev/none/ttyGS3")));
        for uart in ["/dev/ttyUSB0", "/dev/ttyACM0", "/dev/ttyTHS1", "/dev/ttyS0", "/dev/ttyAMA0"] {
            assert!(has_speed(Path::new(uart)), "{uart}");
        }
    }
}
