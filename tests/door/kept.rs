//! What a host keeps of a unit's log: it is whole, it grows, and whatever is done to it or to the unit is named.

use crate::keys::{Bench, administrator, put_person};
use crate::rig::Rig;
use std::path::{Path, PathBuf};
use threshold_edge::service::Desk;
use threshold_host::cmd::log::keep::{compare, first_different, up_to_date};
use threshold_host::error::HostError;
use threshold_host::kept::{self, Bad, BadKind, Contents, KeptLog};
use threshold_host::keychain::{Keychain, KnownUnit};
use threshold_host::{receipts, trust};
use threshold_record::{EntryKind, LogEntry, PersonId, Role};
use threshold_store::{LogSize, MockFlash, Store};
use threshold_wire::endpoints::{PutPerson, RemovePerson};
use threshold_wire::message::PersonRemove;
use threshold_wire::trust::Identity;

/// Bytes of the file's head and of its two kinds of records.
const HEAD: usize = 96;
const ENTRY: usize = 97;
const SIGNED: usize = 161;

/// An administrator's folder, with a unit's log in it.
pub(crate) struct Host {
    _folder: tempfile::TempDir,
    keychain: Keychain,
}

impl Host {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keychain = Keychain::meant(Some(folder.path()));
        keychain.keep("bench", Some(KnownUnit::of(&[1; 32], Role::Owner))).unwrap();
        Self { _folder: folder, keychain }
    }

    pub(crate) fn identity(&self, bench: &Bench) -> anyhow::Result<Identity> {
        Ok(trust::identity(&self.keychain, &mut bench.session(1))?.unwrap())
    }

    pub(crate) fn path(&self, bench: &Bench) -> PathBuf {
        self.keychain.kept(&self.identity(bench).unwrap().key, "log")
    }

    /// Pulls; gives how many entries came.
    pub(crate) fn pull(&self, bench: &Bench) -> anyhow::Result<u64> {
        let identity = self.identity(bench)?;
        let mut kept = KeptLog::open(&self.path(bench), &identity)?;
        up_to_date(&mut bench.session(1), &identity, &mut kept, &mut |_| {})
    }

    pub(crate) fn contents(&self, bench: &Bench) -> Contents {
        kept::read(&self.path(bench)).unwrap().1
    }

    /// How the unit's log stands to what was kept.
    pub(crate) fn compare(&self, bench: &Bench) -> anyhow::Result<Option<(u64, u64)>> {
        let contents = self.contents(bench);
        let identity = self.identity(bench)?;
        let live = compare(&mut bench.session(1), &identity, contents.tip, contents.signed)?;
        Ok(live.lost)
    }
}

fn write(bench: &Bench, count: u64) {
    for _ in 0..count {
        bench.rig.borrow().shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
}

fn bench() -> Bench {
    Bench::new(&[administrator(1, Role::Owner)])
}

/// A unit that starts on that flash.
pub(crate) fn started(flash: &MockFlash) -> Bench {
    let mut rig = Rig::on(flash);
    rig.desk = Desk::new(rig.shared.clone(), false);
    Bench::of(rig)
}

pub(crate) fn head(bench: &Bench) -> u64 {
    bench.store(|store| store.log_head())
}

fn first_bad(path: &Path, bytes: &[u8]) -> Option<Bad> {
    std::fs::write(path, bytes).unwrap();
    kept::read(path).unwrap().1.bad
}

#[test]
fn a_pull_keeps_every_entry_signed_and_a_second_one_moves_nothing() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 3000);
    let came = host.pull(&bench).unwrap();
    // The reading is an entry too, and is kept with the others.
    assert_eq!(came, head(&bench));
    let contents = host.contents(&bench);
    assert_eq!((contents.first, contents.tip.sequence, contents.entries), (1, came, came));
    assert_eq!((contents.signed, contents.bad), (came, None));
    assert!(contents.lost.is_empty() && contents.unsigned.is_empty());
    let path = host.path(&bench);
    let kept: Vec<LogEntry> = kept::entries(&path, 1).unwrap().collect();
    assert!(kept == bench.rig.borrow().log());
    let before = std::fs::read(&path).unwrap();
    assert_eq!(host.pull(&bench).unwrap(), 0);
    assert!(std::fs::read(&path).unwrap() == before);
    assert_eq!(host.compare(&bench).unwrap(), None);
    // Each pull goes on behind the one before, tells how far it is, and touches nothing of before.
    write(&bench, 5);
    let (identity, mut told) = (host.identity(&bench).unwrap(), 0);
    let mut kept = KeptLog::open(&path, &identity).unwrap();
    let mut tell = |more| told += more;
    let came = up_to_date(&mut bench.session(1), &identity, &mut kept, &mut tell).unwrap();
    assert_eq!((came, told), (6, 6));
    assert!(std::fs::read(&path).unwrap().starts_with(&before));
    assert_eq!(
        (host.contents(&bench).signed, host.contents(&bench).checkpoints),
        (head(&bench), 2)
    );
}

