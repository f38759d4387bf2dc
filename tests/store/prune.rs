//! Pruning the log: what may go, what it takes, and that what is left is told from a log with a gap.

use crate::log_model::prove;
use crate::{MODEL, entry, name, template};
use threshold_record::{ContextKind, EntryKind, LogEntry, PersonId};
use threshold_store::{
    ChainError, Checkpoint, Flash, FlashFault, LogSize, MockFlash, Object, Series, Store,
    StoreError, StoreSize, verify,
};

/// Eight segments of nine entries each.
const SIZE: LogSize = LogSize { segment_bytes: 1600, segments: 8 };

fn open(flash: &MockFlash) -> Store {
    Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE).unwrap().0
}

fn commit(store: &mut Store, last: u64) {
    let context_config = store.context_number(ContextKind::Config, b"a=1").unwrap();
    while store.log_head() < last {
        let mark = store.log_head() as u32 + 1;
        store.commit(LogEntry { context_config, ..entry(mark) }).unwrap();
    }
}

/// A log of five segments, open, with what a host was given at entry 30.
fn written() -> (MockFlash, Store, Checkpoint) {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    commit(&mut store, 30);
    let known = store.checkpoint();
    commit(&mut store, 40);
    assert_eq!((store.log_oldest(), flash.segments(Series::Log).len()), (1, 5));
    (flash, store, known)
}

fn pruned() -> LogEntry {
    LogEntry::of(EntryKind::Pruned)
}

fn sequences(store: &Store) -> Vec<u64> {
    store.log_page(0, usize::MAX).unwrap().iter().map(|entry| entry.sequence).collect()
}

#[test]
fn an_entry_says_up_to_where_however_far_that_is() {
    for first in [0, 1, 93_130, u64::from(u32::MAX), 1 << 32, (7 << 32) | 9, u64::MAX] {
        let read = LogEntry::from_bytes(&LogEntry::pruned(first).to_bytes()).unwrap();
        assert_eq!((read.kind, read.first_kept()), (EntryKind::Pruned, Some(first)));
    }
    let other = LogEntry { runner_up: PersonId(9), ..LogEntry::of(EntryKind::Decision) };
    assert_eq!(other.first_kept(), None);
}

#[test]
fn whole_segments_go_up_to_what_is_proven_and_the_log_goes_on() {
    let (flash, mut store, known) = written();
    let proof = prove(&store, &known).unwrap();
    // Nothing behind what is proven, nothing from `before` on, nothing of the newest, and whole segments only.
    for (before, keep) in [(1, 0), (9, 0), (u64::MAX, 40), (u64::MAX, 32), (0, 0)] {
        let segments = flash.segments(Series::Log);
        assert_eq!(store.prune(&proof, before, keep, pruned()), Ok(None), "{before} {keep}");
        assert_eq!(flash.segments(Series::Log), segments);
    }
    let head = store.log_head();
    let went = store.prune(&proof, u64::MAX, 0, pruned()).unwrap().unwrap();
    assert_eq!((went.first, went.entry.sequence, store.log_head()), (1, head + 1, head + 1));
    assert!(went.last > 18 && went.last <= 30, "{went:?}");
    assert_eq!((store.log_oldest(), store.log_pruned()), (went.last + 1, went.last + 1));
    assert_eq!(went.entry.first_kept(), Some(went.last + 1));
    assert_eq!(sequences(&store), (went.last + 1..=head + 1).collect::<Vec<_>>());
    for entry in store.log_page(0, usize::MAX).unwrap() {
        if entry.context_config > 0 {
            let context = store.context(entry.context_config).unwrap().unwrap();
            assert_eq!(context.bytes, b"a=1");
        }
    }
    // Asked again it does nothing, with this proof or the newest one.
    let proof = prove(&store, &known).unwrap();
    assert_eq!(store.prune(&proof, u64::MAX, 0, pruned()), Ok(None));
    assert_eq!(store.log_head(), head + 1);
    // The chain goes on from where it was: a host that has everything finds no gap.
    let now = store.checkpoint();
    let entries = store.log_page(known.sequence + 1, usize::MAX).unwrap();
    let identity = store.identity();
    threshold_store::verify_entries(&identity, Some(&known), entries, &now).unwrap();
    commit(&mut store, 50);
    let (all, first) = (sequences(&store), store.log_pruned());
    drop(store);
    let verified = verify(&flash, &flash.keys(), Some(&now)).unwrap();
    assert_eq!((verified.first_bad, verified.oldest, verified.pruned), (None, first, first));
    let store = open(&flash);
    assert_eq!((sequences(&store), store.log_pruned()), (all, first));
}

