//! Tests of the area `store`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

mod administrators;
mod bed;
mod cells;
mod cells_faults;
mod commission;
mod conversion;
mod counter;
mod damage;
mod device;
mod files;
mod forge;
mod found;
mod full;
mod gallery_access;
mod gallery_beside;
mod gallery_conversion;
mod gallery_damage;
mod gallery_model;
mod gallery_pace;
mod gallery_power;
mod gallery_removal;
mod golden;
mod golden_cells;
mod kill;
mod leftovers;
mod log_model;
mod log_power;
mod medium;
mod numbers;
mod pace;
mod power;
mod process;
mod prune;
mod removal;
mod rotation;
mod segments;
mod tampering;
mod tpm;
mod wipe;

use threshold_record::{EntryKind, LogEntry, ModelId, Name, PersonId, Template};
use threshold_store::{MockFlash, Object, Store};

/// The model of every gallery in these tests.
const MODEL: ModelId = ModelId([7; 32]);

/// What a small store consists of.
const OBJECTS: [Object; 5] = [
    Object::Keys,
    Object::GallerySegment(1),
    Object::Tombstones,
    Object::Anchor,
    Object::Segment(1),
];

/// A store on that flash, gallery loaded.
fn open(flash: &MockFlash) -> Store {
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    store.load_gallery(MODEL).unwrap();
    store
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A template that can be told from others by its mark.
fn template(person: PersonId, slot: u8, mark: i8) -> Template {
    let vector = (0..128).map(|at| if at == 0 { 1 } else { mark }).collect();
    Template { person, slot, quality: 80, model: MODEL.tag(), scale: 0.01, vector }
}

/// An entry that can be told from others by its mark.
fn entry(mark: u32) -> LogEntry {
    LogEntry { person: PersonId(mark), ..LogEntry::of(EntryKind::Decision) }
}