#[test]
fn a_pull_over_a_line_that_dies_keeps_what_came_and_the_next_one_goes_on() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 2000);
    let identity = host.identity(&bench).unwrap();
    let mut kept = KeptLog::open(&host.path(&bench), &identity).unwrap();
    let mut session = bench.session(1);
    *bench.passes.borrow_mut() = 100;
    assert!(up_to_date(&mut session, &identity, &mut kept, &mut |_| {}).is_err());
    *bench.passes.borrow_mut() = usize::MAX;
    drop(kept);
    let contents = host.contents(&bench);
    assert!(
        contents.entries > 0 && contents.entries < 2000 && contents.signed == 0,
        "{contents:?}"
    );
    // What no signature is under yet agrees with the unit's all the same.
    assert_eq!(host.compare(&bench).unwrap(), None);
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!(
        (contents.signed, contents.entries, contents.bad),
        (head(&bench), head(&bench), None)
    );
}

#[test]
fn two_pulls_at_once_never_append_to_one_file() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 4);
    let (path, identity) = (host.path(&bench), host.identity(&bench).unwrap());
    let first = KeptLog::open(&path, &identity).unwrap();
    let error = host.pull(&bench).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(HostError::FileBusy { .. })), "{error}");
    drop(first);
    host.pull(&bench).unwrap();
    assert_eq!((host.contents(&bench).signed, host.contents(&bench).bad), (head(&bench), None));
}

#[test]
fn every_change_of_a_kept_log_is_named_by_its_first_entry() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 12);
    let first_pull = host.pull(&bench).unwrap();
    write(&bench, 7);
    host.pull(&bench).unwrap();
    let (path, last) = (host.path(&bench), head(&bench));
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(first_bad(&path, &whole), None);
    // Where the record of an entry stands, behind the signature of the first pull or before it.
    let start_of = |sequence: u64| {
        let signatures = usize::from(sequence > first_pull) * SIGNED;
        HEAD + (sequence as usize - 1) * ENTRY + signatures
    };
    for sequence in 1..=last {
        let start = start_of(sequence);
        let record = whole[start..start + ENTRY].to_vec();
        for at in 0..ENTRY {
            let mut flipped = whole.clone();
            flipped[start + at] ^= 1 << ((at + sequence as usize) % 8);
            let found = first_bad(&path, &flipped).map(|bad| bad.sequence);
            assert_eq!(found, Some(sequence), "byte {at}");
        }
        let mut without = whole.clone();
        without.drain(start..start + ENTRY);
        let found = first_bad(&path, &without).map(|bad| bad.sequence);
        assert!(found == Some(sequence) || sequence == last, "{sequence} left out: {found:?}");
        let mut doubled = whole.clone();
        doubled.splice(start..start, record.clone());
        assert_eq!(first_bad(&path, &doubled).map(|bad| bad.sequence), Some(sequence + 1));
        if sequence < last && sequence != first_pull {
            let mut swapped = whole.clone();
            swapped[start..start + 2 * ENTRY].rotate_left(ENTRY);
            let expected = Bad { sequence, kind: BadKind::Replaced { by: sequence + 1 } };
            assert_eq!(first_bad(&path, &swapped), Some(expected));
        }
    }
    // The last entry left out is missed by the signature that was under it.
    let mut without = whole.clone();
    without.drain(start_of(last)..start_of(last) + ENTRY);
    let expected = Bad { sequence: last, kind: BadKind::Missing { signed: last } };
    assert_eq!(first_bad(&path, &without), Some(expected));
    // A signature that is changed vouches for nothing.
    let start = start_of(first_pull) + ENTRY;
    for at in 1..SIGNED {
        let mut flipped = whole.clone();
        flipped[start + at] ^= 1 << (at % 8);
        let expected = Bad { sequence: 1, kind: BadKind::NotSigned };
        assert_eq!(first_bad(&path, &flipped), Some(expected), "byte {at}");
    }
    // And whoever writes all links anew has not the unit's key.
    std::fs::write(&path, &whole).unwrap();
    let (identity, _) = kept::read(&path).unwrap();
    let mut entries: Vec<LogEntry> = kept::entries(&path, 1).unwrap().collect();
    entries[4].quality ^= 1;
    std::fs::remove_file(&path).unwrap();
    let mut forged = KeptLog::open(&path, &identity).unwrap();
    entries[..first_pull as usize].iter().for_each(|entry| forged.append(entry).unwrap());
    forged.sync().unwrap();
    drop(forged);
    let forged = [std::fs::read(&path).unwrap(), whole[start..].to_vec()].concat();
    let expected = Bad { sequence: 1, kind: BadKind::NotAsSigned { last: first_pull } };
    assert_eq!(first_bad(&path, &forged), Some(expected));
    // Nothing is pulled onto such a file.
    let error = host.pull(&bench).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(HostError::KeptBad { .. })), "{error}");
}

