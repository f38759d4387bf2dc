//! A unit that was taken over, against the host: what it announces and sends in bulk costs the host bounded memory and time,
//! and nothing that is not right is kept.

use crate::keys::{administrator, key};
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;
use threshold_host::cmd::gallery::copy::listing;
use threshold_host::cmd::gallery::push::{Source, push_into};
use threshold_host::say::Say;
use threshold_host::session::bulk::Part;
use threshold_host::session::port::Transport;
use threshold_host::session::{Session, SessionError};
use threshold_record::{ModelId, Name, Person, PersonId, Role};
use threshold_wire::bulk::{BulkError, Content as Whole, Packet, Progress, Stage, Status, Window};
use threshold_wire::call::{self, Message};
use threshold_wire::endpoints::{
    ApplyGallery, Call, GetInfo, OpenSession, SayHello, StartPull, StartPush,
};
use threshold_wire::gallery::content::{self, Content, Origin, Told};
use threshold_wire::gallery::{GalleryApplied, GalleryFault, LEFT_OUT, LeftOut, Why};
use threshold_wire::message::{PullOffer, PullWhat, PushAccepted};
use threshold_wire::session::{Held, Inside, accept};
use threshold_wire::{Arrived, Decoder, Hello, HelloRequest, RequestError};

const UNIT: u8 = 0x51;

/// What it does wrong.
#[derive(Clone, Debug)]
enum Wrong {
    /// It announces so many bytes.
    Announces(u64),
    /// It offers a window that is none.
    Window,
    /// It asks for ever, and sends nothing.
    AsksForEver,
    /// It sends a chunk with this number, of so many bytes.
    Chunk(u32, usize),
    /// It sends this, under the hash of something else if told.
    Sends(Vec<u8>, bool),
    /// It says that it has what was never sent.
    Has(Progress),
    /// It takes a push and never ends applying it, leaving out so many at each call.
    AppliesForEver(u8),
}

struct Hostile {
    wrong: Wrong,
    now: Duration,
    decoder: Decoder,
    held: Held<u8>,
    greeting: Option<HelloRequest>,
    arrived: VecDeque<u8>,
    /// Chunks that are sent next.
    chunks: VecDeque<(u32, Vec<u8>)>,
    started: bool,
    /// Bytes that it was given in chunks.
    pushed: usize,
}

fn hello() -> Hello {
    Hello::of_unit("door", "t")
}

