//! The link's figures over the fault line: each gates on a ratio to what the line carries, or on virtual time.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "figures are printed for whoever asks with --nocapture, and for the page docs/link.md"
)]

use crate::ends::{LineError, World};
use threshold_host::cmd::gallery::push::PART_S;
use threshold_record::{ModelId, Person, PersonId, Template};
use threshold_tests::fault_line::Faults;
use threshold_tests::lots::Lots;
use threshold_wire::bulk::{BulkError, Window};
use threshold_wire::endpoints::SendEcho;
use threshold_wire::gallery::content::{self, Origin, Told};
use threshold_wire::message::{Echo, LOG_PULL_ENTRIES, PullWhat};

/// Speeds and one-way latencies of the figures.
const LINES: [(u64, u64); 4] = [(115_200, 1), (115_200, 8), (3_000_000, 1), (3_000_000, 8)];

/// About a minute of the line.
fn content(baud: u64, seed: u64) -> Vec<u8> {
    Lots(seed).bytes(baud as usize * 60 / 10)
}

/// Payload per second against the line's bytes per second, once up, once down.
fn efficiency(faults: &Faults, seed: u64) -> [f64; 2] {
    let bytes = content(faults.baud, seed);
    let window = Window::of_baud(faults.baud as u32);
    let mut world = World::in_session(faults.clone(), seed);
    world.push(&bytes, window).unwrap();
    assert_eq!(world.unit.receiver.as_ref().unwrap().1, bytes);
    let up = bytes.len() as f64 / world.line.now_s() / faults.bytes_per_s();
    let mut world = World::in_session(faults.clone(), seed + 1);
    world.unit.log = bytes[..bytes.len().min(64 * LOG_PULL_ENTRIES as usize)].to_vec();
    let (pulled, outcome) = world.pull(PullWhat::Log { from: 0 });
    outcome.unwrap();
    assert!(pulled == world.unit.log);
    let down = pulled.len() as f64 / world.line.now_s() / faults.bytes_per_s();
    [up, down]
}

#[test]
fn a_clean_line_carries_94_percent_payload_both_ways() {
    for (baud, latency_ms) in LINES {
        let [up, down] = efficiency(&Faults::clean(baud, latency_ms), 1);
        eprintln!(
            "figure: payload of the line, clean, {baud} baud, {latency_ms} ms | up {up:.4}, down {down:.4}"
        );
        assert!(up >= 0.94 && down >= 0.94, "{baud} baud, {latency_ms} ms: {up:.4} {down:.4}");
    }
}

/// A gallery goes part by part, each applied before the next one: by two calls, of which the second says that it is done.
#[test]
fn a_gallery_in_parts_keeps_94_percent_payload() {
    for (baud, latency_ms) in LINES {
        let faults = Faults::clean(baud, latency_ms);
        let window = Window::of_baud(baud as u32);
        let mut world = World::in_session(faults.clone(), 5);
        let parts = Lots(5).bytes(3 * (baud / 10 * PART_S) as usize);
        for part in parts.chunks((baud / 10 * PART_S) as usize) {
            world.push(part, window).unwrap();
            assert!(world.unit.receiver.as_ref().unwrap().1 == part);
            // The call that begins a part, and those that apply it.
            for _ in 0..3 {
                let echo = Echo { bytes: [7; 100].into_iter().collect() };
                world.call::<SendEcho>(&echo).unwrap();
            }
        }
        let ratio = parts.len() as f64 / world.line.now_s() / faults.bytes_per_s();
        eprintln!(
            "figure: payload of the line, a gallery in parts of {PART_S} s, {baud} baud, {latency_ms} ms | up {ratio:.4}"
        );
        assert!(ratio >= 0.94, "{baud} baud, {latency_ms} ms: {ratio:.4}");
    }
}

