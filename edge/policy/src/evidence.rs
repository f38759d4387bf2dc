//! The evidence of one visit: what the last compared frames said, and the best of all frames.
//!
//! Bounded: the last [`MAX_WINDOW`] compared frames, one summary of the rest. It judges nothing; `decide` does.
//! Refuses to keep frames in the window that were compared with another gallery than the one that decides, or that showed
//! another face.

use crate::settings::MAX_WINDOW;
use heapless::Vec;
use threshold_record::{Cause, PersonId, Presentation, Score};

/// A person of the gallery and the score of the probe with the person's most alike template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Who.
    pub person: PersonId,
    /// How alike.
    pub score: Score,
}

/// With whom the frames of a visit are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// With everybody (1:N): nobody gave a credential.
    Everybody,
    /// With this person alone (1:1), whom a credential names.
    Person(PersonId),
    /// With nobody: the credential names nobody who is enrolled.
    Nobody,
}

impl Subject {
    /// True if a frame of the visit may speak for this person.
    #[must_use]
    pub fn may_be(self, person: PersonId) -> bool {
        !person.is_nobody()
            && match self {
                Self::Everybody => true,
                Self::Person(claimed) => claimed == person,
                Self::Nobody => false,
            }
    }
}

/// What one frame of a visit told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// When the frame was captured, monotonic milliseconds.
    pub at_ms: u64,
    /// Quality of the face, percent; 0 without a face.
    pub quality: u8,
    /// What limits the quality most; [`Cause::NoFace`] without a face, [`Cause::None`] if nothing does.
    pub cause: Cause,
    /// What presentation-attack detection said.
    pub presentation: Presentation,
    /// The most alike person, or the claimed one; `None` if the frame was not compared.
    pub best: Option<Candidate>,
    /// The most alike *other* person; `None` if the gallery has only one. Beside a claimed one only somebody whom the
    /// threshold of 1:N accepts.
    pub runner_up: Option<Candidate>,
}

impl Observation {
    /// A frame without a face.
    #[must_use]
    pub const fn no_face(at_ms: u64) -> Self {
        Self {
            at_ms,
            quality: 0,
            cause: Cause::NoFace,
            presentation: Presentation::NotAssessed,
            best: None,
            runner_up: None,
        }
    }

    /// A frame whose face was not good enough to compare.
    #[must_use]
    pub const fn poor(at_ms: u64, quality: u8, cause: Cause) -> Self {
        Self { quality, cause, ..Self::no_face(at_ms) }
    }
}

/// The observations of one visit, from [`Evidence::begin`] until [`Evidence::close`].
#[derive(Clone, Debug)]
pub struct Evidence {
    subject: Subject,
    begun_ms: u64,
    last_ms: u64,
    closed: bool,
    frames: u32,
    compared: u32,
    spoof: Option<Observation>,
    /// The index that the frames of the window were compared with.
    index: u64,
    window: Vec<Observation, MAX_WINDOW>,
    best_compared: Option<Observation>,
    best_poor: Option<Observation>,
}

impl Evidence {
    /// The evidence of a visit that begins now.
    #[must_use]
    pub const fn begin(at_ms: u64) -> Self {
        Self::about(Subject::Everybody, at_ms)
    }

    /// The evidence of a visit whose frames from now on are compared so.
    #[must_use]
    pub const fn about(subject: Subject, at_ms: u64) -> Self {
        Self {
            subject,
            begun_ms: at_ms,
            last_ms: at_ms,
            closed: false,
            frames: 0,
            compared: 0,
            spoof: None,
            index: 0,
            window: Vec::new(),
            best_compared: None,
            best_poor: None,
        }
    }

    /// Takes in what a frame told. A frame that is not later than the one before it is dropped: the camera gave
    /// one picture twice, and one picture is one piece of evidence. So is one that was captured before the claim that it
    /// would speak for. After `close` nothing is taken.
    pub fn observe(&mut self, observation: Observation) {
        if self.closed || (self.frames > 0 && observation.at_ms <= self.last_ms) {
            return;
        }
        if self.subject != Subject::Everybody && observation.at_ms < self.begun_ms {
            return;
        }
        self.last_ms = observation.at_ms;
        self.frames = self.frames.saturating_add(1);
        if observation.presentation == Presentation::Spoof && self.spoof.is_none() {
            self.spoof = Some(observation);
        }
        let Some(best) = observation.best else {
            if self.best_poor.is_none_or(|poor| observation.quality > poor.quality) {
                self.best_poor = Some(observation);
            }
            return;
        };
        self.compared = self.compared.saturating_add(1);
        if self.window.is_full() {
            self.window.remove(0);
        }
        // Cannot fail: a place was just made.
        let _ = self.window.push(observation);
        // A score that is no number ranks below all others: kept as the best, it would hide the frames after it.
        let rank = |seen: Candidate| Some(seen.score.0).filter(|score| score.is_finite());
        let above = |seen: Observation| rank(best) > seen.best.and_then(rank);
        if self.best_compared.is_none_or(above) {
            self.best_compared = Some(observation);
        }
    }

    /// Says which search index the next frame is compared with, or decides. What was compared with another one counts no
    /// more: whom it found may have been removed since, and a threshold that fell with the removal would admit them.
    pub fn compared_with(&mut self, index: u64) {
        if self.index != index {
            self.index = index;
            self.window.clear();
        }
    }

    /// Says that the next frame shows another face than those before it. What they told is evidence for their person and not for
    /// the next one, so that no decision is made of the frames of two.
    pub fn another_face(&mut self) {
        self.window.clear();
    }

    /// Says that the visit is over: nobody is in view, or the time for it is up.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// With whom its frames are compared.
    #[must_use]
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// True after `close`.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// When the visit began, monotonic milliseconds.
    #[must_use]
    pub fn begun_ms(&self) -> u64 {
        self.begun_ms
    }

    /// Frames taken in.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Frames of them that were searched in the gallery.
    #[must_use]
    pub fn compared(&self) -> u32 {
        self.compared
    }

    /// True if a frame of the visit was judged a spoof, whatever the visit is decided by.
    #[must_use]
    pub fn is_attack(&self) -> bool {
        self.spoof.is_some()
    }

    /// The first frame judged a spoof.
    pub(crate) fn spoof(&self) -> Option<&Observation> {
        self.spoof.as_ref()
    }

    /// The last `count` compared frames, oldest first.
    pub(crate) fn window(&self, count: u8) -> &[Observation] {
        let len = self.window.len();
        self.window.get(len.saturating_sub(usize::from(count))..).unwrap_or(&[])
    }

    /// The compared frame with the highest score.
    pub(crate) fn best_compared(&self) -> Option<&Observation> {
        self.best_compared.as_ref()
    }

    /// The frame of the highest quality that was not compared.
    pub(crate) fn best_poor(&self) -> Option<&Observation> {
        self.best_poor.as_ref()
    }
}
