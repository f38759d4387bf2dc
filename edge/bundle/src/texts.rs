//! The four texts that a bundle begins with, which bind every byte behind them.
//!
//! Owns that they are believed in one way, whether they are read from a bundle or kept beside the files that came of one.

use crate::BundleError;
use crate::keys::{Keys, Trust};
use crate::manifest::Manifest;
use crate::read::Installed;
use crate::signed::Signed as _;

/// Texts and signatures, as their signers made them or not: nothing of them is believed before [`Texts::verified`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// KEYS.
    pub keys: Vec<u8>,
    /// KEYS.sig.
    pub keys_signature: [u8; 64],
    /// MANIFEST.
    pub manifest: Vec<u8>,
    /// MANIFEST.sig.
    pub manifest_signature: [u8; 64],
}

impl Texts {
    /// Names of the members, in their order; no file of a manifest has one of them, since those are in small letters.
    pub const NAMES: [&'static str; 4] = ["KEYS", "KEYS.sig", "MANIFEST", "MANIFEST.sig"];

    /// The members' bytes, in the order of [`Texts::NAMES`].
    #[must_use]
    pub fn members(&self) -> [&[u8]; 4] {
        [&self.keys, &self.keys_signature, &self.manifest, &self.manifest_signature]
    }

    /// The texts of these members; `None` if a signature is not 64 bytes long.
    #[must_use]
    pub fn of([keys, keys_signature, manifest, manifest_signature]: [Vec<u8>; 4]) -> Option<Self> {
        let keys_signature = keys_signature.try_into().ok()?;
        let manifest_signature = manifest_signature.try_into().ok()?;
        Some(Self { keys, keys_signature, manifest, manifest_signature })
    }

    /// What they say, if its signers made it and it is for this unit.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn verified(
        &self,
        trust: &Trust,
        installed: &Installed,
    ) -> Result<(Manifest, Keys), BundleError> {
        let keys = Keys::verified(&self.keys, &self.keys_signature, trust)?;
        let manifest =
            Manifest::opened(&self.manifest, &self.manifest_signature, &keys.build_key())?;
        if manifest.compatible != installed.compatible {
            let (found, wanted) = (manifest.compatible, installed.compatible.clone());
            return Err(BundleError::OtherBoard { found, wanted });
        }
        if manifest.counter < installed.counter {
            return Err(BundleError::Older { found: manifest.counter, least: installed.counter });
        }
        Ok((manifest, keys))
    }
}
