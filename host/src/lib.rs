//! The administrator's tool: enrols people at a unit, reads its log and explains its decisions.
//!
//! Owns the command line, the session with the unit over a serial line, and everything that is printed.
//! Refuses to decide who may enter: verdicts here repeat what the unit's policy and a model's threshold say.
//! Terms as in ARCHITECTURE.md; *photo* is an enrolment picture, *port* the serial device of a unit.
#![forbid(unsafe_code)]

pub mod args;
pub mod causes;
pub mod cmd;
pub mod draw;
pub mod engines;
pub mod error;
pub mod explain;
pub mod gallery_file;
pub mod kept;
pub mod keychain;
pub mod local;
pub mod log_contexts;
pub mod log_file;
pub mod meant;
pub mod parallel;
pub mod people;
pub mod photo;
pub mod pictures;
pub mod receipts;
pub mod remedy;
pub mod report;
pub mod say;
pub mod session;
pub mod site;
pub mod trust;
pub mod vault;
