//! The messages about the policy: what the owner settled, what it leads to at the gallery as it is, and how it is changed.
//!
//! Owns no arithmetic: the unit derives, the host shows.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{Cause, KeyTag, Mode, Threshold, ThresholdRule};

/// The policy of a unit, and what is to be expected of it with the people who are enrolled now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct PolicyInfo {
    /// What the owner settled.
    pub rule: ThresholdRule,
    /// The loosest threshold that the unit takes with its model, whatever is settled.
    pub floor: Threshold,
    /// The threshold that the rule leads to.
    pub threshold: Threshold,
    /// People in the gallery: N.
    pub people: u32,
    /// Templates of them.
    pub templates: u32,
    /// What is to be expected at the threshold; `None` if nobody measured the model.
    pub forecast: Option<PolicyForecast>,
    /// Why the unit compares nobody with it; `None` if it may.
    pub refusal: Option<PolicyRefusal>,
    /// Who acknowledged that a photo opens this door, if that holds; [`KeyTag::NOBODY`] for a line that is obeyed without a
    /// session.
    pub photo: Option<KeyTag>,
    /// The same person is admitted again only after so many minutes (anti-passback); 0 for at once.
    pub passback_min: u16,
    /// With whom the unit compares a face: [`PolicyInfo::threshold`] is the one of everybody (1:N), also where nobody is
    /// compared so.
    pub mode: Mode,
    /// What holds where a face is compared with one person alone (1:1).
    pub one: OnePolicy,
    /// The calibration in force.
    pub calibration: Option<CalibrationHeld>,
}

/// A calibration in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct CalibrationHeld {
    /// Who put it in force.
    pub by: KeyTag,
    /// The threshold of 1:N is not below this.
    pub threshold: Threshold,
    /// People of the gallery that it was made with.
    pub people: u32,
    /// Templates of them.
    pub templates: u32,
    /// Strangers that it rests on.
    pub strangers: u32,
    /// True if the gallery grew since.
    pub stale: bool,
}

/// The threshold of a comparison with whoever has the most templates: for everybody else it is that or looser, and never below
/// the floor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct OnePolicy {
    /// Their templates.
    pub templates: u8,
    /// The threshold that the rule leads to at one person.
    pub threshold: Threshold,
    /// What is to be expected at the threshold: of those who come with a credential of somebody else, and of the person; `None`
    /// if nobody measured the model.
    pub forecast: Option<PolicyForecast>,
    /// Why the unit compares nobody so; `None` if it may.
    pub refusal: Option<Cause>,
}

/// Rates of visits at a threshold and a number of people, from the model's distributions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct PolicyForecast {
    /// Part of the strangers' visits that end in an admission.
    pub fpir: f64,
    /// The same at the less friendly end of the measurement's interval, which a target is kept with.
    pub fpir_high: f64,
    /// Part of the enrolled people's visits that are refused.
    pub fnir: f64,
    /// The same at the less friendly end.
    pub fnir_high: f64,
}

/// Why a unit refuses to compare one face with everybody (1:N).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PolicyRefusal {
    /// Why.
    pub why: Cause,
    /// With no more people than this it would compare; 0 if no number helps.
    pub people_at_most: u32,
}

/// Settles after how many minutes the same person is admitted again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PassbackSet {
    /// Minutes, at most a day; 0 for at once.
    pub minutes: u16,
}

/// How often shall the door admit while the medium of the log is full?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ReserveAsk {
    /// So often, at most 100 times, and 0 for never; `None` only asks.
    pub admissions: Option<u8>,
}

/// How the reserve of a unit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum ReserveStanding {
    /// None is held back.
    None,
    /// It is held back.
    Whole,
    /// It cannot be held back yet.
    Missing,
    /// The medium is full, and its room is used.
    Open {
        /// Admissions that are left.
        left: u8,
    },
}

/// What holds of the reserve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ReserveTold {
    /// How often the door admits while the medium is full.
    pub admissions: u8,
    /// How the reserve stands.
    pub standing: ReserveStanding,
}

/// Settles with whom a face is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ModeSet {
    /// The mode.
    pub mode: Mode,
}

/// Settles how the threshold comes about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct PolicySet {
    /// The rule.
    pub rule: ThresholdRule,
}
