//! The hello: the first call on a line, and the error when two versions do not fit.
//!
//! Path and schema of this endpoint are frozen at version 1 for ever, so that a host and a unit of any two versions can
//! at least tell each other what they are.

use core::fmt;
use heapless::String;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The version of the protocol: framing, meaning of the endpoints. Raised by a change that the keys cannot show.
/// 2 has sealed frames, sessions, pairing and bulk transfers.
pub const PROTOCOL: u16 = 2;

/// The host says what it is. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct HelloRequest {
    /// The host's [`PROTOCOL`].
    pub protocol: u16,
    /// The host's [`crate::endpoints::DIGEST`].
    pub schema: u64,
    /// The host's build, for the unit's log.
    pub build: String<32>,
}

/// The unit says what it is. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Hello {
    /// The unit's [`PROTOCOL`].
    pub protocol: u16,
    /// The unit's [`crate::endpoints::DIGEST`].
    pub schema: u64,
    /// The unit's build.
    pub build: String<32>,
    /// The unit's name, unique on its site.
    pub unit: String<64>,
}

/// Which end of the line is older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Older {
    /// The host's program.
    Host,
    /// The unit's program.
    Unit,
    /// The two are of one protocol, built from different sources.
    Neither,
}

/// Host and unit do not speak the same version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// What the host said.
    pub host: HelloRequest,
    /// What the unit said.
    pub unit: Hello,
}

impl HelloRequest {
    /// The hello of this program.
    #[must_use]
    pub fn of_build(build: &str) -> Self {
        Self { protocol: PROTOCOL, schema: crate::endpoints::DIGEST, build: cut(build) }
    }
}

impl Hello {
    /// The hello of this program as a unit.
    #[must_use]
    pub fn of_unit(unit: &str, build: &str) -> Self {
        Self {
            protocol: PROTOCOL,
            schema: crate::endpoints::DIGEST,
            build: cut(build),
            unit: cut(unit),
        }
    }

    /// Checks that this unit and that host speak the same version.
    ///
    /// # Errors
    /// [`Mismatch`], whose text names both versions and the remedy.
    #[allow(
        clippy::result_large_err,
        reason = "asked once a line, and there is no heap to box it on"
    )]
    pub fn check(&self, host: &HelloRequest) -> Result<(), Mismatch> {
        if self.protocol == host.protocol && self.schema == host.schema {
            return Ok(());
        }
        Err(Mismatch { host: host.clone(), unit: self.clone() })
    }
}

impl Mismatch {
    /// Which end to update.
    #[must_use]
    pub fn older(&self) -> Older {
        match self.host.protocol.cmp(&self.unit.protocol) {
            core::cmp::Ordering::Less => Older::Host,
            core::cmp::Ordering::Greater => Older::Unit,
            core::cmp::Ordering::Equal => Older::Neither,
        }
    }
}

impl core::error::Error for Mismatch {}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, unit } = self;
        write!(
            f,
            "this program (build {}) speaks protocol {} with schema {:016x}, unit {} (build {}) speaks protocol {} \
             with schema {:016x}; ",
            host.build,
            host.protocol,
            host.schema,
            unit.unit,
            unit.build,
            unit.protocol,
            unit.schema
        )?;
        match self.older() {
            Older::Host => write!(f, "update this program to build {}", unit.build),
            Older::Unit => write!(f, "update the unit to build {}", host.build),
            Older::Neither => {
                write!(
                    f,
                    "install the same build on both: build {} here or build {} there",
                    unit.build, host.build
                )
            }
        }
    }
}

/// As much of a text as fits, whole characters only.
#[must_use]
pub fn cut<const N: usize>(text: &str) -> String<N> {
    let mut kept = String::new();
    for character in text.chars() {
        if kept.push(character).is_err() {
            break;
        }
    }
    kept
}
