//! The service: what the unit answers, what it refuses, and that a call is obeyed once.

use crate::rig::{LEN, MODEL, Rig, Show, axis, template};
use threshold_edge::service::Desk;
use threshold_models::search::quantise;
use threshold_record::{
    Access, Cause, EntryKind, KeyId, Mode, ModelContext, ModelId, Name, PersonId, Presentation,
    Role, ScheduleId, Template, TemplateError, ThresholdRule,
};
use threshold_store::FlashFault;
use threshold_wire::access::{
    AccessGet, AccessSet, SchedulePageRequest, ScheduleRemove, ScheduleSet,
};
use threshold_wire::administration::{
    AdministratorPageRequest, AdministratorRevoke, AdministratorRole,
};
use threshold_wire::bulk::{Content, Window};
use threshold_wire::calibrate::{CalibrateAsk, CalibrateStep};
use threshold_wire::clock::ClockSet;
use threshold_wire::commission::{CommissionFinish, Signature, Signed};
use threshold_wire::config::ConfigSet;
use threshold_wire::endpoints::{
    AcknowledgePhoto, ApplyGallery, BeginEnrolment, Calibrate, CancelEnrolment,
    ChallengeCommission, FindRedundant, FinishCommission, GetAccess, GetBeside, GetCheckpoint,
    GetClock, GetConfig, GetContext, GetEnrolment, GetIdentity, GetInfo, GetLogHead, GetPolicy,
    GetStats, KeepEnrolment, ListAdministrators, ListGallery, ListSchedules, PruneLog, PutPerson,
    PutPersonAs, PutSchedule, PutTemplate, ReadLog, Reboot, RemovePerson, RemoveSchedule,
    RevokeAdministrator, SayHello, SearchAgain, SearchGallery, SendEcho, SetAccess, SetClock,
    SetConfig, SetMode, SetPassback, SetPolicy, SetReserve, SetRole, SetSpeed, StageGallery,
    StartPull, StartPush, TABLE, Unlock, WipeUnit, WithdrawPhoto,
};
use threshold_wire::enrolment::{EnrolmentBegin, EnrolmentNumber};
use threshold_wire::gallery::GalleryApply;
use threshold_wire::gallery::beside::GalleryStage;
use threshold_wire::message::{
    Armed, ContextGet, Echo, GalleryAgain, GalleryPageRequest, GallerySearch, IfThere,
    LogPageRequest, Nothing, PersonAs, PersonPut, PersonRemove, TemplatePut, TemplateRedundant,
    WantedId,
};
use threshold_wire::message::{PullRequest, PullWhat, PushRequest, PushWhat, Wipe};
use threshold_wire::policy::{ModeSet, PassbackSet, PolicySet, ReserveAsk};
use threshold_wire::speed::{BASE, LADDER, QUIET_MS, SpeedSet};
use threshold_wire::trust::{CheckpointGet, CheckpointPlace, LogPrune};
use threshold_wire::{
    Decoder, Encoded, Endpoint, Frame, FrameKind, Hello, HelloRequest, Refusal, RequestError, call,
};

fn person_put(name: &str, if_there: IfThere) -> PersonPut {
    PersonPut { name: Name::new(name).unwrap(), if_there }
}

/// What a desk says to some bytes: each answer's frame kind and body.
fn said(desk: &mut Desk, bytes: &[u8]) -> Vec<(FrameKind, Vec<u8>)> {
    let mut answers: Vec<Encoded> = Vec::new();
    desk.take(bytes, |answer| answers.push(answer.clone()));
    let read = |answer: &Encoded| {
        let mut decoder = Decoder::new();
        let mut bytes = answer.as_bytes();
        let frame = decoder.feed(&mut bytes).unwrap().unwrap();
        (frame.kind, frame.body.to_vec())
    };
    answers.iter().map(read).collect()
}

