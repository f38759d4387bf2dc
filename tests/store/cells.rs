//! The layout of cells, on NAND flash in memory and on a file that stands for a device.
//!
//! That a store on it survives every cut and every bad block is in `power`, `log_power` and `gallery_power`.

use crate::bed::{Bed, SHAPE};
use crate::{MODEL, entry, name, template};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use threshold_record::PersonId;
use threshold_store::cells::{MIN_DEVICE_BYTES, Nand, NandFault, Shape, format, is_formatted};
use threshold_store::{
    Cells, CellsError, Device, Flash, FlashFault, LogSize, MockFlash, Object, RESERVE_BYTES,
    Series, Store, StoreError, StoreSize,
};

const LOG: Object = Object::Segment(1);

pub(crate) fn blank() -> Nand {
    let mut nand = Nand::new(SHAPE);
    format(&mut nand).unwrap();
    nand.copy()
}

pub(crate) fn cells(nand: &Nand) -> Cells<Nand> {
    Cells::open(nand.clone()).unwrap()
}

pub(crate) fn all(flash: &impl Flash, object: Object) -> Option<Vec<u8>> {
    flash.read_all(object, 1 << 20).unwrap()
}

/// Bytes that differ from place to place.
pub(crate) fn bytes(len: usize, mark: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ mark).collect()
}

#[test]
fn what_was_appended_replaced_and_removed_is_read_by_the_next_start() {
    let nand = blank();
    let mut flash = cells(&nand);
    assert!(flash.append(LOG, b"hello").is_err(), "it is not there");
    // Bases that end before, at and behind the end of a page and of a cell.
    let capacity = 512 * (SHAPE.block_pages as usize - 3);
    for len in [0, 1, 511, 512, 513, capacity - 512, capacity - 1, capacity, capacity + 1, 9_999] {
        let base = bytes(len, 1);
        flash.replace(LOG, &base).unwrap();
        let mut expected = base;
        for (at, len) in [1, 480, 481, 5_000, 33].into_iter().enumerate() {
            let more = bytes(len, at as u8);
            flash.append(LOG, &more).unwrap();
            expected.extend(&more);
            assert_eq!(all(&flash, LOG).as_ref(), Some(&expected), "{len} behind {at}");
            flash.sync(LOG).unwrap();
        }
        let reopened = cells(&nand);
        assert_eq!(all(&reopened, LOG).as_ref(), Some(&expected));
        let mut part = vec![0; 700];
        let read = reopened.read(LOG, len as u64 + 100, &mut part).unwrap();
        assert_eq!(part[..read], expected[len + 100..len + 100 + read]);
        flash = reopened;
        flash.append(LOG, b"behind a start").unwrap();
        expected.extend(b"behind a start");
        assert_eq!(all(&flash, LOG).as_ref(), Some(&expected));
    }
    flash
        .replace_all(&[(Object::Tombstones, b"one"), (Object::GallerySegment(7), b"two")])
        .unwrap();
    assert_eq!(flash.segments(Series::Gallery), [7]);
    assert_eq!(all(&cells(&nand), Object::Tombstones).unwrap(), b"one");
    flash.remove(LOG).unwrap();
    flash.remove(LOG).unwrap();
    assert_eq!(cells(&nand).len(LOG), Ok(None));
    assert_eq!(nand.violations(), [""; 0]);
}

/// True if any page holds 16 bytes of these in a row.
fn holds(nand: &Nand, secret: &[u8]) -> bool {
    let pieces: std::collections::HashSet<&[u8]> = secret.windows(16).step_by(16).collect();
    nand.pages().iter().any(|(_, _, page)| page.windows(16).any(|bytes| pieces.contains(bytes)))
}

