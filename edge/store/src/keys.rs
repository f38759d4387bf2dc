//! Who keeps the unit's secret, outside the flash that it protects.
//!
//! Owns the trait that a security chip, a trusted world or a file implement, and the file body; the TPM's is `edge/tpm`. Refuses
//! a default secret: each unit makes its own at its first start.
//! Terms: the *secret* is the one from which everything else of the store is unlocked; whoever has it and the flash can read
//! and forge everything, and once it is forgotten nobody can. The *counter* of a keeper that has one stands outside the flash
//! and never goes back.

mod kept;

pub use kept::KeptFile;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// A secret; its bytes are overwritten when it goes.
pub type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// What keeps a secret, for whoever asks how safe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A file beside the flash: whoever copies the medium has it. For development.
    File,
    /// Memory of this process, for tests.
    Memory,
    /// A TPM, which alone opens the file beside the flash: whoever copies the medium has nothing.
    Tpm,
}

/// Where a keeper's counter stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Now.
    pub at: u64,
    /// Where it stood when the secret was kept: a flash that names no step of it is as of then.
    pub first: u64,
}

/// Keeps the unit's secret and draws random bytes.
pub trait KeyProvider: Send + Sync + fmt::Debug {
    /// What keeps it.
    fn keeper(&self) -> Keeper;

    /// The secret; `None` if none was made since the last one was forgotten.
    ///
    /// # Errors
    /// [`KeyError`].
    fn secret(&self) -> Result<Option<Secret>, KeyError>;

    /// Keeps a secret from now on; durable on return.
    ///
    /// # Errors
    /// [`KeyError`], also if there is one already.
    fn keep(&self, secret: &Secret) -> Result<(), KeyError>;

    /// Forgets the secret for good: everything that it unlocks is erased by that.
    ///
    /// # Errors
    /// [`KeyError`].
    fn forget(&self) -> Result<(), KeyError>;

    /// Where its counter stands; `None` if it has none.
    ///
    /// # Errors
    /// [`KeyError`].
    fn counter(&self) -> Result<Option<Counter>, KeyError> {
        Ok(None)
    }

    /// Has its counter stand at `to`, where it stands already or one step before; durable on return. To be asked again after an
    /// error, which leaves open whether the step was made.
    ///
    /// # Errors
    /// [`KeyError`], also if it stands anywhere else.
    fn count_to(&self, to: u64) -> Result<(), KeyError> {
        Err(KeyError::NoCounter { to })
    }

    /// Fills with bytes that nobody can foretell.
    ///
    /// # Errors
    /// [`KeyError`].
    fn random(&self, into: &mut [u8]) -> Result<(), KeyError>;
}

