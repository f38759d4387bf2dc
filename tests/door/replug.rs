//! A cable that is pulled out and plugged in again, between the host's real port and the unit's real line.

#![allow(clippy::print_stdout, reason = "figures are printed for whoever asks with --nocapture")]

use crate::kept::Host;
use crate::keys::{Bench, administrator, key};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_edge::notices::Notices;
use threshold_edge::service::{self, Access, line};
use threshold_host::cmd::log::keep::up_to_date;
use threshold_host::kept::KeptLog;
use threshold_host::session::Session;
use threshold_host::session::port::Port;
use threshold_host::session::wait::{Machine, through_cuts, until_there};
use threshold_record::{EntryKind, LogEntry, Role};
use threshold_tests::cable::Cable;

/// Entries of the log, 1.3 MB.
const ENTRIES: u64 = 20_000;

/// Bytes of the unit after which the cable is pulled out, each counted from when it was plugged in.
const CUTS: [u64; 3] = [100_000, 300_000, 250_000];

/// How long the host waits for the cable.
const WAIT: Option<Duration> = Some(Duration::from_secs(60));

/// How long it may take from plugging it in until the pull goes on.
const RESUMED: Duration = Duration::from_secs(3);

#[test]
fn a_pull_whose_cable_is_pulled_out_and_plugged_in_again_goes_on_by_itself() {
    // The machine's other work may reach one of them, and about one in six pulls, on an idle machine too, meets a cut after which the
    // host waits 4 s for an answer before it tries again: a host that is always slow is slow three times.
    let soon = |_| pulled_through_cuts().iter().all(|took| *took <= RESUMED);
    assert!((0..3).any(soon), "none of three pulls went on in {RESUMED:?} after each cut");
}

/// Pulls a log over a cable that is pulled out; gives how long it took each time from plugging it in until the pull went on.
fn pulled_through_cuts() -> Vec<Duration> {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let shared = bench.rig.borrow().shared.clone();
    for _ in 0..ENTRIES {
        shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    let host = Host::new();
    let (identity, path) = (host.identity(&bench).unwrap(), host.path(&bench));
    let folder = tempfile::tempdir().unwrap();
    let (unit_end, host_end) = (folder.path().join("unit"), folder.path().join("cable"));
    let (line, _) = line::open(&format!("pty:{}", unit_end.display())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let notices = Notices::to(Box::new(std::io::sink()));
    let served =
        service::spawn(line, shared, Access::default(), notices, Arc::clone(&stop)).unwrap();
    let cable = Cable::lay(&unit_end, &host_end, &CUTS);

    let unit_key = bench.unit_key();
    let open = || {
        until_there(WAIT, &mut Machine::new(), || {
            let mut session = Session::greet(Port::open(host_end.to_str().unwrap())?, "t")?;
            session.secure(&key(1), &unit_key)?;
            Ok(session)
        })
    };
    let mut kept = KeptLog::open(&path, &identity).unwrap();
    let (session, ()) = through_cuts(WAIT, &mut Machine::new(), open, |session| {
        up_to_date(session, &identity, &mut kept, &mut |_| {}).map(drop)
    })
    .unwrap();
    drop((session, kept));
    let resumed = cable.end();
    stop.store(true, Ordering::Relaxed);
    served.join().unwrap();

    let contents = host.contents(&bench);
    assert_eq!((contents.first, &contents.lost[..], &contents.bad), (1, &[][..], &None));
    assert!(contents.tip.sequence >= ENTRIES && contents.entries == contents.tip.sequence);
    println!("plugged in again, it went on after {resumed:?}");
    assert_eq!(resumed.len(), CUTS.len());
    resumed
}
