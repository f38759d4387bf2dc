//! The two ends of a fault line: a host and a unit that run the machines of `threshold_wire` as the real ones do.
//!
//! Owns the loop: read what has arrived, answer, send calls before statuses and statuses before chunks while the line has
//! room, let time pass until something can happen.

use std::collections::VecDeque;
use threshold_record::{Administrator, Name, Role};
use threshold_tests::fault_line::{FaultLine, Faults};
use threshold_wire::bulk::{
    BulkError, Content, Packet, Progress, Receiver, Resume, Send, Sender, Stage, Status, Window,
};
use threshold_wire::call::{self, Message};
use threshold_wire::endpoints::{
    Call, Endpoint, GetInfo, OpenSession, SayHello, SendEcho, StartPull,
};
use threshold_wire::handshake::SessionOpened;
use threshold_wire::message::{PullOffer, PullWhat, RequestError};
use threshold_wire::session::{Accepted, Held, Inside, Opening, SecretKey, accept};
use threshold_wire::{Arrived, Decoder, Frame, Hello, HelloRequest};

/// How long a call waits for its answer, and how long before it is sent again, as the host does.
const PATIENCE_MS: u64 = 4_000;
const REPEAT_MS: u64 = 1_000;

/// The longest frame that an end queues behind another.
const ROOM_BYTES: usize = 600;

pub(crate) fn unit_key() -> SecretKey {
    SecretKey::of_bytes([0x51; 32]).unwrap()
}

pub(crate) fn owner_key() -> SecretKey {
    SecretKey::of_bytes([0x72; 32]).unwrap()
}

pub(crate) fn owner() -> Administrator {
    Administrator { key: *owner_key().public(), name: Name::new("Ada").unwrap(), role: Role::Owner }
}

pub(crate) fn host_hello() -> HelloRequest {
    HelloRequest::of_build("0.1.0")
}

pub(crate) fn unit_hello() -> Hello {
    Hello::of_unit("north door", "0.1.0")
}

/// What an operation on the line ended with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LineError {
    /// No answer.
    Dead,
    /// The unit's no.
    Request(RequestError),
    /// A transfer's end.
    Bulk(BulkError),
}

/// One end.
#[derive(Default)]
pub(crate) struct End {
    decoder: Decoder,
    held: Held<Administrator>,
    /// Frames and messages that go before any packet.
    plain: VecDeque<Vec<u8>>,
    messages: VecDeque<Message>,
    packets: VecDeque<Status>,
    pub(crate) sender: Option<(Sender, Vec<u8>)>,
    pub(crate) receiver: Option<(Receiver, Vec<u8>)>,
    /// Answers that arrived: id, and the frame's kind, key and body behind a checksum again.
    answers: Vec<(u32, Vec<u8>)>,
    pub(crate) failed: Option<BulkError>,
    /// What the unit has: the bytes of its log, from sequence 1.
    pub(crate) log: Vec<u8>,
    greeted: Option<HelloRequest>,
    transfer: u8,
    baud: u32,
    /// Chunks that arrived and were taken.
    pub(crate) chunks_taken: u64,
}

pub(crate) struct World {
    pub(crate) line: FaultLine,
    pub(crate) host: End,
    pub(crate) unit: End,
    next_id: u32,
}

impl World {
    pub(crate) fn new(faults: Faults, seed: u64) -> Self {
        let baud = faults.baud as u32;
        let end = || End { baud, ..End::default() };
        Self { line: FaultLine::new(faults, seed), host: end(), unit: end(), next_id: seed as u32 }
    }

    /// A world with a session at both ends, made beside the line.
    pub(crate) fn in_session(faults: Faults, seed: u64) -> Self {
        let mut world = Self::new(faults, seed);
        let (host, unit) = (host_hello(), unit_hello());
        let key = *unit_key().public();
        let (opening, request) = Opening::start(&host, &unit, &owner_key(), &key).unwrap();
        let roster = [owner()];
        let accepted = accept(&request, &host, &unit, &unit_key(), &roster).unwrap();
        world.unit.held.accepted(accepted.session, owner());
        let (session, _) = opening.finish(&accepted.answer).unwrap();
        world.host.take_session(session);
        world
    }

