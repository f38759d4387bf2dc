//! Administrators of a unit: listed, revoked, given roles; who may, what the log says, and a trusted line's end.

use crate::keys::{Bench, administrator, echo, key, name, put_person, refused};
use crate::rig::Rig;
use threshold_edge::service::Desk;
use threshold_record::{EntryKind, KeyId, KeyTag, LogEntry, PersonId, Role};
use threshold_store::{FlashFault, RESERVE_BYTES, Receipt, Store};
use threshold_wire::RequestError;
use threshold_wire::administration::{
    AdministratorPageRequest, AdministratorRevoke, AdministratorRole,
};
use threshold_wire::bulk::Window;
use threshold_wire::endpoints::{
    GetInfo, ListAdministrators, ListGallery, PutPerson, ReadLog, RemovePerson,
    RevokeAdministrator, SayHello, SendEcho, SetRole, StartPull,
};
use threshold_wire::message::{
    GalleryPageRequest, LogPageRequest, Nothing, PersonRemove, PullRequest, PullWhat, SecretKeeper,
};

fn key_id(byte: u8) -> KeyId {
    key(byte).key_id()
}

fn tag(byte: u8) -> KeyTag {
    key_id(byte).tag()
}

fn owner_enroller_viewer() -> Bench {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    Bench::new(&roles.map(|(byte, role)| administrator(byte, role)))
}

/// What the log says of administrators' acts, but for the rig's own commissioning.
fn acts(bench: &Bench) -> Vec<(EntryKind, KeyTag, KeyTag)> {
    let log = bench.rig.borrow().log();
    let of_the_rig = [EntryKind::RecoveryKeySet, EntryKind::Commissioned];
    let act = |entry: &LogEntry| {
        !(of_the_rig.contains(&entry.kind) || entry.by.is_nobody() && entry.about.is_nobody())
    };
    let told = |entry: LogEntry| (entry.kind, entry.by, entry.about);
    log.into_iter().filter(act).map(told).collect()
}

#[test]
fn administrators_come_in_pages_and_the_page_says_who_asks() {
    let all: Vec<_> = (1..=19).map(|byte| administrator(byte, Role::Viewer)).collect();
    let bench = Bench::new(&all);
    let mut session = bench.session(7);
    let (mut after, mut listed, mut pages) = (None, Vec::new(), 0);
    loop {
        let request = AdministratorPageRequest { after };
        let page = session.call::<ListAdministrators>(&request).unwrap();
        assert_eq!(page.you, Some(key_id(7)));
        listed.extend(page.administrators);
        after = listed.last().map(|held| held.key_id());
        pages += 1;
        if !page.more {
            break;
        }
    }
    assert_eq!((listed, pages), (all, 3));
    let unknown = AdministratorPageRequest { after: Some(key_id(99)) };
    let found = refused(session.call::<ListAdministrators>(&unknown));
    assert_eq!(found, RequestError::UnknownAdministrator { key: key_id(99) });
}

#[test]
fn anybody_may_revoke_the_own_key_and_an_owner_any() {
    let bench = owner_enroller_viewer();
    let mut viewer = bench.session(3);
    let revoke = |byte| AdministratorRevoke { key: key_id(byte) };
    let too_low = RequestError::RoleTooLow { least: Role::Owner, role: Role::Viewer };
    for byte in [1, 2, 99] {
        assert_eq!(refused(viewer.call::<RevokeAdministrator>(&revoke(byte))), too_low);
    }
    let gone = viewer.call::<RevokeAdministrator>(&revoke(3)).unwrap();
    assert_eq!(gone.name, name(3));
    assert_eq!(refused(viewer.call::<SendEcho>(&echo())), RequestError::InsecureLink);
    let mut owner = bench.session(1);
    assert_eq!(owner.call::<RevokeAdministrator>(&revoke(2)).unwrap().name, name(2));
    let last = RequestError::LastOwner { key: key_id(1) };
    assert_eq!(refused(owner.call::<RevokeAdministrator>(&revoke(1))), last);
    let unknown = RequestError::UnknownAdministrator { key: key_id(2) };
    assert_eq!(refused(owner.call::<RevokeAdministrator>(&revoke(2))), unknown);
    assert_eq!(bench.roster(), [administrator(1, Role::Owner)]);
    let revoked = EntryKind::Revoked;
    assert_eq!(acts(&bench), [(revoked, tag(3), tag(3)), (revoked, tag(1), tag(2))]);
}

