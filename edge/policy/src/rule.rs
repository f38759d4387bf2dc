//! From the owner's rule to the threshold in force, at the gallery as it is.
//!
//! Owns the derivation that the unit repeats with each change of the gallery, what an owner settled as the log keeps it, and
//! why a unit refuses to compare one face with everybody (1:N). Pure, as `forecast` is, whose arithmetic it takes.
//! Refuses a threshold below the model's floor, the one of [`Policy::for_model`], whatever the rule says, and an acknowledgement
//! of somebody who does not own the unit.

use crate::Policy;
use crate::forecast::{Admissions, Arming, Forecast, Site, Target, Why, arm, forecast};
use heapless::Vec;
use serde::{Deserialize, Serialize};
use threshold_record::context::{self, ContextError, MAX_CONTEXT_BYTES};
use threshold_record::{
    Cause, Distributions, KeyTag, Metric, Mode, ModelId, Threshold, ThresholdRule,
};

/// The largest part of the enrolled people's visits that a unit still arms with: when more are turned away than come in, the
/// door is propped open and protects nobody.
pub const FNIR_MOST: f64 = 0.5;

/// The model that a threshold is derived for.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// The pack.
    pub id: ModelId,
    /// How its distances are measured.
    pub metric: Metric,
    /// How its distances fall; `None` if nobody measured that.
    pub distributions: Option<&'a Distributions>,
}

/// What a rule leads to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derived {
    /// The policy with the threshold in force.
    pub policy: Policy,
    /// What is to be expected of it; `None` if nobody measured the model.
    pub forecast: Option<Forecast>,
    /// Why the unit compares nobody with it; `None` if it may.
    pub refusal: Option<Refusal>,
}

/// Why a unit refuses to compare one face with everybody, or with the one whom a credential names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub why: Cause,
    /// With no more people than this it would; 0 if no number helps.
    pub people_at_most: u32,
}

/// Derives the threshold at a site. `floor` is the model's default policy, whose threshold is the loosest there is.
#[must_use]
pub fn derive(rule: &ThresholdRule, floor: &Policy, model: &Measured<'_>, site: &Site) -> Derived {
    let refused = |policy: Policy, forecast, why, people_at_most| Derived {
        policy,
        forecast,
        refusal: Some(Refusal { why, people_at_most }),
    };
    let expected = |policy: &Policy| {
        model.distributions.map(|known| forecast(policy, model.metric, known, site))
    };
    match *rule {
        ThresholdRule::Fixed { model: of, .. } if of != model.id => {
            refused(*floor, expected(floor), Cause::Policy, 0)
        }
        ThresholdRule::Fixed { threshold: Threshold(score), .. } => {
            let score = if score > floor.threshold.0 { score } else { floor.threshold.0 };
            let policy = Policy { threshold: Threshold(score), ..*floor };
            Derived { policy, forecast: expected(&policy), refusal: None }
        }
        ThresholdRule::Target { fpir } => {
            let Some(known) = model.distributions else {
                return refused(*floor, None, Cause::NotMeasured, 0);
            };
            let target = Target { admissions: Admissions::Fpir(fpir), fnir: FNIR_MOST };
            match arm(&target, floor, model.metric, known, site) {
                (policy, Arming::Arms(forecast)) => {
                    Derived { policy, forecast: Some(forecast), refusal: None }
                }
                (policy, Arming::Refuses { forecast, why, help }) => {
                    refused(policy, Some(forecast), cause(why), help.people_at_most)
                }
            }
        }
    }
}

fn cause(why: Why) -> Cause {
    match why {
        // A target that even the nearest distance does not keep lies further out than anything measured.
        Why::TooManyAdmissions | Why::BeyondMeasurement => Cause::BeyondMeasurement,
        Why::TooManyRefusals => Cause::TooManyRefusals,
    }
}

/// Why an owner cannot settle a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The target is no rate, or looser than any door may be.
    #[error("the target must lie above 0 and be at most {most}", most = ThresholdRule::FPIR_MOST)]
    Target,
    /// The threshold is of another model.
    #[error("the threshold is on the scores of model {of}, not of the unit's")]
    OtherModel {
        /// The model it is of.
        of: ModelId,
    },
    /// The threshold is looser than the floor, or one that nobody reaches.
    #[error("the threshold must lie at or above the model's floor and below 1")]
    Threshold,
}

