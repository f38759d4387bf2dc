//! From the owner's rule to the threshold in force, at the gallery as it is.
//!
//! Owns the derivation that the unit repeats with each change of the gallery, what an owner settled as the log keeps it, and
//! why a unit refuses to compare one face with everybody (1:N). Pure, as `forecast` is, whose arithmetic it takes.
//! Refuses a threshold below the model's floor, the one of [`Policy::for_model`], whatever the rule says, and an acknowledgement
//! or a commission of somebody who does not own the unit.

use crate::Policy;
use crate::calibrate::Calibrated;
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
    /// Who gave the unit its relay authority; [`Settled::commissioned`] says whether that holds.
    pub commission: Option<Commission>,
    /// The same person is admitted again only after so many minutes (anti-passback), at most [`PASSBACK_MOST`]; 0 for at once.
    pub passback_min: u16,
    /// With whom a face is compared.
    pub mode: Mode,
    /// The calibration in force.
    pub calibration: Option<Calibrated>,
    /// How often the door admits while a full medium has room for the log in the reserve only, at most [`RESERVE_MOST`]; 0 for
    /// never, and then nothing is held back.
    pub reserve: u8,
}

/// The most admissions out of the reserve: with the attempts before them they take a tenth of it.
pub const RESERVE_MOST: u8 = 100;

/// The longest time until the same person is admitted again, minutes: a day.
pub const PASSBACK_MOST: u16 = 24 * 60;

/// An owner's word that the unit may move its lock, given with a recovery key (safety rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commission {
    /// Who gave it.
    pub by: KeyTag,
    /// The recovery key, an Ed25519 public key.
    pub recovery_key: [u8; 32],
}

/// Version 5 of the context record, which knew no reserve.
#[derive(Serialize, Deserialize)]
struct WithoutReserve {
    policy: Policy,
    rule: ThresholdRule,
    change: u32,
    photo: Option<KeyTag>,
    commission: Option<Commission>,
    passback_min: u16,
    mode: Mode,
    calibration: Option<Calibrated>,
}

/// Version 4 of the context record, which knew no calibration.
#[derive(Serialize, Deserialize)]
struct WithoutCalibration {
    policy: Policy,
    rule: ThresholdRule,
    change: u32,
    photo: Option<KeyTag>,
    commission: Option<Commission>,
    passback_min: u16,
    mode: Mode,
}

/// Version 3 of the context record, which knew no commission, no anti-passback and one mode.
#[derive(Deserialize)]
struct WithoutCommission {
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

impl Owner {
    /// True if the word of this administrator, or of a trusted line if it is nobody's, is the owner's word now.
    fn stands_by(self, by: KeyTag) -> bool {
        match self {
            Self::Administrator => !by.is_nobody(),
            Self::TrustedLine => by.is_nobody(),
            Self::Nobody => false,
        }
    }
}

impl Settled {
    /// The version of the context record; 1 was the policy alone, whose threshold no owner had settled, 2 knew no
    /// acknowledgement, 3 no commission, no anti-passback and no mode but [`Mode::Identify`], 4 no calibration, 5 no reserve.
    pub const VERSION: u8 = 6;

    /// The version in which a record without a reserve is still written, if it has a calibration.
    const WITHOUT_RESERVE: u8 = 5;

    /// The version in which a record without either is still written, so that a program that knows neither reads it.
    const WITHOUT_CALIBRATION: u8 = 4;

    /// What holds before an owner settled anything.
    #[must_use]
    pub const fn by_default(policy: Policy) -> Self {
        let rule = ThresholdRule::DEFAULT;
        let (photo, commission, passback_min) = (None, None, 0);
        let (mode, calibration, reserve) = (Mode::DEFAULT, None, 0);
        Self {
            policy,
            rule,
            change: 0,
            photo,
            commission,
            passback_min,
            mode,
            calibration,
            reserve,
        }
    }

    /// Who acknowledged that a photo opens this door, if that holds (safety rule 9): an administrator's word for as long as the
    /// unit has an owner, that of a trusted line until somebody was paired, who then has to give his own.
    #[must_use]
    pub fn acknowledged(&self, owner: Owner) -> Option<KeyTag> {
        self.photo.filter(|&by| owner.stands_by(by))
    }

    /// The commission, if it holds (safety rule 8): whose word it is counts as for the acknowledgement, and the recovery key is
    /// the one that the unit's record names, which no wipe takes away.
    #[must_use]
    pub fn commissioned(&self, owner: Owner, recorded: Option<&[u8; 32]>) -> Option<Commission> {
        self.commission
            .filter(|given| owner.stands_by(given.by) && recorded == Some(&given.recovery_key))
    }

    /// The bytes of its context record.
    ///
    /// # Errors
    /// [`ContextError::TooLong`]; does not happen with the fields of version 6.
    pub fn to_context(&self) -> Result<Vec<u8, MAX_CONTEXT_BYTES>, ContextError> {
        if self.reserve > 0 {
            return context::encode(Self::VERSION, self);
        }
        let Self { policy, rule, change, photo, commission, passback_min, mode, .. } = *self;
        if let calibration @ Some(_) = self.calibration {
            let without = WithoutReserve {
                policy,
                rule,
                change,
                photo,
                commission,
                passback_min,
                mode,
                calibration,
            };
            return context::encode(Self::WITHOUT_RESERVE, &without);
        }
        let without =
            WithoutCalibration { policy, rule, change, photo, commission, passback_min, mode };
        context::encode(Self::WITHOUT_CALIBRATION, &without)
    }

    /// What a context record's bytes say, of version 1 to 6. Nobody held back a reserve before version 6. Nobody calibrated a unit before version 5. Nobody acknowledged anything before version 3; before version 4 nobody
    /// commissioned a unit, nobody had to wait, and every face was compared with everybody.
    ///
    /// # Errors
    /// [`ContextError`] for a later version or other bytes.
    pub fn from_context(bytes: &[u8]) -> Result<Self, ContextError> {
        match bytes.first() {
            Some(1) => context::decode(1, bytes).map(Self::by_default),
            Some(2) => context::decode(2, bytes).map(|WithoutPhoto { policy, rule, change }| {
                Self { rule, change, ..Self::by_default(policy) }
            }),
            Some(3) => context::decode(3, bytes).map(
                |WithoutCommission { policy, rule, change, photo }| Self {
                    rule,
                    change,
                    photo,
                    ..Self::by_default(policy)
                },
            ),
            Some(&Self::WITHOUT_CALIBRATION) => context::decode(Self::WITHOUT_CALIBRATION, bytes)
                .map(|it: WithoutCalibration| Self {
                    rule: it.rule,
                    change: it.change,
                    photo: it.photo,
                    commission: it.commission,
                    passback_min: it.passback_min,
                    mode: it.mode,
                    ..Self::by_default(it.policy)
                }),
            Some(&Self::WITHOUT_RESERVE) => {
                context::decode(Self::WITHOUT_RESERVE, bytes).map(|it: WithoutReserve| Self {
                    rule: it.rule,
                    change: it.change,
                    photo: it.photo,
                    commission: it.commission,
                    passback_min: it.passback_min,
                    mode: it.mode,
                    calibration: it.calibration,
                    ..Self::by_default(it.policy)
                })
            }
            _ => context::decode(Self::VERSION, bytes),
        }
    }
}
