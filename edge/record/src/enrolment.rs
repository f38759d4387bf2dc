//! What an enrolment at the door asks for and how it ends, as log and wire carry it.
//!
//! Refuses to hold a face: embeddings are the unit's alone.

use crate::decision::coded;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

coded! {
    /// How an enrolment at the door ended; the log has it as `runner_up` of kind 43.
    open EnrolmentEnd {
        /// The templates are in the gallery.
        Kept = 0 => "kept",
        /// The administrator gave it up, or the unit was stopped.
        Cancelled = 1 => "cancelled",
        /// Its time was over; the cause is what the last frame lacked.
        TimedOut = 2 => "timed_out",
        /// Nobody at the line asked for it any more.
        LineGone = 3 => "line_gone",
        /// The face is somebody's who is enrolled already.
        SomebodyElse = 4 => "somebody_else",
        /// A part of the unit failed; the cause says which.
        Fault = 5 => "fault",
        /// The gallery did not take the templates; the administrator heard why.
        NotKept = 6 => "not_kept",
    }
}

coded! {
    /// Where a head is turned to, as the person feels it.
    HeadPose {
        /// Straight at the camera.
        Frontal = 0 => "frontal",
        /// To the person's left, which is the picture's right.
        Left = 1 => "left",
        /// To the person's right.
        Right = 2 => "right",
    }
}
