//! The few commands of a TPM 2.0 that a unit needs, over its line.
//!
//! Owns the templates, so that the same TPM always gives the same storage primary key. The password of everything is empty: what is
//! sealed is guarded by the TPM being this one, and nothing of it can be guessed at, so that nothing of it locks anybody out (`noDA`).

use crate::line::{Busy, Line, MAX_BYTES};
use std::path::Path;
use std::time::Duration;
use tpm2_protocol::basic::{TpmHandle, TpmUint16};
use tpm2_protocol::data::{
    Tpm2bAuth, Tpm2bName, Tpm2bNvPublic, Tpm2bPublic, Tpm2bSensitiveCreate, TpmAlgId, TpmCc,
    TpmEccCurve, TpmRc, TpmRcBase, TpmRh, TpmSt, TpmaNv, TpmaObject, TpmaSession, TpmsAuthCommand,
    TpmsEccParms, TpmsEccPoint, TpmsKeyedhashParms, TpmsNvPublic, TpmtPublic, TpmtSymDef,
    TpmuPublicId, TpmuPublicParms, TpmuSymKeyBits, TpmuSymMode,
};
use tpm2_protocol::frame::{
    TpmCommand, TpmCreatePrimaryCommand, TpmCreatePrimaryResponse, TpmFlushContextCommand,
    TpmFrame, TpmHeader, TpmNvDefineSpaceCommand, TpmNvDefineSpaceResponse, TpmNvIncrementCommand,
    TpmNvIncrementResponse, TpmNvReadCommand, TpmNvReadPublicCommand, TpmNvReadPublicResponse,
    TpmNvReadResponse, TpmNvUndefineSpaceCommand, TpmNvUndefineSpaceResponse, TpmResponse,
    TpmUnmarshalBody, tpm_marshal_command,
};
use tpm2_protocol::{TpmError, TpmWriter};

/// The counter's index, of those that belong to the machine's owner ("th" at the end).
pub(crate) const INDEX: TpmHandle = TpmHandle::new(0x0180_7468);
/// Bytes of a counter.
const COUNTER_BYTES: u16 = 8;
/// How often a TPM is asked that says that it is busy, and how long between.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// The TPM does not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The line.
    #[error("{0}")]
    Line(#[from] std::io::Error),
    /// The TPM says why.
    #[error("{command:?}: {rc}")]
    Said { command: TpmCc, rc: TpmRc },
    /// At the counter's index stands something that is no unit's counter.
    #[error("something else than a counter of a unit")]
    Foreign,
    /// What it says is no answer to that.
    #[error("an answer that is none")]
    Malformed,
    /// The system.
    #[error("{0}")]
    NoRandomness(String),
}

impl From<TpmError> for Refusal {
    fn from(_: TpmError) -> Self {
        Self::Malformed
    }
}

impl Refusal {
    /// What the TPM said; `None` if it said nothing.
    pub(crate) fn base(&self) -> Option<TpmRcBase> {
        match self {
            Self::Said { rc, .. } => Some(rc.base()),
            _ => None,
        }
    }
}

/// The storage primary key, while it is loaded.
pub(crate) struct Primary {
    pub(crate) handle: TpmHandle,
    pub(crate) name: Tpm2bName,
    pub(crate) point: TpmsEccPoint,
}

/// An open TPM.
pub(crate) struct Tpm {
    line: Line,
}

impl Tpm {
    /// Opens it, for as long as everything that it is asked may take together.
    ///
    /// # Errors
    /// Of the system.
    pub(crate) fn open(path: &Path, busy: &Busy, patience: Duration) -> std::io::Result<Self> {
        Ok(Self { line: Line::open(path, busy, patience)? })
    }