    /// Greets the unit and opens a session over the line.
    pub(crate) fn connect(&mut self) -> Result<(), LineError> {
        let host = host_hello();
        let hello = self.call_open::<SayHello>(&host)?;
        let key = *unit_key().public();
        let (opening, request) = Opening::start(&host, &hello, &owner_key(), &key).unwrap();
        let answer = self.call_open::<OpenSession>(&request)?;
        let (session, role) = opening.finish(&answer).unwrap();
        assert_eq!(role, Role::Owner);
        self.host.take_session(session);
        Ok(())
    }

    /// A call before there is a session.
    pub(crate) fn call_open<E: Endpoint>(
        &mut self,
        request: &E::Request,
    ) -> Result<E::Response, LineError> {
        let id = self.id();
        let frame = call::request::<E>(id, request).unwrap().as_bytes().to_vec();
        self.answer::<E>(id, |host| host.plain.push_back([&[0], &frame[..]].concat()))
    }

    /// A call in the session.
    pub(crate) fn call<E: Endpoint>(
        &mut self,
        request: &E::Request,
    ) -> Result<E::Response, LineError> {
        let id = self.id();
        let message = call::request_message::<E>(id, request).unwrap();
        self.answer::<E>(id, |host| host.messages.push_back(message.clone()))
    }

    fn id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn answer<E: Endpoint>(
        &mut self,
        id: u32,
        ask: impl Fn(&mut End),
    ) -> Result<E::Response, LineError> {
        let give_up_ms = self.line.now_ms() + PATIENCE_MS;
        while self.line.now_ms() < give_up_ms {
            ask(&mut self.host);
            let repeat_ms = (self.line.now_ms() + REPEAT_MS).min(give_up_ms);
            self.run(repeat_ms, |world| world.host.answers.iter().any(|(found, _)| *found == id));
            if let Some(at) = self.host.answers.iter().position(|(found, _)| *found == id) {
                let (_, line) = self.host.answers.swap_remove(at);
                self.host.answers.clear();
                let frame = lone(&line);
                let read = call::read_answer::<E>(id, &frame.as_frame()).unwrap();
                return read.map_err(LineError::Request);
            }
        }
        Err(LineError::Dead)
    }

    /// Pushes a content to the unit, which has nothing of it.
    pub(crate) fn push(&mut self, bytes: &[u8], window: Window) -> Result<(), LineError> {
        self.start_push(bytes, window);
        self.until_sent()
    }

    /// Lets a push begin.
    pub(crate) fn start_push(&mut self, bytes: &[u8], window: Window) {
        let (content, now_ms) = (content_of(bytes), self.line.now_ms());
        let receiver = Receiver::new(1, content, window, None, now_ms).unwrap();
        self.unit.receiver = Some((receiver, vec![0; bytes.len()]));
        self.unit.check_whole();
        let (none, baud) = (Progress::default(), self.host.baud);
        let sender = Sender::new(1, content, window, none, baud, now_ms).unwrap();
        self.host.sender = Some((sender, bytes.to_vec()));
    }

    /// Lets a push go on behind what the unit kept of it.
    pub(crate) fn go_on(&mut self, bytes: &[u8], window: Window, kept: &Resume, staged: Vec<u8>) {
        let (content, now_ms) = (content_of(bytes), self.line.now_ms());
        let receiver = Receiver::new(2, content, window, Some(kept), now_ms).unwrap();
        let progress = receiver.progress();
        self.unit.receiver = Some((receiver, staged));
        let baud = self.host.baud;
        let sender = Sender::new(2, content, window, progress, baud, now_ms).unwrap();
        self.host.sender = Some((sender, bytes.to_vec()));
        self.unit.failed = None;
    }

