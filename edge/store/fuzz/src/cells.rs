//! Cells of a medium: a sound one with harm done to its pages, and the law that holds whatever they hold.
//!
//! Refuses to know more of the layout than where a page's checksum stands and how much it covers.

use std::collections::BTreeMap;
use threshold_store::cells::{Nand, Shape, format};
use threshold_store::{Cells, Flash, Object, Series};

/// As small as cells get, so that a harm meets something.
pub const SHAPE: Shape = Shape { page_bytes: 512, block_pages: 8, blocks: 24 };

/// Sound media: formatted alone, with some objects, and with appends, a replace of several and a removal behind them.
///
/// # Panics
/// If the cells do not do their work on a sound medium.
#[must_use]
pub fn sound() -> [Nand; 3] {
    let mut nand = Nand::new(SHAPE);
    format(&mut nand).expect("a sound medium");
    let bare = nand.copy();
    let mut cells = Cells::open(nand.clone()).expect("it was formatted");
    cells.replace(Object::Anchor, b"an anchor").expect("room");
    cells.replace(Object::Segment(1), &[1; 700]).expect("room");
    cells.replace(Object::GallerySegment(1), &[2; 4_000]).expect("room");
    cells.append(Object::Segment(1), &[3; 300]).expect("room");
    cells.sync(Object::Segment(1)).expect("it is sound");
    let some = nand.copy();
    cells.append(Object::Segment(1), &[4; 2_500]).expect("room");
    cells.sync(Object::Segment(1)).expect("it is sound");
    let both: [(Object, &[u8]); 2] = [(Object::Anchor, b"another"), (Object::Tombstones, &[5; 90])];
    cells.replace_all(&both).expect("room");
    cells.append(Object::Segment(1), b"not synced").expect("room");
    cells.remove(Object::GallerySegment(1)).expect("it is sound");
    [bare, some, nand.copy()]
}

/// Makes the checksum of a page fit, whichever kind its tag says; of a frame as far as its length goes in `bytes`.
pub fn make_fit(block: u32, bytes: &mut [u8]) {
    if bytes.starts_with(b"THRCEL\r\n") && bytes.len() >= 28 {
        let crc = crc32fast::hash(&bytes[..24]);
        bytes[24..28].copy_from_slice(&crc.to_le_bytes());
        return;
    }
    let covered = match bytes.first_chunk() {
        Some(b"CLN1") => 4,
        Some(b"CLM1") => 0,
        Some(b"HED1") => 64,
        Some(b"CNT1") => 8,
        Some(b"FRM1") => {
            let Some(len) = bytes.get(28..).and_then(|bytes| bytes.first_chunk()) else { return };
            24 + u32::from_le_bytes(*len) as usize
        }
        _ => return,
    };
    let Some(content) = bytes.get(8..8_usize.saturating_add(covered)) else { return };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block.to_le_bytes());
    hasher.update(content);
    bytes[4..8].copy_from_slice(&hasher.finalize().to_le_bytes());
}

/// Every object that is there.
fn objects(cells: &Cells<Nand>) -> Vec<Object> {
    let segments = Series::ALL.into_iter().flat_map(|series| {
        cells.segments(series).into_iter().map(move |number| series.segment(number))
    });
    Object::FIXED.into_iter().chain(segments).collect()
}

/// What became of a medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Pages that are damaged or gone: no checksum vouches for them.
    Damage,
    /// Pages whose checksums fit and that nobody wrote there.
    Forgery,
}

/// Opens a medium and does with it what a store does.
///
/// # Panics
/// If the law is broken: a medium is refused and left as it is, or it goes on and opens again; and if it is damaged alone, what could
/// be read or was taken is there then.
pub fn live(nand: &Nand, harm: Harm) {
    let before = nand.pages();
    let opened = Cells::open(nand.clone());
    assert!(nand.pages() == before, "opening changed it");
    let Ok(mut cells) = opened else { return };
    // What can be read without an error stays what it is, unless it is replaced.
    let mut there = BTreeMap::new();
    for object in objects(&cells) {
        if let Ok(Some(bytes)) = cells.read_all(object, 1 << 20) {
            there.insert(object, Some(bytes));
        }
    }
    for (object, bytes) in [(Object::Administrators, &[6; 1_100][..]), (Object::Anchor, b"anew")] {
        there.remove(&object);
        if cells.replace(object, bytes).is_ok() {
            there.insert(object, Some(bytes.to_vec()));
        }
    }
    let log = Object::Segment(1);
    if let Some(Some(mut bytes)) = there.remove(&log) {
        let appended = cells.append(log, &[7; 600]).and_then(|()| cells.sync(log));
        if appended.is_ok() {
            bytes.extend([7; 600]);
            there.insert(log, Some(bytes));
        }
    }
    let removed = Object::GallerySegment(1);
    there.remove(&removed);
    if cells.remove(removed).is_ok() {
        there.insert(removed, None);
    }
    drop(cells);
    let cells = Cells::open(nand.clone()).expect("cells that opened and went on open again");
    for (object, bytes) in there {
        let found = cells.read_all(object, 1 << 20);
        if harm == Harm::Forgery {
            // The store's seals tell: a piece that says a place of another is read there.
            continue;
        }
        assert!(found.as_ref() == Ok(&bytes), "{object}: {found:?} is not {bytes:?}");
    }
}
