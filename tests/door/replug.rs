//! A cable that is pulled out and plugged in again, between the host's real port and the unit's real line.

#![allow(clippy::print_stdout, reason = "figures are printed for whoever asks with --nocapture")]

use crate::kept::Host;
use crate::keys::{Bench, administrator, key};
use serialport::{SerialPort as _, TTYPort};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use threshold_edge::notices::Notices;
use threshold_edge::service::{self, Access, line};
use threshold_host::cmd::log::keep::up_to_date;
use threshold_host::kept::KeptLog;
use threshold_host::session::Session;
use threshold_host::session::port::{Port, Transport as _};
use threshold_host::session::wait::{Machine, through_cuts, until_there};
use threshold_record::{EntryKind, LogEntry, Role};

/// Entries of the log, 1.3 MB.
const ENTRIES: u64 = 20_000;

/// Bytes of the unit after which the cable is pulled out, each counted from when it was plugged in.
const CUTS: [u64; 3] = [100_000, 300_000, 250_000];

/// How long it is out.
const OUT: Duration = Duration::from_millis(300);

/// How long the host waits for the cable.
const WAIT: Option<Duration> = Some(Duration::from_secs(60));

/// Bytes of the unit by which a transfer is seen to go on: more than hello, handshake and calls.
const GOES_ON_BYTES: u64 = 20_000;

/// What is plugged in: the host finds it under that name.
fn plug(name: &Path) -> (TTYPort, TTYPort) {
    let (mut unit_side, host_side) = TTYPort::pair().unwrap();
    unit_side.set_timeout(Duration::from_millis(1)).unwrap();
    symlink(host_side.name().unwrap(), name).unwrap();
    (unit_side, host_side)
}

/// Carries bytes until it is told to stop; how long it took each time from plugging it in until a transfer went on.
fn cable(unit: &Path, name: &Path, stop: &AtomicBool) -> Vec<Duration> {
    let mut unit = Port::open(unit.to_str().unwrap()).unwrap();
    let mut plugged = Some((plug(name), Instant::now(), 0u64));
    let (mut out_since, mut cuts, mut resumed) = (Instant::now(), CUTS.iter(), Vec::new());
    let (mut down, mut up) = ([0; 4096], [0; 4096]);
    let mut next = cuts.next();
    while !stop.load(Ordering::Relaxed) {
        // Also while it is out, so that what was under way then is lost.
        let len = unit.receive(&mut down, Duration::from_millis(1)).unwrap();
        let Some(((unit_side, _), since, carried)) = &mut plugged else {
            if out_since.elapsed() >= OUT {
                plugged = Some((plug(name), Instant::now(), 0));
            }
            continue;
        };
        let _ = unit_side.write_all(&down[..len]);
        let before = std::mem::replace(carried, *carried + len as u64);
        if next != CUTS.first() {
            let begins = before < GOES_ON_BYTES && *carried >= GOES_ON_BYTES;
            resumed.extend(begins.then(|| since.elapsed()));
        }
        if let Ok(len) = unit_side.read(&mut up) {
            unit.send(&up[..len]).unwrap();
        }
        if next.is_some_and(|cut| *carried >= *cut) {
            next = cuts.next();
            std::fs::remove_file(name).unwrap();
            (plugged, out_since) = (None, Instant::now());
        }
    }
    resumed
}

#[test]
fn a_pull_whose_cable_is_pulled_out_and_plugged_in_again_goes_on_by_itself() {
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
    let carrier = std::thread::spawn({
        let (host_end, stop) = (host_end.clone(), Arc::clone(&stop));
        move || cable(&unit_end, &host_end, &stop)
    });

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
    stop.store(true, Ordering::Relaxed);
    let mut resumed = carrier.join().unwrap();
    served.join().unwrap();

    let contents = host.contents(&bench);
    assert_eq!((contents.first, &contents.lost[..], &contents.bad), (1, &[][..], &None));
    assert!(contents.tip.sequence >= ENTRIES && contents.entries == contents.tip.sequence);
    println!("plugged in again, it went on after {resumed:?}");
    assert_eq!(resumed.len(), CUTS.len());
    // The machine's other work may reach one of them.
    resumed.sort_unstable();
    assert!(resumed[CUTS.len() / 2] <= Duration::from_secs(3), "{resumed:?}");
}
