//! A log entry that tells every field from every other.

use threshold_record::{
    Cause, EntryKind, KeyTag, LogEntry, PersonId, Presentation, Reason, Score, WallTime,
};

/// An entry of which every field has bytes of its own.
#[must_use]
pub fn full_entry(sequence: u64) -> LogEntry {
    LogEntry {
        sequence,
        boot: 0x090a_0b0c,
        monotonic_ms: 0x0d0e_0f10_1112,
        wall: WallTime { unix_ms: 0x1314_1516_1718, trusted: true },
        kind: EntryKind::Decision,
        reason: Reason::Ambiguous,
        cause: Cause::TurnedAway,
        presentation: Presentation::Spoof,
        quality: 0x19,
        person: PersonId(0x1a1b_1c1d),
        runner_up: PersonId(0x1e1f_2021),
        best_score: Score(0.75),
        runner_up_score: Score(-0.5),
        threshold: Score(0.25),
        detect_dms: 0x2223,
        embed_dms: 0x2425,
        total_dms: 0x2627,
        context_model: 0x2829,
        context_policy: 0x2a2b,
        context_config: 0x2c2d,
        by: KeyTag([0x2e, 0x2f, 0x30, 0x31]),
        about: KeyTag([0x32, 0x33, 0x34, 0x35]),
    }
}
