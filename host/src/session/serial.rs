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
    paced: bool,
    opened: Instant,
}

/// Vendor and product of a unit's own USB device port (`edge/system/usb-gadget`). Another port that calls itself a modem
/// (`/dev/ttyACM0`) may stand before a line that has a speed.
const UNIT: (u16, u16) = (0x1d6b, 0x0104);

impl Serial {
    /// Opens the port exclusively.
    ///
    /// # Errors
    /// [`HostError::PortMissing`], [`HostError::PortBusy`], [`HostError::PortDenied`] or [`HostError::PortOpen`].
    pub(super) fn open(name: &str) -> Result<Self, HostError> {
        let usb = usb_ports();
        let device = device(name, &usb)?;
        if !Path::new(&device).exists() {
            return Err(HostError::PortMissing { port: name.to_owned(), ports: ports_there() });
        }
        // `open_native` takes TIOCEXCL and an exclusive flock; the second also holds among processes of root.
        // A pty has no DTR and RTS: serialport ignores that failure while it opens, and nothing here sets them.
        let tty = serialport::new(&device, BAUD)
            .timeout(WRITE_PATIENCE)
            .open_native()
            .map_err(|error| port_error(name, &error))?;
        let paced = is_paced(&device, &usb);
        let mut port = Self { name: name.to_owned(), tty, paced, opened: Instant::now() };
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

    fn set_speed(&mut self, baud: u32) -> bool {
        // Some UARTs take a speed that they cannot keep.
        self.tty.set_baud_rate(baud).is_ok()
            && self.tty.baud_rate().is_ok_and(|found| found == baud)
    }

    fn is_paced(&self) -> bool {
        self.paced
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
    let mut names: Vec<String> = listed().into_iter().map(|port| port.port_name).collect();
    names.sort();
    names
}

fn listed() -> Vec<serialport::SerialPortInfo> {
    // serialport 4.10 panics where /sys/class/tty is missing, as in small containers.
    if cfg!(target_os = "linux") && !Path::new("/sys/class/tty").is_dir() {
        return Vec::new();
    }
    serialport::available_ports().unwrap_or_default()
}

/// What the name of a port on USB begins with.
const USB: &str = "usb:";

/// A serial port of this machine that is on USB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsbPort {
    /// The device file.
    pub port: String,
    vendor: u16,
    kind: u16,
    serial: Option<String>,
    /// What the device calls itself.
    pub product: Option<String>,
}

impl UsbPort {
    /// Vendor, product and serial number as `usb:VID:PID:SERIAL` has them.
    #[must_use]
    pub fn id(&self) -> String {
        let serial = self.serial.as_deref().map(|serial| format!(":{serial}"));
        format!("{:04x}:{:04x}{}", self.vendor, self.kind, serial.unwrap_or_default())
    }

    /// True if the name is this port's: its device file, or what `usb:` and its numbers say; the serial number may be left out.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        let Some(wanted) = name.strip_prefix(USB) else { return name == self.port };
        let (id, wanted) = (self.id().to_lowercase(), wanted.to_lowercase());
        id.strip_prefix(&wanted)
            .is_some_and(|rest| rest.is_empty() || (wanted.len() == 9 && rest.starts_with(':')))
    }
}

/// The serial ports on USB, in order.
#[must_use]
pub fn usb_ports() -> Vec<UsbPort> {
    let of = |port: serialport::SerialPortInfo| match port.port_type {
        serialport::SerialPortType::UsbPort(usb) => Some(UsbPort {
            port: port.port_name,
            vendor: usb.vid,
            kind: usb.pid,
            serial: usb.serial_number,
            product: usb.product,
        }),
        _ => None,
    };
    let mut ports: Vec<UsbPort> = listed().into_iter().filter_map(of).collect();
    ports.sort_by(|a, b| a.port.cmp(&b.port));
    ports
}

/// The device file of a name; of `usb:` the one port that fits.
fn device(name: &str, usb: &[UsbPort]) -> Result<String, HostError> {
    if !name.starts_with(USB) {
        return Ok(name.to_owned());
    }
    let fit: Vec<&UsbPort> = usb.iter().filter(|port| port.is_named(name)).collect();
    match fit.as_slice() {
        [port] => Ok(port.port.clone()),
        [] => {
            let ports = usb.iter().map(|port| format!("{USB}{}", port.id())).collect();
            Err(HostError::PortMissing { port: name.to_owned(), ports })
        }
        several => Err(HostError::SeveralPorts {
            port: name.to_owned(),
            ports: several.iter().map(|port| format!("{USB}{}", port.id())).collect(),
        }),
    }
}

/// False for a device file that is a unit's own USB device port, also by a link to it (`/dev/serial/by-id/...`).
fn is_paced(device: &str, usb: &[UsbPort]) -> bool {
    let device = Path::new(device).canonicalize().unwrap_or_else(|_| device.into());
    let of_unit = |port: &UsbPort| (port.vendor, port.kind) == UNIT;
    !usb.iter().any(|port| of_unit(port) && Path::new(&port.port) == device)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn port(at: &str, serial: &str) -> UsbPort {
        let serial = Some(serial.to_owned());
        UsbPort { port: at.to_owned(), vendor: 0x0403, kind: 0x6001, serial, product: None }
    }

    #[test]
    fn only_a_units_own_port_on_usb_is_not_paced() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().canonicalize().unwrap().join("ttyACM0");
        std::fs::write(&at, "").unwrap();
        let link = at.with_file_name("by-id");
        std::os::unix::fs::symlink(&at, &link).unwrap();
        let unit = UsbPort { vendor: UNIT.0, kind: UNIT.1, ..port(at.to_str().unwrap(), "7") };
        let usb = [port("/dev/ttyUSB0", "A1"), port("/dev/ttyACM1", "A2"), unit];
        for name in [&at, &link] {
            assert!(!is_paced(name.to_str().unwrap(), &usb), "{}", name.display());
        }
        for name in ["/dev/ttyUSB0", "/dev/ttyACM1", "/dev/ttyS0", "/dev/pts/3"] {
            assert!(is_paced(name, &usb), "{name}");
        }
    }

    #[test]
    fn a_port_on_usb_is_found_by_its_numbers_and_never_guessed_among_two() {
        let usb = [port("/dev/ttyUSB0", "A1"), port("/dev/ttyUSB1", "A12")];
        let check = |name: &str| device(name, &usb);
        assert_eq!(check("usb:0403:6001:A1").unwrap(), "/dev/ttyUSB0");
        assert_eq!(check("usb:0403:6001:a12").unwrap(), "/dev/ttyUSB1");
        assert_eq!(check("/dev/ttyS0").unwrap(), "/dev/ttyS0");
        assert!(matches!(check("usb:0403:6001"), Err(HostError::SeveralPorts { .. })));
        for wrong in ["usb:", "usb:0403", "usb:0403:600", "usb:0403:6001:A", "usb:1d6b:0104"] {
            assert!(matches!(check(wrong), Err(HostError::PortMissing { .. })), "{wrong}");
        }
    }
}