#[test]
fn the_segment_with_the_last_entry_never_goes() {
    let (flash, mut store, _) = written();
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let went = store.prune(&proof, u64::MAX, 0, pruned()).unwrap().unwrap();
    assert!(went.last < 40, "{went:?}");
    let left = flash.segments(Series::Log);
    assert_eq!(left.len(), 2);
    // What waits is durable before, and is not what makes room.
    store.append(entry(1)).unwrap();
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let again = store.prune(&proof, u64::MAX, 0, pruned()).unwrap().unwrap();
    assert_eq!((again.last, again.entry.sequence, store.log_head()), (40, 43, 43));
    assert_eq!(store.log_page(42, 1).unwrap(), [LogEntry { sequence: 42, ..entry(1) }]);
    // An empty log has nothing to prune.
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let proof = prove(&store, &store.checkpoint()).unwrap();
    assert_eq!(store.prune(&proof, u64::MAX, 0, pruned()), Ok(None));
    assert_eq!((store.log_head(), store.log_pruned()), (0, 0));
}

#[test]
fn a_checkpoint_that_is_not_of_this_log_proves_nothing() {
    let (flash, mut store, known) = written();
    let earlier = flash.copy();
    // Made up, or changed: every bit of it is under the signature.
    let bytes = known.to_bytes();
    for at in 2..bytes.len() {
        let mut forged = bytes;
        forged[at] ^= 1 << (at % 8);
        let forged = Checkpoint::from_bytes(&forged).unwrap();
        let error = store.prove(&forged).unwrap_err();
        assert!(matches!(error, StoreError::Chain(ChainError::NotSigned { .. })), "{at}: {error}");
    }
    // Of another unit.
    let other = MockFlash::new();
    other.keys().random(&mut [0; 9]).unwrap();
    let mut foreign = open(&other);
    commit(&mut foreign, 40);
    let error = store.prove(&foreign.checkpoint()).unwrap_err();
    assert!(matches!(error, StoreError::Chain(ChainError::NotSigned { .. })), "{error}");
    // Of this unit as it went on from an older copy: another history, up to here and further.
    let mut put_back = open(&earlier);
    put_back.commit(entry(77)).unwrap();
    let branch = put_back.checkpoint();
    commit(&mut put_back, 60);
    let behind = put_back.checkpoint();
    store.commit(entry(1)).unwrap();
    assert_eq!((branch.sequence, branch.store_id), (41, known.store_id));
    let error = prove(&store, &branch).unwrap_err();
    assert_eq!(error, ChainError::Changed { first: 41, end: 41 }.into());
    let error = prove(&store, &behind).unwrap_err();
    assert_eq!(error, ChainError::NotOneLog { start: 60, end: 41 }.into());
    assert_eq!((store.log_oldest(), flash.segments(Series::Log).len()), (1, 5));
    // Older than what is there: it is the unit's, and nothing is there that it could be shown for.
    let proof = prove(&store, &store.checkpoint()).unwrap();
    store.prune(&proof, 28, 0, pruned()).unwrap().unwrap();
    let (oldest, segments) = (store.log_oldest(), flash.segments(Series::Log));
    let old = {
        let flash = MockFlash::new();
        let mut store = open(&flash);
        commit(&mut store, 5);
        store.checkpoint()
    };
    assert_eq!(old.store_id, known.store_id, "a mock flash draws the same keys");
    let proof = prove(&store, &old).unwrap();
    assert_eq!(store.prune(&proof, u64::MAX, 0, pruned()), Ok(None));
    assert_eq!((store.log_oldest(), flash.segments(Series::Log)), (oldest, segments));
}

#[test]
fn a_log_that_begins_after_a_prune_is_told_from_one_with_a_gap() {
    let (flash, mut store, _) = written();
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let went = store.prune(&proof, 20, 0, pruned()).unwrap().unwrap();
    commit(&mut store, 60);
    drop(store);
    let numbers = flash.segments(Series::Log);
    assert!(numbers[0] > 1 && numbers.len() > 3, "{numbers:?}");
    let whole = verify(&flash, &flash.keys(), None).unwrap();
    assert_eq!((whole.first_bad, whole.oldest), (None, went.last + 1));
    // Every segment that still counts is missed, the oldest as well as those behind it.
    for &number in &numbers[..numbers.len() - 1] {
        let fork = flash.copy();
        fork.set_bytes(Object::Segment(number), None);
        let verified = verify(&fork, &fork.keys(), None).unwrap();
        let bad = verified.first_bad.unwrap_or_else(|| panic!("segment {number} is not missed"));
        assert!(bad.sequence >= whole.oldest, "{bad:?}");
        let opened = Store::open_sized(Box::new(fork.clone()), fork.keys(), SIZE);
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "segment {number}");
    }
    // A segment that was pruned and put back is no part of the log.
    let (before, ..) = written();
    let fork = flash.copy();
    fork.set_bytes(Object::Segment(1), before.bytes(Object::Segment(1)));
    assert_eq!(open(&fork).log_oldest(), went.last + 1);
    assert_eq!(fork.segments(Series::Log), numbers);
}

