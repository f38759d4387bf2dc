//! A unit's causes in words: what each means to a person, and what helps against it.
//!
//! Refuses to judge: which cause an entry has is the unit's to say.

use threshold_record::{Cause, EnrolmentEnd};

/// What helps against a full medium, whichever the unit has: its own messages know.
pub(crate) const FREE_SPACE: &str = "free space on the medium of the unit's data folder, or remove people where a device holds its store";

/// What a cause means to a person who stands before the camera or holds the photo.
#[must_use]
pub fn cause_words(cause: Cause) -> &'static str {
    match cause {
        Cause::None => "no cause given",
        Cause::NoFace => "no face in view",
        Cause::TooFar => "the face is too small",
        Cause::TooNear => "the face does not fit into the picture",
        Cause::TooDark => "the face is too dark",
        Cause::TooBright => "the face is too bright",
        Cause::Blurred => "the face is blurred",
        Cause::TurnedAway => "the face is turned away",
        Cause::Covered => "part of the face is covered",
        Cause::MoreThanOne => "more than one face in view",
        Cause::Camera => "the camera failed",
        Cause::Store => "the store failed",
        Cause::Engine => "the networks failed",
        Cause::Model => "the model pack failed its self-test or is another than the gallery's",
        Cause::Gallery => "the gallery could not be used",
        Cause::Lock => "the lock output failed",
        Cause::NotMeasured => {
            "nobody measured this model, so no threshold can be derived for a target"
        }
        Cause::BeyondMeasurement => {
            "the target needs a threshold further out than this model was measured"
        }
        Cause::TooManyRefusals => {
            "at the threshold that the target needs, most of the enrolled people's visits would be refused"
        }
        Cause::Policy => "what the owner settled is for another model, or of a later version",
        Cause::NotAcknowledged => "a photo opens this door, and no owner acknowledged that",
        Cause::Later(_) => "something that only a later version of the program knows",
        Cause::NotYetValid => "the person's validity has not begun",
        Cause::Expired => "the person's validity has ended",
        Cause::OutsideSchedule => "the person's schedule does not cover this hour",
        Cause::Passback => "the person was admitted a short while ago",
        Cause::ClockNotSet => {
            "the person may enter at certain times only, and nobody set the unit's clock since its start"
        }
        Cause::NotCommissioned => {
            "nobody commissioned the unit with its owner's recovery key since it began, or was wiped"
        }
        Cause::OtherThanClaimed => {
            "the face is more like somebody else's who is enrolled than like the one's whom the credential names"
        }
        Cause::UnknownCredential => "the credential names nobody who is enrolled",
        Cause::NoCredential => "this door asks for a badge or number first, and none was given",
        Cause::Reader => "the reader of badges and numbers is not there or failed",
        Cause::ConfigTrial => {
            "with what was set of the configuration over the line the unit did not stay up"
        }
        Cause::Config => {
            "what was set of the configuration over the line cannot be read or held to"
        }
        Cause::DeviceLost => "the GPU failed at work, and the processor computes in its place",
        Cause::NearTwins => {
            "two enrolled people are near twins, and the face is not nearer to one of them by the margin"
        }
        Cause::SameFace => {
            "another enrolled person has the same face, as far as the margin can tell"
        }
        Cause::DeviceUnusable => {
            "the GPU could not be used at the start, and the processor computes in its place"
        }
        Cause::Enrolling => "an enrolment is under way at the door",
        Cause::AnotherPerson => "the face is another person's",
        Cause::ReserveUsedUp => {
            "the medium of the log has no room for the reserve, or no admission is left of it"
        }
        Cause::Keys => {
            "what keeps the unit's secret does not give it, or its counter does not stand with the flash"
        }
        Cause::NoCard => "the person has no card that the door controller takes",
        Cause::Controller => "the door controller was not told, or not in time",
        Cause::Spoofs => {
            "too many attacks were seen in a row, and the unit is locked out until an administrator unlocks it"
        }
        Cause::Heat => "the unit is hotter than it may be",
    }
}

/// What an end of an enrolment without a template is, in words.
#[must_use]
pub fn end_words(end: EnrolmentEnd, cause: Cause, other: Option<&str>) -> String {
    match end {
        EnrolmentEnd::Cancelled => "the enrolment was given up".to_owned(),
        EnrolmentEnd::TimedOut if cause == Cause::None => {
            "the time was over before every side of the face was seen".to_owned()
        }
        EnrolmentEnd::TimedOut => format!(
            "the time was over before every side of the face was seen, at last: {}",
            cause_words(cause)
        ),
        EnrolmentEnd::LineGone => "the unit was not asked for it in time".to_owned(),
        EnrolmentEnd::SomebodyElse => match other {
            Some(other) => format!("this face matches {other}, who is enrolled already"),
            None => "this face matches somebody who is enrolled already".to_owned(),
        },
        EnrolmentEnd::Fault => format!("a part of the unit failed, {}", cause_words(cause)),
        EnrolmentEnd::NotKept => "the gallery did not take the templates".to_owned(),
        EnrolmentEnd::Kept | EnrolmentEnd::Later(_) => {
            format!("the unit ended the enrolment by itself ({end})")
        }
    }
}

