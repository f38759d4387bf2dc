//! Arbitrary bytes as the tombstones of a store with people.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{live_with, sound};

static SOUND: LazyLock<[MockFlash; 3]> = LazyLock::new(sound);

fuzz_target!(|data: &[u8]| live_with(&SOUND[1], &[(Object::Tombstones, data)]));
