//! The port: byte transport with a deadline, over whatever the port's name says.
//!
//! Owns the trait `Transport`, which the session speaks through, and the names: a serial port of this machine, `rfc2217:`
//! and `tcp:` with host and port for one of a terminal server's.
//! Refuses to know frames: bytes in, bytes out.

use super::net::Net;
use super::serial::Serial;
use crate::error::HostError;
use std::io;
use std::time::Duration;
use threshold_wire::speed;

/// The line's speed until the host asks for another; a pty ignores it.
pub(super) const BAUD: u32 = speed::BASE;

/// What the name of a terminal server's port begins with.
pub(super) const RFC2217: &str = "rfc2217:";
/// The same for one that gives bare bytes.
pub(super) const TCP: &str = "tcp:";

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

    /// Lets the line run at this speed. False if it does not; it may then run at any.
    fn set_speed(&mut self, baud: u32) -> bool;

    /// False if bytes move as quickly as both ends take them, whatever speed is set, and arrive whole: a unit's own USB device port.
    fn is_paced(&self) -> bool {
        true
    }

    /// Throws away what has arrived and was not received.
    fn drain(&mut self);

    /// Time on a clock that never goes back.
    fn now(&self) -> Duration;

    /// The name to print.
    fn name(&self) -> &str;
}

/// True of a pseudo-terminal: a program of this machine is at its other end. On any other line somebody else may be, who reads and
/// changes what is not sealed.
#[must_use]
pub fn is_of_this_machine(name: &str) -> bool {
    std::fs::canonicalize(name).is_ok_and(|path| path.starts_with("/dev/pts"))
}

/// A port that was opened.
pub struct Port(Box<dyn Transport>);

impl Port {
    /// Opens what the name says: `rfc2217:HOST:PORT` for a serial port that a terminal server gives out with its speed,
    /// `tcp:HOST:PORT` for one that it gives out as bare bytes, anything else for a serial port of this machine.
    ///
    /// # Errors
    /// [`HostError::PortMissing`], [`HostError::PortBusy`], [`HostError::PortDenied`] or [`HostError::PortOpen`];
    /// [`HostError::ServerAway`] or [`HostError::ServerRefuses`].
    pub fn open(name: &str) -> Result<Self, HostError> {
        let transport: Box<dyn Transport> = match Net::of(name)? {
            Some(net) => Box::new(net),
            None => Box::new(Serial::open(name)?),
        };
        Ok(Self(transport))
    }
}

impl Transport for Port {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.send(bytes)
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        self.0.receive(into, patience)
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        self.0.set_speed(baud)
    }

    fn is_paced(&self) -> bool {
        self.0.is_paced()
    }

    fn drain(&mut self) {
        self.0.drain();
    }

    fn now(&self) -> Duration {
        self.0.now()
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn only_a_pseudo_terminal_is_of_this_machine() {
        let folder = tempfile::tempdir().unwrap();
        let link = |name: &str, to: &str| {
            let path = folder.path().join(name);
            std::os::unix::fs::symlink(to, &path).unwrap();
            path.to_str().unwrap().to_owned()
        };
        // The folder of the pseudo-terminals stands for one of them, which nobody need have opened here.
        for name in ["/dev/pts".to_owned(), link("pty", "/dev/pts")] {
            assert!(is_of_this_machine(&name), "{name}");
        }
        let nothing = "/dev/pts/none".to_owned();
        for name in ["/dev/null".to_owned(), link("serial", "/dev/null"), nothing] {
            assert!(!is_of_this_machine(&name), "{name}");
        }
        for name in [format!("{RFC2217}localhost:4000"), format!("{TCP}localhost:4000")] {
            assert!(!is_of_this_machine(&name), "{name}");
        }
    }
}
