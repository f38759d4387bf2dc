//! The settings of the policy, their defaults and the check that they make sense together.

use serde::{Deserialize, Serialize};
use threshold_record::{Metric, Presentation, Score, Threshold};

/// The longest window of frames that must agree.
pub const MAX_WINDOW: usize = 16;

/// What the owner may settle about admissions. [`Policy::check`] says whether the values go together.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// The score at or above which a candidate is accepted.
    pub threshold: Threshold,
    /// How far the best candidate's score must lie above any other person's in the same frame.
    pub margin: f32,
    /// k: how many frames must accept one person.
    pub frames_needed: u8,
    /// n: among how many of the last compared frames; 1 to [`MAX_WINDOW`].
    pub frames_window: u8,
    /// Compared frames after which a visit is decided, so that a long stay is not a long series of attempts.
    pub frames_limit: u16,
    /// Quality below which a frame is not compared, percent.
    pub quality_min: u8,
    /// Whether each accepting frame must be judged live; needs presentation-attack detection.
    pub presentation: PresentationRule,
    /// Failed attempts in a row after which the unit locks out.
    pub attempts: u8,
    /// How long a lock-out lasts, seconds.
    pub lockout_s: u16,
}

/// What the policy asks of presentation-attack detection. A frame judged a spoof refuses under either rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PresentationRule {
    /// Frames that nobody assessed count: a photo opens this door.
    AcceptNotAssessed,
    /// Only frames judged live count.
    RequireLive,
}

impl PresentationRule {
    /// The rule of a unit with a detector, or without one.
    #[must_use]
    pub const fn of(detector_is_installed: bool) -> Self {
        if detector_is_installed { Self::RequireLive } else { Self::AcceptNotAssessed }
    }
}

/// Why settings do not go together.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// The threshold or margin is no number that a score can be compared with.
    #[error(
        "threshold {threshold} with margin {margin}: the threshold must be above -2 and below 1, the margin 0 to 1"
    )]
    Scores {
        /// The threshold's score.
        threshold: f32,
        /// The margin.
        margin: f32,
    },
    /// k of n is not possible.
    #[error(
        "{needed} of {window} frames: needed must be at least 1 and at most the window, the window at most {max}",
        max = MAX_WINDOW
    )]
    Frames {
        /// k.
        needed: u8,
        /// n.
        window: u8,
    },
    /// A visit ends before k frames can be compared.
    #[error("a limit of {limit} frames a visit is below the {needed} needed; raise the limit")]
    Limit {
        /// Frames a visit.
        limit: u16,
        /// k.
        needed: u8,
    },
    /// More than 100 percent.
    #[error("a least quality of {quality_min} percent is out of reach; give 0 to 100")]
    Quality {
        /// What was given.
        quality_min: u8,
    },
    /// No attempt is allowed, or a lock-out takes no time.
    #[error(
        "{attempts} attempts and {lockout_s} s of lock-out: both must be at least 1, and attempts below 255"
    )]
    Lockout {
        /// Attempts.
        attempts: u8,
        /// Seconds.
        lockout_s: u16,
    },
}

impl Policy {
    /// How much nearer than LFW's best distance a face must be, as a fraction of that distance.
    ///
    /// LFW's best threshold makes as many false accepts as false rejects among single comparisons. A door compares
    /// one face with everybody, so its false accepts grow with the gallery, and it may look again at the next frame,
    /// so a false reject costs little. 15 percent nearer is FaceNet at 0.97 (squared L2) instead of 1.14 and dlib
    /// at 0.53 (L2) instead of 0.62: the floor, which no rule goes below (`rule::derive`), and safe for a handful of people
    /// at most.
    pub const STRICTER: f32 = 0.15;

    /// The default policy of a model: its metric, and the distance that is best on LFW.
    #[must_use]
    pub fn for_model(metric: Metric, distance_at_lfw_best: f32) -> Self {
        let threshold = metric.score(distance_at_lfw_best * (1.0 - Self::STRICTER));
        Self {
            threshold: Threshold(threshold),
            // int8 search errs by at most 4e-3 (DESIGN): ten times that is no rounding.
            margin: 0.04,
            frames_needed: 3,
            frames_window: 5,
            frames_limit: 60,
            quality_min: 40,
            presentation: PresentationRule::AcceptNotAssessed,
            attempts: 10,
            lockout_s: 60,
        }
    }

    /// Checks that the settings make sense together; a unit arms on a checked policy only.
    ///
    /// # Errors
    /// [`PolicyError`] names the first that does not.
    pub fn check(&self) -> Result<(), PolicyError> {
        let Self { threshold: Threshold(Score(threshold)), margin, .. } = *self;
        // A threshold of 1 or more would admit only equal vectors; a NaN would admit nobody and say nothing. At -2 or below, what cannot be
        // compared would be accepted.
        if !(threshold < 1.0 && threshold > -2.0 && (0.0..=1.0).contains(&margin)) {
            return Err(PolicyError::Scores { threshold, margin });
        }
        let (needed, window, limit) = (self.frames_needed, self.frames_window, self.frames_limit);
        if needed == 0 || needed > window || usize::from(window) > MAX_WINDOW {
            return Err(PolicyError::Frames { needed, window });
        }
        if limit < u16::from(needed) {
            return Err(PolicyError::Limit { limit, needed });
        }
        if self.quality_min > 100 {
            return Err(PolicyError::Quality { quality_min: self.quality_min });
        }
        let (attempts, lockout_s) = (self.attempts, self.lockout_s);
        if attempts == 0 || attempts == u8::MAX || lockout_s == 0 {
            return Err(PolicyError::Lockout { attempts, lockout_s });
        }
        Ok(())
    }

    /// True if frames that nobody assessed count, so that a photo opens the door.
    #[must_use]
    pub fn photo_opens(&self) -> bool {
        self.presentation == PresentationRule::AcceptNotAssessed
    }

    /// True if a frame so judged may count towards an admission.
    #[must_use]
    pub fn counts(&self, presentation: Presentation) -> bool {
        match self.presentation {
            PresentationRule::AcceptNotAssessed => {
                matches!(presentation, Presentation::NotAssessed | Presentation::Live)
            }
            PresentationRule::RequireLive => presentation == Presentation::Live,
        }
    }
}