    /// The answer's bytes, of an answer that is no refusal. A TPM that is busy is asked again.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn exchange(&mut self, command: TpmCc, frame: &[u8]) -> Result<Vec<u8>, Refusal> {
        for _ in 0..TRIES {
            let bytes = self.line.exchange(frame)?;
            let rc = TpmResponse::cast(&bytes)?.rc()?;
            match rc.base() {
                TpmRcBase::Success => return Ok(bytes),
                TpmRcBase::Retry | TpmRcBase::Yielded | TpmRcBase::Testing | TpmRcBase::NvRate => {
                    std::thread::sleep(PAUSE);
                }
                _ => return Err(Refusal::Said { command, rc }),
            }
        }
        Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into())
    }

    /// The answer to a command of which `passwords` entities have an empty password each.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn ask<C: TpmFrame + TpmHeader, R: TpmUnmarshalBody>(
        &mut self,
        command: &C,
        passwords: usize,
    ) -> Result<R, Refusal> {
        let empty = TpmsAuthCommand {
            session_handle: TpmHandle::new(TpmRh::Pw.value()),
            session_attributes: TpmaSession::CONTINUE_SESSION,
            ..TpmsAuthCommand::default()
        };
        let frame = frame(command, &vec![empty; passwords])?;
        answered(&self.exchange(C::CC, &frame)?)
    }

    /// The storage primary key, loaded. The same TPM gives the same one until it is cleared.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn primary(&mut self) -> Result<Primary, Refusal> {
        let attributes = TpmaObject::FIXED_TPM
            | TpmaObject::FIXED_PARENT
            | TpmaObject::SENSITIVE_DATA_ORIGIN
            | TpmaObject::USER_WITH_AUTH
            | TpmaObject::NO_DA
            | TpmaObject::RESTRICTED
            | TpmaObject::DECRYPT;
        let parameters = TpmsEccParms {
            symmetric: TpmtSymDef {
                algorithm: TpmAlgId::Aes,
                key_bits: TpmuSymKeyBits::Aes(TpmUint16::new(128)),
                mode: TpmuSymMode::Aes(TpmAlgId::Cfb),
            },
            curve_id: TpmEccCurve::NistP256,
            ..TpmsEccParms::default()
        };
        let in_public = Tpm2bPublic {
            inner: TpmtPublic {
                object_type: TpmAlgId::Ecc,
                name_alg: TpmAlgId::Sha256,
                object_attributes: attributes,
                parameters: TpmuPublicParms::Ecc(parameters),
                unique: TpmuPublicId::Ecc(TpmsEccPoint::default()),
                ..TpmtPublic::default()
            },
        };
        let command = TpmCreatePrimaryCommand {
            handles: [TpmHandle::new(TpmRh::Owner.value())],
            in_sensitive: Tpm2bSensitiveCreate::default(),
            in_public,
            outside_info: Default::default(),
            creation_pcr: Default::default(),
        };
        let answer: TpmCreatePrimaryResponse = self.ask(&command, 1)?;
        let handle = answer.handles[0];
        match answer.out_public.inner.unique {
            TpmuPublicId::Ecc(point) => Ok(Primary { handle, name: answer.name, point }),
            _ => Err(Refusal::Malformed),
        }
    }

    /// Unloads an object or ends a session. A device does that by itself when it is closed.
    pub(crate) fn flush(&mut self, handle: TpmHandle) {
        let command = TpmFlushContextCommand { handles: [], flush_handle: handle };
        if let Ok(frame) = frame(&command, &[]) {
            let _ = self.exchange(TpmCc::FlushContext, &frame);
        }
    }

    /// Where the counter stands; `None` if nothing stands at its index.
    ///
    /// # Errors
    /// [`Refusal::Foreign`] if that is no counter of a unit's, and any other.
    pub(crate) fn counter(&mut self) -> Result<Option<u64>, Refusal> {
        let command = TpmNvReadPublicCommand { handles: [INDEX] };
        let public: TpmNvReadPublicResponse = match self.ask(&command, 0) {
            Err(error) if error.base() == Some(TpmRcBase::Handle) => return Ok(None),
            answered => answered?,
        };
        // Anything else at this index could be written at will. A counter that was never stepped is one that was being made.
        let mut found = public.nv_public.inner;
        let is_written = found.attributes.contains(TpmaNv::WRITTEN);
        found.attributes.set_bits(found.attributes.bits() & !TpmaNv::WRITTEN.bits());
        if found != counter_public() {
            return Err(Refusal::Foreign);
        }
        if !is_written {
            self.step()?;
        }
        let size = TpmUint16::new(COUNTER_BYTES);
        let command = TpmNvReadCommand { handles: [INDEX, INDEX], size, offset: TpmUint16::new(0) };
        let read: TpmNvReadResponse = self.ask(&command, 1)?;
        let bytes = read.data[..].try_into().map_err(|_| Refusal::Malformed)?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// Makes the counter. A TPM has a new one stand further than any that it ever had.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn define(&mut self) -> Result<(), Refusal> {
        let command = TpmNvDefineSpaceCommand {
            handles: [TpmHandle::new(TpmRh::Owner.value())],
            auth: Tpm2bAuth::default(),
            public_info: Tpm2bNvPublic { inner: counter_public() },
        };
        self.ask::<_, TpmNvDefineSpaceResponse>(&command, 1)?;
        self.step()
    }

    /// Takes the counter away.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn undefine(&mut self) -> Result<(), Refusal> {
        let handles = [TpmHandle::new(TpmRh::Owner.value()), INDEX];
        let command = TpmNvUndefineSpaceCommand { handles };
        self.ask::<_, TpmNvUndefineSpaceResponse>(&command, 1).map(drop)
    }

    /// Makes a step of the counter.
    ///
    /// # Errors
    /// [`Refusal`].
    pub(crate) fn step(&mut self) -> Result<(), Refusal> {
        let command = TpmNvIncrementCommand { handles: [INDEX, INDEX] };
        self.ask::<_, TpmNvIncrementResponse>(&command, 1).map(drop)
    }
}

