//! Arbitrary bytes as the gallery's snapshot, beside an anchor that asks for nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{live_with, sound};

static SOUND: LazyLock<[MockFlash; 3]> = LazyLock::new(sound);

fuzz_target!(|data: &[u8]| live_with(&SOUND[0], &[(Object::Gallery, data)]));
