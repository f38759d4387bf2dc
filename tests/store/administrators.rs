//! The roster: who is in it, that a revoked key stays out, and that it is sealed and survives.

use crate::{name, open};
use threshold_record::{Administrator, Role};
use threshold_store::{AdministratorError, FlashFault, MockFlash, Object, Store, StoreError};

fn administrator(text: &str, mark: u8, role: Role) -> Administrator {
    Administrator { key: [mark; 32], name: name(text), role }
}

fn refused(outcome: Result<(), StoreError>) -> AdministratorError {
    match outcome.unwrap_err() {
        StoreError::Administrator(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn administrators_stay_over_a_restart_and_a_revoked_key_never_comes_back() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    assert_eq!((store.roster().administrators(), store.roster().generation()), (&[][..], 0));
    let (ada, grace) =
        (administrator("Ada", 1, Role::Owner), administrator("Grace", 2, Role::Viewer));
    store.put_administrator(ada.clone()).unwrap();
    store.put_administrator(grace.clone()).unwrap();
    store.revoke_administrator(grace.key_id()).unwrap();
    drop(store);
    let mut store = open(&flash);
    assert_eq!(
        (store.roster().administrators(), store.roster().generation()),
        (&[ada.clone()][..], 3)
    );
    assert!(store.roster().is_revoked(grace.key_id()));
    let key = grace.key_id();
    assert_eq!(refused(store.put_administrator(grace)), AdministratorError::Revoked { key });
    let key = ada.key_id();
    assert_eq!(refused(store.revoke_administrator(key)), AdministratorError::LastOwner { key });
    for twin in [administrator("Ada", 3, Role::Owner), administrator("Emmy", 1, Role::Owner)] {
        assert_eq!(refused(store.put_administrator(twin)), AdministratorError::Taken { key });
    }
    let unknown = administrator("Emmy", 9, Role::Owner).key_id();
    let expected = AdministratorError::Unknown { key: unknown };
    assert_eq!(refused(store.revoke_administrator(unknown)), expected);
    assert_eq!(store.roster().generation(), 3, "what was refused changed nothing");
}

#[test]
fn a_role_changes_over_a_restart_and_never_the_last_owners() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let (ada, grace) =
        (administrator("Ada", 1, Role::Owner), administrator("Grace", 2, Role::Viewer));
    store.put_administrator(ada.clone()).unwrap();
    store.put_administrator(grace.clone()).unwrap();
    let key = ada.key_id();
    for role in [Role::Viewer, Role::Enroller] {
        assert_eq!(refused(store.set_role(key, role)), AdministratorError::LastOwner { key });
    }
    let unknown = administrator("Emmy", 9, Role::Owner).key_id();
    for role in [Role::Viewer, Role::Owner] {
        let expected = AdministratorError::Unknown { key: unknown };
        assert_eq!(refused(store.set_role(unknown, role)), expected);
    }
    assert_eq!(store.roster().generation(), 2, "what was refused changed nothing");
    store.set_role(key, Role::Owner).unwrap();
    store.set_role(grace.key_id(), Role::Owner).unwrap();
    store.set_role(key, Role::Enroller).unwrap();
    drop(store);
    let mut store = open(&flash);
    let roles = store.roster().administrators().iter().map(|held| held.role);
    assert!(roles.eq([Role::Enroller, Role::Owner]));
    assert_eq!(store.roster().generation(), 5);
    let key = grace.key_id();
    assert_eq!(refused(store.revoke_administrator(key)), AdministratorError::LastOwner { key });
}

#[test]
fn the_roster_has_a_size_and_says_so() {
    let mut store = open(&MockFlash::new());
    for mark in 0..32 {
        store.put_administrator(administrator(&format!("A{mark}"), mark, Role::Viewer)).unwrap();
    }
    let one_more = administrator("one more", 99, Role::Viewer);
    assert_eq!(refused(store.put_administrator(one_more)), AdministratorError::Full);
}

#[test]
fn a_roster_that_could_not_be_written_is_as_before_and_one_that_was_changed_is_a_fault() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.put_administrator(administrator("Ada", 1, Role::Owner)).unwrap();
    let before = store.roster().clone();
    flash.fail_at(flash.writes() + 1, FlashFault::Io);
    let refused = store.put_administrator(administrator("Grace", 2, Role::Viewer));
    assert!(matches!(refused, Err(StoreError::Flash(_))));
    assert_eq!(store.roster(), &before);
    drop(store);
    // After an error the flash has the old one or the new one.
    let store = open(&flash);
    assert!(store.roster().generation() <= 2 && store.roster().administrators().len() <= 2);
    assert_eq!(store.roster().administrators()[..1], before.administrators()[..]);
    drop(store);
    let sealed = flash.bytes(Object::Administrators).unwrap();
    assert!(!sealed.windows(3).any(|bytes| bytes == b"Ada"), "names are sealed");
    for at in 0..sealed.len() {
        let copy = flash.copy();
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        copy.set_bytes(Object::Administrators, Some(bytes));
        assert!(Store::open(Box::new(copy.clone()), copy.keys()).is_err(), "byte {at}");
    }
}

#[test]
fn an_older_roster_put_back_or_taken_away_is_a_fault() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let grace = administrator("Grace", 2, Role::Owner);
    store.put_administrator(administrator("Ada", 1, Role::Owner)).unwrap();
    store.put_administrator(grace.clone()).unwrap();
    let older = flash.bytes(Object::Administrators);
    store.revoke_administrator(grace.key_id()).unwrap();
    drop(store);
    for bytes in [older, None] {
        let copy = flash.copy();
        copy.set_bytes(Object::Administrators, bytes);
        let error = Store::open(Box::new(copy.clone()), copy.keys()).err().unwrap();
        let rolled_back = matches!(
            error,
            StoreError::RolledBack { object: Object::Administrators, expected: 3, .. }
        );
        assert!(rolled_back, "{error}");
    }
    assert_eq!(open(&flash).roster().generation(), 3);
}
