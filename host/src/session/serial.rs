//! The line over a serial port of this machine, with a cause for each way that opening it fails.

use super::port::{BAUD, Transport};
use crate::error::HostError;
use serialport::{SerialPort, TTYPort};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long one write may wait for room in the driver's buffer.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// A serial port, held for this process alone.
pub(super) struct Serial {
    name: String,
    tty: TTYPort,
    opened: Instant,
}

impl Serial {
    /// Opens the port exclusively.
    ///
    /// # Errors
    /// [`HostError::PortMissing`], [`HostError::PortBusy`], [`HostError::PortDenied`] or [`HostError::PortOpen`].
    pub(super) fn open(name: &str) -> Result<Self, HostError> {
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

impl Transport for Serial {
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
