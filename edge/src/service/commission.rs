//! How a unit gets its relay authority over the line (safety rule 8): a challenge, and its answer signed with the recovery key.
//!
//! Owns the challenge: random, for one session, for a minute, for one answer. Refuses more challenges than there may be
//! handshakes, and an answer that was signed for another unit, another administrator or another challenge.

use super::answers::{journal, refused};
use super::reception::{Asker, Reception, Visitor};
use crate::state::{NotCommissioned, State};
use threshold_record::Cause;
use threshold_store::Store;
use threshold_wire::RequestError;
use threshold_wire::commission::{
    CHALLENGE_MS, CommissionChallenge, CommissionFinish, Commissioned,
};
use threshold_wire::recovery::{self, Asked};

/// A challenge that waits for its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Challenge {
    nonce: [u8; 32],
    /// Whose session it was given in; `None` for a line that is obeyed without one.
    of: Option<Visitor>,
    given_ms: u64,
}

/// What commissioning needs to work.
fn ready(state: &State) -> Result<&Store, RequestError> {
    let store = journal(state)?.store();
    match (state.settled(), state.embedder()) {
        (Some(_), _) => Ok(store),
        // The log cannot be asked whether there was a commission before.
        (None, Some(_)) => Err(RequestError::NotReady { part: Cause::Policy }),
        (None, None) => Err(RequestError::NotReady { part: Cause::Model }),
    }
}

/// The session in which somebody asks.
fn session(reception: &Reception, asker: Option<Asker>) -> Option<Visitor> {
    asker.and_then(|asker| asker.key).and_then(|_| reception.held.who().copied())
}

/// Gives a challenge, in place of one that waits.
pub(super) fn challenge(
    state: &State,
    reception: &mut Reception,
    asker: Option<Asker>,
) -> Result<CommissionChallenge, RequestError> {
    let unit = ready(state)?.identity();
    let given_ms = state.clock().monotonic_ms();
    reception.challenges.take(given_ms).map_err(|_| RequestError::TooManyTries)?;
    let nonce = recovery::nonce().map_err(|_| RequestError::StoreFault { part: Cause::Store })?;
    reception.challenge = Some(Challenge { nonce, of: session(reception, asker), given_ms });
    Ok(CommissionChallenge { nonce, unit, commission: state.commission() })
}

/// Takes the answer to a challenge.
pub(super) fn finish(
    state: &mut State,
    reception: &mut Reception,
    finish: &CommissionFinish,
    asker: Option<Asker>,
) -> Result<Commissioned, RequestError> {
    // Whatever comes of it, a challenge has one answer.
    let given = reception.challenge.take().ok_or(RequestError::NoChallenge)?;
    let unit = ready(state)?.identity();
    let (of, now_ms) = (session(reception, asker), state.clock().monotonic_ms());
    if given.of != of || now_ms.saturating_sub(given.given_ms) > CHALLENGE_MS {
        return Err(RequestError::NoChallenge);
    }
    let asked = Asked {
        unit,
        administrator: of.map(|visitor| visitor.key),
        nonce: given.nonce,
        key: finish.key.key,
        successor: finish.successor.as_ref().map(|signed| signed.key),
    };
    let prove = |signed| asked.proven(signed).ok_or(RequestError::BadProof);
    let key = prove(&finish.key)?;
    let successor = finish.successor.as_ref().map(prove).transpose()?;
    let by = asker.map_or(threshold_record::KeyTag::NOBODY, Asker::tag);
    state.give_authority(key, successor, by).map_err(|error| match error {
        NotCommissioned::OtherKey { known } => RequestError::OtherRecoveryKey { known },
        NotCommissioned::Record => RequestError::RecoveryRecord,
        NotCommissioned::Store(error) => refused(state, &error),
    })?;
    Ok(Commissioned { commission: state.commission() })
}
