//! Pruning the log over the line: only an owner, only what the unit is shown to be known, and nothing that a host misses.

use crate::kept::{Host, head, started};
use crate::keys::{Bench, administrator};
use threshold_host::cmd::log::keep::up_to_date;
use threshold_host::kept::{self, KeptLog};
use threshold_host::session::SessionError;
use threshold_record::{EntryKind, KeyTag, LogEntry, Role};
use threshold_store::{Checkpoint, FlashFault, MockFlash, Series, Store};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetCheckpoint, PruneLog, ReadLog};
use threshold_wire::message::{LOG_PRUNE_LEAVES, LOG_PULL_ENTRIES, LogPageRequest};
use threshold_wire::trust::{CheckpointGet, CheckpointPlace, LogPrune, LogPruned};

/// A flash with so many entries, of a unit with an owner, an enroller and a viewer.
fn filled(entries: u64) -> MockFlash {
    let flash = MockFlash::new();
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    for (key, role) in [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)] {
        store.put_administrator(administrator(key, role)).unwrap();
    }
    for _ in 0..entries {
        store.append(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    store.sync().unwrap();
    flash
}

fn asked(checkpoint: &Checkpoint) -> LogPrune {
    LogPrune { before: u64::MAX, checkpoint: checkpoint.to_bytes().into() }
}

fn prune(bench: &Bench, by: u8, asked: &LogPrune) -> Result<LogPruned, RequestError> {
    bench.session(by).call::<PruneLog>(asked).map_err(refusal)
}

fn refusal(error: SessionError) -> RequestError {
    match error {
        SessionError::Refused(error) => error,
        other => panic!("{other}"),
    }
}

fn oldest(bench: &Bench) -> u64 {
    bench.store(|store| store.log_oldest())
}

fn segments(bench: &Bench) -> Vec<u32> {
    use threshold_store::Flash;
    bench.rig.borrow().flash.segments(Series::Log)
}

/// What another owner does at another line, with the unit's own word for all that it has.
fn pruned_elsewhere(bench: &Bench) -> u64 {
    let shared = bench.rig.borrow().shared.clone();
    let mut state = shared.lock();
    let store = state.journal().unwrap().store();
    let mut proving = store.prove(&store.checkpoint()).unwrap();
    let proof = loop {
        if let Some(proof) = proving.step(store, 10_000).unwrap() {
            break proof;
        }
    };
    state.prune_log(&proof, u64::MAX, KeyTag::NOBODY).unwrap().unwrap().last
}

#[test]
fn an_owner_prunes_what_is_kept_and_the_kept_log_goes_on_without_a_gap() {
    let flash = filled(105_000);
    let (host, bench) = (Host::new(), started(&flash));
    // Known of an earlier time, before the flash was pruned.
    host.pull(&bench).unwrap();
    let checkpoint = host.contents(&bench).checkpoint.unwrap();
    let had = segments(&bench);

    // Nobody but an owner, in a session.
    for (by, role) in [(2, Role::Enroller), (3, Role::Viewer)] {
        let refused = prune(&bench, by, &asked(&checkpoint));
        assert_eq!(refused, Err(RequestError::RoleTooLow { least: Role::Owner, role }));
    }
    let open = bench.greet().call::<PruneLog>(&asked(&checkpoint)).map_err(refusal);
    assert_eq!(open, Err(RequestError::InsecureLink));
    // No checkpoint but one of this log.
    let no = Err(RequestError::NotOfThisLog);
    let mut cut = asked(&checkpoint);
    cut.checkpoint.truncate(159);
    assert_eq!(prune(&bench, 1, &cut), no);
    for at in [0, 3, 9, 24, 30, 33, 70, 97, 159] {
        let mut forged = asked(&checkpoint);
        forged.checkpoint[at] ^= 0x10;
        assert_eq!(prune(&bench, 1, &forged), no, "{at}");
    }
    let made_up = Checkpoint { sequence: u64::MAX, ..checkpoint };
    assert_eq!(prune(&bench, 1, &asked(&made_up)), no);
    let foreign = MockFlash::new();
    foreign.keys().random(&mut [0; 9]).unwrap();
    let (mut other, _) = Store::open(Box::new(foreign.clone()), foreign.keys()).unwrap();
    other.commit(LogEntry::of(EntryKind::Boot)).unwrap();
    assert_eq!(prune(&bench, 1, &asked(&other.checkpoint())), no);
    // Nothing from `before` on.
    let nothing = LogPruned { entries: 0, oldest: 1, entry: 0 };
    assert_eq!(prune(&bench, 1, &LogPrune { before: 9, ..asked(&checkpoint) }), Ok(nothing));
    assert_eq!((oldest(&bench), segments(&bench)), (1, had.clone()));

    let done = prune(&bench, 1, &asked(&checkpoint)).unwrap();
    let last = head(&bench);
    assert_eq!((done.entry, done.oldest, done.entries + 1), (last, oldest(&bench), done.oldest));
    assert!(last - done.oldest >= LOG_PRUNE_LEAVES, "{done:?} of {last}");
    assert!(last - done.oldest < LOG_PRUNE_LEAVES + 20_000, "a segment is left: {done:?}");
    assert!(segments(&bench)[0] > had[0]);
    let entry = bench.store(|store| store.log_page(last, 1).unwrap()[0]);
    assert_eq!(entry.first_kept(), Some(done.oldest));
    assert_eq!(entry.by, administrator(1, Role::Owner).key_id().tag());
    // Asked again, with a checkpoint older than what is left too, nothing is done and nothing is written.
    let nothing = LogPruned { entries: 0, entry: 0, ..done };
    let old = bench
        .session(3)
        .call::<GetCheckpoint>(&CheckpointGet { place: CheckpointPlace::BeforeOldest });
    let old = LogPrune { before: u64::MAX, checkpoint: old.unwrap().bytes };
    assert_eq!(prune(&bench, 1, &asked(&checkpoint)), Ok(nothing));
    assert_eq!(prune(&bench, 1, &old), Ok(nothing));
    assert_eq!(head(&bench), last);

    // Whoever asks for what was pruned hears so, by pages and in bulk; the oldest is there for whoever asks for that.
    for bench in [bench.clone(), started(&flash.copy())] {
        let gone = RequestError::LogPruned { first: done.oldest };
        for from in [2, done.oldest - 1] {
            let mut session = bench.session(3);
            let page = session.call::<ReadLog>(&LogPageRequest { from }).unwrap_err();
            assert_eq!(page.refusal(), Some(&gone), "{from}");
            let (window, mut bytes) = (session.window(), Vec::new());
            let pulled = session.pull_log(from, window, &mut bytes, &mut |_| {}).unwrap_err();
            assert_eq!((pulled.refusal(), bytes.len()), (Some(&gone), 0), "{from}");
        }
        for from in [0, 1, done.oldest] {
            let page = bench.session(3).call::<ReadLog>(&LogPageRequest { from }).unwrap();
            assert_eq!(page.entries().next().unwrap().unwrap().sequence, done.oldest);
        }
    }

    // The kept log is the whole history; the next pull brings what is new and nothing twice.
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!((contents.bad, &contents.lost[..], contents.first), (None, &[][..], 1));
    assert_eq!((contents.entries, contents.signed), (head(&bench), head(&bench)));
    assert_eq!(host.compare(&bench).unwrap(), None);
    // One that comes later begins with the oldest, and finds nothing wrong.
    let late = Host::new();
    late.pull(&bench).unwrap();
    let contents = late.contents(&bench);
    assert_eq!((contents.bad, &contents.lost[..]), (None, &[1..=done.oldest - 1][..]));
    assert_eq!(contents.signed, head(&bench));
    assert_eq!(late.compare(&bench).unwrap(), None);
}

/// Pulls while another owner prunes as soon as something of the first transfer is there; gives the last entry that went.
fn pulled_beside_a_prune(host: &Host, bench: &Bench) -> (anyhow::Result<u64>, u64) {
    let identity = host.identity(bench).unwrap();
    let mut kept = KeptLog::open(&host.path(bench), &identity).unwrap();
    let mut went = 0;
    let mut moved = |_| {
        if went == 0 {
            went = pruned_elsewhere(bench);
        }
    };
    let mut session = bench.session(1);
    let came = up_to_date(&mut session, &identity, &mut kept, &mut moved);
    (came, went)
}

#[test]
fn a_pull_beside_a_prune_neither_loses_nor_doubles_an_entry() {
    let (host, bench) = (Host::new(), started(&filled(105_000)));
    let (came, went) = pulled_beside_a_prune(&host, &bench);
    assert!(went > 0 && went < LOG_PULL_ENTRIES, "{went}");
    assert_eq!(came.unwrap(), head(&bench));
    let contents = host.contents(&bench);
    assert_eq!((contents.bad, contents.entries, contents.first), (None, head(&bench), 1));
    assert!(contents.lost.is_empty() && contents.unsigned.is_empty());
    assert_eq!(contents.signed, head(&bench));
    let kept = kept::entries(&host.path(&bench), 1).unwrap().map(|entry| entry.sequence);
    assert!(kept.eq(1..=head(&bench)));
}

#[test]
fn a_prune_that_overtakes_another_hosts_pull_is_told_and_what_went_is_named() {
    let (host, bench) = (Host::new(), started(&filled(166_000)));
    let (came, went) = pulled_beside_a_prune(&host, &bench);
    assert!(went > LOG_PULL_ENTRIES, "{went}");
    let error = came.unwrap_err();
    let gone = RequestError::LogPruned { first: went + 1 };
    let refused = error.downcast_ref::<SessionError>().and_then(SessionError::refusal);
    assert_eq!(refused, Some(&gone), "{error}");
    // The transfer that was under way is whole, and the next pull goes on behind what went.
    let contents = host.contents(&bench);
    assert_eq!((contents.bad, contents.entries), (None, LOG_PULL_ENTRIES));
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!((contents.bad, &contents.lost[..]), (None, &[LOG_PULL_ENTRIES + 1..=went][..]));
    assert_eq!(contents.entries, LOG_PULL_ENTRIES + head(&bench) - went);
    assert_eq!(contents.signed, head(&bench));
}

#[test]
fn nothing_is_pruned_while_the_log_is_at_fault() {
    let bench = started(&filled(105_000));
    let flash = bench.rig.borrow().flash.clone();
    let mine = bench.store(|store| store.checkpoint());
    flash.fail_at(flash.writes() + 1, FlashFault::Io);
    let shared = bench.rig.borrow().shared.clone();
    assert_eq!(shared.lock().write(LogEntry::of(EntryKind::LogRead)), None);
    let refused = prune(&bench, 1, &asked(&mine)).unwrap_err();
    assert!(matches!(refused, RequestError::StoreFault { .. }), "{refused}");
    assert_eq!(oldest(&bench), 1);
    shared.lock().retry_store();
    assert!(prune(&bench, 1, &asked(&mine)).unwrap().entries > 0);
}