#[test]
fn a_unit_says_what_it_is_and_how_it_stands() {
    let mut rig = Rig::new();
    let hello = rig.call::<SayHello>(&HelloRequest::of_build("t")).unwrap();
    assert_eq!(hello, Hello::of_unit("bench", "0.0.0"));
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    assert_eq!((info.armed, info.boot, info.log_head), (Armed::EmptyGallery, 1, Some(5)));
    assert_eq!(info.presentation, Presentation::NotAssessed);
    assert_eq!(info.model.unwrap().embedding_len, LEN as u16);
    rig.enrol("Ada", 1);
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    let gallery = info.gallery.unwrap();
    assert_eq!((info.armed, gallery.people, gallery.templates), (Armed::Armed, 1, 1));
    let echo = Echo { bytes: heapless::Vec::from_slice(b"\0hello\0").unwrap() };
    assert_eq!(rig.call::<SendEcho>(&echo).unwrap(), echo);
}

#[test]
fn a_line_that_is_not_trusted_hears_hello_and_info_only() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let gallery = rig.flash.bytes(threshold_store::Object::GallerySegment(1));
    rig.desk = Desk::new(rig.shared.clone(), false);
    rig.call::<SayHello>(&HelloRequest::of_build("t")).unwrap();
    rig.call::<GetInfo>(&Nothing {}).unwrap();
    let refused = RequestError::InsecureLink;
    let echo = Echo { bytes: heapless::Vec::new() };
    assert_eq!(rig.call::<SendEcho>(&echo).unwrap_err(), refused);
    let put = TemplatePut { model: MODEL, template: template(PersonId(1), 1, 2) };
    let (scale, vector) = quantise(&axis(1));
    let search = GallerySearch { model: MODEL, scale, vector: vector.into_iter().collect() };
    let page = GalleryPageRequest { after: PersonId::NOBODY };
    let person = PersonId(1);
    let put_person = person_put("Eve", IfThere::Refuse);
    assert_eq!(rig.call::<PutPerson>(&put_person).unwrap_err(), refused);
    assert_eq!(rig.call::<PutTemplate>(&put).unwrap_err(), refused);
    assert_eq!(rig.call::<RemovePerson>(&PersonRemove { person }).unwrap_err(), refused);
    assert_eq!(rig.call::<SearchGallery>(&search).unwrap_err(), refused);
    assert_eq!(rig.call::<ListGallery>(&page).unwrap_err(), refused);
    assert_eq!(rig.call::<ReadLog>(&LogPageRequest { from: 1 }).unwrap_err(), refused);
    assert_eq!(rig.call::<GetLogHead>(&Nothing {}).unwrap_err(), refused);
    assert_eq!(rig.call::<GetContext>(&ContextGet { number: 1 }).unwrap_err(), refused);
    assert_eq!(rig.call::<GetIdentity>(&Nothing {}).unwrap_err(), refused);
    let sign = CheckpointGet { place: CheckpointPlace::Head };
    assert_eq!(rig.call::<GetCheckpoint>(&sign).unwrap_err(), refused);
    let content = Content { len: 1, hash: [0; 32] };
    let push = PushRequest { what: PushWhat::Gallery, content, window: Window::USB };
    let pull = PullRequest { what: PullWhat::Log { from: 0 }, window: Window::USB, kept: None };
    assert_eq!(rig.call::<StartPull>(&pull).unwrap_err(), refused);
    assert_eq!(rig.call::<StartPush>(&push).unwrap_err(), refused);
    assert_eq!(rig.call::<ApplyGallery>(&GalleryApply { transfer: 1 }).unwrap_err(), refused);
    assert_eq!(rig.call::<Reboot>(&Nothing {}).unwrap_err(), refused);
    assert_eq!(rig.call::<Unlock>(&Nothing {}).unwrap_err(), refused);
    let speed = SpeedSet { baud: 3_000_000 };
    assert_eq!(rig.call::<SetSpeed>(&speed).unwrap_err(), refused);
    let wipe = Wipe { unit: "bench".try_into().unwrap() };
    assert_eq!(rig.call::<WipeUnit>(&wipe).unwrap_err(), refused);
    let (page, key) = (AdministratorPageRequest { after: None }, KeyId([0; 8]));
    assert_eq!(rig.call::<ListAdministrators>(&page).unwrap_err(), refused);
    assert_eq!(rig.call::<RevokeAdministrator>(&AdministratorRevoke { key }).unwrap_err(), refused);
    let set = AdministratorRole { key, role: Role::Owner };
    assert_eq!(rig.call::<SetRole>(&set).unwrap_err(), refused);
    assert_eq!(rig.call::<GetPolicy>(&Nothing {}).unwrap_err(), refused);
    assert_eq!(rig.call::<GetStats>(&Nothing {}).unwrap_err(), refused);
    let set = PolicySet { rule: ThresholdRule::DEFAULT };
    assert_eq!(rig.call::<SetPolicy>(&set).unwrap_err(), refused);
    let mode = ModeSet { mode: Mode::Verify };
    assert_eq!(rig.call::<SetMode>(&mode).unwrap_err(), refused);
    assert_eq!(rig.call::<GetClock>(&Nothing {}).unwrap_err(), refused);
    let time = ClockSet { unix_ms: 1_800_000_000_000 };
    assert_eq!(rig.call::<SetClock>(&time).unwrap_err(), refused);
    assert_eq!(rig.call::<AcknowledgePhoto>(&Nothing {}).unwrap_err(), refused);
    assert_eq!(rig.call::<WithdrawPhoto>(&Nothing {}).unwrap_err(), refused);
    assert_eq!(rig.call::<GetAccess>(&AccessGet { person }).unwrap_err(), refused);
    let (was, access) = (Access::default(), Access::default());
    let set = AccessSet { person, was, access };
    assert_eq!(rig.call::<SetAccess>(&set).unwrap_err(), refused);
    let page = SchedulePageRequest { after: None };
    assert_eq!(rig.call::<ListSchedules>(&page).unwrap_err(), refused);
    let (name, intervals) = (Name::new("never").unwrap(), heapless::Vec::new());
    assert_eq!(rig.call::<PutSchedule>(&ScheduleSet { name, intervals }).unwrap_err(), refused);
    let id = ScheduleId(1);
    assert_eq!(rig.call::<RemoveSchedule>(&ScheduleRemove { id }).unwrap_err(), refused);
    assert_eq!(rig.call::<SetPassback>(&PassbackSet { minutes: 1 }).unwrap_err(), refused);
    assert_eq!(rig.call::<SetReserve>(&ReserveAsk { admissions: Some(3) }).unwrap_err(), refused);
    assert_eq!(rig.call::<GetConfig>(&Nothing {}).unwrap_err(), refused);
    let set = ConfigSet { changes: heapless::Vec::new() };
    assert_eq!(rig.call::<SetConfig>(&set).unwrap_err(), refused);
    assert_eq!(rig.call::<StageGallery>(&GalleryStage { transfer: 1 }).unwrap_err(), refused);
    assert_eq!(rig.call::<GetBeside>(&Nothing {}).unwrap_err(), refused);
    let ask = CalibrateAsk { step: CalibrateStep::Begin, except: heapless::Vec::new() };
    assert_eq!(rig.call::<Calibrate>(&ask).unwrap_err(), refused);
    assert_eq!(rig.flash.bytes(threshold_store::Object::GallerySegment(1)), gallery);
    assert_eq!(rig.call::<ChallengeCommission>(&Nothing {}).unwrap_err(), refused);
    let key = Signed { key: [1; 32], signature: Signature::new() };
    let finish = CommissionFinish { key, successor: None };
    assert_eq!(rig.call::<FinishCommission>(&finish).unwrap_err(), refused);
    let begin = EnrolmentBegin { name: Name::new("Eve").unwrap(), templates: 3, force: false };
    assert_eq!(rig.call::<BeginEnrolment>(&begin).unwrap_err(), refused);
    let of = EnrolmentNumber { number: 1 };
    assert_eq!(rig.call::<GetEnrolment>(&of).unwrap_err(), refused);
    assert_eq!(rig.call::<KeepEnrolment>(&of).unwrap_err(), refused);
    assert_eq!(rig.call::<CancelEnrolment>(&of).unwrap_err(), refused);
    let Template { scale, vector, .. } = template(PersonId(1), 0, 2);
    let again =
        GalleryAgain { model: MODEL, pictures: 1, but: None, scale, vector: vector.clone() };
    assert_eq!(rig.call::<SearchAgain>(&again).unwrap_err(), refused);
    let (model, person, quality) = (MODEL, PersonId(1), 80);
    let redundant = TemplateRedundant { model, person, quality, scale, vector };
    assert_eq!(rig.call::<FindRedundant>(&redundant).unwrap_err(), refused);
    let put_as = PersonAs { name: Name::new("Eve").unwrap(), id: WantedId::AtLeast(PersonId(9)) };
    assert_eq!(rig.call::<PutPersonAs>(&put_as).unwrap_err(), refused);
    // The three of the handshake are in `keys.rs`, the five of the update, which refuse in their own way, in `update.rs`.
    let prune = LogPrune { before: u64::MAX, checkpoint: [0; 160].into() };
    assert_eq!(rig.call::<PruneLog>(&prune).unwrap_err(), refused);
    assert_eq!(TABLE.len(), 61, "an endpoint was added: say here whether such a line may call it");
}

