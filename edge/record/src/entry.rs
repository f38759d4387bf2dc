//! The log entry: 64 bytes, little endian, the same in flash, on the wire and in the host's files.
//!
//! ```text
//!  0 sequence u64          | 24 version u8  (1)        | 40 best_score i16   (1/16384)
//!  8 boot u32              | 25 kind u8                | 42 runner_up_score i16
//! 12 monotonic_ms u48      | 26 reason u8              | 44 threshold i16
//! 18 wall u48: bit 47 trust| 27 cause u8               | 46 embed u16        (0.1 ms)
//!    bits 0..47 ms of Unix | 28 presentation u8        | 48 total u16        (0.1 ms)
//!                          | 29 quality u8 (percent)   | 50 context_model u16
//!                          | 30 detect u16 (0.1 ms)    | 52 context_policy u16
//!                          | 32 person u32             | 54 context_config u16
//!                          | 36 runner_up u32          | 56 by [u8; 4]
//!                                                      | 60 about [u8; 4]
//! ```
//! `by` and `about` are the first 4 bytes of administrators' key ids, zero for nobody: who did what the entry tells, and to whom.
//! The layout is final: flash written by version 1 is read for ever.

use crate::decision::coded;
use crate::{Cause, KeyTag, PersonId, Presentation, Reason, Score};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

