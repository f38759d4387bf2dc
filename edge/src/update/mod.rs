//! The update: what is pushed becomes a version on trial in the slot that does not run.
//!
//! Owns the order: arrived whole, made whole if it is a delta, every signature and byte checked, room for it, installed by
//! `threshold_slots`, written down, and only then the process ends to start it. All of that is on a thread of its own, so that the
//! loop at the door goes on and the line answers.
//! Refuses to touch a slot before everything was checked, or once the process was told to end, and another embedder that nobody
//! accepted.

#![allow(
    clippy::result_large_err,
    reason = "a refusal is made once, and goes into the answer as it is"
)]

mod base;
mod before;
mod refusal;
pub mod staging;

use crate::journal::Journal;
use crate::state::{Ending, Shared, State};
use base::Running;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use threshold_bundle::{
    BundleError, FileEntry, FileKind, Installed, Manifest, Nowhere, Texts, Trust, id, is_delta,
    read, rebuild,
};
use threshold_record::{EntryKind, KeyTag, LogEntry, ModelId};
use threshold_slots::{Folder, PROGRAM, Slot, Slots};
use threshold_store::{LogSize, Place, Store};
use threshold_wire::message::EngineState;
use threshold_wire::update::{UpdateApplied, UpdateApply, UpdateRefusal};

pub use base::{MAX_PREFIX_BYTES, MAX_WINDOW_LOG};
pub use before::Before;
pub(crate) use refusal::{
    busy, ending, medium, no_slots, not_allowed, same_model, slots as slots_refuse, trial_needs_it,
    unknown_bits,
};

/// What a unit is updated by: its slots, and where a bundle comes to.
///
/// Whoever locks more than one of slots, unit and job does so in this order.
#[derive(Clone, Debug)]
pub struct Updates(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    slots: Mutex<Slots>,
    /// The slots' folder.
    folder: PathBuf,
    running: Slot,
    /// Where a bundle comes to.
    staging: PathBuf,
    /// When somebody last sent or asked for something; [`NOTHING`] once what was pushed was forgotten.
    heard_ms: AtomicU64,
    /// When templates were last put beside the gallery for a version that is still to come; [`NOTHING`] before that.
    staged_ms: AtomicU64,
    /// When it was last looked whether what lies there is needed; [`NOTHING`] before that.
    looked_ms: AtomicU64,
    job: Mutex<Job>,
}

/// Time between two looks whether what lies beside the gallery is needed: each reads eight small files.
const LOOK_MS: u64 = 10_000;

/// Nothing is there that could become old.
const NOTHING: u64 = u64::MAX;

/// What is being installed.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "a unit has one")]
enum Job {
    Idle,
    Working { hash: [u8; 32], done: Arc<AtomicU64>, all: u64 },
    Ended { hash: [u8; 32], outcome: Result<(), UpdateRefusal> },
}

impl Updates {
    /// A unit that runs from a slot of these, which lie in `folder`; `data` is the unit's data folder. What was pushed long ago is
    /// forgotten.
    #[must_use]
    pub fn of(slots: Slots, folder: PathBuf, running: Slot, data: &Path) -> Self {
        let (slots, job, staging) = (Mutex::new(slots), Mutex::new(Job::Idle), data.join("update"));
        // What cannot be taken away now is tried again when it is old, and when something is pushed.
        let goes_on = staging::begin(&staging).unwrap_or(false);
        let heard_ms = AtomicU64::new(0);
        // A bundle that goes on may be the one for which something was staged.
        let staged_ms = AtomicU64::new(if goes_on { 0 } else { NOTHING });
        let looked_ms = AtomicU64::new(NOTHING);
        Self(Arc::new(Parts {
            slots,
            folder,
            running,
            staging,
            heard_ms,
            staged_ms,
            looked_ms,
            job,
        }))
    }

