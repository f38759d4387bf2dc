//! A session of whose parameters nobody who listens on the bus to the TPM reads anything.
//!
//! It is salted by an agreement on P-256 with the storage primary key, authenticates each command and answer by HMAC-SHA-256,
//! and masks the first parameter by `TPM_ALG_XOR` with the output of KDFa (TPM 2.0 Library, Part 1: 11.4.10 key derivation, 21
//! session-based encryption). The entities that it is used with have empty passwords, so that the session's key is all of the key.
//! What it does not keep off: somebody who speaks to the TPM himself, or stands between, since the storage primary is not known beforehand.

use crate::line::MAX_BYTES;
use crate::tpm::{Refusal, Tpm, answered, masked};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::{PublicKey, SecretKey};
use sha2::{Digest as _, Sha256};
use tpm2_protocol::basic::TpmHandle;
use tpm2_protocol::data::{
    Tpm2bAuth, Tpm2bNonce, TpmAlgId, TpmCc, TpmRh, TpmSe, TpmSt, TpmaSession, TpmsAuthCommand,
    TpmsEccPoint,
};
use tpm2_protocol::frame::{TpmFrame, TpmHeader, TpmResponse, TpmStartAuthSessionResponse};
use tpm2_protocol::{TpmUnmarshal as _, TpmWriter};
use zeroize::Zeroizing;

type Key = Zeroizing<[u8; 32]>;

/// Which parameter is masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Masked {
    /// The first one of the command.
    Command,
    /// The first one of the answer.
    Answer,
}

/// A session for one command, which ends it.
pub(crate) struct Session {
    handle: TpmHandle,
    key: Key,
    nonce_tpm: [u8; 32],
}

impl Session {
    /// Begins one, salted for the storage primary key of that handle.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn begin(
        tpm: &mut Tpm,
        primary: TpmHandle,
        at: &TpmsEccPoint,
    ) -> Result<Self, Refusal> {
        let public = point(at)?;
        let own = draw_key()?;
        let own_point = own.public_key().to_sec1_bytes();
        let (own_x, own_y) = (&own_point[1..33], &own_point[33..65]);
        let shared = own.diffie_hellman(&public);
        let public_x = &public.to_sec1_bytes()[1..33];
        let salt = kdf_e(shared.raw_secret_bytes(), b"SECRET", own_x, public_x);
        let nonce_caller = draw()?;
        let handles = [primary.value(), TpmRh::Null.value()].map(u32::to_be_bytes).concat();
        // Written here: the crate gives XOR a mode, of which TPMT_SYM_DEF has none.
        let words = |words: [u16; 3]| words.map(u16::to_be_bytes).concat();
        let parameters = [
            sized(&nonce_caller),
            sized(&[sized(own_x), sized(own_y)].concat()),
            vec![TpmSe::Hmac.value()],
            words([TpmAlgId::Xor, TpmAlgId::Sha256, TpmAlgId::Sha256].map(TpmAlgId::value)),
        ];
        let body = [handles, parameters.concat()].concat();
        let frame = frame_of(TpmSt::NoSessions, TpmCc::StartAuthSession, &body);
        let bytes = tpm.exchange(TpmCc::StartAuthSession, &frame)?;
        let answer: TpmStartAuthSessionResponse = answered(&bytes)?;
        let nonce_tpm = nonce(&answer.nonce_tpm)?;
        let key = kdf_a(&salt[..], b"ATH", &nonce_tpm, &nonce_caller, 32)?;
        let key = Zeroizing::new(key.as_slice().try_into().map_err(|_| Refusal::Malformed)?);
        Ok(Self { handle: answer.handles[0], key, nonce_tpm })
    }

    /// The parameters that answer a command about one object of that name, whose password is empty. The session ends with it.
    ///
    /// # Errors
    /// [`Refusal`], also if the answer is not the TPM's.
    pub(crate) fn ask<C: TpmFrame + TpmHeader>(
        self,
        tpm: &mut Tpm,
        command: &C,
        name: &[u8],
        masked_one: Masked,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let asked = self.asked(tpm, command, name, masked_one);
        if asked.is_err() {
            tpm.flush(self.handle);
        }
        asked
    }

    fn asked<C: TpmFrame + TpmHeader>(
        &self,
        tpm: &mut Tpm,
        command: &C,
        name: &[u8],
        masked_one: Masked,
    ) -> Result<Zeroizing<Vec<u8>>, Refusal> {
        let nonce_caller = draw()?;
        let mut parameters = Zeroizing::new(vec![0; MAX_BYTES]);
        let len = {
            let mut writer = TpmWriter::new(&mut parameters);
            command.marshal_parameters(&mut writer)?;
            writer.len()
        };
        parameters.truncate(len);
        let mut attributes = TpmaSession::ENCRYPT;
        if masked_one == Masked::Command {
            attributes = TpmaSession::DECRYPT;
            self.mask(&mut parameters, &nonce_caller, &self.nonce_tpm)?;
        }
        let code = C::CC.value().to_be_bytes();
        let hash = Sha256::digest([&code, name, &parameters].concat());
        let hmac = self.mac(&hash, &nonce_caller, &self.nonce_tpm, attributes)?.finalize();
        let auth = TpmsAuthCommand {
            session_handle: self.handle,
            nonce: Tpm2bNonce::try_from(&nonce_caller[..])?,
            session_attributes: attributes,
            hmac: Tpm2bAuth::try_from(&hmac.into_bytes()[..])?,
        };
        let frame = masked(command, auth, &parameters)?;
        let mut bytes = Zeroizing::new(tpm.exchange(C::CC, &frame)?);
        let (parameters, auth) = parts(&mut bytes)?;
        let (nonce_tpm, auth) = Tpm2bNonce::unmarshal(auth)?;
        let (attributes, auth) = TpmaSession::unmarshal(auth)?;
        let (said, _) = Tpm2bAuth::unmarshal(auth)?;
        let nonce_tpm = nonce(&nonce_tpm)?;
        let hash = Sha256::digest([&[0; 4], &code[..], parameters].concat());
        let mac = self.mac(&hash, &nonce_tpm, &nonce_caller, attributes)?;
        mac.verify_slice(&said).map_err(|_| Refusal::Malformed)?;
        if masked_one == Masked::Answer {
            self.mask(parameters, &nonce_tpm, &nonce_caller)?;
        }
        Ok(Zeroizing::new(parameters.to_vec()))
    }

    /// Masks or unmasks the first of the parameters, behind its length.
    fn mask(&self, parameters: &mut [u8], newer: &[u8], older: &[u8]) -> Result<(), Refusal> {
        let (len, rest) = parameters.split_first_chunk_mut::<2>().ok_or(Refusal::Malformed)?;
        let len = usize::from(u16::from_be_bytes(*len));
        let first = rest.get_mut(..len).ok_or(Refusal::Malformed)?;
        let mask = kdf_a(&self.key[..], b"XOR", newer, older, len)?;
        first.iter_mut().zip(mask.iter()).for_each(|(byte, mask)| *byte ^= mask);
        Ok(())
    }

    /// The HMAC of a command or an answer, with what it has said of nonces and attributes.
    fn mac(
        &self,
        hash: &[u8],
        newer: &[u8],
        older: &[u8],
        attributes: TpmaSession,
    ) -> Result<Hmac<Sha256>, Refusal> {
        let mut mac = keyed(&self.key[..])?;
        for part in [hash, newer, older, &[attributes.bits()]] {
            mac.update(part);
        }
        Ok(mac)
    }
}

