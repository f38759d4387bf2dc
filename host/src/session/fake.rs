//! A unit in this process with a clock of its own: what the tests of session and commands talk to.
//!
//! Owns a small gallery, a small log and the faults of a line. Refuses to sleep: time passes when somebody waits.

#![allow(clippy::unwrap_used, reason = "tests")]

use super::Session;
use super::port::Transport;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::time::Duration;
use threshold_record::{
    Administrator, Cause, Context, EnrolmentEnd, EntryKind, KeyId, KeyTag, LogEntry, Metric, Mode,
    ModelContext, ModelId, Name, PersonId, Presentation, Role, Schedule, Score, Template,
    Threshold, ThresholdRule, WallTime,
};
use threshold_wire::access::SchedulePage;
use threshold_wire::commission::Commission;
use threshold_wire::endpoints as at;
use threshold_wire::enrolment::{EnrolmentBegun, EnrolmentKept, EnrolmentStage, EnrolmentStatus};
use threshold_wire::handshake::{
    HandshakeRefusal, PairFinished, PairStarted, SessionOpen, SessionOpened,
};
use threshold_wire::message::{
    Armed, EngineState, GalleryAgainDone, GalleryInfo, GalleryPage, GallerySearchDone, IfThere,
    Info, LogHead, LogPage, ModelInfo, PersonPutDone, PersonRemoveDone, PersonSummary, Resembled,
    TemplatePut, TemplatePutDone, TemplateRedundantDone, WantedId,
};
use threshold_wire::policy::{OnePolicy, PolicyInfo};
use threshold_wire::session::{Held, Inside, SecretKey, accept};
use threshold_wire::speed::{BASE, SpeedAtUnit};
use threshold_wire::stats::HeatState;
use threshold_wire::update::{SlotsTold, UpdateRefusal};
use threshold_wire::{
    Arrived, Call, Decoder, Encoded, Endpoint, Frame, FrameKind, Hello, HelloRequest, LastAnswer,
    Refusal, RequestError, call,
};

/// What is wrong with the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing.
    None,
    /// Nobody is there.
    Silent,
    /// The next answers are lost.
    AnswersLost(u32),
    /// The next calls lose a byte in the middle.
    BytesLost(u32),
    /// Noise arrives before every answer.
    Noise,
    /// A byte of every answer is changed.
    Broken,
    /// What is written comes back, and nothing else.
    Echo,
    /// What is written comes back before the answer.
    EchoAndAnswers,
    /// The line takes no bytes.
    Stuck,
    /// The line is unplugged after so many more calls.
    GoneAfter(u32),
}

/// The model that the unit runs on.
pub(crate) const MODEL: ModelId = ModelId([7; 32]);

/// The unit.
pub(crate) struct FakeUnit {
    pub(crate) now: Duration,
    pub(crate) fault: Fault,
    pub(crate) hello: Hello,
    pub(crate) people: Vec<PersonSummary>,
    pub(crate) generation: u64,
    /// Whose ids are never used again.
    pub(crate) removed: BTreeSet<PersonId>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) contexts: Vec<Context>,
    /// When the unit has started.
    pub(crate) starts_at: Duration,
    /// What a search answers.
    pub(crate) found: GallerySearchDone,
    /// The score from which on somebody is enrolled again.
    pub(crate) again: Threshold,
    /// Which template is the most redundant, at each asking; none once they are used up.
    pub(crate) redundant: VecDeque<Option<Template>>,
    /// Every template is refused with this.
    pub(crate) refused: Option<RequestError>,
    /// Every call is refused with this.
    pub(crate) refusal: Option<Refusal>,
    /// Paths of the calls that were obeyed, without repeats.
    pub(crate) obeyed: Vec<&'static str>,
    /// Done before each call is obeyed, as by somebody else at the unit.
    pub(crate) meanwhile: Option<fn(&mut FakeUnit, &Call)>,
    /// The unit's end of the line's speed, what the host's end runs at, and the fastest that the cable carries towards the
    /// unit and back.
    pub(crate) speed: SpeedAtUnit,
    pub(crate) host_baud: u32,
    pub(crate) carries: (u32, u32),
    /// Whether the port has a speed at all.
    pub(crate) paced: bool,
    /// What an enrolment at the door says of itself, poll by poll.
    pub(crate) enrolment: VecDeque<EnrolmentStatus>,
    /// What is kept of it.
    pub(crate) kept: Option<EnrolmentKept>,
    /// What it says of its slots.
    pub(crate) slots: SlotsTold,
    /// What it opens sessions with, for whom.
    pub(crate) keys: Option<(SecretKey, Administrator)>,
    greeted: Option<HelloRequest>,
    held: Held<()>,
    decoder: Decoder,
    last: LastAnswer,
    arriving: Vec<(Duration, Vec<u8>)>,
    next_person: u32,
}

