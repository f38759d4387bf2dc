//! `threshold log`: the unit's log copied to the screen or a file, complete and in order, and entries as they come.
//!
//! Owns the reading of pages and the check that every entry follows the one before; of a unit that was paired, the entries come
//! from the kept log, after it was brought up to date.
//! Refuses to leave an entry out or to give one twice: a gap is an error that names both its ends.

pub mod keep;
pub mod prune;
pub mod report;
pub mod verify;

use super::Answer;
use crate::error::HostError;
use crate::kept::{self, KeptLog};
use crate::log_contexts::LogContexts;
use crate::log_file::{LogFile, Row};
use crate::meant::Meant;
use crate::people::Names;
use crate::say::Say;
use crate::session::Session;
use crate::session::port::Transport;
use crate::session::wait::{Machine, through_cuts};
use crate::{args, explain, trust};
use serde_json::json;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::time::Duration;
use threshold_record::LogEntry;
use threshold_wire::endpoints::{GetLogHead, ReadLog};
use threshold_wire::message::{LOG_PAGE_ENTRIES, LogHead, LogPageRequest, Nothing};

/// Time between two looks at the log's end.
const POLL: Duration = Duration::from_millis(100);

/// Pulls or follows the log.
///
/// # Errors
/// A unit that does not answer, a gap, or a file that cannot be continued.
pub fn run(meant: &Meant, typed: &args::Log) -> anyhow::Result<Answer> {
    match typed {
        args::Log::Pull(typed) => pull(meant, typed)?,
        args::Log::Follow(typed) => {
            let say = meant.say;
            let mut print = |entry: &LogEntry, names: &Names| print(say, entry, names);
            let mut due = Due { place: Place::Typed(typed.from), count: typed.count };
            through_cuts(
                meant.wait,
                &mut Machine::new(),
                || Session::open_started(meant),
                |session| follow(session, say, &mut due, &mut print),
            )?;
        }
        args::Log::Verify(typed) => return verify::run(meant, typed),
        args::Log::Prune(typed) => return prune::run(meant, typed),
        args::Log::Report(typed) => return report::run(meant, typed),
    }
    Ok(Answer::Yes)
}

/// What takes entries with the names known so far.
type Sink<'a> = &'a mut dyn FnMut(&LogEntry, &Names) -> anyhow::Result<()>;

fn print(say: Say, entry: &LogEntry, names: &Names) -> anyhow::Result<()> {
    let name_of = |id| names.of(id);
    if say.is_json() {
        return Ok(Say::line(&serde_json::to_string(&Row::of(entry, &name_of))?)?);
    }
    Ok(Say::text(&explain::one_line(entry, &name_of))?)
}

