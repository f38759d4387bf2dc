//! `[presentation]`: what follows from attacks, where a presentation-attack detector judges.

use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use threshold_policy::Lockout;

/// `[presentation]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PresentationConfig {
    /// Attacks in a row after which the unit locks out until an administrator unlocks it.
    pub lock_out_after: u8,
}

impl Default for PresentationConfig {
    fn default() -> Self {
        Self { lock_out_after: Lockout::SPOOFS }
    }
}

impl PresentationConfig {
    /// Attacks that may be allowed: no more than failed attempts are.
    pub const LOCK_OUT_AFTER: RangeInclusive<u8> = 1..=10;

    /// Checks what the types cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        let (after, range) = (self.lock_out_after, Self::LOCK_OUT_AFTER);
        if !range.contains(&after) {
            let (least, most) = (range.start(), range.end());
            bail!("lock_out_after in [presentation] is {after}: it may be {least} to {most}");
        }
        Ok(())
    }
}