impl FakeUnit {
    pub(crate) fn new() -> Self {
        let nobody = GallerySearchDone { best: None, runner_up: None };
        Self {
            now: Duration::from_secs(1000),
            fault: Fault::None,
            hello: Hello::of_unit("door", "9.9.9"),
            people: vec![],
            generation: 1,
            removed: BTreeSet::new(),
            schedules: vec![],
            entries: vec![],
            contexts: vec![],
            starts_at: Duration::ZERO,
            found: nobody,
            again: Threshold(Score(0.5)),
            redundant: VecDeque::new(),
            refused: None,
            refusal: None,
            obeyed: vec![],
            meanwhile: None,
            speed: SpeedAtUnit::default(),
            host_baud: BASE,
            carries: (u32::MAX, u32::MAX),
            paced: true,
            enrolment: VecDeque::new(),
            kept: None,
            slots: SlotsTold::Refused(UpdateRefusal::new(
                UpdateRefusal::NO_SLOTS,
                "it runs from no slot; flash it",
            )),
            keys: None,
            greeted: None,
            held: Held::default(),
            decoder: Decoder::new(),
            last: LastAnswer::new(),
            arriving: vec![],
            next_person: 1,
        }
    }

    pub(crate) fn with(fault: Fault) -> Self {
        Self { fault, ..Self::new() }
    }

    /// A session with the unit.
    pub(crate) fn session(self) -> Session<Self> {
        Session::greet(self, "9.9.9").unwrap()
    }

    /// Adds a person with templates in these slots.
    pub(crate) fn add_person(&mut self, name: &str, slots: u8) -> PersonId {
        let person = PersonId(self.next_person);
        self.next_person += 1;
        self.generation += 1;
        let name = Name::new(name).unwrap();
        self.people.push(PersonSummary {
            person,
            name,
            slots,
            best_quality: 80,
            valid_from: None,
            valid_until: None,
            schedule: None,
            credentials: 0,
        });
        person
    }

    /// Adds a decision about a person to the log.
    pub(crate) fn add_entry(&mut self, person: PersonId) {
        let mut entry = LogEntry::of(EntryKind::Decision);
        entry.sequence = self.entries.last().map_or(0, |entry| entry.sequence) + 1;
        entry.person = person;
        entry.best_score = Score(0.5);
        entry.threshold = Score(0.25);
        entry.context_model = self.contexts.first().map_or(0, |context| context.number);
        self.entries.push(entry);
    }

    /// Adds a context record that names the model.
    pub(crate) fn add_model_context(&mut self) {
        let name = "facenet".try_into().unwrap();
        let model = ModelContext { id: MODEL, name, metric: Metric::SquaredL2 };
        let bytes = model.to_bytes().unwrap();
        let kind = threshold_record::context::ContextKind::Model;
        self.contexts.push(Context { number: 1, kind, bytes });
    }

    /// Lays bytes onto the line, as a call before may have left them.
    pub(crate) fn leave_on_line(&mut self, bytes: &[u8]) {
        self.arrive(bytes);
    }

