//! The pairing's handshake: three messages and the unit's proof.
//!
//! ```text
//! host                          unit
//! PairStart   e            ->   the window is open
//!             e, ee, s, es <-   PairStarted
//! PairFinish  s, se, psk   ->   the code is right: the name is read, the roster keeps the key
//!             proof        <-   PairFinished: sealed, so the unit knows the code too
//! ```
//! A unit holds one exchange at most, and a wrong code costs an attempt. A host keeps the unit's key only after the proof:
//! without it, whoever holds the line could have answered.

use super::{PairingCode, PairingWindow};
use crate::handshake::{
    HandshakeRefusal, MAX_NOISE_BYTES, PairFinish, PairFinished, PairRequest, PairStart,
    PairStarted, Paired,
};
use crate::session::{
    Greeting, HandshakeError, KeyError, Purpose, SecretKey, Session, builder, check_public,
    noise_message, prologue, session,
};
use crate::{Hello, HelloRequest};
use core::fmt;
use snow::HandshakeState;
use threshold_record::{Administrator, Name, Role};

const XX: &str = "Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s";

/// The host's end, before the unit's first answer.
#[derive(Debug)]
pub struct PairingAtHost {
    state: HandshakeState,
    request: PairRequest,
}

/// The host's end, before the unit's proof.
#[derive(Debug)]
pub struct ProvingAtHost {
    session: Session,
    unit_key: [u8; 32],
}

impl PairingAtHost {
    /// Begins: the hellos as they were exchanged, the administrator's key and name, the code from the unit's plate.
    ///
    /// # Errors
    /// [`HandshakeError::Key`] without random numbers.
    pub fn start(
        host: &HelloRequest,
        unit: &Hello,
        secret: &SecretKey,
        code: &PairingCode,
        name: Name,
    ) -> Result<(Self, PairStart), HandshakeError> {
        let mut state =
            state(Greeting { host, unit }, secret, code, |builder| builder.build_initiator())
                .ok_or(KeyError::NoRandom)?;
        let message = noise_message(&mut state, &[]).ok_or(KeyError::NoRandom)?;
        Ok((Self { state, request: PairRequest { name } }, PairStart { message }))
    }

    /// Goes on with the unit's answer.
    ///
    /// # Errors
    /// [`HandshakeError`].
    pub fn go(
        mut self,
        answer: &PairStarted,
    ) -> Result<(ProvingAtHost, PairFinish), HandshakeError> {
        let message = match answer {
            PairStarted::Go(message) => message,
            PairStarted::Refused(refusal) => return Err((*refusal).into()),
        };
        let mut payload = [0; MAX_NOISE_BYTES];
        self.state.read_message(message, &mut payload).map_err(|_| HandshakeError::Forged)?;
        let unit_key = remote(&self.state).ok_or(HandshakeError::Forged)?;
        let mut request = [0; MAX_NOISE_BYTES];
        let request =
            postcard::to_slice(&self.request, &mut request).map_err(|_| HandshakeError::Forged)?;
        let message = noise_message(&mut self.state, request).ok_or(HandshakeError::Forged)?;
        let session = session(self.state).map_err(|_| HandshakeError::Forged)?;
        Ok((ProvingAtHost { session, unit_key }, PairFinish { message }))
    }
}

impl ProvingAtHost {
    /// Ends: the unit's key, to be kept under the unit's name, and what the administrator may ask.
    ///
    /// # Errors
    /// [`HandshakeError`]; nothing is to be kept then.
    pub fn finish(mut self, answer: &PairFinished) -> Result<([u8; 32], Paired), HandshakeError> {
        let proof = match answer {
            PairFinished::Paired(proof) => proof,
            PairFinished::Refused(refusal) => return Err((*refusal).into()),
        };
        let plain = self.session.open_proof(proof).map_err(|_| HandshakeError::Forged)?;
        let paired = crate::call::body(plain).ok_or(HandshakeError::Forged)?;
        Ok((self.unit_key, paired))
    }
}

