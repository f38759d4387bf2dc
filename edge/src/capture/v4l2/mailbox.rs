//! Between the capture thread and the loop: the newest frame, and how the camera stands.
//!
//! Owns that nothing queues: a frame that nobody took gives way to the next one and is counted. Three buffers go round (one
//! is being filled, one waits, one is being read), so that nothing is allocated once each has had a frame.
//! Owns the waiting too: the loop never waits longer than its patience, whatever the thread is stuck in.

use super::layout::Layout;
use crate::unit::CameraFault;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A camera that gave no frame for so long is stuck; the slowest rate that may be wished for is five a second.
pub(super) const STUCK: Duration = Duration::from_secs(3);

/// One picture as the camera gave it.
#[derive(Debug, Default)]
pub(super) struct Raw {
    /// Its bytes; none while the loop has them in a frame.
    pub(super) bytes: Vec<u8>,
    /// How they are to be read; `None` in a buffer that never held a picture.
    pub(super) layout: Option<Layout>,
    /// Counted by the capture thread, growing.
    pub(super) sequence: u64,
    /// On the unit's clock.
    pub(super) captured_at_ms: u64,
}

/// Frames since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Whole pictures that the camera gave.
    pub(super) captured: u64,
    /// Of these, gave way to a newer one; and pictures that the driver had no buffer for.
    pub(super) dropped: u64,
    /// Buffers that held no whole picture.
    pub(super) damaged: u64,
}

/// What the loop finds.
#[derive(Debug)]
pub(super) enum Found {
    /// The newest picture.
    Picture(Raw),
    /// Nothing new.
    Nothing,
    /// The camera gives no pictures.
    Fault(CameraFault),
}

/// How the camera stands.
#[derive(Debug)]
enum Standing {
    /// Being opened, or open; frames are due from then on.
    Due { since: Instant },
    /// At fault.
    Fault(CameraFault),
}

#[derive(Debug)]
struct State {
    standing: Standing,
    newest: Option<Raw>,
    spare: Option<Raw>,
    counts: Counts,
    /// A picture came since the start.
    begun: bool,
    /// A fault since then that the loop has not seen: pictures that come after it are another camera's, for all that is known.
    untold: Option<CameraFault>,
    restart: bool,
    stop: bool,
}

/// The mailbox; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    state: Arc<(Mutex<State>, Condvar)>,
    device: Arc<str>,
}

impl Mailbox {
    /// An empty one, for the device of that name.
    pub(super) fn new(device: &str) -> Self {
        let state = State {
            standing: Standing::Due { since: Instant::now() },
            newest: None,
            spare: None,
            counts: Counts::default(),
            begun: false,
            untold: None,
            restart: false,
            stop: false,
        };
        Self { state: Arc::new((Mutex::new(state), Condvar::new())), device: device.into() }
    }

    /// Each change is one assignment, so that a thread that panicked left it whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a picture there, in the place of one that nobody took; a buffer for the next one comes back.
    pub(super) fn post(&self, picture: Raw) -> Raw {
        let mut state = self.lock();
        state.counts.captured += 1;
        state.begun = true;
        state.standing = Standing::Due { since: Instant::now() };
        let back = match state.newest.replace(picture) {
            Some(unseen) => {
                state.counts.dropped += 1;
                unseen
            }
            None => state.spare.take().unwrap_or_default(),
        };
        self.state.1.notify_all();
        back
    }

    /// Counts what never became a picture.
    pub(super) fn lost(&self, dropped: u64, damaged: u64) {
        let mut state = self.lock();
        state.counts.dropped += dropped;
        state.counts.damaged += damaged;
    }

    /// The camera is tried again: a frame is due from now on. A fault stands until it comes.
    pub(super) fn tried(&self) {
        let mut state = self.lock();
        state.restart = false;
        if let Standing::Due { since } = &mut state.standing {
            *since = Instant::now();
        }
    }

    /// The camera is at fault until the next picture.
    pub(super) fn fail(&self, fault: CameraFault) {
        let mut state = self.lock();
        state.untold = state.begun.then(|| fault.clone());
        state.standing = Standing::Fault(fault);
        // A picture of before is none of a camera that is there.
        if let Some(unseen) = state.newest.take() {
            state.counts.dropped += 1;
            state.spare = Some(unseen);
        }
        drop(state);
        self.state.1.notify_all();
    }

    /// Rests, but no longer than until the camera is no longer wanted.
    pub(super) fn rest(&self, rest: Duration) {
        let state = self.lock();
        // Whether it waited or was woken makes no difference.
        let _ = self.state.1.wait_timeout_while(state, rest, |state| !state.stop);
    }