    fn now_ms(&self) -> u64 {
        self.now.as_millis() as u64
    }

    /// True if what is sent at the unit's or the host's speed is read at the other end, over a cable that carries so much.
    fn is_read(&self, carries: u32) -> bool {
        self.host_baud == self.speed.baud() && self.host_baud <= carries
    }

    fn arrive(&mut self, bytes: &[u8]) {
        if !self.is_read(self.carries.1) {
            // Bits that are sampled at another speed.
            let bytes = bytes.iter().map(|byte| (byte ^ 0xa5) | 1).collect();
            return self.arriving.push((self.now + Duration::from_millis(10), bytes));
        }
        self.arriving.push((self.now + Duration::from_millis(10), bytes.to_vec()));
    }

    fn heard(&mut self, bytes: &[u8]) {
        self.speed.due(self.now_ms());
        if !self.is_read(self.carries.0) {
            return;
        }
        let mut rest = bytes;
        let mut decoder = std::mem::take(&mut self.decoder);
        while let Some(arrived) = decoder.feed_any(&mut rest) {
            if arrived.is_ok() {
                self.speed.heard(self.now_ms());
            }
            let answer = match arrived {
                Ok(Arrived::Open(frame)) => self.answer_once(&frame),
                Ok(Arrived::Sealed(sealed)) => {
                    let mut held = std::mem::take(&mut self.held);
                    let answer = match held.open(&sealed) {
                        Ok(Inside::Message(frame)) => Some(self.answer_once(&frame)),
                        Ok(Inside::Bulk(_)) | Err(_) => None,
                    };
                    let sealed = answer.map(|answer| {
                        let (mut decoder, mut bytes) = (Decoder::new(), answer.as_bytes());
                        let frame = decoder.feed(&mut bytes).unwrap().unwrap();
                        held.seal(&Inside::Message(frame)).unwrap()
                    });
                    self.held = held;
                    let Some(sealed) = sealed else { continue };
                    sealed
                }
                Err(_) => continue,
            };
            self.say(answer.as_bytes());
        }
        self.decoder = decoder;
        self.speed.due(self.now_ms());
    }

    fn answer_once(&mut self, frame: &Frame<'_>) -> Encoded {
        match self.last.to(frame) {
            Some(answer) => answer.clone(),
            None => {
                let answer = self.answer(frame);
                self.last.keep(frame, answer).clone()
            }
        }
    }

    /// Opens a session with its administrator, as the real unit does.
    fn accept(&mut self, request: &SessionOpen) -> SessionOpened {
        let (Some((secret, administrator)), Some(host)) = (&self.keys, &self.greeted) else {
            return SessionOpened::Refused(HandshakeRefusal::NoKeys);
        };
        let roster = std::slice::from_ref(administrator);
        match accept(request, host, &self.hello, secret, roster) {
            Ok(accepted) => {
                self.held.accepted(accepted.session, ());
                accepted.answer
            }
            Err(refusal) => SessionOpened::Refused(refusal),
        }
    }

    fn say(&mut self, answer: &[u8]) {
        match &mut self.fault {
            Fault::AnswersLost(n) if *n > 0 => *n -= 1,
            Fault::Broken => {
                let mut answer = answer.to_vec();
                answer[2] ^= 0x55;
                // A changed byte may not end the frame.
                answer[2] = answer[2].max(1);
                self.arrive(&answer);
            }
            Fault::Noise => {
                self.arrive(b"\x13\x00\x00\xff\xfe~noise");
                self.arrive(&[&[0], answer].concat());
            }
            _ => self.arrive(answer),
        }
    }

