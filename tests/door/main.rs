//! Tests of the area `door`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod faults;
mod line;
mod replay;
mod rig;
mod service;
mod visits;
