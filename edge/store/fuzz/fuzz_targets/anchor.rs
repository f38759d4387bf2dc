//! Arbitrary bytes as the anchor of a store with something in every object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{live_with, sound};

static SOUND: LazyLock<[MockFlash; 3]> = LazyLock::new(sound);

fuzz_target!(|data: &[u8]| live_with(&SOUND[2], &[(Object::Anchor, data)]));