#[test]
fn a_person_has_the_id_of_the_vault_and_who_was_removed_under_it_stays_removed() {
    let mut rig = Rig::new();
    let mut put = |name: &str, id| {
        let done = rig.call::<PutPersonAs>(&PersonAs { name: Name::new(name).unwrap(), id });
        done.map(|done| (done.person.0, done.added)).map_err(|error| match error {
            RequestError::NameTaken { person } => person.0,
            other => panic!("{other}"),
        })
    };
    let (least, exactly) =
        (|id| WantedId::AtLeast(PersonId(id)), |id| WantedId::Exactly(PersonId(id)));
    assert_eq!(put("Ann", least(6)), Ok((6, true)));
    assert_eq!(put("Bob", least(1)), Ok((7, true)), "never one that was used");
    assert_eq!(put("Cid", exactly(3)), Ok((3, true)), "a lower one is nobody's");
    assert_eq!(put("Ann", exactly(6)), Ok((6, false)));
    assert_eq!(put("Ann", exactly(8)), Err(6), "has the name under another");
    assert_eq!(put("Ann", least(7)), Err(6));
    assert_eq!(put("Dora", exactly(7)), Err(7), "somebody else's");
    assert_eq!(put("Dora", exactly(0)), Err(0), "nobody's for ever");
    rig.call::<RemovePerson>(&PersonRemove { person: PersonId(6) }).unwrap();
    let mut put = |id| {
        let name = Name::new("Ann").unwrap();
        rig.call::<PutPersonAs>(&PersonAs { name, id }).map(|done| done.person.0)
    };
    assert_eq!(put(exactly(6)), Err(RequestError::NameTaken { person: PersonId(6) }));
    assert_eq!(put(least(6)), Ok(8));
}

