//! A TPM 2.0 as the keeper of a unit's secret, and its counter, by which a whole flash that was put back is found.
//!
//! ```text
//! the sealed file: 0 magic "THRTPM\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 TPM2B_PUBLIC | TPM2B_PRIVATE
//! what the TPM gives for it: secret [32] | where the counter stood when it was sealed, u64
//! ```
//! The secret is sealed under the storage primary key of the owner's hierarchy, which a TPM makes anew from its seed each time: no
//! other TPM opens it, and none that was cleared. It passes the bus masked by a salted session, so that whoever listens there has
//! nothing (`session`); whoever speaks to the TPM in the unit's place, as its machine's root can, has it. No policy of PCRs is set:
//! without a measured boot they say nothing, and with one each update of it would lock the unit out.
//! The counter is an NV index of its own: there is one unit to a TPM.
//! Each call opens the TPM and leaves nothing loaded in it, and ends within 4 s: one that hangs is a fault, and is asked again
//! once it came back with what it was asked. Refuses to go on with anything that it cannot name.
#![forbid(unsafe_code)]

mod line;
mod session;
mod tpm;

use line::Busy;
use session::{Masked, Session};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use threshold_store::keys::{KeptFile, SECRET_BYTES, Secret, random};
use threshold_store::{Counter, Keeper, KeyError, KeyProvider};
use tpm::{INDEX, Primary, Refusal, Tpm, sealed_public};
use tpm2_protocol::data::{
    Tpm2bPrivate, Tpm2bPublic, Tpm2bSensitiveCreate, Tpm2bSensitiveData, TpmRcBase,
    TpmsSensitiveCreate,
};
use tpm2_protocol::frame::{
    TpmCreateCommand, TpmCreateResponse, TpmLoadCommand, TpmLoadResponse, TpmUnmarshalBody as _,
    TpmUnsealCommand,
};
use tpm2_protocol::{TpmMarshal as _, TpmUnmarshal as _, TpmWriter};
use zeroize::Zeroizing;

/// The file in the data folder that holds a unit's secret as its TPM sealed it.
pub const SEALED_FILE: &str = "unit.tpm";

const MAGIC: [u8; 8] = *b"THRTPM\r\n";
const VERSION: u16 = 1;
const FILE_HEADER: usize = 12;
/// The longest sealed file.
const MAX_FILE: u64 = line::MAX_BYTES as u64;
/// How long all commands of one call may take together. A chip makes its storage key in 0.1 to 0.5 s by its makers' figures; whoever
/// waits for a call holds the unit's state meanwhile, and a host waits 5 s for its answer.
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes that are sealed.
const PAYLOAD: usize = SECRET_BYTES + 8;

/// A unit's secret in a file that only its TPM opens.
#[derive(Clone, Debug)]
pub struct TpmKeys {
    device: PathBuf,
    file: KeptFile,
    patience: Duration,
    busy: Busy,
}

/// What the TPM gave for the sealed file.
struct Opened {
    secret: Secret,
    first: u64,
}

impl TpmKeys {
    /// The TPM of a device, or of the socket of a software TPM, and the file that it seals; neither is opened yet.
    #[must_use]
    pub fn at(device: &Path, sealed: &Path) -> Self {
        let (device, file) = (device.to_path_buf(), KeptFile::at(sealed));
        Self { device, file, patience: PATIENCE, busy: Busy::default() }
    }

    /// The same, waiting no longer than that for one call.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// The sealed file.
    #[must_use]
    pub fn file(&self) -> &KeptFile {
        &self.file
    }

    fn tpm(&self) -> Result<Tpm, KeyError> {
        let opened = Tpm::open(&self.device, &self.busy, self.patience);
        opened.map_err(|error| self.fail("to be opened", &error.into()))
    }

    /// The fault that a refusal is.
    fn fail(&self, command: &'static str, refusal: &Refusal) -> KeyError {
        let path = self.device.clone();
        match refusal {
            Refusal::Line(error) if error.kind() == ErrorKind::TimedOut => {
                KeyError::TpmSilent { path, patience: self.patience }
            }
            Refusal::Foreign => KeyError::CounterForeign { path, index: INDEX.value() },
            Refusal::Line(error) => KeyError::TpmAbsent { path, detail: error.to_string() },
            Refusal::NoRandomness(why) => KeyError::NoRandomness(why.clone()),
            Refusal::Malformed => KeyError::TpmRefuses { path, command, code: refusal.to_string() },
            Refusal::Said { rc, .. } => match rc.base() {
                TpmRcBase::Lockout => KeyError::TpmLockedOut { path },
                TpmRcBase::BadAuth | TpmRcBase::AuthFail => KeyError::TpmOwned { path },
                _ => KeyError::TpmRefuses { path, command, code: refusal.to_string() },
            },
        }
    }

    /// Does something with the storage primary key, and unloads that.
    fn with_primary<T>(
        &self,
        command: &'static str,
        work: impl FnOnce(&mut Tpm, &Primary) -> Result<T, Refusal>,
    ) -> Result<T, KeyError> {
        let mut tpm = self.tpm()?;
        let primary =
            tpm.primary().map_err(|refusal| self.fail("to make its storage key", &refusal))?;
        let done = work(&mut tpm, &primary);
        tpm.flush(primary.handle);
        done.map_err(|refusal| match refusal.base() {
            // Of the sealed file, or of the session that was made for its key.
            Some(TpmRcBase::Integrity | TpmRcBase::Size | TpmRcBase::Value) => KeyError::TpmOther {
                device: self.device.clone(),
                sealed: self.file.path().to_path_buf(),
            },
            _ => self.fail(command, &refusal),
        })
    }

