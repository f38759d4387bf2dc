//! What waits in the log: for how long, behind what, and what of it a power cut or a medium that fails can take.

use crate::rig::{BenchClock, Rig, Show};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::current;
use threshold_edge::commits::Commits;
use threshold_edge::journal::{Journal, Wait};
use threshold_edge::unit::Clock;
use threshold_record::{Cause, EntryKind, LogEntry, PersonId, Reason};
use threshold_store::{Flash, FlashError, FlashFault, MockFlash, Object, Series, Store};
use threshold_wire::endpoints::{GetLogHead, ReadLog};
use threshold_wire::message::{Armed, LogPageRequest, Nothing};

/// A unit with Ada as number 1, whose entries may wait; the test sees to them.
fn waiting() -> Rig {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.shared.lock().journal_mut().unwrap().let_wait(Some(current()));
    rig
}

/// Somebody asks to leave, marked by a number.
fn event(rig: &Rig, mark: u32, wait: Wait) {
    let entry = LogEntry { runner_up: PersonId(mark), ..LogEntry::of(EntryKind::ExitRequested) };
    assert!(rig.shared.lock().write_soon(entry, wait).is_some());
}

/// The marks of those that are durable.
fn marks(log: &[LogEntry]) -> Vec<u32> {
    let exits = log.iter().filter(|entry| entry.kind == EntryKind::ExitRequested);
    exits.map(|entry| entry.runner_up.0).collect()
}

fn due(rig: &Rig) -> Option<u64> {
    rig.shared.lock().commit_due()
}

#[test]
fn a_refusal_waits_for_50_ms_and_an_event_for_900() {
    // What comes when, and when it has to be durable.
    type Case<'a> = (&'a [(u64, Wait)], u64);
    let table: &[Case<'_>] = &[
        (&[(0, Wait::Event)], 900),
        (&[(0, Wait::Refusal)], 50),
        (&[(0, Wait::Event), (300, Wait::Event)], 900),
        (&[(0, Wait::Event), (300, Wait::Refusal)], 350),
        (&[(0, Wait::Event), (880, Wait::Refusal)], 900),
        (&[(0, Wait::Refusal), (20, Wait::Event), (40, Wait::Refusal)], 50),
    ];
    for (entries, expected_ms) in table {
        let rig = waiting();
        let writes = rig.flash.writes();
        for now_ms in 0..*expected_ms {
            for (mark, &(_, wait)) in entries.iter().enumerate().filter(|(_, of)| of.0 == now_ms) {
                event(&rig, mark as u32, wait);
            }
            assert!(due(&rig).is_some_and(|ms| ms > 0 && now_ms + ms <= 900), "{entries:?}");
            assert_eq!((marks(&rig.log()), rig.flash.writes()), (vec![], writes), "{entries:?}");
            rig.clock.advance(1);
        }
        assert_eq!(due(&rig), None);
        let all: Vec<u32> = (0..entries.len() as u32).collect();
        // One batch: an append and a sync.
        assert_eq!((marks(&rig.log()), rig.flash.writes()), (all, writes + 2), "{entries:?}");
    }
}

#[test]
fn what_became_durable_with_another_entry_lets_the_next_wait_its_own_time() {
    let rig = waiting();
    event(&rig, 1, Wait::Refusal);
    assert!(rig.shared.lock().write(LogEntry::of(EntryKind::LogRead)).is_some());
    assert_eq!(due(&rig), None);
    rig.clock.advance(10);
    event(&rig, 2, Wait::Refusal);
    assert!(
        rig.shared.lock().journal_mut().unwrap().store_mut().save_lockout([1, 1, 0, 0]).is_ok()
    );
    rig.clock.advance(10);
    event(&rig, 3, Wait::Event);
    assert_eq!(due(&rig), Some(900));
    assert_eq!(marks(&rig.log()), [1, 2]);
}

