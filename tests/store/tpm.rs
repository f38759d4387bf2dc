//! A TPM as the keeper, against a real software TPM: what it keeps, what it finds, and what each way to lose it looks like.

use crate::{MODEL, entry, name, template};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use threshold_store::{
    FileFlash, FileKeys, Flash as _, FlashFault, KEY_FILE, Keeper, KeyError, KeyProvider, Object,
    Store, StoreError,
};
use threshold_tests::swtpm::Swtpm;
use threshold_tpm::{SEALED_FILE, TpmKeys};

/// A data folder whose secret a TPM keeps.
struct Unit {
    tpm: Swtpm,
    folder: TempDir,
}

impl Unit {
    fn new(what: &str) -> Option<Self> {
        Some(Self { tpm: Swtpm::start(what)?, folder: tempfile::tempdir().unwrap() })
    }

    fn keys(&self) -> Arc<dyn KeyProvider> {
        keys(&self.tpm.socket(), self.folder.path())
    }

    fn start(&self) -> Result<Store, StoreError> {
        start(self.keys(), self.folder.path())
    }

    /// The fault with which it does not start; twice the same, since a start that is refused mends nothing.
    fn fault(&self) -> StoreError {
        let error = self.start().err().unwrap();
        assert_eq!(self.start().err().unwrap(), error);
        assert!(error.is_of_keys());
        error
    }

    /// A unit with somebody in its gallery, stopped.
    fn filled(what: &str) -> Option<Self> {
        let unit = Self::new(what)?;
        fill(&mut unit.start().unwrap());
        Some(unit)
    }

    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(self.folder.path()).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.path().join(file.file_name())).unwrap();
        }
        copy
    }
}

fn keys(device: &Path, folder: &Path) -> Arc<dyn KeyProvider> {
    Arc::new(TpmKeys::at(device, &folder.join(SEALED_FILE)))
}

fn start(keys: Arc<dyn KeyProvider>, folder: &Path) -> Result<Store, StoreError> {
    let begun = Instant::now();
    let flash = loop {
        match FileFlash::open(folder) {
            // A process that another test begins holds this one's lock until it is another program.
            Err(error) if error.fault == FlashFault::Busy && begun.elapsed().as_secs() < 5 => {}
            opened => break opened?,
        }
    };
    let (mut store, _) = Store::open(Box::new(flash), keys)?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

fn fill(store: &mut Store) {
    let person = store.add_person(name("Ada")).unwrap();
    store.put_template(template(person, 0, 1)).unwrap();
    store.commit(entry(1)).unwrap();
    while store.tidy_up().unwrap() {}
}

#[test]
fn the_secret_opens_with_this_tpm_alone_and_its_counter_goes_on() {
    let Some(mut unit) = Unit::new("a TPM as the keeper") else { return };
    let first = {
        let mut store = unit.start().unwrap();
        fill(&mut store);
        let figures = store.figures().unwrap();
        assert_eq!((figures.keeper, figures.counter), (Keeper::Tpm, store.counter()));
        store.counter().unwrap()
    };
    assert!(!unit.folder.path().join(KEY_FILE).exists());
    let secret = unit.keys().secret().unwrap().unwrap();
    let sealed = std::fs::read(unit.folder.path().join(SEALED_FILE)).unwrap();
    assert!(!sealed.windows(16).any(|part| part == &secret[..16]));
    for start in 1..=3 {
        unit.tpm.power_cycle();
        let store = unit.start().unwrap();
        assert_eq!(store.counter(), Some(first + start), "each start is a step");
        assert_eq!(store.gallery().unwrap().n_people(), 1);
    }
}

#[test]
fn who_listens_on_the_bus_does_not_hear_the_secret() {
    let Some(unit) = Unit::new("what passes the bus") else { return };
    let (device, heard) = unit.tpm.overheard();
    let keys = keys(&device, unit.folder.path());
    drop(start(Arc::clone(&keys), unit.folder.path()).unwrap());
    let secret = keys.secret().unwrap().unwrap();
    let heard = heard.lock().unwrap();
    assert!(heard.len() > 2000, "seal and unseal passed: {} bytes", heard.len());
    for part in secret.chunks(8) {
        assert!(!heard.windows(8).any(|bytes| bytes == part));
    }
}

#[test]
fn a_whole_flash_that_is_put_back_is_found() {
    let Some(unit) = Unit::filled("a flash put back beside a TPM") else { return };
    let (before, at) = (unit.copy(), unit.start().unwrap().counter().unwrap());
    let older = |folder: &TempDir| start(keys(&unit.tpm.socket(), folder.path()), folder.path());
    let expected = StoreError::OlderFlash { found: at - 1, expected: at };
    assert_eq!(older(&before).err().unwrap(), expected);
    assert!(expected.to_string().contains("recovery key"));
    // A removal while it runs, and the flash of before that.
    let mut store = unit.start().unwrap();
    let before = unit.copy();
    store.remove_person(threshold_record::PersonId(1)).unwrap();
    while store.tidy_up().unwrap() {}
    drop(store);
    assert!(matches!(older(&before), Err(StoreError::OlderFlash { .. })));
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 0);
}

