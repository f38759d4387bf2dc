//! A session with a unit: calls that end in an answer, the unit's no, or a typed error, within five seconds.
//!
//! Owns the ids of requests, the repeat of a call whose answer is lost, and the version check of the hello.
//! Refuses to know what calls mean: a command says what it asks, the table of `threshold_wire` says how.
//! Terms: a *line* is a transport with frames on it; it is *dead* when no answer comes within [`PATIENCE`].

pub mod bulk;
#[cfg(test)]
pub(crate) mod fake;
mod net;
pub mod port;
mod secure;
mod serial;
mod speed;
mod telnet;
pub mod wait;

pub use serial::{UsbPort, ports_there, usb_ports};

use crate::error::HostError;
use crate::meant::Meant;
use port::{Port, Transport, is_of_this_machine};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;
use threshold_record::Role;
use threshold_wire::bulk::BulkError;
use threshold_wire::call::Message;
use threshold_wire::endpoints::{GetInfo, SayHello};
use threshold_wire::gallery::GalleryFault;
use threshold_wire::handshake::HandshakeRefusal;
use threshold_wire::message::{Armed, Nothing};
use threshold_wire::session::{self, HandshakeError, Inside, SealError};
use threshold_wire::speed::BASE;
use threshold_wire::update::UpdateRefusal;
use threshold_wire::{
    Arrived, CallError, Decoder, EncodeError, Endpoint, Frame, FrameKind, Hello, HelloRequest,
    Mismatch, RequestError, call,
};

/// How long a call waits for its answer in all: with a write that hangs at the end it stays below five seconds.
pub const PATIENCE: Duration = Duration::from_secs(4);

/// How long before a call is sent again: a full page takes 0.2 s at the slowest speed, a durable write less.
const REPEAT: Duration = Duration::from_secs(1);

/// How long a unit may take to start: loading and checking its networks takes 1.5 s here, a slow board's storage more.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at a unit that is starting.
const START_POLL: Duration = Duration::from_millis(200);

/// The build that the hello names.
pub const BUILD: &str = env!("CARGO_PKG_VERSION");

