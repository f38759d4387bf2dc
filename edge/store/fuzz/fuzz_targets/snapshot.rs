//! Arbitrary bytes as the gallery's snapshot of a flash of format 2, beside an anchor that asks for nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{asking_for_nothing, live_with};

static BESIDE: LazyLock<MockFlash> = LazyLock::new(|| asking_for_nothing(MockFlash::new(), 2));

fuzz_target!(|data: &[u8]| live_with(&BESIDE, &[(Object::Gallery, data)]));
