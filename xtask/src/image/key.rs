//! Whom an image is signed by: a build key that the release key vouched for, or the development key, which everybody has.
//!
//! Owns the form of a build key's file: what `openssl genpkey -algorithm ed25519` writes (PKCS#8 as PEM, RFC 8410), with
//! three files beside it from the release key's owner (docs/bundle.md): `KEYS`, `KEYS.sig` and his public key, `release.pub`.
//! Refuses to make one, and ever to hold the release key: that one stays where no build runs.

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fs;
use std::path::Path;
use threshold_bundle::{BundleError, Keys, SigningKey, Trust, development_key};

/// What stands before the 32 bytes of a private Ed25519 key in PKCS#8.
const PRIVATE: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What stands before those of a public one in SubjectPublicKeyInfo.
const PUBLIC: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Who signs.
pub(super) struct Signer {
    /// The build key.
    pub(super) build: SigningKey,
    /// What the release key says of it, with its signature.
    pub(super) keys: (String, [u8; 64]),
    /// Whom a unit must believe to take what is signed.
    pub(super) trust: Trust,
    /// True for the key that everybody has.
    pub(super) is_development: bool,
}

impl Signer {
    /// Of a build key's file, or the developer's.
    ///
    /// # Errors
    /// If the file is no such key, or what must stand beside it does not, or names another key, or either key is the developer's.
    pub(super) fn of(file: Option<&Path>) -> Result<Self> {
        let Some(file) = file else {
            let (build, keys) = (development_key(), Keys::development()?);
            return Ok(Self { build, keys, trust: Trust::development(), is_development: true });
        };
        let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let build = private(&text).with_context(|| {
            format!("{} is no build key: openssl genpkey -algorithm ed25519", file.display())
        })?;
        let beside = |name: &str| {
            let path = file.with_file_name(name);
            let missing = || {
                format!("{}, which the release key's owner makes (docs/bundle.md)", path.display())
            };
            fs::read(&path).with_context(missing)
        };
        let keys = String::from_utf8(beside("KEYS")?).context("KEYS is no text")?;
        let signature: [u8; 64] =
            beside("KEYS.sig")?.try_into().ok().context("KEYS.sig has not 64 bytes")?;
        let release_key = String::from_utf8(beside("release.pub")?).ok();
        let release_key = release_key.as_deref().and_then(public).with_context(|| {
            "release.pub is no public key: openssl pkey -in <release key> -pubout".to_owned()
        })?;
        let (build, everybodys) = (SigningKey::from_bytes(&build), development_key());
        if build == everybodys || release_key == everybodys.verifying_key().to_bytes() {
            return Err(BundleError::Development).context(
                "the build key or release.pub is the key that everybody has: leave --key out, and the image is a developer's by name",
            );
        }
        Ok(Self {
            build,
            keys: (keys, signature),
            trust: Trust { release_key, serial: 0 },
            is_development: false,
        })
    }
}

/// The key of a PEM text; `None` if it is none.
fn private(text: &str) -> Option<[u8; 32]> {
    body(text, "PRIVATE KEY")?.strip_prefix(&PRIVATE)?.try_into().ok()
}

/// The same of a public one.
fn public(text: &str) -> Option<[u8; 32]> {
    body(text, "PUBLIC KEY")?.strip_prefix(&PUBLIC)?.try_into().ok()
}

fn body(text: &str, title: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(&format!("-----BEGIN {title}-----"))?;
    let body = body.strip_suffix(&format!("-----END {title}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    /// The keys of RFC 8410, 10.1 and 10.3.
    const PEM: &str = concat!(
        "-----BEGIN PRIVATE ",
        "KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE ",
        "KEY-----\n"
    );
    const PUB: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";

    #[test]
    fn keys_of_openssl_are_read_and_nothing_else_is() {
        let key = SigningKey::from_bytes(&private(PEM).unwrap());
        assert_eq!(public(PUB).unwrap(), key.verifying_key().to_bytes());
        for wrong in ["", PUB, &PEM.replace("PRIVATE", "PUBLIC"), &PEM.replace("MC4C", "MC4D")] {
            assert!(private(wrong).is_none(), "{wrong}");
        }
        assert!(public(PEM).is_none());
    }
    #[test]
    fn a_build_key_signs_only_with_what_the_release_key_said_of_it_beside_it() {
        let folder = std::env::temp_dir().join(format!("threshold-keys-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
        let of = || Signer::of(Some(&folder.join("build.pem"))).map_err(|e| format!("{e:#}"));
        let said = |part: &str| {
            let error = of().err().unwrap();
            assert!(error.contains(part), "{error}");
        };
        said("build.pem");
        put("build.pem", b"no key");
        said("is no build key");
        put("build.pem", PEM.as_bytes());
        said("docs/bundle.md");
        let release = SigningKey::from_bytes(&[7; 32]);
        let build = SigningKey::from_bytes(&private(PEM).unwrap());
        let (text, signature) = Keys::of(&build, 3).sign(&release).unwrap();
        put("KEYS", text.as_bytes());
        put("KEYS.sig", &signature[1..]);
        said("64 bytes");
        put("KEYS.sig", &signature);
        put("release.pub", PEM.as_bytes());
        said("release.pub is no public key");
        let key = release.verifying_key();
        let public_pem = |key: &SigningKey| {
            let body = STANDARD.encode([&PUBLIC[..], key.verifying_key().as_bytes()].concat());
            format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
        };
        put("release.pub", public_pem(&release).as_bytes());
        let signer = of().unwrap();
        assert_eq!(signer.trust.release_key, key.to_bytes());
        assert!(!signer.is_development && signer.build == build);
        let development = development_key();
        put("release.pub", public_pem(&development).as_bytes());
        said("the key that everybody has");
        put("release.pub", public_pem(&release).as_bytes());
        let private = STANDARD.encode([&PRIVATE[..], &development.to_bytes()].concat());
        let title = "PRIVATE KEY";
        let pem = format!("-----BEGIN {title}-----\n{private}\n-----END {title}-----\n");
        put("build.pem", pem.as_bytes());
        said("the key that everybody has");
        fs::remove_dir_all(&folder).unwrap();
    }
}