#[test]
fn an_owner_gives_roles_and_keeps_one_owner() {
    let bench = owner_enroller_viewer();
    let set = |byte, role| AdministratorRole { key: key_id(byte), role };
    let mut enroller = bench.session(2);
    let too_low = RequestError::RoleTooLow { least: Role::Owner, role: Role::Enroller };
    assert_eq!(refused(enroller.call::<SetRole>(&set(2, Role::Owner))), too_low);
    let mut owner = bench.session(1);
    let last = RequestError::LastOwner { key: key_id(1) };
    assert_eq!(refused(owner.call::<SetRole>(&set(1, Role::Viewer))), last);
    let unknown = RequestError::UnknownAdministrator { key: key_id(99) };
    assert_eq!(refused(owner.call::<SetRole>(&set(99, Role::Viewer))), unknown);
    // The role that is there already is no change.
    assert_eq!(owner.call::<SetRole>(&set(3, Role::Viewer)).unwrap().name, name(3));
    assert_eq!(owner.call::<SetRole>(&set(3, Role::Owner)).unwrap().name, name(3));
    owner.call::<SetRole>(&set(1, Role::Enroller)).unwrap();
    // In the middle of a session.
    assert_eq!(refused(owner.call::<SetRole>(&set(1, Role::Owner))), too_low);
    bench.session(3).call::<SetRole>(&set(1, Role::Viewer)).unwrap();
    let roles = [(1, Role::Viewer), (2, Role::Enroller), (3, Role::Owner)];
    assert_eq!(bench.roster(), roles.map(|(byte, role)| administrator(byte, role)));
    let expected = [
        (EntryKind::MadeOwner, tag(1), tag(3)),
        (EntryKind::MadeEnroller, tag(1), tag(1)),
        (EntryKind::MadeViewer, tag(3), tag(1)),
    ];
    assert_eq!(acts(&bench), expected);
}

#[test]
fn the_log_names_who_was_paired_who_changed_the_gallery_and_who_read() {
    let bench = Bench::new(&[]);
    bench.rig.borrow_mut().desk.button();
    bench.greet().pair(&key(1), &bench.code(), name(1)).unwrap();
    let mut session = bench.session(1);
    let person = session.call::<PutPerson>(&put_person("Ann")).unwrap().person;
    session.call::<RemovePerson>(&PersonRemove { person }).unwrap();
    session.call::<ReadLog>(&LogPageRequest { from: 1 }).unwrap();
    let (by, nobody) = (tag(1), KeyTag::NOBODY);
    let expected = [
        (EntryKind::Paired, by, by),
        (EntryKind::Enrolled, by, nobody),
        (EntryKind::Removed, by, nobody),
        (EntryKind::LogRead, by, nobody),
    ];
    assert_eq!(acts(&bench), expected);
}

#[test]
fn a_removal_comes_with_the_units_receipt() {
    let mut rig = Rig::new();
    for number in 0..40 {
        rig.enrol(&format!("person {number}"), number);
    }
    for person in [PersonId(1), PersonId(17), PersonId(40)] {
        let done = rig.call::<RemovePerson>(&PersonRemove { person }).unwrap();
        let receipt = done.receipt.unwrap().into_array().unwrap();
        let receipt = Receipt::from_bytes(&receipt).unwrap();
        let entry = *rig.log().last().unwrap();
        assert_eq!((entry.kind, entry.person), (EntryKind::Removed, person));
        assert_eq!((receipt.person, receipt.entry), (person, entry.sequence));
        assert_eq!(receipt.generation, done.generation);
        let state = rig.shared.lock();
        receipt.verify(&state.journal().unwrap().store().identity()).unwrap();
    }
}

#[test]
fn a_trusted_line_is_the_owner_until_the_unit_has_one() {
    let mut rig = Rig::new();
    let page = GalleryPageRequest { after: PersonId::NOBODY };
    assert!(rig.call::<ListGallery>(&page).is_ok());
    assert!(rig.call::<GetInfo>(&Nothing {}).unwrap().insecure_link);
    let first = AdministratorPageRequest { after: None };
    let listed = rig.call::<ListAdministrators>(&first).unwrap();
    assert!(listed.administrators.is_empty() && listed.you.is_none());
    let bench = Bench::of(rig);
    bench.rig.borrow_mut().desk.button();
    bench.greet().pair(&key(1), &bench.code(), name(1)).unwrap();
    let mut open = bench.greet();
    let no = RequestError::InsecureLink;
    assert_eq!(refused(open.call::<ListGallery>(&page)), no);
    assert_eq!(refused(open.call::<PutPerson>(&put_person("Eve"))), no);
    assert_eq!(refused(open.call::<ListAdministrators>(&first)), no);
    let info = open.call::<GetInfo>(&Nothing {}).unwrap();
    assert!(!info.insecure_link);
    assert_eq!(info.store.unwrap().administrators, 1);
    assert!(bench.session(1).call::<ListGallery>(&page).is_ok());
    // Not even a restart gives it back, nor a revoked session beside it.
    let flash = bench.rig.borrow().flash.clone();
    let again = Bench::of(Rig::on(&flash));
    assert_eq!(refused(again.greet().call::<ListGallery>(&page)), no);
}

