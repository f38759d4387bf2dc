//! An image of each layout of cells, kept for ever under `golden`: every later store opens it and finds what was there.
//!
//! The newest layout's image is also made anew and compared, so that it cannot change unseen; see `golden` for blessing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use threshold_store::cells::{Nand, Shape, format};
use threshold_store::{Cells, Device, Flash, Object, Series};

/// As small as cells get.
const SHAPE: Shape = Shape { page_bytes: 512, block_pages: 8, blocks: 40 };

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("store/golden/cells-1.img")
}

/// Bytes that differ from place to place.
fn bytes(len: usize, mark: u8) -> Vec<u8> {
    (0..len).map(|at| (at as u8).wrapping_mul(31) ^ mark).collect()
}

/// What the golden image went through: every kind of object, bases of several cells, frames in their cells and in others, what was
/// replaced and what was removed. Gives what is there then.
fn life(flash: &mut impl Flash) -> BTreeMap<Object, Vec<u8>> {
    let mut there = BTreeMap::new();
    let fixed = Object::FIXED.into_iter().chain([Object::Commission]);
    let series = [Object::Segment(1), Object::Segment(70_000), Object::GallerySegment(3)];
    for (object, mark) in fixed.chain(series).zip(1..) {
        let base = bytes(usize::from(mark) * 300, mark);
        flash.replace(object, &base).unwrap();
        there.insert(object, base);
    }
    for (object, len, mark) in [
        (Object::Segment(1), 100, 40),
        (Object::Segment(1), 3_000, 41),
        (Object::GallerySegment(3), 700, 42),
        (Object::Segment(1), 481, 43),
    ] {
        let more = bytes(len, mark);
        flash.append(object, &more).unwrap();
        flash.sync(object).unwrap();
        there.entry(object).or_default().extend(more);
    }
    let both = [(Object::Anchor, bytes(90, 50)), (Object::GallerySegment(4), bytes(2_000, 51))];
    flash.replace_all(&both.each_ref().map(|(object, bytes)| (*object, bytes.as_slice()))).unwrap();
    there.extend(both);
    for object in [Object::Wiping, Object::Segment(70_000)] {
        flash.remove(object).unwrap();
        there.remove(&object);
    }
    // Not synced, and read all the same.
    flash.append(Object::Segment(1), b"the last").unwrap();
    there.entry(Object::Segment(1)).or_default().extend(b"the last");
    there
}

/// The bytes of a medium, block for block.
fn image(nand: &Nand) -> Vec<u8> {
    let mut image = vec![0xff; SHAPE.bytes() as usize];
    for (block, page, bytes) in nand.pages() {
        let at = block as usize * SHAPE.block_bytes() as usize + page as usize * bytes.len();
        image[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    image
}

fn check(flash: &impl Flash, expected: &BTreeMap<Object, Vec<u8>>) {
    for (&object, bytes) in expected {
        assert_eq!(flash.read_all(object, 1 << 20).unwrap().as_ref(), Some(bytes), "{object}");
    }
    assert_eq!(flash.len(Object::Wiping), Ok(None));
    assert_eq!(flash.segments(Series::Log), [1]);
    assert_eq!(flash.segments(Series::Gallery), [3, 4]);
}

#[test]
fn the_newest_layout_of_cells_is_written_to_the_byte() {
    let mut nand = Nand::new(SHAPE);
    format(&mut nand).unwrap();
    life(&mut Cells::open(nand.clone()).unwrap());
    let made = image(&nand);
    if std::env::var_os("THRESHOLD_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(path(), &made).unwrap();
    }
    assert!(
        made == std::fs::read(path()).unwrap(),
        "another layout (THRESHOLD_BLESS=1 accepts it)"
    );
}

#[test]
fn every_released_layout_of_cells_opens_and_holds_what_was_written() {
    let mut nand = Nand::new(SHAPE);
    format(&mut nand).unwrap();
    let mut expected = life(&mut Cells::open(nand).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("device");
    std::fs::copy(path(), &device).unwrap();
    let mut flash = Cells::open(Device::open(&device).unwrap()).unwrap();
    check(&flash, &expected);
    // It goes on, and stays.
    flash.append(Object::Segment(1), b", and on").unwrap();
    flash.sync(Object::Segment(1)).unwrap();
    expected.entry(Object::Segment(1)).or_default().extend(b", and on");
    flash.replace(Object::Keys, b"others").unwrap();
    expected.insert(Object::Keys, b"others".to_vec());
    drop(flash);
    check(&Cells::open(Device::open(&device).unwrap()).unwrap(), &expected);
}
