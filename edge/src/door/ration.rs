//! How many entries the door's inputs may write: a pure count, per kind, so that one input that bounces or is played with
//! neither fills the log nor hides another.
//!
//! Nothing goes untold: what was not written is counted, and the next entry of its kind says how many it stands for.

use threshold_record::EntryKind;

/// Entries of a kind at once: a busy minute.
const BURST: u32 = 10;

/// Time after which there is one more: at most 2,880 a day of each kind, in a log that keeps millions.
const EVERY_MS: u64 = 30_000;

/// Entries of one kind.
#[derive(Clone, Copy, Debug)]
struct Kind {
    kind: EntryKind,
    left: u32,
    since_ms: u64,
    untold: u32,
}

/// The rations of all kinds that came so far.
#[derive(Debug, Default)]
pub(super) struct Rations(Vec<Kind>);

/// An entry to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) kind: EntryKind,
    /// How many more of its kind it stands for, which came before.
    pub(super) more: u32,
}

impl Rations {
    /// Something happened: the entry to write, or nothing, and then it is counted.
    pub(super) fn take(&mut self, kind: EntryKind, now_ms: u64) -> Option<Due> {
        let at = self.0.iter().position(|of| of.kind == kind).unwrap_or_else(|| {
            self.0.push(Kind { kind, left: BURST, since_ms: now_ms, untold: 0 });
            self.0.len() - 1
        });
        let of = self.0.get_mut(at)?;
        of.untold = of.untold.saturating_add(1);
        of.due(now_ms)
    }

    /// The log did not take it: it is counted again, and used up nothing.
    pub(super) fn give_back(&mut self, due: Due) {
        if let Some(of) = self.0.iter_mut().find(|of| of.kind == due.kind) {
            of.untold = of.untold.saturating_add(due.more).saturating_add(1);
            of.left = (of.left + 1).min(BURST);
        }
    }

    /// An entry for what was counted, once there is room for one.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<Due> {
        self.0.iter_mut().find_map(|of| of.due(now_ms))
    }
}

impl Kind {
    fn due(&mut self, now_ms: u64) -> Option<Due> {
        let earned = now_ms.saturating_sub(self.since_ms) / EVERY_MS;
        self.since_ms += earned * EVERY_MS;
        self.left = self.left.saturating_add(u32::try_from(earned).unwrap_or(u32::MAX)).min(BURST);
        let more = self.untold.checked_sub(1)?;
        self.left = self.left.checked_sub(1)?;
        self.untold = 0;
        Some(Due { kind: self.kind, more })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use EntryKind::{DoorForced, ExitRequested};

    #[test]
    fn an_input_that_is_played_with_writes_little_and_hides_nothing() {
        let mut rations = Rations::default();
        let (mut happened, mut written, mut told) = (0, 0, 0);
        let mut count = |due: Option<Due>| {
            if let Some(due) = due {
                assert_eq!(due.kind, ExitRequested);
                written += 1;
                told += due.more + 1;
            }
        };
        // An hour of 33 edges a second, as fast as bounces let pass.
        for now_ms in (0..3_600_000).step_by(30) {
            happened += 1;
            count(rations.take(ExitRequested, now_ms));
        }
        // Another kind is written at once all the same.
        assert_eq!(rations.take(DoorForced, 3_600_000), Some(Due { kind: DoorForced, more: 0 }));
        count(rations.due(3_600_000 + EVERY_MS));
        assert_eq!(told, happened);
        // The burst, one each half minute after it, and the last one.
        assert_eq!(written, BURST + 119 + 1);
        assert_eq!(rations.due(u64::MAX), None);
    }

    #[test]
    fn tries_that_the_log_did_not_take_use_up_nothing() {
        let mut rations = Rations::default();
        let mut due = rations.take(DoorForced, 0).unwrap();
        // A minute of tries.
        for at in 1..240 {
            rations.give_back(due);
            due = rations.due(at * 250).unwrap();
        }
        assert_eq!(due, Due { kind: DoorForced, more: 0 });
        assert!(rations.take(DoorForced, 60_000).is_some(), "the next one does not wait either");
    }
}