#[test]
fn what_was_removed_is_off_the_medium_whatever_a_cut_took() {
    let secret = bytes(3_000, 77);
    let removals: [fn(&mut Cells<Nand>) -> bool; 2] = [
        |flash| flash.remove(Object::GallerySegment(1)).is_ok(),
        |flash| flash.replace(Object::GallerySegment(1), b"without").is_ok(),
    ];
    let mut cuts = 0;
    for remove in removals {
        let nand = blank();
        let mut flash = cells(&nand);
        flash.replace(Object::GallerySegment(1), &secret[..900]).unwrap();
        flash.append(Object::GallerySegment(1), &secret[900..]).unwrap();
        flash.sync(Object::GallerySegment(1)).unwrap();
        assert!(holds(&nand, &secret));
        let before = nand.copy();
        let whole = before.copy();
        assert!(remove(&mut cells(&whole)));
        assert!(!holds(&whole, &secret));
        for (write, lot) in (1..=whole.writes()).flat_map(|at| (0..12).map(move |lot| (at, lot))) {
            let nand = before.copy();
            nand.cut_power_at(write, lot);
            let _ = remove(&mut cells(&nand));
            nand.power_on();
            // Half gone it is asked for again, as the store does; and the first write of a start erases the rest.
            let mut flash = cells(&nand);
            assert!(remove(&mut flash), "write {write}, lot {lot}");
            flash.replace(Object::Wiping, b"any").unwrap();
            assert!(!holds(&nand, &secret), "write {write}, lot {lot}");
            assert_eq!(nand.violations(), [""; 0], "write {write}, lot {lot}");
            cuts += 1;
        }
    }
    assert!(cuts > 100, "{cuts} cuts");
}

#[test]
fn a_replace_that_was_cut_off_while_a_template_was_written_leaves_none_of_it() {
    let secret = bytes(5_000, 78);
    let before = blank();
    cells(&before).replace(Object::Anchor, b"old").unwrap();
    let whole = before.copy();
    cells(&whole).replace(Object::GallerySegment(1), &secret).unwrap();
    let mut lost = 0;
    for (write, lot) in (1..=whole.writes()).flat_map(|at| (0..20).map(move |lot| (at, lot))) {
        let nand = before.copy();
        nand.cut_power_at(write, lot);
        let _ = cells(&nand).replace(Object::GallerySegment(1), &secret);
        nand.power_on();
        let mut flash = cells(&nand);
        flash.replace(Object::Anchor, b"new").unwrap();
        let found = all(&flash, Object::GallerySegment(1));
        assert!(found.is_none() || found.as_ref() == Some(&secret), "write {write}, lot {lot}");
        lost += u64::from(found.is_none());
        assert_eq!(found.is_some(), holds(&nand, &secret), "write {write}, lot {lot}");
    }
    assert!(lost > 20, "{lost} were lost");
}

#[test]
fn a_page_that_was_durable_and_cannot_be_read_is_a_fault_and_stays_what_it_is() {
    let nand = blank();
    let mut flash = cells(&nand);
    flash.replace(LOG, &bytes(600, 1)).unwrap();
    flash.replace(Object::Anchor, b"an anchor").unwrap();
    for mark in 0..9 {
        flash.append(LOG, &bytes(900, mark)).unwrap();
        flash.sync(LOG).unwrap();
    }
    let whole = all(&flash, LOG).unwrap();
    let pages = nand.pages();
    // The pages of the log's frames, but for the last one: that could be torn.
    let frames: Vec<_> = pages.iter().filter(|(.., bytes)| bytes.starts_with(b"FRM1")).collect();
    for (block, page, _) in &frames[..frames.len() - 1] {
        let nand = nand.copy();
        nand.spoil(*block, *page);
        let mut flash = cells(&nand);
        let there = nand.pages();
        assert_eq!(flash.len(LOG).unwrap(), Some(whole.len() as u64), "page {page} of {block}");
        let mut into = vec![0; whole.len()];
        let error = flash.read(LOG, 0, &mut into).unwrap_err();
        assert_eq!(error.fault, FlashFault::Io, "{error}");
        assert_eq!(nand.pages(), there);
        flash.replace(Object::Anchor, b"another").unwrap();
        let left = nand.pages();
        let lost = frames.iter().filter(|(block, page, _)| {
            !left.iter().any(|(held, at, _)| (held, at) == (block, page))
        });
        assert_eq!(lost.count(), 0, "what may still be saved is erased");
    }
    // A head that is gone, of the first cell and of another.
    let heads = pages.iter().filter(|(_, page, bytes)| *page == 2 && bytes[8] == 10);
    for (block, page, _) in heads {
        let nand = nand.copy();
        nand.spoil(*block, *page);
        let flash = cells(&nand);
        let mut into = vec![0; whole.len()];
        let read = flash.read(LOG, 0, &mut into);
        assert!(read.is_err() || into[..read.unwrap()] != whole, "the head of block {block}");
    }
}

