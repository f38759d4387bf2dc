//! A medium of cells that fails for a while, or has no room to mend: what was acknowledged stays, and the store goes on once it can.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::bed::{Bed, SHAPE};
use crate::cells::{all, blank, bytes, cells};
use crate::{MODEL, entry, name, template};
use std::collections::BTreeMap;
use threshold_record::PersonId;
use threshold_store::cells::{Nand, NandFault, Shape, format};
use threshold_store::{Cells, Flash, FlashFault, MockFlash, Object, Store, StoreError};

/// Everything stands there, for this process and for the next one.
fn check(flash: &Cells<Nand>, nand: &Nand, expected: &BTreeMap<Object, Vec<u8>>, what: &str) {
    for body in [flash, &cells(nand)] {
        for (&object, bytes) in expected {
            let mut read = vec![0; bytes.len()];
            let count = body.read(object, 0, &mut read);
            assert_eq!(count, Ok(bytes.len()), "{what}: {object}");
            assert!(read == *bytes, "{what}: {object}");
        }
    }
    assert_eq!(nand.violations(), [""; 0], "{what}");
}

#[test]
fn a_removal_that_a_read_only_medium_stopped_gives_no_cell_to_two_objects() {
    let before = blank();
    let mut flash = cells(&before);
    let mut kept = BTreeMap::new();
    for number in 1..=3 {
        let object = Object::GallerySegment(number);
        // Ten cells: more than the last four, which are given out to nobody.
        flash.replace(object, &bytes(45_000, number as u8)).unwrap();
        kept.insert(object, bytes(45_000, number as u8));
    }
    drop(flash);
    let removed = Object::GallerySegment(2);
    kept.remove(&removed);
    let whole = before.copy();
    cells(&whole).remove(removed).unwrap();
    let mut stopped = 0;
    for write in 1..=whole.writes() {
        for again in [false, true] {
            let nand = before.copy();
            let mut flash = cells(&nand);
            nand.fail_at(write, NandFault::ReadOnly);
            let Err(error) = flash.remove(removed) else { continue };
            assert_eq!(error.fault, FlashFault::ReadOnly, "write {write}");
            stopped += 1;
            let mut expected = kept.clone();
            // It is not read-only any more, and everything that is clean is given out.
            for number in 10.. {
                let bytes = bytes(3_000, number as u8);
                match flash.replace(Object::Segment(number), &bytes) {
                    Ok(()) => drop(expected.insert(Object::Segment(number), bytes)),
                    Err(error) => {
                        assert_eq!(error.fault, FlashFault::Full, "write {write}");
                        assert!(error.to_string().contains("; remove people, or"), "{error}");
                        break;
                    }
                }
            }
            flash.remove(Object::Segment(10)).unwrap();
            expected.remove(&Object::Segment(10));
            match again {
                true => flash.remove(removed).unwrap(),
                false => flash.replace(removed, b"anew").unwrap(),
            }
            check(&flash, &nand, &expected, &format!("write {write}, {again}"));
            assert_eq!(all(&flash, removed).is_none(), again);
        }
    }
    assert!(stopped > 10, "{stopped} were stopped");
}

#[test]
fn a_write_error_that_passes_on_a_medium_without_marks_stops_nothing_behind_it() {
    let life = |flash: &mut Cells<Nand>, round: u8| {
        flash.replace(Object::Anchor, &bytes(900, round))?;
        flash.append(Object::Segment(1), &bytes(700, round))?;
        flash.sync(Object::Segment(1))?;
        flash.replace(Object::GallerySegment(1), &bytes(9_000, round))?;
        flash.remove(Object::GallerySegment(1))
    };
    let begun = blank();
    begun.without_marks();
    cells(&begun).replace(Object::Segment(1), b"").unwrap();
    let writes = {
        let nand = begun.copy();
        let mut flash = cells(&nand);
        life(&mut flash, 1).unwrap();
        let first = nand.writes();
        life(&mut flash, 2).unwrap();
        first + 1..=nand.writes()
    };
    let mut went_on = 0;
    for write in writes.clone() {
        let nand = begun.copy();
        let mut flash = cells(&nand);
        life(&mut flash, 1).unwrap();
        nand.fail_at(write, NandFault::Error);
        went_on += u32::from(life(&mut flash, 2).is_ok());
        // What a failed sync lost is made anew, as the store does.
        flash.replace(Object::Segment(1), b"").unwrap();
        life(&mut flash, 3).unwrap_or_else(|error| panic!("write {write}: {error}"));
        let expected = [(Object::Anchor, bytes(900, 3)), (Object::Segment(1), bytes(700, 3))];
        check(&flash, &nand, &expected.into(), &format!("write {write}"));
        let fill = flash.fill();
        assert!(fill.bad <= 1, "write {write}: {fill:?}");
        assert_eq!(cells(&nand).fill().bad, 0, "the next start has all of them");
    }
    // A page that was not programmed goes into another cell.
    assert!(went_on > 5, "{went_on} of {writes:?} went on");
}

