//! The store: one flash, and on it the log, the gallery, the tombstones and the anchor.
//!
//! The order of writes is the point of this file. A change of the gallery is a batch of its own,
//! bound by the log's next batch, which tells of it, and by the anchor once the unit idles. A
//! removal is durable with its tombstone and its record in the gallery, which go in one replace, and a start makes up for the one
//! that a cut took; if that fails the tombstone goes first, from which on the person is gone, whatever follows. A keeper's counter follows the anchor. An admission's entry is
//! appended and synced before the caller hears of it. The lock-out state is in the log before a probe is scored.

mod administration;
mod counter;
mod figures;
mod prune;
mod reserve;
mod trust;
mod wipe;

pub use figures::Figures;
pub use prune::{Proof, Proving, Pruned};
pub use reserve::RESERVE_BYTES;

use crate::administrators::{self, Roster};
use crate::anchor::{self, Anchor, LogForm};
use crate::error::{StoreError, TailCut};
use crate::file::FileFlash;
use crate::flash::{Flash, Object, Place};
use crate::gallery::durable::{Change, DurableGallery};
use crate::gallery::record::NO_MODEL;
use crate::gallery::{self, Beside, Gallery, GalleryError, Member};
use crate::keyring::{self, Form, Keyring};
use crate::keys::{FileKeys, KeyProvider};
use crate::log::{self, Log, LogSize, State};
use crate::meter::Metered;
use crate::sealed;
use crate::tombstones::{self, Tombstones};
use counter::Counting;
use std::collections::BTreeSet;
use std::sync::Arc;
use threshold_record::{
    Access, Context, ContextKind, LogEntry, ModelId, Name, Person, PersonId, Schedule, ScheduleId,
    Template,
};

/// The file in the data folder that holds a unit's secret, where there is no better keeper.
pub const KEY_FILE: &str = "unit.key";

/// How large the store's parts may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreSize {
    /// The log.
    pub log: LogSize,
    /// Bytes at which a segment of the gallery is full, at most 256 KiB. It may be longer by a batch.
    pub gallery_segment_bytes: u32,
}

impl Default for StoreSize {
    fn default() -> Self {
        LogSize::default().into()
    }
}

impl From<LogSize> for StoreSize {
    fn from(log: LogSize) -> Self {
        Self { log, gallery_segment_bytes: 256 << 10 }
    }
}

/// The open store of a unit.
pub struct Store {
    flash: Box<Metered>,
    size: StoreSize,
    keyring: Keyring,
    log: Log,
    /// What the anchor says of the log.
    log_form: LogForm,
    /// How far everything has come, as far as it is durable.
    anchor: Anchor,
    /// The log's head that the anchor on the flash says.
    anchored: u64,
    counting: Counting,
    tombstones: Tombstones,
    /// People in the gallery of whom the flash may have a tombstone, since their removal failed.
    doubtful: BTreeSet<PersonId>,
    roster: Roster,
    /// The highest generation of the roster given out.
    roster_given: u64,
    gallery: Option<DurableGallery>,
    /// The gallery's generation, or the roster's, is further than the anchor on the flash says.
    unbound: bool,
}

