//! The log with the power cut, and with an error, at every operation of the flash.
//!
//! `THRESHOLD_ROUNDS` repeats the random lives with other seeds, at least 20,000 cuts a round, and makes the short sequences
//! longer, as in the long sweep `cargo xtask soak store`.

use crate::bed::Bed;
use crate::log_model::{Operation, Run};
use threshold_record::ContextKind;
use threshold_store::{FlashFault, LogSize};
use threshold_tests::lots::Lots;

/// Rounds of the random lives: one, or as many as `THRESHOLD_ROUNDS` says.
pub(crate) fn rounds() -> u64 {
    std::env::var("THRESHOLD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// Three segments of three entries each.
const TINY: LogSize = LogSize { segment_bytes: 780, segments: 3 };

/// What is done to the flash in the middle of a life.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    /// The power goes at a write; the lot draws what stays.
    Cut(u64, u64),
    /// A write fails, and half of it is done.
    Fail(u64, FlashFault),
}

fn drawn(lots: &mut Lots) -> Operation {
    let kinds = [ContextKind::Model, ContextKind::Policy, ContextKind::Config];
    match lots.below(18) {
        0..=4 => Operation::Append,
        5..=8 => Operation::Commit,
        9 | 10 => Operation::Sync,
        11 | 12 => Operation::Context(lots.one_of(&kinds), lots.below(2) as u8),
        13 => Operation::Lockout,
        14 => Operation::Read,
        15 => Operation::Rotate,
        16 => Operation::Prune,
        _ => Operation::Reopen,
    }
}

/// What a life came to.
#[derive(Clone, Copy, Debug, Default)]
struct Lived {
    /// Operations of the flash that change something.
    writes: u64,
    /// How often the power went.
    cuts: u64,
}

/// Goes through operations under harm.
fn live(mut run: Run, operations: &[Operation], seed: u64, harm: Harm) -> Lived {
    let flash = run.flash.clone();
    match harm {
        Harm::None => {}
        Harm::Cut(write, lot) => flash.cut_power_at(write, lot),
        Harm::Fail(write, fault) => flash.fail_at(write, fault),
    }
    let mut lots = Lots(seed);
    let mut opened = run.open();
    for &operation in operations {
        if opened.is_err() && !flash.is_off() {
            // A start that failed is tried again.
            opened = run.open();
        }
        if flash.is_off() || opened.is_err() {
            break;
        }
        let outcome = run.step(operation, &mut lots);
        match harm {
            Harm::None => outcome.unwrap(),
            // After an error the unit goes on, until the log says that it cannot.
            _ if outcome == Err(threshold_store::StoreError::LogStopped) => opened = run.open(),
            _ if operation == Operation::Reopen => opened = outcome,
            _ => {}
        }
    }
    let mut lived = Lived { writes: flash.writes(), cuts: 0 };
    if let Harm::Cut(_, lot) = harm {
        if !flash.is_off() {
            flash.cut_power(lot);
        }
        lived.cuts = 1;
        // The power goes again in the middle of the recovery.
        for again in 1..=4 {
            let mut fork = run.fork();
            fork.flash.cut_power_at(again, lot + again);
            let _ = fork.open();
            lived.cuts += u64::from(fork.flash.is_off());
            fork.go_on(&mut lots.clone());
        }
    }
    if let Harm::Fail(..) = harm {
        // What a start shows after an error is durable, although the error was a sync's.
        run.open().unwrap();
        flash.cut_power(seed);
    }
    run.go_on(&mut lots);
    flash.check(&format!("seed {seed}, {harm:?}"));
    lived
}

#[test]
fn random_lives_survive_a_cut_and_an_error_at_every_write() {
    let mut cuts = 0;
    for seed in 0..24 * rounds() {
        let mut lots = Lots(seed);
        let size = LogSize {
            segment_bytes: lots.one_of(&[500, 800, 1400]),
            segments: lots.one_of(&[2, 3, 5]),
        };
        let operations: Vec<Operation> = (0..40).map(|_| drawn(&mut lots)).collect();
        let life = |harm| live(Run::new(Bed::objects(), size), &operations, seed, harm);
        for write in 1..=life(Harm::None).writes {
            for lot in 0..3 {
                cuts += life(Harm::Cut(write, 1000 * seed + lot)).cuts;
            }
            life(Harm::Fail(write, FlashFault::Io));
            life(Harm::Fail(write, FlashFault::Full));
        }
    }
    assert!(cuts >= 20_000 * rounds(), "{cuts} cuts");
}

#[test]
fn random_lives_on_cells_survive_a_cut_and_a_bad_block_at_every_program_and_erase() {
    let mut cuts = 0;
    for seed in 0..2 * rounds() {
        let mut lots = Lots(seed);
        let size =
            LogSize { segment_bytes: lots.one_of(&[4500, 6500]), segments: lots.one_of(&[2, 3]) };
        let operations: Vec<Operation> = (0..30).map(|_| drawn(&mut lots)).collect();
        let life = |harm| live(Run::new(Bed::cells(), size), &operations, seed, harm);
        for write in 1..=life(Harm::None).writes {
            cuts += life(Harm::Cut(write, 1000 * seed + write)).cuts;
            life(Harm::Fail(write, FlashFault::Io));
            life(Harm::Fail(write, FlashFault::Full));
            life(Harm::Fail(write, FlashFault::ReadOnly));
            let unmarked = Run::new(Bed::unmarked(), size);
            live(unmarked, &operations, seed, Harm::Fail(write, FlashFault::Io));
        }
    }
    assert!(cuts >= 1_000 * rounds(), "{cuts} cuts");
}

/// Every sequence of so many operations of a small alphabet.
fn sequences(len: usize) -> impl Iterator<Item = Vec<Operation>> {
    let alphabet = [
        Operation::Append,
        Operation::Commit,
        Operation::Sync,
        Operation::Context(ContextKind::Config, 0),
        Operation::Context(ContextKind::Config, 1),
        Operation::Reopen,
    ];
    (0..alphabet.len().pow(len as u32)).map(move |mut drawn| {
        let mut next = || {
            let operation = alphabet[drawn % alphabet.len()];
            drawn /= alphabet.len();
            operation
        };
        (0..len).map(|_| next()).collect()
    })
}

/// A log in which so many entries were written, closed.
fn filled(entries: usize) -> Run {
    let mut run = Run::new(Bed::objects(), TINY);
    let mut lots = Lots(entries as u64);
    run.open().unwrap();
    run.step(Operation::Context(ContextKind::Config, 0), &mut lots).unwrap();
    run.step(Operation::Context(ContextKind::Model, 1), &mut lots).unwrap();
    for _ in 0..entries {
        run.step(Operation::Commit, &mut lots).unwrap();
    }
    run.fork()
}

#[test]
fn every_short_sequence_survives_every_cut_on_three_segments_of_three_entries() {
    let len = match rounds() {
        1 => 3,
        2..100 => 4,
        _ => 5,
    };
    let mut cuts = 0;
    // Empty, a segment all but full, and one entry before the oldest segment goes.
    for base in [filled(0), filled(2), filled(8), filled(9)] {
        for operations in sequences(len) {
            let life = |harm| live(base.fork(), &operations, 7, harm);
            for write in 1..=life(Harm::None).writes {
                for lot in 0..3 {
                    cuts += life(Harm::Cut(write, lot)).cuts;
                }
                life(Harm::Fail(write, FlashFault::Io));
            }
        }
    }
    assert!(cuts >= 70_000, "{cuts} cuts");
}

#[test]
fn a_prune_survives_every_cut_with_whatever_comes_before_and_after_it() {
    let mut cuts = 0;
    // Without an entry, with all of them in the last segment, and with one, two and three segments full.
    for base in [filled(0), filled(2), filled(3), filled(5), filled(8), filled(9)] {
        // The seed draws what is asked of each prune: from what on, of how many, and with which checkpoint.
        for (seed, around) in (0..).zip(sequences(2)) {
            let operations = [around[0], Operation::Prune, around[1], Operation::Prune];
            let life = |harm| live(base.fork(), &operations, seed, harm);
            for write in 1..=life(Harm::None).writes {
                for lot in 0..3 {
                    cuts += life(Harm::Cut(write, lot)).cuts;
                }
                life(Harm::Fail(write, FlashFault::Io));
                life(Harm::Fail(write, FlashFault::Full));
            }
        }
    }
    assert!(cuts >= 15_000, "{cuts} cuts");
}