#[test]
fn a_medium_without_marks_that_failed_for_long_has_its_cells_when_it_is_back() {
    let nand = blank();
    nand.without_marks();
    let mut flash = cells(&nand);
    let log = Object::Segment(900);
    flash.replace_all(&[(Object::Anchor, b"before"), (log, b"")]).unwrap();
    let (begin, end) = (nand.writes(), nand.writes() + 2_000);
    (begin..end).for_each(|write| nand.fail_at(write + 1, NandFault::Error));
    let mut tries = 0;
    while nand.writes() < end {
        // It fails and is not full, which would have the reserve given up for nothing.
        let failed = [flash.append(log, b"lost"), flash.replace(Object::Anchor, b"lost")];
        for error in failed.into_iter().filter_map(Result::err) {
            assert_eq!(error.fault, FlashFault::Io, "{error}");
            assert!(error.to_string().contains("and start the unit again"), "{error}");
        }
        tries += 1;
        assert!(tries < 2_000, "{} of {end} writes", nand.writes());
    }
    flash.remove(log).unwrap();
    // Nearly the whole medium is wanted: what was set aside is used again.
    for number in 1..=SHAPE.blocks - 2 - 4 - 1 {
        let replaced = flash.replace(Object::Segment(number), &bytes(3_000, number as u8));
        replaced.unwrap_or_else(|error| panic!("{number}: {error}, {:?}", flash.fill()));
    }
    flash.remove(Object::Segment(1)).unwrap();
    flash.replace(Object::Anchor, b"after").unwrap();
    assert_eq!(all(&cells(&nand), Object::Anchor).unwrap(), b"after");
    assert_eq!(nand.violations(), [""; 0]);
}

#[test]
fn a_reserve_that_a_cut_left_unconfirmed_on_a_full_medium_does_not_keep_the_next_start_from_writing()
 {
    let filled = blank();
    let mut flash = cells(&filled);
    flash.replace(Object::Anchor, b"an anchor").unwrap();
    // As large a part of the medium as 1 MiB is of a small device: more cells than are kept for mending.
    let reserve = bytes(9 * 4_500, 1);
    for number in 1..=SHAPE.blocks - 2 - 1 - 10 - 4 {
        flash.replace(Object::Segment(number), b"full").unwrap();
    }
    drop(flash);
    let mut unconfirmed = 0;
    for seed in 0..40 {
        let nand = filled.copy();
        let mut flash = cells(&nand);
        flash.replace(Object::Reserve, &reserve).unwrap();
        nand.cut_power(seed);
        nand.power_on();
        let mut flash = cells(&nand);
        assert_eq!(all(&flash, Object::Reserve).as_ref(), Some(&reserve));
        let confirmed = nand.pages().iter().filter(|(.., page)| page.starts_with(b"CNT1")).count();
        unconfirmed += u32::from(confirmed as u32 == SHAPE.blocks - 2 - 10 - 4);
        flash
            .replace(Object::Anchor, b"anew")
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        // And its room is given back to a start that finds no other.
        let mut flash = cells(&nand);
        flash.remove(Object::Reserve).unwrap();
        flash.replace(Object::Gallery, &reserve[..9 * 4_000]).unwrap();
        assert_eq!(all(&cells(&nand), Object::Anchor).unwrap(), b"anew");
        assert_eq!(nand.violations(), [""; 0], "seed {seed}");
    }
    assert!(unconfirmed > 0, "the page that confirms it was never lost");
}