#[test]
fn what_was_appended_before_a_sync_that_failed_for_another_is_never_acknowledged() {
    let mut lost = 0;
    for after in 1..=8 {
        let nand = blank();
        let mut flash = cells(&nand);
        flash.replace(Object::Anchor, b"before").unwrap();
        flash.replace(LOG, b"base").unwrap();
        flash.append(LOG, b" and more").unwrap();
        // One of these is the sync that makes the anchor's replace count.
        nand.fail_at(nand.writes() + after, NandFault::Error);
        let _ = flash.replace(Object::Anchor, &[7; 100]);
        let acknowledged = flash.sync(LOG).is_ok();
        let copy = nand.copy();
        copy.cut_power(1);
        copy.power_on();
        let there = all(&cells(&copy), LOG).unwrap();
        assert!(!acknowledged || there == b"base and more", "{after}: {there:?}");
        lost += u32::from(!acknowledged);
        if !acknowledged {
            assert!(flash.append(LOG, b"!").is_err());
        }
        flash.replace(LOG, b"anew").unwrap();
        flash.append(LOG, b"!").unwrap();
        flash.sync(LOG).unwrap();
        nand.cut_power(1);
        nand.power_on();
        assert_eq!(all(&cells(&nand), LOG).unwrap(), b"anew!");
    }
    assert!(lost > 0);
}

#[test]
fn a_full_medium_is_full_until_something_goes() {
    let nand = blank();
    let mut flash = cells(&nand);
    let mut written = 0;
    let full = (1..999).find_map(|number| {
        let replaced = flash.replace(Object::Segment(number), &bytes(4_000, number as u8));
        written += u32::from(replaced.is_ok());
        replaced.err()
    });
    assert_eq!(full.map(|error| error.fault), Some(FlashFault::Full));
    assert_eq!(written, SHAPE.blocks - 2 - 4, "all cells but those that are kept for a start");
    assert_eq!(flash.append(LOG, &bytes(4_000, 1)).unwrap_err().fault, FlashFault::Full);
    flash.remove(Object::Segment(3)).unwrap();
    flash.append(LOG, b"goes on").unwrap();
    let mut flash = cells(&nand);
    assert_eq!(flash.segments(Series::Log).len() as u32, written - 1);
    assert_eq!(flash.replace(Object::Anchor, b"a").unwrap_err().fault, FlashFault::Full);
    flash.remove(Object::Segment(4)).unwrap();
    flash.replace(Object::Anchor, b"a").unwrap();
}