/// Checks that an owner may settle a rule on a unit of this model and floor.
///
/// # Errors
/// [`RuleError`] says what is against it.
pub fn check(rule: &ThresholdRule, floor: &Policy, model: ModelId) -> Result<(), RuleError> {
    match *rule {
        ThresholdRule::Target { fpir } if fpir > 0.0 && fpir <= ThresholdRule::FPIR_MOST => Ok(()),
        ThresholdRule::Target { .. } => Err(RuleError::Target),
        ThresholdRule::Fixed { model: of, .. } if of != model => Err(RuleError::OtherModel { of }),
        ThresholdRule::Fixed { threshold, .. } => {
            let above = threshold.0 >= floor.threshold.0;
            let sound = Policy { threshold, ..*floor }.check().is_ok();
            if above && sound { Ok(()) } else { Err(RuleError::Threshold) }
        }
    }
}

/// What the owner settled, as the context record of the policy keeps it: the log carries it over every start, and an older one
/// cannot be put back without the log.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settled {
    /// The policy, with the floor as its threshold.
    pub policy: Policy,
    /// How the threshold in force comes about.
    pub rule: ThresholdRule,
    /// Counts the owner's changes, so that each is a record of its own: the last one in the log is the one in force.
    pub change: u32,
    /// Who acknowledged that a photo opens this door; [`Settled::acknowledged`] says whether that holds.
    pub photo: Option<KeyTag>,
    /// The same person is admitted again only after so many minutes (anti-passback), at most [`PASSBACK_MOST`]; 0 for at once.
    pub passback_min: u16,
    /// With whom a face is compared.
    pub mode: Mode,
}

/// The longest time until the same person is admitted again, minutes: a day.
pub const PASSBACK_MOST: u16 = 24 * 60;

/// Version 3 of the context record, which knew neither anti-passback nor a mode.
#[derive(Deserialize)]
struct WithoutPassback {
    policy: Policy,
    rule: ThresholdRule,
    change: u32,
    photo: Option<KeyTag>,
}

/// Version 2 of the context record, which knew no acknowledgement.
#[derive(Deserialize)]
struct WithoutPhoto {
    policy: Policy,
    rule: ThresholdRule,
    change: u32,
}

/// Who may answer for a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// An administrator of that role.
    Administrator,
    /// Whoever is at a line that the unit trusts, since nobody was paired.
    TrustedLine,
    /// Nobody.
    Nobody,
}

impl Settled {
    /// The version of the context record; 1 was the policy alone, whose threshold no owner had settled, 2 knew no
    /// acknowledgement, 3 neither anti-passback nor a mode but [`Mode::Identify`].
    pub const VERSION: u8 = 4;

    /// What holds before an owner settled anything.
    #[must_use]
    pub const fn by_default(policy: Policy) -> Self {
        let rule = ThresholdRule::DEFAULT;
        Self { policy, rule, change: 0, photo: None, passback_min: 0, mode: Mode::DEFAULT }
    }

    /// Who acknowledged that a photo opens this door, if that holds (safety rule 9): an administrator's word for as long as the
    /// unit has an owner, that of a trusted line until somebody was paired, who then has to give his own.
    #[must_use]
    pub fn acknowledged(&self, owner: Owner) -> Option<KeyTag> {
        self.photo.filter(|by| match owner {
            Owner::Administrator => !by.is_nobody(),
            Owner::TrustedLine => by.is_nobody(),
            Owner::Nobody => false,
        })
    }

    /// The bytes of its context record.
    ///
    /// # Errors
    /// [`ContextError::TooLong`]; does not happen with the fields of version 4.
    pub fn to_context(&self) -> Result<Vec<u8, MAX_CONTEXT_BYTES>, ContextError> {
        context::encode(Self::VERSION, self)
    }

    /// What a context record's bytes say, of version 1 to 4. Nobody acknowledged anything before version 3; nobody had to wait,
    /// and every face was compared with everybody, before version 4.
    ///
    /// # Errors
    /// [`ContextError`] for a later version or other bytes.
    pub fn from_context(bytes: &[u8]) -> Result<Self, ContextError> {
        match bytes.first() {
            Some(1) => context::decode(1, bytes).map(Self::by_default),
            Some(2) => context::decode(2, bytes).map(|WithoutPhoto { policy, rule, change }| {
                Self { rule, change, ..Self::by_default(policy) }
            }),
            Some(3) => {
                context::decode(3, bytes).map(|WithoutPassback { policy, rule, change, photo }| {
                    Self { rule, change, photo, ..Self::by_default(policy) }
                })
            }
            _ => context::decode(Self::VERSION, bytes),
        }
    }
}