coded! {
    /// What a log entry tells of.
    open EntryKind {
        /// The process started; `boot` grew by one.
        Boot = 0 => "boot",
        /// The unit began to decide.
        Armed = 1 => "armed",
        /// The unit stopped deciding; the cause says why.
        Disarmed = 2 => "disarmed",
        /// A visit ended in a decision.
        Decision = 3 => "decision",
        /// Something failed; the cause says what.
        Fault = 4 => "fault",
        /// An administrator added a person or a template (`person`).
        Enrolled = 5 => "enrolled",
        /// An administrator removed a person (`person`).
        Removed = 6 => "removed",
        /// An administrator read the log (`person` is nobody).
        LogRead = 7 => "log_read",
        /// A damaged tail of the log was cut off at start; what was lost was never acknowledged.
        TailCut = 8 => "tail_cut",
        /// An administrator was paired (`about`): the first of a unit as its owner, whoever came after as a viewer.
        Paired = 9 => "paired",
        /// An administrator (`by`) revoked the key of one (`about`), perhaps the own.
        Revoked = 10 => "revoked",
        /// An owner (`by`) gave an administrator (`about`) the role of a viewer.
        MadeViewer = 11 => "made_viewer",
        /// An owner (`by`) gave an administrator (`about`) the role of an enroller.
        MadeEnroller = 12 => "made_enroller",
        /// An owner (`by`) gave an administrator (`about`) the role of an owner.
        MadeOwner = 13 => "made_owner",
        /// An owner (`by`) settled how the threshold comes about; the policy's context says how, `threshold` what it is now.
        PolicySet = 14 => "policy_set",
        /// An administrator (`by`) took a copy of the gallery with its templates.
        GalleryRead = 15 => "gallery_read",
        /// An owner (`by`) made the unit start again.
        Reboot = 16 => "reboot",
        /// An owner (`by`) acknowledged that a photo opens this door.
        PhotoAcknowledged = 17 => "photo_acknowledged",
        /// An owner (`by`) took the acknowledgement back.
        PhotoWithdrawn = 18 => "photo_withdrawn",
        /// An owner (`by`) set the clock; this entry has the new time, the one before it the old.
        ClockSet = 19 => "clock_set",
        /// The door was opened without the unit's releasing it and without a request to exit.
        DoorForced = 20 => "door_forced",
        /// The door has stood open for longer than it may.
        DoorHeld = 21 => "door_held",
        /// The door that was forced or held open is closed again.
        DoorClosed = 22 => "door_closed",
        /// Somebody inside asked to leave; the unit moved nothing.
        ExitRequested = 23 => "exit_requested",
        /// The housing was opened.
        Tampered = 24 => "tampered",
        /// The housing is closed again.
        HousingClosed = 25 => "housing_closed",
        /// The button inside the housing was pressed: whoever has the code may pair for a while.
        ButtonPressed = 26 => "button_pressed",
        /// A version was installed (`by`) and runs on trial from the next start.
        Updated = 27 => "updated",
        /// The version on trial found every part in order (`by` nobody), or an owner (`by`) confirmed it.
        UpdateConfirmed = 28 => "update_confirmed",
        /// An owner (`by`) went back to the version before, or the launcher did (`by` nobody): it was not confirmed, or damaged.
        Reverted = 29 => "reverted",
        /// An administrator (`by`) settled when a person (`person`) may enter and by which credentials the person is claimed.
        AccessSet = 30 => "access_set",
        /// An owner (`by`) put a schedule; `runner_up` is its number.
        ScheduleSet = 31 => "schedule_set",
        /// An owner (`by`) took a schedule away; `runner_up` was its number.
        ScheduleRemoved = 32 => "schedule_removed",
        /// An owner (`by`) gave the unit its relay authority with the recovery key (`about`).
        Commissioned = 33 => "commissioned",
        /// An owner (`by`) registered the recovery key (`about`): the unit's first one, or in place of the one before.
        RecoveryKeySet = 34 => "recovery_key_set",
        /// Somebody gave a credential: the decision that follows is of a comparison with `person` alone (1:1), whom it names,
        /// or with nobody.
        Claim = 35 => "claim",
        /// An owner (`by`) set a key of the configuration, or took that back; it holds from the next start on. `runner_up` is its
        /// number ([`crate::Setting`]).
        ConfigSet = 36 => "config_set",
        /// What was set of the configuration does not load, or the unit did not stay up with it (`cause`): this start runs with what was
        /// set before, or with the unit's file alone.
        ConfigReverted = 37 => "config_reverted",
        /// The processor computes from now on in the place of a device that failed; the cause says when.
        FellBack = 38 => "fell_back",
        /// An owner (`by`) had the unit let go of its oldest entries, which were pulled; [`LogEntry::first_kept`] is the first that
        /// still counts.
        Pruned = 39 => "pruned",
        /// An owner (`by`) has templates of another model put beside the gallery, for an update.
        GalleryStaged = 40 => "gallery_staged",
        /// An owner (`by`) calibrated the unit at its door: `threshold` is the one in force with that, `best_score` the highest of a
        /// recorded stranger, `runner_up_score` that of two enrolled people.
        Calibrated = 41 => "calibrated",
        /// An administrator (`by`) began an enrolment at the door, of somebody in the gallery (`person`) or of somebody new: until it
        /// has ended the door decides nobody.
        EnrolmentBegun = 42 => "enrolment_begun",
        /// The enrolment at the door that was begun last has ended; `runner_up` says how ([`crate::EnrolmentEnd`]), the cause why, and
        /// `person` is who has templates more.
        EnrolmentEnded = 43 => "enrolment_ended",
        /// The medium is full, and the reserve that was held back makes room for the log: the door admits as often as the owner
        /// allowed (`runner_up`), counted from here on over every start.
        ReserveOpened = 45 => "reserve_opened",
        /// The reserve is held back again, or the owner wants none any more: the count has ended.
        ReserveWhole = 46 => "reserve_whole",
        /// The door controller was not told of the last admission of `person`; the cause says why.
        NotSent = 49 => "not_sent",
        /// An administrator (`by`) ended the lock-out that lasted, or began its counts anew.
        Unlocked = 54 => "unlocked",
        /// The unit is hot, and searches fewer frames for faces from here on; `runner_up` is the temperature in degrees Celsius.
        Throttled = 55 => "throttled",
        /// It cooled, and searches as many as before; `runner_up` is the temperature in degrees Celsius.
        ThrottleEnded = 56 => "throttle_ended",
    }
}

