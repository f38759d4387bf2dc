//! Numbers that no unit reaches, sealed with the unit's own key: damage, never a sum that overflows or a number that begins anew. The
//! highest that one may reach works on, and the next is refused by its name.

use crate::forge::{Stolen, pieces};
use crate::golden;
use crate::{MODEL, entry, name, open, template};
use ed25519_dalek::Signer as _;
use threshold_record::{Administrator, ContextKind, PersonId, Role};
use threshold_store::{
    ChainError, Checkpoint, LogSize, MockFlash, Object, Store, StoreError, StoreSize, verify,
    verify_entries,
};

/// The highest number that is read and that is made.
const MOST: u64 = u64::MAX / 4;

/// Numbers that are refused.
const UNREACHED: [u64; 4] = [MOST + 1, 1 << 63, u64::MAX - 1, u64::MAX];

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}

/// A store of somebody with a template, of an owner and of entries, whose last batch says a state.
fn furnished() -> MockFlash {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let id = store.add_person(name("Ada")).unwrap();
    store.put_template(template(id, 0, 1)).unwrap();
    store.put_administrator(administrator(1)).unwrap();
    store.commit(entry(1)).unwrap();
    store.save_lockout([1, 0, 0, 0]).unwrap();
    flash
}

fn administrator(mark: u8) -> Administrator {
    let text = format!("owner {mark}");
    Administrator { key: [mark; 32], name: name(&text), role: Role::Owner }
}

fn reopen(flash: &MockFlash) -> Result<Store, StoreError> {
    let (mut store, cut) = Store::open(Box::new(flash.clone()), flash.keys())?;
    assert_eq!(cut, None, "what was acknowledged is no torn tail");
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// What an object that was forged is refused with.
fn what(flash: &MockFlash, object: Object) -> &'static str {
    match reopen(flash).err() {
        Some(StoreError::Damaged { object: of, what, .. }) if of == object => what,
        other => panic!("{object}: {other:?}"),
    }
}

/// Forges the anchor at a place, with its checksum.
fn forge_anchor(flash: &MockFlash, at: usize, number: u64) {
    Stolen::from(flash).change_whole(flash, Object::Anchor, |bytes| {
        put(bytes, at, number);
        let covered = bytes.len() - 4;
        let crc = crc32fast::hash(&bytes[..covered]).to_le_bytes();
        bytes[covered..].copy_from_slice(&crc);
    });
}

#[test]
fn an_anchor_of_unreached_numbers_is_damage_and_of_others_an_older_store() {
    let sound = furnished();
    // Generation, head and batches of the log, generation of the roster.
    for at in [16, 24, 44, 52] {
        for number in UNREACHED {
            let flash = sound.copy();
            forge_anchor(&flash, at, number);
            assert_eq!(what(&flash, Object::Anchor), "a number that no unit reaches", "{at}");
        }
        let flash = sound.copy();
        forge_anchor(&flash, at, MOST);
        let error = reopen(&flash).err().unwrap();
        assert!(matches!(error, StoreError::RolledBack { expected: MOST, .. }), "{at}: {error}");
    }
}

#[test]
fn a_counter_goes_to_its_end_and_no_further() {
    let flash = MockFlash::new();
    flash.mock_keys().set_counter(Some(MOST - 2));
    drop(open(&flash));
    let counter = || flash.keys().counter().unwrap().unwrap().at;
    assert_eq!(counter(), MOST - 1);
    let opened = open(&flash);
    assert_eq!((opened.counter(), counter()), (Some(MOST), MOST));
    drop(opened);
    assert_eq!(reopen(&flash).err(), Some(StoreError::NumbersUsedUp));
    for number in UNREACHED {
        let flash = flash.copy();
        forge_anchor(&flash, 60, number);
        flash.mock_keys().set_counter(Some(number));
        assert_eq!(what(&flash, Object::Anchor), "a number that no unit reaches");
        // One that names no step is as of where the keeper says that its counter stood.
        let flash = MockFlash::new();
        flash.mock_keys().set_counter(Some(number));
        let opened = Store::open(Box::new(flash.clone()), flash.keys());
        assert_eq!(opened.err(), Some(StoreError::NumbersUsedUp));
    }
}

