//! What is pushed: the unit's end of a bulk transfer from the host, and a gallery's people put into the gallery.
//!
//! Owns what has arrived and keeps it across a cut for whoever pushes the same content again: a gallery in memory, so that a start
//! forgets it, a bundle in its staging file. Nothing of it counts before all of it was checked. Then the host asks for one batch after the other: each is one change of
//! the gallery, one new index and threshold and one durable batch of log entries, under one hold of the state.
//! `stage` puts another model's templates beside the gallery, for an update.
//! Refuses to bring back whoever was removed, to give an id, a name or a credential to somebody else, to take anything away, and to
//! touch a limit: who comes new comes with all limits of the file or not at all, who is there under others is left out.

mod stage;

pub(super) use stage::{beside, stage};

use super::Room;
use super::answers::{self, journal, refused};
use super::reception::Asker;
use crate::state::{Shared, State};
use crate::update::staging::{KEPT_MS, Staging};
use threshold_record::{
    Access, Cause, Credential, EntryKind, KeyId, KeyTag, LogEntry, PersonId, Role, Schedule,
};
use threshold_store::{Gallery, Member};
use threshold_wire::RequestError;
use threshold_wire::bulk::{Content as Whole, Packet, Progress, Receiver, Stage, Status, Window};
use threshold_wire::gallery::content::{Content, PersonIn, Place};
use threshold_wire::gallery::listing::access_digest;
use threshold_wire::gallery::{
    GalleryApplied, GalleryApply, GalleryFault, LeftOut, MAX_GALLERY, MAX_GALLERY_BYTES, Why,
    envelope,
};
use threshold_wire::message::{PushAccepted, PushRequest, PushWhat};
use threshold_wire::session::SecretKey;

const _: () = assert!(MAX_GALLERY as usize == Gallery::CAPACITY, "a content holds a whole gallery");

/// Bytes of records in one batch, somewhat less than a segment of the gallery; with 128 components, 400 people of 3 templates.
const BATCH_BYTES: usize = 192 << 10;

/// People whom one call looks at: a few milliseconds.
const BATCH_PEOPLE: usize = 4096;

/// Bytes of a record beside its name or components, a little more than the store takes.
const RECORD_BYTES: usize = 24;

/// A content that comes, or has come.
#[derive(Debug)]
pub(super) struct Push {
    by: KeyId,
    whole: Whole,
    receiver: Receiver,
    staged: Staged,
    work: Option<Work>,
    /// When its sender was last heard.
    heard_ms: u64,
    /// No session is there in which chunks could come.
    paused: bool,
}

/// Where a content comes to.
#[derive(Debug)]
pub(super) enum Staged {
    /// A gallery, in memory.
    Gallery(Vec<u8>),
    /// A bundle, in a file.
    Bundle(Box<Staging>),
}

/// What is done with a gallery that came whole.
#[derive(Debug)]
enum Work {
    /// Its people are put into the unit's.
    Applying(Box<Applying>),
    /// Its templates are put beside it.
    Staging(Box<stage::Staging>),
}

/// A gallery that was checked and is put into the unit's.
#[derive(Debug)]
struct Applying {
    content: Content,
    place: Place,
    so_far: GalleryApplied,
}

