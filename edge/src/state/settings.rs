//! The configuration as an owner sets it over the line: it is kept for the next start, and nothing of this one changes.
//!
//! Owns the order of a change: all of it lies on the medium, then its entries are durable, then it takes the place of what was set. So
//! nothing holds without its entries; of a change that failed some may be in the log.
//! Refuses to apply anything by itself: a start does.

use super::State;
use crate::config::{FellBack, Held};
use threshold_record::{EntryKind, KeyTag, LogEntry, PersonId};
use threshold_store::StoreError;
use threshold_wire::config::{Change, ConfigRefused};

/// Why nothing was set.
#[derive(Debug)]
pub enum NotSet {
    /// It cannot be so.
    Refused(ConfigRefused),
    /// The log did not take it.
    Store(StoreError),
}

impl State {
    /// Takes the configuration that this start runs with, and writes down if that is not what was set last.
    pub fn set_config(&mut self, held: Held, fell_back: Option<&FellBack>) {
        self.config = Some(held);
        if let Some(FellBack { cause, why }) = fell_back {
            self.notices.tell(&format!(
                "configuration: what was set over the line is left out: {why}; this start goes on with what was set before, or with \
                 the unit's file alone; threshold config get, then threshold config set"
            ));
            let entry = LogEntry::of(EntryKind::ConfigReverted);
            let _ = self.write_or_owe(LogEntry { cause: *cause, ..entry });
        }
    }

    /// Looks, after a round of the loop, whether what was set has proved itself.
    pub fn look_at_config(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        match self.config.as_mut().map(|held| held.lives(now_ms)) {
            Some(Ok(true)) => {
                self.notices.tell("configuration: what was set over the line is kept")
            }
            Some(Err(error)) => {
                self.notices.tell(&format!("configuration: what was set stays on trial: {error}"));
            }
            Some(Ok(false)) | None => {}
        }
    }

    /// The configuration; `None` before it was taken.
    #[must_use]
    pub fn config(&self) -> Option<&Held> {
        self.config.as_ref()
    }

    /// Sets keys of the configuration for the next start, with an entry for each; nothing happens if that is set already.
    ///
    /// # Errors
    /// [`NotSet`]; what was set before holds then.
    pub fn settle_config(&mut self, changes: &[Change], by: KeyTag) -> Result<(), NotSet> {
        let Some(held) = &self.config else { return Err(NotSet::Refused(ConfigRefused::NotKept)) };
        let next = held.with(changes).map_err(NotSet::Refused)?;
        let changed = held.changed(&next, changes);
        if changed.is_empty() {
            return Ok(());
        }
        if let Err(error) = held.stage(&next) {
            return Err(self.not_kept(&error));
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::ConfigSet) };
        let number = |setting: threshold_record::Setting| PersonId(setting.code().into());
        for of in changed {
            let entry = LogEntry { runner_up: number(of), ..entry };
            self.name_again().and_then(|held| held.write(entry)).map_err(NotSet::Store)?;
        }
        let put = self.config.as_mut().map_or(Ok(()), |held| held.commit(next));
        put.map_err(|error| self.not_kept(&error))
    }

    fn not_kept(&self, error: &std::io::Error) -> NotSet {
        self.notices.tell(&format!("configuration: what an owner set is not kept: {error}"));
        NotSet::Refused(ConfigRefused::NotKept)
    }

    /// Forgets what was set, with everything else.
    pub(super) fn forget_config(&mut self) {
        if let Some(Err(error)) = self.config.as_mut().map(Held::forget) {
            self.notices.tell(&format!("configuration: what was set over the line stays: {error}"));
        }
    }
}