#[test]
fn on_a_full_medium_what_gives_back_as_much_as_it_takes_is_replaced_at_every_cut() {
    let nand = blank();
    let mut flash = cells(&nand);
    flash.replace(Object::Anchor, b"before").unwrap();
    let full = (1..999).find_map(|n| flash.replace(Object::Segment(n), &bytes(4_000, 1)).err());
    assert_eq!(full.map(|error| error.fault), Some(FlashFault::Full));
    let began = nand.writes();
    flash.replace(Object::Anchor, b"after").unwrap();
    let writes = nand.writes() - began;
    assert!(flash.replace(Object::Anchor, &bytes(60_000, 1)).is_err(), "more than it gives back");
    assert!(flash.replace(Object::Segment(999), b"new").is_err(), "gives nothing back");
    // Again and again, cut anywhere, and the margin is there at each start.
    for at in 1..=writes {
        let torn = nand.copy();
        let mut flash = cells(&torn);
        torn.cut_power_at(torn.writes() + at, at);
        let cut = flash.replace(Object::Anchor, b"later").is_err();
        torn.power_on();
        let mut flash = cells(&torn);
        let found = all(&flash, Object::Anchor).unwrap();
        assert!(found == b"later" || cut && found == b"after", "write {at}: {found:?}");
        flash.replace(Object::Anchor, b"goes on").unwrap();
        assert_eq!(all(&cells(&torn), Object::Anchor).unwrap(), b"goes on", "write {at}");
    }
}

#[test]
fn a_medium_that_filled_while_nobody_tidied_is_tidied_and_takes_people_again() {
    let bed = Bed::cells();
    let log = LogSize { segment_bytes: 4096, segments: 4 };
    let size = StoreSize { log, gallery_segment_bytes: 4096 };
    let (mut store, _) = Store::open_sized(bed.body().unwrap(), bed.keys(), size).unwrap();
    store.load_gallery(MODEL).unwrap();
    let people: Vec<PersonId> =
        ["Ann", "Bob", "Cid"].map(|who| store.add_person(name(who)).unwrap()).to_vec();
    // Templates that take each other's place leave segments of dead records.
    let full = (0..100_000_u32).find_map(|at| {
        let (person, slot) = (people[at as usize % 3], (at / 3 % 3) as u8);
        store.put_template(template(person, slot, (at % 100) as i8 + 1)).err()
    });
    assert!(full.is_some_and(|error| error.is_full()));
    while store.tidy_up().unwrap() {}
    for round in 0..200 {
        let person = store.add_person(name("goes on")).unwrap();
        store.put_template(template(person, 0, (round % 100) as i8)).unwrap();
        store.commit(entry(round)).unwrap();
        store.remove_person(person).unwrap();
        while store.tidy_up().unwrap() {}
    }
    drop(store);
    let (mut store, _) = Store::open_sized(bed.body().unwrap(), bed.keys(), size).unwrap();
    store.load_gallery(MODEL).unwrap();
    assert_eq!(store.gallery().unwrap().members().count(), 3);
}

#[test]
fn blocks_wear_alike_and_bad_ones_are_left_out() {
    let nand = blank();
    let mut flash = cells(&nand);
    for round in 0..2_000_u32 {
        // A sync that fails is the one that is told.
        if flash.replace(Object::Anchor, &round.to_le_bytes()).is_err() {
            flash.replace(Object::Anchor, &round.to_le_bytes()).unwrap();
        }
        if round % 500 == 99 {
            nand.fail_at(nand.writes() + u64::from(round % 7) + 1, NandFault::BlockGone);
        }
    }
    let fill = flash.fill();
    assert_eq!(fill.bad as usize, nand.bad().len());
    assert!((1..=4).contains(&fill.bad), "{fill:?}");
    // 2,000 erases of 70 and more cells.
    assert!(fill.most_erased < 40, "{fill:?}");
    assert_eq!(all(&cells(&nand), Object::Anchor).unwrap(), 1999_u32.to_le_bytes());
    assert_eq!(nand.violations(), [""; 0]);
}

#[test]
fn a_medium_that_was_not_formatted_to_the_end_is_refused_with_its_remedy() {
    let whole = Nand::new(SHAPE);
    format(&mut whole.clone()).unwrap();
    for write in 1..whole.writes() {
        let mut nand = Nand::new(SHAPE);
        nand.cut_power_at(write, write);
        format(&mut nand).unwrap_err();
        nand.power_on();
        // With the last write under way it may be whole.
        if is_formatted(&nand).unwrap() {
            assert!(write + 2 >= whole.writes(), "write {write}");
            continue;
        }
        assert_eq!(Cells::open(nand.clone()).err(), Some(CellsError::NotFormatted));
        format(&mut nand).unwrap_or_else(|error| panic!("write {write}: {error}"));
        Cells::open(nand).unwrap();
    }
    let small = Shape { blocks: 23, ..SHAPE };
    let error = format(&mut Nand::new(small)).unwrap_err();
    assert!(matches!(error, CellsError::TooSmall { .. }), "{error}");
}