    /// Runs until the host's content has arrived.
    pub(crate) fn until_sent(&mut self) -> Result<(), LineError> {
        let done = |end: &End| end.sender.as_ref().is_none_or(|(sender, _)| sender.is_done());
        self.run(u64::MAX, |world| done(&world.host) || world.host.failed.is_some());
        self.host.failed.take().map_or(Ok(()), |error| Err(LineError::Bulk(error)))
    }

    /// Pulls a content; gives what arrived of it without a gap, and why it ended.
    pub(crate) fn pull(&mut self, what: PullWhat) -> (Vec<u8>, Result<(), LineError>) {
        let window = Window::of_baud(self.line.faults.baud as u32);
        let request = threshold_wire::message::PullRequest { what, window, kept: None };
        let PullOffer { transfer, content, window } = match self.call::<StartPull>(&request) {
            Ok(offer) => offer,
            Err(error) => return (vec![], Err(error)),
        };
        let now_ms = self.line.now_ms();
        let receiver = Receiver::new(transfer, content, window, None, now_ms).unwrap();
        self.host.receiver = Some((receiver, vec![0; content.len as usize]));
        self.host.check_whole();
        let done = |end: &End| end.receiver.as_ref().is_none_or(|(receiver, _)| receiver.is_done());
        self.run(u64::MAX, |world| done(&world.host) || world.host.failed.is_some());
        let outcome = self.host.failed.take().map_or(Ok(()), |error| Err(LineError::Bulk(error)));
        let Some((receiver, mut bytes)) = self.host.receiver.take() else {
            return (vec![], outcome);
        };
        let chunk = usize::from(receiver.resume().chunk_bytes);
        bytes.truncate((receiver.progress().next as usize * chunk).min(bytes.len()));
        (bytes, outcome)
    }

    /// Runs until a condition holds or until then.
    pub(crate) fn run(&mut self, until_ms: u64, done: impl Fn(&Self) -> bool) {
        while self.line.now_ms() < until_ms {
            let now_ms = self.line.now_ms();
            for end in 0..2 {
                let bytes = self.line.read(end);
                if !bytes.is_empty() {
                    self.end(end).take(&bytes, now_ms, end == 1);
                }
            }
            let mut next_ns = until_ms.saturating_mul(1_000_000);
            for end in 0..2 {
                while self.line.has_room(end, ROOM_BYTES) {
                    let Some(frame) = self.end(end).next_frame(now_ms) else { break };
                    self.line.write(end, &frame);
                }
                if self.line.has_room(end, ROOM_BYTES) {
                    next_ns = next_ns.min(self.end(end).due_ms().saturating_mul(1_000_000));
                } else {
                    next_ns = next_ns.min(self.line.room_ns(end, ROOM_BYTES));
                }
            }
            for end in 0..2 {
                next_ns = next_ns.min(self.line.next_ns(end).unwrap_or(u64::MAX));
            }
            if done(self) {
                return;
            }
            self.line.pass_until(next_ns);
        }
    }

    fn end(&mut self, end: usize) -> &mut End {
        if end == 0 { &mut self.host } else { &mut self.unit }
    }
}

impl End {
    pub(crate) fn take_session(&mut self, session: threshold_wire::session::Session) {
        self.held = Held::of(session, owner());
        (self.sender, self.receiver, self.failed) = (None, None, None);
        self.messages.clear();
        self.packets.clear();
    }