    fn answer(&mut self, frame: &Frame<'_>) -> Encoded {
        let id = frame.id;
        let read = match (Call::read(frame), self.refusal) {
            (Ok(read), None) => read,
            (Err(refusal), _) | (_, Some(refusal)) => return call::refusal(id, refusal).unwrap(),
        };
        self.obeyed.push(read.path());
        if let Some(meanwhile) = self.meanwhile {
            meanwhile(self, &read);
        }
        match read {
            Call::SayHello(host) => {
                self.greeted = Some(host);
                yes::<at::SayHello>(id, self.hello.clone())
            }
            Call::OpenSession(request) => yes::<at::OpenSession>(id, self.accept(&request)),
            Call::StartPairing(_) => {
                yes::<at::StartPairing>(id, PairStarted::Refused(HandshakeRefusal::NoKeys))
            }
            Call::FinishPairing(_) => {
                yes::<at::FinishPairing>(id, PairFinished::Refused(HandshakeRefusal::NoKeys))
            }
            Call::GetInfo(_) => yes::<at::GetInfo>(id, self.info()),
            Call::SendEcho(echo) => yes::<at::SendEcho>(id, echo),
            Call::GetLogHead(_) => yes::<at::GetLogHead>(
                id,
                LogHead {
                    oldest: self.entries.first().map_or(0, |entry| entry.sequence),
                    head: self.entries.last().map_or(0, |entry| entry.sequence),
                },
            ),
            Call::ReadLog(wanted) => {
                let head = self.entries.last().map_or(0, |entry| entry.sequence);
                let from = |entry: &&LogEntry| entry.sequence >= wanted.from;
                let entries: Vec<_> = self.entries.iter().filter(from).copied().collect();
                yes::<at::ReadLog>(id, LogPage::of(head, &entries))
            }
            Call::StartPull(_) => no::<at::StartPull>(id),
            Call::StartPush(_) => no::<at::StartPush>(id),
            Call::PruneLog(_) => no::<at::PruneLog>(id),
            Call::SetSpeed(set) => yes::<at::SetSpeed>(id, self.speed.asked(set)),
            Call::ApplyGallery(_) => no::<at::ApplyGallery>(id),
            Call::Unlock(_) => no::<at::Unlock>(id),
            Call::Reboot(_) => no::<at::Reboot>(id),
            Call::WipeUnit(_) => no::<at::WipeUnit>(id),
            Call::GetSlots(_) => yes::<at::GetSlots>(id, self.slots.clone()),
            Call::PushUpdate(_) => no::<at::PushUpdate>(id),
            Call::ApplyUpdate(_) => no::<at::ApplyUpdate>(id),
            Call::ConfirmUpdate(_) => no::<at::ConfirmUpdate>(id),
            Call::RevertUpdate(_) => no::<at::RevertUpdate>(id),
            Call::GetIdentity(_) => no::<at::GetIdentity>(id),
            Call::GetCheckpoint(_) => no::<at::GetCheckpoint>(id),
            Call::ListAdministrators(_) => no::<at::ListAdministrators>(id),
            Call::RevokeAdministrator(_) => no::<at::RevokeAdministrator>(id),
            Call::SetRole(_) => no::<at::SetRole>(id),
            Call::GetStats(_) => no::<at::GetStats>(id),
            Call::GetPolicy(_) => no::<at::GetPolicy>(id),
            Call::SetPolicy(_) => no::<at::SetPolicy>(id),
            Call::SetMode(_) => no::<at::SetMode>(id),
            Call::GetClock(_) => no::<at::GetClock>(id),
            Call::SetClock(_) => no::<at::SetClock>(id),
            Call::ChallengeCommission(_) => no::<at::ChallengeCommission>(id),
            Call::FinishCommission(_) => no::<at::FinishCommission>(id),
            Call::AcknowledgePhoto(_) => no::<at::AcknowledgePhoto>(id),
            Call::WithdrawPhoto(_) => no::<at::WithdrawPhoto>(id),
            Call::GetAccess(_) => no::<at::GetAccess>(id),
            Call::SetAccess(_) => no::<at::SetAccess>(id),
            Call::ListSchedules(_) => {
                let schedules = self.schedules.iter().cloned().collect();
                let zone = "UTC0".try_into().unwrap();
                yes::<at::ListSchedules>(id, SchedulePage { schedules, more: false, zone })
            }
            Call::PutSchedule(_) => no::<at::PutSchedule>(id),
            Call::RemoveSchedule(_) => no::<at::RemoveSchedule>(id),
            Call::SetPassback(_) => no::<at::SetPassback>(id),
            Call::SetReserve(_) => no::<at::SetReserve>(id),
            Call::GetConfig(_) => no::<at::GetConfig>(id),
            Call::SetConfig(_) => no::<at::SetConfig>(id),
            Call::StageGallery(_) => no::<at::StageGallery>(id),
            Call::GetBeside(_) => no::<at::GetBeside>(id),
            Call::Calibrate(_) => no::<at::Calibrate>(id),
            Call::BeginEnrolment(_) => yes::<at::BeginEnrolment>(
                id,
                EnrolmentBegun {
                    number: 7,
                    person: PersonId::NOBODY,
                    silence_ms: 5_000,
                    longest_ms: 90_000,
                },
            ),
            Call::GetEnrolment(_) => {
                // The last one stays.
                let status = self.enrolment[0];
                if self.enrolment.len() > 1 {
                    self.enrolment.pop_front();
                }
                yes::<at::GetEnrolment>(id, status)
            }
            Call::CancelEnrolment(_) => {
                let stage = EnrolmentStage::Ended(EnrolmentEnd::Cancelled);
                let status = EnrolmentStatus { stage, ..self.enrolment[0] };
                yes::<at::CancelEnrolment>(id, status)
            }
            Call::KeepEnrolment(_) => match self.kept.clone() {
                Some(kept) => yes::<at::KeepEnrolment>(id, kept),
                None => no::<at::KeepEnrolment>(id),
            },
            Call::GetContext(wanted) => {
                let number = wanted.number;
                let found = self.contexts.iter().find(|context| context.number == number);
                let found = found.cloned().ok_or(RequestError::UnknownContext { number });
                call::answer::<at::GetContext>(id, &found).unwrap()
            }
            Call::ListGallery(wanted) => {
                let after = self.people.iter().filter(|person| person.person > wanted.after);
                let mut page = GalleryPage {
                    generation: self.generation,
                    people: Default::default(),
                    more: false,
                };
                for person in after {
                    page.more = page.people.push(person.clone()).is_err();
                }
                yes::<at::ListGallery>(id, page)
            }
            Call::SearchGallery(_) => {
                let GallerySearchDone { best, runner_up } = self.found;
                let (best, runner_up) = (self.told(best), self.told(runner_up));
                yes::<at::SearchGallery>(id, GallerySearchDone { best, runner_up })
            }
            Call::SearchAgain(of) => {
                let found = [self.found.best, self.found.runner_up].into_iter().flatten();
                let nearest = found.into_iter().find(|one| Some(one.person) != of.but);
                let (nearest, threshold) = (self.told(nearest), self.again);
                yes::<at::SearchAgain>(id, GalleryAgainDone { nearest, threshold })
            }
            Call::FindRedundant(of) => {
                let template = self.redundant.pop_front().flatten();
                let template = template.map(|held| Template { person: of.person, ..held });
                yes::<at::FindRedundant>(id, TemplateRedundantDone { template })
            }
            Call::PutPerson(put) => {
                let there = self.people.iter().find(|person| person.name == put.name).cloned();
                let answer = match (there, put.if_there) {
                    (Some(there), IfThere::Refuse) => {
                        Err(RequestError::NameTaken { person: there.person })
                    }
                    (Some(there), IfThere::Use) => Ok(self.put_done(there.person, false)),
                    (None, _) => {
                        let person = self.add_person(&put.name, 0);
                        Ok(self.put_done(person, true))
                    }
                };
                call::answer::<at::PutPerson>(id, &answer).unwrap()
            }
            Call::PutPersonAs(put) => {
                let there = self.people.iter().find(|person| person.name == put.name).cloned();
                let fresh = PersonId(self.people.last().map_or(1, |last| last.person.0 + 1));
                let answer = match (there.map(|there| there.person), put.id) {
                    (Some(person), wanted) if wanted.allows(person) => {
                        Ok(self.put_done(person, false))
                    }
                    (Some(person), _) => Err(RequestError::NameTaken { person }),
                    (None, WantedId::Exactly(person)) if self.removed.contains(&person) => {
                        Err(RequestError::NameTaken { person })
                    }
                    (None, wanted) => {
                        let id = match wanted {
                            WantedId::AtLeast(least) => fresh.max(least),
                            WantedId::Exactly(id) => id,
                        };
                        self.add_person(&put.name, 0);
                        self.people.last_mut().unwrap().person = id;
                        Ok(self.put_done(id, true))
                    }
                };
                call::answer::<at::PutPersonAs>(id, &answer).unwrap()
            }
            Call::PutTemplate(put) => {
                let template = put.template;
                let answer = match self.refused.clone() {
                    Some(error) => Err(error),
                    None => {
                        template.check().unwrap();
                        self.generation += 1;
                        let there = |person: &&mut PersonSummary| person.person == template.person;
                        let person = self.people.iter_mut().find(there).unwrap();
                        person.slots |= 1 << template.slot;
                        let templates = person.slots.count_ones() as u8;
                        Ok(TemplatePutDone { templates, generation: self.generation })
                    }
                };
                call::answer::<at::PutTemplate>(id, &answer).unwrap()
            }
            Call::RemovePerson(who) => {
                let place = self.people.iter().position(|person| person.person == who.person);
                let answer = match place {
                    None => Err(RequestError::UnknownPerson { person: who.person }),
                    Some(place) => {
                        self.generation += 1;
                        let gone = self.people.remove(place);
                        self.removed.insert(gone.person);
                        let templates = gone.slots.count_ones() as u8;
                        let generation = self.generation;
                        Ok(PersonRemoveDone {
                            name: gone.name,
                            templates,
                            generation,
                            receipt: None,
                        })
                    }
                };
                call::answer::<at::RemovePerson>(id, &answer).unwrap()
            }
        }
    }

