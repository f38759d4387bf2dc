//! A life of cells on a device: a plain file of the least size, or what `THRESHOLD_FLASH` names, all of which is erased. So the same test
//! runs on a partition and on raw flash, which `cargo xtask vm nand` has.
//!
//! The law: what was written is there, at once and at the next start, whatever pages and blocks turned out bad; and where
//! `THRESHOLD_FLASH_LOSES` says that the flash loses pages, each read gives what was written or an error.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use threshold_mtd::{open, to_format};
use threshold_store::cells::{MIN_DEVICE_BYTES, format};
use threshold_store::{Cells, CellsError, Flash, FlashFault, Object};
use threshold_tests::lots::Lots;

/// Acts; each writes 20 KiB on the average.
const ACTS: u64 = 600;

const OBJECTS: [Object; 6] = [
    Object::Anchor,
    Object::Tombstones,
    Object::Segment(1),
    Object::Segment(2),
    Object::GallerySegment(1),
    Object::GallerySegment(2),
];

/// The device, and the folder that it lies in if it is a file.
fn device() -> (PathBuf, Option<tempfile::TempDir>) {
    if let Some(named) = named() {
        return (named, None);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("device");
    std::fs::File::create(&path).unwrap().set_len(MIN_DEVICE_BYTES).unwrap();
    (path, Some(folder))
}

/// The device that is named for tests.
pub(crate) fn named() -> Option<PathBuf> {
    std::env::var_os("THRESHOLD_FLASH").map(PathBuf::from)
}

fn opened(path: &Path) -> Cells<Box<dyn threshold_store::cells::Medium>> {
    open(path).and_then(Cells::open).unwrap()
}

#[test]
fn whatever_was_written_is_there_at_once_and_at_the_next_start() {
    let (path, _folder) = device();
    format(&mut to_format(&path).unwrap()).unwrap();
    let loses = std::env::var_os("THRESHOLD_FLASH_LOSES").is_some();
    let mut lots = Lots(6);
    let mut cells = opened(&path);
    assert_eq!(open(&path).err(), Some(CellsError::Busy));
    assert_eq!(to_format(&path).err(), Some(CellsError::Busy));
    let mut model: BTreeMap<Object, Vec<u8>> = BTreeMap::new();
    let (mut starts, mut seen, mut lost) = (0, 0, 0);
    for act in 0..ACTS {
        let object = lots.one_of(&OBJECTS);
        let len = lots.below(40_000) as usize;
        let bytes: Vec<u8> = std::iter::repeat_with(|| lots.below(256) as u8).take(len).collect();
        match lots.below(10) {
            0..4 => {
                cells.replace(object, &bytes).unwrap();
                model.insert(object, bytes);
            }
            4..7 => {
                if let Some(held) = model.get_mut(&object) {
                    cells.append(object, &bytes).unwrap();
                    cells.sync(object).unwrap();
                    held.extend(bytes);
                    if held.len() > 400_000 {
                        cells.remove(object).unwrap();
                        model.remove(&object);
                    }
                }
            }
            7 => {
                cells.remove(object).unwrap();
                model.remove(&object);
            }
            8 => {
                drop(cells);
                cells = opened(&path);
                starts += 1;
            }
            _ => {}
        }
        let mut damaged = Vec::new();
        // Flash that is simulated on an emulated processor is slow: all are read at a start, and what was written at once.
        let looked_at = if starts > seen { &OBJECTS[..] } else { &[object] };
        seen = starts;
        for &object in looked_at {
            match cells.read_all(object, 1 << 20) {
                Ok(read) => assert!(read.as_ref() == model.get(&object), "act {act}, {object}"),
                Err(error) if loses && error.fault == FlashFault::Io => damaged.push(object),
                Err(error) => panic!("act {act}: {error}"),
            }
        }
        for object in damaged {
            lost += 1;
            cells.replace(object, b"anew").unwrap();
            model.insert(object, b"anew".to_vec());
        }
    }
    assert!(loses == (lost > 0), "{lost} objects were lost");
    let fill = cells.fill();
    println!("{}: {ACTS} acts, {starts} starts, {lost} objects lost, {fill:?}", path.display());
}