/// Copies what the log has; under `--wait` a line that is cut is gone on with where it was cut.
fn pull(meant: &Meant, typed: &args::Pull) -> anyhow::Result<()> {
    let say = meant.say;
    let (mut clock, mut open) = (Machine::new(), || Session::open_started(meant));
    // The file first: its faults need no unit to be found.
    let Some(path) = typed.out.as_deref().map(|out| meant.out(out)).transpose()? else {
        let (mut place, mut count) = (Place::Typed(typed.from), 0);
        through_cuts(meant.wait, &mut clock, &mut open, |session| {
            let kept = keep(meant, session)?;
            let start = place;
            let mut print = |entry: &LogEntry, names: &Names| {
                print(say, entry, names)?;
                (place, count) = (Place::Resumed(entry.sequence + 1), count + 1);
                Ok(())
            };
            read_up_to_head(session, say, kept.as_ref(), None, start, &mut print)
        })?;
        say.note(&format!("{} read", entries(count)));
        return Ok(());
    };
    let mut file = LogFile::open(&path)?;
    if file.was_mended() {
        say.warn(&format!("{}: a half-written last line was cut off", path.display()));
    }
    let mut count = 0;
    let outcome = through_cuts(meant.wait, &mut clock, &mut open, |session| {
        let kept = keep(meant, session)?;
        let end = file.last().map(|last| (path.as_path(), last));
        let start = match (count, end) {
            (1.., Some((_, last))) => Place::Resumed(last + 1),
            _ => Place::Typed(typed.from),
        };
        let mut append = |entry: &LogEntry, names: &Names| {
            file.append(&Row::of(entry, &|id| names.of(id)))?;
            count += 1;
            Ok(())
        };
        let pulled = read_up_to_head(session, say, kept.as_ref(), end, start, &mut append)?;
        Ok::<_, anyhow::Error>((kept, pulled.last))
    });
    // What came before a fault is kept, so that the next pull goes on after it.
    let named = file.contexts().clone();
    file.finish()?;
    let (mut session, (kept, last)) = outcome?;
    LogContexts::keep(&path, &named, last.unwrap_or_default(), &mut session)?;
    let value = json!({
        "out": path.display().to_string(),
        "entries": count,
        "last": last,
        "kept": kept.as_ref().map(|kept| kept.path().display().to_string()),
        "kept_last": kept.as_ref().map(|kept| kept.contents().tip.sequence),
    });
    say.result(&value, || {
        let upto = last.map(|last| format!(", the last is entry {last}"));
        let path = path.display();
        let unkept = match &kept {
            Some(_) => "",
            None => "; nothing is kept to be verified later, since nobody was paired with the unit from here",
        };
        format!("{} written to {path}{}{unkept}", entries(count), upto.unwrap_or_default())
    })?;
    Ok(())
}

/// Brings the kept log of a unit that was paired up to date; `None` for another unit, of which nothing is kept.
fn keep<T: Transport>(meant: &Meant, session: &mut Session<T>) -> anyhow::Result<Option<KeptLog>> {
    let say = meant.say;
    let Some(identity) = trust::identity(&meant.keychain, session)? else {
        return Ok(None);
    };
    let path: PathBuf = meant.keychain.kept(&identity.key, "log");
    let mut kept = KeptLog::open(&path, &identity)?;
    if kept.was_mended() {
        say.warn(&format!("{}: a half-written last record was cut off", path.display()));
    }
    let head = session.call::<GetLogHead>(&Nothing {})?.head;
    let bar = say.entries(head.saturating_sub(kept.contents().tip.sequence), "pulling the log");
    let lost_before = kept.contents().lost.len();
    let came = keep::up_to_date(session, &identity, &mut kept, &mut |moved| bar.inc(moved))?;
    bar.finish_and_clear();
    for lost in kept.contents().lost.iter().skip(lost_before) {
        let (first, last) = (lost.start(), lost.end());
        say.warn(&format!(
            "entries {first} to {last} were overwritten or pruned before they were pulled"
        ));
    }
    say.note(&format!("{} kept in {}", entries(came), path.display()));
    Ok(Some(kept))
}

fn entries(count: u64) -> String {
    format!("{count} entr{}", if count == 1 { "y" } else { "ies" })
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// With the sequence that was typed, if one was: of those before, what the log has not any more is left out, and that is said.
    Typed(Option<u64>),
    /// With the sequence that was due when the line was cut: nothing is left out.
    Resumed(u64),
}

/// What a follower is to get.
#[derive(Debug)]
struct Due {
    place: Place,
    /// Entries at most.
    count: Option<u64>,
}

/// What a pull moved.
#[derive(Debug, PartialEq, Eq)]
struct Pulled {
    count: u64,
    /// The last entry that file or screen has now.
    last: Option<u64>,
}

