//! The messages about access: what holds of a person besides name and face, and the schedules of the unit.
//!
//! Owns no judgement: `policy::access` has that. Refuses to change what somebody else changed meanwhile: whoever sets says what
//! stood there.

use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{
    Access, AccessFault, Credential, Interval, MAX_INTERVALS, Name, PersonId, Schedule, ScheduleId,
};

/// Schedules in one page.
pub const SCHEDULE_PAGE: usize = 8;

/// The longest time zone, bytes of a POSIX TZ rule.
pub const ZONE_BYTES: usize = 64;

/// Asks what holds of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AccessGet {
    /// Who.
    pub person: PersonId,
}

/// What holds of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AccessGot {
    /// Who.
    pub person: PersonId,
    /// The person's limits and credentials.
    pub access: Access,
    /// The schedule that the limits name.
    pub schedule: Option<Schedule>,
    /// The unit's time zone, a POSIX TZ rule.
    pub zone: String<ZONE_BYTES>,
    /// The gallery's generation.
    pub generation: u64,
}

/// Settles what holds of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AccessSet {
    /// Who.
    pub person: PersonId,
    /// What holds so far; if it does not any more, nothing is changed.
    pub was: Access,
    /// What shall hold.
    pub access: Access,
}

/// Asks for schedules in order of their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SchedulePageRequest {
    /// The page starts after this one; `None` for the first page.
    pub after: Option<ScheduleId>,
}

/// Schedules in order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SchedulePage {
    /// The schedules.
    pub schedules: Vec<Schedule, SCHEDULE_PAGE>,
    /// True if more follow.
    pub more: bool,
    /// The unit's time zone, a POSIX TZ rule.
    pub zone: String<ZONE_BYTES>,
}

/// Puts a schedule, in place of one of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ScheduleSet {
    /// What it is called.
    pub name: Name,
    /// When people of it may enter, local time.
    pub intervals: Vec<Interval, MAX_INTERVALS>,
}

/// Takes a schedule away that nobody has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ScheduleRemove {
    /// Which.
    pub id: ScheduleId,
}

/// A schedule was put or taken away, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ScheduleDone {
    /// Which.
    pub id: ScheduleId,
    /// The gallery's generation.
    pub generation: u64,
}

/// Why access or a schedule cannot be so; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum AccessRefused {
    /// What was asked for is not whole.
    #[error("{0}; put that right")]
    NotWhole(AccessFault),
    /// Somebody has that credential.
    #[error("{name} (#{}) has {credential} already; take it from that person first, or give another one", person.0)]
    CredentialTaken {
        /// The credential.
        credential: Credential,
        /// Who has it.
        person: PersonId,
        /// What that person is called.
        name: Name,
    },
    /// No schedule has that number.
    #[error("the unit has no schedule {}; threshold schedule list shows which it has", id.0)]
    UnknownSchedule {
        /// What was asked for.
        id: ScheduleId,
    },
    /// Somebody is bound to the schedule.
    #[error("{name} (#{}) has that schedule; give everybody of it another one, or none, first", person.0)]
    ScheduleInUse {
        /// One of those who have it.
        person: PersonId,
        /// What that person is called.
        name: Name,
    },
    /// Every number is given out.
    #[error("the unit has {max} schedules already; remove one that nobody has", max = threshold_record::MAX_SCHEDULES)]
    SchedulesFull,
    /// Somebody else changed it since it was looked at.
    #[error("somebody else changed that meanwhile; look at it again, and set it then")]
    Changed,
}
