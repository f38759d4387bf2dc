//! The administrator's keychain: the secret key, and the keys of the units that it was paired with.
//!
//! A folder of two files, beside the folder of what is kept of each unit: `administrator.key`, 32 bytes that never leave it, and `units.json`. Both are for the administrator's
//! user alone; whoever reads the first one is the administrator to every unit of the second. Each vault has its key there too,
//! `vault-<id>.key`: without it nobody reads that vault.
//! Refuses to make a key unasked: only pairing does, and `vault init`.

use crate::error::HostError;
use crate::say::hex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use threshold_record::Role;
use threshold_wire::session::SecretKey;
use zeroize::Zeroizing;

const SECRET: &str = "administrator.key";
const UNITS: &str = "units.json";
/// Held by whoever changes one of the two: what two runs read and wrote at the same time would be one run's.
const LOCK: &str = "keychain.lock";

/// The keychain in a folder, which need not be there yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keychain {
    folder: PathBuf,
}

/// A unit that the administrator was paired with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownUnit {
    /// Its public key of the link, X25519, in hex.
    pub key: String,
    /// What the administrator may ask, as the unit last said.
    pub role: Role,
    /// Its public signing key, Ed25519, in hex, as it said when it was paired; `None` if a build before kept the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

impl KnownUnit {
    /// A unit of this key.
    #[must_use]
    pub fn of(key: &[u8; 32], role: Role) -> Self {
        Self { key: hex(key), role, identity: None }
    }
}

fn key_of(text: &str) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    (text.len() == 64 && text.is_ascii()).then_some(())?;
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(key)
}