/// Takes a content, from where it stopped if the same administrator sent it before.
pub(super) fn start(
    desk: &mut Room<'_>,
    request: &PushRequest,
    asker: Option<Asker>,
) -> Result<PushAccepted, RequestError> {
    // Chunks travel in a session only, even on a line that is trusted without one.
    let by = asker.and_then(|asker| asker.key).ok_or(RequestError::InsecureLink)?;
    let PushRequest { what: PushWhat::Gallery, content: whole, window } = *request;
    if whole.len > MAX_GALLERY_BYTES {
        let fault = GalleryFault::TooLong { len: whole.len, max: MAX_GALLERY_BYTES };
        return Err(RequestError::BadGallery(fault));
    }
    let window = Window::USB.agreed(window).map_err(|_| RequestError::NoSuchContent)?;
    let now_ms = desk.shared.lock().clock().monotonic_ms();
    // Of one that is being applied the bytes are gone; it is taken anew, and who is in the gallery already is left as he is.
    let mut before = desk.push.take();
    if let Some(push) = &mut before {
        push.settle();
    }
    let before = before.filter(|push| push.by == by && push.whole == whole && push.work.is_none());
    let (kept, staging) = match before {
        Some(Push { receiver, staged: Staged::Gallery(staging), .. }) => {
            (Some(receiver.resume()), staging)
        }
        _ => (None, Vec::new()),
    };
    let transfer = desk.transfer.wrapping_add(1);
    let receiver = Receiver::new(transfer, whole, window, kept.as_ref(), now_ms);
    let receiver = receiver.map_err(|_| RequestError::NoSuchContent)?;
    let progress = receiver.progress();
    // One transfer at a time: whoever pushes has given up what was pulled.
    (*desk.transfer, *desk.pull) = (transfer, None);
    *desk.push = Some(Push::of(by, whole, receiver, Staged::Gallery(staging), now_ms));
    Ok(PushAccepted { transfer, window, progress })
}

impl Push {
    /// A content that begins to come.
    pub(super) fn of(
        by: KeyId,
        whole: Whole,
        receiver: Receiver,
        staged: Staged,
        now_ms: u64,
    ) -> Self {
        Self { by, whole, receiver, staged, work: None, heard_ms: now_ms, paused: false }
    }

    /// A frame of the session came in which the content comes.
    pub(super) fn saw(&mut self, mark: u64, now_ms: u64) {
        if !self.paused {
            self.receiver.saw(mark, now_ms);
            self.heard_ms = now_ms;
        }
    }

    /// The session is over; the next one goes on where it stopped.
    pub(super) fn pause(&mut self) {
        self.paused = true;
        self.settle();
    }

    /// True for what is staged in a file.
    pub(super) fn is_bundle(&self) -> bool {
        matches!(self.staged, Staged::Bundle(_))
    }

    /// Makes durable what has arrived of a bundle. A medium that fails tells of it when the bundle is pushed again, which goes on from
    /// what was durable before.
    pub(super) fn settle(&mut self) {
        let resume = self.receiver.resume();
        if let Staged::Bundle(staging) = &mut self.staged {
            let _ = staging.keep(&resume);
        }
    }

    /// When its sender was last heard.
    pub(super) fn heard_ms(&self) -> u64 {
        self.heard_ms
    }