    fn take(&mut self, mut bytes: &[u8], now_ms: u64, unit: bool) {
        let mut decoder = std::mem::take(&mut self.decoder);
        while let Some(found) = decoder.feed_any(&mut bytes) {
            match found {
                Ok(Arrived::Open(frame)) if unit => self.greet(&frame),
                Ok(Arrived::Open(frame)) => self.keep(&frame),
                Ok(Arrived::Sealed(sealed)) => {
                    let mut held = std::mem::take(&mut self.held);
                    if let Ok(inside) = held.open(&sealed) {
                        if let Some((receiver, _)) = &mut self.receiver {
                            receiver.saw(sealed.nonce, now_ms);
                        }
                        if let Some((sender, _)) = &mut self.sender {
                            sender.heard(now_ms);
                        }
                        match inside {
                            Inside::Message(frame) if unit => self.obey(&frame, now_ms),
                            Inside::Message(frame) => self.keep(&frame),
                            Inside::Bulk(packet) => self.packet(&packet, now_ms),
                        }
                    }
                    self.held = held;
                }
                Err(_) => {}
            }
        }
        self.decoder = decoder;
    }

    /// The unit answers what anyone may call.
    fn greet(&mut self, frame: &Frame<'_>) {
        let answer = match Call::read(frame) {
            Ok(Call::SayHello(host)) => {
                self.greeted = Some(host);
                call::answer::<SayHello>(frame.id, &Ok(unit_hello()))
            }
            Ok(Call::OpenSession(request)) => {
                let roster = [owner()];
                let host = self.greeted.clone().unwrap();
                let answer = match accept(&request, &host, &unit_hello(), &unit_key(), &roster) {
                    Ok(Accepted { administrator, session, answer }) => {
                        self.held.accepted(session, administrator.clone());
                        answer
                    }
                    Err(refusal) => SessionOpened::Refused(refusal),
                };
                call::answer::<OpenSession>(frame.id, &Ok(answer))
            }
            _ => call::answer::<GetInfo>(frame.id, &Err(RequestError::InsecureLink)),
        };
        self.plain.push_back(answer.unwrap().as_bytes().to_vec());
    }

    /// The unit answers what a session may call.
    fn obey(&mut self, frame: &Frame<'_>, now_ms: u64) {
        let message = match Call::read(frame) {
            Ok(Call::SendEcho(echo)) => call::answer_message::<SendEcho>(frame.id, &Ok(echo)),
            Ok(Call::StartPull(request)) => {
                let PullWhat::Log { from } = request.what else { return };
                let start = (from.max(1) as usize - 1) * 64;
                let len = 64 * threshold_wire::message::LOG_PULL_ENTRIES as usize;
                let bytes = self.log.get(start..).unwrap_or(&[]);
                let bytes = bytes[..bytes.len().min(len)].to_vec();
                let content = content_of(&bytes);
                let window = Window::of_baud(self.baud).agreed(request.window).unwrap();
                self.transfer = self.transfer.wrapping_add(1);
                let (transfer, baud) = (self.transfer, self.baud);
                let none = Progress::default();
                let sender = Sender::new(transfer, content, window, none, baud, now_ms).unwrap();
                (self.sender, self.receiver, self.failed) = (Some((sender, bytes)), None, None);
                let offer = PullOffer { transfer, content, window };
                call::answer_message::<StartPull>(frame.id, &Ok(offer))
            }
            _ => call::answer_message::<GetInfo>(frame.id, &Err(RequestError::NoSuchContent)),
        };
        self.messages.push_back(message.unwrap());
    }

    fn keep(&mut self, frame: &Frame<'_>) {
        self.answers.push((frame.id, frame.encode().unwrap().as_bytes().to_vec()));
    }

