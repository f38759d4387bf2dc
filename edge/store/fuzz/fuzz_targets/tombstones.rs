//! Arbitrary bytes as the tombstones of a flash of format 2 with people.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{asking_for_nothing, format_2, live_with};

static BESIDE: LazyLock<MockFlash> =
    LazyLock::new(|| asking_for_nothing(format_2(|object| object == Object::Gallery), 2));

fuzz_target!(|data: &[u8]| live_with(&BESIDE, &[(Object::Tombstones, data)]));