    /// True once it is not worth to be kept.
    pub(super) fn is_over(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.heard_ms) >= KEPT_MS
    }

    /// Takes what the host sends of it; false if it is of another transfer, or cannot be.
    pub(super) fn take(&mut self, packet: &Packet<'_>) -> bool {
        if self.paused || packet.transfer() != self.transfer() {
            return false;
        }
        match *packet {
            Packet::Chunk { transfer, index, bytes } => {
                match self.receiver.take(transfer, index, bytes) {
                    Ok(Some(write)) => match &mut self.staged {
                        Staged::Gallery(staging) => {
                            // Grows with what arrives, not with what was announced.
                            let start = usize::try_from(write.offset).unwrap_or(usize::MAX);
                            let end = start.saturating_add(write.bytes.len());
                            staging.resize(staging.len().max(end), 0);
                            if let Some(to) = staging.get_mut(start..end) {
                                to.copy_from_slice(write.bytes);
                            }
                        }
                        Staged::Bundle(staging) => {
                            let resume = self.receiver.resume();
                            let written = staging.write(write.offset, write.bytes, &resume);
                            return written.is_ok();
                        }
                    },
                    Ok(None) => {}
                    Err(_) => return false,
                }
            }
            Packet::Query { .. } => self.receiver.take_query(),
            Packet::Status(_) => {}
        }
        true
    }

    /// Which transfer.
    pub(super) fn transfer(&self) -> u8 {
        self.receiver.transfer()
    }

    /// What to tell the host, if something is due, and whether the content is spoilt.
    pub(super) fn poll(&mut self, now_ms: u64) -> (Option<Status>, bool) {
        if self.paused {
            return (None, false);
        }
        // What the medium did not take has arrived for the receiver: the host hears that the push is unknown, and goes on from what is
        // durable.
        if matches!(&self.staged, Staged::Bundle(staging) if staging.has_failed()) {
            return (None, true);
        }
        let mut spoilt = false;
        if self.receiver.is_whole() {
            let hash = match &mut self.staged {
                Staged::Gallery(staging) => Ok(Some(*blake3::hash(staging).as_bytes())),
                Staged::Bundle(staging) => staging.hash_some(),
            };
            match hash {
                Ok(Some(hash)) => spoilt = self.checked(&hash),
                Ok(None) => {}
                Err(_) => spoilt = true,
            }
        }
        match self.receiver.poll(now_ms) {
            Ok(status) => (status, spoilt),
            // The host was not heard for long, and asks anew.
            Err(_) => {
                self.paused = true;
                (None, false)
            }
        }
    }

    /// All of it was read again; true if it is spoilt.
    fn checked(&mut self, hash: &[u8; 32]) -> bool {
        let spoilt = self.receiver.checked(hash).is_err();
        let resume = self.receiver.resume();
        match &mut self.staged {
            Staged::Gallery(_) => spoilt,
            Staged::Bundle(staging) if spoilt => {
                let _ = staging.forget();
                true
            }
            Staged::Bundle(staging) => staging.keep(&resume).is_err(),
        }
    }

    /// Milliseconds until there is something to tell, if nothing comes.
    pub(super) fn due_ms(&self, now_ms: u64) -> Option<u64> {
        if !self.paused && self.receiver.is_whole() {
            // There is more to read of it.
            return Some(0);
        }
        let is_waiting = !self.paused && !self.receiver.is_done();
        is_waiting.then(|| self.receiver.due_ms().saturating_sub(now_ms))
    }
}

/// What a host hears of a transfer that the unit does not know.
pub(super) fn unknown(transfer: u8) -> Status {
    Status { transfer, stage: Stage::Unknown, progress: Progress::default(), seen: 0 }
}

/// Puts the next people into the gallery.
pub(super) fn apply(
    desk: &mut Room<'_>,
    request: GalleryApply,
    asker: Option<Asker>,
) -> Result<GalleryApplied, RequestError> {
    let asker = asker.ok_or(RequestError::InsecureLink)?;
    let push = whole(desk, request.transfer, asker)?;
    let Push { staged: Staged::Gallery(staging), work, .. } = push else {
        return Err(RequestError::UnknownPush);
    };
    let mut applying = match work {
        Some(Work::Applying(applying)) => applying,
        Some(Work::Staging(_)) => return Err(RequestError::UnknownPush),
        None => {
            // A tenth of a second for the largest gallery, in which nobody waits for the state.
            let content = checked(desk.shared, staging)?;
            Box::new(Applying::fits(&desk.shared.lock(), content)?)
        }
    };
    let mut state = desk.shared.lock();
    let applied = applying.step(&mut state, asker.tag())?;
    if !applied.done {
        let (staged, work) = (Staged::Gallery(Vec::new()), Some(Work::Applying(applying)));
        *desk.push = Some(Push { staged, work, ..push });
    }
    Ok(applied)
}

/// Takes a gallery that this administrator pushed and that arrived whole.
fn whole(desk: &mut Room<'_>, transfer: u8, asker: Asker) -> Result<Push, RequestError> {
    let known = desk.push.take_if(|push| {
        let is_it = push.transfer() == transfer && Some(push.by) == asker.key;
        is_it && push.receiver.is_done() && matches!(push.staged, Staged::Gallery(_))
    });
    known.ok_or(RequestError::UnknownPush)
}

