//! The messages of a calibration: what a unit's own gallery and recorded strangers say of its threshold, and an owner's word for it.
//!
//! Owns no arithmetic: the unit derives, the host shows. People are ids here; only an owner may ask.

use crate::policy::PolicyForecast;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{Cause, PersonId, Score, Threshold};

/// Entries that an owner may leave out of a calibration.
pub const EXCEPTED: usize = 16;

/// Near twins in one answer, the most alike first; the rest is counted.
pub const TWINS_TOLD: usize = 16;

/// Strangers in one answer, the most alike first.
pub const STRANGERS_TOLD: usize = 8;

/// Asks for a calibration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct CalibrateAsk {
    /// What is to be done.
    pub step: CalibrateStep,
    /// Sequences of entries that were no strangers', as the owner knows.
    pub except: Vec<u64, EXCEPTED>,
}

/// What is to be done for a calibration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum CalibrateStep {
    /// Read the log anew.
    Begin,
    /// Say how far it is, and what came of it.
    Look,
    /// Put it in force, if all of it is there.
    Apply,
    /// Take the one in force away.
    Drop,
}

/// How far a calibration is and what it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct CalibrateTold {
    /// Templates that were compared with all others, of how many.
    pub compared: u32,
    /// Templates of the gallery.
    pub templates: u32,
    /// Log entries that are still to be read; `None` if nobody asked for it since the start.
    pub unread: Option<u64>,
    /// The threshold in force.
    pub threshold: Threshold,
    /// The one that the rule leads to by the shipped distributions alone.
    pub shipped: Threshold,
    /// The part of strangers' visits that the rule lets be admitted; `None` of a fixed threshold.
    pub target: Option<f64>,
    /// People in the gallery.
    pub people: u32,
    /// Of them without a template, so that they can be compared with nobody.
    pub without_template: u32,
    /// People whose most alike other one is a near twin, those of the same face among them.
    pub near_twins: u32,
    /// People who have the same face as another one, as far as the margin can tell.
    pub same_face: u32,
    /// The most alike pairs first: the first is the ceiling of enrolled pairs, be it of near twins or not.
    pub pairs: Vec<PairTold, TWINS_TOLD>,
    /// What strangers say; `None` until the log was read.
    pub strangers: Option<StrangersTold>,
    /// What would be in force; `None` until all is there.
    pub derived: Option<DerivedTold>,
}

/// Two enrolled people.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct PairTold {
    /// Who.
    pub person: PersonId,
    /// The most alike other person.
    pub other: PersonId,
    /// The score of their most alike templates.
    pub score: Score,
    /// What they are to each other: [`Cause::NearTwins`], [`Cause::SameFace`], or [`Cause::None`].
    pub alike: Cause,
}

/// What recorded strangers say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct StrangersTold {
    /// Visits that count as strangers'.
    pub visits: u32,
    /// Of them since somebody was last enrolled: those that a rate is counted of.
    pub comparable: u32,
    /// Refusals that are left out since the same person was recognised within a minute.
    pub retries: u32,
    /// Scores that half, nine of ten and 99 of 100 of the comparable visits do not exceed; `None` without one.
    pub quantiles: Option<[Score; 3]>,
    /// The most alike.
    pub highest: Vec<StrangerTold, STRANGERS_TOLD>,
    /// Comparable visits that reached the threshold in force in a frame, and the highest rate that they do not contradict, at 95 %.
    pub above: u32,
    /// That rate.
    pub rate_high: f64,
}

/// One stranger.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct StrangerTold {
    /// The entry.
    pub sequence: u64,
    /// The most alike person.
    pub person: PersonId,
    /// How alike.
    pub score: Score,
}

/// What a calibration leads to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct DerivedTold {
    /// What the strangers ask for; `None` of nobody.
    pub asked: Option<Threshold>,
    /// True if there are enough of them to show that the target is kept.
    pub shown: bool,
    /// The threshold that would be in force: never below the shipped one.
    pub threshold: Threshold,
    /// What is to be expected there by the shipped distributions; `None` if nobody measured the model.
    pub forecast: Option<PolicyForecast>,
    /// Why the unit would compare nobody with it, so that it is not put in force; `None` if it may.
    pub refusal: Option<Cause>,
}