/// A unit is updated in four minutes at 3 Mbaud, also over a cable that changes bits, and what a cut costs is what was under way.
#[test]
fn a_bundle_of_60_mb_takes_less_than_four_minutes_at_3_mbaud() {
    const LEN: usize = 60_000_000;
    let window = Window::of_baud(3_000_000);
    let bytes = Lots(7).bytes(LEN);
    for (bit_errors, most_s) in [(0.0, 220.0), (1e-6, 240.0)] {
        let faults = Faults { bit_errors, ..Faults::clean(3_000_000, 1) };
        let mut world = World::in_session(faults, 7);
        world.push(&bytes, window).unwrap();
        assert!(world.unit.receiver.as_ref().unwrap().1 == bytes);
        let took_s = world.line.now_s();
        eprintln!(
            "figure: a bundle of 60 MB at 3000000 baud, bit error rate {bit_errors} | {took_s:.1} s"
        );
        assert!(took_s <= most_s, "{took_s:.1} s");
    }
    // Cut in the middle: the unit keeps what it has, and the host goes on there in the next session.
    let mut world = World::in_session(Faults::clean(3_000_000, 1), 8);
    world.line.cut_after(LEN as u64 / 2);
    assert!(matches!(world.push(&bytes, window), Err(LineError::Bulk(BulkError::Dead { .. }))));
    let (receiver, staged) = world.unit.receiver.take().unwrap();
    let (kept, cut_s, before) = (receiver.resume(), world.line.now_s(), world.line.carried());
    world.line.mend();
    world.connect().unwrap();
    world.go_on(&bytes, window, &kept, staged);
    world.until_sent().unwrap();
    assert!(world.unit.receiver.as_ref().unwrap().1 == bytes);
    let all = world.line.carried();
    println!(
        "cut at {cut_s:.1} s and {before} bytes, done at {:.1} s and {all}",
        world.line.now_s()
    );
    assert!(all < LEN as u64 / 100 * 106, "{all} bytes for {LEN}");
}

#[test]
fn a_bit_error_rate_of_1e_5_leaves_80_percent() {
    for (baud, latency_ms) in LINES {
        let faults = Faults { bit_errors: 1e-5, ..Faults::clean(baud, latency_ms) };
        let [up, down] = efficiency(&faults, 2);
        eprintln!(
            "figure: payload of the line, bit error rate 1e-5, {baud} baud, {latency_ms} ms | up {up:.4}, down {down:.4}"
        );
        assert!(up >= 0.80 && down >= 0.80, "{baud} baud, {latency_ms} ms: {up:.4} {down:.4}");
    }
}

#[test]
fn a_bit_error_rate_of_1e_4_completes() {
    for (baud, latency_ms) in LINES {
        let faults = Faults { bit_errors: 1e-4, ..Faults::clean(baud, latency_ms) };
        let [up, down] = efficiency(&faults, 3);
        eprintln!(
            "figure: payload of the line, bit error rate 1e-4, {baud} baud, {latency_ms} ms | up {up:.4}, down {down:.4}"
        );
    }
}

#[test]
fn a_bit_error_rate_of_1e_3_completes_or_says_so_and_never_corrupts() {
    let mut completed = 0;
    for (seed, (baud, latency_ms)) in LINES.into_iter().enumerate() {
        let faults = Faults { bit_errors: 1e-3, ..Faults::clean(baud, latency_ms) };
        let bytes = Lots(4).bytes(20_000);
        let mut world = World::in_session(faults, seed as u64);
        let outcome = world.push(&bytes, Window::of_baud(baud as u32));
        println!("{baud} baud, {latency_ms} ms, 1e-3: {outcome:?} at {:.1} s", world.line.now_s());
        match outcome {
            Ok(()) => {
                completed += 1;
                assert!(world.unit.receiver.as_ref().unwrap().1 == bytes);
            }
            Err(LineError::Bulk(BulkError::TooNoisy { .. } | BulkError::Dead { .. })) => {}
            other => panic!("{other:?}"),
        }
        let faults = Faults { bit_errors: 1e-3, ..Faults::clean(baud, latency_ms) };
        let mut world = World::in_session(faults, seed as u64 + 10);
        world.unit.log = Lots(4).bytes(64 * 300);
        let (pulled, outcome) = world.pull(PullWhat::Log { from: 0 });
        println!(
            "{baud} baud, {latency_ms} ms, 1e-3, a pull: {outcome:?} at {:.1} s",
            world.line.now_s()
        );
        match outcome {
            Ok(()) => {
                completed += 1;
                assert!(pulled == world.unit.log);
            }
            // The call that begins it may be lost as often as it is sent.
            Err(
                LineError::Dead
                | LineError::Bulk(BulkError::TooNoisy { .. } | BulkError::Dead { .. }),
            ) => assert!(world.unit.log.starts_with(&pulled)),
            other => panic!("{other:?}"),
        }
    }
    eprintln!(
        "figure: transfers that completed at a bit error rate of 1e-3, the others ended in a typed error | {completed} of {}",
        2 * LINES.len()
    );
}

/// A gallery of 1,000 people with 3 templates of 128 components each, as it is pushed: 420 KB.
fn a_thousand_people() -> Vec<u8> {
    let origin = Origin { model: ModelId([7; 32]), store_id: [8; 16], generation: 4000 };
    let mut lots = Lots(6);
    let people: Vec<(Person, Vec<Template>)> = (1..=1000)
        .map(|id| {
            let id = PersonId(id);
            let person = Person::new(id, &format!("Person number {}", id.0)).unwrap();
            let template = |slot| Template {
                person: id,
                slot,
                quality: 90,
                model: origin.model.tag(),
                scale: 0.01,
                vector: lots.bytes(128).iter().map(|&byte| (byte as i8).max(-127)).collect(),
            };
            (person, (0..3).map(template).collect())
        })
        .collect();
    let people = people.iter().map(|(person, templates)| Told { person, access: None, templates });
    content::write(&origin, [].iter(), people).unwrap()
}