#[test]
fn a_kept_log_that_ends_anywhere_is_never_taken_for_the_whole() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 4);
    host.pull(&bench).unwrap();
    let path = host.path(&bench);
    let whole = std::fs::read(&path).unwrap();
    for len in HEAD..whole.len() {
        assert_eq!(first_bad(&path, &whole[..len]), None);
        let contents = host.contents(&bench);
        assert!(contents.signed < contents.tip.sequence || contents.entries == 0, "{len}");
        assert!(contents.whole_bytes <= len as u64);
    }
    // The next pull cuts the half record off, and goes on.
    std::fs::write(&path, &whole[..whole.len() - SIGNED - 9]).unwrap();
    let identity = host.identity(&bench).unwrap();
    assert!(KeptLog::open(&path, &identity).unwrap().was_mended());
    host.pull(&bench).unwrap();
    // A reading of its own is an entry behind those that were there.
    assert!(std::fs::read(&path).unwrap().starts_with(&whole[..whole.len() - SIGNED]));
    assert_eq!((host.contents(&bench).signed, host.contents(&bench).bad), (head(&bench), None));
    // The head is somebody's or nobody's.
    for at in 0..HEAD {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert!(matches!(kept::read(&path), Err(HostError::KeptForeign { .. })), "{at}");
    }
}

#[test]
fn a_unit_whose_log_was_put_back_is_told_from_the_one_that_was_pulled() {
    let (host, bench) = (Host::new(), bench());
    write(&bench, 10);
    let (earlier, earlier_head) = (bench.rig.borrow().flash.copy(), head(&bench));
    write(&bench, 40);
    host.pull(&bench).unwrap();
    let kept_last = head(&bench);
    // All files as they once were: the unit itself finds nothing wrong.
    let put_back = started(&earlier);
    let shorter = head(&put_back);
    assert!(shorter < kept_last);
    let first_other = earlier_head + 1;
    for error in [host.pull(&put_back).unwrap_err(), host.compare(&put_back).unwrap_err()] {
        let rolled_back = matches!(
            error.downcast_ref(),
            Some(HostError::UnitRolledBack { kept_last: kept, unit_last })
                if *kept == kept_last && *unit_last == shorter
        );
        assert!(rolled_back, "{error}");
    }
    // It has as many entries again, and more: they are others, and none of them is kept.
    let path = host.path(&bench);
    let before = std::fs::read(&path).unwrap();
    for more in [kept_last - shorter, 5] {
        write(&put_back, more);
        for error in [host.compare(&put_back).unwrap_err(), host.pull(&put_back).unwrap_err()] {
            let differs = matches!(error.downcast_ref(), Some(HostError::UnitDiffers { .. }));
            assert!(differs, "{error}");
        }
        assert!(std::fs::read(&path).unwrap() == before);
        let first = first_different(&mut put_back.session(1), &path).unwrap();
        assert_eq!(first, Some(first_other));
    }
}