#[test]
fn people_are_added_found_and_removed() {
    let mut rig = Rig::new();
    let ada = rig.call::<PutPerson>(&person_put("Ada", IfThere::Refuse)).unwrap();
    assert_eq!((ada.person, ada.added, ada.free_slot), (PersonId(1), true, Some(0)));
    let taken = rig.call::<PutPerson>(&person_put("Ada", IfThere::Refuse));
    assert_eq!(taken.unwrap_err(), RequestError::NameTaken { person: PersonId(1) });
    for slot in 0..8 {
        let found = rig.call::<PutPerson>(&person_put("Ada", IfThere::Use)).unwrap();
        assert_eq!((found.added, found.free_slot), (false, Some(slot)));
        let put = TemplatePut { model: MODEL, template: template(found.person, slot, 1) };
        let done = rig.call::<PutTemplate>(&put).unwrap();
        assert_eq!(done.templates, slot + 1);
    }
    let full = rig.call::<PutPerson>(&person_put("Ada", IfThere::Use)).unwrap();
    assert_eq!(full.free_slot, None);
    // A template that stands there may be replaced.
    let put = TemplatePut { model: MODEL, template: template(full.person, 3, 1) };
    assert_eq!(rig.call::<PutTemplate>(&put).unwrap().templates, 8);
    let removed = rig.call::<RemovePerson>(&PersonRemove { person: ada.person }).unwrap();
    assert_eq!((removed.name.as_str(), removed.templates), ("Ada", 8));
    let gone = rig.call::<RemovePerson>(&PersonRemove { person: ada.person });
    assert_eq!(gone.unwrap_err(), RequestError::UnknownPerson { person: ada.person });
    let log = rig.log();
    let enrolled = log.iter().filter(|entry| entry.kind == EntryKind::Enrolled).count();
    assert_eq!(enrolled, 10, "one for the person, nine for templates");
    let last = log.last().unwrap();
    assert_eq!((last.kind, last.person), (EntryKind::Removed, ada.person));
}

