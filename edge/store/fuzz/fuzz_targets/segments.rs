//! Log pages: arbitrary bytes as the log's segments, each led by its length in 16 bits, beside an anchor that asks for
//! nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{live_with, sound};

static SOUND: LazyLock<[MockFlash; 3]> = LazyLock::new(sound);

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut segments) = (data, Vec::new());
    while let Some((&length, behind)) = rest.split_first_chunk::<2>() {
        let (bytes, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(length).into()));
        segments.push((Object::Segment(segments.len() as u32 + 1), bytes));
        rest = behind;
    }
    live_with(&SOUND[0], &segments);
});
