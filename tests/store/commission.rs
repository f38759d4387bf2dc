//! The record of the recovery key: its bytes, and that it is no part of the store.

use crate::{MODEL, name, open};
use threshold_store::commission::{self, RECORD_BYTES};
use threshold_store::{MockFlash, Object, Store, StoreError};

/// A record of version 1, which every later program reads.
const GOLDEN: &str = "544852434f4d0d0a01000000000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\
                      d14f30cf9390f2e90f4efbea1f9ca607";

fn key() -> [u8; 32] {
    std::array::from_fn(|at| at as u8)
}

#[test]
fn a_record_has_its_golden_bytes_and_comes_back() {
    let hex: String = commission::bytes(&key()).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
    let mut flash = MockFlash::new();
    assert_eq!(commission::read(&flash).unwrap(), None);
    commission::write(&mut flash, &key()).unwrap();
    assert_eq!(commission::read(&flash).unwrap(), Some(key()));
    let mut later = commission::bytes(&key());
    later[8] = 2;
    flash.set_bytes(Object::Commission, Some(later.to_vec()));
    let refused = commission::read(&flash);
    assert!(matches!(refused, Err(StoreError::Version { found: 2, supported: 1, .. })));
}

#[test]
fn what_is_no_record_is_damage_and_never_a_key() {
    let sound = commission::bytes(&key());
    let flash = MockFlash::new();
    for len in 0..RECORD_BYTES {
        flash.set_bytes(Object::Commission, Some(sound[..len].to_vec()));
        assert!(commission::read(&flash).is_err(), "cut to {len}");
    }
    for bit in 0..8 * RECORD_BYTES {
        let mut bytes = sound.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        flash.set_bytes(Object::Commission, Some(bytes));
        assert!(commission::read(&flash).is_err(), "bit {bit}");
    }
    for longer in [RECORD_BYTES + 1, 1 << 16] {
        let mut bytes = sound.to_vec();
        bytes.resize(longer, 0);
        flash.set_bytes(Object::Commission, Some(bytes));
        assert!(commission::read(&flash).is_err(), "{longer} bytes");
    }
}

#[test]
fn a_wipe_leaves_the_record_and_a_record_alone_is_no_store() {
    let mut flash = MockFlash::new();
    commission::write(&mut flash, &key()).unwrap();
    // Beside it the first start is a first start.
    let mut store = open(&flash);
    store.add_person(name("Ada")).unwrap();
    let before = store.identity();
    for cut in [None, Some(1), Some(2), Some(4), Some(7)] {
        let flash = flash.copy();
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
        if let Some(cut) = cut {
            flash.cut_power_at(flash.writes() + cut, cut);
        }
        let _ = store.wipe();
        drop(store);
        flash.power_on();
        assert_eq!(commission::read(&flash).unwrap(), Some(key()), "{cut:?}");
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
        let people = store.load_gallery(MODEL).unwrap().n_people();
        assert!(people == 0 || store.identity() == before, "{cut:?}");
        assert_eq!(commission::read(&flash).unwrap(), Some(key()), "{cut:?}");
    }
}

#[test]
fn a_cut_while_a_record_is_replaced_leaves_the_old_one_or_the_new_one() {
    let mut flash = MockFlash::new();
    commission::write(&mut flash, &key()).unwrap();
    let (mut old, mut new) = (0, 0);
    for seed in 0..32 {
        let mut flash = flash.copy();
        flash.cut_power_at(flash.writes() + 1, seed);
        commission::write(&mut flash, &[7; 32]).unwrap_err();
        flash.power_on();
        match commission::read(&flash).unwrap() {
            Some(found) if found == key() => old += 1,
            found => {
                assert_eq!(found, Some([7; 32]));
                new += 1;
            }
        }
    }
    assert!(old > 0 && new > 0, "{old} {new}");
}
