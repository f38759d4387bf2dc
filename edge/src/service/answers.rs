//! What the unit answers to each call of the endpoint table.
//!
//! Owns the checks before a change of the gallery, and the log entry after it. Refuses a change to whoever is no
//! administrator, and a template of another model.

use super::pull::{self, Pull};
use super::reception::Asker;
use super::{
    Room, Session, access, administration, calibrate, clock, commission, config, ending, enrolment,
    policy, prune, push, update,
};
use crate::journal::Journal;
use crate::presentation;
use crate::state::{EmbedderFacts, ReaderStanding, State};
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Mean};
use threshold_policy::{LockedOut, Subject};
use threshold_record::{
    Cause, EntryKind, KeyTag, LogEntry, MAX_SLOTS, ModelId, Name, Person, PersonId, Template,
    TemplateError,
};
use threshold_store::{
    Checkpoint, Gallery, GalleryError, Keeper, Member, Receipt, Store, StoreError,
};
use threshold_wire::access::AccessRefused;
use threshold_wire::call::{self, EncodeError, Message, Refusal, refusal_message};
use threshold_wire::cut;
use threshold_wire::endpoints::{
    AcknowledgePhoto, ApplyGallery, BeginEnrolment, Calibrate, Call, Caller, CancelEnrolment,
    ChallengeCommission, Endpoint, FindRedundant, FinishCommission, FinishPairing, GetAccess,
    GetBeside, GetCheckpoint, GetClock, GetConfig, GetContext, GetEnrolment, GetIdentity, GetInfo,
    GetLogHead, GetPolicy, GetStats, KeepEnrolment, ListAdministrators, ListGallery, ListSchedules,
    OpenSession, PruneLog, PutPerson, PutPersonAs, PutSchedule, PutTemplate, ReadLog, Reboot,
    RemovePerson, RemoveSchedule, RevokeAdministrator, SayHello, SearchAgain, SearchGallery,
    SendEcho, SetAccess, SetClock, SetConfig, SetMode, SetPassback, SetPolicy, SetReserve, SetRole,
    SetSpeed, StageGallery, StartPairing, StartPull, StartPush, Unlock, WipeUnit, WithdrawPhoto,
};
use threshold_wire::message::{
    ContextGot, GalleryAgain, GalleryAgainDone, GalleryInfo, GalleryPage, GallerySearch,
    GallerySearchDone, IfThere, Info, LOG_PAGE_ENTRIES, LogHead, LogPage, ModelInfo, PersonAs,
    PersonPut, PersonPutDone, PersonRemoveDone, PersonSummary, PullOffer, PullRequest, PullWhat,
    RECEIPT_BYTES, ReaderState, RequestError, Resembled, SecretKeeper, StoreInfo, TemplatePut,
    TemplatePutDone, TemplateRedundant, TemplateRedundantDone, WantedId,
};
use threshold_wire::trust::{CHECKPOINT_BYTES, CheckpointGot, CheckpointPlace, Identity};

/// Steps of tidying up that a removal's answer waits for: an erasure takes one or two, each some milliseconds.
const TIDY_STEPS: usize = 16;

const _: () = assert!(RECEIPT_BYTES == Receipt::LEN, "the wire carries a receipt whole");
const _: () = assert!(CHECKPOINT_BYTES == Checkpoint::LEN, "the wire carries a checkpoint whole");

