//! `threshold log prune`: the unit lets go of its oldest entries, which are kept here.
//!
//! Owns the order: the kept log is brought up to date and durable first, and the signed checkpoint under its last entry is what
//! the unit is shown. Refuses to prune a unit of whose log nothing is kept here.

use crate::cmd::Answer;
use crate::error::HostError;
use crate::kept;
use crate::meant::Meant;
use crate::session::Session;
use crate::{args, say};
use serde_json::json;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use threshold_wire::endpoints::PruneLog;
use threshold_wire::message::LOG_PRUNE_LEAVES;
use threshold_wire::trust::{LogPrune, LogPruned};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Pulls, then prunes.
///
/// # Errors
/// [`HostError::NothingKept`] for a unit that was not paired, and what pull, unit and disk say; nothing is pruned then, or an answer
/// was lost, and the same command says that nothing is left to prune.
pub fn run(meant: &Meant, typed: &args::PruneLog) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let unit = session.hello().unit.as_str().to_owned();
    let nothing = || HostError::NothingKept { unit: unit.clone() };
    let kept = super::keep(meant, &mut session)?.ok_or_else(nothing)?;
    let checkpoint = kept.contents().checkpoint.ok_or_else(nothing)?;
    let before = match typed.keep_days {
        Some(days) => first_younger(kept.path(), days, now_ms())?,
        None => u64::MAX,
    };
    let asked = LogPrune { before, checkpoint: checkpoint.to_bytes().into() };
    let LogPruned { entries, oldest, entry } = session.call::<PruneLog>(&asked)?;
    let value = json!({
        "unit": unit,
        "entries": entries,
        "oldest": oldest,
        "entry": (entry > 0).then_some(entry),
        "kept": kept.path().display().to_string(),
    });
    meant.say.result(&value, || {
        let (unit, kept) = (say::plain(&unit), kept.path().display());
        match entries {
            0 if before < u64::MAX => format!(
                "nothing is there to prune: by the unit's clock entry {before} is the first that may be younger than is asked for; {unit} begins \
                 with entry {oldest}, keeps its newest {LOG_PRUNE_LEAVES} entries at least, and lets go of whole segments of its log only"
            ),
            0 => format!(
                "nothing is there to prune: {unit} keeps its newest {LOG_PRUNE_LEAVES} entries at least, lets go of whole segments \
                 of its log only, and begins with entry {oldest}"
            ),
            _ => format!(
                "entries {} to {} are pruned from {unit}, as entry {entry} tells, and kept in {kept}",
                oldest.saturating_sub(entries),
                oldest.saturating_sub(1)
            ),
        }
    })?;
    Ok(Answer::Yes)
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The entry behind the last one that is known to be older than so many days, before the first one that is known to be younger: the
/// unit's clock may have been set back. One that was written while it was not set is as old as the next one behind it whose time is
/// known, or older.
fn first_younger(path: &Path, days: u32, now_ms: u64) -> Result<u64, HostError> {
    let from_ms = now_ms.saturating_sub(u64::from(days) * DAY_MS);
    let old = kept::entries(path, 1)?
        .filter(|entry| entry.wall.trusted)
        .take_while(|entry| entry.wall.unix_ms < from_ms)
        .map(|entry| entry.sequence);
    Ok(old.last().map_or(1, |last| last.saturating_add(1)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::kept::KeptLog;
    use threshold_record::{EntryKind, LogEntry, WallTime};
    use threshold_wire::trust::Identity;

    #[test]
    fn what_is_younger_stays_and_an_unknown_time_is_no_older_than_a_known_one_behind_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("unit.log");
        let identity = Identity { key: [1; 32], store_id: [2; 16] };
        let mut kept = KeptLog::open(&path, &identity).unwrap();
        let day = |day: u64| Some(day * DAY_MS);
        let times = [None, day(10), None, day(20), None, day(30), None];
        for (sequence, unix_ms) in (1..).zip(times) {
            let wall =
                WallTime { unix_ms: unix_ms.unwrap_or_default(), trusted: unix_ms.is_some() };
            kept.append(&LogEntry { sequence, wall, ..LogEntry::of(EntryKind::Boot) }).unwrap();
        }
        kept.sync().unwrap();
        let first = |days| first_younger(&path, days, 40 * DAY_MS).unwrap();
        // 40 days old is nothing, the second is 30 days old, and so on.
        assert_eq!(
            [first(40), first(30), first(29), first(20), first(15), first(5)],
            [1, 1, 3, 3, 5, 7]
        );
        // The clock was set back by mistake, and right again: what is younger stays, whatever stands behind it.
        for (sequence, unix_ms) in [(8, day(39)), (9, day(2)), (10, day(40))] {
            let wall = WallTime { unix_ms: unix_ms.unwrap_or_default(), trusted: true };
            kept.append(&LogEntry { sequence, wall, ..LogEntry::of(EntryKind::Boot) }).unwrap();
        }
        kept.sync().unwrap();
        assert_eq!([first(5), first(15)], [7, 5]);
    }
}
