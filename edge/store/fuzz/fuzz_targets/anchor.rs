//! Arbitrary bytes as the anchor of a flash of format 2 with something in every object.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object};
use threshold_store_fuzz::{format_2, live_with};

static BESIDE: LazyLock<MockFlash> = LazyLock::new(|| format_2(|_| true));

fuzz_target!(|data: &[u8]| live_with(&BESIDE, &[(Object::Anchor, data)]));
