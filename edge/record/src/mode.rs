//! With whom a unit compares a face: what its owner settles, as flash and wire carry it.
//!
//! Owns the default. Refuses to decide: `policy::decide` does that.

use crate::decision::coded;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

coded! {
    /// With whom a face is compared.
    Mode {
        /// With everybody (1:N); a credential says nothing.
        Identify = 0 => "identify",
        /// With the person whom a credential names and nobody else (1:1); a face alone opens nothing.
        Verify = 1 => "verify",
        /// With the person whom a credential names, and without one with everybody.
        Both = 2 => "both",
    }
}

impl Mode {
    /// What holds until an owner settles something else.
    pub const DEFAULT: Self = Self::Identify;

    /// True if a face alone is compared with everybody.
    #[must_use]
    pub const fn identifies(self) -> bool {
        !matches!(self, Self::Verify)
    }

    /// True if a credential says with whom a face is compared.
    #[must_use]
    pub const fn verifies(self) -> bool {
        !matches!(self, Self::Identify)
    }
}