    fn packet(&mut self, packet: &Packet<'_>, now_ms: u64) {
        let transfer = packet.transfer();
        match *packet {
            Packet::Chunk { index, bytes, .. } => {
                let Some((receiver, staging)) = &mut self.receiver else { return };
                match receiver.take(transfer, index, bytes) {
                    Ok(Some(write)) => {
                        let start = write.offset as usize;
                        staging[start..start + write.bytes.len()].copy_from_slice(write.bytes);
                        self.chunks_taken += 1;
                    }
                    Ok(None) => {}
                    Err(error) => self.failed = Some(error),
                }
                self.check_whole();
            }
            Packet::Query { .. } => match &mut self.receiver {
                Some((receiver, _)) if receiver.transfer() == transfer => receiver.take_query(),
                _ => self.packets.push_back(Status {
                    transfer,
                    stage: Stage::Unknown,
                    progress: Progress::default(),
                    seen: 0,
                }),
            },
            Packet::Status(status) => {
                if let Some((sender, _)) = &mut self.sender
                    && let Err(error) = sender.take(&status, now_ms)
                {
                    self.failed = Some(error);
                }
            }
        }
    }

    /// The owner's part once every chunk is there.
    fn check_whole(&mut self) {
        if let Some((receiver, staging)) = &mut self.receiver
            && receiver.is_whole()
            && let Err(error) = receiver.checked(blake3::hash(staging).as_bytes())
        {
            self.failed = Some(error);
        }
    }

    /// What goes on the line next: calls and answers, then statuses, then chunks.
    fn next_frame(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        if let Some(frame) = self.plain.pop_front() {
            return Some(frame);
        }
        let session = self.held.session()?;
        let mut seal =
            |inside: &Inside<'_>| Some(session.seal(inside).unwrap().as_bytes().to_vec());
        if let Some(message) = self.messages.pop_front() {
            return seal(&Inside::Message(message.frame()));
        }
        if let Some(status) = self.packets.pop_front() {
            return seal(&Inside::Bulk(Packet::Status(status)));
        }
        if let Some((receiver, _)) = self.receiver.as_mut().filter(|_| self.failed.is_none()) {
            match receiver.poll(now_ms) {
                Ok(Some(status)) => return seal(&Inside::Bulk(Packet::Status(status))),
                Ok(None) => {}
                Err(error) => self.failed = Some(error),
            }
        }
        let mark = self.held.session()?.next_mark();
        let (sender, content) = self.sender.as_mut()?;
        let transfer = sender.transfer();
        let packet = match sender.poll(now_ms, mark) {
            Ok(Some(Send::Chunk { index, offset, len })) => {
                let bytes = &content[offset as usize..offset as usize + len];
                Packet::Chunk { transfer, index, bytes }
            }
            Ok(Some(Send::Query)) => Packet::Query { transfer },
            Ok(None) => return None,
            Err(error) => {
                self.failed = Some(error);
                self.sender = None;
                return None;
            }
        };
        let frame = self.held.session()?.seal(&Inside::Bulk(packet)).unwrap();
        Some(frame.as_bytes().to_vec())
    }

    fn due_ms(&self) -> u64 {
        if self.failed.is_some() {
            return u64::MAX;
        }
        let sender = self.sender.as_ref().filter(|(sender, _)| !sender.is_done());
        let sender = sender.map_or(u64::MAX, |(sender, _)| sender.due_ms());
        let receiver = self.receiver.as_ref().filter(|(receiver, _)| !receiver.is_done());
        sender.min(receiver.map_or(u64::MAX, |(receiver, _)| receiver.due_ms()))
    }
}

pub(crate) fn content_of(bytes: &[u8]) -> Content {
    Content { len: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes() }
}

/// A frame that outlives its bytes.
pub(crate) struct Kept {
    kind: threshold_wire::FrameKind,
    id: u32,
    key: [u8; 8],
    body: Vec<u8>,
}

impl Kept {
    pub(crate) fn as_frame(&self) -> Frame<'_> {
        Frame { kind: self.kind, id: self.id, key: self.key, body: &self.body }
    }
}

pub(crate) fn lone(mut line: &[u8]) -> Kept {
    let mut decoder = Decoder::new();
    let Frame { kind, id, key, body } = decoder.feed(&mut line).unwrap().unwrap();
    Kept { kind, id, key, body: body.to_vec() }
}
