//! Arbitrary bytes as the log of format 1, which is converted to segments at the first start.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{checksum, live_with, sound};

/// Where the anchor's version stands; version 1 says that the log is one file.
const VERSION: usize = 8;

static SOUND: LazyLock<MockFlash> = LazyLock::new(|| {
    let [image, ..] = sound();
    image.set_bytes(Object::Segment(1), None);
    let mut anchor = image.bytes(Object::Anchor).unwrap_or_default();
    anchor[VERSION] = 1;
    checksum::make_fit(Object::Anchor, &mut anchor);
    image.set_bytes(Object::Anchor, Some(anchor));
    image
});

fuzz_target!(|data: &[u8]| live_with(&SOUND, &[(Object::SingleLog, data)]));