    fn open(&self) -> Result<Option<Opened>, KeyError> {
        let Some(bytes) = self.file.read(MAX_FILE)? else { return Ok(None) };
        let damaged = || KeyError::NotSealedHere { path: self.file.path().to_path_buf() };
        let (in_public, in_private) = read_sealed(&bytes).ok_or_else(damaged)?;
        let payload = self.with_primary("to unseal", |tpm, primary| {
            let load = TpmLoadCommand { handles: [primary.handle], in_private, in_public };
            let loaded: TpmLoadResponse = tpm.ask(&load, 1)?;
            let [handle] = loaded.handles;
            let session = Session::begin(tpm, primary.handle, &primary.point);
            let unsealed = session.and_then(|session| {
                let unseal = TpmUnsealCommand { handles: [handle] };
                session.ask(tpm, &unseal, &loaded.name, Masked::Answer)
            });
            tpm.flush(handle);
            unsealed
        })?;
        let payload: &[u8; 2 + PAYLOAD] = payload[..].try_into().map_err(|_| damaged())?;
        let (mut secret, mut first) = (Secret::default(), [0; 8]);
        secret.copy_from_slice(&payload[2..2 + SECRET_BYTES]);
        first.copy_from_slice(&payload[2 + SECRET_BYTES..]);
        Ok(Some(Opened { secret, first: u64::from_le_bytes(first) }))
    }

    /// Where the counter stands; `None` if there is none.
    fn stands(&self, tpm: &mut Tpm) -> Result<Option<u64>, KeyError> {
        tpm.counter().map_err(|refusal| self.fail("to read its counter", &refusal))
    }
}

impl KeyProvider for TpmKeys {
    fn keeper(&self) -> Keeper {
        Keeper::Tpm
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        Ok(self.open()?.map(|opened| opened.secret))
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        let mut tpm = self.tpm()?;
        let first = match self.stands(&mut tpm)? {
            // What was there before begins no other count: a flash of then is older than this one.
            Some(at) => at,
            None => {
                tpm.define().map_err(|refusal| self.fail("a counter", &refusal))?;
                let gone = || KeyError::CounterGone { path: self.device.clone() };
                self.stands(&mut tpm)?.ok_or_else(gone)?
            }
        };
        drop(tpm);
        let mut payload = Zeroizing::new([0; PAYLOAD]);
        payload[..SECRET_BYTES].copy_from_slice(&secret[..]);
        payload[SECRET_BYTES..].copy_from_slice(&first.to_le_bytes());
        let bytes = self.with_primary("to seal", |tpm, primary| {
            let data = Tpm2bSensitiveData::try_from(&payload[..])?;
            let in_sensitive = TpmsSensitiveCreate { data, ..TpmsSensitiveCreate::default() };
            let create = TpmCreateCommand {
                handles: [primary.handle],
                in_sensitive: Tpm2bSensitiveCreate { inner: in_sensitive },
                in_public: sealed_public(),
                outside_info: Default::default(),
                creation_pcr: Default::default(),
            };
            let session = Session::begin(tpm, primary.handle, &primary.point)?;
            let answer = session.ask(tpm, &create, &primary.name, Masked::Command)?;
            let created = TpmCreateResponse::unmarshal_body(&[], &answer)?;
            write_sealed(&created.out_public, &created.out_private)
        })?;
        self.file.write_new(&bytes)
    }

    /// The sealed file first, which is all that opens the secret. The counter goes with it if the TPM is there; if it stays, the next
    /// secret goes on with it.
    fn forget(&self) -> Result<(), KeyError> {
        self.file.remove()?;
        // What stands in the counter's place and is none is another program's.
        if let Ok(mut tpm) = self.tpm()
            && let Ok(Some(_)) = tpm.counter()
        {
            let _ = tpm.undefine();
        }
        Ok(())
    }

    fn counter(&self) -> Result<Option<Counter>, KeyError> {
        let gone = || KeyError::CounterGone { path: self.device.clone() };
        let first = self.open()?.ok_or_else(gone)?.first;
        let at = self.stands(&mut self.tpm()?)?.ok_or_else(gone)?;
        Ok(Some(Counter { at, first }))
    }

    fn count_to(&self, to: u64) -> Result<(), KeyError> {
        let gone = || KeyError::CounterGone { path: self.device.clone() };
        let mut tpm = self.tpm()?;
        let at = self.stands(&mut tpm)?.ok_or_else(gone)?;
        match to.checked_sub(at) {
            Some(0) => Ok(()),
            Some(1) => tpm.step().map_err(|refusal| self.fail("a step of its counter", &refusal)),
            _ => Err(KeyError::CounterElsewhere { at, to }),
        }
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        random(into)
    }
}

fn write_sealed(public: &Tpm2bPublic, private: &Tpm2bPrivate) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![0; line::MAX_BYTES];
    let mut writer = TpmWriter::new(&mut bytes);
    writer.write_bytes(&MAGIC)?;
    writer.write_bytes(&VERSION.to_le_bytes())?;
    writer.write_bytes(&[0; 2])?;
    public.marshal(&mut writer)?;
    private.marshal(&mut writer)?;
    let len = writer.len();
    bytes.truncate(len);
    Ok(bytes)
}

fn read_sealed(bytes: &[u8]) -> Option<(Tpm2bPublic, Tpm2bPrivate)> {
    let (header, body) = bytes.split_at_checked(FILE_HEADER)?;
    if header != [&MAGIC[..], &VERSION.to_le_bytes(), &[0; 2]].concat() {
        return None;
    }
    let (public, rest) = Tpm2bPublic::unmarshal(body).ok()?;
    let (private, rest) = Tpm2bPrivate::unmarshal(rest).ok()?;
    rest.is_empty().then_some((public, private))
}