fn counter_public() -> TpmsNvPublic {
    TpmsNvPublic {
        nv_index: INDEX,
        name_alg: TpmAlgId::Sha256,
        attributes: TpmaNv::AUTHREAD | TpmaNv::AUTHWRITE | TpmaNv::COUNTER | TpmaNv::NO_DA,
        data_size: TpmUint16::new(COUNTER_BYTES),
        ..TpmsNvPublic::default()
    }
}

/// What a sealed object is: no key, of the user's own bytes, on this TPM alone.
pub(crate) fn sealed_public() -> Tpm2bPublic {
    let attributes = TpmaObject::FIXED_TPM
        | TpmaObject::FIXED_PARENT
        | TpmaObject::USER_WITH_AUTH
        | TpmaObject::NO_DA;
    Tpm2bPublic {
        inner: TpmtPublic {
            object_type: TpmAlgId::KeyedHash,
            name_alg: TpmAlgId::Sha256,
            object_attributes: attributes,
            parameters: TpmuPublicParms::KeyedHash(TpmsKeyedhashParms::default()),
            unique: TpmuPublicId::KeyedHash(Default::default()),
            ..TpmtPublic::default()
        },
    }
}

/// The body of an answer.
///
/// # Errors
/// [`Refusal::Malformed`].
pub(crate) fn answered<R: TpmUnmarshalBody>(bytes: &[u8]) -> Result<R, Refusal> {
    Ok(TpmResponse::cast(bytes)?.unmarshal()?)
}

fn frame<C: TpmFrame>(command: &C, auths: &[TpmsAuthCommand]) -> Result<Vec<u8>, Refusal> {
    let tag = if auths.is_empty() { TpmSt::NoSessions } else { TpmSt::Sessions };
    let mut bytes = vec![0; MAX_BYTES];
    let mut writer = TpmWriter::new(&mut bytes);
    tpm_marshal_command(command, tag, auths, &mut writer)?;
    let len = writer.len();
    bytes.truncate(len);
    Ok(bytes)
}

/// A command's frame of one session, with these parameters in place of its own.
///
/// # Errors
/// [`Refusal::Malformed`] if they are of another length.
pub(crate) fn masked<C: TpmFrame>(
    command: &C,
    auth: TpmsAuthCommand,
    parameters: &[u8],
) -> Result<Vec<u8>, Refusal> {
    let mut bytes = frame(command, &[auth])?;
    let place = TpmCommand::cast_mut(&mut bytes)?.parameters_mut()?;
    if place.len() != parameters.len() {
        return Err(Refusal::Malformed);
    }
    place.copy_from_slice(parameters);
    Ok(bytes)
}