impl Keychain {
    /// The keychain that is meant: the folder that was typed, THRESHOLD_KEYS, or `threshold` in the user's folder of settings.
    #[must_use]
    pub fn meant(typed: Option<&Path>) -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let folder = typed
            .map(Path::to_path_buf)
            .or_else(|| set("THRESHOLD_KEYS").map(PathBuf::from))
            .or_else(|| set("XDG_CONFIG_HOME").map(|home| Path::new(&home).join("threshold")))
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config/threshold")));
        Self { folder: folder.unwrap_or_else(|| PathBuf::from(".threshold")) }
    }

    /// The administrator's key; `None` if nothing was ever paired.
    ///
    /// # Errors
    /// [`HostError::Keychain`] if the file is no key, or may be read by others.
    pub fn secret(&self) -> Result<Option<SecretKey>, HostError> {
        let path = self.folder.join(SECRET);
        let Some(bytes) = self.private(&path)? else { return Ok(None) };
        SecretKey::of_bytes(*bytes).map(Some).map_err(|error| fault(&path, &error.to_string()))
    }

    /// The 32 bytes of a file that nobody else may read; `None` if it is not there.
    fn private(&self, path: &Path) -> Result<Option<Zeroizing<[u8; 32]>>, HostError> {
        let meta = match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            meta => meta.map_err(|error| fault(path, &error.to_string()))?,
        };
        if meta.permissions().mode() & 0o077 != 0 {
            return Err(fault(path, "others may read it"));
        }
        let bytes = std::fs::read(path).map_err(|error| fault(path, &error.to_string()))?;
        let bytes = Zeroizing::new(bytes);
        let key = bytes.first_chunk().filter(|key: &&[u8; 32]| key.len() == bytes.len());
        key.map(|key| Some(Zeroizing::new(*key)))
            .ok_or_else(|| fault(path, "it is not a key of 32 bytes"))
    }

    /// Where the key of a vault lies.
    #[must_use]
    pub fn vault_key_file(&self, vault: &[u8; 16]) -> PathBuf {
        self.folder.join(vault_key_name(vault))
    }

    /// The key of a vault; `None` if it is not here.
    ///
    /// # Errors
    /// [`HostError::Keychain`] if the file is no key, or may be read by others.
    pub fn vault_key(&self, vault: &[u8; 16]) -> Result<Option<Zeroizing<[u8; 32]>>, HostError> {
        self.private(&self.vault_key_file(vault))
    }

    /// Keeps the key of a vault; on the disk when it returns.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn keep_vault_key(&self, vault: &[u8; 16], key: &[u8; 32]) -> Result<(), HostError> {
        let kept = self.write(&vault_key_name(vault), key);
        kept.map_err(|error| fault(&self.vault_key_file(vault), &error.to_string()))
    }

    /// Where a vault lies unless another file is typed.
    #[must_use]
    pub fn vault(&self) -> PathBuf {
        self.folder.join("vault.db")
    }

    /// The administrator's key, made if there is none; on the disk when it returns.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn secret_or_new(&self) -> Result<SecretKey, HostError> {
        let _held = self.hold()?;
        if let Some(secret) = self.secret()? {
            return Ok(secret);
        }
        let path = self.folder.join(SECRET);
        let secret = SecretKey::random().map_err(|error| fault(&path, &error.to_string()))?;
        self.write(SECRET, secret.secret()).map_err(|error| fault(&path, &error.to_string()))?;
        Ok(secret)
    }

    /// The unit of a name; `None` if it was never paired.
    ///
    /// # Errors
    /// [`HostError::Keychain`] if the file is not one that this program wrote.
    pub fn unit(&self, name: &str) -> Result<Option<([u8; 32], Role)>, HostError> {
        let units = self.units()?;
        let Some(known) = units.get(name) else { return Ok(None) };
        let damaged = || fault(&self.folder.join(UNITS), "the key of a unit is no key");
        Ok(Some((key_of(&known.key).ok_or_else(damaged)?, known.role)))
    }

    /// The signing key of the unit of a name; `None` if none was kept yet.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn identity(&self, name: &str) -> Result<Option<[u8; 32]>, HostError> {
        let known = self.units()?.remove(name).and_then(|known| known.identity);
        let damaged = || fault(&self.folder.join(UNITS), "the signing key of a unit is no key");
        known.map(|text| key_of(&text).ok_or_else(damaged)).transpose()
    }

    /// Keeps the signing key of a unit that was paired.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn pin(&self, name: &str, identity: &[u8; 32]) -> Result<(), HostError> {
        if !self.units()?.contains_key(name) {
            return Ok(());
        }
        let _held = self.hold()?;
        let mut units = self.units()?;
        let Some(known) = units.get_mut(name) else { return Ok(()) };
        known.identity = Some(hex(identity));
        self.write_units(&units)
    }

    /// Where what the unit of a signing key says is kept: its log, with the ending `log`, and the receipts of removals.
    #[must_use]
    pub fn kept(&self, identity: &[u8; 32], ending: &str) -> PathBuf {
        // By key and not by name: two units may have one name, and a name may be no file's.
        self.folder.join("logs").join(hex(&identity[..8])).with_extension(ending)
    }

    /// The folder of the bundles that units were updated with from here.
    #[must_use]
    pub fn bundles(&self) -> PathBuf {
        self.folder.join("bundles")
    }

    /// Every unit that was paired, by name.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn units(&self) -> Result<BTreeMap<String, KnownUnit>, HostError> {
        let path = self.folder.join(UNITS);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            read => read.map_err(|error| fault(&path, &error.to_string()))?,
        };
        serde_json::from_slice(&bytes).map_err(|error| fault(&path, &error.to_string()))
    }

    /// Keeps a unit under its name, in place of one of that name; `None` forgets it.
    ///
    /// # Errors
    /// [`HostError::Keychain`].
    pub fn keep(&self, name: &str, unit: Option<KnownUnit>) -> Result<(), HostError> {
        let _held = self.hold()?;
        let mut units = self.units()?;
        match unit {
            Some(unit) => units.insert(name.to_owned(), unit),
            None => units.remove(name),
        };
        self.write_units(&units)
    }

    /// Waits until no other run of this program changes the folder; as long as this is held, none does.
    fn hold(&self) -> Result<File, HostError> {
        let path = self.folder.join(LOCK);
        let held = (|| {
            self.make_folder()?;
            let mut options = OpenOptions::new();
            let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        })();
        held.map_err(|error: io::Error| fault(&path, &error.to_string()))
    }

    fn make_folder(&self) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    fn write_units(&self, units: &BTreeMap<String, KnownUnit>) -> Result<(), HostError> {
        let path = self.folder.join(UNITS);
        let text = serde_json::to_vec_pretty(units);
        let text = text.map_err(|error| fault(&path, &error.to_string()))?;
        self.write(UNITS, &text).map_err(|error| fault(&path, &error.to_string()))
    }

    /// Writes a file whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        let fresh = self.folder.join(format!("{name}.tmp"));
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }
}