/// Wall time in milliseconds since 1970, and whether the clock had been set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct WallTime {
    /// Milliseconds since 1970-01-01 UTC, below 2^47.
    pub unix_ms: u64,
    /// True once the clock has been set from a source that the unit trusts.
    pub trusted: bool,
}

/// One event. `person` is the best candidate, admitted or not; see the file's header for the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct LogEntry {
    /// Position in the log, from 1, without gaps.
    pub sequence: u64,
    /// Count of starts of this unit.
    pub boot: u32,
    /// Milliseconds since this start, below 2^48.
    pub monotonic_ms: u64,
    /// Wall clock.
    pub wall: WallTime,
    /// What happened.
    pub kind: EntryKind,
    /// Why.
    pub reason: Reason,
    /// What lies behind the reason.
    pub cause: Cause,
    /// Presentation-attack verdict.
    pub presentation: Presentation,
    /// Quality of the best frame, percent.
    pub quality: u8,
    /// Best candidate, the person whom a credential named, or the one that an administrator's act was about.
    pub person: PersonId,
    /// Best candidate of another person. In an entry of the door's inputs (kinds 20 to 26) how many more of its kind it
    /// stands for, which came before and were not written one by one; in one of a schedule (kinds 31 and 32), of a setting
    /// (kind 36) or of an enrolment's end (kind 43) its number, in those of heat (kinds 55 and 56) degrees. In one of a prune (kind 39) the two are one number, see [`LogEntry::first_kept`].
    pub runner_up: PersonId,
    /// Score of the best candidate.
    pub best_score: Score,
    /// Score of the runner-up.
    pub runner_up_score: Score,
    /// Threshold in force.
    pub threshold: Score,
    /// Detection of the deciding frame, tenths of a millisecond, saturated; 0 if the engine did all in one go.
    pub detect_dms: u16,
    /// Embedding and search of the deciding frame, or all of one go, tenths of a millisecond, saturated.
    pub embed_dms: u16,
    /// First frame with the face to the decision, tenths of a millisecond, saturated.
    pub total_dms: u16,
    /// Number of the context record that names the model.
    pub context_model: u16,
    /// Number of the context record that holds the policy.
    pub context_policy: u16,
    /// Number of the context record that holds the configuration.
    pub context_config: u16,
    /// The administrator who did it; nobody if none did, or over a line that is obeyed without a session.
    pub by: KeyTag,
    /// The administrator whom it was done to; in entries of kinds 33 and 34 the recovery key.
    pub about: KeyTag,
}

/// Why 64 bytes are not a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Written by a later version.
    #[error("log entry of version {found}, this program reads up to {supported}")]
    Version {
        /// What the bytes say.
        found: u8,
        /// The newest that this code reads.
        supported: u8,
    },
}

impl EntryKind {
    /// True for what the door's inputs told: `runner_up` is a count there.
    #[must_use]
    pub const fn is_of_inputs(self) -> bool {
        matches!(
            self,
            Self::DoorForced
                | Self::DoorHeld
                | Self::DoorClosed
                | Self::ExitRequested
                | Self::Tampered
                | Self::HousingClosed
                | Self::ButtonPressed
        )
    }
}

impl LogEntry {
    /// Bytes of one entry.
    pub const LEN: usize = 64;
    /// The layout's version.
    pub const VERSION: u8 = 1;

    /// An entry of a kind with nothing else known.
    #[must_use]
    pub const fn of(kind: EntryKind) -> Self {
        Self {
            sequence: 0,
            boot: 0,
            monotonic_ms: 0,
            wall: WallTime { unix_ms: 0, trusted: false },
            kind,
            reason: Reason::Matched,
            cause: Cause::None,
            presentation: Presentation::NotAssessed,
            quality: 0,
            person: PersonId::NOBODY,
            runner_up: PersonId::NOBODY,
            best_score: Score(0.0),
            runner_up_score: Score(0.0),
            threshold: Score(0.0),
            detect_dms: 0,
            embed_dms: 0,
            total_dms: 0,
            context_model: 0,
            context_policy: 0,
            context_config: 0,
            by: KeyTag::NOBODY,
            about: KeyTag::NOBODY,
        }
    }

