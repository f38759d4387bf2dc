//! Looking at a frame: which way the engine is asked, and when it may score.
//!
//! Owns that no probe is scored before its attempt is durable (safety rule 3), nor in a frame whose visit will be refused anyway;
//! and that an engine which searches by itself searches the gallery as it is.
//! An engine that recognises in one go scores whatever face it finds, before anybody has seen what the frame shows. So the frames
//! of a visit are searched for faces alone until one is good enough to be compared, which opens the attempt; those after it may be
//! recognised at once. A claim is compared step by step: the person whom it names must be compared whoever is more alike, and one
//! go tells the best of everybody and the best of another person only.

use super::{Course, Unit, Visit};
use crate::state::{NoAttempt, Shared, State};
use std::sync::Arc;
use threshold_models::engine::{Compared, Detection, Engine, EngineError, Recognition};
use threshold_models::frame::Frame;
use threshold_models::search::{Candidates, Index};
use threshold_policy::Subject;
use threshold_record::Cause;

/// What an engine saw.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Where faces are.
    pub(super) faces: Vec<Detection>,
    /// What it said of the first of them, if it did all in one go.
    pub(super) at_once: Option<AtOnce>,
}

/// What came of one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtOnce {
    pub(super) compared: Compared,
    /// The search index that was searched.
    pub(super) index_number: u64,
    /// When it began.
    pub(super) from_ms: u64,
    /// When it was done.
    pub(super) to_ms: u64,
}

impl Unit {
    /// Lets an engine that searches by itself have the gallery as it is, whatever changed it since the last look. It would not
    /// search another one; but it should neither begin with that while somebody waits, nor keep who was removed any longer than until the next frame that is looked at. An idle unit
    /// looks twice a second, so that a gallery which is filled one by one is not brought anew for each.
    pub(super) fn follow_gallery(&mut self) -> Result<(), EngineError> {
        let engine = self.engine.as_mut().filter(|engine| engine.recognises_at_once());
        let Some(engine) = engine else { return Ok(()) };
        let (number, index) = {
            let state = self.shared.lock();
            (state.index_number(), state.index())
        };
        if self.held != Some(number) {
            engine.hold(index.as_deref())?;
            self.held = Some(number);
        }
        Ok(())
    }

    /// Faces of a frame, and whom the first one is like where the engine may say so at once.
    pub(super) fn look(&mut self, frame: &Frame) -> Result<Look, EngineError> {
        let searched = self.may_be_scored_at_once();
        let Some(engine) = self.engine.as_mut() else { return Ok(Look::default()) };
        let Some((index, index_number)) = searched else {
            return Ok(Look { faces: engine.detect(frame)?, at_once: None });
        };
        let from_ms = self.clock.monotonic_ms();
        let Recognition { faces, compared } = engine.recognise(frame, &index, 1)?;
        let to_ms = self.clock.monotonic_ms();
        let at_once =
            compared.first().map(|&compared| AtOnce { compared, index_number, from_ms, to_ms });
        Ok(Look { faces, at_once })
    }

    /// The gallery, with its number, if the next frame may be scored whatever it shows.
    fn may_be_scored_at_once(&self) -> Option<(Arc<Index>, u64)> {
        let Course::Open(visit) = &self.course else { return None };
        let able = self.engine.as_ref().is_some_and(|engine| engine.recognises_at_once());
        if !able || !visit.attempt_open || visit.evidence.subject() != Subject::Everybody {
            return None;
        }
        let state = self.shared.lock();
        if is_refused_anyway(&state, visit) {
            return None;
        }
        Some((state.index()?, state.index_number()))
    }

    /// Scores a probe, after its attempt is durable; `None` if it may not be scored.
    pub(super) fn compare(
        shared: &Shared,
        engine: &mut Option<Box<dyn Engine>>,
        visit: &mut Visit,
        frame: &Frame,
        faces: &[Detection],
    ) -> Result<Option<Candidates>, EngineError> {
        if !visit.attempt_open {
            let opened = shared.lock().open_attempt();
            match opened {
                Ok(()) => visit.attempt_open = true,
                Err(NoAttempt::LockedOut(locked)) => {
                    visit.lockout = Err(locked);
                    return Ok(None);
                }
                // The state knows of the fault already, and the decision will say it.
                Err(NoAttempt::Store) => return Ok(None),
            }
        }
        let (Some(engine), Some(first)) = (engine.as_mut(), faces.get(..1)) else {
            return Ok(None);
        };
        let Some(embedding) = engine.embed(frame, first)?.pop() else { return Ok(None) };
        let mut state = shared.lock();
        visit.evidence.compared_with(state.index_number());
        match state.search(visit.evidence.subject(), &embedding) {
            Ok(found) => Ok(Some(found)),
            Err(why) => {
                state.fail(Cause::Gallery, &why);
                Ok(None)
            }
        }
    }
}

/// True if whatever the visit's next frame shows will be refused: no probe is scored without need.
pub(super) fn is_refused_anyway(state: &State, visit: &Visit) -> bool {
    let standing = state.standing(visit.evidence.subject(), visit.lockout);
    standing.fault.is_some()
        || standing.armed.is_err()
        || standing.lockout.is_err()
        || standing.people == 0
}
