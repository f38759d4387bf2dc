//! Log pages: arbitrary bytes as the log's segments, each led by its length in 16 bits, beside an anchor that asks for
//! nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::Object;
use threshold_store_fuzz::{Image, checksum, live, sound};

static SOUND: LazyLock<[Image; 3]> = LazyLock::new(sound);

fuzz_target!(|data: &[u8]| {
    let mut image = SOUND[0].clone();
    let (mut rest, mut number) = (data, 0);
    while let Some((&length, behind)) = rest.split_first_chunk::<2>() {
        let (bytes, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(length).into()));
        number += 1;
        image.insert(Object::Segment(number), bytes.to_vec());
        rest = behind;
    }
    live(&image);
    image.iter_mut().for_each(|(&object, bytes)| checksum::make_fit(object, bytes));
    live(&image);
});
