//! Whether a line at this program would be answered: the two rows by which a host of any version finds a unit and updates it.
//!
//! Owns what a version on trial must answer before it confirms itself, so that none stays that nobody can update any more. Asks a desk
//! of its own, with the frames that a line would carry; nothing is written for it. Refuses to open a session, for which it would need
//! an administrator's key: that an administrator gets in is not shown.

use super::Desk;
use crate::state::Shared;
use std::panic::{AssertUnwindSafe, catch_unwind};
use threshold_wire::endpoints::{GetSlots, SayHello};
use threshold_wire::message::Nothing;
use threshold_wire::{Arrived, Decoder, Encoded, Endpoint, HelloRequest, call};

/// True if this program answers a hello, and says how its slots stand or why it does not.
#[must_use]
pub fn answers(shared: &Shared) -> bool {
    let mut desk = Desk::new(shared.clone(), false);
    let asked = || answered(&mut |bytes, send| desk.take(bytes, send));
    catch_unwind(AssertUnwindSafe(asked)).unwrap_or(false)
}

/// Both questions to whatever takes bytes and sends its answers.
fn answered(take: &mut impl FnMut(&[u8], &mut dyn FnMut(&Encoded))) -> bool {
    ask::<SayHello>(take, 1, &HelloRequest::of_build(env!("CARGO_PKG_VERSION")))
        && ask::<GetSlots>(take, 2, &Nothing {})
}

/// True if exactly one answer comes, and is this row's.
fn ask<E: Endpoint>(
    take: &mut impl FnMut(&[u8], &mut dyn FnMut(&Encoded)),
    id: u32,
    request: &E::Request,
) -> bool {
    let Ok(request) = call::request::<E>(id, request) else { return false };
    let mut answers = Vec::new();
    take(request.as_bytes(), &mut |answer| answers.push(answer.as_bytes().to_vec()));
    let [answer] = answers.as_slice() else { return false };
    let (mut decoder, mut bytes) = (Decoder::new(), answer.as_slice());
    match decoder.feed_any(&mut bytes) {
        Some(Ok(Arrived::Open(frame))) => {
            matches!(call::read_answer::<E>(id, &frame), Ok(Ok(_)))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_wire::call::{Refusal, refusal};

    #[test]
    fn silence_and_refusals_are_no_answers() {
        assert!(!answered(&mut |_: &[u8], _: &mut dyn FnMut(&Encoded)| ()));
        let refuses = |_: &[u8], send: &mut dyn FnMut(&Encoded)| {
            if let Ok(refusal) = refusal(1, Refusal::UnknownEndpoint) {
                send(&refusal);
            }
        };
        assert!(!answered(&mut { refuses }));
    }
}
