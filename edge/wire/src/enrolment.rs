//! The messages of an enrolment at the door: the unit looks by itself, and the host polls how far that is.
//!
//! Owns what a host is told while it goes on: what the last frame lacked, and what is asked for next. Refuses to carry a picture or an
//! embedding: neither leaves the unit before the templates stand in the gallery.

use crate::message::Resembled;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::template::MAX_SLOTS;
use threshold_record::{Cause, EnrolmentEnd, HeadPose, Name, PersonId};

/// Templates that an enrolment at the door keeps unless something else is asked: one of each pose.
pub const TEMPLATES: u8 = HeadPose::ALL.len() as u8;

/// Begins an enrolment at the door. A name that is enrolled gets further templates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct EnrolmentBegin {
    /// Whose.
    pub name: Name,
    /// Templates to keep, at most: 1 to [`MAX_SLOTS`], and no more than the person has slots. Of whoever has a template in every slot 1
    /// alone is taken: it takes the place of the most redundant one, which `gallery/redundant` for a face that is nobody's gives out
    /// before it goes.
    pub templates: u8,
    /// Enrol although the face resembles somebody else's who is enrolled.
    pub force: bool,
}

/// The unit looks for the person from now on, and decides nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct EnrolmentBegun {
    /// Number of the enrolment.
    pub number: u32,
    /// Who, if that name is enrolled; [`PersonId::NOBODY`] for somebody new.
    pub person: PersonId,
    /// Milliseconds without a poll after which it ends.
    pub silence_ms: u32,
    /// Milliseconds after which it ends anyway.
    pub longest_ms: u32,
}

/// Names an enrolment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct EnrolmentNumber {
    /// Which.
    pub number: u32,
}

/// Where an enrolment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum EnrolmentStage {
    /// More frames are needed.
    Gathering,
    /// Every pose was seen; it waits to be kept.
    Enough,
    /// It is over.
    Ended(EnrolmentEnd),
}

/// How an enrolment goes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct EnrolmentStatus {
    /// Where it stands.
    pub stage: EnrolmentStage,
    /// The pose that is asked for; the last one once there are enough of each.
    pub pose: HeadPose,
    /// What the last frame lacked, or what ended it; [`Cause::None`] if nothing.
    pub cause: Cause,
    /// Quality of the last frame, percent.
    pub quality: u8,
    /// Turn of the head in it, degrees, positive to the person's left.
    pub yaw_deg: i8,
    /// Frames taken of each pose, in the order of [`HeadPose`].
    pub taken: [u8; HeadPose::ALL.len()],
    /// Frames that are taken of each.
    pub of_each: u8,
    /// Frames that were looked at.
    pub frames: u32,
    /// How often everything was given up, since another face came.
    pub discarded: u16,
    /// Milliseconds left.
    pub left_ms: u32,
    /// Whom the face resembles who is enrolled already; only an owner is told.
    pub resembled: Option<Resembled>,
}

/// The templates are in the gallery, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct EnrolmentKept {
    /// Who.
    pub person: PersonId,
    /// False if the person was enrolled already.
    pub added: bool,
    /// What was kept.
    pub templates: Vec<TemplateKept, { MAX_SLOTS as usize }>,
    /// The gallery's generation.
    pub generation: u64,
}

/// One template that was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct TemplateKept {
    /// Its slot.
    pub slot: u8,
    /// Quality of its frame, percent.
    pub quality: u8,
    /// How the head was turned.
    pub pose: HeadPose,
}

/// Why an enrolment at the door cannot be; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum EnrolmentRefused {
    /// Another one is under way.
    #[error("an enrolment is under way at this door already; wait until it has ended")]
    Busy,
    /// There is none of that number, of this administrator, or it has ended.
    #[error("no such enrolment is under way; begin it again")]
    Unknown,
    /// Not every pose was seen.
    #[error("not every pose was seen yet; look at the camera until it is enough")]
    NotEnough,
    /// So many templates nobody has.
    #[error("a person has 1 to {most} templates; ask for as many")]
    BadCount {
        /// The most.
        most: u8,
    },
    /// The face is somebody's who is enrolled; only an owner is told whose.
    #[error(
        "the face is that of somebody who is enrolled already; add templates to that person, or use --force"
    )]
    SomebodyElse {
        /// Whose.
        other: Option<PersonId>,
    },
    /// The face resembles no template of the person whose name was given.
    #[error(
        "the face resembles no template of person {}, who has that name; give another name, or remove the person and enrol again", person.0
    )]
    UnlikeOwn {
        /// Who has the name.
        person: PersonId,
    },
}
