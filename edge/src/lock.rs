//! The lock of a unit without a relay: it tells what it would have done.
//!
//! A relay's body is in [`crate::door`]. Either takes a [`Permit`], which only the journal makes, after the entry is
//! durable (safety rule 1).

use crate::journal::Permit;
use crate::notices::Notices;
use crate::unit::{Lock, LockFault};

/// Tells each pulse and moves nothing.
#[derive(Debug)]
pub struct LogOnlyLock {
    notices: Notices,
}

impl LogOnlyLock {
    /// A lock that tells there.
    #[must_use]
    pub fn new(notices: Notices) -> Self {
        Self { notices }
    }
}

impl Lock for LogOnlyLock {
    fn pulse(&mut self, permit: Permit) -> Result<(), LockFault> {
        let line = format!("lock: pulse for entry {} (no relay is wired)", permit.sequence());
        self.notices.tell(&line);
        Ok(())
    }
}
