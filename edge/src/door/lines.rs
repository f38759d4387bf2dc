//! What the door asks of a GPIO chip: lines that it drives and lines that it feels.
//!
//! Owns the traits; [`super::gpio`] has the body over the kernel's character device, and the tests one that lies. A line
//! is *active* or not; what level that is, is the wiring's affair and stays below.

use crate::config::LineConfig;
use std::time::Duration;

/// A line that could not be had, driven or read, in words with a remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct LineFault(pub(crate) String);

/// A chip with lines.
pub(super) trait Chip {
    /// Takes a line to drive, inactive from this instant on.
    ///
    /// # Errors
    /// [`LineFault`] if it cannot be had.
    fn output(&self, key: &'static str, line: LineConfig) -> Result<Box<dyn Output>, LineFault>;

    /// Takes lines to feel, each without bounces.
    ///
    /// # Errors
    /// [`LineFault`] if one of them cannot be had.
    fn inputs(&self, lines: &[(&'static str, LineConfig)]) -> Result<Box<dyn Inputs>, LineFault>;
}

/// A line that the unit drives.
pub(super) trait Output: Send + Sync {
    /// Drives it.
    ///
    /// # Errors
    /// [`LineFault`]; its level is unknown then.
    fn set(&self, active: bool) -> Result<(), LineFault>;

    /// Reads back what it is driven to.
    ///
    /// # Errors
    /// [`LineFault`].
    fn get(&self) -> Result<bool, LineFault>;
}

/// A change of a line that the unit feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The line's number.
    pub(super) line: u32,
    /// What it is from then on.
    pub(super) active: bool,
    /// How long ago it changed.
    pub(super) age: Duration,
}

/// Lines that the unit feels.
pub(super) trait Inputs: Send {
    /// What each line is now.
    ///
    /// # Errors
    /// [`LineFault`].
    fn levels(&self) -> Result<Vec<(u32, bool)>, LineFault>;

    /// The next change, waited for no longer than `patience`.
    ///
    /// # Errors
    /// [`LineFault`].
    fn next(&mut self, patience: Duration) -> Result<Option<Edge>, LineFault>;
}
