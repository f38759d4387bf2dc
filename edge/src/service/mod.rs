//! The service: answers the administrator's calls over the serial line.
//!
//! Owns the thread at the line, and per line the decoder, the kept answers, the reception and a pull under way. Refuses to
//! start anything by itself: it answers one call at a time, and a call that arrives twice is obeyed once.

mod administration;
mod answers;
pub mod line;
pub mod link;
mod policy;
mod pull;
mod reception;

use crate::notices::Notices;
use crate::state::Shared;
use line::{Line, Received};
use pull::Pull;
use reception::{Asker, Reception};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use threshold_record::Cause;
use threshold_wire::bulk::Packet;
use threshold_wire::call::Message;
use threshold_wire::session::Inside;
use threshold_wire::{Arrived, Call, Decoder, Encoded, Frame, FrameKind, LastAnswer, Sealed, call};

/// How long the thread waits for bytes before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

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
    transfer: u8,
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
    transfer: &'a mut u8,
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
            transfer: 0,
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
        let pull = self.pull.as_mut()?;
        let (asker, now_ms) = {
            let state = self.shared.lock();
            (self.reception.asker(&state), state.clock().monotonic_ms())
        };
        if asker.is_none() {
            // Revoked while the log was on its way.
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
        self.pull = None;
    }

    fn answer_open(&mut self, frame: &Frame<'_>) -> Option<Encoded> {
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
            // Nothing is pushed to a unit yet, and forged frames have no answer.
            Ok(_) | Err(_) => None,
        };
        self.reception.held = held;
        let visitor = self.reception.held.who().copied();
        if visitor != before {
            self.last_sealed = LastAnswer::new();
            self.session.read_logged = false;
            self.pull = None;
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
        let Self { shared, session, reception, pull, transfer, .. } = self;
        let mut room = Room { shared, session, reception, pull, transfer };
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

/// Serves a line on a thread of its own until `stop` is set.
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
        let mut buffer = [0; 1024];
        let mut patience = PATIENCE;
        while !stop.load(Ordering::Relaxed) {
            // Each is asked, so that a press of two is not two.
            if buttons.iter_mut().fold(false, |any, button| button.pressed() || any) {
                notices.tell("the button was pressed: an administrator may pair for two minutes");
                desk.button();
            }
            match line.receive(&mut buffer, patience) {
                Received::Bytes(count) => {
                    let taken = catch_unwind(AssertUnwindSafe(|| {
                        desk.take(buffer.get(..count).unwrap_or(&[]), |answer| {
                            // An answer that the line does not take is asked for again.
                            let _ = line.send(answer.as_bytes());
                        });
                    }));
                    if taken.is_err() {
                        let why = "the service panicked; start the unit again, and report this with the log";
                        shared.lock().fail(Cause::Engine, why);
                        desk = Desk::new(shared.clone(), trusted);
                    }
                }
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
            patience = due_ms.map_or(PATIENCE, |due_ms| Duration::from_millis(due_ms).min(PATIENCE));
        }
    })
}