impl Applying {
    /// Checks that a content fits into the unit's gallery.
    fn fits(state: &State, content: Content) -> Result<Self, RequestError> {
        let embedder = answers::embedder(state)?;
        let (unit, file) = (embedder.id, content.origin.model);
        if unit != file {
            let (people, templates) = (content.people, content.templates);
            return Err(RequestError::GalleryOfOtherModel { unit, file, people, templates });
        }
        if content.templates > 0 && usize::from(content.components) != embedder.embedding_len {
            return Err(RequestError::BadGallery(GalleryFault::Damaged { at: 10 }));
        }
        let gallery = answers::gallery(state)?;
        let (mut people, mut templates) = (gallery.n_people(), gallery.n_templates());
        for PersonIn { person, slots, .. } in content.people() {
            let held = gallery.member(person.id);
            people += usize::from(held.is_none());
            templates += (slots & !held.map_or(0, Member::slots)).count_ones() as usize;
        }
        if people.max(templates) > Gallery::CAPACITY {
            return Err(RequestError::GalleryFull { capacity: Gallery::CAPACITY as u32 });
        }
        let so_far = GalleryApplied {
            added: 0,
            changed: 0,
            equal: 0,
            templates: 0,
            left_out: heapless::Vec::new(),
            generation: gallery.generation(),
            done: false,
        };
        Ok(Self { content, place: Place::default(), so_far })
    }

    fn step(&mut self, state: &mut State, by: KeyTag) -> Result<GalleryApplied, RequestError> {
        self.so_far.left_out.clear();
        let store = journal(state)?.store();
        let gallery = answers::gallery(state)?;
        let mut members: Vec<Member> = Vec::new();
        let mut bytes = 0;
        let mut place = self.place;
        for (held, behind) in self.content.people_from(place).take(BATCH_PEOPLE) {
            if bytes >= BATCH_BYTES || self.so_far.left_out.is_full() {
                break;
            }
            place = behind;
            let was_removed = store.was_removed(held.person.id);
            if let Some(why) = why_not(gallery, &self.content, &held, was_removed) {
                let PersonIn { person, .. } = held;
                let left = LeftOut { person: person.id, name: person.name, why };
                let _ = self.so_far.left_out.push(left);
                continue;
            }
            let there = gallery.member(held.person.id);
            let is_new =
                |template: &_| there.is_none_or(|there| !there.templates.contains(template));
            let tag = self.content.origin.model.tag();
            let templates: Vec<_> = held.templates(tag).filter(is_new).collect();
            if there.is_some() && templates.is_empty() {
                self.so_far.equal += 1;
                continue;
            }
            let each = RECORD_BYTES + usize::from(self.content.components);
            bytes += RECORD_BYTES + held.person.name.len() + templates.len() * each;
            let access = match there {
                Some(_) => None,
                None => access_here(gallery, &self.content, &held).ok().flatten().map(Box::new),
            };
            members.push(Member { access, ..Member::of(held.person, templates) });
        }
        self.put(state, &members, by)?;
        self.place = place;
        self.so_far.done = self.content.people_from(place).next().is_none();
        self.so_far.generation = answers::gallery(state)?.generation();
        Ok(self.so_far.clone())
    }