#[test]
fn a_roster_of_an_unreached_generation_is_damage_and_the_last_one_is_kept() {
    let sound = furnished();
    let object = Object::Administrators;
    let forge = |flash: &MockFlash, number| {
        Stolen::from(flash).change_whole(flash, object, |bytes| put(bytes, 12, number));
    };
    for number in UNREACHED {
        let flash = sound.copy();
        forge(&flash, number);
        assert_eq!(what(&flash, object), "a number that no unit reaches");
    }
    let flash = sound.copy();
    forge(&flash, MOST - 1);
    let mut store = reopen(&flash).unwrap();
    store.put_administrator(administrator(2)).unwrap();
    let refused = store.put_administrator(administrator(3));
    assert_eq!(refused, Err(StoreError::NumbersUsedUp));
    let held = store.roster().clone();
    assert_eq!((held.generation(), held.administrators().len()), (MOST, 2));
    drop(store);
    assert_eq!(reopen(&flash).unwrap().roster(), &held);
}

/// A log of a head alone, which says that.
fn headed(forge: impl FnOnce(&mut Vec<u8>)) -> MockFlash {
    let flash = MockFlash::new();
    drop(open(&flash));
    let mut segment = flash.bytes(Object::Segment(1)).unwrap();
    assert_eq!(pieces(&segment).len(), 1, "nothing but a head");
    Stolen::from(&flash).change_head(&mut segment, forge);
    flash.set_bytes(Object::Segment(1), Some(segment));
    flash
}

/// Where the head of a segment says how many batches there were, its state and its checkpoint.
const BATCHES: usize = 24;
const STATE: usize = 32;
const CHECKPOINT: usize = 64;

#[test]
fn a_head_of_unreached_numbers_is_damage() {
    let object = Object::Segment(1);
    // Oldest entry, batches, the state's generations and the checkpoint's sequence.
    for at in [16, BATCHES, STATE + 4, STATE + 12, CHECKPOINT + 24] {
        for number in UNREACHED {
            if (at, number) == (16, MOST + 1) {
                // The entry after the last one, which is still to come.
                continue;
            }
            let flash = headed(|head| put(head, at, number));
            assert_eq!(what(&flash, object), "a number that no unit reaches", "{at}");
            let found = verify(&flash, &flash.keys(), None).unwrap();
            assert!(found.first_bad.is_some(), "{at}");
        }
    }
    for oldest in [0_u32, 2, u32::MAX] {
        let flash = headed(|head| head[..4].copy_from_slice(&oldest.to_le_bytes()));
        assert_eq!(what(&flash, object), "an oldest segment that comes after it");
    }
}

#[test]
fn a_log_goes_to_its_last_entry_and_to_its_last_batch_and_no_further() {
    for at in [CHECKPOINT + 24, BATCHES] {
        let flash = headed(|head| put(head, at, MOST - 1));
        let mut store = reopen(&flash).unwrap();
        let last = store.commit(entry(7)).unwrap();
        for _ in 0..2 {
            assert_eq!(store.commit(entry(8)), Err(StoreError::NumbersUsedUp), "{at}");
        }
        drop(store);
        // At the last batch not even the count of starts is written down in the log.
        let store = reopen(&flash).unwrap();
        assert_eq!(store.log_head(), last.sequence);
        assert_eq!(store.log_page(last.sequence, 9).unwrap(), [last]);
    }
}

#[test]
fn the_last_entry_is_there_although_its_segment_is_left() {
    for before in [MOST - 1, MOST] {
        let flash = headed(|head| put(head, CHECKPOINT + 24, before));
        let mut store = reopen(&flash).unwrap();
        let last = store.commit(entry(7)).ok();
        assert_eq!(last.map(|last| last.sequence), (before < MOST).then_some(MOST));
        // From here on every batch goes to a new segment, whose first entry would be the next one.
        for _ in 0..3 {
            store.rotate_keys().unwrap();
            store.save_lockout([1, 0, 0, 0]).unwrap();
            store.save_lockout([0; 4]).unwrap();
            drop(store);
            store = reopen(&flash).unwrap();
        }
        assert_eq!(store.log_page(MOST, 9).unwrap(), Vec::from_iter(last));
    }
}

