//! What host and unit say to each other over a serial line: endpoints, messages, frames.
//!
//! Owns the endpoint table, the framing with its checksum, the version check, the repeat of a lost answer, bulk
//! transfers, and behind the feature `session` the encrypted session, the pairing, what a recovery key signs, and a gallery's bytes in
//! bulk and in files.
//! Refuses to open a port, to know who may call (the unit's service asks the table), and to carry paths or queries:
//! the protocol has ids only.
//! Terms: a *call* is a request on its way to the unit; an *answer* is the unit's own result, which may be a
//! [`RequestError`]; a *refusal* says that the call could not be read at all.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "session")]
extern crate alloc;
#[cfg(all(test, feature = "session"))]
extern crate std;

pub mod access;
pub mod administration;
pub mod bulk;
pub mod calibrate;
pub mod call;
pub mod clock;
pub mod commission;
pub mod config;
pub mod endpoints;
pub mod enrolment;
pub mod frame;
pub mod gallery;
pub mod handshake;
pub mod hello;
pub mod message;
pub mod pairing;
pub mod policy;
#[cfg(feature = "session")]
pub mod recovery;
pub mod repeat;
#[cfg(feature = "session")]
pub mod session;
pub mod speed;
pub mod stats;
pub mod trust;
pub mod update;
mod varint;

pub use call::{CallError, EncodeError, Refusal};
pub use endpoints::{Call, Caller, Endpoint};
pub use frame::{Arrived, Decoder, Encoded, Frame, FrameError, FrameKind, Sealed};
pub use hello::{Hello, HelloRequest, Mismatch, PROTOCOL, cut};
pub use message::RequestError;
pub use repeat::LastAnswer;
