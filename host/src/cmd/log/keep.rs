//! What `threshold log pull` keeps: every entry from where the kept log ends, and the unit's signature under the last.
//!
//! Owns the order: first whether the unit's log still has what was kept, then what is gone, then the entries in bulk, then
//! the signature. Refuses to sign off what the unit signs otherwise, and to take anything away.

use crate::error::HostError;
use crate::kept::{self, KeptLog, Position};
use crate::session::Session;
use crate::session::port::Transport;
use crate::trust;
use std::path::Path;
use threshold_record::LogEntry;
use threshold_store::Checkpoint;
use threshold_store::chain::Chain;
use threshold_wire::endpoints::GetLogHead;
use threshold_wire::message::{LOG_PULL_ENTRIES, Nothing};
use threshold_wire::trust::{CheckpointPlace, Identity};

/// Brings a kept log up to the unit's last entry and its signature, durably. Gives how many entries came.
///
/// # Errors
/// [`HostError::UnitRolledBack`] and [`HostError::UnitDiffers`] for a unit that has not what was kept, and what session and disk
/// say; what came before a fault is kept, and the next pull goes on behind it, but for entries of another log than the kept one.
pub fn up_to_date<T: Transport>(
    session: &mut Session<T>,
    identity: &Identity,
    kept: &mut KeptLog,
    moved: &mut dyn FnMut(u64),
) -> anyhow::Result<u64> {
    let before = kept.contents().clone();
    let outcome = bring(session, identity, kept, moved);
    session.rest();
    kept.sync()?;
    if let Err(error) = &outcome
        && matches!(error.downcast_ref(), Some(HostError::UnitDiffers { .. }))
    {
        // Entries of another log must not stand behind those that the unit signed.
        kept.take_back(&before)?;
    }
    outcome.map(|()| kept.contents().entries - before.entries)
}

fn bring<T: Transport>(
    session: &mut Session<T>,
    identity: &Identity,
    kept: &mut KeptLog,
    moved: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    let mut end = trust::checkpoint(session, identity, CheckpointPlace::Head)?;
    fits(&end, kept.contents().tip, kept.contents().signed)?;
    if end.sequence > kept.contents().tip.sequence {
        let missing = end.sequence - kept.contents().tip.sequence;
        session.hurry(missing.saturating_mul(LogEntry::LEN as u64))?;
        let oldest = session.call::<GetLogHead>(&Nothing {})?.oldest;
        if oldest > kept.contents().tip.sequence.saturating_add(1) {
            let begin = before_oldest(session, identity, kept.contents().tip)?;
            kept.begin(&begin)?;
        }
        pull(session, kept, u64::MAX, moved)?;
        // The reading is an entry too; what else came meanwhile is taken with it, up to here and no further.
        end = trust::checkpoint(session, identity, CheckpointPlace::Head)?;
        pull(session, kept, end.sequence, moved)?;
    }
    Ok(kept.sign(&end)?)
}

/// Where the unit's log begins, which says of itself that this is behind what was kept.
fn before_oldest<T: Transport>(
    session: &mut Session<T>,
    identity: &Identity,
    kept: Position,
) -> anyhow::Result<Checkpoint> {
    let begin = trust::checkpoint(session, identity, CheckpointPlace::BeforeOldest)?;
    if begin.sequence <= kept.sequence {
        let (first, last) = (begin.sequence.saturating_add(1), kept.sequence);
        return Err(HostError::UnitDiffers { first, last }.into());
    }
    Ok(begin)
}

/// Pulls entries up to `limit`, or with [`u64::MAX`] up to where the log ends by then.
fn pull<T: Transport>(
    session: &mut Session<T>,
    kept: &mut KeptLog,
    limit: u64,
    moved: &mut dyn FnMut(u64),
) -> anyhow::Result<()> {
    loop {
        let last = kept.contents().tip.sequence;
        if last >= limit {
            return Ok(());
        }
        let came = entries(session, last + 1, moved, |entry| {
            if entry.sequence <= limit { kept.append(entry) } else { Ok(()) }
        });
        // Each transfer is on the disk before the next one is asked for.
        kept.sync()?;
        let came = came?;
        match limit {
            u64::MAX if came < LOG_PULL_ENTRIES => return Ok(()),
            _ if came == 0 => {
                return Err(HostError::LogShort { expected: last + 1, head: limit }.into());
            }
            _ => {}
        }
    }
}