/// Why a call has no response.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The line is dead or gone.
    #[error(transparent)]
    Line(#[from] HostError),
    /// What came is not the answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The unit is of another version.
    #[error(transparent)]
    Mismatch(Box<Mismatch>),
    /// The request does not fit a frame.
    #[error(transparent)]
    TooLong(#[from] EncodeError),
    /// The unit understood and says no.
    #[error(transparent)]
    Refused(#[from] RequestError),
    /// No session was opened, or nobody was paired.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The session is over.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A transfer ended before its content was there.
    #[error(transparent)]
    Bulk(#[from] BulkError),
    /// What the unit sent is no gallery.
    #[error(transparent)]
    Gallery(#[from] GalleryFault),
    /// The unit does not update so.
    #[error(transparent)]
    Update(Box<UpdateRefusal>),
}

impl From<UpdateRefusal> for SessionError {
    fn from(refusal: UpdateRefusal) -> Self {
        Self::Update(Box::new(refusal))
    }
}

impl SessionError {
    /// The unit's own no, if it is that.
    #[must_use]
    pub fn refusal(&self) -> Option<&RequestError> {
        match self {
            Self::Refused(error) => Some(error),
            _ => None,
        }
    }
}

/// A line whose unit has answered the hello in this program's version.
pub struct Session<T> {
    line: Line<T>,
    greeting: HelloRequest,
    hello: Hello,
    /// Whose key it is sealed to.
    unit_key: Option<[u8; 32]>,
    /// What the unit lets the administrator do; `None` in the open.
    role: Option<Role>,
}

impl<T: Transport> wait::ToSomebody for Session<T> {
    fn end(&self) -> wait::End {
        let (port, unit) = (self.line.transport.name().to_owned(), self.hello.unit.to_string());
        wait::End { port, unit, key: self.unit_key }
    }
}

impl Session<Port> {
    /// Opens the port that is meant and greets its unit; waits for both as long as `--wait` says. With a unit that was paired
    /// everything that follows is sealed; with another one it goes in the open on a pseudo-terminal of this machine alone, since on any
    /// other line whoever answers under another name would be taken at its word.
    ///
    /// # Errors
    /// [`SessionError`] of the last try.
    pub fn open(meant: &Meant) -> Result<Self, SessionError> {
        Self::open_unpaired(meant)?.sealed_if_paired(meant)?.closed_to_strangers(meant)
    }

    /// The same with a unit of any version, for the rows of `update/` alone, which are those of every version.
    ///
    /// # Errors
    /// [`SessionError`] of the last try.
    pub fn open_to_update(meant: &Meant) -> Result<Self, SessionError> {
        Self::open_by(meant, Self::greet_any)?.sealed_if_paired(meant)?.closed_to_strangers(meant)
    }

    fn closed_to_strangers(self, meant: &Meant) -> Result<Self, SessionError> {
        let port = &meant.unit()?.port;
        match self.is_sealed() || is_of_this_machine(port) {
            true => Ok(self),
            false => Err(HostError::OpenLine { port: port.clone() }.into()),
        }
    }

    /// The same for whoever only looks: on any line it goes in the open with a unit that was not paired, and the unit may
    /// be of any version. Of one of another version ([`Session::mismatch`]) only the hello and the rows of `update/` can be read.
    ///
    /// # Errors
    /// [`SessionError`] of the last try.
    pub fn open_to_look(meant: &Meant) -> Result<Self, SessionError> {
        Self::open_by(meant, Self::greet_any)?.sealed_if_paired(meant)
    }

    fn sealed_if_paired(self, meant: &Meant) -> Result<Self, SessionError> {
        let mut session = self;
        if let Some((unit_key, _)) = meant.keychain.unit(&session.hello().unit)?
            && let Some(secret) = meant.keychain.secret()?
        {
            session.secure(&secret, &unit_key).map_err(|error| match error {
                SessionError::Handshake(
                    HandshakeError::Forged
                    | HandshakeError::Refused(
                        HandshakeRefusal::UnknownKey | HandshakeRefusal::Forged,
                    ),
                ) => HostError::UnitForgot { unit: session.hello().unit.to_string() }.into(),
                error => error,
            })?;
        }
        Ok(session)
    }

    /// The same, and goes in the open also with a unit that was paired: to pair again.
    ///
    /// # Errors
    /// [`SessionError`] of the last try.
    pub fn open_unpaired(meant: &Meant) -> Result<Self, SessionError> {
        Self::open_by(meant, Self::greet)
    }

    fn open_by(
        meant: &Meant,
        greet: fn(Port, &str) -> Result<Self, SessionError>,
    ) -> Result<Self, SessionError> {
        let target = meant.unit()?;
        let session = wait::until_there(meant.wait, &mut wait::Machine::new(), || {
            greet(Port::open(&target.port)?, BUILD)
        })?;
        match &target.name {
            Some(name) if *name != session.hello().unit.as_str() => Err(HostError::OtherUnit {
                port: target.port.clone(),
                name: name.clone(),
                said: session.hello().unit.as_str().to_owned(),
            }
            .into()),
            _ => Ok(session),
        }
    }

    /// The same, and waits until the unit has started: before that it has no model and no gallery to answer with.
    /// It waits as long as `--wait` says, a minute without it.
    ///
    /// # Errors
    /// [`SessionError`]. A unit that is still starting after that answers the next call itself.
    pub fn open_started(meant: &Meant) -> Result<Self, SessionError> {
        let mut session = Self::open(meant)?;
        session.await_start(meant)?;
        Ok(session)
    }

    /// Waits until the unit has started.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn await_start(&mut self, meant: &Meant) -> Result<(), SessionError> {
        let patience = meant.wait.unwrap_or(START_PATIENCE);
        self.until_started(patience, || meant.say.note("the unit is starting; waiting for it"))
    }
}

impl<T: Transport> Session<T> {
    /// Says hello over a line and checks that the unit speaks the same version.
    ///
    /// # Errors
    /// [`SessionError`]; [`SessionError::Mismatch`] names both versions.
    pub fn greet(transport: T, build: &str) -> Result<Self, SessionError> {
        let session = Self::greet_any(transport, build)?;
        match session.mismatch() {
            Some(mismatch) => Err(SessionError::Mismatch(Box::new(mismatch))),
            None => Ok(session),
        }
    }

    /// Says hello over a line, whatever version the unit speaks: for the rows that are frozen.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn greet_any(transport: T, build: &str) -> Result<Self, SessionError> {
        let mut line = Line::new(transport);
        let host = HelloRequest::of_build(build);
        let hello = line.call::<SayHello>(&host)?;
        Ok(Self { line, greeting: host, hello, unit_key: None, role: None })
    }

    /// How the unit's version and this program's differ, if they do.
    #[must_use]
    pub fn mismatch(&self) -> Option<Mismatch> {
        self.hello.check(&self.greeting).err()
    }

    /// What the unit said of itself.
    #[must_use]
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// True if what is said from here on is sealed, so that it is the paired unit's.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.line.sealed.is_some()
    }

    /// True if whoever asks is an owner. In the open a unit answers what an enroller may ask only over a line that it trusts as its
    /// owner's, so that there is nobody else to keep anything from.
    #[must_use]
    pub fn is_owners(&self) -> bool {
        self.role.is_none_or(|role| role == Role::Owner)
    }

    /// Calls the unit.
    ///
    /// # Errors
    /// [`SessionError`]; [`SessionError::Refused`] is the unit's own no.
    pub fn call<E: Endpoint>(&mut self, request: &E::Request) -> Result<E::Response, SessionError> {
        self.line.call::<E>(request)
    }

    /// Waits until the unit has started, at most so long; `waiting` is called once if it has not.
    fn until_started(
        &mut self,
        patience: Duration,
        waiting: impl FnOnce(),
    ) -> Result<(), SessionError> {
        let give_up = self.line.transport.now() + patience;
        let mut waiting = Some(waiting);
        while self.call::<GetInfo>(&Nothing {})?.armed == Armed::Starting
            && self.line.left(give_up).is_some()
        {
            if let Some(waiting) = waiting.take() {
                waiting();
            }
            self.pause(START_POLL)?;
        }
        Ok(())
    }

    /// The unit at the other end, in tests.
    #[cfg(test)]
    pub(crate) fn unit(&mut self) -> &mut T {
        &mut self.line.transport
    }

    /// Lets time pass; whatever arrives meanwhile answers nothing that is still asked.
    ///
    /// # Errors
    /// [`SessionError::Line`] if the line went away meanwhile.
    pub fn pause(&mut self, time: Duration) -> Result<(), SessionError> {
        let until = self.line.transport.now() + time;
        let mut dropped = [0; 256];
        while let Some(left) = self.line.left(until) {
            self.line.receive(&mut dropped, left)?;
        }
        Ok(())
    }
}

/// A transport with frames on it.
struct Line<T> {
    transport: T,
    decoder: Decoder,
    /// Once there is one, every call is sealed, and nothing that comes in the open is heard.
    sealed: Option<session::Session>,
    next_id: u32,
    /// The speed that it runs at, bits a second.
    baud: u32,
}

impl<T: Transport> Line<T> {
    fn new(transport: T) -> Self {
        // The standard library's hash keys are random for each process; nothing here needs more than that.
        let next_id = std::hash::RandomState::new().build_hasher().finish() as u32;
        Self { transport, decoder: Decoder::new(), sealed: None, next_id, baud: BASE }
    }

    fn call<E: Endpoint>(&mut self, request: &E::Request) -> Result<E::Response, SessionError> {
        self.call_within::<E>(request, PATIENCE, REPEAT)
    }

    /// A call that is repeated at those intervals, and given up after the patience.
    fn call_within<E: Endpoint>(
        &mut self,
        request: &E::Request,
        patience: Duration,
        repeat: Duration,
    ) -> Result<E::Response, SessionError> {
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let message = call::request_message::<E>(id, request)?;
        let start = self.transport.now();
        let give_up = start + patience;
        let broken_before = self.decoder.bad_frames();
        let mut echoed = false;
        while self.left(give_up).is_some() {
            self.send_message(&message)?;
            let until = (self.transport.now() + repeat).min(give_up);
            if let Some(answer) = self.answer::<E>(id, until, &mut echoed)? {
                return Ok(answer?);
            }
        }
        if echoed {
            return Err(CallError::NotAnAnswer.into());
        }
        let port = self.transport.name().to_owned();
        let waited_ms = (self.transport.now() - start).as_millis() as u64;
        Err(match self.decoder.bad_frames() - broken_before {
            0 => HostError::Silent { port, waited_ms },
            broken => HostError::Noisy { port, broken, waited_ms },
        }
        .into())
    }

    /// Reads until the answer to `id` or until the time is over.
    fn answer<E: Endpoint>(
        &mut self,
        id: u32,
        until: Duration,
        echoed: &mut bool,
    ) -> Result<Option<Result<E::Response, RequestError>>, SessionError> {
        let mut buffer = [0; 512];
        while let Some(left) = self.left(until) {
            let len = self.receive(&mut buffer, left)?;
            let mut bytes = &buffer[..len];
            // A broken frame may have been the answer; the call is sent again.
            while let Some(found) = self.decoder.feed_any(&mut bytes) {
                let read = match (found, &mut self.sealed) {
                    (Ok(Arrived::Open(frame)), None) => {
                        // A line may echo and carry answers as well.
                        *echoed |= frame.kind == FrameKind::Call;
                        read_answer::<E>(id, &frame)
                    }
                    (Ok(Arrived::Sealed(sealed)), Some(session)) => match session.open(&sealed) {
                        Ok(Inside::Message(frame)) => read_answer::<E>(id, &frame),
                        Ok(Inside::Bulk(_)) | Err(_) => Ok(None),
                    },
                    _ => Ok(None),
                };
                if let Some(answer) = read? {
                    return Ok(Some(answer));
                }
            }
        }
        Ok(None)
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        let runs = self.transport.set_speed(baud);
        if runs {
            self.baud = baud;
        }
        // What arrived until now was of the other speed.
        self.transport.drain();
        self.decoder.reset();
        runs
    }

    /// Sends a message, sealed anew each time if there is a session.
    fn send_message(&mut self, message: &Message) -> Result<(), SessionError> {
        let frame = match &mut self.sealed {
            Some(session) => session.seal(&Inside::Message(message.frame()))?,
            None => message.frame().encode()?,
        };
        self.send(frame.as_bytes())
    }

    fn send(&mut self, frame: &[u8]) -> Result<(), SessionError> {
        // The 00 in front ends whatever half frame stands on the line.
        match self.transport.send(&[&[0], frame].concat()) {
            // A line that takes nothing may only be busy; the call's own patience ends it.
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Ok(()),
            Err(source) => Err(self.gone(source)),
            Ok(()) => Ok(()),
        }
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> Result<usize, SessionError> {
        self.transport.receive(into, patience).map_err(|source| self.gone(source))
    }

    fn gone(&self, source: std::io::Error) -> SessionError {
        HostError::Gone { port: self.transport.name().to_owned(), source }.into()
    }

    fn left(&self, until: Duration) -> Option<Duration> {
        until.checked_sub(self.transport.now()).filter(|left| !left.is_zero())
    }
}

/// The unit's result of the call `id`, if the frame is that.
fn read_answer<E: Endpoint>(
    id: u32,
    frame: &Frame<'_>,
) -> Result<Option<Result<E::Response, RequestError>>, SessionError> {
    match call::read_answer::<E>(id, frame) {
        Ok(answer) => Ok(Some(answer)),
        Err(CallError::NotAnAnswer | CallError::OtherRequest { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::fake::{FakeUnit, Fault, store_fault};
    use super::*;
    use threshold_wire::Refusal;
    use threshold_wire::endpoints::{PutPerson, PutTemplate, SendEcho};
    use threshold_wire::message::{Echo, IfThere, PersonPut};

    fn greeting_error(unit: FakeUnit) -> SessionError {
        Session::greet(unit, "9.9.9").err().unwrap()
    }

    fn put(name: &str) -> PersonPut {
        PersonPut { name: threshold_record::Name::new(name).unwrap(), if_there: IfThere::Refuse }
    }

    #[test]
    fn a_call_is_answered() {
        let mut session = FakeUnit::new().session();
        assert_eq!(session.hello().unit.as_str(), "door");
        let mut echo = Echo { bytes: Default::default() };
        echo.bytes.extend_from_slice(&[0, 1, 0, 255]).unwrap();
        assert_eq!(session.call::<SendEcho>(&echo).unwrap(), echo);
    }

    #[test]
    fn a_call_whose_bytes_or_answer_are_lost_is_obeyed_once() {
        for fault in [
            Fault::None,
            Fault::AnswersLost(3),
            Fault::BytesLost(3),
            Fault::Noise,
            Fault::EchoAndAnswers,
        ] {
            let mut session = FakeUnit::new().session();
            session.unit().fault = fault;
            // Done twice, the second time would say that the name is taken.
            let done = session.call::<PutPerson>(&put("Ann")).unwrap();
            assert!(done.added, "{fault:?}");
            assert_eq!(session.unit().obeyed, ["hello", "gallery/person/put"], "{fault:?}");
        }
    }

    #[test]
    fn an_answer_that_comes_late_is_not_taken_for_the_next_one() {
        let mut session = FakeUnit::new().session();
        let id = session.line.next_id;
        let late = fake::foreign_answer(id.wrapping_sub(1));
        session.unit().leave_on_line(&late);
        assert_eq!(session.call::<GetInfo>(&Nothing {}).unwrap().unit.as_str(), "door");
    }

    #[test]
    fn the_units_no_stays_apart_from_faults_of_the_line() {
        let mut session = FakeUnit::new().session();
        session.call::<PutPerson>(&put("Ann")).unwrap();
        let error = session.call::<PutPerson>(&put("Ann")).unwrap_err();
        assert!(matches!(error.refusal(), Some(RequestError::NameTaken { .. })), "{error}");
        session.unit().fault = Fault::Silent;
        let error = session.call::<GetInfo>(&Nothing {}).unwrap_err();
        assert!(error.refusal().is_none());
    }

    #[test]
    fn every_dead_line_ends_within_five_seconds_in_an_error_of_its_own() {
        let check = |fault: Fault, expected: &str| {
            for at_once in [true, false] {
                let unit = FakeUnit::with(if at_once { fault } else { Fault::None });
                let start = unit.now;
                let (error, end) = if at_once {
                    let mut line = Line::new(unit);
                    let hello = HelloRequest::of_build("9.9.9");
                    (line.call::<SayHello>(&hello).unwrap_err(), line.transport.now)
                } else {
                    let mut session = unit.session();
                    session.unit().fault = fault;
                    (session.call::<GetInfo>(&Nothing {}).unwrap_err(), session.unit().now)
                };
                let text = error.to_string();
                assert!(text.contains(expected), "{fault:?}: {text}");
                let took = end - start;
                assert!(took < Duration::from_secs(5), "{fault:?} took {took:?}");
            }
        };
        check(Fault::Silent, "did not answer within 4000 ms");
        check(Fault::AnswersLost(u32::MAX), "did not answer");
        check(Fault::Stuck, "did not answer");
        check(Fault::Broken, "is broken: 4 frames");
        check(Fault::Echo, "sends back what is written to it");
        check(Fault::GoneAfter(0), "was unplugged");
    }

    #[test]
    fn another_version_is_named_with_both_ends_and_the_remedy() {
        let mut unit = FakeUnit::new();
        unit.hello.protocol += 1;
        unit.hello.build = "10.0.0".try_into().unwrap();
        let error = anyhow::Error::new(greeting_error(unit));
        let text = crate::remedy::without(&error);
        assert!(text.contains("build 9.9.9") && text.contains("build 10.0.0"), "{text}");
        assert_eq!(crate::remedy::of(&error), "update this program to build 10.0.0");
    }

    #[test]
    fn a_refusal_ends_the_call() {
        let mut session = FakeUnit::new().session();
        session.unit().refusal = Some(Refusal::UnknownEndpoint);
        let error = session.call::<GetInfo>(&Nothing {}).unwrap_err();
        assert!(matches!(error, SessionError::Call(CallError::Refused(Refusal::UnknownEndpoint))));
    }

    #[test]
    fn a_unit_that_is_starting_is_waited_for_no_longer_than_the_patience() {
        // A call takes the fake unit some milliseconds, so the end of the wait is known to a poll or two.
        let check = |start_ms: u64, least_ms: u64, said: bool| {
            let mut session = FakeUnit::new().session();
            let now = session.unit().now;
            session.unit().starts_at = now + Duration::from_millis(start_ms);
            let mut told = false;
            session.until_started(START_PATIENCE, || told = true).unwrap();
            let waited_ms = (session.unit().now - now).as_millis() as u64;
            assert!((least_ms..least_ms + 500).contains(&waited_ms), "{start_ms}: {waited_ms}");
            assert_eq!(told, said, "{start_ms}");
        };
        check(0, 0, false);
        check(1500, 1500, true);
        check(3_600_000, 60_000, true);
    }

    #[test]
    fn a_pause_takes_its_time_and_drops_what_arrives() {
        let mut session = FakeUnit::new().session();
        session.unit().leave_on_line(b"late");
        let start = session.unit().now;
        session.pause(Duration::from_millis(300)).unwrap();
        assert_eq!(session.unit().now - start, Duration::from_millis(300));
    }

    #[test]
    fn a_store_that_fails_is_the_units_no() {
        let mut session = FakeUnit::new().session();
        let person = session.call::<PutPerson>(&put("Ann")).unwrap().person;
        session.unit().refused = Some(store_fault());
        let error = session.call::<PutTemplate>(&fake::template(person)).unwrap_err();
        assert_eq!(error.refusal(), Some(&store_fault()));
    }
}
