//! Calls and answers as frames: what the host sends, what it gets back, what the unit does with either.
//!
//! Three outcomes are kept apart. A [`CallError`] is about the line or the version; a [`RequestError`] is the unit's
//! own no to a request that it understood; a response is a yes.

use crate::endpoints::{ERROR_KEY, Endpoint};
use crate::frame::{BodyTooLong, Encoded, Frame, FrameKind, MAX_BODY_BYTES};
use crate::message::RequestError;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The message does not fit a frame; no message of the table grows so long.
pub type EncodeError = BodyTooLong;

/// The unit could not read a call that arrived whole. Frozen like the hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum Refusal {
    /// The unit's table has no such key.
    #[error("the unit does not know this request; install the same build on host and unit")]
    UnknownEndpoint,
    /// The key is known, the body is not of its type, or a text in it is not allowed.
    #[error("the unit could not read the request; install the same build on host and unit")]
    Malformed,
    /// The answer did not fit a frame: a defect of the unit.
    #[error("the unit's answer did not fit a frame; report this with the builds of host and unit")]
    AnswerTooLong,
}

/// A message on its way into a frame: with a checksum by [`Frame::encode`], or sealed by a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    kind: FrameKind,
    id: u32,
    key: [u8; 8],
    body: Vec<u8, MAX_BODY_BYTES>,
}

impl Message {
    /// The message as a frame.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame { kind: self.kind, id: self.id, key: self.key, body: &self.body }
    }
}

/// Why a frame is not the answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// An answer to another call, such as one given up before; read on.
    #[error("an answer to request {found} while waiting for {wanted}; ask again")]
    OtherRequest {
        /// The id asked with.
        wanted: u32,
        /// The id that arrived.
        found: u32,
    },
    /// The unit could not read the call.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer is of another version.
    #[error("the unit answers {path} in another version; install the same build on host and unit")]
    OtherVersion {
        /// The endpoint.
        path: &'static str,
    },
    /// The key is right and the body does not decode.
    #[error("the unit's answer to {path} does not decode; install the same build on host and unit")]
    Malformed {
        /// The endpoint.
        path: &'static str,
    },
    /// A call arrived where an answer was due: the two ends are both hosts, or the line echoes.
    #[error("the line sends back what is written to it; is this port a unit, and is its echo off?")]
    NotAnAnswer,
}

/// The frame of a request.
///
/// # Errors
/// [`EncodeError`] if it does not fit.
pub fn request<E: Endpoint>(id: u32, request: &E::Request) -> Result<Encoded, EncodeError> {
    request_message::<E>(id, request)?.frame().encode()
}

/// A request, to be sealed.
///
/// # Errors
/// [`EncodeError`] if it does not fit.
pub fn request_message<E: Endpoint>(id: u32, request: &E::Request) -> Result<Message, EncodeError> {
    message(FrameKind::Call, id, E::CALL_KEY, request)
}

/// The frame of the unit's answer.
///
/// # Errors
/// [`EncodeError`] if it does not fit; send [`Refusal::AnswerTooLong`] then.
pub fn answer<E: Endpoint>(
    id: u32,
    answer: &Result<E::Response, RequestError>,
) -> Result<Encoded, EncodeError> {
    answer_message::<E>(id, answer)?.frame().encode()
}

/// The unit's answer, to be sealed.
///
/// # Errors
/// [`EncodeError`] if it does not fit.
pub fn answer_message<E: Endpoint>(
    id: u32,
    answer: &Result<E::Response, RequestError>,
) -> Result<Message, EncodeError> {
    match answer {
        Ok(response) => message(FrameKind::Answer, id, E::ANSWER_KEY, response),
        Err(error) => message(FrameKind::Error, id, ERROR_KEY, error),
    }
}

/// The frame of a refusal.
///
/// # Errors
/// Never in practice: a refusal takes one byte.
pub fn refusal(id: u32, refusal: Refusal) -> Result<Encoded, EncodeError> {
    refusal_message(id, refusal)?.frame().encode()
}

/// A refusal, to be sealed.
///
/// # Errors
/// Never in practice: a refusal takes one byte.
pub fn refusal_message(id: u32, refusal: Refusal) -> Result<Message, EncodeError> {
    message(FrameKind::Refusal, id, [0; 8], &refusal)
}

/// Reads the unit's result of the call `id`.
///
/// # Errors
/// [`CallError`] if the frame is not that answer. After [`CallError::OtherRequest`] the caller reads on.
pub fn read_answer<E: Endpoint>(
    id: u32,
    frame: &Frame<'_>,
) -> Result<Result<E::Response, RequestError>, CallError> {
    let path = E::PATH;
    let (kind, found) = (frame.kind, frame.id);
    if kind != FrameKind::Call && found != id {
        return Err(CallError::OtherRequest { wanted: id, found });
    }
    let malformed = CallError::Malformed { path };
    match kind {
        FrameKind::Call => Err(CallError::NotAnAnswer),
        FrameKind::Refusal => Err(body(frame.body).map_or(malformed, CallError::Refused)),
        FrameKind::Answer if frame.key == E::ANSWER_KEY => {
            body(frame.body).map(Ok).ok_or(malformed)
        }
        FrameKind::Error if frame.key == ERROR_KEY => body(frame.body).map(Err).ok_or(malformed),
        FrameKind::Answer | FrameKind::Error => Err(CallError::OtherVersion { path }),
    }
}

/// The value of a body, if the whole of it is one.
pub(crate) fn body<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

fn message<T: Serialize>(
    kind: FrameKind,
    id: u32,
    key: [u8; 8],
    message: &T,
) -> Result<Message, EncodeError> {
    let mut buffer = [0; MAX_BODY_BYTES];
    let body = postcard::to_slice(message, &mut buffer).map_err(|_| BodyTooLong)?;
    Ok(Message { kind, id, key, body: Vec::from_slice(body).map_err(|_| BodyTooLong)? })
}
