//! The gallery with the power cut, and with an error, at every operation of the flash.
//!
//! `THRESHOLD_ROUNDS` repeats the random lives with other seeds, and makes the short sequences longer, as in the long sweep
//! `cargo xtask soak store`.

use crate::bed::Bed;
use crate::gallery_model::{Operation, Run, drawn};
use threshold_store::FlashFault;
use threshold_tests::lots::Lots;

/// Rounds of the random lives: one, or as many as `THRESHOLD_ROUNDS` says.
fn rounds() -> u64 {
    std::env::var("THRESHOLD_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What is done to the flash in the middle of a life.
#[derive(Clone, Copy, Debug)]
enum Harm {
    None,
    /// The power goes at a write; the lot draws what stays.
    Cut(u64, u64),
    /// Writes fail from one on, this many, and half of each is done.
    Fail(u64, u64, FlashFault),
}

/// What a life came to.
#[derive(Clone, Copy, Debug, Default)]
struct Lived {
    /// Operations of the flash that change something.
    writes: u64,
    /// How often the power went.
    cuts: u64,
}

/// True for a change of the gallery, which needs nothing of the log.
fn of_gallery(operation: Operation) -> bool {
    use Operation::{Access, Add, Put, PutMany, Remove, Schedule};
    matches!(operation, Add | Put(..) | PutMany(_) | Access(_) | Schedule(..) | Remove(_))
}

/// Goes through operations under harm.
fn live(mut run: Run, operations: &[Operation], harm: Harm) -> Lived {
    let flash = run.flash.clone();
    match harm {
        Harm::None => {}
        Harm::Cut(write, lot) => flash.cut_power_at(write, lot),
        Harm::Fail(write, count, fault) => {
            (write..write + count).for_each(|write| flash.fail_at(write, fault));
        }
    }
    let mut opened = run.open();
    for &operation in operations {
        if opened.is_err() && !flash.is_off() {
            // A start that failed is tried again.
            opened = run.open();
        }
        if flash.is_off() || opened.is_err() {
            break;
        }
        let before = flash.writes();
        let outcome = run.step(operation);
        match harm {
            // A write that failed keeps no later change of the gallery from being made.
            Harm::Fail(write, count, _) if before + 1 >= write + count && of_gallery(operation) => {
                assert_eq!(outcome, Ok(()), "{operation:?} after {harm:?}");
            }
            Harm::None => outcome.unwrap(),
            _ if matches!(operation, Operation::Reopen | Operation::Rebase | Operation::Switch) => {
                opened = outcome;
            }
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
            fork.flash.power_on();
            fork.flash.cut_power_at(again, lot + again);
            let _ = fork.open();
            lived.cuts += u64::from(fork.flash.is_off());
            fork.go_on();
        }
    }
    if let Harm::Fail(write, ..) = harm {
        // What a start shows after an error is durable, although the error was a sync's.
        while flash.writes() < write + 8 && run.open().is_err() {}
        run.open().unwrap();
        flash.cut_power(write);
    }
    run.go_on();
    flash.check(&format!("{harm:?}"));
    lived
}

#[test]
fn random_lives_of_a_gallery_survive_a_cut_and_an_error_at_every_write() {
    let mut cuts = 0;
    for seed in 0..10 * rounds() {
        let mut lots = Lots(seed);
        let segment_bytes = lots.one_of(&[800, 1200, 3000]);
        let operations: Vec<Operation> = (0..32).map(|_| drawn(&mut lots)).collect();
        let life = |harm| live(Run::new(Bed::objects(), segment_bytes), &operations, harm);
        for write in 1..=life(Harm::None).writes {
            for lot in 0..3 {
                cuts += life(Harm::Cut(write, 1000 * seed + lot)).cuts;
            }
            life(Harm::Fail(write, 1, FlashFault::Io));
            life(Harm::Fail(write, 2, FlashFault::Io));
            life(Harm::Fail(write, 3, FlashFault::Full));
        }
    }
    assert!(cuts >= 5_000 * rounds(), "{cuts} cuts");
}

#[test]
fn random_lives_of_a_gallery_on_cells_survive_a_cut_and_a_bad_block_at_every_program_and_erase() {
    let mut cuts = 0;
    for seed in 0..2 * rounds() {
        let mut lots = Lots(seed);
        let segment_bytes = lots.one_of(&[800, 1200, 3000]);
        let operations: Vec<Operation> = (0..24).map(|_| drawn(&mut lots)).collect();
        let life = |harm| live(Run::new(Bed::cells(), segment_bytes), &operations, harm);
        for write in 1..=life(Harm::None).writes {
            cuts += life(Harm::Cut(write, 1000 * seed + write)).cuts;
            life(Harm::Fail(write, 1, FlashFault::Io));
            life(Harm::Fail(write, 3, FlashFault::Full));
            life(Harm::Fail(write, 1 + write % 3, FlashFault::ReadOnly));
            let unmarked = Run::new(Bed::unmarked(), segment_bytes);
            live(unmarked, &operations, Harm::Fail(write, 1 + write % 3, FlashFault::Io));
        }
    }
    assert!(cuts >= 1_000 * rounds(), "{cuts} cuts");
}

/// Every sequence of so many operations of a small alphabet.
fn sequences(len: usize) -> impl Iterator<Item = Vec<Operation>> {
    let alphabet = [
        Operation::Add,
        Operation::Put(0, 0),
        Operation::Put(1, 1),
        Operation::Remove(0),
        Operation::Tidy,
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

/// A gallery of so many people with a template each, of whom some were removed again, closed.
fn filled(people: usize, removed: usize) -> Run {
    let mut run = Run::new(Bed::objects(), 800);
    run.open().unwrap();
    for at in 0..people {
        run.step(Operation::Add).unwrap();
        run.step(Operation::Put(at, 0)).unwrap();
    }
    for at in 0..removed {
        run.step(Operation::Remove(at)).unwrap();
    }
    run.fork()
}

#[test]
fn a_gallery_for_each_of_two_models_survives_a_cut_and_an_error_at_every_step_of_an_update() {
    let mut cuts = 0;
    // Staged, started by the new version, who was there changed and removed, and then confirmed or gone back from.
    let staged = [Operation::Beside, Operation::PutBeside(0), Operation::PutBeside(2)];
    let on_trial = [
        Operation::Switch,
        Operation::Remove(1),
        Operation::Access(0),
        Operation::Add,
        Operation::Put(3, 0),
    ];
    let confirmed = [Operation::DropBeside, Operation::Tidy, Operation::Tidy, Operation::Reopen];
    let reverted = [Operation::Switch, Operation::Reopen, Operation::Beside, Operation::Tidy];
    for base in [filled(4, 0), filled(5, 1)] {
        for ending in [confirmed, reverted] {
            let operations: Vec<Operation> =
                staged.into_iter().chain(on_trial).chain(ending).collect();
            let life = |harm| live(base.fork(), &operations, harm);
            for write in 1..=life(Harm::None).writes {
                for lot in 0..8 * rounds() {
                    cuts += life(Harm::Cut(write, lot)).cuts;
                }
                life(Harm::Fail(write, 1, FlashFault::Io));
                life(Harm::Fail(write, 2, FlashFault::Io));
                life(Harm::Fail(write, 3, FlashFault::Full));
            }
        }
    }
    assert!(cuts >= 1_500 * rounds(), "{cuts} cuts");
}

#[test]
fn every_short_sequence_survives_every_cut_on_segments_of_a_few_records() {
    let len = match rounds() {
        1 => 2,
        2..100 => 3,
        _ => 4,
    };
    let mut cuts = 0;
    // Empty, a segment, and several with what is to be cleaned.
    for base in [filled(0, 0), filled(1, 0), filled(4, 0), filled(5, 2)] {
        for operations in sequences(len) {
            let life = |harm| live(base.fork(), &operations, harm);
            for write in 1..=life(Harm::None).writes {
                for lot in 0..4 {
                    cuts += life(Harm::Cut(write, lot)).cuts;
                }
                life(Harm::Fail(write, 1, FlashFault::Io));
                life(Harm::Fail(write, 2, FlashFault::Io));
            }
        }
    }
    assert!(cuts >= 5_000, "{cuts} cuts");
}
