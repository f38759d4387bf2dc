//! The door unit: watches a camera, decides, writes the decision down, and only then moves the lock.
//!
//! Owns the loop and what surrounds it on the machine: camera, lock, clock, journal, service.
//! Refuses to judge a score (`policy::decide` does), to print (messages go to [`notices`], which the service manager
//! keeps), to start a process, and to go on after a fault as if nothing were: a fault is a refusal and a log entry.
//! Terms: a *visit* is one person's stay before the door; a *part* is what can fail, as [`threshold_record::Cause`]
//! names it; the unit is *armed* once no part is at fault.
#![forbid(unsafe_code)]

pub mod args;
pub mod capture;
pub mod clock;
pub mod commits;
pub mod config;
pub mod display;
pub mod door;
pub mod engines;
pub(crate) mod enrolment;
pub mod heat;
pub mod journal;
pub mod lock;
pub mod maintenance;
pub mod manager;
pub mod notices;
pub mod presentation;
pub mod reader;
pub mod run;
pub mod service;
pub mod start;
pub mod state;
pub mod stats;
pub mod storage;
pub mod trial;
pub mod unit;
pub mod update;
pub(crate) mod wiegand;
pub mod zone;
