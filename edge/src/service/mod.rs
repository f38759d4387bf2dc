//! The service: answers the administrator's calls over the serial line.
//!
//! Owns the thread at the line, and per line the decoder, the kept answers, the reception and a transfer under way. Refuses to
//! start anything by itself: it answers one call at a time, and a call that arrives twice is obeyed once.

mod access;
mod administration;
mod answers;
mod calibrate;
mod clock;
mod commission;
mod config;
mod ending;
mod enrolment;
pub mod line;
pub mod link;
mod policy;
pub mod probe;
mod prune;
mod pull;
mod push;
mod reception;
mod update;

use crate::notices::Notices;
use crate::state::Shared;
use line::{Line, Received};
use pull::Pull;
use push::Push;
use reception::{Asker, Reception};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use threshold_record::{Cause, EnrolmentEnd};
use threshold_wire::bulk::Packet;
use threshold_wire::call::Message;
use threshold_wire::session::Inside;
use threshold_wire::speed::SpeedAtUnit;
use threshold_wire::{Arrived, Call, Decoder, Encoded, Frame, FrameKind, LastAnswer, Sealed, call};

/// How long the thread waits for bytes before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// How long it rests after a panic: a part that panics at each turn takes no processor from the loop, and fills no journal.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// One line's side of the conversation.
#[derive(Debug)]
pub struct Desk {
    shared: Shared,
    decoder: Decoder,
    /// The last answer in the open, and the last one of the session; neither is ever given in the other's place.
    last: LastAnswer<Message>,
    last_sealed: LastAnswer<Message>,
    session: Session,
    reception: Reception,
    pull: Option<Pull>,
    push: Option<Push>,
    transfer: u8,
    /// The enrolment that was begun over this line.
    enrolment: Option<u32>,
    speed: SpeedAtUnit,
    /// A transfer that the host asked about, and that the unit does not know.
    unknown: Option<u8>,
}

/// What is known of the conversation with whoever is at the line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    /// The line is obeyed without a session while the unit has no administrator: a pty, or one allowed on the command line.
    trusted: bool,
    /// The log says already that it was read.
    read_logged: bool,
}

/// What an answer may look at and change.
struct Room<'a> {
    shared: &'a Shared,
    session: &'a mut Session,
    reception: &'a mut Reception,
    pull: &'a mut Option<Pull>,
    push: &'a mut Option<Push>,
    transfer: &'a mut u8,
    enrolment: &'a mut Option<u32>,
    speed: &'a mut SpeedAtUnit,
}

impl Desk {
    /// A desk at the start of a line.
    #[must_use]
    pub fn new(shared: Shared, trusted: bool) -> Self {
        let session = Session { trusted, read_logged: false };
        Self {
            shared,
            decoder: Decoder::new(),
            last: LastAnswer::new(),
            last_sealed: LastAnswer::new(),
            session,
            reception: Reception::new(),
            pull: None,
            push: None,
            transfer: 0,
            enrolment: None,
            speed: SpeedAtUnit::default(),
            unknown: None,
        }
    }

    /// Takes bytes from the line and gives the answers to the calls in them.
    pub fn take(&mut self, mut bytes: &[u8], mut send: impl FnMut(&Encoded)) {
        let mut decoder = std::mem::take(&mut self.decoder);
        while let Some(found) = decoder.feed_any(&mut bytes) {
            let answer = match found {
                Ok(Arrived::Open(frame)) if frame.kind == FrameKind::Call => {
                    self.answer_open(&frame)
                }
                Ok(Arrived::Sealed(sealed)) => self.take_sealed(&sealed),
                // A broken frame is counted by the decoder; its sender hears nothing and asks again.
                Ok(Arrived::Open(_)) | Err(_) => None,
            };
            if let Some(answer) = answer {
                send(&answer);
            }
        }
        self.decoder = decoder;
    }

    /// Gives the next frame of a transfer, at most one, so that a call never waits for more than that one; and the
    /// milliseconds until there is another, if a transfer is under way.
    pub fn poll(&mut self, mut send: impl FnMut(&Encoded)) -> Option<u64> {
        let (now_ms, updates) = {
            let state = self.shared.lock();
            (state.clock().monotonic_ms(), state.updates().cloned())
        };
        if self.push.as_ref().is_some_and(|push| push.is_over(now_ms)) {
            self.push = None;
        }
        if let Some(updates) = updates {
            match self.push.as_ref().filter(|push| push.is_bundle()) {
                Some(push) => updates.heard(push.heard_ms()),
                None => updates.forget_old(now_ms),
            }
        }
        let (status, spoilt) = match self.unknown.take() {
            Some(transfer) => (Some(push::unknown(transfer)), false),
            None => self.push.as_mut().map_or((None, false), |push| push.poll(now_ms)),
        };
        if spoilt {
            self.push = None;
        }
        if let Some(status) = status {
            if let Ok(frame) = self.reception.held.seal(&Inside::Bulk(Packet::Status(status))) {
                send(&frame);
            }
            return Some(0);
        }
        let push_due_ms = self.push.as_ref().and_then(|push| push.due_ms(now_ms));
        self.poll_pull(now_ms, send).or(push_due_ms)
    }

