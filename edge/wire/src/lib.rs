//! What host and unit say to each other over a serial line: endpoints, messages, frames.
//!
//! Owns the endpoint table, the framing with its checksum, the version check, and the repeat of a lost answer.
//! Refuses to open a port, to know who may call (the unit's service asks the table), and to carry paths or queries:
//! the protocol has ids only.
//! Terms: a *call* is a request on its way to the unit; an *answer* is the unit's own result, which may be a
//! [`RequestError`]; a *refusal* says that the call could not be read at all.
#![no_std]
#![forbid(unsafe_code)]

pub mod call;
pub mod endpoints;
pub mod frame;
pub mod hello;
pub mod message;
pub mod repeat;

pub use call::{CallError, EncodeError, Refusal};
pub use endpoints::{Call, Caller, Endpoint};
pub use frame::{Decoder, Encoded, Frame, FrameError, FrameKind};
pub use hello::{Hello, HelloRequest, Mismatch, PROTOCOL, cut};
pub use message::RequestError;
pub use repeat::LastAnswer;