    /// Whom a face resembles, as an owner is told, or as anybody else.
    fn told(&self, found: Option<Resembled>) -> Option<Resembled> {
        let is_owners = self.keys.as_ref().is_none_or(|(_, asker)| asker.role == Role::Owner);
        let person = |one: Resembled| if is_owners { one.person } else { PersonId::NOBODY };
        found.map(|one| Resembled { person: person(one), ..one })
    }

    fn put_done(&self, person: PersonId, added: bool) -> PersonPutDone {
        PersonPutDone { person, added, free_slot: Some(0), generation: self.generation }
    }

    /// How the unit stands.
    pub(crate) fn info(&self) -> Info {
        Info {
            unit: "door".try_into().unwrap(),
            build: "9.9.9".try_into().unwrap(),
            model: Some(ModelInfo {
                id: MODEL,
                name: "facenet".try_into().unwrap(),
                metric: Metric::SquaredL2,
                crop: "squared box".try_into().unwrap(),
                embedding_len: 512,
                threshold: Threshold(Score(0.43)),
            }),
            policy: Some(PolicyInfo {
                rule: ThresholdRule::DEFAULT,
                floor: Threshold(Score(0.43)),
                threshold: Threshold(Score(0.43)),
                people: self.people.len() as u32,
                templates: self.people.iter().map(|person| person.slots.count_ones()).sum(),
                forecast: None,
                refusal: None,
                photo: Some(KeyTag([0x1a; 4])),
                passback_min: 0,
                mode: Mode::Identify,
                one: OnePolicy {
                    templates: 1,
                    threshold: Threshold(Score(0.43)),
                    forecast: None,
                    refusal: Some(Cause::Reader),
                },
                calibration: None,
            }),
            gallery: Some(GalleryInfo {
                people: self.people.len() as u32,
                templates: self.people.iter().map(|person| person.slots.count_ones()).sum(),
                capacity: 1000,
                generation: self.generation,
            }),
            log_head: Some(self.entries.last().map_or(0, |entry| entry.sequence)),
            store: None,
            armed: match self.people.is_empty() {
                _ if self.now < self.starts_at => Armed::Starting,
                true => Armed::EmptyGallery,
                false => Armed::Armed,
            },
            commission: Commission::Holds(KeyId([0x2b; 8])),
            lockout_s: 0,
            insecure_link: true,
            presentation: Presentation::NotAssessed,
            boot: 3,
            uptime_ms: 61_000,
            wall: WallTime { unix_ms: 0, trusted: false },
            reader: None,
            engine: Some(EngineState::Processor),
            heat: HeatState::Normal,
        }
    }
}