    /// The newest picture, waited for no longer than `patience`; `read` is the one before, whose buffer goes round.
    pub(super) fn take(&self, read: Option<Raw>, patience: Duration) -> Found {
        let mut state = self.lock();
        state.spare = read.or(state.spare.take());
        let waited = self
            .state
            .1
            .wait_timeout_while(state, patience, |state| state.newest.is_none() && !state.stop);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(fault) = state.untold.take() {
            return Found::Fault(fault);
        }
        match (state.newest.take(), &state.standing) {
            (Some(picture), _) => Found::Picture(picture),
            (None, Standing::Fault(fault)) => Found::Fault(fault.clone()),
            // The thread sees this too, unless it is stuck in the driver itself.
            (None, Standing::Due { since }) if since.elapsed() > STUCK => {
                Found::Fault(self.stuck())
            }
            (None, Standing::Due { .. }) => Found::Nothing,
        }
    }

    /// Why there is no picture yet; `None` once there was one and no fault came after it.
    pub(super) fn standing(&self) -> Option<CameraFault> {
        let state = self.lock();
        match &state.standing {
            Standing::Fault(fault) => Some(fault.clone()),
            Standing::Due { .. } if state.begun => None,
            Standing::Due { .. } => {
                Some(CameraFault(format!("{} has given no frame yet; wait a moment", self.device)))
            }
        }
    }

    /// The fault of a camera that gives nothing.
    pub(super) fn stuck(&self) -> CameraFault {
        CameraFault(format!(
            "{} has given no frame for {} s: check its plug and its power",
            self.device,
            STUCK.as_secs()
        ))
    }

    /// Asks for the camera to be closed and opened again.
    pub(super) fn restart(&self) {
        self.lock().restart = true;
    }

    /// Whether somebody asked for that.
    pub(super) fn restarting(&self) -> bool {
        self.lock().restart
    }

    /// The camera is no longer wanted.
    pub(super) fn stop(&self) {
        self.lock().stop = true;
        self.state.1.notify_all();
    }

    /// Whether it is no longer wanted.
    pub(super) fn stopped(&self) -> bool {
        self.lock().stop
    }

    /// Frames since the start.
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    fn picture(sequence: u64) -> Raw {
        Raw { bytes: vec![sequence as u8; 8], sequence, ..Raw::default() }
    }

    #[test]
    fn the_newest_picture_is_found_and_the_others_are_counted() {
        let mailbox = Mailbox::new("camera");
        for sequence in 1..=3 {
            mailbox.post(picture(sequence));
        }
        let Found::Picture(found) = mailbox.take(None, Duration::ZERO) else {
            panic!("no picture")
        };
        assert_eq!(found.sequence, 3);
        assert_eq!(mailbox.counts(), Counts { captured: 3, dropped: 2, damaged: 0 });
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Nothing));
    }

    #[test]
    fn three_buffers_go_round_whoever_is_slower() {
        let mailbox = Mailbox::new("camera");
        let mut own = Raw::default();
        let mut read = None;
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..64 {
            own.bytes.resize(64, 0);
            seen.insert(own.bytes.as_ptr() as usize);
            own = mailbox.post(own);
            if i % 3 != 0
                && let Found::Picture(found) = mailbox.take(read.take(), Duration::ZERO)
            {
                read = Some(found);
            }
        }
        assert_eq!(seen.len(), 3);
    }

    #[test]
    fn a_fault_stands_until_the_next_picture() {
        let mailbox = Mailbox::new("camera");
        assert!(mailbox.standing().is_some());
        mailbox.fail(CameraFault("gone".to_owned()));
        mailbox.tried();
        for _ in 0..2 {
            let found = mailbox.take(None, Duration::ZERO);
            assert!(matches!(&found, Found::Fault(fault) if fault.0 == "gone"), "{found:?}");
        }
        mailbox.post(picture(1));
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Picture(_)));
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Nothing));
        assert_eq!(mailbox.standing(), None);
    }

    #[test]
    fn a_fault_that_went_by_while_the_loop_was_busy_comes_before_the_picture_after_it() {
        let mailbox = Mailbox::new("camera");
        // Of one before the first picture nobody hears: there was nothing to lose.
        mailbox.fail(CameraFault("not there yet".to_owned()));
        mailbox.post(picture(1));
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Picture(_)));
        mailbox.fail(CameraFault("gone".to_owned()));
        mailbox.post(picture(2));
        let found = mailbox.take(None, Duration::ZERO);
        assert!(matches!(&found, Found::Fault(fault) if fault.0 == "gone"), "{found:?}");
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Picture(_)));
        assert!(matches!(mailbox.take(None, Duration::ZERO), Found::Nothing));
    }
}
