//! The visits of the demonstration: who comes, in which picture, and which decision is the right one.
//!
//! The expectations stand here, before anything runs. They are about the door: a wrong person let in, or a right one
//! turned away without the stated reason, fails the demonstration.

use super::pictures::Picture;
use threshold_record::{Cause, Reason};

/// The decision that is right for a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// The door opens for the person of this name.
    Admit(&'static str),
    /// The door stays locked with this reason and this cause.
    Refuse(Reason, Cause),
}

/// One visit.
pub(super) struct Visit {
    /// Short name, also of the picture's file.
    pub(super) name: &'static str,
    /// What the camera sees.
    pub(super) picture: Picture,
    /// The right decision.
    pub(super) expected: Expected,
    /// Why it is right.
    pub(super) because: &'static str,
}

/// Some visits after a person was enrolled.
pub(super) struct Act {
    /// Who is enrolled before the visits.
    pub(super) person: &'static str,
    /// From which photo.
    pub(super) photo: &'static str,
    /// Who comes then, in this order.
    pub(super) visits: &'static [Visit],
}

const FIRST: &str = "Obama";
const SECOND: &str = "Biden";

/// The unit compares a face of which at least three quarters are in the frame. These two pictures are of the enrolled
/// person, and the networks would recognise him (squared L2 of 0.34 and 0.47 by the
/// reference, with 0.97 allowed), but half a face is what a bystander's shoulder or a held-up photo shows, and a person can step back.
const HALF_A_FACE: Expected = Expected::Refuse(Reason::Quality, Cause::TooNear);

/// The whole demonstration.
pub(super) const ACTS: [Act; 2] = [
    Act {
        person: FIRST,
        photo: "obama.jpg",
        visits: &[
            Visit {
                name: "same person, another photo",
                picture: Picture::Photo("obama2.jpg"),
                expected: Expected::Admit(FIRST),
                because: "enrolled, a clear frontal face",
            },
            Visit {
                name: "a stranger",
                picture: Picture::Photo("biden.jpg"),
                expected: Expected::Refuse(Reason::Unknown, Cause::None),
                because: "nobody in the gallery resembles him",
            },
            Visit {
                name: "same person, a third photo",
                picture: Picture::Photo("obama3.jpg"),
                expected: Expected::Admit(FIRST),
                because: "enrolled, a clear face",
            },
            Visit {
                name: "nobody",
                picture: Picture::EmptyRoom,
                expected: Expected::Refuse(Reason::Quality, Cause::NoFace),
                because: "the picture changed, and there is no face in it",
            },
            Visit {
                name: "half a face, cut at the left edge",
                picture: Picture::Photo("obama_partial_face.jpg"),
                expected: HALF_A_FACE,
                because: "45 % of the box lies outside the frame; what is not seen is not compared, enrolled or not",
            },
            Visit {
                name: "half a face, cut at the right edge",
                picture: Picture::Photo("obama_partial_face2.jpg"),
                expected: HALF_A_FACE,
                because: "59 % of the box lies outside the frame",
            },
        ],
    },
    Act {
        person: SECOND,
        photo: "biden.jpg",
        visits: &[
            Visit {
                name: "the stranger, now enrolled, in a smaller, darker, mirrored frame",
                picture: Picture::Altered("biden.jpg"),
                expected: Expected::Admit(SECOND),
                because: "enrolled since the last visit",
            },
            Visit {
                name: "the first person again",
                picture: Picture::Photo("obama2.jpg"),
                expected: Expected::Admit(FIRST),
                because: "a second person in the gallery changes nothing for the first",
            },
        ],
    },
];

impl Expected {
    /// What the table prints.
    pub(super) fn text(self) -> String {
        match self {
            Self::Admit(person) => format!("admit {person}"),
            Self::Refuse(reason, Cause::None) => format!("refuse: {}", reason.text()),
            Self::Refuse(reason, cause) => format!("refuse: {}, {}", reason.text(), cause.text()),
        }
    }
}
