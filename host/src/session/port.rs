//! The serial port: opening it with a cause for each way that fails, and byte transport with a deadline.
//!
//! Owns the trait `Transport`, which the session speaks through, and its body over a serial port.
//! Refuses to know frames: bytes in, bytes out.

use crate::error::HostError;
use serialport::{SerialPort, TTYPort};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use threshold_wire::bulk::Window;

/// The line's speed until the link negotiates another; a pty ignores it.
pub(super) const BAUD: u32 = 115_200;

/// What is under way at once in a bulk transfer over it.
pub const BULK: Window = Window::of_baud(BAUD);

/// How long one write may wait for room in the driver's buffer.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// Moves bytes to and from a unit. A test's body keeps its own time, so that no test has to sleep.
pub trait Transport {
    /// Sends all bytes.
    ///
    /// # Errors
    /// What the line said; `TimedOut` if it takes no bytes.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Receives some bytes: 0 if none came within the patience.
    ///
    /// # Errors
    /// What the line said; the line is then gone.
    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize>;

    /// Throws away what has arrived and was not received.
    fn drain(&mut self);

    /// Time on a clock that never goes back.
    fn now(&self) -> Duration;

    /// The name to print.
    fn name(&self) -> &str;
}

/// A serial port, held for this process alone.
pub struct Port {
    name: String,
    tty: TTYPort,
    opened: Instant,
}

impl Port {
    /// Opens the port exclusively.
    ///
    /// # Errors
    /// [`HostError::PortMissing`], [`HostError::PortBusy`], [`HostError::PortDenied`] or [`HostError::PortOpen`].
    pub fn open(name: &str) -> Result<Self, HostError> {
        if !Path::new(name).exists() {
            return Err(HostError::PortMissing { port: name.to_owned(), ports: ports_there() });
        }
        // `open_native` takes TIOCEXCL and an exclusive flock; the second also holds among processes of root.
        // A pty has no DTR and RTS: serialport ignores that failure while it opens, and nothing here sets them.
        let tty = serialport::new(name, BAUD)
            .timeout(WRITE_PATIENCE)
            .open_native()
            .map_err(|error| port_error(name, &error))?;
        let mut port = Self { name: name.to_owned(), tty, opened: Instant::now() };
        port.drain();
        Ok(port)
    }
}

impl Transport for Port {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // serialport's timeout cuts writes too, so a write may take a part only.
        while !bytes.is_empty() {
            match self.tty.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => bytes = &bytes[n..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        // ppoll with a zero timeout would spin; a millisecond is below any frame's time on the wire.
        let set = self.tty.set_timeout(patience.max(Duration::from_millis(1)));
        set.map_err(io::Error::from)?;
        let got = match self.tty.read(into) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::Interrupted) => {
                Ok(0)
            }
            other => other,
        };
        let _ = self.tty.set_timeout(WRITE_PATIENCE);
        got
    }

    fn drain(&mut self) {
        // A failure here shows at the next read with a better error.
        let _ = self.tty.clear(serialport::ClearBuffer::Input);
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// The serial ports of this machine, in order; empty where the system does not list them.
#[must_use]
pub fn ports_there() -> Vec<String> {
    // serialport 4.10 panics where /sys/class/tty is missing, as in small containers.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Vec::new();
    }
    let ports = serialport::available_ports().unwrap_or_default();
    let mut names: Vec<String> = ports.into_iter().map(|port| port.port_name).collect();
    names.sort();
    names
}

fn port_error(name: &str, error: &serialport::Error) -> HostError {
    let port = name.to_owned();
    match error.kind() {
        // EBUSY after TIOCEXCL, and EWOULDBLOCK of the flock, both come as NoDevice.
        serialport::ErrorKind::NoDevice => HostError::PortBusy { port },
        serialport::ErrorKind::Io(ErrorKind::WouldBlock) => HostError::PortBusy { port },
        serialport::ErrorKind::Io(ErrorKind::NotFound) => {
            HostError::PortMissing { port, ports: ports_there() }
        }
        serialport::ErrorKind::Io(ErrorKind::PermissionDenied) => HostError::PortDenied { port },
        _ => HostError::PortOpen { port, source: io::Error::other(error.description.clone()) },
    }
}