/// The answer to a call.
///
/// # Errors
/// [`EncodeError`] if the answer does not fit a frame.
pub(super) fn answer(
    call: &Call,
    id: u32,
    asker: Option<Asker>,
    desk: &mut Room<'_>,
) -> Result<Message, EncodeError> {
    let refused = refused_to(call.caller(), asker, &desk.shared.lock());
    if let Some(answer) = update::answer(call, id, asker, refused.as_ref(), desk) {
        return answer;
    }
    if let Some(error) = refused {
        return reply::<GetInfo>(id, Err(error));
    }
    // These take the state's lock themselves, in pieces.
    match call {
        Call::SetSpeed(request) => {
            return reply::<SetSpeed>(id, Ok(desk.speed.asked(*request)));
        }
        Call::StartPull(request) => {
            return reply::<StartPull>(id, start_pull(desk, request, asker));
        }
        Call::StartPush(request) => {
            return reply::<StartPush>(id, push::start(desk, request, asker));
        }
        Call::ApplyGallery(request) => {
            return reply::<ApplyGallery>(id, push::apply(desk, *request, asker));
        }
        Call::StageGallery(request) => {
            return reply::<StageGallery>(id, push::stage(desk, *request, asker));
        }
        Call::PruneLog(request) => {
            let by = asker.map_or(KeyTag::NOBODY, Asker::tag);
            return reply::<PruneLog>(id, prune::prune(desk.shared, request, by));
        }
        _ => {}
    }
    let by = asker.map_or(KeyTag::NOBODY, Asker::tag);
    let Room { shared, session, reception, enrolment: begun_here, .. } = desk;
    let mut state = shared.lock();
    let state = &mut *state;
    match call {
        Call::SayHello(host) => {
            // Who has no session begins anew with it; whoever has one began with that, and says it once in it.
            session.read_logged &= reception.held.who().is_some();
            reply::<SayHello>(id, Ok(reception.greet(host, state)))
        }
        Call::OpenSession(request) => {
            reply::<OpenSession>(id, Ok(reception.open_session(request, state)))
        }
        Call::StartPairing(request) => {
            reply::<StartPairing>(id, Ok(reception.start_pairing(request, state)))
        }
        Call::FinishPairing(request) => {
            reply::<FinishPairing>(id, Ok(reception.finish_pairing(request, state)))
        }
        Call::GetInfo(_) => reply::<GetInfo>(id, Ok(info(state))),
        Call::SendEcho(echo) => reply::<SendEcho>(id, Ok(echo.clone())),
        Call::PutPerson(put) => reply::<PutPerson>(id, put_person(state, put, by)),
        Call::PutPersonAs(put) if !put.id.leaves_room() => refusal_message(id, Refusal::Malformed),
        Call::PutPersonAs(put) => reply::<PutPersonAs>(id, put_person_as(state, put, by)),
        Call::PutTemplate(put) => reply::<PutTemplate>(id, put_template(state, put, by)),
        Call::RemovePerson(remove) => {
            reply::<RemovePerson>(id, remove_person(state, remove.person, by))
        }
        Call::SearchGallery(search) => {
            reply::<SearchGallery>(id, search_gallery(state, search, asker))
        }
        Call::SearchAgain(search) => reply::<SearchAgain>(id, search_again(state, search, asker)),
        Call::FindRedundant(of) => reply::<FindRedundant>(id, redundant(state, of, by)),
        Call::ListGallery(page) => reply::<ListGallery>(id, gallery_page(state, page.after)),
        Call::ReadLog(page) => reply::<ReadLog>(id, log_page(state, page.from, session, by)),
        Call::GetLogHead(_) => reply::<GetLogHead>(id, log_head(state)),
        Call::ListAdministrators(page) => {
            reply::<ListAdministrators>(id, administration::page(state, page, asker))
        }
        Call::RevokeAdministrator(revoke) => {
            reply::<RevokeAdministrator>(id, administration::revoke(state, revoke, asker))
        }
        Call::SetRole(set) => reply::<SetRole>(id, administration::set_role(state, set, asker)),
        Call::GetPolicy(_) => reply::<GetPolicy>(id, policy::get(state)),
        Call::SetPolicy(set) => reply::<SetPolicy>(id, policy::set(state, set, by)),
        Call::SetMode(set) => reply::<SetMode>(id, policy::set_mode(state, *set, by)),
        Call::GetStats(_) => {
            let (now_ms, heat) = (state.clock().monotonic_ms(), state.heat());
            reply::<GetStats>(id, Ok(state.stats().told(now_ms, state.temperature_mc(), heat)))
        }
        Call::AcknowledgePhoto(_) => reply::<AcknowledgePhoto>(id, policy::acknowledge(state, by)),
        Call::WithdrawPhoto(_) => reply::<WithdrawPhoto>(id, policy::withdraw(state, by)),
        Call::ChallengeCommission(_) => {
            reply::<ChallengeCommission>(id, commission::challenge(state, reception, asker))
        }
        Call::FinishCommission(finish) => {
            reply::<FinishCommission>(id, commission::finish(state, reception, finish, asker))
        }
        Call::GetClock(_) => reply::<GetClock>(id, clock::get(state)),
        Call::SetClock(set) => reply::<SetClock>(id, clock::set(state, set, by)),
        Call::GetAccess(get) => reply::<GetAccess>(id, access::get(state, get.person)),
        Call::SetAccess(set) => reply::<SetAccess>(id, access::set(state, set, by)),
        Call::ListSchedules(page) => reply::<ListSchedules>(id, access::page(state, *page)),
        Call::PutSchedule(set) => reply::<PutSchedule>(id, access::put(state, set, by)),
        Call::RemoveSchedule(gone) => reply::<RemoveSchedule>(id, access::remove(state, *gone, by)),
        Call::SetPassback(set) => reply::<SetPassback>(id, policy::set_passback(state, *set, by)),
        Call::SetReserve(ask) => reply::<SetReserve>(id, policy::set_reserve(state, *ask, by)),
        Call::GetConfig(_) => reply::<GetConfig>(id, config::get(state)),
        Call::SetConfig(set) => reply::<SetConfig>(id, config::set(state, set, by)),
        Call::GetBeside(_) => reply::<GetBeside>(id, push::beside(state)),
        Call::Calibrate(ask) => reply::<Calibrate>(id, calibrate::answer(state, ask, by)),
        Call::BeginEnrolment(begin) => {
            let begun = enrolment::begin(state, begin, asker);
            if let Ok(begun) = &begun {
                **begun_here = Some(begun.number);
            }
            reply::<BeginEnrolment>(id, begun)
        }
        Call::GetEnrolment(of) => reply::<GetEnrolment>(id, enrolment::get(state, *of, asker)),
        Call::KeepEnrolment(of) => reply::<KeepEnrolment>(id, enrolment::keep(state, *of, asker)),
        Call::CancelEnrolment(of) => {
            reply::<CancelEnrolment>(id, enrolment::cancel(state, *of, asker))
        }
        // These were answered above.
        Call::SetSpeed(_) => reply::<SetSpeed>(id, Err(RequestError::NoSuchContent)),
        Call::StartPull(_) => reply::<StartPull>(id, Err(RequestError::NoSuchContent)),
        Call::StartPush(_) => reply::<StartPush>(id, Err(RequestError::NoSuchContent)),
        Call::ApplyGallery(_) => reply::<ApplyGallery>(id, Err(RequestError::NoSuchContent)),
        Call::StageGallery(_) => reply::<StageGallery>(id, Err(RequestError::NoSuchContent)),
        Call::PruneLog(_) => reply::<PruneLog>(id, Err(RequestError::NoSuchContent)),
        Call::GetSlots(_)
        | Call::PushUpdate(_)
        | Call::ApplyUpdate(_)
        | Call::ConfirmUpdate(_)
        | Call::RevertUpdate(_) => reply::<GetInfo>(id, Err(RequestError::NoSuchContent)),
        Call::Unlock(_) => reply::<Unlock>(id, policy::unlock(state, by)),
        Call::Reboot(_) => reply::<Reboot>(id, ending::reboot(state, by)),
        Call::WipeUnit(wipe) => reply::<WipeUnit>(id, ending::wipe(state, wipe)),
        Call::GetContext(get) => reply::<GetContext>(id, context(state, get.number)),
        Call::GetIdentity(_) => reply::<GetIdentity>(id, identity(state)),
        Call::GetCheckpoint(get) => reply::<GetCheckpoint>(id, checkpoint(state, get.place)),
    }
}