#[test]
fn flash_whose_first_blocks_are_bad_is_formatted_in_the_other_one() {
    let formatted = |bad: &[u32]| {
        let mut nand = Nand::new(SHAPE);
        bad.iter().for_each(|&block| nand.set_bad(block));
        format(&mut nand).map(|()| nand)
    };
    for bad in [[0, 5], [1, 7]] {
        let nand = formatted(&bad).unwrap();
        let mut cells = Cells::open(nand.clone()).unwrap();
        cells.replace(Object::Anchor, b"here").unwrap();
        drop(cells);
        let cells = Cells::open(nand.clone()).unwrap();
        assert_eq!(cells.read_all(Object::Anchor, 9).unwrap().unwrap(), b"here");
        assert_eq!((cells.fill().bad, nand.violations()), (1, Vec::<String>::new()));
    }
    let error = formatted(&[0, 1]).unwrap_err();
    assert_eq!(error, CellsError::NoPlace);
}

fn device(folder: &Path) -> PathBuf {
    let path = folder.join("device");
    fs::File::create(&path).unwrap().set_len(MIN_DEVICE_BYTES).unwrap();
    path
}

fn opened(path: &Path, keys: &MockFlash) -> Result<Store, StoreError> {
    let cells = Cells::open(Device::open(path)?)?;
    let (mut store, _) = Store::open(Box::new(cells), keys.keys())?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

#[test]
fn a_store_on_a_device_is_there_at_the_next_start_and_nobody_else_has_it_open() {
    let folder = tempfile::tempdir().unwrap();
    let (path, keys) = (device(folder.path()), MockFlash::new());
    assert_eq!(opened(&path, &keys).err(), Some(CellsError::NotFormatted.into()));
    format(&mut Device::to_format(&path).unwrap()).unwrap();
    for start in 1..=3_u32 {
        let mut store = opened(&path, &keys).unwrap();
        assert_eq!(store.boot(), start);
        assert_eq!(store.log_head(), 200 * u64::from(start - 1));
        assert_eq!(store.gallery().unwrap().n_templates() as u32, start - 1);
        assert_eq!(store.has_reserve(), Ok(start > 1));
        let id = store.add_person(name(&format!("person {start}"))).unwrap();
        store.put_template(template(id, 0, start as i8)).unwrap();
        for mark in 0..200 {
            store.commit(entry(mark)).unwrap();
        }
        // Each commit is a page at least; a start alone writes a few, and erases what it replaced.
        let written = store.figures().unwrap().written_bytes;
        assert!((200 * 512..2 << 20).contains(&written), "{written}");
        store.make_reserve().unwrap();
        let more = store.figures().unwrap().written_bytes - written;
        let reserve = RESERVE_BYTES as u64;
        assert!(start > 1 || (reserve..reserve + (1 << 17)).contains(&more), "{more}");
        // And again as much is overwritten when it goes.
        store.take_reserve().unwrap();
        let taken = store.figures().unwrap().written_bytes - written - more;
        assert!((reserve..2 * reserve).contains(&taken), "{taken}");
        store.make_reserve().unwrap();
        assert_eq!(Device::open(&path).err(), Some(CellsError::Busy));
        assert_eq!(Device::to_format(&path).err(), Some(CellsError::Busy));
    }
    let cells = Cells::open(Device::open(&path).unwrap()).unwrap();
    // The reserve of 1 MiB takes 9 of them, everything else one or a few.
    let fill = cells.fill();
    assert_eq!((fill.cells, fill.bad), ((MIN_DEVICE_BYTES >> 17) as u32 - 2, 0));
    assert!((1..=24).contains(&(fill.cells - fill.free)), "{fill:?}");
}

#[test]
fn a_device_that_holds_no_store_or_one_of_a_later_program_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = device(folder.path());
    let check = |expected: fn(&CellsError) -> bool, remedy: &str| {
        let before = fs::read(&path).unwrap();
        let error = Device::open(&path).and_then(Cells::open).err().unwrap();
        assert!(expected(&error), "{error}");
        assert!(error.to_string().contains(remedy), "{error}");
        assert!(before == fs::read(&path).unwrap());
    };
    let not_formatted = |error: &CellsError| *error == CellsError::NotFormatted;
    let put = |at: u64, bytes: &[u8]| {
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(bytes, at).unwrap();
    };
    check(not_formatted, "; see that it is the right device, and format it with");
    put(1080, b"\x53\xef of another");
    check(not_formatted, "format it with");
    format(&mut Device::to_format(&path).unwrap()).unwrap();
    // Either superblock serves.
    put(0, &[0; 512]);
    Cells::open(Device::open(&path).unwrap()).unwrap();
    put(128 << 10, &[0; 512]);
    check(not_formatted, "format it with");
    format(&mut Device::to_format(&path).unwrap()).unwrap();
    // What is damaged says nothing, of a later program either.
    put(8, &[2, 0]);
    Cells::open(Device::open(&path).unwrap()).unwrap();
    put((128 << 10) + 8, &[2, 0]);
    check(not_formatted, "format it with");
    let mut later = fs::read(&path).unwrap()[..24].to_vec();
    later.extend(crc32fast::hash(&later).to_le_bytes());
    for block in [0, 128 << 10] {
        put(block, &later);
    }
    check(
        |error| matches!(error, CellsError::Later { found: 2, supported: 1 }),
        "; start the newer threshold-edge",
    );
    format(&mut Device::to_format(&path).unwrap()).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(MIN_DEVICE_BYTES / 2).unwrap();
    check(|error| matches!(error, CellsError::OtherSize { .. }), "; give the partition its size");
    let error = Device::to_format(&path).err().unwrap();
    assert!(error.to_string().contains("; name a larger device"), "{error}");
    assert_eq!(Device::open(folder.path()).err(), Some(CellsError::NoDevice));
    let absent = Device::open(&folder.path().join("absent")).err().unwrap();
    assert!(absent.to_string().contains("; check the device"), "{absent}");
}

