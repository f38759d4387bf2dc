//! One visit: its evidence, and the times of its frames.

use super::track;
use crate::journal::StageTimes;
use threshold_models::engine::Detection;
use threshold_policy::{Evidence, LockedOut, Subject};

/// Frames whose times are kept: a visit's limit of compared frames and as many again that were not.
const MAX_TIMED: usize = 128;

/// Faces that one visit may compare, which is one attempt: somebody who walks up, and another who steps in front, jump a time or two.
/// Without a bound whoever passes photos before the camera tries one after another for 10 s, as one failed attempt with one entry.
const FACES_MOST: u8 = 3;

/// What one frame took.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameTimes {
    /// When it was captured.
    pub(super) at_ms: u64,
    /// Detection; 0 if the engine did all in one go.
    pub(super) detect_ms: f32,
    /// Embedding and search, or all of one go; 0 if it was not compared.
    pub(super) embed_ms: f32,
}

/// A visit that goes on.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) evidence: Evidence,
    /// The camera said when it began, and will say when it ends.
    pub(super) announced: bool,
    /// What the lock-out said when it began.
    pub(super) lockout: Result<(), LockedOut>,
    /// A probe may be scored: the attempt is counted, durably.
    pub(super) attempt_open: bool,
    /// When a face was last seen; the begin if none was.
    pub(super) face_ms: u64,
    /// When the first face was seen.
    first_face_ms: Option<u64>,
    /// The face that was seen last.
    face: Option<Detection>,
    /// That face was compared.
    face_compared: bool,
    /// Faces that were compared, each counted again when it comes back from another.
    faces_compared: u8,
    /// How long probes were compared.
    comparing_ms: u64,
    times: heapless::Deque<FrameTimes, MAX_TIMED>,
}

impl Visit {
    pub(super) fn begin(
        subject: Subject,
        announced: bool,
        at_ms: u64,
        lockout: Result<(), LockedOut>,
    ) -> Self {
        Self {
            evidence: Evidence::about(subject, at_ms),
            announced,
            lockout,
            attempt_open: false,
            face_ms: at_ms,
            first_face_ms: None,
            face: None,
            face_compared: false,
            faces_compared: 0,
            comparing_ms: 0,
            times: heapless::Deque::new(),
        }
    }

    /// True if it is of somebody who gave a credential.
    pub(super) fn is_claimed(&self) -> bool {
        self.evidence.subject() != Subject::Everybody
    }

    /// True if somebody was seen.
    pub(super) fn has_face(&self) -> bool {
        self.first_face_ms.is_some()
    }

    /// A face was seen. If it is not the one that was seen before, what that one told is no evidence for it.
    /// Nobody was looked for while its frame was searched, so that an absence counts from `now_ms`.
    pub(super) fn face_seen(&mut self, at_ms: u64, now_ms: u64, face: &Detection) {
        self.face_ms = at_ms.max(now_ms);
        self.first_face_ms.get_or_insert(at_ms);
        let earlier = self.face.replace(*face);
        if earlier.is_some_and(|earlier| !track::is_same_face(&earlier, face)) {
            self.evidence.another_face();
            self.face_compared = false;
        }
    }

    /// True if the face that was seen last may be compared, and counts it then; false if it is one more than a visit has, which ends it.
    pub(super) fn may_compare_face(&mut self) -> bool {
        if !self.face_compared {
            if self.faces_compared >= FACES_MOST {
                return false;
            }
            self.face_compared = true;
            self.faces_compared += 1;
        }
        true
    }

    /// A probe was compared from one time to the other. Whoever was seen in its frame was not looked for meanwhile, so
    /// that the absence counts from the end.
    pub(super) fn compared(&mut self, from_ms: u64, to_ms: u64) {
        self.comparing_ms += to_ms.saturating_sub(from_ms);
        self.face_ms = self.face_ms.max(to_ms);
    }

    /// True if the visitor had the longest time that a visit may take; if that passed while the unit compared, only after
    /// a window of compared frames, so that a slow processor gives the same evidence as a quick one, and no more.
    pub(super) fn is_long(&self, now_ms: u64, longest_ms: u64, window: u32) -> bool {
        let lasted_ms = now_ms.saturating_sub(self.evidence.begun_ms());
        let waited_ms = lasted_ms.saturating_sub(self.comparing_ms);
        waited_ms >= longest_ms || (lasted_ms >= longest_ms && self.evidence.compared() >= window)
    }

    pub(super) fn timed(&mut self, times: FrameTimes) {
        if self.times.is_full() {
            self.times.pop_front();
        }
        // Cannot fail: a place was just made.
        let _ = self.times.push_back(times);
    }

    /// The times of the deciding frame, captured at `at_ms`, for a decision made now.
    pub(super) fn stage_times(&self, at_ms: u64, now_ms: u64) -> StageTimes {
        let frame = self.times.iter().find(|times| times.at_ms == at_ms);
        let since_ms = now_ms.saturating_sub(self.first_face_ms.unwrap_or(now_ms));
        StageTimes {
            detect_ms: frame.map_or(0.0, |frame| frame.detect_ms),
            embed_ms: frame.map_or(0.0, |frame| frame.embed_ms),
            total_ms: since_ms as f32,
        }
    }
}