/// What whoever is at the line hears if the row asks for more than the role.
fn refused_to(caller: Caller, asker: Option<Asker>, state: &State) -> Option<RequestError> {
    let role = asker.map(|asker| asker.role);
    match (caller.least(), role) {
        _ if caller.admits(role) => None,
        (Some(least), Some(role)) => Some(RequestError::RoleTooLow { least, role }),
        // Without its store the unit knows nobody, and pairing would be no remedy.
        _ if state.journal().is_none() => Some(RequestError::NotReady { part: Cause::Store }),
        _ => Some(RequestError::InsecureLink),
    }
}

fn reply<E: Endpoint>(
    id: u32,
    answer: Result<E::Response, RequestError>,
) -> Result<Message, EncodeError> {
    call::answer_message::<E>(id, &answer)
}

fn info(state: &State) -> Info {
    let identity = state.identity();
    let store = state.journal().map(Journal::store);
    let gallery = store.and_then(|store| store.gallery()).map(|gallery| GalleryInfo {
        people: gallery.n_people() as u32,
        templates: gallery.n_templates() as u32,
        capacity: Gallery::CAPACITY as u32,
        generation: gallery.generation(),
    });
    let model = state.embedder().map(|embedder| ModelInfo {
        id: embedder.id,
        name: cut(&embedder.name),
        metric: embedder.metric,
        crop: cut(&embedder.crop),
        embedding_len: embedder.embedding_len as u16,
        threshold: state.policy().threshold,
    });
    let lockout_ms = state.lockout().err().and_then(LockedOut::remaining_ms).unwrap_or(0);
    Info {
        unit: cut(&identity.unit),
        build: cut(identity.build),
        model,
        policy: policy::info(state),
        gallery,
        log_head: store.map(|store| store.log_head()),
        store: store.and_then(store_info),
        armed: state.armed(),
        commission: state.commission(),
        lockout_s: u32::try_from(lockout_ms.div_ceil(1000)).unwrap_or(u32::MAX),
        insecure_link: identity.insecure_link && !state.has_administrators(),
        presentation: presentation::best_verdict(state.judges_attacks()),
        boot: store.map_or(0, |store| store.boot()),
        uptime_ms: state.clock().monotonic_ms(),
        wall: state.now(),
        reader: match state.reader() {
            ReaderStanding::None => None,
            ReaderStanding::Works => Some(ReaderState::Works),
            ReaderStanding::Failed(_) => Some(ReaderState::Failed),
        },
        engine: state.engine(),
        heat: state.heat().into(),
    }
}