#[test]
fn a_tpm_that_is_absent_another_one_cleared_or_owned_is_a_fault_with_its_name() {
    let Some(mut unit) = Unit::filled("a TPM that is lost") else { return };
    unit.tpm.power_off();
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::TpmAbsent { .. })), "{error}");
    assert!(error.to_string().contains("[keys]"));
    unit.tpm.power_on();
    drop(unit.start().unwrap());

    let another = Swtpm::start("another TPM").unwrap();
    let own = std::mem::replace(&mut unit.tpm, another);
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::TpmOther { .. })), "{error}");
    unit.tpm = own;
    drop(unit.start().unwrap());

    unit.tpm.own();
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::TpmOwned { .. })), "{error}");
    // The platform takes the password off with everything else.
    unit.tpm.clear();
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::TpmOther { .. })), "{error}");
    assert!(error.to_string().contains("recovery key"));
    // The remedy: another folder begins, with the same TPM.
    unit.folder = tempfile::tempdir().unwrap();
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 0);
}

#[test]
fn a_tpm_that_others_locked_out_still_opens() {
    let Some(unit) = Unit::filled("a TPM that is locked out") else { return };
    unit.tpm.lock_out();
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 1);
}

#[test]
fn a_counter_that_is_gone_forged_or_made_anew_is_a_fault() {
    let Some(unit) = Unit::filled("a counter that is lost") else { return };
    let at = unit.start().unwrap().counter().unwrap();
    unit.tpm.undefine();
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::CounterGone { .. })), "{error}");
    // Something else in its place has another remedy, after which it is told that the counter is gone.
    unit.tpm.forge_counter(at);
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::CounterForeign { .. })), "{error}");
    assert!(error.to_string().contains("tpm2_nvundefine 0x1807468"), "{error}");
    unit.tpm.undefine();
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::CounterGone { .. })), "{error}");
    unit.tpm.forge_counter(at);
    // A TPM gives a new counter no number that an old one had.
    unit.tpm.undefine();
    unit.tpm.define_counter();
    let error = unit.fault();
    assert!(matches!(error, StoreError::OlderFlash { found, .. } if found == at), "{error}");
}

#[test]
fn a_sealed_file_that_is_changed_in_any_byte_or_cut_opens_nothing() {
    let Some(unit) = Unit::filled("a sealed file that is changed") else { return };
    let path = unit.folder.path().join(SEALED_FILE);
    let sealed = std::fs::read(&path).unwrap();
    for at in (0..sealed.len()).step_by(7) {
        let mut bytes = sealed.clone();
        bytes[at] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = unit.start().err().unwrap();
        assert!(error.is_of_keys(), "byte {at}: {error}");
    }
    for len in [0, 3, 11, 12, 40, sealed.len() - 1] {
        std::fs::write(&path, &sealed[..len]).unwrap();
        let error = unit.start().err().unwrap();
        assert!(
            matches!(error, StoreError::Keys(KeyError::NotSealedHere { .. })),
            "{len}: {error}"
        );
    }
    std::fs::write(&path, sealed).unwrap();
    drop(unit.start().unwrap());
}

