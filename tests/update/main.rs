//! Tests of the area `update`: whatever happens to it, the unit runs the version before or the version after, and never an older one
//! than it may.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod damage;
mod gallery;
mod life;
mod power;
mod rig;
mod rules;
mod trial;