/// `None` if the flash cannot be asked; whoever writes next hears of that as a fault.
fn store_info(store: &Store) -> Option<StoreInfo> {
    let figures = store.figures().ok()?;
    let (log_segments, log_segments_kept) = figures.log_segments;
    Some(StoreInfo {
        log_oldest: store.log_oldest(),
        log_segments,
        log_segments_kept,
        log_segments_begun: figures.log_segments_begun,
        log_bytes: figures.log_bytes,
        gallery_segments: figures.gallery_segments,
        gallery_bytes: figures.gallery_bytes,
        written_bytes: figures.written_bytes,
        reserve_bytes: figures.reserve_bytes,
        keeper: match figures.keeper {
            Keeper::File => SecretKeeper::File,
            Keeper::Memory => SecretKeeper::Memory,
            Keeper::Tpm => SecretKeeper::Tpm,
        },
        counter: figures.counter,
        administrators: store.roster().administrators().len() as u32,
    })
}

pub(super) fn journal(state: &State) -> Result<&Journal, RequestError> {
    state.journal().ok_or(RequestError::NotReady { part: Cause::Store })
}

pub(super) fn gallery(state: &State) -> Result<&Gallery, RequestError> {
    journal(state)?.store().gallery().ok_or(RequestError::NotReady { part: Cause::Gallery })
}

pub(super) fn embedder(state: &State) -> Result<&EmbedderFacts, RequestError> {
    state.embedder().ok_or(RequestError::NotReady { part: Cause::Model })
}