/// The unit's end: the window, and the one exchange that may be under way.
#[derive(Default)]
pub struct PairingAtUnit {
    /// Whether it pairs now.
    pub window: PairingWindow,
    pending: Option<HandshakeState>,
}

/// An exchange in which the host proved that it knows the code.
#[derive(Debug)]
pub struct Finished {
    /// Whom the roster is to keep, durable, before the answer goes out.
    pub administrator: Administrator,
    /// The answer once that is done.
    pub answer: PairFinished,
}

impl PairingAtUnit {
    /// The answer to the first message. An exchange under way is dropped.
    ///
    /// # Errors
    /// [`HandshakeRefusal`], to be sent as [`PairStarted::Refused`].
    pub fn start(
        &mut self,
        request: &PairStart,
        host: &HelloRequest,
        unit: &Hello,
        secret: &SecretKey,
        code: &PairingCode,
        now_ms: u64,
    ) -> Result<PairStarted, HandshakeRefusal> {
        self.pending = None;
        self.window.check(now_ms)?;
        let mut state =
            state(Greeting { host, unit }, secret, code, |builder| builder.build_responder())
                .ok_or(HandshakeRefusal::NoKeys)?;
        let mut payload = [0; MAX_NOISE_BYTES];
        state.read_message(&request.message, &mut payload).map_err(|_| HandshakeRefusal::Forged)?;
        let message = noise_message(&mut state, &[]).ok_or(HandshakeRefusal::NoKeys)?;
        self.pending = Some(state);
        Ok(PairStarted::Go(message))
    }

    /// Takes the last message: an administrator if the code is right, with the role that whoever has this key gets; an attempt if it is
    /// not.
    ///
    /// # Errors
    /// [`HandshakeRefusal`], to be sent as [`PairFinished::Refused`].
    pub fn finish(
        &mut self,
        request: &PairFinish,
        role_of: impl FnOnce(&[u8; 32]) -> Role,
        now_ms: u64,
    ) -> Result<Finished, HandshakeRefusal> {
        self.window.check(now_ms)?;
        let mut state = self.pending.take().ok_or(HandshakeRefusal::Forged)?;
        let mut payload = [0; MAX_NOISE_BYTES];
        let Ok(len) = state.read_message(&request.message, &mut payload) else {
            return Err(self.window.wrong_code());
        };
        let request: Option<PairRequest> = payload.get(..len).and_then(crate::call::body);
        let PairRequest { name } = request.ok_or(HandshakeRefusal::Forged)?;
        let key = remote(&state).ok_or(HandshakeRefusal::Forged)?;
        check_public(&key).map_err(|_| HandshakeRefusal::BadKey)?;
        let role = role_of(&key);
        let mut session = session(state).map_err(|_| HandshakeRefusal::Forged)?;
        let mut plain = [0; 8];
        let plain = postcard::to_slice(&Paired { role }, &mut plain)
            .map_err(|_| HandshakeRefusal::Forged)?;
        let proof = session.seal_proof(plain).ok_or(HandshakeRefusal::Forged)?;
        self.window.close();
        Ok(Finished {
            administrator: Administrator { key, name, role },
            answer: PairFinished::Paired(proof),
        })
    }
}

impl fmt::Debug for PairingAtUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairingAtUnit")
            .field("window", &self.window)
            .field("pending", &self.pending.is_some())
            .finish()
    }
}

fn state(
    greeting: Greeting<'_>,
    secret: &SecretKey,
    code: &PairingCode,
    build: fn(snow::Builder<'_>) -> Result<HandshakeState, snow::Error>,
) -> Option<HandshakeState> {
    let prologue = prologue(Purpose::Pairing, greeting)?;
    let psk = code.psk();
    build(builder(XX, &prologue, secret).ok()?.psk(3, &psk).ok()?).ok()
}

/// The other end's key, once it was told.
fn remote(state: &HandshakeState) -> Option<[u8; 32]> {
    state.get_remote_static()?.try_into().ok()
}
