//! The line over a terminal server: one machine beside many doors gives out their serial ports over TCP.
//!
//! Owns the connection and that its far end is as a unit's line must be. What a command says over it is sealed between the
//! host and the unit (`Session::open` refuses anything else), so that whoever is on the network between them reads and
//! changes nothing; the server can only cut.

use super::port::{BAUD, RFC2217, TCP, Transport};
use super::telnet::{Setting, Telnet};
use crate::error::HostError;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long the connection may take, its name's address included, and then all of the server's answers together.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a change of the speed may take.
const SETTING: Duration = Duration::from_millis(400);

/// How long what is left over is thrown away.
const DRAIN: Duration = Duration::from_millis(50);

/// How long one write may wait for room.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// A connection to a serial port.
pub(super) struct Net {
    name: String,
    stream: TcpStream,
    /// `None` if the server gives bare bytes.
    telnet: Option<Telnet>,
    /// Data that came and was not received yet.
    arrived: VecDeque<u8>,
    opened: Instant,
}

impl Net {
    /// The connection that the name asks for; `None` if it names no terminal server.
    ///
    /// # Errors
    /// [`HostError::ServerAway`], [`HostError::ServerRefuses`].
    pub(super) fn of(name: &str) -> Result<Option<Self>, HostError> {
        let (address, telnet) = match (name.strip_prefix(RFC2217), name.strip_prefix(TCP)) {
            (Some(address), _) => (address, Some(Telnet::default())),
            (None, Some(address)) => (address, None),
            (None, None) => return Ok(None),
        };
        let away = |source| HostError::ServerAway { port: name.to_owned(), source };
        let stream = connect(address).map_err(away)?;
        stream.set_nodelay(true).map_err(away)?;
        stream.set_write_timeout(Some(WRITE_PATIENCE)).map_err(away)?;
        let (name, opened) = (name.to_owned(), Instant::now());
        let mut net = Self { name, stream, telnet, arrived: VecDeque::new(), opened };
        net.settle()?;
        net.drain();
        Ok(Some(net))
    }

    /// Asks the server for the line's settings, and that they hold.
    fn settle(&mut self) -> Result<(), HostError> {
        if self.telnet.is_none() {
            return Ok(());
        }
        let port = self.name.clone();
        let away = |source| HostError::ServerAway { port: port.clone(), source };
        let refuses = |what: String| HostError::ServerRefuses { port: port.clone(), what };
        self.stream.write_all(&Telnet::greeting()).map_err(away)?;
        let give_up = Instant::now() + PATIENCE;
        let settable =
            self.until(give_up, |telnet| telnet.settable.zip(telnet.binary)).map_err(away)?;
        match settable {
            Some((true, true)) => {}
            None => return Err(refuses("it does not speak RFC 2217".to_owned())),
            Some((settable, _)) => {
                let what = if settable { "eight bits" } else { "the port's settings" };
                return Err(refuses(format!("it does not give {what}")));
            }
        }
        for setting in Setting::of_line(BAUD) {
            if self.ask(setting, give_up).map_err(away)? != Some(true) {
                return Err(refuses(format!("it does not set {}", setting.words())));
            }
        }
        Ok(())
    }

    /// Asks for a setting: whether it holds; `None` if the server does not say.
    fn ask(&mut self, setting: Setting, give_up: Instant) -> io::Result<Option<bool>> {
        let Some(telnet) = &mut self.telnet else { return Ok(None) };
        self.stream.write_all(&telnet.request(setting))?;
        self.until(give_up, |telnet| telnet.holds(setting))
    }

    /// Reads until something is known, no longer than until then.
    fn until<T>(
        &mut self,
        give_up: Instant,
        known: impl Fn(&Telnet) -> Option<T>,
    ) -> io::Result<Option<T>> {
        loop {
            let found = self.telnet.as_ref().and_then(&known);
            let left = give_up.saturating_duration_since(Instant::now());
            if found.is_some() || left.is_zero() {
                return Ok(found);
            }
            self.read(left)?;
            // While settings are made, nothing that comes is an answer of the unit's.
            self.arrived.clear();
        }
    }