/// What helps against a cause; `None` where nothing can be advised.
#[must_use]
pub fn cause_help(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::None => return None,
        Cause::NoFace => "look at the camera with the whole face in view",
        Cause::TooFar => "come closer, or use a photo with a larger face",
        Cause::TooNear => "step back until the whole face is in view",
        Cause::TooDark => "more light on the face, not behind it",
        Cause::TooBright => "less direct light on the face",
        Cause::Blurred => "hold still, or clean and focus the lens",
        Cause::TurnedAway => "look straight at the camera",
        Cause::Covered => "uncover eyes, nose and mouth",
        Cause::MoreThanOne => "one person at a time",
        Cause::Camera => "check the camera's cable and power; the unit's own messages say more",
        Cause::Store => "check the unit's storage: full, read-only or worn out",
        Cause::Engine => "restart the unit; if it comes again, report it with the log",
        Cause::Model => "install the pack that the gallery was made with, or enrol everyone again",
        Cause::Gallery => "look at `threshold info`, then restore or re-enrol the gallery",
        Cause::Lock => {
            "check [door] in the unit's configuration and the wiring, then start the unit again; its own messages name the line"
        }
        Cause::NotYetValid | Cause::Expired => {
            "threshold access show says from when to when; an enroller changes it with threshold access set"
        }
        Cause::OutsideSchedule => {
            "threshold access show says which hours; threshold access set binds to others, threshold schedule set changes them"
        }
        Cause::Passback => "wait; threshold policy show says how long",
        Cause::ClockNotSet => "threshold clock set, as an owner",
        Cause::NotMeasured => {
            "take a model that was measured, or threshold policy set --threshold <score> --accept-risk"
        }
        Cause::BeyondMeasurement | Cause::TooManyRefusals => {
            "take another model, threshold policy set --target <fpir> with a looser one, or --threshold <score> \
             --accept-risk; threshold calibrate --drop, where a calibration is in force"
        }
        Cause::NotAcknowledged => {
            "threshold policy acknowledge, which says what that means; takes an owner"
        }
        Cause::Later(_) => "use a threshold as new as the unit",
        Cause::NotCommissioned => {
            "threshold commission, with --recovery-key if the unit had one; takes an owner"
        }
        Cause::ConfigTrial => "set fewer keys at once; the unit's own messages say where it ended",
        Cause::Config => {
            "threshold config get says what holds, threshold config set sets it again; takes an owner"
        }
        Cause::OtherThanClaimed => "give the own badge or number, not somebody else's",
        Cause::UnknownCredential => {
            "give the right badge or number; if it is the right one, an enroller gives it to the person"
        }
        Cause::NoCredential => {
            "hold a badge to the reader, or type the number, then look at the camera"
        }
        Cause::Reader => {
            "check [reader] in the unit's configuration and the wiring, then start the unit again; its own messages name \
             the line; or threshold policy mode identify"
        }
        Cause::NearTwins => "more and better photos of both people; threshold calibrate names them",
        Cause::SameFace => {
            "if they are two people, a badge or number for each (threshold policy mode both); if they are one, remove one of \
             them; threshold calibrate names them"
        }
        Cause::DeviceLost | Cause::DeviceUnusable => {
            "the unit's own messages say what failed; start it again to try the GPU again"
        }
        Cause::Enrolling => "wait until the enrolment has ended, then look at the camera again",
        Cause::AnotherPerson => "one person at a time, until it is done",
        Cause::ReserveUsedUp => FREE_SPACE,
        Cause::Keys => {
            "look at [keys] in the unit's configuration and at its TPM; the unit's own messages say which fault it is, and what to do"
        }
        Cause::NoCard => {
            "threshold access set gives the person a badge; [controller] in the unit's configuration says which ones are taken"
        }
        Cause::Controller => {
            "check [controller] in the unit's configuration and the wiring, then start the unit again; its own messages name the line"
        }
        Cause::Spoofs => {
            "look who was at the door (threshold log pull), then threshold unlock; takes an enroller"
        }
        Cause::Heat => {
            "shade the unit, let air to it, or keep the place cooler; it goes on by itself once it is cooler"
        }
        Cause::Policy => {
            "threshold policy set --target <fpir>; if the unit does not take that, start the newer threshold-edge"
        }
    })
}