    /// Puts people into the gallery, derives threshold and index from what it is then, and writes down who came, all before
    /// anybody is decided on.
    fn put(
        &mut self,
        state: &mut State,
        members: &[Member],
        by: KeyTag,
    ) -> Result<(), RequestError> {
        let mut left = members;
        let mut failed = None;
        let there: Vec<PersonId> = {
            let gallery = answers::gallery(state)?;
            let ids = members.iter().map(|member| member.person.id);
            ids.filter(|&id| gallery.member(id).is_some()).collect()
        };
        while !left.is_empty() {
            match state.owing_nothing().and_then(|held| held.store_mut().put_members(left)) {
                Ok(count) => left = left.get(count..).unwrap_or(&[]),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let done = members.get(..members.len() - left.len()).unwrap_or(&[]);
        if !done.is_empty() {
            state.gallery_changed();
            let entries: Vec<LogEntry> = done.iter().map(|member| entry(member, by)).collect();
            let _ = state.write_all_or_owe(&entries);
        }
        for member in done {
            let was_there = there.contains(&member.person.id);
            self.so_far.added += u32::from(!was_there);
            self.so_far.changed += u32::from(was_there);
            self.so_far.templates += member.templates.len() as u32;
        }
        let Some(error) = failed else { return Ok(()) };
        // As many of them as the store takes at once may hold, and nobody knows here how many those are.
        for member in left {
            state.owe_if_it_may_hold(&error, entry(member, by));
        }
        Err(refused(state, &error))
    }
}

/// The entry of somebody who was put, as enrolment writes it.
fn entry(member: &Member, by: KeyTag) -> LogEntry {
    let quality = member.templates.iter().map(|held| held.quality).max();
    let entry = LogEntry::of(EntryKind::Enrolled);
    LogEntry { person: member.person.id, quality: quality.unwrap_or(0), by, ..entry }
}

/// Why somebody is not taken from a content.
fn why_not(
    gallery: &Gallery,
    content: &Content,
    held: &PersonIn<'_>,
    was_removed: bool,
) -> Option<Why> {
    let person = &held.person;
    match gallery.member(person.id) {
        _ if was_removed => Some(Why::Removed),
        Some(there) if there.person.name != person.name => Some(Why::OtherName),
        Some(there) => {
            let of_file = held.access.as_ref();
            let of_file = access_digest(
                of_file,
                of_file.and_then(|access| content.schedule(access.schedule?)),
            );
            let here = there.access.as_deref();
            let here =
                access_digest(here, here.and_then(|access| gallery.schedule(access.schedule?)));
            (of_file != here).then_some(Why::OtherAccess)
        }
        None => match gallery.named(&person.name) {
            Some(other) => Some(Why::OtherId { holder: other.person.id }),
            None => access_here(gallery, content, held).err(),
        },
    }
}

/// What holds of somebody who comes new, with the schedule of this unit that has the name and the hours of the content's.
///
/// # Errors
/// Why it cannot hold here.
fn access_here(
    gallery: &Gallery,
    content: &Content,
    held: &PersonIn<'_>,
) -> Result<Option<Access>, Why> {
    let Some(access) = &held.access else { return Ok(None) };
    let mut schedule = None;
    if let Some(id) = access.schedule {
        let of_file = content.schedule(id).ok_or(Why::NoSchedule)?;
        let same =
            |here: &&Schedule| here.name == of_file.name && here.intervals == of_file.intervals;
        schedule = Some(gallery.schedules().find(same).ok_or(Why::NoSchedule)?.id);
    }
    let claimed = |&credential: &Credential| gallery.claimed(credential);
    match access.credentials.iter().find_map(claimed) {
        Some(holder) => Err(Why::OtherClaim { holder }),
        None => Ok(Some(Access { schedule, ..access.clone() })),
    }
}

/// The content of what was pushed, in an envelope or not.
fn checked(shared: &Shared, bytes: Vec<u8>) -> Result<Content, RequestError> {
    let bytes = match envelope::is_sealed(&bytes) {
        true => opened(shared, &bytes)?,
        false => bytes,
    };
    let content = Content::read(bytes).and_then(|content| content.check_ids().map(|()| content));
    content.map_err(RequestError::BadGallery)
}

/// What lies in an envelope for this unit, from somebody who may change its gallery.
fn opened(shared: &Shared, bytes: &[u8]) -> Result<Vec<u8>, RequestError> {
    let secret = SecretKey::of_bytes(**journal(&shared.lock())?.store().link_secret())
        .map_err(|_| RequestError::NotReady { part: Cause::Store })?;
    let (sender, content) = envelope::open(&secret, bytes).map_err(RequestError::BadGallery)?;
    let state = shared.lock();
    let roster = journal(&state)?.store().roster().administrators();
    let known = roster.iter().find(|known| known.key == sender);
    if !known.is_some_and(|known| known.role.reaches(Role::Enroller)) {
        let fault = GalleryFault::UnknownSender { sender: KeyId::of(&sender) };
        return Err(RequestError::BadGallery(fault));
    }
    Ok(content)
}