/// A store that failed.
pub(crate) fn store_fault() -> RequestError {
    RequestError::StoreFault { part: Cause::Gallery }
}

/// A template of the unit's model.
pub(crate) fn template(person: PersonId) -> TemplatePut {
    let vector = Default::default();
    let mut template =
        Template { person, slot: 0, quality: 80, model: MODEL.tag(), scale: 0.01, vector };
    template.vector.resize(512, 1).unwrap();
    TemplatePut { model: MODEL, template }
}

fn no<E: Endpoint>(id: u32) -> Encoded {
    call::answer::<E>(id, &Err(RequestError::NoSuchContent)).unwrap()
}

fn yes<E: Endpoint>(id: u32, response: E::Response) -> Encoded {
    call::answer::<E>(id, &Ok(response)).unwrap()
}

impl Transport for FakeUnit {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.fault {
            Fault::Silent => {}
            Fault::Stuck => {
                self.now += Duration::from_millis(500);
                return Err(io::ErrorKind::TimedOut.into());
            }
            Fault::GoneAfter(0) => return Err(io::ErrorKind::BrokenPipe.into()),
            Fault::GoneAfter(n) => {
                *n -= 1;
                self.heard(bytes);
            }
            Fault::BytesLost(n) if *n > 0 => {
                *n -= 1;
                let middle = bytes.len() / 2;
                let bytes = [&bytes[..middle], &bytes[middle + 1..]].concat();
                self.heard(&bytes);
            }
            Fault::Echo => self.arrive(bytes),
            Fault::EchoAndAnswers => {
                self.arrive(bytes);
                self.heard(bytes);
            }
            _ => self.heard(bytes),
        }
        Ok(())
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        self.host_baud = baud;
        true
    }

    fn is_paced(&self) -> bool {
        self.paced
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let until = self.now + patience;
        let Some((at, _)) = self.arriving.first().filter(|(at, _)| *at <= until) else {
            self.now = until;
            return Ok(0);
        };
        self.now = self.now.max(*at);
        let (_, bytes) = &mut self.arriving[0];
        // Short reads, as a serial line gives them.
        let len = bytes.len().min(into.len()).min(16);
        into[..len].copy_from_slice(&bytes[..len]);
        bytes.drain(..len);
        if bytes.is_empty() {
            self.arriving.remove(0);
        }
        Ok(len)
    }

    fn drain(&mut self) {
        self.arriving.clear();
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn name(&self) -> &str {
        "fake"
    }
}

/// An answer to a call that nobody waits for any more.
pub(crate) fn foreign_answer(id: u32) -> Vec<u8> {
    let key = at::GetInfo::ANSWER_KEY;
    let frame = Frame { kind: FrameKind::Answer, id, key, body: &[1, 2, 3] };
    frame.encode().unwrap().as_bytes().to_vec()
}