/// The secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is not a secret.
    #[error(
        "{} holds {found} bytes and no secret of {SECRET_BYTES}; put the unit's own key file back, or move the data folder away, start the unit and enrol \
         again", path.display()
    )]
    NotASecret {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Others may read the file.
    #[error(
        "{} may be read by others (mode {mode:o}); run chmod 600 on it, and wipe and pair the unit again if anybody may have copied it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The sealed file is not what was written.
    #[error(
        "{} is damaged, and the unit's secret is in no other place; put the file back from a backup of this unit's data folder, or \
         move the folder away, start the unit, commission it with the owner's recovery key and enrol again", path.display()
    )]
    NotSealedHere {
        /// The file.
        path: PathBuf,
    },
    /// No TPM answers.
    #[error(
        "no TPM answers at {}: {detail}; look at the module and its driver, at tpm in [keys], and that the unit's user may use the \
         device, then start the unit again", path.display()
    )]
    TpmAbsent {
        /// The device.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// The TPM does not answer in time.
    #[error(
        "the TPM at {} does not answer within {} s; the unit asks it again with the next entry; if it stays so, take the power off the          machine, look at the module and its driver, and start the unit again", path.display(), patience.as_secs_f32()
    )]
    TpmSilent {
        /// The device.
        path: PathBuf,
        /// How long it was waited for.
        patience: Duration,
    },
    /// The TPM cannot open the sealed file.
    #[error(
        "the TPM at {} does not open {}: it is another TPM, it was cleared since, or the file was changed; put this unit's own TPM \
         and flash together again, or move the data folder away, start the unit, commission it with the owner's recovery key and \
         enrol again", device.display(), sealed.display()
    )]
    TpmOther {
        /// The device.
        device: PathBuf,
        /// The sealed file.
        sealed: PathBuf,
    },
    /// The TPM's owner hierarchy has a password.
    #[error(
        "the TPM at {} belongs to somebody: its owner hierarchy has a password, and the unit has none; take it off \
         (tpm2_changeauth -c owner) and start the unit again", path.display()
    )]
    TpmOwned {
        /// The device.
        path: PathBuf,
    },
    /// The TPM keeps off guessers of passwords.
    #[error(
        "the TPM at {} is locked out, since somebody tried wrong passwords on it; wait until it recovers or reset it \
         (tpm2_dictionarylockout -c), then start the unit again", path.display()
    )]
    TpmLockedOut {
        /// The device.
        path: PathBuf,
    },
    /// The TPM refuses a command.
    #[error(
        "the TPM at {} refuses {command} ({code}); start the machine again, and if that does not help replace the module, move the \
         data folder away, commission the unit with the owner's recovery key and enrol again", path.display()
    )]
    TpmRefuses {
        /// The device.
        path: PathBuf,
        /// What was asked.
        command: &'static str,
        /// What it said.
        code: String,
    },
    /// Something else stands where the unit's counter has its place.
    #[error(
        "the TPM at {} has something of another program at NV index {index:#010x}, where a unit's counter has its place; if nothing \
         needs it, take it away (tpm2_nvundefine {index:#x}) and start the unit again, which tells if its own counter was there before",
        path.display()
    )]
    CounterForeign {
        /// The device.
        path: PathBuf,
        /// The index.
        index: u32,
    },
    /// The counter is gone.
    #[error(
        "the TPM at {} has no counter of this unit any more: somebody took it away, or cleared the TPM, so that nobody can tell whether the flash is the newest; move the data folder away, start the unit, commission it with the owner's \
         recovery key and enrol again", path.display()
    )]
    CounterGone {
        /// The device.
        path: PathBuf,
    },
    /// The counter stands where no step leads to what was asked.
    #[error(
        "the TPM's counter stands at {at} and not a step before {to}: another program counts with it; end that and start the unit again"
    )]
    CounterElsewhere {
        /// Where it stands.
        at: u64,
        /// Where it should get.
        to: u64,
    },
    /// The keeper has no counter.
    #[error(
        "what keeps the secret has no counter to bring to {to}; start the unit again, and report this"
    )]
    NoCounter {
        /// Where it should get.
        to: u64,
    },
    /// A plain secret lies beside the sealed one, and is another.
    #[error(
        "{} lies beside a secret that a TPM keeps, and is not that one: the data folder was put together of two; put the unit's own \
         folder back, or if the unit's people are all there (threshold-edge store inspect), delete that file and start the unit again",
        path.display()
    )]
    OtherBeside {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("{}: {detail}; the folder must be there, and the file for the unit's user alone", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// No random bytes.
    #[error("the system gives no random bytes ({0}); start the unit again")]
    NoRandomness(String),
}

/// Fills with bytes of the system that nobody can foretell.
///
/// # Errors
/// [`KeyError::NoRandomness`].
pub fn random(into: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(into).map_err(|error| KeyError::NoRandomness(error.to_string()))
}

/// A secret in a file that only the unit's user may read: for development, and for boards without a keeper of their own.
/// It stops nobody who takes the medium out.
#[derive(Clone, Debug)]
pub struct FileKeys {
    file: KeptFile,
}

impl FileKeys {
    /// The secret in this file, which need not be there yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { file: KeptFile::at(path) }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &KeptFile {
        &self.file
    }
}

impl KeyProvider for FileKeys {
    fn keeper(&self) -> Keeper {
        Keeper::File
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        let Some(bytes) = self.file.read(SECRET_BYTES as u64)? else { return Ok(None) };
        let mut secret = Secret::default();
        if bytes.len() != SECRET_BYTES {
            let (path, found) = (self.file.path().to_path_buf(), bytes.len() as u64);
            return Err(KeyError::NotASecret { path, found });
        }
        secret.copy_from_slice(&bytes);
        Ok(Some(secret))
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        self.file.write_new(secret.as_ref())
    }

    fn forget(&self) -> Result<(), KeyError> {
        self.file.remove()
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        random(into)
    }
}