#[test]
fn a_wipe_forgets_the_sealed_file_and_the_counter_with_or_without_the_tpm() {
    let Some(mut unit) = Unit::filled("a wipe beside a TPM") else { return };
    let path = unit.folder.path().join(SEALED_FILE);
    let (copied, sealed) = (unit.copy(), std::fs::read(&path).unwrap());
    let mut store = unit.start().unwrap();
    let (identity, at) = (store.identity(), store.counter().unwrap());
    store.wipe().unwrap();
    drop(store);
    assert!(!path.exists());
    let store = unit.start().unwrap();
    assert_ne!(store.identity(), identity);
    assert!(store.counter().unwrap() > at, "no number comes twice");
    drop(store);
    // Everything of before, the sealed file too: this TPM opens that still, and the counter tells.
    std::fs::write(copied.path().join(SEALED_FILE), sealed).unwrap();
    let opened = start(keys(&unit.tpm.socket(), copied.path()), copied.path());
    assert!(matches!(opened, Err(StoreError::OlderFlash { .. })));

    let mut store = unit.start().unwrap();
    unit.tpm.power_off();
    store.wipe().unwrap();
    drop(store);
    assert!(!path.exists());
    unit.tpm.power_on();
    drop(unit.start().unwrap());
    let flash = FileFlash::open(unit.folder.path()).unwrap();
    assert_eq!(flash.len(Object::Wiping).unwrap(), None);
}

#[test]
fn a_step_that_the_tpm_does_not_make_stops_the_log_until_it_does() {
    let Some(mut unit) = Unit::filled("a TPM that goes while the unit runs") else { return };
    let mut store = unit.start().unwrap();
    let at = store.counter().unwrap();
    unit.tpm.power_off();
    store.add_person(name("Grace")).unwrap();
    while store.tidy_up().unwrap() {}
    let head = store.log_head();
    let refused = store.commit(entry(2)).unwrap_err();
    assert!(matches!(refused, StoreError::Keys(KeyError::TpmAbsent { .. })), "{refused}");
    for _ in 0..3 {
        assert_eq!(store.commit(entry(2)).unwrap_err(), refused, "no entry, no permit");
        assert_eq!(store.save_lockout([1, 0, 0, 0]).unwrap_err(), refused, "no probe");
        store.append(entry(2)).unwrap();
        assert_eq!(store.sync().unwrap_err(), refused);
    }
    assert_eq!((store.log_head(), store.lockout()), (head, [0; 4]), "nothing is written again");
    unit.tpm.power_on();
    store.commit(entry(3)).unwrap();
    assert_eq!(store.counter(), Some(at + 1));
    drop(store);
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 2);
}

#[test]
fn a_tpm_that_hangs_is_a_fault_within_its_time_and_is_asked_again_once_it_comes_back() {
    let Some(unit) = Unit::filled("a TPM that hangs") else { return };
    let patience = Duration::from_secs(1);
    let sealed = unit.folder.path().join(SEALED_FILE);
    let keys = Arc::new(TpmKeys::at(&unit.tpm.socket(), &sealed).within(patience));
    let mut store = start(keys, unit.folder.path()).unwrap();
    let at = store.counter().unwrap();
    unit.tpm.hang();
    let begun = Instant::now();
    store.add_person(name("Grace")).unwrap();
    while store.tidy_up().unwrap() {}
    let refused = store.commit(entry(2)).unwrap_err();
    assert!(begun.elapsed() < 3 * patience, "{:?}", begun.elapsed());
    assert!(matches!(refused, StoreError::Keys(KeyError::TpmSilent { .. })), "{refused}");
    // Whoever comes meanwhile does not wait once more.
    let begun = Instant::now();
    for _ in 0..50 {
        assert_eq!(store.commit(entry(2)).unwrap_err(), refused, "no entry, no permit");
    }
    assert!(begun.elapsed() < patience, "{:?}", begun.elapsed());
    unit.tpm.go_on();
    let begun = Instant::now();
    while let Err(error) = store.commit(entry(3)) {
        assert_eq!(error, refused);
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(store.counter(), Some(at + 1));
    drop(store);
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 2);
}