#[test]
fn what_was_pruned_is_known_until_its_entry_goes() {
    let (flash, mut store, _) = written();
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let first = store.prune(&proof, 20, 0, pruned()).unwrap().unwrap().last + 1;
    commit(&mut store, 60);
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let second = store.prune(&proof, 30, 0, pruned()).unwrap().unwrap().last + 1;
    assert!(second > first);
    let told = store.log_page(0, usize::MAX).unwrap();
    let entry = told.iter().rfind(|entry| entry.first_kept() == Some(second)).unwrap().sequence;
    // The full log lets go of its oldest by itself: of the entries of both prunes in the end.
    while store.log_oldest() <= entry {
        assert_eq!((store.log_pruned(), open(&flash.copy()).log_pruned()), (second, second));
        let next = store.log_head() + 1;
        commit(&mut store, next);
    }
    assert_eq!(open(&flash.copy()).log_pruned(), 0);
    assert_eq!(verify(&flash, &flash.keys(), None).unwrap().pruned, 0);
}

#[test]
fn a_prune_that_fails_is_done_or_not_and_nothing_is_lost() {
    let (flash, store, known) = written();
    let full: Vec<LogEntry> = store.log_page(0, usize::MAX).unwrap();
    drop(store);
    let mut outcomes = [0; 2];
    for fault in [FlashFault::Io, FlashFault::Full, FlashFault::ReadOnly] {
        for write in 1.. {
            let fork = flash.copy();
            let mut store = open(&fork);
            let begun = fork.writes();
            fork.fail_at(begun + write, fault);
            let proof = prove(&store, &known).unwrap();
            let outcome = store.prune(&proof, u64::MAX, 0, pruned());
            let reached = fork.writes() >= begun + write;
            // Whatever came of it, entries go on to be written, and a start finds what was shown.
            let shown = store.log_head();
            let more = store.commit(entry(9));
            drop(store);
            let store = open(&fork);
            assert!(store.log_head() >= shown);
            if let Ok(more) = more {
                assert_eq!(store.log_page(more.sequence, 1).unwrap(), [more], "write {write}");
            }
            let is_pruned = store.log_oldest() > 1;
            outcomes[usize::from(is_pruned)] += 1;
            assert!(is_pruned || outcome.is_err(), "write {write}: {outcome:?}");
            assert_eq!(store.log_pruned(), if is_pruned { store.log_oldest() } else { 0 });
            let there = store.log_page(0, 40).unwrap();
            let from = store.log_oldest() as usize - 1;
            assert_eq!(there[..full.len() - from], full[from..], "write {write}");
            assert_eq!(verify(&fork, &fork.keys(), Some(&known)).unwrap().first_bad, None);
            if !reached {
                break;
            }
        }
    }
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

#[test]
fn many_segments_go_by_and_by_and_count_for_nothing_at_once() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    commit(&mut store, 70);
    let had = flash.segments(Series::Log).len();
    assert_eq!((had, store.log_oldest()), (8, 1));
    let proof = prove(&store, &store.checkpoint()).unwrap();
    let went = store.prune(&proof, u64::MAX, 0, pruned()).unwrap().unwrap();
    assert_eq!(store.log_oldest(), went.last + 1);
    // The new one is there as well, four are removed.
    assert_eq!(flash.segments(Series::Log).len(), had + 1 - 4);
    let left = flash.copy();
    assert_eq!(sequences(&store), (went.last + 1..=71).collect::<Vec<_>>());
    // A flash that does not let go of one says so, and is asked again.
    flash.fail_at(flash.writes() + 1, FlashFault::Io);
    assert!(matches!(store.tidy_up(), Err(StoreError::Flash(_))));
    let mut steps = 1;
    while store.tidy_up().unwrap() {
        steps += 1;
    }
    assert_eq!((steps, flash.segments(Series::Log).len()), (3, 2));
    // A start takes the rest.
    let store = open(&left);
    assert_eq!((store.log_oldest(), left.segments(Series::Log).len()), (went.last + 1, 2));
}

#[test]
fn nothing_of_a_removed_person_waits_for_segments_of_the_log() {
    let flash = MockFlash::new();
    let size = StoreSize { log: SIZE, gallery_segment_bytes: 8192 };
    let mut store = Store::open_sized(Box::new(flash.clone()), flash.keys(), size).unwrap().0;
    store.load_gallery(MODEL).unwrap();
    let people: Vec<PersonId> =
        (0..30).map(|at| store.add_person(name(&format!("person {at}"))).unwrap()).collect();
    for slot in 0..3 {
        for &person in &people {
            store.put_template(template(person, slot, 5)).unwrap();
        }
    }
    commit(&mut store, 70);
    while store.tidy_up().unwrap() {}
    let proof = prove(&store, &store.checkpoint()).unwrap();
    store.prune(&proof, u64::MAX, 0, pruned()).unwrap();
    let left = flash.segments(Series::Log).len();
    assert!(left > 4, "{left} segments, of which most are pruned");
    store.remove_person(people[0]).unwrap();
    let mut steps = 0;
    while store.receipt(people[0], 1).is_none() {
        assert!(store.tidy_up().unwrap());
        steps += 1;
    }
    assert!(steps > 0, "the templates stood in several segments");
    assert_eq!(flash.segments(Series::Log).len(), left);
    while store.tidy_up().unwrap() {}
    assert_eq!(flash.segments(Series::Log).len(), 2);
}