    /// The entry of a prune after which `first` is the oldest that counts; `runner_up` has the number's low half, `person` the high one.
    #[must_use]
    pub const fn pruned(first: u64) -> Self {
        let (person, runner_up) = (PersonId((first >> 32) as u32), PersonId(first as u32));
        Self { person, runner_up, ..Self::of(EntryKind::Pruned) }
    }

    /// Of the entry of a prune the first entry that still counts, those before it were let go of; `None` of every other entry.
    #[must_use]
    pub fn first_kept(&self) -> Option<u64> {
        let first = (u64::from(self.person.0) << 32) | u64::from(self.runner_up.0);
        (self.kind == EntryKind::Pruned).then_some(first)
    }

    /// The 64 bytes. Scores are rounded to 1/16384; times above their width are cut to it.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &self.sequence.to_le_bytes());
        put(8, &self.boot.to_le_bytes());
        put(12, &self.monotonic_ms.to_le_bytes()[..6]);
        let wall = (self.wall.unix_ms & ((1 << 47) - 1)) | (u64::from(self.wall.trusted) << 47);
        put(18, &wall.to_le_bytes()[..6]);
        put(24, &[Self::VERSION, self.kind.code(), self.reason.code(), self.cause.code()]);
        put(28, &[self.presentation.code(), self.quality]);
        put(30, &self.detect_dms.to_le_bytes());
        put(32, &self.person.0.to_le_bytes());
        put(36, &self.runner_up.0.to_le_bytes());
        put(40, &self.best_score.to_fixed().to_le_bytes());
        put(42, &self.runner_up_score.to_fixed().to_le_bytes());
        put(44, &self.threshold.to_fixed().to_le_bytes());
        put(46, &self.embed_dms.to_le_bytes());
        put(48, &self.total_dms.to_le_bytes());
        put(50, &self.context_model.to_le_bytes());
        put(52, &self.context_policy.to_le_bytes());
        put(54, &self.context_config.to_le_bytes());
        put(56, &self.by.0);
        put(60, &self.about.0);
        bytes
    }

    /// The entry of 64 bytes.
    ///
    /// # Errors
    /// [`EntryError`] for a later version or an unknown code.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, EntryError> {
        let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let i16_at = |at: usize| i16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let uint = |at: usize, len: usize| {
            bytes[at..at + len].iter().rev().fold(0u64, |acc, &byte| (acc << 8) | u64::from(byte))
        };
        if bytes[24] != Self::VERSION {
            return Err(EntryError::Version { found: bytes[24], supported: Self::VERSION });
        }
        let wall = uint(18, 6);
        Ok(Self {
            sequence: uint(0, 8),
            boot: uint(8, 4) as u32,
            monotonic_ms: uint(12, 6),
            wall: WallTime { unix_ms: wall & ((1 << 47) - 1), trusted: wall >> 47 == 1 },
            kind: EntryKind::from_code(bytes[25]),
            reason: Reason::from_code(bytes[26]),
            cause: Cause::from_code(bytes[27]),
            presentation: Presentation::from_code(bytes[28]),
            quality: bytes[29],
            detect_dms: u16_at(30),
            person: PersonId(uint(32, 4) as u32),
            runner_up: PersonId(uint(36, 4) as u32),
            best_score: Score::from_fixed(i16_at(40)),
            runner_up_score: Score::from_fixed(i16_at(42)),
            threshold: Score::from_fixed(i16_at(44)),
            embed_dms: u16_at(46),
            total_dms: u16_at(48),
            context_model: u16_at(50),
            context_policy: u16_at(52),
            context_config: u16_at(54),
            by: KeyTag([bytes[56], bytes[57], bytes[58], bytes[59]]),
            about: KeyTag([bytes[60], bytes[61], bytes[62], bytes[63]]),
        })
    }
}