    fn poll_pull(&mut self, now_ms: u64, mut send: impl FnMut(&Encoded)) -> Option<u64> {
        let pull = self.pull.as_mut()?;
        let asker = self.reception.asker(&self.shared.lock());
        if !asker.is_some_and(|asker| asker.role.reaches(pull.least)) {
            // Revoked, or given a lower role, while the content was on its way.
            self.pull = None;
            return None;
        }
        let session = self.reception.held.session()?;
        match pull.poll(session, now_ms) {
            Ok(Some(frame)) => {
                send(&frame);
                return Some(0);
            }
            Ok(None) if !pull.is_done() => return Some(pull.due_ms().saturating_sub(now_ms)),
            // The host has the whole; or it hears nothing more and asks anew, and its cursor tells where to go on.
            Ok(None) | Err(_) => {}
        }
        self.pull = None;
        None
    }

    /// The speed that the line is to be set to now, once everything is sent; tell [`Desk::speed_failed`] if it does not run at it.
    pub fn speed_due(&mut self) -> Option<u32> {
        let now_ms = self.shared.lock().clock().monotonic_ms();
        self.speed.due(now_ms)
    }

    /// The line does not run at the speed that was due, and runs at the first one again.
    pub fn speed_failed(&mut self) {
        self.speed.failed();
    }

    /// Somebody holds the button inside the housing: the unit pairs for a while.
    pub fn button(&mut self) {
        let now_ms = self.shared.lock().clock().monotonic_ms();
        self.reception.button(now_ms);
    }

    /// Whoever was at the line has gone.
    pub fn hung_up(&mut self) {
        self.decoder.reset();
        self.last = LastAnswer::new();
        self.last_sealed = LastAnswer::new();
        self.session.read_logged = false;
        self.reception.hung_up();
        // A device that comes back is opened at the first speed.
        self.speed = SpeedAtUnit::default();
        self.session_over();
    }

    /// Nothing more comes or goes in the session that was; what was pushed in it waits for the next, an enrolment ends.
    fn session_over(&mut self) {
        (self.pull, self.unknown) = (None, None);
        if let Some(number) = self.enrolment.take() {
            self.shared.lock().end_enrolment_of(number, EnrolmentEnd::LineGone);
        }
        if let Some(push) = &mut self.push {
            push.pause();
        }
    }

    fn answer_open(&mut self, frame: &Frame<'_>) -> Option<Encoded> {
        let now_ms = self.shared.lock().clock().monotonic_ms();
        self.speed.heard(now_ms);
        let message = match self.last.to(frame) {
            Some(message) => message.clone(),
            None => {
                let trusted = self.session.trusted && !self.shared.lock().has_administrators();
                let message = self.answer(frame, trusted.then_some(Asker::OF_TRUSTED_LINE))?;
                self.last.keep(frame, message).clone()
            }
        };
        message.frame().encode().ok()
    }

    fn take_sealed(&mut self, sealed: &Sealed<'_>) -> Option<Encoded> {
        let before = self.reception.held.who().copied();
        let mut held = std::mem::take(&mut self.reception.held);
        let opened = held.open(sealed);
        let now_ms = self.shared.lock().clock().monotonic_ms();
        if opened.is_ok() {
            self.speed.heard(now_ms);
        }
        if let (Ok(_), Some(push)) = (&opened, &mut self.push) {
            push.saw(sealed.nonce, now_ms);
        }
        // What was opened lies in the session, which the answer is sealed with: a copy of the call is made in between.
        let call = match opened {
            Ok(Inside::Message(frame)) if frame.kind == FrameKind::Call => {
                Some((frame.id, frame.key, frame.body.to_vec()))
            }
            Ok(Inside::Bulk(Packet::Status(status))) => {
                if self.pull.as_mut().is_some_and(|pull| pull.take(&status, now_ms).is_err()) {
                    self.pull = None;
                }
                None
            }
            Ok(Inside::Bulk(packet)) => {
                if !self.push.as_mut().is_some_and(|push| push.take(&packet)) {
                    self.unknown = Some(packet.transfer());
                }
                None
            }
            // Forged frames have no answer.
            Ok(_) | Err(_) => None,
        };
        self.reception.held = held;
        let visitor = self.reception.held.who().copied();
        if visitor != before {
            self.last_sealed = LastAnswer::new();
            self.session.read_logged = false;
            self.session_over();
        }
        let (id, key, body) = call?;
        if let Some(pull) = &mut self.pull {
            pull.heard(now_ms);
        }
        let frame = Frame { kind: FrameKind::Call, id, key, body: &body };
        let message = match self.last_sealed.to(&frame) {
            Some(message) => message.clone(),
            None => {
                let asker = self.reception.asker(&self.shared.lock());
                let message = self.answer(&frame, asker)?;
                self.last_sealed.keep(&frame, message).clone()
            }
        };
        self.reception.held.seal(&Inside::Message(message.frame())).ok()
    }