#[test]
fn a_thousand_people_are_provisioned_in_a_minute_at_115_200_and_in_4_s_at_3_megabaud() {
    let gallery = a_thousand_people();
    for (baud, most_s) in [(115_200, 60.0), (3_000_000, 4.0)] {
        let mut world = World::new(Faults::clean(baud, 8), 1);
        world.connect().unwrap();
        world.push(&gallery, Window::of_baud(baud as u32)).unwrap();
        // What stands there is asked for before, and applied after in three batches; each is one call.
        for _ in 0..5 {
            let echo = Echo { bytes: [7; 100].into_iter().collect() };
            world.call::<SendEcho>(&echo).unwrap();
        }
        eprintln!(
            "figure: 1,000 people x 3 templates ({} bytes) at {baud} baud | {:.2} s",
            gallery.len(),
            world.line.now_s()
        );
        assert!(world.line.now_s() <= most_s, "{} s", world.line.now_s());
    }
}

#[test]
fn every_operation_on_a_dead_line_ends_within_five_seconds() {
    for (baud, latency_ms) in LINES {
        let faults = Faults::clean(baud, latency_ms);
        // Nobody there at all.
        let mut world = World::new(faults.clone(), 1);
        world.line.cut_now();
        assert_eq!(world.connect(), Err(LineError::Dead));
        assert!(world.line.now_s() <= 5.0);
        // Cut after so many bytes of whatever is under way.
        for bytes in [0, 1, 30, 500, 5_000, 20_000] {
            let mut world = World::in_session(faults.clone(), bytes);
            world.line.cut_after(bytes);
            let outcome = world.push(&Lots(1).bytes(100_000), Window::of_baud(baud as u32));
            let ended_s = world.line.now_s();
            assert!(matches!(outcome, Err(LineError::Bulk(BulkError::Dead { .. }))), "{outcome:?}");
            let sent_s = bytes as f64 / faults.bytes_per_s();
            assert!(ended_s - sent_s <= 5.0, "{ended_s} s");
            let mut world = World::in_session(faults.clone(), bytes);
            world.unit.log = Lots(2).bytes(64 * 2_000);
            world.line.cut_after(bytes);
            let (_, outcome) = world.pull(PullWhat::Log { from: 0 });
            assert!(outcome.is_err());
            assert!(world.line.now_s() - sent_s <= 5.0);
            let mut world = World::in_session(faults.clone(), bytes);
            world.line.cut_after(bytes);
            let echo = Echo { bytes: [7; 200].into_iter().collect() };
            let start_s = world.line.now_s();
            let mut outcome = Ok(echo.clone());
            let mut last_s = start_s;
            while outcome.is_ok() {
                last_s = world.line.now_s();
                outcome = world.call::<SendEcho>(&echo);
            }
            assert_eq!(outcome, Err(LineError::Dead));
            assert!(world.line.now_s() - last_s <= 5.0);
        }
    }
}

#[test]
fn hello_and_handshake_take_50_ms_of_a_line_of_3_megabaud() {
    for (baud, latency_ms) in LINES {
        let mut world = World::new(Faults::clean(baud, latency_ms), 1);
        world.connect().unwrap();
        let ms = world.line.now_s() * 1000.0;
        eprintln!("figure: hello and handshake, {baud} baud, {latency_ms} ms | {ms:.1} ms");
        assert!(ms <= if baud == 3_000_000 { 50.0 } else { 100.0 }, "{ms} ms");
    }
}

#[test]
fn calls_are_answered_while_a_transfer_runs() {
    for (baud, latency_ms) in LINES {
        let mut world = World::in_session(Faults::clean(baud, latency_ms), 1);
        let bytes = Lots(3).bytes(baud as usize);
        let window = Window::of_baud(baud as u32);
        world.start_push(&bytes, window);
        let mut slowest = 0.0f64;
        for _ in 0..20 {
            let start = world.line.now_s();
            let echo = Echo { bytes: [7; 100].into_iter().collect() };
            assert_eq!(world.call::<SendEcho>(&echo), Ok(echo));
            slowest = slowest.max(world.line.now_s() - start);
        }
        world.until_sent().unwrap();
        assert!(world.unit.receiver.as_ref().unwrap().1 == bytes);
        eprintln!(
            "figure: slowest call during a transfer, {baud} baud, {latency_ms} ms | {:.1} ms",
            slowest * 1000.0
        );
        // Two chunks may be queued before it, and the answer comes back on a free lane.
        let queued = 3.0 * f64::from(window.chunk_bytes) / (baud as f64 / 10.0);
        assert!(slowest <= queued + 0.002 * latency_ms as f64 + 0.04, "{slowest} s");
    }
}

