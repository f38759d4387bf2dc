//! Log pages: arbitrary bytes as the log's segments of format 2, each led by its length in 16 bits, beside an anchor that asks for
//! nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{asking_for_nothing, live_with};

static BESIDE: LazyLock<MockFlash> = LazyLock::new(|| asking_for_nothing(MockFlash::new(), 2));

fuzz_target!(|data: &[u8]| {
    let (mut rest, mut segments) = (data, Vec::new());
    while let Some((&length, behind)) = rest.split_first_chunk::<2>() {
        let (bytes, behind) = behind.split_at(behind.len().min(u16::from_le_bytes(length).into()));
        segments.push((Object::Segment(segments.len() as u32 + 1), bytes));
        rest = behind;
    }
    live_with(&BESIDE, &segments);
});