#[test]
fn an_open_call_on_a_trusted_line_borrows_no_session() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let shared = bench.rig.borrow().shared.clone();
    bench.rig.borrow_mut().desk = Desk::new(shared, true);
    let mut open = bench.greet();
    assert!(bench.session(1).call::<SendEcho>(&echo()).is_ok());
    let revoke = AdministratorRevoke { key: key_id(1) };
    let found = refused(open.call::<RevokeAdministrator>(&revoke));
    assert_eq!(found, RequestError::InsecureLink);
}

#[test]
fn a_line_to_a_unit_without_its_store_hears_that_and_not_to_pair() {
    let flash = Rig::new().flash;
    let anchor = flash.bytes(threshold_store::Object::Anchor).unwrap();
    flash.set_bytes(threshold_store::Object::Anchor, Some(anchor[1..].to_vec()));
    assert!(Store::open(Box::new(flash.clone()), flash.keys()).is_err());
    let mut rig = Rig::on(&flash);
    rig.call::<SayHello>(&threshold_wire::HelloRequest::of_build("t")).unwrap();
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    assert_eq!((info.store, info.insecure_link), (None, false));
    let not_ready = RequestError::NotReady { part: threshold_record::Cause::Store };
    assert_eq!(rig.call::<SendEcho>(&echo()).unwrap_err(), not_ready);
}

#[test]
fn a_pull_ends_when_its_administrator_is_revoked() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Viewer)]);
    for _ in 0..3000 {
        bench.rig.borrow().shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    let mut session = bench.session(2);
    let window = Window::of_baud(115_200);
    let request = PullRequest { what: PullWhat::Log { from: 1 }, window, kept: None };
    session.call::<StartPull>(&request).unwrap();
    let poll = || {
        let mut sent = 0;
        bench.rig.borrow_mut().desk.poll(|_| sent += 1);
        sent
    };
    assert_eq!((poll(), poll()), (1, 1), "the pull is under way");
    bench.store(|store| store.revoke_administrator(key_id(2)).unwrap());
    assert_eq!((poll(), poll()), (0, 0));
}

#[test]
fn info_says_how_full_the_store_is() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    let store = info.store.unwrap();
    assert_eq!((store.log_oldest, store.log_segments, store.log_segments_kept), (1, 1, 420));
    assert_eq!((store.keeper, store.administrators), (SecretKeeper::Memory, 0));
    assert!(store.log_bytes > 64 * info.log_head.unwrap() && store.gallery_bytes > 128);
    assert_eq!((store.log_segments_begun, store.gallery_segments, store.reserve_bytes), (1, 1, 0));
    // Everything that is there was written since this start, and what it replaced besides.
    assert!(store.written_bytes > store.log_bytes + store.gallery_bytes);
    let before = store;
    rig.shared.lock().journal_mut().unwrap().store_mut().make_reserve().unwrap();
    rig.enrol("Grace", 2);
    let store = rig.call::<GetInfo>(&Nothing {}).unwrap().store.unwrap();
    assert_eq!(store.reserve_bytes, RESERVE_BYTES as u64);
    let grown = store.log_bytes + store.gallery_bytes - before.log_bytes - before.gallery_bytes;
    let written = store.written_bytes - before.written_bytes;
    assert!(written >= RESERVE_BYTES as u64 + grown && written < 2 * RESERVE_BYTES as u64);
}

#[test]
fn a_change_of_the_roster_that_holds_has_its_entry_before_the_next_change() {
    let mut owed = 0;
    for failing in 1..=6 {
        let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Viewer)]);
        let mut session = bench.session(1);
        {
            let rig = bench.rig.borrow();
            rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
        }
        let revoke = AdministratorRevoke { key: key_id(2) };
        let revoked = session.call::<RevokeAdministrator>(&revoke).is_ok();
        let gone = bench.store(|store| store.roster().of_key(key_id(2)).is_none());
        let rig = bench.rig.borrow();
        let told = || rig.log().iter().any(|entry| entry.kind == EntryKind::Revoked);
        let mut state = rig.shared.lock();
        let owes = !state.owes_nothing();
        owed += usize::from(owes);
        state.write(LogEntry::of(EntryKind::LogRead));
        let pays = state.owes_nothing();
        drop(state);
        assert!(revoked == gone || owes, "write {failing}");
        assert!(!gone || told() || !pays, "write {failing}");
    }
    assert!(owed > 0);
}