/// Whether a unit's log, by its last checkpoint, can still hold what was kept of it.
fn fits(end: &Checkpoint, kept: Position, signed: u64) -> Result<(), HostError> {
    let (kept_last, unit_last) = (kept.sequence, end.sequence);
    if unit_last < kept_last {
        return Err(HostError::UnitRolledBack { kept_last, unit_last });
    }
    if unit_last == kept_last && end.chain != kept.link {
        return Err(HostError::UnitDiffers { first: signed.saturating_add(1), last: kept_last });
    }
    Ok(())
}

/// Hands over what one transfer brings, from a sequence on; gives how many entries that was.
fn entries<T: Transport>(
    session: &mut Session<T>,
    from: u64,
    moved: &mut dyn FnMut(u64),
    mut take: impl FnMut(&LogEntry) -> Result<(), HostError>,
) -> anyhow::Result<u64> {
    let mut bytes = Vec::new();
    let mut told = 0;
    let mut arrived = |bytes: u64| {
        let count = bytes / LogEntry::LEN as u64;
        moved(count.saturating_sub(told));
        told = count;
    };
    let window = session.window();
    let outcome = session.pull_log(from, window, &mut bytes, &mut arrived);
    let (entries, _) = bytes.as_chunks::<{ LogEntry::LEN }>();
    for (expected, bytes) in (from..).zip(entries) {
        let entry = LogEntry::from_bytes(bytes)
            .map_err(|source| HostError::LogEntry { expected, source })?;
        if entry.sequence != expected {
            return Err(HostError::LogGap { expected, found: entry.sequence }.into());
        }
        take(&entry)?;
    }
    outcome?;
    Ok(entries.len() as u64)
}

/// The first kept entry of which the unit has another one in its place, as far as it has them still.
///
/// # Errors
/// What session and disk say.
pub fn first_different<T: Transport>(
    session: &mut Session<T>,
    path: &Path,
) -> anyhow::Result<Option<u64>> {
    let oldest = session.call::<GetLogHead>(&Nothing {})?.oldest;
    let mut kept = kept::entries(path, oldest)?.peekable();
    while let Some(first) = kept.peek().map(|entry| entry.sequence) {
        let mut different = None;
        let came = entries(session, first, &mut |_| {}, |entry| {
            // A range that is not kept is nothing to compare with.
            if let Some(held) = kept.next_if(|held| held.sequence == entry.sequence)
                && different.is_none()
                && held != *entry
            {
                different = Some(held.sequence);
            }
            Ok(())
        })?;
        if different.is_some() || came == 0 {
            return Ok(different);
        }
    }
    Ok(None)
}

/// How a unit's log stands to what was kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The unit's last entry.
    pub head: u64,
    /// Entries that went from the unit and are not kept.
    pub lost: Option<(u64, u64)>,
    /// The oldest entry that the unit still has; 0 for an empty log.
    pub oldest: u64,
}

/// Looks whether the unit's log goes on from what was kept, without keeping anything.
///
/// # Errors
/// [`HostError::UnitRolledBack`] and [`HostError::UnitDiffers`] if it does not, and what the session says.
pub fn compare<T: Transport>(
    session: &mut Session<T>,
    identity: &Identity,
    kept: Position,
    signed: u64,
) -> anyhow::Result<Live> {
    let end = trust::checkpoint(session, identity, CheckpointPlace::Head)?;
    fits(&end, kept, signed)?;
    let oldest = session.call::<GetLogHead>(&Nothing {})?.oldest;
    let mut live = Live { head: end.sequence, lost: None, oldest };
    if end.sequence == kept.sequence {
        return Ok(live);
    }
    let mut tip = kept;
    if oldest > kept.sequence.saturating_add(1) {
        let begin = before_oldest(session, identity, kept)?;
        live.lost = Some((kept.sequence.saturating_add(1), begin.sequence));
        tip = Position { sequence: begin.sequence, link: begin.chain };
    }
    let chain = Chain::of(&identity.store_id, &identity.key);
    while tip.sequence < end.sequence {
        let came = entries(session, tip.sequence.saturating_add(1), &mut |_| {}, |entry| {
            if entry.sequence <= end.sequence {
                tip = Position { sequence: entry.sequence, link: chain.entry(&tip.link, entry) };
            }
            Ok(())
        })?;
        if came == 0 {
            let (expected, head) = (tip.sequence.saturating_add(1), end.sequence);
            return Err(HostError::LogShort { expected, head }.into());
        }
    }
    if tip.link != end.chain {
        // What the unit signed under what was kept does not lead to what it signs now.
        return Err(HostError::UnitDiffers {
            first: signed.min(kept.sequence) + 1,
            last: end.sequence,
        }
        .into());
    }
    Ok(live)
}