fn vault_key_name(vault: &[u8; 16]) -> String {
    format!("vault-{}.key", hex(&vault[..8]))
}

fn fault(path: &Path, what: &str) -> HostError {
    HostError::Keychain { path: path.display().to_string(), what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn keychain() -> (tempfile::TempDir, Keychain) {
        let folder = tempfile::tempdir().unwrap();
        let keychain = Keychain::meant(Some(&folder.path().join("keys")));
        (folder, keychain)
    }

    #[test]
    fn a_key_is_made_once_and_only_for_its_user() {
        let (_folder, keychain) = keychain();
        assert_eq!(keychain.secret().unwrap(), None);
        let secret = keychain.secret_or_new().unwrap();
        assert_eq!(keychain.secret_or_new().unwrap(), secret);
        let path = keychain.folder.join(SECRET);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let error = keychain.secret().unwrap_err().to_string();
        assert!(error.contains("others may read it"), "{error}");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "short").unwrap();
        assert!(keychain.secret_or_new().is_err(), "a key that is damaged is not replaced");
    }

    #[test]
    fn runs_at_the_same_time_make_one_key_and_lose_no_unit() {
        let (_folder, keychain) = keychain();
        let names: Vec<String> = (0..16).map(|number| format!("door {number}")).collect();
        let secrets: Vec<SecretKey> = std::thread::scope(|scope| {
            let run = |name: &String| {
                let keychain = Keychain { folder: keychain.folder.clone() };
                let name = name.clone();
                scope.spawn(move || {
                    let secret = keychain.secret_or_new().unwrap();
                    keychain.keep(&name, Some(KnownUnit::of(&[7; 32], Role::Owner))).unwrap();
                    keychain.pin(&name, &[9; 32]).unwrap();
                    secret
                })
            };
            let runs: Vec<_> = names.iter().map(run).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| Some(secret) == keychain.secret().unwrap().as_ref()));
        for name in &names {
            assert_eq!(keychain.identity(name).unwrap(), Some([9; 32]), "{name}");
        }
    }

    #[test]
    fn units_are_kept_by_name_and_forgotten() {
        let (_folder, keychain) = keychain();
        assert_eq!(keychain.unit("door").unwrap(), None);
        keychain.keep("door", Some(KnownUnit::of(&[7; 32], Role::Owner))).unwrap();
        keychain.keep("gate", Some(KnownUnit::of(&[8; 32], Role::Viewer))).unwrap();
        assert_eq!(keychain.unit("door").unwrap(), Some(([7; 32], Role::Owner)));
        assert_eq!(keychain.identity("door").unwrap(), None);
        keychain.pin("door", &[9; 32]).unwrap();
        assert_eq!(keychain.identity("door").unwrap(), Some([9; 32]));
        assert_eq!(keychain.unit("door").unwrap(), Some(([7; 32], Role::Owner)));
        keychain.keep("door", None).unwrap();
        assert_eq!(keychain.unit("door").unwrap(), None);
        assert_eq!(keychain.units().unwrap().len(), 1);
        std::fs::write(
            keychain.folder.join(UNITS),
            "{\"gate\":{\"key\":\"ab\",\"role\":\"Viewer\"}}",
        )
        .unwrap();
        assert!(keychain.unit("gate").is_err(), "a key that is none is no unit that is not paired");
    }
}