#[test]
fn templates_that_do_not_belong_are_refused() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    let good = template(ada, 1, 1);
    let other = ModelId([9; 32]);
    let zero = TemplatePut {
        model: MODEL,
        template: threshold_record::Template {
            vector: (0..LEN).map(|_| 0).collect(),
            ..good.clone()
        },
    };
    let long =
        threshold_record::Template { vector: (0..LEN + 1).map(|_| 1).collect(), ..good.clone() };
    let cases = [
        (
            TemplatePut { model: other, template: good.clone() },
            RequestError::WrongModel { unit: MODEL, host: other },
        ),
        (zero, RequestError::BadTemplate(TemplateError::Zero)),
        (
            TemplatePut { model: MODEL, template: long },
            RequestError::BadTemplate(TemplateError::Length { len: 129 }),
        ),
        (
            TemplatePut { model: MODEL, template: template(PersonId(9), 0, 1) },
            RequestError::UnknownPerson { person: PersonId(9) },
        ),
        (
            TemplatePut { model: MODEL, template: template(ada, 8, 1) },
            RequestError::BadTemplate(TemplateError::Slot { slot: 8 }),
        ),
    ];
    let before = rig.flash.bytes(threshold_store::Object::GallerySegment(1));
    for (put, expected) in cases {
        assert_eq!(rig.call::<PutTemplate>(&put).unwrap_err(), expected);
    }
    assert_eq!(rig.flash.bytes(threshold_store::Object::GallerySegment(1)), before);
}

#[test]
fn a_search_tells_whom_a_face_resembles() {
    let mut rig = Rig::new();
    let search = |number| {
        let (scale, vector) = quantise(&axis(number));
        GallerySearch { model: MODEL, scale, vector: vector.into_iter().collect() }
    };
    let empty = rig.call::<SearchGallery>(&search(1)).unwrap();
    assert_eq!((empty.best, empty.runner_up), (None, None));
    rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    let found = rig.call::<SearchGallery>(&search(2)).unwrap();
    let (best, runner_up) = (found.best.unwrap(), found.runner_up.unwrap());
    assert_eq!((best.person.0, runner_up.person.0), (2, 1));
    assert!((best.score.0 - 1.0).abs() < 1e-3);
    let wrong = GallerySearch { model: ModelId([1; 32]), ..search(1) };
    let error = rig.call::<SearchGallery>(&wrong).unwrap_err();
    assert!(matches!(error, RequestError::WrongModel { .. }));
}

