//! The link's figures with both real ends: the host's session and the unit's desk over the fault line, on its virtual clock.

#![allow(clippy::print_stderr, reason = "figures are printed for the page docs/link.md")]

use crate::kept::Host;
use crate::keys::{Bench, administrator};
use crate::rig::{LEN, MODEL, Wire, numbered};
use std::path::Path;
use std::time::Duration;
use threshold_host::cmd::gallery::push::{Source, push_into};
use threshold_host::cmd::log::keep::up_to_date;
use threshold_host::kept::{self, KeptLog};
use threshold_host::say::Say;
use threshold_host::session::wait::through_cuts;
use threshold_record::{LogEntry, Person, PersonId, Role, Template};
use threshold_tests::lots::Lots;
use threshold_wire::endpoints::{GetInfo, StartPull};
use threshold_wire::gallery::content::{self, Content, Origin, Told};
use threshold_wire::message::{Nothing, PullRequest, PullWhat};

/// The highest speed of the ladder, bits a second.
const TOP: u32 = 3_000_000;

/// What it carries, bytes a second.
const TOP_BYTES_PER_S: f64 = TOP as f64 / 10.0;

fn bench(entries: u32) -> Bench {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    (1..=entries).for_each(|number| numbered(&bench, number));
    bench
}

/// The unit's whole log.
fn whole_log(bench: &Bench) -> Vec<LogEntry> {
    bench.store(|store| store.log_page(1, usize::MAX)).unwrap()
}

fn bytes_of(log: &[LogEntry]) -> Vec<u8> {
    log.iter().flat_map(LogEntry::to_bytes).collect()
}

/// A gallery of so many people with three templates each, as it is pushed.
fn gallery(people: u32) -> Vec<u8> {
    let origin = Origin { model: MODEL, store_id: [8; 16], generation: 4000 };
    let mut lots = Lots(6);
    let people: Vec<(Person, Vec<Template>)> = (1..=people)
        .map(|id| {
            let person = Person::new(PersonId(id), &format!("Person number {id}")).unwrap();
            let template = |slot| Template {
                person: PersonId(id),
                slot,
                quality: 90,
                model: MODEL.tag(),
                scale: 0.01,
                vector: lots.bytes(LEN).iter().map(|&byte| (byte as i8).max(-127)).collect(),
            };
            (person, (0..3).map(template).collect())
        })
        .collect();
    let people = people.iter().map(|(person, templates)| Told { person, access: None, templates });
    content::write(&origin, [].iter(), people).unwrap()
}

#[test]
fn a_pull_and_a_push_of_the_real_ends_carry_94_percent_payload_at_3_megabaud() {
    let bench = bench(40_000);
    let wire = Wire::new(&bench, 1);
    let mut session = wire.open(1).unwrap();
    assert_eq!(session.hurry(u64::MAX).unwrap(), TOP);
    let ratio =
        |bytes: usize, start_s: f64| bytes as f64 / (wire.now_s() - start_s) / TOP_BYTES_PER_S;
    let (mut log, start_s, window) = (Vec::new(), wire.now_s(), session.window());
    session.pull_log(1, window, &mut log, &mut |_| {}).unwrap();
    let down = ratio(log.len(), start_s);
    assert!(log.len() >= 64 * 40_000 && bytes_of(&whole_log(&bench)).starts_with(&log));

    let gallery = gallery(6_000);
    let start_s = wire.now_s();
    session.push_part(&gallery, &mut |_, _| {}).unwrap();
    let up = ratio(gallery.len(), start_s);
    eprintln!(
        "figure: real ends, payload of the line, {TOP} baud, 1 ms, {} bytes up and {} down | up {up:.4}, down {down:.4}",
        gallery.len(),
        log.len()
    );
    assert!(down >= 0.94 && up >= 0.94, "{down:.4} {up:.4}");
}

#[test]
fn a_pull_and_a_push_of_the_real_ends_complete_at_a_bit_error_rate_of_1e_4() {
    let bench = bench(4_000);
    let wire = Wire::new(&bench, 2);
    let mut session = wire.open(1).unwrap();
    // Proven on a clean line, since the proofs would find what this is about.
    assert_eq!(session.hurry(u64::MAX).unwrap(), TOP);
    wire.fault(1e-4, 0.0);
    let (mut log, start_s, window) = (Vec::new(), wire.now_s(), session.window());
    session.pull_log(1, window, &mut log, &mut |_| {}).unwrap();
    let pull_s = wire.now_s() - start_s;
    assert!(log.len() >= 64 * 4_000 && bytes_of(&whole_log(&bench)).starts_with(&log));

    // The listing before it is pulled and the line rests; on a line like this the higher speeds are seldom proven again.
    let (gallery, start_s) = (Content::read(gallery(1_000)).unwrap(), wire.now_s());
    let path = Path::new("file");
    // One call in some dozens is answered too late on a line like this: an error that says so, after which a push goes on where it was.
    let mut push = |_| push_into(&mut session, Say::new(true), path, Source::Open(&gallery)).ok();
    let pushed = (0..4).find_map(&mut push).unwrap();
    eprintln!(
        "figure: real ends, bit error rate 1e-4, a pull of {} bytes, a push of 1,000 people | {pull_s:.1} s, {:.1} s",
        log.len(),
        wire.now_s() - start_s
    );
    assert!(pushed.left_out.is_empty(), "{pushed:?}");
    wire.fault(0.0, 0.0);
    assert_eq!(session.call::<GetInfo>(&Nothing {}).unwrap().gallery.unwrap().templates, 3_000);
}