/// Refuses what another model made, or a vector that cannot be compared.
fn check_vector(
    state: &State,
    model: ModelId,
    scale: f32,
    vector: &[i8],
) -> Result<(), RequestError> {
    let embedder = embedder(state)?;
    if model != embedder.id {
        return Err(RequestError::WrongModel { unit: embedder.id, host: model });
    }
    let template = Template {
        person: PersonId(1),
        slot: 0,
        quality: 0,
        model: model.tag(),
        scale,
        vector: vector.iter().copied().collect(),
    };
    template.check().map_err(RequestError::BadTemplate)?;
    if vector.len() != embedder.embedding_len {
        let len = vector.len() as u16;
        return Err(RequestError::BadTemplate(TemplateError::Length { len }));
    }
    Ok(())
}

fn put_person(
    state: &mut State,
    put: &PersonPut,
    by: KeyTag,
) -> Result<PersonPutDone, RequestError> {
    let gallery = gallery(state)?;
    if let Some(member) = gallery.named(&put.name) {
        return match put.if_there {
            IfThere::Refuse => Err(RequestError::NameTaken { person: member.person.id }),
            IfThere::Use => Ok(there(gallery, member)),
        };
    }
    add_person(state, by, |store| store.add_person(put.name.clone()))
}

fn put_person_as(
    state: &mut State,
    put: &PersonAs,
    by: KeyTag,
) -> Result<PersonPutDone, RequestError> {
    let gallery = gallery(state)?;
    if let Some(member) = gallery.named(&put.name) {
        let person = member.person.id;
        return match put.id.allows(person) {
            true => Ok(there(gallery, member)),
            false => Err(RequestError::NameTaken { person }),
        };
    }
    add_person(state, by, |store| {
        let fresh = store.fresh_person(put.name.clone())?;
        let id = match put.id {
            WantedId::AtLeast(least) => fresh.id.max(least),
            WantedId::Exactly(id) => id,
        };
        // Who was removed under the id stays removed.
        store.put_members(&[Member::of(Person { id, ..fresh }, Vec::new())])?;
        Ok(id)
    })
}

fn there(gallery: &Gallery, member: &Member) -> PersonPutDone {
    PersonPutDone {
        person: member.person.id,
        added: false,
        free_slot: member.free_slot(),
        generation: gallery.generation(),
    }
}

fn add_person(
    state: &mut State,
    by: KeyTag,
    add: impl FnOnce(&mut Store) -> Result<PersonId, StoreError>,
) -> Result<PersonPutDone, RequestError> {
    let entry = LogEntry { by, ..LogEntry::of(EntryKind::Enrolled) };
    let person = change(state, entry, |journal| add(journal.store_mut()))?;
    state.gallery_changed();
    // Somebody is enrolled whose entry is owed: the door stays locked until the log has it.
    let _ = state.write_or_owe(LogEntry { person, ..entry });
    let generation = generation(state);
    Ok(PersonPutDone { person, added: true, free_slot: Some(0), generation })
}

fn put_template(
    state: &mut State,
    put: &TemplatePut,
    by: KeyTag,
) -> Result<TemplatePutDone, RequestError> {
    let template = &put.template;
    check_vector(state, put.model, template.scale, &template.vector)?;
    template.check().map_err(RequestError::BadTemplate)?;
    let person = template.person;
    let member = gallery(state)?.member(person).ok_or(RequestError::UnknownPerson { person })?;
    let held = member.templates.iter().any(|held| held.slot == template.slot);
    if !held && member.free_slot().is_none() {
        return Err(RequestError::SlotsFull { person, max: MAX_SLOTS });
    }
    let entry = LogEntry::of(EntryKind::Enrolled);
    let entry = LogEntry { person, quality: template.quality, by, ..entry };
    change(state, entry, |journal| journal.store_mut().put_template(template.clone()))?;
    state.gallery_changed();
    let _ = state.write_or_owe(entry);
    let templates = gallery(state)?.member(person).map_or(0, |member| member.templates.len());
    Ok(TemplatePutDone { templates: templates as u8, generation: generation(state) })
}