#[test]
fn entries_that_went_before_they_were_pulled_are_lost_by_name() {
    let small = LogSize { segment_bytes: 1100, segments: 3 };
    let flash = MockFlash::new();
    let fill = |count: u64| {
        let (mut store, _) =
            Store::open_sized(Box::new(flash.clone()), flash.keys(), small).unwrap();
        if store.roster().administrators().is_empty() {
            store.put_administrator(administrator(1, Role::Owner)).unwrap();
        }
        for _ in 0..count {
            store.commit(LogEntry::of(EntryKind::LogRead)).unwrap();
        }
        store.log_oldest()
    };
    let oldest = fill(60);
    assert!(oldest > 1);
    let host = Host::new();
    let bench = started(&flash);
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!((contents.first, &contents.lost[..]), (oldest, &[1..=oldest - 1][..]));
    assert_eq!((contents.signed, contents.bad), (head(&bench), None));
    let kept_last = head(&bench);
    drop(bench);
    let oldest = fill(60);
    let bench = started(&flash);
    assert_eq!(host.compare(&bench).unwrap(), Some((kept_last + 1, oldest - 1)));
    host.pull(&bench).unwrap();
    let contents = host.contents(&bench);
    assert_eq!(contents.lost[1], kept_last + 1..=oldest - 1);
    assert_eq!((contents.signed, contents.bad), (head(&bench), None));
    assert_eq!(host.compare(&bench).unwrap(), None);
}

#[test]
fn a_unit_that_signs_with_another_key_is_refused() {
    let host = Host::new();
    let first = bench();
    let identity = host.identity(&first).unwrap();
    assert_eq!(identity.key, first.store(|store| store.identity()));
    assert_eq!(identity.store_id, first.store(|store| store.store_id()));
    assert_eq!(host.keychain.identity("bench").unwrap(), Some(identity.key));
    assert_eq!(host.identity(&first).unwrap(), identity);
    // Another unit draws other keys, and has the name and the administrator of the first one.
    let flash = MockFlash::new();
    flash.keys().random(&mut [0; 9]).unwrap();
    let other = started(&flash);
    other.store(|store| store.put_administrator(administrator(1, Role::Owner)).unwrap());
    let error = host.identity(&other).unwrap_err();
    assert!(matches!(error.downcast_ref(), Some(HostError::OtherIdentity { .. })), "{error}");
    assert_eq!(host.keychain.identity("bench").unwrap(), Some(identity.key));
    // Nobody's identity is believed over a line without a session.
    assert_eq!(trust::identity(&host.keychain, &mut first.greet()).unwrap(), None);
}

#[test]
fn the_receipt_of_a_removal_is_kept_if_the_unit_signed_it_for_that_person() {
    let (host, bench) = (Host::new(), bench());
    let identity = host.identity(&bench).unwrap();
    let mut session = bench.session(1);
    let path = host.keychain.kept(&identity.key, "receipts");
    let mut receipts = Vec::new();
    for name in ["Ada", "Grace"] {
        let person = session.call::<PutPerson>(&put_person(name)).unwrap().person;
        let done = session.call::<RemovePerson>(&PersonRemove { person }).unwrap();
        let bytes = done.receipt.unwrap();
        let receipt = receipts::check(&bytes, &identity, person).unwrap();
        receipts::keep(&path, &receipt).unwrap();
        receipts.extend_from_slice(&bytes);
        assert_eq!(std::fs::read(&path).unwrap(), receipts);
        let other = receipts::check(&bytes, &identity, PersonId(77)).unwrap_err();
        assert!(matches!(other.downcast_ref(), Some(HostError::OtherReceipt { .. })), "{other}");
        let elsewhere = Identity { store_id: [9; 16], ..identity };
        assert!(receipts::check(&bytes, &elsewhere, person).is_err());
        assert!(receipts::check(&bytes[1..], &identity, person).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(receipts::check(&flipped, &identity, person).is_err(), "bit {bit}");
        }
        // Half a receipt, as a power cut may leave it, is not in the way of the next one.
        std::fs::write(&path, [&receipts[..], &bytes[..50]].concat()).unwrap();
    }
}