#[test]
fn the_gallery_comes_in_pages_in_order() {
    let mut rig = Rig::new();
    for number in 0..37 {
        rig.enrol(&format!("person {number}"), number);
    }
    let (mut after, mut ids, mut pages) = (PersonId::NOBODY, Vec::new(), 0);
    loop {
        let page = rig.call::<ListGallery>(&GalleryPageRequest { after }).unwrap();
        ids.extend(page.people.iter().map(|person| person.person.0));
        pages += 1;
        after = page.people.last().unwrap().person;
        assert_eq!((page.people[0].slots, page.people[0].best_quality), (1, 90));
        if !page.more {
            break;
        }
    }
    assert_eq!((ids, pages), ((1..=37).collect(), 3));
}

#[test]
fn a_log_read_in_pages_is_whole_and_a_second_read_moves_nothing() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    for _ in 0..50 {
        rig.visit(Show::Face(1), 3);
    }
    let pull = |rig: &mut Rig, from: u64| {
        rig.call::<SayHello>(&HelloRequest::of_build("t")).unwrap();
        let mut entries = Vec::new();
        loop {
            let from = from + entries.len() as u64;
            let page = rig.call::<ReadLog>(&LogPageRequest { from }).unwrap();
            let count = entries.len();
            entries.extend(page.entries().map(Result::unwrap));
            if entries.len() == count {
                return entries;
            }
        }
    };
    let first = pull(&mut rig, 1);
    let sequences: Vec<u64> = first.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=first.len() as u64).collect::<Vec<_>>());
    assert_eq!(first, rig.log());
    let reads = |log: &[threshold_record::LogEntry]| {
        log.iter().filter(|entry| entry.kind == EntryKind::LogRead).count()
    };
    assert_eq!(reads(&first), 1, "one reader is one entry, in what that reader sees");
    assert_eq!(pull(&mut rig, first.len() as u64 + 1), []);
    assert_eq!(rig.log().len(), first.len());
    rig.visit(Show::Face(1), 3);
    let third = pull(&mut rig, first.len() as u64 + 1);
    assert_eq!(third.len(), 2, "the visit, and that it was read");
    let head = rig.call::<GetLogHead>(&Nothing {}).unwrap();
    assert_eq!((head.oldest, head.head), (1, first.len() as u64 + 2));
}

#[test]
fn contexts_tell_what_was_in_force() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.visit(Show::Face(1), 3);
    let entry = rig.decisions()[0];
    let got = rig.call::<GetContext>(&ContextGet { number: entry.context_model }).unwrap();
    let model = ModelContext::from_bytes(&got.bytes).unwrap();
    assert_eq!((model.id, model.name.as_str()), (MODEL, "axes"));
    let got = rig.call::<GetContext>(&ContextGet { number: entry.context_policy }).unwrap();
    let settled = threshold_policy::rule::Settled::from_context(&got.bytes).unwrap();
    assert_eq!(Some(&settled), rig.shared.lock().settled());
    let error = rig.call::<GetContext>(&ContextGet { number: 99 }).unwrap_err();
    assert_eq!(error, RequestError::UnknownContext { number: 99 });
}

#[test]
fn a_call_that_comes_twice_is_obeyed_once() {
    let mut rig = Rig::new();
    let put = person_put("Ada", IfThere::Refuse);
    let encoded = call::request::<PutPerson>(7, &put).unwrap();
    let first = said(&mut rig.desk, encoded.as_bytes());
    let second = said(&mut rig.desk, encoded.as_bytes());
    assert_eq!(first, second);
    assert_eq!(first[0].0, FrameKind::Answer);
    assert_eq!(rig.shared.lock().journal().unwrap().store().gallery().unwrap().n_people(), 1);
    // With another id it is another call.
    let again = call::request::<PutPerson>(8, &put).unwrap();
    assert_eq!(said(&mut rig.desk, again.as_bytes())[0].0, FrameKind::Error);
}