    /// The slots; waits while something is installed.
    pub fn slots(&self) -> MutexGuard<'_, Slots> {
        self.0.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The slots, if nothing is installed just now.
    pub(crate) fn slots_now(&self) -> Result<MutexGuard<'_, Slots>, UpdateRefusal> {
        match self.0.slots.try_lock() {
            Ok(slots) => Ok(slots),
            Err(TryLockError::Poisoned(slots)) => Ok(slots.into_inner()),
            Err(TryLockError::WouldBlock) => Err(busy()),
        }
    }

    /// Where a bundle comes to.
    pub(crate) fn staging(&self) -> &Path {
        &self.0.staging
    }

    /// How the unit stood when the version that runs was installed, as far as that was noted.
    #[must_use]
    pub fn before(&self) -> Before {
        let Ok(status) = self.slots().status() else { return Before::default() };
        let running = status.slots.iter().find(|held| held.slot == self.0.running);
        running.map_or_else(Before::default, |held| before::noted(&self.0.staging, &held.manifest))
    }

    /// Forgets how the unit stood: a wiped one is neither armed nor has it people, whichever version runs.
    pub(crate) fn forget_before(&self) -> io::Result<()> {
        before::forget(&self.0.staging)
    }

    /// Somebody sends or asks for something.
    pub(crate) fn heard(&self, now_ms: u64) {
        self.0.heard_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Forgets what was pushed, if nobody has asked for it for long. To be called while nothing arrives.
    pub(crate) fn forget_old(&self, now_ms: u64) {
        let passed_ms = now_ms.saturating_sub(self.0.heard_ms.load(Ordering::Relaxed));
        if passed_ms >= staging::KEPT_MS && self.is_idle().is_ok() {
            let _ = staging::forget(&self.0.staging);
            self.heard(NOTHING);
        }
    }

    /// Refuses so many bytes more in the data folder if the log and the gallery may need them.
    pub(crate) fn has_room(&self, bytes: u64, store_bytes: u64) -> Result<(), UpdateRefusal> {
        staging::make(&self.0.staging).map_err(|error| medium(&error))?;
        staging::room_for(&self.0.staging, bytes, store_bytes)
    }

    /// Templates are put beside the gallery, for a version that is still to come.
    pub(crate) fn staged(&self, now_ms: u64) {
        self.0.staged_ms.store(now_ms, Ordering::Relaxed);
    }

    /// Drops what lies beside the gallery once no version that may still be started is of its model: after a confirmation by which the
    /// one before may not be gone back to, or once that one's slot is filled anew. What nobody installed a version for goes too, as
    /// what was pushed does. For the loop; the store erases it when the unit idles.
    pub fn look_beside(&self, shared: &Shared) {
        let (model, now_ms) = {
            let state = shared.lock();
            let store = state.journal().map(Journal::store);
            (store.and_then(Store::beside_model), state.clock().monotonic_ms())
        };
        let Some(model) = model else { return };
        let since = |at: &AtomicU64| match at.load(Ordering::Relaxed) {
            NOTHING => u64::MAX,
            at => now_ms.saturating_sub(at),
        };
        let awaited = || {
            let staged = since(&self.0.staged_ms);
            // The version that it is for may take longer to come.
            let heard = staged.min(since(&self.0.heard_ms));
            staged != u64::MAX && heard < staging::KEPT_MS || self.is_idle().is_err()
        };
        if since(&self.0.looked_ms) < LOOK_MS || awaited() {
            return;
        }
        self.0.looked_ms.store(now_ms, Ordering::Relaxed);
        if self.slots_now().map_or(true, |slots| slots.may_need(&model.0)) {
            return;
        }
        let mut state = shared.lock();
        // Whatever was staged meanwhile is for a version to come.
        if !awaited() {
            state.drop_beside(model);
        }
    }

    /// Bytes that the store may still grow by on the medium of the data folder, and which no update takes: none on a device of its own.
    pub fn store_bytes(state: &State) -> u64 {
        let store = state.journal().map(Journal::store);
        if store.is_some_and(|store| store.place() == Place::Device) {
            return 0;
        }
        let log = store.map_or(LogSize::default().most_bytes(), Store::log_may_grow_bytes);
        log.saturating_add(staging::GALLERY_BYTES)
    }

    /// Refuses while what was pushed is read.
    pub(crate) fn is_idle(&self) -> Result<(), UpdateRefusal> {
        match *self.job() {
            Job::Working { .. } => Err(busy()),
            Job::Idle | Job::Ended { .. } => Ok(()),
        }
    }

    /// Installs what was pushed, or tells how far that is.
    pub(crate) fn apply(&self, asked: &UpdateApply, by: KeyTag, shared: &Shared) -> UpdateApplied {
        if asked.accepts & !UpdateApply::RE_ENROL != 0 {
            return UpdateApplied::Refused(unknown_bits());
        }
        // Asked before the job is locked; an end that is set meanwhile is seen under the slots' lock, before anything is touched.
        let (now_ms, is_ending) = {
            let state = shared.lock();
            (state.clock().monotonic_ms(), state.is_ending())
        };
        self.heard(now_ms);
        let mut job = self.job();
        match &*job {
            Job::Working { hash, done, all } if *hash == asked.hash => {
                let percent = done.load(Ordering::Relaxed).saturating_mul(100) / (*all).max(1);
                return UpdateApplied::Working { percent: percent.min(99) as u8 };
            }
            Job::Working { .. } => return UpdateApplied::Refused(busy()),
            Job::Ended { hash, outcome } if *hash == asked.hash => match outcome.clone() {
                Ok(()) => return UpdateApplied::Installed,
                Err(refused) => {
                    // Told once; asked again it is tried again.
                    *job = Job::Idle;
                    return UpdateApplied::Refused(refused);
                }
            },
            Job::Ended { outcome: Ok(()), .. } => return UpdateApplied::Refused(busy()),
            Job::Ended { .. } | Job::Idle => {}
        }
        if is_ending {
            return UpdateApplied::Refused(ending());
        }
        let Some(pushed) = staging::whole(&self.0.staging, &asked.hash) else {
            return UpdateApplied::Refused(refusal::not_pushed());
        };
        // It is read three times as a bundle.
        let all = pushed.metadata().map_or(0, |meta| meta.len()).saturating_mul(3);
        let done = Arc::new(AtomicU64::new(0));
        *job = Job::Working { hash: asked.hash, done: Arc::clone(&done), all };
        drop(job);
        let (updates, shared, asked) = (self.clone(), shared.clone(), *asked);
        let work = move || {
            let install = || updates.install(pushed, &asked, by, &shared, &done);
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(install));
            let outcome = outcome.unwrap_or_else(|_| Err(refusal::panicked()));
            updates.clear(&outcome);
            updates.heard(shared.lock().clock().monotonic_ms());
            // Before anybody hears of it, so that nothing else is taken in between.
            if outcome.is_ok() {
                shared.lock().end(Ending::Reboot);
            }
            *updates.job() = Job::Ended { hash: asked.hash, outcome };
        };
        match std::thread::Builder::new().name("update".to_owned()).spawn(work) {
            Ok(_) => UpdateApplied::Working { percent: 0 },
            Err(error) => {
                *self.job() = Job::Idle;
                UpdateApplied::Refused(medium(&error))
            }
        }
    }

    fn install(
        &self,
        mut pushed: File,
        asked: &UpdateApply,
        by: KeyTag,
        shared: &Shared,
        done: &Arc<AtomicU64>,
    ) -> Result<(), UpdateRefusal> {
        let (trust, installed) = self.held_against()?;
        let store_bytes = Self::store_bytes(&shared.lock());
        let mut start = [0; 8];
        let begun = pushed.read_exact(&mut start).and_then(|()| pushed.rewind());
        begun.map_err(|error| medium(&error))?;
        let bundle = match is_delta(&start) {
            true => self.rebuilt(pushed, &trust, &installed, store_bytes)?,
            false => pushed,
        };
        let mut bundle = Counted { file: bundle, done: Arc::clone(done) };
        let said = |error: BundleError| refusal::bundle(&error);
        let manifest = read(&mut bundle, &trust, &installed, &mut Nowhere).map_err(said)?.0;
        check_program(&manifest)?;
        self.check_model(&manifest, asked, shared)?;
        self.check_room(&manifest, store_bytes)?;
        let mut slots = self.slots();
        // Whoever had the unit go back while the bundle was read holds the slots until its end is set.
        if shared.lock().is_ending() {
            return Err(ending());
        }
        // Before the note, which takes the place of what a trial of the running version is held against.
        slots.may_install().map_err(|error| refusal::slots(&error))?;
        self.note_before(&mut bundle, shared)?;
        slots.install(&mut bundle).map_err(|error| refusal::slots(&error))?;
        drop(slots);
        let written = shared.lock().write(LogEntry { by, ..LogEntry::of(EntryKind::Updated) });
        if written.is_some() {
            // What could not be taken back is told again at the next start.
            let _ = self.slots().told();
        }
        Ok(())
    }

    /// Takes off the medium what nobody can install again.
    fn clear(&self, outcome: &Result<(), UpdateRefusal>) {
        let _ = staging::remove(&self.made());
        if outcome.as_ref().err().is_none_or(refusal::is_final) {
            let _ = staging::forget(&self.0.staging);
        }
    }

    /// Notes whether the unit is armed, but for a part that is at fault just now, how many people it has, and whether a device
    /// computes: for the version on trial all of it has to be so too.
    fn note_before(&self, bundle: &mut Counted, shared: &Shared) -> Result<(), UpdateRefusal> {
        bundle.rewind().map_err(|error| medium(&error))?;
        let manifest = id(&mut *bundle).map_err(|error| refusal::bundle(&error))?;
        let before = {
            let state = shared.lock();
            Before {
                armed: state.refusal().is_none(),
                people: state.gallery_size().0,
                removed: state.journal().map(|journal| journal.store().n_removed()),
                device: state.engine() == Some(EngineState::Device),
            }
        };
        before::note(&self.0.staging, &manifest, before).map_err(|error| medium(&error))
    }

    /// What every bundle is held against.
    fn held_against(&self) -> Result<(Trust, Installed), UpdateRefusal> {
        let slots = self.slots();
        let status = slots.status().map_err(|error| refusal::slots(&error))?;
        let maker = slots.maker();
        Ok((
            Trust { release_key: maker.release_key, serial: status.serial },
            Installed { compatible: maker.compatible.clone(), counter: status.counter },
        ))
    }

    /// The bundle of a delta, in a file of its own.
    fn rebuilt(
        &self,
        delta: File,
        trust: &Trust,
        installed: &Installed,
        store_bytes: u64,
    ) -> Result<File, UpdateRefusal> {
        let mut running = self.running(trust, installed, store_bytes)?;
        let out = self.made();
        let made = File::create(&out).map_err(|error| medium(&error))?;
        let rebuilt = rebuild(
            io::BufReader::new(delta),
            trust,
            installed,
            &mut running,
            io::BufWriter::new(&made),
        );
        rebuilt.map_err(|error| refusal::delta(&error))?;
        File::open(&out).map_err(|error| medium(&error))
    }

    /// The version that runs; its bytes were checked when it was started, and what is made of them is checked whole.
    fn running(
        &self,
        trust: &Trust,
        installed: &Installed,
        store_bytes: u64,
    ) -> Result<Running, UpdateRefusal> {
        let folder = Folder::slot(&self.0.folder, self.0.running);
        let read = |name: &str| std::fs::read(folder.join(name));
        let [keys, keys_signature, manifest, signature] = Texts::NAMES;
        let members = read(keys)
            .and_then(|keys| Ok([keys, read(keys_signature)?, read(manifest)?, read(signature)?]));
        let texts = Texts::of(members.map_err(|error| medium(&error))?);
        let texts = texts.ok_or_else(|| refusal::bundle(&BundleError::OtherBase))?;
        let (manifest, _) =
            texts.verified(trust, installed).map_err(|error| refusal::bundle(&error))?;
        let id = *blake3::hash(&texts.manifest).as_bytes();
        Ok(Running { folder, id, manifest, store_bytes, out: self.made() })
    }

    /// The gallery's model is in the bundle, or that of what lies beside it, for everybody; or whoever asked accepts that the others are
    /// enrolled again.
    fn check_model(
        &self,
        manifest: &Manifest,
        asked: &UpdateApply,
        shared: &Shared,
    ) -> Result<(), UpdateRefusal> {
        let state = shared.lock();
        let gallery = state.journal().and_then(|journal| journal.store().gallery());
        let people = gallery.map_or(0, |gallery| gallery.n_people() as u32);
        let Some(ModelId(model)) = state.embedder().map(|embedder| embedder.id) else {
            return Ok(());
        };
        let packs: Vec<_> =
            manifest.files.iter().filter(|file| file.kind == FileKind::Pack).collect();
        // Without packs of its own a version takes those of the machine.
        let has = |model: [u8; 32]| packs.iter().any(|pack| pack.hash() == model);
        if packs.is_empty() || has(model) || people == 0 {
            return Ok(());
        }
        let beside = state.journal().and_then(|journal| journal.store().beside());
        let without = match beside.filter(|beside| has(beside.model.0)) {
            Some(beside) => beside.without,
            None => people,
        };
        match without == 0 || asked.accepts & UpdateApply::RE_ENROL != 0 {
            true => Ok(()),
            false => Err(refusal::re_enrol(without)),
        }
    }

    /// The slot that is filled has room, once it is emptied. On a medium of its own it takes nothing from the store.
    fn check_room(&self, manifest: &Manifest, store_bytes: u64) -> Result<(), UpdateRefusal> {
        let freed = freed_by(&Folder::slot(&self.0.folder, self.0.running.other()));
        let medium_of = |path: &Path| std::fs::metadata(path).map(|meta| meta.dev()).ok();
        let shares = medium_of(&self.0.folder) == medium_of(&self.0.staging);
        let store_bytes = if shares { store_bytes } else { 0 };
        let bytes = manifest.total_bytes().saturating_sub(freed);
        staging::room_for(&self.0.folder, bytes, store_bytes)
    }

    fn made(&self) -> PathBuf {
        self.0.staging.join(staging::MADE)
    }

    fn job(&self) -> MutexGuard<'_, Job> {
        self.0.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The launcher has something to start; it would refuse the slot, but only once it is filled.
fn check_program(manifest: &Manifest) -> Result<(), UpdateRefusal> {
    let is_it = |file: &FileEntry| file.name == PROGRAM && file.kind == FileKind::Program;
    match manifest.files.iter().any(is_it) {
        true => Ok(()),
        false => Err(refusal::no_program()),
    }
}

/// Bytes of the files in a slot, one folder deep.
fn freed_by(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(meta) if meta.is_dir() => freed_by(&entry.path()),
        _ => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// A file of which is counted what was read.
struct Counted {
    file: File,
    done: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(into)?;
        self.done.fetch_add(len as u64, Ordering::Relaxed);
        Ok(len)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}