#[test]
fn a_reserve_on_cells_that_is_made_and_given_up_survives_a_cut_and_an_error_at_every_write() {
    // The reserve takes 34 of its cells.
    let shape = Shape { page_bytes: 512, block_pages: 64, blocks: 64 };
    let mut begun = Nand::new(shape);
    format(&mut begun).unwrap();
    let (begun, keys) = (begun.copy(), MockFlash::new());
    let open = |nand: &Nand| -> Result<Store, StoreError> {
        let (mut store, _) = Store::open(Box::new(Cells::open(nand.clone())?), keys.keys())?;
        store.load_gallery(MODEL)?;
        Ok(store)
    };
    drop(open(&begun).unwrap());
    // How many entries were acknowledged.
    let life = |nand: &Nand| -> u64 {
        let Ok(mut store) = open(nand) else { return 0 };
        let mut acknowledged = 0;
        for held in [true, false, true] {
            let outcome = if held { store.make_reserve() } else { store.take_reserve() };
            assert!(outcome.is_err() || store.has_reserve() == Ok(held));
            if let Ok(entry) = store.commit(entry(1)) {
                acknowledged = entry.sequence;
            }
        }
        acknowledged
    };
    let begun = begun.copy();
    let whole = begun.copy();
    assert_eq!(life(&whole), 3);
    for write in 1..=whole.writes() {
        for harm in 0..3 {
            let nand = begun.copy();
            match harm {
                0 => nand.fail_at(write, NandFault::Error),
                1 => nand.fail_at(write, NandFault::ReadOnly),
                _ => nand.cut_power_at(write, write),
            }
            let acknowledged = life(&nand);
            nand.power_on();
            let mut store = open(&nand).unwrap_or_else(|error| panic!("{write}, {harm}: {error}"));
            assert!(store.log_head() >= acknowledged, "{write}, {harm}");
            store.commit(entry(2)).unwrap();
            store.make_reserve().unwrap();
            assert_eq!(store.has_reserve(), Ok(true));
            store.take_reserve().unwrap();
            let free = Cells::open(nand.clone()).unwrap().fill().free;
            assert!(free > 40, "{write}, {harm}: {free} free");
            assert_eq!(nand.violations(), [""; 0], "{write}, {harm}");
        }
    }
}

#[test]
fn a_page_that_cannot_be_read_any_more_gives_a_fault_or_what_was_written_and_never_anything_else() {
    let (bed, people) = (Bed::cells(), 4);
    let mut store = bed.opened();
    for mark in 0..people {
        let id = store.add_person(name(&format!("person {mark}"))).unwrap();
        store.put_template(template(id, 0, mark as i8)).unwrap();
        store.commit(entry(mark)).unwrap();
    }
    store.remove_person(PersonId(2)).unwrap();
    for mark in people..12 {
        store.commit(entry(mark)).unwrap();
    }
    let (gallery, head) = (store.gallery().unwrap().clone(), store.log_head());
    let entries = store.log_page(1, 99).unwrap();
    assert_eq!(entries.len() as u64, head);
    drop(store);
    let Bed::Cells(nand, _) = &bed else { return };
    let (mut whole, mut refused, mut shorter) = (0, 0, 0);
    for (block, page, _) in nand.pages() {
        let bed = bed.copy();
        let Bed::Cells(nand, _) = &bed else { return };
        nand.spoil(block, page);
        let Ok((mut store, _)) = bed.open() else {
            refused += 1;
            continue;
        };
        if let Ok(found) = store.load_gallery(MODEL) {
            assert_eq!(*found, gallery, "page {page} of {block}");
        }
        let found = store.log_page(1, 99);
        match &found {
            Ok(found) if *found == entries => whole += 1,
            // The last batch could have been torn: nothing behind it says that it was durable.
            Ok(found) => {
                assert_eq!(*found, entries[..entries.len() - 1], "page {page} of {block}");
                shorter += 1;
            }
            Err(_) => refused += 1,
        }
        bed.check(&format!("page {page} of {block}"));
    }
    println!("{whole} whole, {refused} refused, {shorter} without the last entry");
    assert!(whole > 50 && refused > 5 && shorter <= 1);
}
