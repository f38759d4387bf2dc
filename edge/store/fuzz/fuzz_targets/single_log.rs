//! Arbitrary bytes as the log of format 1, which is converted to segments at the first start.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{asking_for_nothing, live_with};

static BESIDE: LazyLock<MockFlash> = LazyLock::new(|| asking_for_nothing(MockFlash::new(), 1));

fuzz_target!(|data: &[u8]| live_with(&BESIDE, &[(Object::SingleLog, data)]));