#[test]
fn an_admission_is_durable_before_its_pulse_with_everything_before_it() {
    let mut rig = waiting();
    let begun = rig.log().len();
    event(&rig, 1, Wait::Event);
    // A stranger, of whom the attempt is durable and the refusal waits.
    rig.visit(Show::Face(9), 12);
    let strangers = rig.decisions();
    rig.visit(Show::Face(1), 5);
    let log = rig.log();
    let decisions: Vec<Reason> = rig.decisions().iter().map(|entry| entry.reason).collect();
    assert_eq!((strangers, decisions.len()), (vec![], 2));
    assert_eq!(decisions[1], Reason::Matched);
    assert_eq!((marks(&log), log[begun].kind), (vec![1], EntryKind::ExitRequested));
    let told = rig.told.lock().unwrap();
    assert_eq!((told.pulses.len(), told.not_durable.len()), (1, 0));
    // Each attempt was counted where a power cut could not take it, before its probe was scored.
    assert!(told.attempts_at_embed.iter().all(|&attempts| attempts > 0));
}

#[test]
fn a_power_cut_takes_what_waits_and_nothing_else() {
    for seed in 0..50 {
        let mut rig = waiting();
        rig.visit(Show::Face(1), 5);
        let durable = rig.log();
        event(&rig, 1, Wait::Event);
        rig.visit(Show::Dark, 3);
        let seen = rig.log();
        let left = rig.flash.copy();
        left.cut_power(seed);
        left.power_on();
        let (store, cut) = Store::open(Box::new(left.clone()), left.keys()).unwrap();
        assert_eq!((store.log_page(1, 10_000).unwrap(), cut), (seen.clone(), None));
        assert!(seen.starts_with(&durable));
    }
}

#[test]
fn nothing_waits_without_somebody_who_sees_to_it() {
    let rig = Rig::new();
    event(&rig, 1, Wait::Event);
    assert_eq!((marks(&rig.log()), due(&rig)), (vec![1], None));
}

#[test]
fn whoever_reads_the_log_reads_what_waited() {
    let mut rig = waiting();
    event(&rig, 1, Wait::Event);
    let head = rig.call::<GetLogHead>(&Nothing {}).unwrap().head;
    let page = rig.call::<ReadLog>(&LogPageRequest { from: head }).unwrap();
    let entries: Vec<LogEntry> = page.entries().map(Result::unwrap).collect();
    assert_eq!(marks(&entries), [1]);
}

#[test]
fn a_write_that_fails_later_locks_the_door_until_it_is_made_up_for() {
    let mut rig = waiting();
    event(&rig, 1, Wait::Event);
    rig.flash.set_capacity(Some(0));
    event(&rig, 2, Wait::Event);
    rig.clock.advance(900);
    assert_eq!(due(&rig), Some(1_000), "asked again, though nobody comes");
    assert_eq!(rig.shared.lock().armed(), Armed::Fault(Cause::Store));
    rig.visit(Show::Face(1), 5);
    assert_eq!((rig.pulses(), marks(&rig.log())), (0, vec![]));
    rig.flash.set_capacity(None);
    rig.visit(Show::Face(1), 5);
    assert_eq!((rig.pulses(), marks(&rig.log())), (1, vec![1, 2]));
    assert!(rig.told.lock().unwrap().not_durable.is_empty());
}

#[test]
fn what_waited_while_the_medium_was_full_is_durable_once_it_has_room_though_nobody_comes() {
    let rig = waiting();
    event(&rig, 1, Wait::Event);
    rig.flash.set_capacity(Some(0));
    rig.clock.advance(900);
    assert_eq!(due(&rig), Some(1_000));
    rig.flash.set_capacity(None);
    rig.clock.advance(1_000);
    assert_eq!((due(&rig), marks(&rig.log())), (None, vec![1]));
}

#[test]
fn a_sync_that_fails_later_keeps_the_door_locked_until_the_next_start() {
    let mut rig = waiting();
    event(&rig, 1, Wait::Event);
    rig.flash.fail_at(rig.flash.writes() + 2, FlashFault::Io);
    rig.clock.advance(900);
    assert_eq!(due(&rig), Some(1_000));
    rig.clock.advance(1_000);
    assert_eq!(due(&rig), None, "its log takes nothing any more");
    rig.visit(Show::Face(1), 5);
    let armed = rig.shared.lock().armed();
    assert_eq!((rig.pulses(), due(&rig), armed), (0, None, Armed::Fault(Cause::Store)));
}

#[test]
fn the_thread_sees_to_what_waits_and_leaves_nothing_behind() {
    let rig = waiting();
    let commits = Commits::spawn(&rig.shared).unwrap();
    event(&rig, 1, Wait::Refusal);
    rig.clock.advance(50);
    while marks(&rig.log()) != [1] {
        std::thread::yield_now();
    }
    event(&rig, 2, Wait::Event);
    drop(commits);
    assert_eq!(marks(&rig.log()), [1, 2]);
    event(&rig, 3, Wait::Event);
    assert_eq!(marks(&rig.log()), [1, 2, 3]);
}