/// Entries that are there, and entries that are written while they are pulled.
const ENTRIES: u32 = 60_000;
const MEANWHILE: u32 = 200;
const CUTS: u32 = 100;

/// Pulls a log through cuts; gives how many of the numbered entries were kept, how many all are, and the bytes of the line.
fn pulled_through_cuts(seed: u64) -> (u64, u64, u64) {
    let bench = bench(ENTRIES);
    let host = Host::new();
    let (identity, path) = (host.identity(&bench).unwrap(), host.path(&bench));
    let wire = Wire::new(&bench, seed);
    wire.fault(0.0, 0.01);
    wire.write_meanwhile(MEANWHILE, ENTRIES);
    // More than half of the log is not moved yet when the last cut is over.
    wire.cut(CUTS, u64::from(ENTRIES) * 64 / u64::from(CUTS));
    let wait = Some(Duration::from_secs(60));
    while wire.cuts_left() > 0 || wire.entries_left() > 0 {
        let mut kept = KeptLog::open(&path, &identity).unwrap();
        through_cuts(
            wait,
            &mut wire.clone(),
            || wire.open(1),
            |session| up_to_date(session, &identity, &mut kept, &mut |_| {}).map(drop),
        )
        .unwrap();
    }
    wire.fault(0.0, 0.0);
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!((contents.first, &contents.lost[..], &contents.bad), (1, &[][..], &None));
    assert_eq!(contents.signed, contents.entries);
    let entries: Vec<LogEntry> = kept::entries(&path, 1).unwrap().collect();
    assert!(entries == whole_log(&bench), "the union is the log: no gap, no duplicate");
    let numbers: Vec<u32> = entries.iter().map(|entry| entry.person.0).filter(|n| *n > 0).collect();
    assert!(numbers.iter().copied().eq(1..=ENTRIES + MEANWHILE));
    assert_eq!(host.pull(&bench).unwrap(), 0, "a second pull moves nothing");
    eprintln!(
        "figure: real ends, a log of {ENTRIES} entries through {CUTS} cuts with 1 % of the frames broken | {} entries, each once; {:.0} s and {} bytes of line",
        entries.len(),
        wire.now_s(),
        wire.carried()
    );
    (numbers.len() as u64, entries.len() as u64, wire.carried())
}

#[test]
fn a_log_pulled_by_the_real_ends_through_cuts_is_the_log_each_time() {
    let (first, second) = (pulled_through_cuts(11), pulled_through_cuts(11));
    assert_eq!(first.0, second.0);
    assert_eq!(first.0, u64::from(ENTRIES + MEANWHILE));
}

#[test]
fn info_is_answered_by_the_real_unit_while_a_transfer_fills_the_line() {
    let bench = bench(4_000);
    let wire = Wire::new(&bench, 3);
    let mut session = wire.open(1).unwrap();
    let window = session.window();
    let request = PullRequest { what: PullWhat::Log { from: 1 }, window, kept: None };
    let mut slowest = 0.0f64;
    for _ in 0..10 {
        // Anew each time, since nobody takes the chunks here: the unit sends a window of them.
        session.call::<StartPull>(&request).unwrap();
        let (start_s, before) = (wire.now_s(), wire.carried());
        session.call::<GetInfo>(&Nothing {}).unwrap();
        slowest = slowest.max(wire.now_s() - start_s);
        assert!(wire.carried() - before > u64::from(window.chunk_bytes), "no transfer ran");
    }
    eprintln!(
        "figure: real ends, info while a pull fills a line of 115200 baud | {:.0} ms at most",
        slowest * 1000.0
    );
    // The chunks that stand before the answer, the answer itself (below 600 bytes), and the latencies.
    let queued_s = (3.0 * f64::from(window.chunk_bytes) + 600.0) / 11_520.0;
    assert!(slowest <= queued_s + 0.05, "{slowest} s");
    let mut log = Vec::new();
    session.pull_log(1, window, &mut log, &mut |_| {}).unwrap();
    assert!(log.len() >= 64 * 4_000);
}