/// Reads from where the file ends, or the place, up to the end that the log has now: an end that runs away, as by entries
/// about this very reading, is not followed.
fn read_up_to_head<T: Transport>(
    session: &mut Session<T>,
    say: Say,
    kept: Option<&KeptLog>,
    file_end: Option<(&Path, u64)>,
    place: Place,
    sink: Sink<'_>,
) -> anyhow::Result<Pulled> {
    let head = match kept {
        Some(kept) => {
            let contents = kept.contents();
            LogHead { oldest: contents.first, head: contents.tip.sequence }
        }
        None => session.call::<GetLogHead>(&Nothing {})?,
    };
    let start = match file_end {
        Some((path, file_last)) => {
            if file_last > head.head {
                let path = path.display().to_string();
                return Err(
                    HostError::LogFileAhead { path, file_last, unit_last: head.head }.into()
                );
            }
            if matches!(place, Place::Typed(Some(from)) if from != file_last + 1) {
                say.warn(&format!("--from is left out: the file goes on at {}", file_last + 1));
            }
            if file_last + 1 < head.oldest {
                let (first, last) = (file_last + 1, head.oldest - 1);
                return Err(HostError::LogOverwritten { first, last }.into());
            }
            file_last + 1
        }
        None => first_there(say, place, 1, head)?,
    };
    let bar = say.entries((head.head + 1).saturating_sub(start), "reading the log");
    let mut reader = Reader::of_unit(start);
    if let Some(kept) = kept {
        reader = reader.through(kept::entries(kept.path(), start)?);
    }
    while reader.next <= head.head {
        for entry in reader.page(session)? {
            sink(&entry, &reader.names)?;
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    let count = reader.next - start;
    Ok(Pulled { count, last: (count > 0 || file_end.is_some()).then(|| reader.next - 1) })
}

/// The first entry wanted that the log still has or will have; `otherwise` if none was typed.
///
/// # Errors
/// Of a reading that was cut, [`HostError::LogOverwritten`] if the entry that is due went meanwhile, [`HostError::LogRestarted`] if the
/// log ends before those that were read.
fn first_there(say: Say, place: Place, otherwise: u64, head: LogHead) -> Result<u64, HostError> {
    let wanted = match place {
        Place::Resumed(due) if due < head.oldest => {
            return Err(HostError::LogOverwritten { first: due, last: head.oldest - 1 });
        }
        Place::Resumed(due) if head.head + 1 < due => {
            return Err(HostError::LogRestarted { seen: due - 1, head: head.head });
        }
        Place::Resumed(due) => return Ok(due),
        Place::Typed(from) => from.unwrap_or(otherwise).max(1),
    };
    if wanted < head.oldest {
        say.warn(&format!(
            "entries {wanted} to {} were overwritten or pruned; starting with {}",
            head.oldest - 1,
            head.oldest
        ));
    }
    Ok(wanted.max(head.oldest))
}

/// Hands over entries as they come, until `count` is reached or the line ends; `due` is then what was not handed over.
fn follow<T: Transport>(
    session: &mut Session<T>,
    say: Say,
    due: &mut Due,
    sink: Sink<'_>,
) -> anyhow::Result<()> {
    let head = session.call::<GetLogHead>(&Nothing {})?;
    let start = first_there(say, due.place, head.head + 1, head)?;
    let mut reader = Reader::of_unit(start);
    let mut head = head.head;
    // A first entry that lies ahead of the log is waited for.
    let mut reached = false;
    loop {
        if !reached && head + 1 >= reader.next {
            (reached, due.place) = (true, Place::Resumed(reader.next));
        }
        if reached && head + 1 < reader.next {
            return Err(HostError::LogRestarted { seen: reader.next - 1, head }.into());
        }
        while reader.next <= head {
            for entry in reader.page(session)? {
                if due.count == Some(0) {
                    return Ok(());
                }
                sink(&entry, &reader.names)?;
                due.place = Place::Resumed(entry.sequence + 1);
                due.count = due.count.map(|left| left - 1);
            }
        }
        if due.count == Some(0) {
            return Ok(());
        }
        session.pause(POLL)?;
        head = session.call::<GetLogHead>(&Nothing {})?.head;
    }
}

/// Reads entries in order.
pub(super) struct Reader {
    /// The sequence that is due.
    pub(super) next: u64,
    /// The names of the people in what was read.
    pub(super) names: Names,
    /// Where the entries come from, if that is not the unit.
    kept: Option<Peekable<Box<dyn Iterator<Item = LogEntry>>>>,
}

impl Reader {
    /// Reads the unit's log from a sequence on.
    pub(super) fn of_unit(next: u64) -> Self {
        Self { next, names: Names::new(), kept: None }
    }

    /// The same, through what was kept of it.
    fn through(mut self, kept: impl Iterator<Item = LogEntry> + 'static) -> Self {
        let kept: Box<dyn Iterator<Item = LogEntry>> = Box::new(kept);
        self.kept = Some(kept.peekable());
        self
    }

    /// The next entries of the kept log; those before a gap come before the gap's error.
    fn kept_page(&mut self) -> Option<Result<Vec<LogEntry>, HostError>> {
        let kept = self.kept.as_mut()?;
        let mut entries: Vec<LogEntry> = Vec::new();
        while entries.len() < LOG_PAGE_ENTRIES {
            let due = self.next + entries.len() as u64;
            let Some(entry) = kept.next_if(|entry| entry.sequence == due) else { break };
            entries.push(entry);
        }
        let (first, before) = (self.next, self.next - 1);
        Some(match (entries.is_empty(), kept.peek()) {
            (false, _) => Ok(entries),
            (true, Some(entry)) => {
                Err(HostError::LogOverwritten { first, last: entry.sequence.saturating_sub(1) })
            }
            (true, None) => Err(HostError::LogShort { expected: first, head: before }),
        })
    }

    /// The next entries, at least one.
    ///
    /// # Errors
    /// [`HostError::LogOverwritten`] if the entry that is due went meanwhile, [`HostError::LogGap`] if another one comes, [`HostError::LogShort`] if none comes,
    /// [`HostError::LogEntry`] for bytes of a later version, and what the session says.
    pub(super) fn page<T: Transport>(
        &mut self,
        session: &mut Session<T>,
    ) -> anyhow::Result<Vec<LogEntry>> {
        if let Some(entries) = self.kept_page() {
            let entries = entries?;
            self.names.learn(session, &entries)?;
            self.next += entries.len() as u64;
            return Ok(entries);
        }
        let page = session.call::<ReadLog>(&LogPageRequest { from: self.next })?;
        let mut next = self.next;
        let mut entries = Vec::new();
        for entry in page.entries() {
            let entry = entry.map_err(|source| HostError::LogEntry { expected: next, source })?;
            if entry.sequence != next {
                let oldest = session.call::<GetLogHead>(&Nothing {})?.oldest;
                if next < oldest {
                    let (first, last) = (next, oldest - 1);
                    return Err(HostError::LogOverwritten { first, last }.into());
                }
                return Err(HostError::LogGap { expected: next, found: entry.sequence }.into());
            }
            next += 1;
            entries.push(entry);
        }
        if entries.is_empty() {
            return Err(HostError::LogShort { expected: next, head: page.head }.into());
        }
        self.names.learn(session, &entries)?;
        self.next = next;
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::{FakeUnit, Fault};
    use threshold_record::PersonId;
    use threshold_wire::Call;

    fn unit(entries: u64) -> FakeUnit {
        let mut unit = FakeUnit::new();
        let ann = unit.add_person("Ann", 1);
        (0..entries).for_each(|_| unit.add_entry(ann));
        unit
    }

    const WAIT: Option<Duration> = Some(Duration::from_secs(60));

    fn say() -> Say {
        Say::new(true)
    }

    fn pulled(
        unit: FakeUnit,
        file_end: Option<u64>,
        from: Option<u64>,
    ) -> (Vec<u64>, anyhow::Result<Pulled>) {
        let mut seen = Vec::new();
        let mut sink = |entry: &LogEntry, names: &Names| {
            assert_eq!(names.of(entry.person).as_deref(), Some("Ann"));
            seen.push(entry.sequence);
            Ok(())
        };
        let file_end = file_end.map(|last| (Path::new("log.csv"), last));
        let place = Place::Typed(from);
        let result = read_up_to_head(&mut unit.session(), say(), None, file_end, place, &mut sink);
        (seen, result)
    }

    #[test]
    fn a_pull_takes_every_entry_once_over_a_line_that_loses_answers() {
        for fault in [Fault::None, Fault::AnswersLost(3), Fault::Noise, Fault::BytesLost(2)] {
            let mut session = unit(100).session();
            session.unit().fault = fault;
            let mut seen = Vec::new();
            let mut sink = |entry: &LogEntry, _: &Names| {
                seen.push(entry.sequence);
                Ok(())
            };
            let all = Place::Typed(None);
            let pulled = read_up_to_head(&mut session, say(), None, None, all, &mut sink).unwrap();
            assert_eq!(pulled, Pulled { count: 100, last: Some(100) });
            assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "{fault:?}");
        }
    }

    #[test]
    fn a_pull_starts_where_it_is_told_or_where_the_file_ends() {
        let check = |entries, file_end, from, expected: std::ops::Range<u64>, last| {
            let (seen, result) = pulled(unit(entries), file_end, from);
            assert_eq!(seen, expected.clone().collect::<Vec<_>>());
            assert_eq!(result.unwrap(), Pulled { count: expected.count() as u64, last });
        };
        check(40, None, Some(35), 35..41, Some(40));
        check(40, None, Some(0), 1..41, Some(40));
        check(40, Some(33), None, 34..41, Some(40));
        check(40, Some(40), None, 41..41, Some(40));
        check(40, None, Some(99), 99..99, None);
        check(0, None, None, 1..1, None);
    }

    #[test]
    fn a_file_that_does_not_fit_the_log_is_refused_before_anything_is_read() {
        let check = |mut unit: FakeUnit, drop_first: usize, file_end, expected: &str| {
            unit.entries.drain(..drop_first);
            let (seen, result) = pulled(unit, Some(file_end), None);
            assert_eq!((seen.len(), result.unwrap_err().to_string().as_str()), (0, expected));
        };
        check(unit(9), 0, 12, "log.csv ends with entry 12, the unit's log ends with 9");
        check(unit(9), 5, 3, "entries 4 to 5 were overwritten or pruned before they were read");
    }

    #[test]
    fn entries_that_go_while_they_are_pulled_are_named() {
        let mut unit = unit(100);
        unit.meanwhile = Some(|unit, call| {
            if matches!(call, Call::ReadLog(read) if read.from > 32) && unit.entries.len() == 100 {
                unit.entries.drain(..40);
            }
        });
        let (seen, result) = pulled(unit, None, None);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "entries 33 to 40 were overwritten or pruned before they were read");
        assert_eq!(seen, (1..=32).collect::<Vec<_>>());
    }

    #[test]
    fn a_log_whose_oldest_entries_are_gone_is_pulled_from_the_oldest_that_is_there() {
        let mut unit = unit(50);
        unit.entries.drain(..20);
        let (seen, result) = pulled(unit, None, None);
        assert_eq!(result.unwrap(), Pulled { count: 30, last: Some(50) });
        assert_eq!(seen, (21..=50).collect::<Vec<_>>());
    }

    #[test]
    fn an_entry_that_is_missing_is_a_gap_and_never_skipped() {
        let mut unit = unit(50);
        unit.entries.remove(44);
        let (seen, result) = pulled(unit, None, None);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "the log has a gap: entry 45 was due, the unit sent 46");
        assert_eq!(seen, (1..=32).collect::<Vec<_>>());
    }

    #[test]
    fn what_is_kept_before_a_gap_is_given_before_the_gap_is_named() {
        let unit = unit(60);
        let held: Vec<LogEntry> = unit.entries.clone();
        let kept = held.into_iter().filter(|entry| !(41..=50).contains(&entry.sequence));
        let mut reader = Reader::of_unit(1).through(kept.collect::<Vec<_>>().into_iter());
        let (mut session, mut seen) = (unit.session(), Vec::new());
        let error = loop {
            match reader.page(&mut session) {
                Ok(entries) => seen.extend(entries.iter().map(|entry| entry.sequence)),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(seen, (1..=40).collect::<Vec<_>>());
        assert_eq!(error, "entries 41 to 50 were overwritten or pruned before they were read");
    }

    fn followed(
        unit: FakeUnit,
        from: Option<u64>,
        count: Option<u64>,
    ) -> (Vec<u64>, anyhow::Result<()>) {
        let mut seen = Vec::new();
        let mut sink = |entry: &LogEntry, _: &Names| {
            seen.push(entry.sequence);
            Ok(())
        };
        let mut due = Due { place: Place::Typed(from), count };
        let result = follow(&mut unit.session(), say(), &mut due, &mut sink);
        (seen, result)
    }

    /// A unit that logs an entry at every third look at the log's end.
    fn busy(entries: u64) -> FakeUnit {
        let mut unit = unit(entries);
        unit.meanwhile = Some(|unit, call| {
            if matches!(call, Call::GetLogHead(_)) && unit.obeyed.len() % 3 == 0 {
                unit.add_entry(PersonId(1));
            }
        });
        unit
    }

    #[test]
    fn entries_are_followed_as_they_come_each_once() {
        let check = |from, count, expected: &[u64]| {
            let (seen, result) = followed(busy(4), from, Some(count));
            assert_eq!(seen, expected, "{result:?}");
            result.unwrap();
        };
        check(None, 3, &[5, 6, 7]);
        check(Some(2), 5, &[2, 3, 4, 5, 6]);
        check(Some(8), 2, &[8, 9]);
        check(Some(1), 0, &[]);
    }

    #[test]
    fn a_cut_costs_a_follower_that_waits_no_entry_and_no_count() {
        let (mut due, mut seen, mut lines) =
            (Due { place: Place::Typed(None), count: Some(9) }, Vec::new(), 0);
        let mut sink = |entry: &LogEntry, _: &Names| {
            seen.push(entry.sequence);
            Ok(())
        };
        through_cuts(
            WAIT,
            &mut Machine::new(),
            || {
                // What comes while the line is cut is read when it is back.
                let mut unit = busy(4 + 3 * lines);
                unit.fault = if lines < 3 { Fault::GoneAfter(8) } else { Fault::None };
                lines += 1;
                Ok(unit.session())
            },
            |session| follow(session, say(), &mut due, &mut sink),
        )
        .unwrap();
        assert_eq!((seen, lines), ((5..14).collect::<Vec<_>>(), 4));
    }

    /// Follows a log of four entries from a place over a cut, after which another log is there; gives what was seen and how it ended.
    fn followed_over_a_cut(from: Option<u64>, then: fn() -> FakeUnit) -> (Vec<u64>, String) {
        let mut due = Due { place: Place::Typed(from), count: Some(6) };
        let (mut seen, mut lines) = (Vec::new(), 0);
        let mut sink = |entry: &LogEntry, _: &Names| {
            seen.push(entry.sequence);
            Ok(())
        };
        let outcome = through_cuts(
            WAIT,
            &mut Machine::new(),
            || {
                lines += 1;
                let mut unit = if lines == 1 { unit(4) } else { then() };
                if lines == 1 {
                    unit.fault = Fault::GoneAfter(8);
                }
                Ok(unit.session())
            },
            |session| follow(session, say(), &mut due, &mut sink),
        );
        (seen, outcome.err().map(|error| error.to_string()).unwrap_or_default())
    }

    #[test]
    fn a_follower_whose_entries_went_or_whose_log_began_anew_while_the_line_was_cut_is_told() {
        let pruned = || {
            let mut unit = unit(40);
            unit.entries.drain(..20);
            unit
        };
        let (seen, error) = followed_over_a_cut(Some(1), pruned);
        assert_eq!(error, "entries 5 to 20 were overwritten or pruned before they were read");
        assert_eq!(seen, [1, 2, 3, 4]);
        // Nothing was read, but all from there on was promised.
        let (seen, error) = followed_over_a_cut(None, pruned);
        assert_eq!(error, "entries 5 to 20 were overwritten or pruned before they were read");
        assert!(seen.is_empty(), "{seen:?}");
        let (seen, error) = followed_over_a_cut(Some(1), || unit(2));
        assert_eq!(error, "the unit's log ends with 2 now, entry 4 was read already");
        assert_eq!(seen, [1, 2, 3, 4]);
        // An entry ahead of the log, which did not come before the cut, is waited for on.
        let (seen, error) = followed_over_a_cut(Some(9), || busy(5));
        assert_eq!((seen, error.as_str()), ((9..15).collect(), ""));
    }

    #[test]
    fn a_follower_does_not_go_on_with_another_unit() {
        let (seen, error) = followed_over_a_cut(Some(1), || {
            let mut unit = unit(40);
            unit.hello.unit = "shed".try_into().unwrap();
            unit
        });
        assert!(error.contains("is shed (in the open) now"), "{error}");
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[test]
    fn a_pull_that_was_cut_leaves_nothing_out() {
        let check = |mut unit: FakeUnit, drop_first: usize, due, expected: Result<usize, &str>| {
            unit.entries.drain(..drop_first);
            let mut seen = 0;
            let mut sink = |_: &LogEntry, _: &Names| {
                seen += 1;
                Ok(())
            };
            let place = Place::Resumed(due);
            let outcome = read_up_to_head(&mut unit.session(), say(), None, None, place, &mut sink);
            let outcome = outcome.map(|pulled| pulled.count as usize).map_err(|e| e.to_string());
            assert_eq!(outcome, expected.map_err(str::to_owned));
            assert_eq!(seen, expected.unwrap_or(0));
        };
        check(unit(50), 20, 33, Ok(18));
        check(unit(50), 20, 21, Ok(30));
        check(unit(50), 20, 51, Ok(0));
        let gone = "entries 12 to 20 were overwritten or pruned before they were read";
        check(unit(50), 20, 12, Err(gone));
        check(unit(9), 0, 33, Err("the unit's log ends with 9 now, entry 32 was read already"));
    }

    #[test]
    fn a_unit_that_vanishes_or_starts_a_new_log_ends_the_following() {
        let mut gone = busy(4);
        gone.fault = Fault::GoneAfter(20);
        let (seen, result) = followed(gone, Some(1), None);
        assert!(result.unwrap_err().to_string().contains("was unplugged"));
        assert!(seen.starts_with(&[1, 2, 3, 4, 5]), "{seen:?}");
        let mut reset = unit(4);
        reset.meanwhile = Some(|unit, _| {
            if unit.obeyed.len() > 5 {
                unit.entries.truncate(1);
            }
        });
        let (seen, result) = followed(reset, Some(1), None);
        let text = result.unwrap_err().to_string();
        assert_eq!(text, "the unit's log ends with 1 now, entry 4 was read already");
        assert_eq!(seen, [1, 2, 3, 4]);
    }

    #[test]
    fn a_unit_that_promises_entries_and_sends_none_is_an_error() {
        let mut session = unit(3).session();
        let mut reader = Reader::of_unit(4);
        let text = reader.page(&mut session).unwrap_err().to_string();
        assert_eq!(text, "the unit's log ends with 3, and the unit sends nothing from 4 on");
    }
}
