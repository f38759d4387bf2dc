//! Whom a machine that becomes a unit believes: the release key of its `etc/threshold/maker.toml`, and that of the package.
//!
//! Owns that a file below a mounted root is found in that root alone, whatever links of the root say: the root may be anybody's,
//! and it is read as root. Refuses what is no plain file there.

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use threshold_bundle::{development_key, from_hex};

/// The file, from the root.
pub(super) const FILE: &str = "etc/threshold/maker.toml";

/// The most that is read of a file of the root: a C library has 2 MB.
const MAX_BYTES: u64 = 64 << 20;

/// A release key, as far as the file has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Maker(Option<[u8; 32]>);

impl Maker {
    /// Of the file's text.
    pub(super) fn of(text: &str) -> Self {
        #[derive(Deserialize)]
        struct Typed {
            release_key: String,
        }
        let typed = toml::from_str::<Typed>(text).ok();
        Self(typed.and_then(|typed| from_hex(&typed.release_key)))
    }

    /// The whole release key in hex, to be compared with the maker's; none of a file without one.
    pub(super) fn hex(self) -> String {
        self.0.map(|key| crate::say::hex(&key)).unwrap_or_default()
    }

    /// True if the file has a release key.
    pub(super) fn is_known(self) -> bool {
        self.0.is_some()
    }

    /// True if everybody can make what a unit with this key takes.
    pub(super) fn is_development(self) -> bool {
        self.0 == Some(development_key().verifying_key().to_bytes())
    }
}

impl std::fmt::Display for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(_) if self.is_development() => f.write_str("the development key"),
            Some(key) => write!(f, "release key {}", crate::say::hex(&key[..8])),
            None => f.write_str("no release key that can be read"),
        }
    }
}

/// A plain file below a root; `None` if there is none of that name. Links are followed as a process in that root would.
///
/// # Errors
/// The medium's, or that it is no plain file.
pub(super) fn read(root: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    let folder = open(root, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // Found before it is opened: a pipe would wait, and a device may do something.
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let found = match openat2(&folder, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), within)
    {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        found => File::from(found?),
    };
    if !found.metadata()?.is_file() {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("{name} is no plain file")));
    }
    let mut bytes = Vec::new();
    let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