#[test]
fn a_faulty_line_delivers_what_was_sent_and_nothing_else() {
    for seed in 0..12 {
        let mut lots = Lots(seed);
        let mut rate = |most: f32| f64::from(lots.unit() * most);
        let faults = Faults {
            bit_errors: rate(3e-5),
            damaged: rate(0.1),
            dropped: rate(0.1),
            doubled: rate(0.1),
            swapped: rate(0.1),
            stalled: rate(0.01),
            stall_us: 300_000,
            ..Faults::clean(LINES[seed as usize % 4].0, LINES[seed as usize % 4].1)
        };
        let bytes = Lots(seed + 100).bytes(100_000 + seed as usize);
        let mut world = World::in_session(faults.clone(), seed);
        world.push(&bytes, Window::of_baud(faults.baud as u32)).unwrap();
        assert!(world.unit.receiver.as_ref().unwrap().1 == bytes);
        world.unit.log = bytes[..64 * 1500].to_vec();
        // On a line that loses two frames of five, a call may be lost as often as it is sent; then it is made anew.
        let (pulled, outcome) = (0..3)
            .map(|_| world.pull(PullWhat::Log { from: 0 }))
            .find(|(_, outcome)| *outcome != Err(LineError::Dead))
            .unwrap();
        outcome.unwrap();
        assert!(pulled == world.unit.log);
    }
}

#[test]
fn a_log_pulled_through_100_cuts_is_the_log_and_a_second_pull_moves_nothing() {
    let count = pull_through_100_cuts(9);
    assert_eq!(pull_through_100_cuts(10), count, "the same count on each run");
}

/// Pulls 200,000 entries through 100 cuts; gives how many were kept.
fn pull_through_100_cuts(seed: u64) -> u64 {
    const ENTRIES: u64 = 200_000;
    let mut lots = Lots(seed);
    let faults = Faults { damaged: 0.01, ..Faults::clean(3_000_000, 1) };
    let mut world = World::new(faults, seed);
    // Every entry tells its own sequence.
    let entry = |sequence: u64| {
        let mut bytes = [sequence as u8; 64];
        bytes[..8].copy_from_slice(&sequence.to_le_bytes());
        bytes
    };
    world.unit.log = (1..=ENTRIES).flat_map(entry).collect();
    let mut appended = ENTRIES;
    let mut kept: Vec<u8> = Vec::new();
    let (mut cuts, mut moved) = (0, 0u64);
    let mut idle = 0;
    while idle == 0 {
        if cuts < 100 {
            // Three quarters of the log by the last cut.
            world.line.cut_after(lots.below(64 * ENTRIES * 3 / 2 / 100));
        }
        while !world.line.is_cut() && idle == 0 {
            match world.connect() {
                Ok(()) => {}
                Err(_) => continue,
            }
            loop {
                // The door goes on while its log is read.
                if appended < ENTRIES + 500 {
                    appended += 1;
                    world.unit.log.extend(entry(appended));
                }
                let from = kept.len() as u64 / 64 + 1;
                let (bytes, outcome) = world.pull(PullWhat::Log { from });
                let whole = bytes.len() / 64 * 64;
                kept.extend(&bytes[..whole]);
                moved += whole as u64;
                match outcome {
                    Ok(()) if whole == 0 => {
                        idle += 1;
                        break;
                    }
                    Ok(()) => {}
                    Err(_) => break,
                }
            }
        }
        if world.line.is_cut() {
            cuts += 1;
            let until_ms = world.line.now_ms() + lots.below(3000);
            world.run(until_ms, |_| false);
            world.line.mend();
        }
    }
    eprintln!(
        "figure: a log of 200,000 entries through {cuts} cuts with 1 % of the frames broken, seed {seed} | {appended} entries, each once; {:.0} s of line",
        world.line.now_s()
    );
    assert_eq!(cuts, 100);
    assert_eq!(moved, 64 * appended);
    assert!(kept == world.unit.log, "the union is the log: no gap, no duplicate");
    let before = world.line.carried();
    let from = kept.len() as u64 / 64 + 1;
    let (bytes, outcome) = world.pull(PullWhat::Log { from });
    assert_eq!((bytes.len(), outcome), (0, Ok(())));
    assert!(world.line.carried() - before < 500, "a second pull moves no entry");
    appended
}