fn session(wrong: Wrong) -> Session<Hostile> {
    let unit = Hostile {
        wrong,
        now: Duration::from_secs(100),
        decoder: Decoder::new(),
        held: Held::default(),
        greeting: None,
        arrived: VecDeque::new(),
        chunks: VecDeque::new(),
        started: false,
        pushed: 0,
    };
    let mut session = Session::greet(unit, "t").unwrap();
    session.secure(&key(1), key(UNIT).public()).unwrap();
    session
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

impl Hostile {
    fn obey(&mut self, frame: &threshold_wire::Frame<'_>) -> Option<Message> {
        let id = frame.id;
        let window = Window::of_baud(115_200);
        match Call::read(frame).ok()? {
            Call::StartPull(_) => {
                self.started = true;
                let mut offer =
                    PullOffer { transfer: 1, content: Whole { len: 5_000, hash: [7; 32] }, window };
                match &self.wrong {
                    Wrong::Announces(len) => offer.content.len = *len,
                    Wrong::Window => offer.window = Window { chunk_bytes: 7, chunks: 200 },
                    Wrong::Sends(bytes, honest) => {
                        let sum = if *honest { hash(bytes) } else { [7; 32] };
                        offer.content = Whole { len: bytes.len() as u64, hash: sum };
                        let chunks = bytes.chunks(512).map(<[u8]>::to_vec);
                        self.chunks = (0..).zip(chunks).collect();
                    }
                    Wrong::Chunk(index, len) => self.chunks.push_back((*index, vec![1; *len])),
                    // Whom it has is asked for first.
                    Wrong::AppliesForEver(_) => {
                        let bytes = threshold_wire::gallery::listing::write(
                            &ORIGIN,
                            &[],
                            std::iter::empty(),
                        );
                        offer.content = Whole { len: bytes.len() as u64, hash: hash(&bytes) };
                        self.chunks.push_back((0, bytes));
                    }
                    _ => {}
                }
                call::answer_message::<StartPull>(id, &Ok(offer)).ok()
            }
            Call::StartPush(_) => {
                self.started = true;
                let progress = match self.wrong {
                    Wrong::Has(progress) => progress,
                    _ => Progress::default(),
                };
                let accepted = PushAccepted { transfer: 1, window, progress };
                call::answer_message::<StartPush>(id, &Ok(accepted)).ok()
            }
            Call::ApplyGallery(_) => {
                let Wrong::AppliesForEver(count) = self.wrong else { return None };
                let name = Name::new("x").unwrap();
                let left = LeftOut { person: PersonId(1), name, why: Why::Removed };
                let applied = GalleryApplied {
                    added: 0,
                    changed: 0,
                    equal: 0,
                    templates: 0,
                    left_out: vec![left; usize::from(count)].into_iter().collect(),
                    generation: 1,
                    done: false,
                };
                call::answer_message::<ApplyGallery>(id, &Ok(applied)).ok()
            }
            _ => call::answer_message::<GetInfo>(id, &Err(RequestError::NoSuchContent)).ok(),
        }
    }

    fn say(&mut self, inside: &Inside<'_>) {
        if let Ok(frame) = self.held.seal(inside) {
            self.arrived.extend(frame.as_bytes());
        }
    }
}

impl Transport for Hostile {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let mut decoder = std::mem::take(&mut self.decoder);
        while let Some(Ok(found)) = decoder.feed_any(&mut bytes) {
            match found {
                Arrived::Open(frame) => {
                    let answer = match Call::read(&frame) {
                        Ok(Call::SayHello(host)) => {
                            self.greeting = Some(host);
                            call::answer::<SayHello>(frame.id, &Ok(hello())).unwrap()
                        }
                        Ok(Call::OpenSession(request)) => {
                            let roster = [administrator(1, Role::Owner)];
                            let host = self.greeting.clone().unwrap();
                            let accepted =
                                accept(&request, &host, &hello(), &key(UNIT), &roster).unwrap();
                            self.held.accepted(accepted.session, 1);
                            call::answer::<OpenSession>(frame.id, &Ok(accepted.answer)).unwrap()
                        }
                        _ => continue,
                    };
                    self.arrived.extend(answer.as_bytes());
                }
                Arrived::Sealed(sealed) => {
                    let mut held = std::mem::take(&mut self.held);
                    let call = match held.open(&sealed) {
                        Ok(Inside::Message(frame)) => {
                            Some((frame.kind, frame.id, frame.key, frame.body.to_vec()))
                        }
                        Ok(Inside::Bulk(Packet::Chunk { bytes, .. })) => {
                            self.pushed += bytes.len();
                            None
                        }
                        _ => None,
                    };
                    self.held = held;
                    if let Some((kind, id, key, body)) = call {
                        let frame = threshold_wire::Frame { kind, id, key, body: &body };
                        if let Some(message) = self.obey(&frame) {
                            self.say(&Inside::Message(message.frame()));
                        }
                    }
                }
            }
        }
        self.decoder = decoder;
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        if self.arrived.is_empty() && self.started {
            if let Some((index, bytes)) = self.chunks.pop_front() {
                let chunk = Packet::Chunk { transfer: 1, index, bytes: &bytes };
                self.say(&Inside::Bulk(chunk));
            } else if let Wrong::AsksForEver = self.wrong {
                self.now += Duration::from_millis(500);
                self.say(&Inside::Bulk(Packet::Query { transfer: 1 }));
            } else if let Wrong::AppliesForEver(_) = self.wrong {
                let n_chunks = self.pushed.div_ceil(512) as u32;
                let status = Status {
                    transfer: 1,
                    stage: Stage::Done,
                    progress: Progress { next: n_chunks, map: 0 },
                    seen: 1_000,
                };
                self.say(&Inside::Bulk(Packet::Status(status)));
            }
        }
        if self.arrived.is_empty() {
            self.now += patience.min(Duration::from_millis(20)).max(Duration::from_millis(1));
        }
        let len = into.len().min(self.arrived.len());
        into.iter_mut().zip(self.arrived.drain(..len)).for_each(|(into, byte)| *into = byte);
        Ok(len)
    }

    fn set_speed(&mut self, _: u32) -> bool {
        true
    }

    fn drain(&mut self) {
        self.arrived.clear();
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn name(&self) -> &str {
        "hostile"
    }
}

const ORIGIN: Origin = Origin { model: ModelId([7; 32]), store_id: [9; 16], generation: 5 };

fn sound() -> Vec<u8> {
    let people: Vec<Person> =
        (1..=300).map(|id| Person::new(PersonId(id), &format!("Person {id}")).unwrap()).collect();
    let told = people.iter().map(|person| Told { person, access: None, templates: &[] });
    content::write(&ORIGIN, [].iter(), told).unwrap()
}

#[test]
fn what_a_hostile_unit_sends_is_refused_in_bounded_memory_and_time() {
    let pull = |wrong: &Wrong| {
        let mut session = session(wrong.clone());
        session.pull_gallery(PullWhat::Gallery, &mut Part::default(), &mut |_, _| {})
    };
    let check = |wrong: Wrong, expected: fn(&SessionError) -> bool| {
        let outcome = pull(&wrong);
        assert!(outcome.as_ref().is_err_and(expected), "{wrong:?}: {outcome:?}");
    };
    let long =
        |error: &SessionError| matches!(error, SessionError::Bulk(BulkError::TooLong { .. }));
    check(Wrong::Announces(u64::MAX), long);
    check(Wrong::Announces((64 << 20) + 1), long);
    // Room is made for what comes, not for what is announced.
    check(Wrong::Announces(64 << 20), |error| {
        matches!(error, SessionError::Bulk(BulkError::Dead { .. }))
    });
    check(Wrong::Window, |error| {
        matches!(error, SessionError::Bulk(BulkError::BadWindow { chunk_bytes: 7, chunks: 200 }))
    });
    check(Wrong::AsksForEver, |error| {
        matches!(error, SessionError::Bulk(BulkError::TooNoisy { .. }))
    });
    let bad_peer = |error: &SessionError| matches!(error, SessionError::Bulk(BulkError::BadPeer));
    for (index, len) in [(10, 512), (u32::MAX, 512), (0, 511), (0, 0), (9, 4096)] {
        check(Wrong::Chunk(index, len), bad_peer);
    }
    check(Wrong::Sends(vec![1; 3000], false), |error| {
        matches!(error, SessionError::Bulk(BulkError::Mismatch))
    });
    // What arrives whole is read before it is kept, and a name that misleads is no name.
    let bytes = pull(&Wrong::Sends(vec![1; 3000], true)).unwrap();
    assert_eq!(Content::read(bytes).unwrap_err(), GalleryFault::NotAGallery);
    let mut named = sound();
    named[82..88].copy_from_slice(b"\x1b[2J\r\n");
    named.truncate(named.len() - 32);
    let sum = hash(&named);
    named.extend_from_slice(&sum);
    let bytes = pull(&Wrong::Sends(named.clone(), true)).unwrap();
    assert_eq!(Content::read(bytes).unwrap_err(), GalleryFault::Damaged { at: 77 });
    let said = listing(&mut session(Wrong::Sends(named, true)), Say::new(true));
    assert!(matches!(said, Err(SessionError::Gallery(GalleryFault::NotAGallery))), "{said:?}");
}

#[test]
fn a_hostile_unit_cannot_keep_a_push_going_for_ever() {
    let bytes = sound();
    let mut sealed = session(Wrong::AppliesForEver(LEFT_OUT as u8));
    let path = Path::new("file");
    let outcome = push_into(&mut sealed, Say::new(true), path, Source::Sealed(&bytes));
    assert!(matches!(outcome, Err(SessionError::Bulk(BulkError::BadPeer))), "{outcome:?}");
    for progress in [
        Progress { next: u32::MAX, map: 0 },
        Progress { next: 0, map: 1 },
        Progress { next: 0, map: u64::MAX - 1 },
    ] {
        let outcome = session(Wrong::Has(progress)).push_gallery(&bytes, &mut |_, _| {});
        assert!(matches!(outcome, Err(SessionError::Bulk(BulkError::BadPeer))), "{outcome:?}");
    }
}