/// Flash that counts what a file system on blocks of 4 KiB would write.
#[derive(Clone)]
struct Counting {
    flash: MockFlash,
    counts: Arc<std::sync::Mutex<Counts>>,
}

#[derive(Default)]
struct Counts {
    bytes: u64,
    pages: u64,
    syncs: u64,
    /// From where on an object is not synced.
    since: BTreeMap<Object, u64>,
}

const PAGE: u64 = 4096;

impl Flash for Counting {
    fn segments(&self, of: Series) -> Vec<u32> {
        self.flash.segments(of)
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        self.flash.len(object)
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        self.flash.read(object, offset, into)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        let len = self.flash.len(object)?.unwrap_or(0);
        let mut counts = self.counts.lock().unwrap();
        counts.since.entry(object).or_insert(len);
        counts.bytes += bytes.len() as u64;
        drop(counts);
        self.flash.append(object, bytes)
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        let len = self.flash.len(object)?.unwrap_or(0);
        let mut counts = self.counts.lock().unwrap();
        if let Some(since) = counts.since.remove(&object) {
            counts.pages += len.div_ceil(PAGE) - since / PAGE;
        }
        counts.syncs += 1;
        drop(counts);
        self.flash.sync(object)
    }

    /// The file's sync and the folder's.
    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        let mut counts = self.counts.lock().unwrap();
        counts.bytes += bytes.len() as u64;
        counts.pages += (bytes.len() as u64).div_ceil(PAGE) + 1;
        counts.syncs += 2;
        drop(counts);
        self.flash.replace(object, bytes)
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.counts.lock().unwrap().syncs += 1;
        self.flash.remove(object)
    }
}

/// What a day takes of 20 events a second and an admission a minute, counted over half an hour of it.
struct Day {
    mb: f64,
    mb_of_pages: f64,
    syncs: f64,
}

fn day(committer: bool) -> Day {
    const MINUTES: u64 = 30;
    let clock = Arc::new(BenchClock::default());
    let flash = Counting { flash: MockFlash::new(), counts: Arc::default() };
    let counts = Arc::clone(&flash.counts);
    let keys = flash.flash.keys();
    let (store, _) = Store::open(Box::new(flash), keys).unwrap();
    let mut journal = Journal::new(store, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    journal.let_wait(committer.then(current));
    journal.write(LogEntry::of(EntryKind::Boot)).unwrap();
    let of = |counts: &Counts| (counts.bytes, counts.pages, counts.syncs);
    let before = of(&counts.lock().unwrap());
    for event in 1..=MINUTES * 60 * 20 {
        clock.advance(50);
        journal.write_soon(LogEntry::of(EntryKind::ExitRequested), Wait::Event).unwrap();
        journal.commit_due().unwrap();
        if event % (60 * 20) == 0 {
            journal.store_mut().save_lockout([1, 1, 0, 0]).unwrap();
            journal.write(LogEntry::of(EntryKind::Decision)).unwrap();
            journal.store_mut().save_lockout([1, 0, 0, 0]).unwrap();
        }
    }
    journal.sync().unwrap();
    let after = of(&counts.lock().unwrap());
    let a_day = |counted: u64| counted as f64 * (24.0 * 60.0 / MINUTES as f64);
    Day {
        mb: a_day(after.0 - before.0) / 1e6,
        mb_of_pages: a_day((after.1 - before.1) * PAGE) / 1e6,
        syncs: a_day(after.2 - before.2),
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn a_day_of_20_events_a_second_writes_less_than_600_mb() {
    let (each, waiting) = (day(false), day(true));
    for (how, Day { mb, mb_of_pages, syncs }) in [("each by itself", &each), ("waiting", &waiting)]
    {
        println!(
            "{how}: {mb:.0} MB a day, {mb_of_pages:.0} MB in pages of 4 KiB, {syncs:.0} syncs"
        );
    }
    assert!(waiting.mb_of_pages <= 600.0, "{} MB", waiting.mb_of_pages);
    assert!(waiting.syncs * 10.0 < each.syncs, "{} syncs", waiting.syncs);
}
