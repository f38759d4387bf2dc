//! The session with a unit.
pub mod port;