#[test]
fn what_cannot_be_read_is_refused_and_noise_is_passed_over() {
    let mut rig = Rig::new();
    let unknown = Frame { kind: FrameKind::Call, id: 1, key: [0xee; 8], body: b"" };
    let malformed = Frame { kind: FrameKind::Call, id: 2, key: GetInfo::CALL_KEY, body: b"more" };
    for (frame, refusal) in [(unknown, Refusal::UnknownEndpoint), (malformed, Refusal::Malformed)] {
        let answers = said(&mut rig.desk, frame.encode().unwrap().as_bytes());
        assert_eq!(answers, [(FrameKind::Refusal, vec![refusal as u8])]);
    }
    let mut noisy = b"\x07noise\0\0\xff\xff".to_vec();
    noisy.push(0);
    noisy.extend_from_slice(call::request::<GetInfo>(3, &Nothing {}).unwrap().as_bytes());
    let answers = said(&mut rig.desk, &noisy);
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].0, FrameKind::Answer);
    // An answer that comes to the unit is nobody's call.
    let echo = call::answer::<GetInfo>(4, &Err(RequestError::InsecureLink)).unwrap();
    assert_eq!(said(&mut rig.desk, echo.as_bytes()), []);
}

#[test]
fn a_failing_store_changes_nothing_and_says_so() {
    // Writes of a change: the batch, its sync, then those of its log entry.
    for number in 1..=3 {
        let mut rig = Rig::new();
        rig.enrol("Ada", 1);
        rig.flash.fail_at(rig.flash.writes() + number, FlashFault::Io);
        let put = TemplatePut { model: MODEL, template: template(PersonId(1), 1, 2) };
        let answer = rig.call::<PutTemplate>(&put);
        match number {
            1 | 2 => {
                assert_eq!(answer.unwrap_err(), RequestError::StoreFault { part: Cause::Store });
                // Whether the flash took the bytes all the same is not known; the unit goes by what it had.
                let after = GalleryPageRequest { after: PersonId::NOBODY };
                assert_eq!(rig.call::<ListGallery>(&after).unwrap().people[0].slots, 1);
                let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
                assert_eq!(info.armed, Armed::Fault(Cause::Store));
            }
            // The gallery stands, and only the entry behind it failed.
            _ => assert_eq!(answer.unwrap().templates, 2),
        }
    }
}

#[test]
fn a_removal_whose_bytes_stay_is_done_and_is_a_fault() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    // Writes of a removal: tombstone and segment at once; if that fails the tombstone, and then the segment.
    rig.flash.fail_at(rig.flash.writes() + 1, FlashFault::Io);
    rig.flash.fail_at(rig.flash.writes() + 3, FlashFault::Io);
    let done = rig.call::<RemovePerson>(&PersonRemove { person: ada }).unwrap();
    assert_eq!(done.name.as_str(), "Ada");
    assert!(rig.notices().contains("the templates still stand"), "{}", rig.notices());
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Fault(Cause::Store));
    let mut again = Rig::on(&rig.flash);
    again.visit(Show::Face(1), 5);
    assert_eq!(again.pulses(), 0);
}

#[test]
fn who_hangs_up_leaves_a_line_at_its_first_speed() {
    let mut rig = Rig::new();
    let top = SpeedSet { baud: LADDER[0] };
    // Asked for and hung up before it held: nothing is due to the next visitor.
    assert_eq!(rig.call::<SetSpeed>(&top).unwrap().baud, LADDER[0]);
    rig.desk.hung_up();
    assert_eq!(rig.desk.speed_due(), None);
    // Held: the device that comes back is opened at the first speed, which the unit knows, and sets it no second time.
    rig.call::<SetSpeed>(&top).unwrap();
    assert_eq!(rig.desk.speed_due(), Some(LADDER[0]));
    rig.desk.hung_up();
    rig.clock.advance(2 * QUIET_MS);
    assert_eq!(rig.desk.speed_due(), None);
    assert_eq!(rig.call::<SetSpeed>(&SpeedSet { baud: BASE }).unwrap().baud, BASE);
    assert_eq!(rig.desk.speed_due(), None);
}
