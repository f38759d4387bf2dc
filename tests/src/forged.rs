//! What no program of ours makes: a bundle that is rightly signed and names a file as none may be named.

use ed25519_dalek::{Signer as _, SigningKey};

/// The block of a tar file, and where a header has its size and its sum.
const BLOCK: usize = 512;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;

/// The bundle with that name in the place of another one of the same length, in its manifest and before the file, signed by the build
/// key.
///
/// # Panics
/// If the names have different lengths, or the bundle has no such file.
#[must_use]
pub fn renamed(bundle: &[u8], name: &str, other: &str, build: &SigningKey) -> Vec<u8> {
    assert_eq!(name.len(), other.len(), "the manifest keeps its length");
    let mut out = bundle.to_vec();
    let mut signature = None;
    let (mut at, mut n_renamed) = (0, 0);
    while at + BLOCK <= out.len() && out[at] != 0 {
        let header: Vec<u8> = out[at..at + BLOCK].to_vec();
        let member: String =
            header.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect();
        let octal = header[SIZE].iter().filter(|byte| byte.is_ascii_digit());
        let len = octal.fold(0, |sum, &digit| sum * 8 + usize::from(digit - b'0'));
        let body = at + BLOCK..at + BLOCK + len;
        match member.as_str() {
            "MANIFEST" => {
                let text = String::from_utf8_lossy(&out[body.clone()]).into_owned();
                let text =
                    text.replace(&format!("name = \"{name}\""), &format!("name = \"{other}\""));
                signature = Some(build.sign(text.as_bytes()).to_bytes());
                out[body].copy_from_slice(text.as_bytes());
            }
            "MANIFEST.sig" => out[body].copy_from_slice(&signature.unwrap_or([0; 64])),
            _ if member == name => {
                out[at..at + name.len()].copy_from_slice(other.as_bytes());
                out[at + SUM.start..at + SUM.end].fill(b' ');
                let sum: u32 = out[at..at + BLOCK].iter().map(|&byte| u32::from(byte)).sum();
                out[at + SUM.start..at + SUM.end]
                    .copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
                n_renamed += 1;
            }
            _ => {}
        }
        at += BLOCK + len.next_multiple_of(BLOCK);
    }
    assert_eq!(n_renamed, 1, "the bundle has no file {name}");
    out
}