fn remove_person(
    state: &mut State,
    person: PersonId,
    by: KeyTag,
) -> Result<PersonRemoveDone, RequestError> {
    let there = gallery(state)?.member(person).cloned();
    let there = there.ok_or(RequestError::UnknownPerson { person })?;
    let entry = LogEntry { person, by, ..LogEntry::of(EntryKind::Removed) };
    let journal = state.owing_nothing();
    match journal.and_then(|journal| journal.store_mut().remove_person(person)) {
        Ok(_) => {}
        // The person is gone for good all the same; what could not be erased is the store's fault.
        Err(error @ StoreError::NotErased { .. }) => state.store_failed(&error),
        Err(error) => {
            state.owe_if_it_may_hold(&error, entry);
            return Err(refused(state, &error));
        }
    }
    state.gallery_changed();
    let entry = state.write_or_owe(entry);
    let receipt = receipt(state, person, entry.map_or(0, |entry| entry.sequence));
    let Member { person, templates, .. } = there;
    let (templates, generation) = (templates.len() as u8, generation(state));
    Ok(PersonRemoveDone { name: person.name, templates, generation, receipt })
}

/// The receipt of a removal, as soon as nothing is left of the templates.
fn receipt(
    state: &mut State,
    person: PersonId,
    entry: u64,
) -> Option<heapless::Vec<u8, RECEIPT_BYTES>> {
    let mut steps = 0;
    loop {
        if let Some(receipt) = state.journal()?.store().receipt(person, entry) {
            return Some(receipt.to_bytes().into());
        }
        if steps == TIDY_STEPS || !state.tidy_up() {
            return None;
        }
        steps += 1;
    }
}

fn search_gallery(
    state: &mut State,
    search: &GallerySearch,
    asker: Option<Asker>,
) -> Result<GallerySearchDone, RequestError> {
    check_vector(state, search.model, search.scale, &search.vector)?;
    let probe = embedding_of(search.scale, &search.vector);
    let found = state
        .search(Subject::Everybody, &probe)
        .map_err(|_| RequestError::NotReady { part: Cause::Gallery })?;
    let resembled = |found| resembled(found, asker);
    Ok(GallerySearchDone {
        best: found.best.map(resembled),
        runner_up: found.runner_up.map(resembled),
    })
}

/// Whom a face resembles: an owner is told who, anybody else how much.
fn resembled(found: Candidate, asker: Option<Asker>) -> Resembled {
    let person = if enrolment::is_owner(asker) { found.person } else { PersonId::NOBODY };
    Resembled { person, score: found.score }
}

fn search_again(
    state: &State,
    search: &GalleryAgain,
    asker: Option<Asker>,
) -> Result<GalleryAgainDone, RequestError> {
    check_vector(state, search.model, search.scale, &search.vector)?;
    let mean = Mean::made(embedding_of(search.scale, &search.vector), search.pictures.into());
    // A mean of nothing has no length to speak of.
    let mean = mean.ok_or(RequestError::BadTemplate(TemplateError::Length { len: 0 }))?;
    let (nearest, threshold) = state.nearest_by_means(&mean, search.but)?;
    Ok(GalleryAgainDone { nearest: nearest.map(|found| resembled(found, asker)), threshold })
}

/// A template leaves the unit by this: of whoever has a free slot none does, and of the others only once the log says so.
fn redundant(
    state: &mut State,
    of: &TemplateRedundant,
    by: KeyTag,
) -> Result<TemplateRedundantDone, RequestError> {
    check_vector(state, of.model, of.scale, &of.vector)?;
    let embedding = embedding_of(of.scale, &of.vector);
    let template = state.most_redundant(of.person, Some((&embedding, of.quality)))?;
    if template.is_some() {
        let entry = LogEntry::of(EntryKind::GalleryRead);
        let entry = LogEntry { person: of.person, by, ..entry };
        state.write(entry).ok_or(RequestError::StoreFault { part: Cause::Store })?;
    }
    Ok(TemplateRedundantDone { template })
}