#[test]
fn a_removal_of_a_person_takes_the_template_off_the_medium_at_every_cut() {
    let base = Bed::cells();
    let Bed::Cells(nand, _) = &base else { return };
    let mut store = base.opened();
    let ada = store.add_person(name("Ada")).unwrap();
    let grace = store.add_person(name("Grace")).unwrap();
    store.put_template(template(grace, 0, 2)).unwrap();
    store.put_template(template(ada, 0, 1)).unwrap();
    let sealed = all(&cells(nand), Object::GallerySegment(1)).unwrap()[24..].to_vec();
    drop(store);
    let life = |bed: &Bed| -> Result<(), StoreError> {
        let (mut store, _) = bed.open()?;
        store.load_gallery(MODEL)?;
        store.remove_person(ada)?;
        while store.tidy_up()? {}
        Ok(())
    };
    let whole = base.copy();
    life(&whole).unwrap();
    for write in 1..=whole.writes() {
        let bed = base.copy();
        bed.cut_power_at(write, write);
        let removed = life(&bed);
        bed.power_on();
        let mut store = bed.opened();
        if removed.is_ok() || store.gallery().unwrap().member(ada).is_none() {
            while store.tidy_up().unwrap() {}
            let Bed::Cells(nand, _) = &bed else { return };
            assert!(!holds(nand, &sealed), "write {write}");
        }
        assert!(store.gallery().unwrap().member(PersonId(2)).is_some());
    }
}
