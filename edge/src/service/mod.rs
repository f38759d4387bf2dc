//! The service: answers the administrator's calls over the serial line.
//!
//! Owns the thread at the line, and per line the decoder and the kept answer. Refuses to start anything by itself: it
//! answers one call at a time, and a call that arrives twice is obeyed once.

mod answers;
pub mod line;
pub mod link;

use crate::notices::Notices;
use crate::state::Shared;
use line::{Line, Received};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use threshold_record::Cause;
use threshold_wire::{Call, Decoder, Encoded, FrameKind, LastAnswer, call};

/// How long the thread waits for bytes before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// One line's side of the conversation.
#[derive(Debug)]
pub struct Desk {
    shared: Shared,
    decoder: Decoder,
    last: LastAnswer,
    session: Session,
}

/// What is known of whoever is at the line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Session {
    /// The line is obeyed: a pty, or one allowed on the command line.
    trusted: bool,
    /// The log says already that it was read.
    read_logged: bool,
}

impl Desk {
    /// A desk at the start of a line.
    #[must_use]
    pub fn new(shared: Shared, trusted: bool) -> Self {
        let session = Session { trusted, read_logged: false };
        Self { shared, decoder: Decoder::new(), last: LastAnswer::new(), session }
    }

    /// Takes bytes from the line and gives the answers to the calls in them.
    pub fn take(&mut self, mut bytes: &[u8], mut send: impl FnMut(&Encoded)) {
        while let Some(found) = self.decoder.feed(&mut bytes) {
            // A broken frame is counted by the decoder; its sender hears nothing and asks again.
            let Ok(frame) = found else { continue };
            if frame.kind != FrameKind::Call {
                continue;
            }
            if let Some(answer) = self.last.to(&frame) {
                send(answer);
                continue;
            }
            let answer = match Call::read(&frame) {
                Ok(call) => answers::answer(&call, frame.id, &self.shared, &mut self.session),
                Err(refusal) => call::refusal(frame.id, refusal),
            };
            let answer = answer.or_else(|_| call::refusal(frame.id, call::Refusal::AnswerTooLong));
            if let Ok(answer) = answer {
                send(self.last.keep(&frame, answer));
            }
        }
    }

    /// Whoever was at the line has gone.
    pub fn hung_up(&mut self) {
        self.decoder.reset();
        self.last = LastAnswer::new();
        self.session.read_logged = false;
    }
}

/// Serves a line on a thread of its own until `stop` is set.
///
/// # Errors
/// If the system gives no thread.
pub fn spawn(
    mut line: Box<dyn Line>,
    shared: Shared,
    trusted: bool,
    notices: Notices,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    let mut desk = Desk::new(shared.clone(), trusted);
    std::thread::Builder::new().name("service".to_owned()).spawn(move || {
        let mut buffer = [0; 1024];
        while !stop.load(Ordering::Relaxed) {
            match line.receive(&mut buffer, PATIENCE) {
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
        }
    })
}
