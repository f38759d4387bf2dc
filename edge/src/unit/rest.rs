//! What a hot unit leaves out: frames are searched for faces at most twice a second, and after each search the loop rests for as long as
//! that took, so that a slow processor computes half of the time too. Too hot, it searches none.
//!
//! Owns no limit: `heat` says when. Nobody is looked for while the loop rests, so that whoever was seen counts as there until the rest is
//! over: a visit gets fewer frames in its time, and the same decision from as many that agree.

use super::{Course, Unit};
use crate::heat::{Heat, Level};

/// Time between two searches of a hot unit at least, milliseconds: an idle room is looked at as often.
const EVERY_MS: u64 = 500;

impl Unit {
    /// Reads the sensors, if there are any and their time has come, and has the state know.
    pub(super) fn look_at_heat(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        let Some(told) = self.heat.as_mut().and_then(|heat| heat.look(now_ms)) else { return };
        self.shared.lock().heat_told(told);
    }

    fn level(&self) -> Level {
        self.heat.as_ref().map_or(Level::Normal, Heat::level)
    }

    /// True if the frame that came is not searched, since the unit is hot.
    pub(super) fn rests(&self) -> bool {
        match self.level() {
            Level::Normal => false,
            Level::Throttled => self.clock.monotonic_ms() < self.rested_ms,
            Level::Critical => true,
        }
    }

    /// A search that began at that time has ended, and saw somebody or nobody.
    pub(super) fn searched(&mut self, begun_ms: u64, seen: bool) {
        let now_ms = self.clock.monotonic_ms();
        let took_ms = now_ms.saturating_sub(begun_ms);
        self.rested_ms = begun_ms.saturating_add(EVERY_MS).max(now_ms.saturating_add(took_ms));
        if self.level() != Level::Throttled || !seen {
            return;
        }
        match &mut self.course {
            Course::Open(visit) => visit.face_ms = self.rested_ms,
            Course::Spent { face_ms, .. } => *face_ms = self.rested_ms,
            Course::Idle => {}
        }
    }
}