    /// Reads what there is, no longer than the patience.
    fn read(&mut self, patience: Duration) -> io::Result<()> {
        let mut buffer = [0; 4096];
        self.stream.set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let len = match self.stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if waits(&error) => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = &buffer[..len];
        let Some(telnet) = &mut self.telnet else {
            self.arrived.extend(bytes);
            return Ok(());
        };
        let (mut data, mut answer) = (Vec::new(), Vec::new());
        telnet.take(bytes, &mut data, &mut answer);
        self.arrived.extend(data);
        if answer.is_empty() { Ok(()) } else { self.stream.write_all(&answer) }
    }
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::InvalidInput, "it is no <host>:<port>");
    let give_up = Instant::now() + PATIENCE;
    let resolve = |name: &str| Ok(name.to_socket_addrs()?.collect());
    for address in resolved(address, PATIENCE, resolve)? {
        let left = give_up.saturating_duration_since(Instant::now());
        match TcpStream::connect_timeout(&address, left.max(Duration::from_millis(1))) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The addresses of a name. The system's resolver has no time limit of ours (a name server that is away costs it tens of seconds),
/// so it is asked on a thread of its own, which is left behind if its answer comes too late.
fn resolved(
    name: &str,
    patience: Duration,
    resolve: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let (tell, told) = mpsc::channel();
    let asked = name.to_owned();
    // Nobody may listen any more by the time there is an answer.
    let ask = move || drop(tell.send(resolve(&asked)));
    std::thread::Builder::new().name("resolver".to_owned()).spawn(ask)?;
    let late = || io::Error::new(ErrorKind::TimedOut, "no name server says in time where it is");
    told.recv_timeout(patience).unwrap_or_else(|_| Err(late()))
}

fn waits(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

impl Transport for Net {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.telnet.as_ref().is_some_and(|telnet| telnet.suspended) {
            self.read(WRITE_PATIENCE)?;
            if self.telnet.as_ref().is_some_and(|telnet| telnet.suspended) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
        let sent = match self.telnet {
            Some(_) => self.stream.write_all(&Telnet::escaped(bytes)),
            None => self.stream.write_all(bytes),
        };
        sent.map_err(|error| if waits(&error) { ErrorKind::TimedOut.into() } else { error })
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let start = Instant::now();
        // What came may have been the server's alone.
        while self.arrived.is_empty() {
            let left = patience.saturating_sub(start.elapsed());
            if left.is_zero() {
                return Ok(0);
            }
            self.read(left)?;
        }
        self.arrived.read(into)
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        // Bare bytes come from a port whose speed the server keeps.
        let give_up = Instant::now() + SETTING;
        self.ask(Setting::Baud(baud), give_up).is_ok_and(|holds| holds == Some(true))
    }

    fn drain(&mut self) {
        let start = Instant::now();
        // A failure here shows at the next read; one who never rests is not waited for.
        while start.elapsed() < DRAIN
            && self.read(Duration::from_millis(1)).is_ok()
            && !self.arrived.is_empty()
        {
            self.arrived.clear();
        }
        self.arrived.clear();
    }

    fn now(&self) -> Duration {
        self.opened.elapsed()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_name_that_nobody_resolves_costs_the_patience_and_no_more() {
        let patience = Duration::from_millis(50);
        let (end, ended) = mpsc::channel::<()>();
        let begun = Instant::now();
        // A resolver that answers only once the test is over.
        let silent = move |_: &str| {
            let _ = ended.recv();
            Ok(vec![])
        };
        let error = resolved("door.example:7000", patience, silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
        assert!((patience..Duration::from_secs(2)).contains(&begun.elapsed()));
        drop(end);
        // One that says where it is, and one that says no, are taken at their word.
        let here: SocketAddr = "127.0.0.1:7000".parse().unwrap();
        let known = resolved("door.example:7000", PATIENCE, move |_| Ok(vec![here]));
        assert_eq!(known.unwrap(), [here]);
        let no = |_: &str| Err(ErrorKind::NotFound.into());
        let error = resolved("door.example:7000", PATIENCE, no).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn what_is_no_address_is_refused_at_once() {
        for address in ["", "door", "127.0.0.1", "127.0.0.1:none"] {
            let error = connect(address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{address}: {error}");
        }
    }
}