fn embedding_of(scale: f32, vector: &[i8]) -> Embedding {
    Embedding(vector.iter().map(|&step| f32::from(step) * scale).collect())
}

fn gallery_page(state: &State, after: PersonId) -> Result<GalleryPage, RequestError> {
    let gallery = gallery(state)?;
    let mut page =
        GalleryPage { generation: gallery.generation(), people: heapless::Vec::new(), more: false };
    for member in gallery.members_after(after) {
        let best_quality = member.templates.iter().map(|held| held.quality).max();
        let access = member.access();
        let summary = PersonSummary {
            person: member.person.id,
            name: member.person.name.clone(),
            slots: member.slots(),
            best_quality: best_quality.unwrap_or(0),
            valid_from: access.valid_from,
            valid_until: access.valid_until,
            schedule: access.schedule,
            credentials: access.credentials.len() as u8,
        };
        if page.people.push(summary).is_err() {
            page.more = true;
            break;
        }
    }
    Ok(page)
}

/// Begins to send a content in bulk.
fn start_pull(
    desk: &mut Room<'_>,
    request: &PullRequest,
    asker: Option<Asker>,
) -> Result<PullOffer, RequestError> {
    // Chunks travel in a session only, even on a line that is trusted without one.
    let asker = asker.filter(|asker| asker.key.is_some()).ok_or(RequestError::InsecureLink)?;
    let (least, by) = (pull::least(request.what), asker.tag());
    if !asker.role.reaches(least) {
        return Err(RequestError::RoleTooLow { least, role: asker.role });
    }
    let content = match request.what {
        PullWhat::Log { from } => {
            prune::check_there(&desk.shared.lock(), from)?;
            write_read(&mut desk.shared.lock(), from, desk.session, by)?;
            match pull::log(desk.shared, from) {
                Some(Ok(content)) => content,
                Some(Err(error)) => return Err(refused(&mut desk.shared.lock(), &error)),
                None => return Err(RequestError::NotReady { part: Cause::Store }),
            }
        }
        PullWhat::Gallery => pull::gallery(desk.shared, request.kept.as_ref(), by)?,
        PullWhat::Listing => pull::listing(desk.shared)?,
    };
    let transfer = desk.transfer.wrapping_add(1);
    *desk.transfer = transfer;
    let now_ms = desk.shared.lock().clock().monotonic_ms();
    let baud = desk.speed.baud();
    let started = Pull::start(transfer, content, request, baud, now_ms);
    let (pull, content, window) = started.map_err(|_| RequestError::NoSuchContent)?;
    *desk.pull = Some(pull);
    Ok(PullOffer { transfer, content, window })
}

/// Makes durable what waits, so that it is read too, and writes down that somebody reads the log, once a session, if there is anything
/// to read.
fn write_read(
    state: &mut State,
    from: u64,
    session: &mut Session,
    by: KeyTag,
) -> Result<(), RequestError> {
    state.commit_waiting();
    let head = journal(state)?.store().log_head();
    if from <= head && head > 0 && !session.read_logged {
        session.read_logged = true;
        state.write(LogEntry { by, ..LogEntry::of(EntryKind::LogRead) });
    }
    Ok(())
}

/// A page of the log. That somebody read it is written once a session, before the first page that shows anything, so that
/// the page can show it and a second pull moves nothing.
fn log_page(
    state: &mut State,
    from: u64,
    session: &mut Session,
    by: KeyTag,
) -> Result<LogPage, RequestError> {
    prune::check_there(state, from)?;
    write_read(state, from, session, by)?;
    let store = journal(state)?.store();
    match store.log_page(from, LOG_PAGE_ENTRIES) {
        Ok(entries) => Ok(LogPage::of(store.log_head(), &entries)),
        Err(error) => Err(refused(state, &error)),
    }
}

