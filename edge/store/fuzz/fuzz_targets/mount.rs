//! The mount path over arbitrary images: a sound one with harm done to it, or objects of arbitrary bytes.
//!
//! ```text
//! 0 form u8     even: harm to a sound image; odd: objects
//! harm:         kind u8 | object u8 | offset u16 | length u8 | value u8, again and again
//! objects:      object u8 | length u16 | bytes, again and again
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{checksum, live, live_with, sound};

static SOUND: LazyLock<[MockFlash; 3]> = LazyLock::new(sound);

const OBJECTS: [Object; 12] = [
    Object::Anchor,
    Object::Gallery,
    Object::Tombstones,
    Object::SingleLog,
    Object::Segment(1),
    Object::Segment(2),
    Object::Segment(3),
    Object::Segment(4),
    Object::Segment(5),
    Object::Keys,
    Object::GallerySegment(1),
    Object::GallerySegment(2),
];

fn object(code: u8) -> Object {
    OBJECTS[usize::from(code) % OBJECTS.len()]
}

/// Does one harm.
fn harm(image: &MockFlash, [kind, code, low, high, length, value]: [u8; 6]) {
    let object = object(code);
    let mut bytes = image.bytes(object).unwrap_or_default();
    let at = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
    let until = bytes.len().min(at + usize::from(length));
    match kind % 9 {
        0 => bytes[at..until].iter_mut().take(1).for_each(|byte| *byte ^= value),
        1 => bytes[at..until].fill(value),
        2 => bytes.truncate(at),
        3 => bytes.extend(std::iter::repeat_n(value, usize::from(length))),
        4 => drop(bytes.drain(at..until)),
        5 => bytes.extend_from_within(at..until),
        6 => checksum::make_fit(object, &mut bytes),
        // As it was in an earlier state of the same store.
        7 => return image.set_bytes(object, SOUND[usize::from(value) % 3].bytes(object)),
        _ => return image.set_bytes(object, None),
    }
    image.set_bytes(object, Some(bytes));
}

fuzz_target!(|data: &[u8]| {
    let Some((form, mut rest)) = data.split_first() else { return };
    if form % 2 == 0 {
        let image = SOUND[2].copy();
        rest.as_chunks::<6>().0.iter().take(16).for_each(|&one| harm(&image, one));
        live(&image);
    } else {
        let mut objects = Vec::new();
        while let Some((&[code, low, high], behind)) = rest.split_first_chunk::<3>() {
            let len = behind.len().min(usize::from(u16::from_le_bytes([low, high])));
            let (bytes, behind) = behind.split_at(len);
            objects.push((object(code), bytes));
            rest = behind;
        }
        live_with(&MockFlash::new(), &objects);
    }
});