#[test]
fn what_another_program_keeps_in_the_counters_place_is_told_and_left_there() {
    let Some(unit) = Unit::new("a foreign index") else { return };
    unit.tpm.forge_counter(7);
    let error = unit.fault();
    assert!(matches!(error, StoreError::Keys(KeyError::CounterForeign { .. })), "{error}");
    unit.keys().forget().unwrap();
    assert_eq!(unit.fault(), error, "it is still there");
    unit.tpm.undefine();
    drop(unit.start().unwrap());
}

#[test]
fn what_was_removed_is_erased_while_a_step_is_owed() {
    let Some(mut unit) = Unit::filled("a removal while the TPM is gone") else { return };
    let mut store = unit.start().unwrap();
    let grace = store.add_person(name("Grace")).unwrap();
    store.put_template(template(grace, 0, 2)).unwrap();
    while store.tidy_up().unwrap() {}
    let at = store.counter().unwrap();
    unit.tpm.power_off();
    store.remove_person(threshold_record::PersonId(1)).unwrap();
    while store.tidy_up().unwrap() {}
    assert!(store.receipt(threshold_record::PersonId(1), 1).is_some());
    // The step of the first removal is owed: the second is bound once that is made, and erased now.
    store.remove_person(grace).unwrap();
    let refused = loop {
        match store.tidy_up() {
            Ok(more) => assert!(more, "it stays unbound"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Keys(KeyError::TpmAbsent { .. })), "{refused}");
    assert!(store.receipt(grace, 2).is_some());
    unit.tpm.power_on();
    while store.tidy_up().unwrap() {}
    assert_eq!(store.counter(), Some(at + 2));
    drop(store);
    assert_eq!(unit.start().unwrap().gallery().unwrap().n_people(), 0);
}

#[test]
fn whatever_answers_in_the_place_of_a_tpm_is_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let answers: [&[u8]; 6] = [
        b"",
        &[0x80, 1, 0],
        &[0x80, 1, 0, 0, 0, 5, 0, 0, 0, 0],
        &[0x80, 1, 0, 1, 0, 10, 0, 0, 0, 0],
        // TPM_RC_FAILURE, and a code that nobody knows.
        &[0x80, 1, 0, 0, 0, 10, 0, 0, 1, 1],
        &[0x80, 1, 0, 0, 0, 10, 0xff, 0xff, 0xff, 0xfe],
    ];
    let said = std::thread::spawn(move || {
        for answer in answers {
            let (mut caller, _) = listener.accept().unwrap();
            let _ = caller.read(&mut [0; 4096]);
            let _ = caller.write_all(answer);
        }
    });
    let mut faults = Vec::new();
    for _ in answers {
        let error = start(keys(&socket, folder.path()), folder.path()).err().unwrap();
        faults.push(matches!(error, StoreError::Keys(KeyError::TpmRefuses { .. })));
        let absent = matches!(error, StoreError::Keys(KeyError::TpmAbsent { .. }));
        assert!(faults.ends_with(&[true]) || absent, "{error}");
    }
    said.join().unwrap();
    assert_eq!(faults, [false, false, false, false, true, true]);
}

/// The median of five.
fn median(mut once: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..5)
        .map(|_| {
            let begun = Instant::now();
            once();
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[2]
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures are for whoever reads the log of the tests")]
fn a_start_and_a_step_take_little_with_a_software_tpm() {
    let Some(unit) = Unit::filled("what a TPM costs") else { return };
    let folder: PathBuf = unit.copy().keep();
    std::fs::remove_file(folder.join(SEALED_FILE)).unwrap();
    let files = Arc::new(FileKeys::at(&folder.join(KEY_FILE)));
    files.keep(&unit.keys().secret().unwrap().unwrap()).unwrap();
    let by_file = median(|| drop(start(files.clone(), &folder).unwrap()));
    let by_tpm = median(|| drop(unit.start().unwrap()));
    let keys = unit.keys();
    let mut at = keys.counter().unwrap().unwrap().at;
    let step = median(|| {
        at += 1;
        keys.count_to(at).unwrap();
    });
    println!("start: {by_file:?} by a file, {by_tpm:?} by a TPM; a step of the counter: {step:?}");
    std::fs::remove_dir_all(folder).unwrap();
    // What a unit may take for its keys before it answers; a real TPM is slower than this one.
    assert!(by_tpm < Duration::from_secs(5) && step < Duration::from_secs(1));
}
