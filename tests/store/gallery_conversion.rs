//! A gallery in one snapshot, of formats 1 and 2, becomes sealed segments at its first start, whatever happens meanwhile.
//!
//! The snapshots are made here byte by byte, since no program writes them any more.

use crate::{MODEL, name, template};
use threshold_record::PersonId;
use threshold_store::{
    Flash, FlashFault, LogSize, MockFlash, Object, Series, Store, StoreError, StoreSize,
};

const PEOPLE: u32 = 9;
const GENERATION: u64 = 40;

/// A few people to a segment.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 4096, segments: 2 }, gallery_segment_bytes: 800 };

/// The snapshot of so many people with a template each.
fn snapshot(people: u32, generation: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for id in 1..=people {
        let text = format!("person {id}");
        body.extend_from_slice(&id.to_le_bytes());
        body.push(text.len() as u8);
        body.extend_from_slice(text.as_bytes());
    }
    for id in 1..=people {
        let held = template(PersonId(id), 0, id as i8);
        body.extend_from_slice(&id.to_le_bytes());
        body.extend_from_slice(&[held.slot, held.quality]);
        body.extend_from_slice(&held.scale.to_le_bytes());
        body.extend_from_slice(&(held.vector.len() as u16).to_le_bytes());
        body.extend(held.vector.iter().map(|&component| component as u8));
    }
    let mut bytes = b"THRGAL\r\n\x01\0\0\0".to_vec();
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&generation.to_le_bytes());
    bytes.extend_from_slice(&MODEL.0);
    bytes.extend_from_slice(&people.to_le_bytes());
    bytes.extend_from_slice(&people.to_le_bytes());
    bytes.extend_from_slice(&body);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// A flash of format 1 with that snapshot and no log, whose anchor had seen [`GENERATION`].
fn flash(snapshot: Option<Vec<u8>>) -> MockFlash {
    let mut anchor = b"THRANC\r\n\x01\0\0\0".to_vec();
    anchor.extend_from_slice(&[0; 4]);
    anchor.extend_from_slice(&GENERATION.to_le_bytes());
    anchor.extend_from_slice(&[0; 20]);
    anchor.extend_from_slice(&crc32fast::hash(&anchor).to_le_bytes());
    let flash = MockFlash::new();
    flash.set_bytes(Object::Anchor, Some(anchor));
    flash.set_bytes(Object::Gallery, snapshot);
    flash
}

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    let mut store = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?.0;
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// The people and templates of the snapshot are there, in segments, and the snapshot is not.
fn check(flash: &MockFlash, what: &str) {
    let mut store = open(flash).unwrap();
    let gallery = store.gallery().unwrap();
    assert_eq!(
        (gallery.n_people() as u32, gallery.n_templates() as u32),
        (PEOPLE, PEOPLE),
        "{what}"
    );
    for (member, id) in gallery.members().zip(1..) {
        assert_eq!(member.person.name.as_str(), format!("person {id}"), "{what}");
        assert_eq!(member.templates, [template(PersonId(id), 0, id as i8)], "{what}");
    }
    assert!(gallery.generation() >= GENERATION, "{what}");
    assert_eq!(flash.bytes(Object::Gallery), None, "{what}");
    assert!(flash.segments(Series::Gallery).len() > 2, "{what}");
    assert_eq!(store.add_person(name("a late one")).unwrap(), PersonId(PEOPLE + 1), "{what}");
    drop(store);
    assert_eq!(open(flash).unwrap().gallery().unwrap().n_people() as u32, PEOPLE + 1, "{what}");
}

#[test]
fn a_snapshot_survives_a_cut_and_an_error_at_every_write_of_its_conversion() {
    let whole = flash(Some(snapshot(PEOPLE, GENERATION)));
    drop(open(&whole).unwrap());
    let writes = whole.writes();
    check(&whole, "without a cut");
    assert!(writes > 8, "{writes} writes");
    for write in 1..=writes {
        for lot in 0..9 {
            let what = format!("write {write}, lot {lot}");
            let flash = flash(Some(snapshot(PEOPLE, GENERATION)));
            match lot {
                8 => flash.fail_at(write, FlashFault::Io),
                lot => flash.cut_power_at(write, lot),
            }
            let _ = open(&flash);
            if lot < 8 && !flash.is_off() {
                flash.cut_power(lot);
            }
            flash.power_on();
            check(&flash, &what);
        }
    }
}

#[test]
fn a_snapshot_that_is_damaged_older_or_gone_is_a_fault_and_stays_for_whoever_looks_into_it() {
    let sound = snapshot(PEOPLE, GENERATION);
    let mut cases = vec![(None, "gallery.snapshot stands at 0, but this unit had reached 40")];
    let older = "gallery.snapshot stands at 39, but this unit had reached 40";
    cases.push((Some(snapshot(PEOPLE, GENERATION - 1)), older));
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (at % 8);
        cases.push((Some(bytes), "gallery.snapshot "));
    }
    for (bytes, expected) in cases {
        let flash = flash(bytes.clone());
        // Not until all is sealed is the log that is converted the log: entries that came into it before would be lost.
        for _ in 1..=2 {
            let keys = flash.keys();
            let opened = Store::open_sized(Box::new(flash.clone()), keys, SIZE);
            let error = opened.err().unwrap().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
        assert_eq!(flash.bytes(Object::Gallery), bytes);
    }
    // The remedy is the newest backup of the whole folder; one file of it beside what was begun is somebody else's.
    let begun = flash(None);
    assert!(open(&begun).is_err());
    begun.set_bytes(Object::Gallery, Some(sound.clone()));
    let error = open(&begun).err().unwrap().to_string();
    assert!(error.contains("not what was there when its conversion began"), "{error}");
    check(&flash(Some(sound)), "restored");
}

#[test]
fn a_snapshot_put_beside_sealed_segments_is_not_read_and_goes() {
    let flash = flash(Some(snapshot(PEOPLE, GENERATION)));
    drop(open(&flash).unwrap());
    let before = open(&flash).unwrap().gallery().cloned();
    // More people and a later generation than the unit's.
    flash.set_bytes(Object::Gallery, Some(snapshot(PEOPLE + 3, GENERATION + 9)));
    assert_eq!(open(&flash).unwrap().gallery().cloned(), before);
    assert_eq!(flash.bytes(Object::Gallery), None);
    // Nor without the segments.
    for number in flash.segments(Series::Gallery) {
        flash.set_bytes(Object::GallerySegment(number), None);
    }
    flash.set_bytes(Object::Gallery, Some(snapshot(PEOPLE + 3, GENERATION + 9)));
    let error = open(&flash).err().unwrap().to_string();
    assert!(
        error.starts_with("gallery.00000001.seg stands at 0, but this unit had reached 40"),
        "{error}"
    );
}
