//! Arbitrary bytes as the log of format 1, which is converted to segments at the first start.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::Object;
use threshold_store_fuzz::{Image, checksum, live_with, sound};

/// Where the anchor's version stands; version 1 says that the log is one file.
const VERSION: usize = 8;

static SOUND: LazyLock<Image> = LazyLock::new(|| {
    let [mut image, ..] = sound();
    image.remove(&Object::Segment(1));
    if let Some(anchor) = image.get_mut(&Object::Anchor) {
        anchor[VERSION] = 1;
        checksum::make_fit(Object::Anchor, anchor);
    }
    image
});

fuzz_target!(|data: &[u8]| live_with(SOUND.clone(), Object::SingleLog, data));