fn log_head(state: &mut State) -> Result<LogHead, RequestError> {
    state.commit_waiting();
    let store = journal(state)?.store();
    Ok(LogHead { oldest: store.log_oldest(), head: store.log_head() })
}

fn identity(state: &State) -> Result<Identity, RequestError> {
    let store = journal(state)?.store();
    Ok(Identity { key: store.identity(), store_id: store.store_id() })
}

fn checkpoint(state: &mut State, place: CheckpointPlace) -> Result<CheckpointGot, RequestError> {
    state.commit_waiting();
    let store = journal(state)?.store();
    let checkpoint = match place {
        CheckpointPlace::Head => Ok(store.checkpoint()),
        CheckpointPlace::BeforeOldest => store.oldest_checkpoint(),
    };
    match checkpoint {
        Ok(checkpoint) => Ok(CheckpointGot { bytes: checkpoint.to_bytes().into() }),
        Err(error) => Err(refused(state, &error)),
    }
}

fn context(state: &mut State, number: u16) -> Result<ContextGot, RequestError> {
    match journal(state)?.store().context(number) {
        Ok(found) => found.ok_or(RequestError::UnknownContext { number }),
        Err(error) => Err(refused(state, &error)),
    }
}

fn generation(state: &State) -> u64 {
    gallery(state).map_or(0, Gallery::generation)
}

/// Changes the gallery through the journal's store; its entry comes after it. `owed` is the entry of a change that fails and may hold
/// all the same.
fn change<T>(
    state: &mut State,
    owed: LogEntry,
    change: impl FnOnce(&mut Journal) -> Result<T, StoreError>,
) -> Result<T, RequestError> {
    state.owing_nothing().and_then(change).map_err(|error| {
        state.owe_if_it_may_hold(&error, owed);
        refused(state, &error)
    })
}

/// A refusal that names somebody who is in the gallery.
fn with_name(
    state: &State,
    person: PersonId,
    refused: impl FnOnce(Name) -> AccessRefused,
) -> RequestError {
    match gallery(state).ok().and_then(|gallery| gallery.member(person)) {
        Some(member) => RequestError::BadAccess(refused(member.person.name.clone())),
        None => RequestError::UnknownPerson { person },
    }
}

/// What the host hears of a store that said no: a rule of the gallery as such, a failure as a fault that disarms.
pub(super) fn refused(state: &mut State, error: &StoreError) -> RequestError {
    let StoreError::Gallery(rule) = error else {
        state.store_failed(error);
        let part = if error.is_of_keys() { Cause::Keys } else { Cause::Store };
        return RequestError::StoreFault { part };
    };
    match *rule {
        GalleryError::UnknownPerson { person } => RequestError::UnknownPerson { person },
        GalleryError::NameTaken { person } | GalleryError::UsedId { person } => {
            RequestError::NameTaken { person }
        }
        GalleryError::Full { capacity } => RequestError::GalleryFull { capacity: capacity as u32 },
        GalleryError::BadTemplate(fault) => RequestError::BadTemplate(fault),
        // The whole id was compared before, and ids last for 4 billion people.
        GalleryError::OtherModel { .. }
        // A name is looked for before a schedule gets a number.
        | GalleryError::ScheduleNameTaken { .. }
        | GalleryError::IdsUsedUp
        // A place is made beside the gallery before anything is put there, and for another model.
        | GalleryError::SameModel
        | GalleryError::NothingBeside => RequestError::StoreFault { part: Cause::Gallery },
        GalleryError::BadAccess(fault) => RequestError::BadAccess(AccessRefused::NotWhole(fault)),
        GalleryError::UnknownSchedule { id } => {
            RequestError::BadAccess(AccessRefused::UnknownSchedule { id })
        }
        GalleryError::CredentialTaken { credential, person } => {
            with_name(state, person, |name| AccessRefused::CredentialTaken {
                credential,
                person,
                name,
            })
        }
        GalleryError::ScheduleInUse { person, .. } => {
            with_name(state, person, |name| AccessRefused::ScheduleInUse { person, name })
        }
    }
}
