//! Decisions and why: every refusal has a reason, and where it helps, a cause.
//!
//! The numbers are in flash for ever: add at the end, never renumber.

use crate::PersonId;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Whether the door opens. `policy::decide` is the only place that makes an `Admit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Decision {
    /// Open for this person.
    Admit(PersonId),
    /// Stay locked, for this reason.
    Refuse(Reason),
}

/// An enumeration whose codes are in flash for ever. A closed one refuses the codes of a later version; an `open` one keeps them as
/// they are, so that a program reads past what a later one wrote, and writes it back bit for bit.
macro_rules! coded {
    ($(#[$doc:meta])* open $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)*
            /// A code that a later version defines.
            Later(u8),
        }

        $crate::decision::coded!(@texts $name { $($variant => $text,)* } { Self::Later(_) => "of_a_later_version" });

        impl $name {
            /// The stable code that flash and wire carry.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* Self::Later(code) => code }
            }

            /// The value of a code.
            #[must_use]
            pub const fn from_code(code: u8) -> Self {
                match code { $($code => Self::$variant,)* _ => Self::Later(code) }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    Self::Later(code) => write!(f, "code_{code}"),
                    known => f.write_str(known.text()),
                }
            }
        }
    };
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $code:literal => $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
        #[repr(u8)]
        pub enum $name { $($(#[$vdoc])* $variant = $code,)* }

        $crate::decision::coded!(@texts $name { $($variant => $text,)* });

        impl $name {
            /// The stable code that flash and wire carry.
            #[must_use]
            pub const fn code(self) -> u8 {
                self as u8
            }

            /// The value of a code; `None` for a code of a later version.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }
    };
    (@texts $name:ident { $($variant:ident => $text:literal,)* } $({ $later:pat => $later_text:literal })?) => {
        impl $name {
            /// Every value that this version defines, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable text that JSON and reports print.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* $($later => $later_text,)? }
            }
        }
    };
}
pub(crate) use coded;

coded! {
    /// Why the door stayed locked, or `Matched` when it opened.
    open Reason {
        /// Not a refusal: the person matched.
        Matched = 0 => "matched",
        /// The gallery holds nobody.
        EmptyGallery = 1 => "empty_gallery",
        /// The best candidate's score is below the threshold.
        Unknown = 2 => "unknown",
        /// A second person's score is within the margin of the best.
        Ambiguous = 3 => "ambiguous",
        /// Too few frames agreed before the visit ended.
        TooFewFrames = 4 => "too_few_frames",
        /// No frame of the visit was good enough to compare; the cause says why.
        Quality = 5 => "quality",
        /// The presentation was judged a spoof.
        Spoof = 6 => "spoof",
        /// Too many failed attempts, locked out for a while; or with a cause too many attacks, until an administrator unlocks it.
        LockedOut = 7 => "locked_out",
        /// The person may not enter now.
        Schedule = 8 => "schedule",
        /// Something in the unit failed; the cause says what.
        Fault = 9 => "fault",
        /// The unit is not armed.
        NotArmed = 10 => "not_armed",
    }
}

coded! {
    /// What lies behind a reason: a quality measure, or the part that failed.
    open Cause {
        /// Nothing to add.
        None = 0 => "none",
        /// No face in view.
        NoFace = 1 => "no_face",
        /// The face is too small.
        TooFar = 2 => "too_far",
        /// The face does not fit the picture.
        TooNear = 3 => "too_near",
        /// The face is too dark.
        TooDark = 4 => "too_dark",
        /// The face is too bright.
        TooBright = 5 => "too_bright",
        /// The face is blurred.
        Blurred = 6 => "blurred",
        /// The face is turned away.
        TurnedAway = 7 => "turned_away",
        /// Part of the face is covered.
        Covered = 8 => "covered",
        /// More than one face in view.
        MoreThanOne = 9 => "more_than_one",
        /// The camera failed.
        Camera = 32 => "camera",
        /// The store failed.
        Store = 33 => "store",
        /// The engine failed.
        Engine = 34 => "engine",
        /// The pack failed its self-test or is of another model.
        Model = 35 => "model",
        /// The gallery could not be used.
        Gallery = 36 => "gallery",
        /// The lock output failed.
        Lock = 37 => "lock",
        /// Nobody measured how the model's distances fall, so that no threshold can be derived for a target.
        NotMeasured = 38 => "not_measured",
        /// The target needs a threshold further out than the model was measured.
        BeyondMeasurement = 39 => "beyond_measurement",
        /// At the threshold that the target needs, more of the enrolled people would be refused than admitted.
        TooManyRefusals = 40 => "too_many_refusals",
        /// What the owner settled is for another model, or cannot be read.
        Policy = 41 => "policy",
        /// No owner acknowledged that a photo opens this door.
        NotAcknowledged = 42 => "not_acknowledged",
        /// The person's validity has not begun.
        NotYetValid = 43 => "not_yet_valid",
        /// The person's validity has ended.
        Expired = 44 => "expired",
        /// The person's schedule does not cover this hour.
        OutsideSchedule = 45 => "outside_schedule",
        /// The person was admitted a short while ago (anti-passback).
        Passback = 46 => "passback",
        /// The person is limited in time, and nobody set the unit's clock.
        ClockNotSet = 47 => "clock_not_set",
        /// The face is more like another enrolled person's than like the one's whom the credential names.
        OtherThanClaimed = 48 => "other_than_claimed",
        /// The credential names nobody who is enrolled.
        UnknownCredential = 49 => "unknown_credential",
        /// A face is compared only with the person whom a credential names, and none was given.
        NoCredential = 50 => "no_credential",
        /// Nobody commissioned the unit with its owner's recovery key since it began, or was wiped.
        NotCommissioned = 51 => "not_commissioned",
        /// The reader of credentials is not there or failed.
        Reader = 52 => "reader",
        /// What was set of the configuration over the line cannot be read or held to.
        Config = 53 => "config",
        /// With what was set of the configuration over the line the unit did not stay up.
        ConfigTrial = 54 => "config_trial",
        /// The device that computed failed at work.
        DeviceLost = 55 => "device_lost",
        /// The device that shall compute could not be had at the start, or failed its self-test.
        DeviceUnusable = 56 => "device_unusable",
        /// The two people are near twins: their own templates are almost as alike as the threshold asks.
        NearTwins = 61 => "near_twins",
        /// Another enrolled person has the same face, as far as the margin can tell: only a credential tells the two apart.
        SameFace = 62 => "same_face",
        /// An enrolment is under way at the door, which decides nobody until that has ended.
        Enrolling = 63 => "enrolling",
        /// The face of an enrolment is another's: than the one that was seen before, or somebody's who is enrolled.
        AnotherPerson = 64 => "another_person",
        /// The medium is full, and as many were admitted out of the reserve as the owner allowed.
        ReserveUsedUp = 66 => "reserve_used_up",
        /// What keeps the unit's secret does not give it, or its counter does not stand with the flash.
        Keys = 68 => "keys",
        /// The person has no card that the door controller takes.
        NoCard = 70 => "no_card",
        /// The door controller was not told, or not in time: its lines failed or kept a word back.
        Controller = 71 => "controller",
        /// Too many attacks were seen in a row: the unit is locked out until an administrator unlocks it.
        Spoofs = 76 => "spoofs",
        /// The unit is hotter than it may be.
        Heat = 77 => "heat",
    }
}

coded! {
    /// What presentation-attack detection said.
    open Presentation {
        /// No detector is installed: a photo opens this door.
        NotAssessed = 0 => "not_assessed",
        /// Judged to be a live face.
        Live = 1 => "live",
        /// Judged to be an artefact.
        Spoof = 2 => "spoof",
    }
}
