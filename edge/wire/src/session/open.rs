//! Opening a session: `Noise_KK_25519_ChaChaPoly_BLAKE2s` between an administrator and a unit that know each other.
//!
//! The prologue holds both hellos as each end saw them: protocol, schema, builds, the unit's name. Whoever changes one on
//! the way, passes a handshake on to another unit, or sends one back to its sender gets a message that does not verify.
//! A replayed first message gives its sender nothing: the session that it opens at the unit has keys that only the
//! administrator could compute, so a unit keeps its present session until the new one has brought a genuine frame.

use super::key::SecretKey;
use super::{KeyError, Session};
use crate::handshake::{HandshakeRefusal, NoiseMessage, SessionOpen, SessionOpened};
use crate::{Hello, HelloRequest};
use alloc::vec::Vec;
use snow::{Builder, HandshakeState};
use threshold_record::{Administrator, Role};

const KK: &str = "Noise_KK_25519_ChaChaPoly_BLAKE2s";

/// Why a host has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The unit says no.
    #[error(transparent)]
    Refused(#[from] HandshakeRefusal),
    /// The unit's answer is not of the unit that is known, or was changed on the way.
    #[error(
        "the unit's answer does not verify: this is another unit than the one that was paired, or somebody changes what \
         the line carries; check the cable and the unit, then pair again"
    )]
    Forged,
    /// No key, no random numbers.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Both hellos: what a handshake is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Greeting<'a> {
    pub(crate) host: &'a HelloRequest,
    pub(crate) unit: &'a Hello,
}

/// What a handshake is for; one is never taken for the other.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    Session,
    Pairing,
}

/// The host's end of a handshake under way.
#[derive(Debug)]
pub struct Opening(HandshakeState);

/// The unit's end of a handshake that it accepted.
#[derive(Debug)]
pub struct Accepted<'a> {
    /// Whose key it is.
    pub administrator: &'a Administrator,
    /// The session, to be kept beside the present one until it has brought a genuine frame.
    pub session: Session,
    /// The answer.
    pub answer: SessionOpened,
}

impl Opening {
    /// Begins: the hellos as they were exchanged, the administrator's key, the unit's key as it was paired.
    ///
    /// # Errors
    /// [`HandshakeError::Key`] without random numbers.
    pub fn start(
        host: &HelloRequest,
        unit: &Hello,
        secret: &SecretKey,
        unit_key: &[u8; 32],
    ) -> Result<(Self, SessionOpen), HandshakeError> {
        let prologue =
            prologue(Purpose::Session, Greeting { host, unit }).ok_or(HandshakeError::Forged)?;
        let mut state = builder(KK, &prologue, secret)
            .and_then(|builder| builder.remote_public_key(unit_key)?.build_initiator())
            .map_err(|_| KeyError::NoRandom)?;
        let message = noise_message(&mut state, &[]).ok_or(KeyError::NoRandom)?;
        Ok((Self(state), SessionOpen { key_id: secret.key_id(), message }))
    }

    /// Ends: the session, and what the administrator may ask.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn finish(self, answer: &SessionOpened) -> Result<(Session, Role), HandshakeError> {
        let message = match answer {
            SessionOpened::Welcome(message) => message,
            SessionOpened::Refused(refusal) => return Err((*refusal).into()),
        };
        let Self(mut state) = self;
        let mut payload = [0; crate::handshake::MAX_NOISE_BYTES];
        let len = state.read_message(message, &mut payload).map_err(|_| HandshakeError::Forged)?;
        let role = payload.get(..len).and_then(crate::call::body).ok_or(HandshakeError::Forged)?;
        Ok((session(state).map_err(|_| HandshakeError::Forged)?, role))
    }
}

/// The unit's answer to a handshake; the roster holds those who may.
///
/// # Errors
/// [`HandshakeRefusal`], to be sent as [`SessionOpened::Refused`].
pub fn accept<'a>(
    request: &SessionOpen,
    host: &HelloRequest,
    unit: &Hello,
    secret: &SecretKey,
    roster: &'a [Administrator],
) -> Result<Accepted<'a>, HandshakeRefusal> {
    let prologue =
        prologue(Purpose::Session, Greeting { host, unit }).ok_or(HandshakeRefusal::Forged)?;
    let mut refusal = HandshakeRefusal::UnknownKey;
    // Two keys of one id are no accident, and no reason to shut out the right one.
    for administrator in roster.iter().filter(|known| known.key_id() == request.key_id) {
        match accept_from(request, &prologue, secret, administrator) {
            Some((session, message)) => {
                return Ok(Accepted {
                    administrator,
                    session,
                    answer: SessionOpened::Welcome(message),
                });
            }
            None => refusal = HandshakeRefusal::Forged,
        }
    }
    Err(refusal)
}

fn accept_from(
    request: &SessionOpen,
    prologue: &[u8],
    secret: &SecretKey,
    administrator: &Administrator,
) -> Option<(Session, NoiseMessage)> {
    let mut state = builder(KK, prologue, secret)
        .ok()?
        .remote_public_key(&administrator.key)
        .ok()?
        .build_responder()
        .ok()?;
    let mut payload = [0; crate::handshake::MAX_NOISE_BYTES];
    if state.read_message(&request.message, &mut payload).ok()? != 0 {
        return None;
    }
    let mut role = [0; 4];
    let role = postcard::to_slice(&administrator.role, &mut role).ok()?;
    let message = noise_message(&mut state, role)?;
    Some((session(state).ok()?, message))
}

/// The next message of a handshake.
pub(crate) fn noise_message(state: &mut HandshakeState, payload: &[u8]) -> Option<NoiseMessage> {
    let mut message = [0; crate::handshake::MAX_NOISE_BYTES];
    let len = state.write_message(payload, &mut message).ok()?;
    NoiseMessage::from_slice(message.get(..len)?).ok()
}

/// The session of a finished handshake.
pub(crate) fn session(state: HandshakeState) -> Result<Session, snow::Error> {
    Ok(Session::new(state.into_stateless_transport_mode()?))
}

pub(crate) fn builder<'a>(
    pattern: &str,
    prologue: &'a [u8],
    secret: &'a SecretKey,
) -> Result<Builder<'a>, snow::Error> {
    let builder = Builder::new(pattern.parse()?).prologue(prologue)?;
    #[cfg(test)]
    let builder = super::golden::fix(builder);
    builder.local_private_key(secret.secret())
}

/// What both ends must agree on before a handshake verifies.
pub(crate) fn prologue(purpose: Purpose, greeting: Greeting<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::from(match purpose {
        Purpose::Session => &b"threshold session 1\0"[..],
        Purpose::Pairing => &b"threshold pairing 1\0"[..],
    });
    // Postcard writes lengths before texts, so that no two greetings have the same bytes; the longest has 164.
    let mut hellos = [0; 256];
    bytes.extend_from_slice(postcard::to_slice(&(greeting.host, greeting.unit), &mut hellos).ok()?);
    Some(bytes)
}