/// Parameters and authorisation of an answer of a session that has no handles.
fn parts(bytes: &mut [u8]) -> Result<(&mut [u8], &[u8]), Refusal> {
    let body = TpmResponse::cast_mut(bytes)?.body_mut();
    let (len, rest) = body.split_first_chunk_mut::<4>().ok_or(Refusal::Malformed)?;
    let len = u32::from_be_bytes(*len) as usize;
    let (parameters, auth) = rest.split_at_mut_checked(len).ok_or(Refusal::Malformed)?;
    Ok((parameters, auth))
}

/// The bytes of a command without what the crate would put before its body.
fn frame_of(tag: TpmSt, code: TpmCc, body: &[u8]) -> Vec<u8> {
    let len = (crate::line::HEADER + body.len()) as u32;
    let parts: [&[u8]; 4] =
        [&tag.value().to_be_bytes(), &len.to_be_bytes(), &code.value().to_be_bytes(), body];
    parts.concat()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn nonce(said: &[u8]) -> Result<[u8; 32], Refusal> {
    said.try_into().map_err(|_| Refusal::Malformed)
}

fn draw() -> Result<[u8; 32], Refusal> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| Refusal::NoRandomness(error.to_string()))?;
    Ok(bytes)
}

/// A key of P-256; of the 2^256 numbers one in 2^32 is none.
fn draw_key() -> Result<SecretKey, Refusal> {
    for _ in 0..8 {
        if let Ok(key) = SecretKey::from_slice(&*Zeroizing::new(draw()?)) {
            return Ok(key);
        }
    }
    Err(Refusal::NoRandomness("no number of P-256 in eight".to_owned()))
}

/// A point that a TPM says, each coordinate in 32 bytes at most.
fn point(at: &TpmsEccPoint) -> Result<PublicKey, Refusal> {
    let mut bytes = [0; 65];
    bytes[0] = 4;
    for (coordinate, end) in [(&at.x, 33), (&at.y, 65)] {
        let start =
            (end - 32_usize) + 32_usize.checked_sub(coordinate.len()).ok_or(Refusal::Malformed)?;
        bytes[start..end].copy_from_slice(coordinate);
    }
    PublicKey::from_sec1_bytes(&bytes).map_err(|_| Refusal::Malformed)
}

fn keyed(key: &[u8]) -> Result<Hmac<Sha256>, Refusal> {
    // An HMAC takes a key of any length.
    Hmac::<Sha256>::new_from_slice(key).map_err(|_| Refusal::Malformed)
}

/// KDFa over HMAC-SHA-256.
fn kdf_a(
    key: &[u8],
    label: &[u8],
    u: &[u8],
    v: &[u8],
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, Refusal> {
    let bits = (len as u32 * 8).to_be_bytes();
    let mut out = Zeroizing::new(Vec::with_capacity(len.next_multiple_of(32)));
    for counter in 1..=len.div_ceil(32) as u32 {
        let mut mac = keyed(key)?;
        for part in [&counter.to_be_bytes()[..], label, &[0], u, v, &bits] {
            mac.update(part);
        }
        out.extend_from_slice(&mac.finalize().into_bytes());
    }
    out.truncate(len);
    Ok(out)
}

/// KDFe over SHA-256, for 32 bytes.
fn kdf_e(shared: &[u8], label: &[u8], u: &[u8], v: &[u8]) -> Key {
    let mut hash = Sha256::new();
    for part in [&1_u32.to_be_bytes()[..], shared, label, &[0], u, v] {
        hash.update(part);
    }
    Zeroizing::new(hash.finalize().into())
}
