//! From which score on an enrolment is of somebody who is enrolled already.
//!
//! Owns the part of new people's enrolments that may be stopped by mistake. Pure; what is scored is `threshold_models::search`'s, by means
//! of pictures, told as of one picture and one template.
//! Refuses to be looser than the model's floor, below which no two faces are taken for one person here.
//! Why not the floor itself: among 100 people it stops many of those who are new (the last column of "second identities" in
//! docs/evaluation-identify.md), and whoever is told so often says `--force` every time. What lies between the two is said to the enroller.

use crate::Policy;
use crate::forecast::{FMR_LEAST, threshold_of_search};
use threshold_record::{Distributions, Metric, Threshold};

/// The part of the enrolments of new people that may be stopped.
pub const FALSE_ALARMS: f64 = 0.005;

/// The threshold among so many people. `floor` is the model's default policy, whose threshold is taken where its distances are not
/// known, and is the loosest there is.
#[must_use]
pub fn threshold(
    floor: &Policy,
    metric: Metric,
    distributions: Option<&Distributions>,
    people: u32,
) -> Threshold {
    let loosest = floor.threshold;
    let Some(known) = distributions else { return loosest };
    // With more people it is that of 5,000: further out than the model was measured nobody knows what finds them.
    let people = people.clamp(1, (FALSE_ALARMS / FMR_LEAST) as u32);
    let found = threshold_of_search(FALSE_ALARMS, floor, metric, known, people);
    // A NaN would stop nobody.
    if found.0 > loosest.0 { found } else { loosest }
}
