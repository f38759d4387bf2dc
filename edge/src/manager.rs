//! The service manager: it hears when the unit answers, how it stands, and that its loop goes on.
//!
//! Owns the words of sd_notify(3), datagrams to the socket that `NOTIFY_SOCKET` names; without one nothing is said.
//! Only the loop says that it goes on, each time that it has gone round: an engine or a medium that hangs keeps it from saying
//! so, and the manager starts the unit again. A camera that gives nothing does not hang the loop, since
//! [`crate::unit::Camera::next`] keeps to its patience. Refuses to wait for the manager.

use crate::heat::Level;
use crate::state::Shared;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};
use threshold_wire::message::Armed;

/// How long the start may take from the service's first answer to the loop's first round. An emulated processor takes some 25 s for one
/// embedding of FaceNet, and the self-test makes several.
const START: Duration = Duration::from_secs(300);

/// The manager, if there is one.
#[derive(Debug, Default)]
pub struct Manager {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of the loop.
    watchdog: Option<Duration>,
    /// When the loop last gave one.
    alive: Option<Instant>,
    told: Option<(Armed, Level)>,
}

impl Manager {
    /// The manager that started this process.
    #[must_use]
    pub fn from_environment() -> Self {
        let usec = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let ours =
            usec("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
        let watchdog = usec("WATCHDOG_USEC").filter(|_| ours).map(Duration::from_micros);
        Self::at(std::env::var_os("NOTIFY_SOCKET"), watchdog)
    }

    /// A manager at a socket: a path, or `@` and an abstract name. One that cannot be reached is none, since no door depends
    /// on it.
    #[must_use]
    pub fn at(socket: Option<OsString>, watchdog: Option<Duration>) -> Self {
        let reached = socket.and_then(|name| {
            let address = match name.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            let socket = UnixDatagram::unbound().ok()?;
            socket.set_nonblocking(true).ok()?;
            Some((socket, address.ok()?))
        });
        Self { socket: reached, watchdog, ..Self::default() }
    }

    /// The service answers; the networks are not loaded yet, which takes longer than a round of the loop.
    pub fn ready(&mut self) {
        let mut words = "READY=1\nSTATUS=starting".to_owned();
        if self.watchdog.is_some() {
            words.push_str(&format!("\nWATCHDOG_USEC={}", START.as_micros()));
        }
        self.tell(&words);
    }

    /// The loop has gone round.
    pub fn alive(&mut self, shared: &Shared) {
        if self.socket.is_none() {
            return;
        }
        if let Some(watchdog) = self.watchdog {
            // Four signs in the time of one, so that a late one is no death.
            let due = self.alive.is_none_or(|last| last.elapsed() >= watchdog / 4);
            let words = match self.alive {
                None => format!("WATCHDOG=1\nWATCHDOG_USEC={}", watchdog.as_micros()),
                Some(_) => "WATCHDOG=1".to_owned(),
            };
            if due && self.tell(&words) {
                self.alive = Some(Instant::now());
            }
        }
        let state = shared.lock();
        let stands = (state.armed(), state.heat());
        if self.told != Some(stands) {
            let words = format!("STATUS={}", state.status());
            drop(state);
            self.told = self.tell(&words).then_some(stands).or(self.told);
        }
    }

    /// The unit stops because it was told to.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=stopping");
    }

    /// True if the manager has it.
    fn tell(&self, words: &str) -> bool {
        let Some((socket, address)) = &self.socket else { return false };
        socket.send_to_addr(words.as_bytes(), address).is_ok()
    }
}