impl Store {
    /// Opens the store in a folder, with the secret in its file [`KEY_FILE`]; see [`Store::open`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_folder(folder: &std::path::Path) -> Result<(Self, Option<TailCut>), StoreError> {
        let flash = FileFlash::open(folder)?;
        Self::open(Box::new(flash), Arc::new(FileKeys::at(&folder.join(KEY_FILE))))
    }

    /// Opens the log, the anchor and the tombstones, counts this start, and makes them all on the first start. The gallery
    /// comes with [`Store::load_gallery`], so that a unit whose gallery is damaged can still log that.
    ///
    /// The [`TailCut`] is for the journal to log.
    ///
    /// # Errors
    /// [`StoreError`]; the unit then stays locked, since it could not log an admission.
    pub fn open(
        flash: Box<dyn Flash>,
        keys: Arc<dyn KeyProvider>,
    ) -> Result<(Self, Option<TailCut>), StoreError> {
        Self::open_sized(flash, keys, StoreSize::default())
    }

    /// Opens a store of other sizes; see [`Store::open`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_sized(
        flash: Box<dyn Flash>,
        keys: Arc<dyn KeyProvider>,
        size: impl Into<StoreSize>,
    ) -> Result<(Self, Option<TailCut>), StoreError> {
        let (mut flash, size) = (Box::new(Metered::new(flash)), size.into());
        wipe::finish(flash.as_mut(), keys.as_ref())?;
        let keyring = Keyring::open(flash.as_mut(), &keys)?;
        let anchor = read(flash.as_ref(), &keyring, Object::Anchor, anchor::MAX_LEN as u64)?;
        let (mut anchor, form) = match anchor {
            Some(bytes) => Anchor::from_bytes(&bytes)?,
            None => {
                // The ring and the anchor are the first objects of a first start, so nothing else can be there without them.
                if let Some(beside) = keyring::others(flash.as_ref(), &[Object::Keys])? {
                    return Err(StoreError::NoAnchor { beside });
                }
                let first = Anchor::default();
                let bytes = first.to_bytes(LogForm::Sealed);
                sealed::replace(flash.as_mut(), &keyring, Object::Anchor, &bytes)?;
                (first, LogForm::Sealed)
            }
        };
        let counting = Counting::open(&keyring, &anchor)?;
        let tombstones = read(flash.as_ref(), &keyring, Object::Tombstones, tombstones::MAX_BYTES)?;
        let tombstones = match tombstones {
            Some(bytes) => Tombstones::from_bytes(&bytes)?,
            None => Tombstones::default(),
        };
        // The formats that were not sealed had no roster: one that is not is somebody else's.
        let (object, max) = (Object::Administrators, administrators::MAX_BYTES);
        let roster = sealed::read(flash.as_ref(), &keyring, object, max)?;
        let roster =
            roster.map_or_else(|| Ok(Roster::default()), |bytes| Roster::from_bytes(&bytes))?;
        let count = tombstones.0.len() as u64;
        not_before(Object::Tombstones, count, u64::from(anchor.tombstones))?;
        let converting = keyring.form() == Form::Converting;
        if converting {
            keyring.originals().check_rest(flash.as_ref())?;
        }
        let (log, cut) = match form {
            LogForm::Single | LogForm::Segments if converting => {
                log::convert(flash.as_mut(), &keyring, size.log, form, &anchor)?
            }
            _ => Log::open(flash.as_mut(), &keyring, size.log, &anchor)?,
        };
        let said = log.state();
        not_before(Object::Tombstones, count, u64::from(said.tombstones))?;
        anchor.add(said);
        not_before(Object::Administrators, roster.generation(), anchor.administrators)?;
        anchor.administrators = roster.generation();
        if converting && !tombstones.0.is_empty() {
            let bytes = tombstones.to_bytes();
            sealed::replace(flash.as_mut(), &keyring, Object::Tombstones, &bytes)?;
        }
        anchor.boot = anchor.boot.saturating_add(1);
        let log_form = if converting { form } else { LogForm::Sealed };
        let mut store = Self {
            flash,
            size,
            keyring,
            log,
            log_form,
            anchor,
            anchored: 0,
            counting,
            tombstones,
            doubtful: BTreeSet::new(),
            roster_given: roster.generation(),
            roster,
            gallery: None,
            unbound: false,
        };
        store.write_anchor()?;
        if converting {
            let (bytes, anchored) = (size.gallery_segment_bytes, store.anchor.generation);
            gallery::convert::convert(store.flash.as_mut(), &store.keyring, bytes, anchored)?;
            store.keyring.all_sealed(store.flash.as_mut())?;
            store.log.remove_old(store.flash.as_mut());
        }
        store.log_form = LogForm::Sealed;
        // From the switch on the sealed segments are the log. If the flash does not let go of the old one now, it is asked
        // again at the next start.
        let _ = store.flash.remove(Object::SingleLog);
        let _ = store.flash.remove(Object::Gallery);
        store.drop_old_keys()?;
        Ok((store, cut))
    }

    /// Loads the gallery of a model, or an empty one if none was ever written; what lies beside it of another model stays there.
    /// Applies the tombstones.
    ///
    /// # Errors
    /// [`StoreError`] if the gallery is damaged, older than it was, or of other models.
    pub fn load_gallery(&mut self, model: ModelId) -> Result<&Gallery, StoreError> {
        let durable = self.read_gallery(model)?;
        let gallery = durable.gallery();
        if gallery.model() != model {
            return Err(StoreError::OtherModel {
                gallery: gallery.model(),
                unit: model,
                people: gallery.n_people(),
                templates: gallery.n_templates(),
            });
        }
        Ok(self.gallery.insert(durable).gallery())
    }

    /// Loads the gallery whatever model it is of, to be looked at.
    ///
    /// # Errors
    /// [`StoreError`] if the gallery is damaged or older than it was.
    pub fn load_any_gallery(&mut self) -> Result<&Gallery, StoreError> {
        let durable = self.read_gallery(ModelId([0; 32]))?;
        Ok(self.gallery.insert(durable).gallery())
    }

    /// Loads the gallery for a model that it may not belong to: keeps the people, drops templates of other models.
    /// Gives the number of templates dropped.
    ///
    /// # Errors
    /// [`StoreError`] if the gallery is damaged or older than it was, or could not be saved.
    pub fn load_gallery_discarding_templates(
        &mut self,
        model: ModelId,
    ) -> Result<usize, StoreError> {
        let mut durable = self.read_gallery(model)?;
        let beside = durable.beside().map_or(0, |beside| beside.templates as usize);
        let dropped = durable.gallery().n_templates() + beside;
        if durable.gallery().model() == model {
            self.gallery = Some(durable);
            return Ok(0);
        }
        durable.change(self.flash.as_mut(), &self.keyring, Change::Rebase(model))?;
        self.gallery = Some(durable);
        self.note_gallery();
        Ok(dropped)
    }

    fn read_gallery(&mut self, model: ModelId) -> Result<DurableGallery, StoreError> {
        let mut durable = DurableGallery::load(
            self.flash.as_mut(),
            &self.keyring,
            model,
            self.size.gallery_segment_bytes,
            self.anchor.generation,
        )?;
        let removed = durable.without_tombstone(&self.tombstones.0);
        if !removed.is_empty() {
            let mut tombstones = self.tombstones.clone();
            tombstones.0.extend(removed);
            self.save_tombstones(tombstones)?;
        }
        durable.apply(self.flash.as_mut(), &self.keyring, &self.tombstones.0);
        let gallery = durable.gallery();
        self.unbound |= gallery.generation() > self.anchor.generation;
        self.anchor.generation = gallery.generation();
        self.anchor.last_id = gallery.last_id().max(self.anchor.last_id);
        Ok(durable)
    }

    /// The gallery, once loaded.
    #[must_use]
    pub fn gallery(&self) -> Option<&Gallery> {
        self.gallery.as_ref().map(DurableGallery::gallery)
    }

    /// Adds a person under an id that was never used; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub fn add_person(&mut self, name: Name) -> Result<PersonId, StoreError> {
        let person = self.fresh_person(name)?;
        let id = person.id;
        self.change(Change::Person(person))?;
        Ok(id)
    }

    /// A person of that name under an id that was never used, to be put; who is put first takes the id.
    ///
    /// # Errors
    /// [`StoreError`] without a gallery, and once every id was used.
    pub fn fresh_person(&self, name: Name) -> Result<Person, StoreError> {
        let gallery = self.gallery().ok_or(StoreError::NoGallery)?;
        let last = gallery.last_id().max(self.tombstones.last_id()).max(self.anchor.last_id);
        let id = PersonId(last.0.checked_add(1).ok_or(GalleryError::IdsUsedUp)?);
        Ok(Person { id, name })
    }

    /// Puts a template into its slot, in place of one that stands there; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub fn put_template(&mut self, template: Template) -> Result<(), StoreError> {
        if self.doubtful.contains(&template.person) {
            // What is acknowledged now must not go with a removal that was not.
            let tombstones = self.tombstones.clone();
            self.save_tombstones(tombstones)?;
        }
        self.change(Change::Template(Box::new(template)))
    }

    /// Settles what holds of a person besides the name, in place of what did; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before, and after a start it may hold what was asked for.
    pub fn set_access(&mut self, person: PersonId, access: Access) -> Result<(), StoreError> {
        if self.doubtful.contains(&person) {
            // What is acknowledged now must not go with a removal that was not.
            let tombstones = self.tombstones.clone();
            self.save_tombstones(tombstones)?;
        }
        self.change(Change::Access(person, Box::new(access)))
    }

    /// Puts a schedule, in place of one of its number; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub fn put_schedule(&mut self, schedule: Schedule) -> Result<(), StoreError> {
        self.change(Change::Schedule(schedule.id, Some(Box::new(schedule))))
    }

    /// Takes a schedule away that nobody has; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub fn remove_schedule(&mut self, id: ScheduleId) -> Result<(), StoreError> {
        self.change(Change::Schedule(id, None))
    }

    /// Puts people with their templates, in order of rising ids: who is not there is added under the id with what holds of him, who
    /// is there keeps what holds, a template takes the place of one in its slot. As many of the first as one batch holds become durable at once, at least one; gives how many.
    ///
    /// # Errors
    /// [`StoreError`], of the gallery's rules too: [`GalleryError::UsedId`] for somebody who was removed. The gallery is then as
    /// before.
    pub fn put_members(&mut self, members: &[Member]) -> Result<usize, StoreError> {
        let dead = members.iter().find(|member| self.was_removed(member.person.id));
        if let Some(Member { person, .. }) = dead {
            return Err(GalleryError::UsedId { person: person.id }.into());
        }
        self.settle_doubts(members)?;
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        let put = durable.put(self.flash.as_mut(), &self.keyring, members)?;
        self.note_gallery();
        Ok(put)
    }

    /// The model of what lies beside the gallery; `None` if nothing does.
    #[must_use]
    pub fn beside_model(&self) -> Option<ModelId> {
        self.gallery.as_ref()?.beside_model()
    }

    /// People who were ever removed.
    #[must_use]
    pub fn n_removed(&self) -> u32 {
        u32::try_from(self.tombstones.0.len()).unwrap_or(u32::MAX)
    }

    /// What lies beside the gallery; `None` if nothing does. Looks at everybody.
    #[must_use]
    pub fn beside(&self) -> Option<Beside> {
        self.gallery.as_ref()?.beside()
    }

    /// Has an empty place for templates of another model beside the gallery, and drops what was there; durable on return, and erased
    /// like what was removed.
    ///
    /// # Errors
    /// [`StoreError`], [`GalleryError::SameModel`] in it; what lies there is then as before.
    pub fn begin_beside(&mut self, model: ModelId) -> Result<(), StoreError> {
        if self.gallery().ok_or(StoreError::NoGallery)?.model() == model {
            return Err(GalleryError::SameModel.into());
        }
        self.change(Change::Beside(model))
    }

    /// Puts templates of people who are in the gallery beside it, as [`Store::put_members`] puts them into it. They go with their
    /// person, and everything else of a person stays what it is.
    ///
    /// # Errors
    /// [`StoreError`], of the gallery's rules too: [`GalleryError::UnknownPerson`] for somebody who is not there.
    pub fn put_beside(&mut self, members: &[Member]) -> Result<usize, StoreError> {
        self.settle_doubts(members)?;
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        let put = durable.put_beside(self.flash.as_mut(), &self.keyring, members)?;
        self.note_gallery();
        Ok(put)
    }

    /// Drops what lies beside the gallery; durable on return, and erased like what was removed.
    ///
    /// # Errors
    /// [`StoreError`]; it is then as before.
    pub fn drop_beside(&mut self) -> Result<(), StoreError> {
        match self.beside_model() {
            Some(_) => self.change(Change::Beside(NO_MODEL)),
            None => Ok(()),
        }
    }

    /// What is acknowledged of people now must not go with a removal that was not.
    fn settle_doubts(&mut self, members: &[Member]) -> Result<(), StoreError> {
        if members.iter().any(|member| self.doubtful.contains(&member.person.id)) {
            let tombstones = self.tombstones.clone();
            self.save_tombstones(tombstones)?;
        }
        Ok(())
    }

    /// True if the person was in the gallery and was removed.
    #[must_use]
    pub fn was_removed(&self, person: PersonId) -> bool {
        self.tombstones.0.contains(&person)
    }

    fn change(&mut self, change: Change) -> Result<(), StoreError> {
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        durable.change(self.flash.as_mut(), &self.keyring, change)?;
        self.note_gallery();
        Ok(())
    }

    /// Removes a person and all templates for good; durable on return. Their bytes are off the flash then too, or, if they stand in
    /// several segments, after [`Store::tidy_up`] has nothing more to do.
    ///
    /// # Errors
    /// [`StoreError::NotErased`] if the person is gone but the templates' bytes are not; any other error: the gallery
    /// is as before.
    pub fn remove_person(&mut self, person: PersonId) -> Result<Member, StoreError> {
        let gallery = self.gallery().ok_or(StoreError::NoGallery)?;
        gallery.member(person).ok_or(GalleryError::UnknownPerson { person })?;
        let mut tombstones = self.tombstones.clone();
        tombstones.0.insert(person);
        if let Some(removed) = self.remove_at_once(person, &tombstones)? {
            return Ok(removed);
        }
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        durable.before_tombstone(self.flash.as_mut(), person)?;
        self.save_tombstones(tombstones)?;
        let (flash, keyring) = (self.flash.as_mut(), &self.keyring);
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        let removed = durable.bury(person).ok_or(GalleryError::UnknownPerson { person })?;
        let written = durable.change(flash, keyring, Change::Removals);
        let erased = written.and_then(|_| durable.erase_one(flash, keyring));
        self.note_gallery();
        match erased {
            Ok(_) => Ok(removed),
            Err(source) => Err(StoreError::NotErased { person, source: Box::new(source) }),
        }
    }

    /// Has the tombstones and the segment without the person durable in one go; `None` if the tombstones must go first.
    fn remove_at_once(
        &mut self,
        person: PersonId,
        tombstones: &Tombstones,
    ) -> Result<Option<Member>, StoreError> {
        let durable = self.gallery.as_mut().ok_or(StoreError::NoGallery)?;
        // A segment that cannot be read, say, keeps nobody from being removed.
        let removal = durable.removal(self.flash.as_ref(), &self.keyring, person);
        let Ok(Some(removal)) = removal else { return Ok(None) };
        let list = sealed::seal(&self.keyring, Object::Tombstones, &tombstones.to_bytes())?;
        self.doubtful.insert(person);
        let both = [(Object::Tombstones, &list[..]), removal.object()];
        let replaced = self.flash.replace_all(&both);
        if replaced.is_err() {
            durable.not_removed(removal);
            return Ok(None);
        }
        let removed = durable.removed(removal);
        self.doubtful.clear();
        self.tombstones = tombstones.clone();
        self.note_gallery();
        Ok(removed)
    }

    fn save_tombstones(&mut self, tombstones: Tombstones) -> Result<(), StoreError> {
        let added = tombstones.0.difference(&self.tombstones.0).copied();
        self.doubtful.extend(added);
        self.replace(Object::Tombstones, &tombstones.to_bytes())?;
        self.doubtful.clear();
        self.tombstones = tombstones;
        Ok(())
    }

    /// Does one step of what can wait until the unit idles, and says whether more is due: a removal is bound to the anchor, dead
    /// records of the gallery go, and last, since nobody waits for them, segments of the log that were pruned. A step reads two
    /// segments of the gallery at most, writes one, and takes three fdatasyncs at most.
    ///
    /// # Errors
    /// [`StoreError`] of the flash; the step stays due. Of the keeper, whose counter owes a step: everything else was done by then.
    pub fn tidy_up(&mut self) -> Result<bool, StoreError> {
        let mut owed = None;
        if self.unbound {
            match self.write_anchor() {
                // What was removed goes all the same: no template waits for a counter.
                Err(error) if self.counting.owes() => owed = Some(error),
                written => written?,
            }
            if !self.unbound {
                self.note_gallery();
                return Ok(true);
            }
        }
        if let Some(durable) = &mut self.gallery {
            let is_due = durable.is_due(&self.keyring);
            let more = durable.tidy(self.flash.as_mut(), &self.keyring)?;
            self.note_gallery();
            if more {
                return Ok(true);
            }
            self.drop_old_keys()?;
            if let Some(error) = owed {
                return Err(error);
            }
            if is_due || self.unbound {
                return Ok(self.unbound || self.log.has_old(self.flash.as_ref()));
            }
        }
        let more = self.log.remove_one(self.flash.as_mut())?;
        match owed {
            Some(error) if !more => Err(error),
            _ => Ok(more),
        }
    }

    /// Tells the log, with its next batch, how far the gallery has come; the anchor follows when it is written.
    fn note_gallery(&mut self) {
        let Some(durable) = &self.gallery else { return };
        let gallery = durable.gallery();
        self.unbound |= gallery.generation() > self.anchor.generation;
        self.anchor.generation = gallery.generation().max(self.anchor.generation);
        self.anchor.last_id = gallery.last_id().max(self.anchor.last_id);
    }

    /// Writes down how far everything has come: the anchor now, the log with its next batch. Not while a step is owed: the anchor on
    /// the flash names that, and two that name the same one could not be told apart.
    fn write_anchor(&mut self) -> Result<(), StoreError> {
        self.make_step()?;
        self.anchor.log_head = self.log.durable_head();
        self.anchor.log_batches = self.log.durable_batches();
        self.note_state();
        self.name_step()?;
        self.replace(Object::Anchor, &self.anchor.to_bytes(self.log_form))?;
        self.anchored = self.anchor.log_head;
        self.unbound = false;
        self.step_named()
    }

    /// Tells the log what everything else has come to.
    fn note_state(&mut self) -> State {
        self.anchor.tombstones = u32::try_from(self.tombstones.0.len()).unwrap_or(u32::MAX);
        let state = State::from(&self.anchor);
        self.log.set_state(state);
        state
    }

    fn replace(&mut self, object: Object, plain: &[u8]) -> Result<(), StoreError> {
        sealed::replace(self.flash.as_mut(), &self.keyring, object, plain)
    }

    /// How often the unit started, this time included.
    #[must_use]
    pub fn boot(&self) -> u32 {
        self.anchor.boot
    }

    /// Where the counter stands that a flash put back is found by; `None` without one.
    #[must_use]
    pub fn counter(&self) -> Option<u64> {
        self.counting.at()
    }

    /// The lock-out state as last saved; zeros if none ever was.
    #[must_use]
    pub fn lockout(&self) -> [u8; 4] {
        self.anchor.lockout
    }

    /// Saves the lock-out state; durable on return, after one sync of the log. To be called before a probe is scored.
    ///
    /// # Errors
    /// [`StoreError`]; the caller then refuses.
    pub fn save_lockout(&mut self, lockout: [u8; 4]) -> Result<(), StoreError> {
        self.make_step()?;
        let state = State { lockout, ..self.note_state() };
        self.log.save_state(self.flash.as_mut(), &self.keyring, state)?;
        self.anchor.lockout = lockout;
        self.bind_log()
    }

    /// Appends an entry under the next sequence, and gives it back with that. Durable only after [`Store::sync`].
    ///
    /// # Errors
    /// [`StoreError`]; the entry is then not in the log.
    pub fn append(&mut self, entry: LogEntry) -> Result<LogEntry, StoreError> {
        self.log.append(self.flash.as_mut(), &self.keyring, entry)
    }

    /// Makes every appended entry and context durable.
    ///
    /// # Errors
    /// [`StoreError`]; the log takes nothing more until the store is opened again, but for one of the keeper: nothing was written then.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.make_step()?;
        self.note_state();
        self.log.sync(self.flash.as_mut(), &self.keyring)?;
        self.bind_log()
    }

    /// True if an entry was appended that is not durable yet.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        self.log.has_waiting()
    }

    /// Appends an entry and makes it durable: what stands before every pulse of the lock.
    ///
    /// # Errors
    /// [`StoreError`]; whether the entry is in the log is then unknown, and the door stays locked.
    pub fn commit(&mut self, entry: LogEntry) -> Result<LogEntry, StoreError> {
        self.make_step()?;
        self.note_state();
        let entry = self.log.commit(self.flash.as_mut(), &self.keyring, entry)?;
        self.bind_log()?;
        Ok(entry)
    }

    /// Binds the log's head into the anchor with the first entry, so that a log that is gone is not a first start, and
    /// with each new segment, so that no whole segment can be taken away unseen.
    fn bind_log(&mut self) -> Result<(), StoreError> {
        let due = self.log.first_of_last().min(self.log.durable_head());
        if self.anchored < due { self.write_anchor() } else { Ok(()) }
    }

    /// The number of a context record of these bytes, which is in force from now on; written if there is none. Durable with
    /// the next sync. Entries may refer to the context of each kind that is in force, and to no other.
    ///
    /// # Errors
    /// [`StoreError`] if it could not be written.
    pub fn context_number(&mut self, kind: ContextKind, bytes: &[u8]) -> Result<u16, StoreError> {
        self.log.context_number(self.flash.as_mut(), &self.keyring, kind, bytes)
    }

    /// The bytes of the last context record of a kind, whichever start wrote it; `None` if there never was one.
    #[must_use]
    pub fn last_context(&self, kind: ContextKind) -> Option<&[u8]> {
        self.log.last_context(kind)
    }

    /// A durable context record; every one that an entry of the log refers to is there.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    pub fn context(&self, number: u16) -> Result<Option<Context>, StoreError> {
        self.log.context(self.flash.as_ref(), &self.keyring, number)
    }

    /// Sequence of the last durable entry; 0 for an empty log.
    #[must_use]
    pub fn log_head(&self) -> u64 {
        self.log.durable_head()
    }

    /// Sequence of the oldest entry that is still there; 0 for an empty log. Those before it were overwritten.
    #[must_use]
    pub fn log_oldest(&self) -> u64 {
        self.log.oldest()
    }

    /// Sequence of the first entry that the last prune left: those before it were let go of because an owner asked for it. 0 if no
    /// entry of the log tells of one any more.
    #[must_use]
    pub fn log_pruned(&self) -> u64 {
        self.log.pruned()
    }

    /// Where it lies.
    #[must_use]
    pub fn place(&self) -> Place {
        self.flash.place()
    }

    /// Bytes that the log may still take beside those that it has, before its oldest segment goes for the newest.
    #[must_use]
    pub fn log_may_grow_bytes(&self) -> u64 {
        self.log.may_grow_bytes()
    }

    /// Durable entries from a sequence on, in order, at most `max`. If that one was overwritten they start with
    /// [`Store::log_oldest`].
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    pub fn log_page(&self, from: u64, max: usize) -> Result<Vec<LogEntry>, StoreError> {
        self.log.page(self.flash.as_ref(), &self.keyring, from, max)
    }
}

/// The bytes of an object that is replaced whole: sealed, or as a format without keys has them while that is converted.
fn read(
    flash: &dyn Flash,
    keyring: &Keyring,
    object: Object,
    max: u64,
) -> Result<Option<Vec<u8>>, StoreError> {
    if keyring.form() == Form::Converting {
        let bytes = flash.read_all(object, max)?;
        if bytes.as_deref().is_none_or(|bytes| !sealed::is_sealed(bytes)) {
            keyring.originals().check(flash, object)?;
            return Ok(bytes);
        }
    }
    sealed::read(flash, keyring, object, max)
}

fn not_before(object: Object, found: u64, expected: u64) -> Result<(), StoreError> {
    if found < expected {
        return Err(StoreError::RolledBack { object, found, expected });
    }
    Ok(())
}