#[test]
fn a_state_of_unreached_numbers_is_damage() {
    let sound = furnished();
    let object = Object::Segment(1);
    let stolen = Stolen::from(&sound);
    for at in [4, 12] {
        for number in UNREACHED {
            let flash = sound.copy();
            let mut segment = flash.bytes(object).unwrap();
            let batch = pieces(&segment).pop().unwrap();
            stolen.change(1, &mut segment, batch, |content| {
                assert_eq!(content[8..11], [3, 32, 0], "a state");
                put(content, 11 + at, number);
            });
            flash.set_bytes(object, Some(segment));
            assert_eq!(what(&flash, object), "a number that no unit reaches", "{at}");
        }
    }
}

#[test]
fn a_context_behind_the_last_number_does_not_begin_anew() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.context_number(ContextKind::Config, b"a=1").unwrap();
    store.sync().unwrap();
    drop(store);
    let mut segment = flash.bytes(Object::Segment(1)).unwrap();
    let stolen = Stolen::from(&flash);
    let [head, batch] = pieces(&segment).try_into().unwrap();
    stolen.change_head(&mut segment, |head| head[CHECKPOINT + 2..][..2].fill(0xff));
    let tail = segment[head.end - 8..head.end].to_vec();
    stolen.change(1, &mut segment, batch, |content| {
        content[..8].copy_from_slice(&tail);
        assert_eq!(content[8], 2, "a context");
        content[11..13].fill(0);
    });
    flash.set_bytes(Object::Segment(1), Some(segment));
    assert_eq!(what(&flash, Object::Segment(1)), "a context out of its order");
}

/// Bytes at the end of a gallery's batch that say its generation and what follows.
const STATEMENT: usize = 80;

#[test]
fn a_gallery_of_unreached_numbers_is_damage() {
    let object = Object::GallerySegment(1);
    let sound = MockFlash::new();
    let mut store = open(&sound);
    store.add_person(name("Ada")).unwrap();
    store.add_person(name("Grace")).unwrap();
    store.remove_person(PersonId(1)).unwrap();
    drop(store);
    let stolen = Stolen::from(&sound);
    // The statement's generation, that at which its side began, and that of the removal before it.
    for before in [STATEMENT, STATEMENT - 8, STATEMENT + 13 - 1] {
        for number in UNREACHED {
            let flash = sound.copy();
            stolen.change_gallery(
                &flash,
                1,
                |_| {},
                |content| {
                    let end = content.len();
                    assert_eq!(content[end - STATEMENT - 13], 3, "a removal");
                    put(content, end - before, number);
                },
            );
            assert_eq!(what(&flash, object), "a batch that is not one of a gallery", "{before}");
        }
    }
    // A side that begins with what is still to come would have none of its templates at the next start.
    let flash = sound.copy();
    stolen.change_gallery(
        &flash,
        1,
        |_| {},
        |content| {
            let at = content.len() - STATEMENT;
            let next = u64::from(content[at]) + 1;
            put(content, at + 8, next);
        },
    );
    assert_eq!(what(&flash, object), "a batch that is not one of a gallery");
}

/// A gallery of somebody with a template, at a generation.
fn of_generation(number: u64) -> MockFlash {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let id = store.add_person(name("Ada")).unwrap();
    store.put_template(template(id, 0, 1)).unwrap();
    store.add_person(name("Emmy")).unwrap();
    store.remove_person(PersonId(2)).unwrap();
    drop(store);
    Stolen::from(&flash).change_gallery(
        &flash,
        1,
        |_| {},
        |content| {
            let at = content.len() - STATEMENT;
            put(content, at, number);
        },
    );
    flash
}

