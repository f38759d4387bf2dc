//! A text of the bundle's own: a title, a value as TOML, and a signature over both.
//!
//! Owns that a title stands before every such text, so that nothing else that is signed can stand in its place.

use crate::BundleError;
use crate::keys::signs;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Serialize, de::DeserializeOwned};

/// A value that is signed as a text.
pub(crate) trait Signed: Serialize + DeserializeOwned {
    /// The member that the text is.
    const MEMBER: &'static str;
    /// Its first line.
    const TITLE: &'static str;
    /// Which key signs it.
    const SIGNER: &'static str;

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`BundleError::Text`].
    fn check(&self) -> Result<(), BundleError>;

    /// What is wrong with the text.
    fn fault(what: String) -> BundleError {
        BundleError::Text { member: Self::MEMBER, what }
    }

    /// The text and the key's signature under it.
    ///
    /// # Errors
    /// [`BundleError::Text`] if the value breaks its own rules.
    fn signed(&self, key: &SigningKey) -> Result<(String, [u8; 64]), BundleError> {
        self.check()?;
        let body = toml::to_string(self).map_err(|error| Self::fault(error.to_string()))?;
        let text = [Self::TITLE, &body].concat();
        let signature = key.sign(text.as_bytes()).to_bytes();
        Ok((text, signature))
    }

    /// The value of a text, if the key signed it.
    ///
    /// # Errors
    /// [`BundleError::Signature`] before anything of it is read, then [`BundleError::Text`].
    fn opened(bytes: &[u8], signature: &[u8; 64], key: &[u8; 32]) -> Result<Self, BundleError> {
        if !signs(key, bytes, signature) {
            return Err(BundleError::Signature { member: Self::MEMBER, signer: Self::SIGNER });
        }
        let body = std::str::from_utf8(bytes).ok().and_then(|text| text.strip_prefix(Self::TITLE));
        let body = body.ok_or_else(|| Self::fault("it has another title".to_owned()))?;
        let value: Self = toml::from_str(body).map_err(|error| Self::fault(error.to_string()))?;
        value.check()?;
        Ok(value)
    }
}
