//! Who may enter: from the observations of a visit to one decision. Pure, without alloc, without a clock.
//!
//! Owns the policy's settings, when a person may enter, the evidence of a visit, the lock-out counter, [`decide()`], the forecast of what a
//! threshold means at a door, and what a calibration makes of a unit's own records.
//! Refuses to read a clock, to measure a face, and to let anything else open a door: an [`Admission`] comes from
//! [`decide()`] only, and the lock takes nothing else.
//! Terms: a *visit* is one person's stay before the door; an *observation* is what one frame of it told; a frame is
//! *compared* if it was good enough and was searched in the gallery; a compared frame *accepts* a person if that
//! person's score reaches the threshold and no other person's comes within the margin.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod again;
pub mod calibrate;
pub mod decide;
pub mod evidence;
pub mod forecast;
pub mod lockout;
pub mod rule;
pub mod settings;

pub use access::{Asking, Moment, may_enter};
pub use calibrate::{Alike, Calibrated, Nearest};
pub use decide::{Admission, Outcome, Standing, Verdict, decide};
pub use evidence::{Candidate, Evidence, Observation, Subject};
pub use lockout::{LockedOut, Lockout};
pub use settings::{Policy, PolicyError};
