//! What fuzzing found in the store, each input kept as a test.

use crate::golden;
use threshold_store::{MockFlash, Object, Store};

/// A flash of format 2, whose bytes need no key to be forged: a start converts it.
fn format_2(object: Object, forge: impl Fn(&mut Vec<u8>)) -> MockFlash {
    let flash = golden::flash("format-2");
    let mut bytes = flash.bytes(object).unwrap();
    forge(&mut bytes);
    flash.set_bytes(object, Some(bytes));
    flash
}

#[test]
fn r1_a_gallery_at_the_last_generation_is_refused() {
    let flash = format_2(Object::Gallery, |bytes| {
        bytes[16..24].fill(0xff);
        let covered = bytes.len() - 32;
        let hash = *blake3::hash(&bytes[..covered]).as_bytes();
        bytes[covered..].copy_from_slice(&hash);
    });
    let error = Store::open(Box::new(flash.clone()), flash.keys()).err().unwrap().to_string();
    let expected = "gallery.snapshot is damaged at byte 16 (a number that no unit reaches)";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn r2_a_log_at_the_last_sequence_is_refused() {
    for back in 0..4 {
        let flash = format_2(Object::Segment(1), |bytes| {
            bytes[24..32].copy_from_slice(&(u64::MAX - back).to_le_bytes());
            let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
            bytes[60..64].copy_from_slice(&crc);
        });
        let error = Store::open(Box::new(flash.clone()), flash.keys()).err().unwrap().to_string();
        assert!(error.contains("a number that no unit reaches"), "{error}");
    }
}