    fn answer(&mut self, frame: &Frame<'_>, asker: Option<Asker>) -> Option<Message> {
        let Self { shared, session, reception, pull, push, transfer, enrolment, speed, .. } = self;
        let mut room = Room { shared, session, reception, pull, push, transfer, enrolment, speed };
        let answer = match Call::read(frame) {
            Ok(call) => answers::answer(&call, frame.id, asker, &mut room),
            Err(refusal) => call::refusal_message(frame.id, refusal),
        };
        answer.or_else(|_| call::refusal_message(frame.id, call::Refusal::AnswerTooLong)).ok()
    }
}

/// Who is let in at a line.
#[derive(Debug, Default)]
pub struct Access {
    /// The line is obeyed without a session until the unit has an administrator: a pty, or one allowed on the command line.
    pub trusted: bool,
    /// The button inside the housing, and what stands for it.
    pub buttons: Vec<Box<dyn Button>>,
}

/// The button inside the housing.
pub trait Button: Send + std::fmt::Debug {
    /// True once for each press.
    fn pressed(&mut self) -> bool;
}

/// A file that stands for the button inside the housing, on a test bench: to write it is to press.
#[derive(Debug)]
pub struct FileButton {
    path: PathBuf,
    /// When it was last pressed.
    pressed: Option<SystemTime>,
}

impl FileButton {
    /// A button that was not pressed since the start.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        let mut button = Self { path, pressed: None };
        button.pressed();
        button
    }
}

impl Button for FileButton {
    fn pressed(&mut self) -> bool {
        let written = std::fs::metadata(&self.path).and_then(|meta| meta.modified()).ok();
        let before = std::mem::replace(&mut self.pressed, written);
        written.is_some() && written != before
    }
}

/// Serves a line on a thread of its own until `stop` is set. A panic in a turn, whoever made it (a call, a transfer, a button, the
/// line), is a fault, and the thread goes on with a desk that is new.
///
/// # Errors
/// If the system gives no thread.
pub fn spawn(
    mut line: Box<dyn Line>,
    shared: Shared,
    access: Access,
    notices: Notices,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let Access { trusted, mut buttons } = access;
    let mut desk = Desk::new(shared.clone(), trusted);
    std::thread::Builder::new().name("service".to_owned()).spawn(move || {
        let mut patience = PATIENCE;
        while !stop.load(Ordering::Relaxed) {
            let turned = catch_unwind(AssertUnwindSafe(|| {
                turn(line.as_mut(), &mut desk, &mut buttons, patience, &notices)
            }));
            patience = turned.unwrap_or_else(|_| {
                let why =
                    "the service panicked; start the unit again, and report this with the log";
                shared.lock().fail(Cause::Engine, why);
                desk = Desk::new(shared.clone(), trusted);
                line.set_speed(threshold_wire::speed::BASE);
                std::thread::sleep(AFTER_PANIC);
                PATIENCE
            });
        }
    })
}

/// One turn at a line: the buttons, the bytes that come within the patience, the next frame of a transfer; how long the next
/// turn may wait.
fn turn(
    line: &mut dyn Line,
    desk: &mut Desk,
    buttons: &mut [Box<dyn Button>],
    patience: Duration,
    notices: &Notices,
) -> Duration {
    let mut buffer = [0; 1024];
    if buttons.iter_mut().any(|button| button.pressed()) {
        notices.tell("the button was pressed: an administrator may pair for two minutes");
        desk.button();
    }
    match line.receive(&mut buffer, patience) {
        Received::Bytes(count) => desk.take(buffer.get(..count).unwrap_or(&[]), |answer| {
            // An answer that the line does not take is asked for again.
            let _ = line.send(answer.as_bytes());
        }),
        Received::Nothing => {}
        Received::HungUp(why) => {
            desk.hung_up();
            if let Some(why) = why {
                notices.tell(&format!("line: {why}"));
            }
        }
    }
    // Chunks that the line does not take are sent again.
    let due_ms = desk.poll(|frame| drop(line.send(frame.as_bytes())));
    if let Some(baud) = desk.speed_due()
        && !line.set_speed(baud)
    {
        desk.speed_failed();
    }
    due_ms.map_or(PATIENCE, |due_ms| Duration::from_millis(due_ms).min(PATIENCE))
}