#[test]
fn a_gallery_goes_to_its_last_generation_and_people_are_removed_even_then() {
    let flash = of_generation(MOST - 1);
    let mut store = reopen(&flash).unwrap();
    let grace = store.add_person(name("Grace")).unwrap();
    assert_eq!(store.gallery().unwrap().generation(), MOST);
    let used_up = Err(StoreError::NumbersUsedUp);
    assert_eq!(store.put_template(template(grace, 0, 2)), used_up);
    assert_eq!(store.add_person(name("Mary")).map(drop), used_up);
    assert_eq!(store.put_members(&[]).map(drop), used_up);
    let removed = store.remove_person(PersonId(1));
    assert!(matches!(removed, Err(StoreError::NotErased { .. })), "{removed:?}");
    let gallery = store.gallery().unwrap().clone();
    assert_eq!((gallery.n_people(), gallery.n_templates()), (1, 0));
    drop(store);
    let store = reopen(&flash).unwrap();
    assert_eq!(store.gallery().unwrap(), &gallery);
    assert!(store.was_removed(PersonId(1)));
}

#[test]
fn a_gallery_without_a_number_for_its_next_segment_says_so() {
    let flash = of_generation(9);
    let stolen = Stolen::from(&flash);
    let last = u32::MAX.to_le_bytes();
    stolen.change_gallery(&flash, 1, |header| header[16..20].copy_from_slice(&last), |_| {});
    // Each change asks for a segment of its own.
    let size = StoreSize { log: LogSize::default(), gallery_segment_bytes: 1 };
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), size).unwrap();
    store.load_gallery(MODEL).unwrap();
    let error = store.add_person(name("Grace")).unwrap_err().to_string();
    assert!(error.contains("no number is left for the next"), "{error}");
    let gallery = store.gallery().unwrap().clone();
    drop(store);
    assert_eq!(reopen(&flash).unwrap().gallery().unwrap(), &gallery);
}

#[test]
fn a_head_that_says_it_is_longer_than_any_is_not_read() {
    let flash = MockFlash::new();
    drop(open(&flash));
    let mut segment = flash.bytes(Object::Segment(1)).unwrap();
    let len = 64_u32 << 20;
    segment[20..24].copy_from_slice(&len.to_le_bytes());
    segment.resize(24 + len as usize, 0);
    flash.set_bytes(Object::Segment(1), Some(segment));
    assert_eq!(what(&flash, Object::Segment(1)), "the length of its head");
}

#[test]
fn an_old_log_of_unreached_sequences_is_damage_and_the_last_ones_are_converted() {
    let forged = |first: u64| {
        let flash = golden::flash("format-2");
        for number in 2..=4 {
            flash.set_bytes(Object::Segment(number), None);
        }
        let mut bytes = flash.bytes(Object::Segment(1)).unwrap();
        bytes[24..32].copy_from_slice(&first.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        // No record follows, so that the log has come to the entry before its first.
        bytes.truncate(64);
        bytes[36..40].fill(0);
        let crc = crc32fast::hash(&bytes[..60]).to_le_bytes();
        bytes[60..64].copy_from_slice(&crc);
        flash.set_bytes(Object::Segment(1), Some(bytes));
        flash
    };
    for number in UNREACHED {
        assert_eq!(what(&forged(number), Object::Segment(1)), "a number that no unit reaches");
    }
    let flash = forged(MOST);
    let mut store = reopen(&flash).unwrap();
    let last = store.commit(entry(7)).unwrap();
    assert_eq!(last.sequence, MOST);
    assert_eq!(store.commit(entry(8)), Err(StoreError::NumbersUsedUp));
    drop(store);
    assert_eq!(reopen(&flash).unwrap().log_page(MOST, 9).unwrap(), [last]);
}

#[test]
fn a_signed_checkpoint_of_the_highest_number_is_no_panic_for_whoever_pulled_the_log() {
    let flash = furnished();
    let stolen = Stolen::from(&flash);
    let mut end = Checkpoint {
        store_id: stolen.store_id,
        sequence: u64::MAX,
        chain: [0; 32],
        contexts: 0,
        contexts_chain: [0; 32],
        boot: 1,
        signature: [0; 64],
    };
    let said = [b"Threshold log checkpoint 1", &end.to_bytes()[..96]].concat();
    end.signature = stolen.identity.sign(&said).to_bytes();
    let identity = stolen.identity.verifying_key().to_bytes();
    assert_eq!(verify_entries(&identity, Some(&end), [], &end), Ok(()));
    let error = verify_entries(&identity, Some(&end), [entry(1)], &end);
    assert_eq!(error, Err(ChainError::OutOfOrder { expected: u64::MAX, found: 0 }));
}
