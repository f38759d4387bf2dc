//! Golden bytes of every message: `golden/messages.txt` has one line for each, its name and its frame in hex.
//!
//! A line that differs means that a host and a unit of two builds no longer understand each other there.
//! `THRESHOLD_BLESS=1 cargo test -p threshold-tests --test wire` writes the file anew; `cargo xtask tidy` then asks
//! for a line in the changelog that says what the change means. The hello's lines stand in `hello.rs` as well, where no
//! blessing reaches them.

use crate::samples::{self, ID};
use crate::{Received, lone};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use threshold_record::{
    Access, ContextKind, EnrolmentEnd, KeyId, Mode, ModelId, PersonId, Role, Schedule, ScheduleId,
    Score, Setting, Template, Threshold, ThresholdRule, WallTime,
};
use threshold_tests::entry::full_entry;
use threshold_wire::access::{
    AccessGet, AccessGot, AccessSet, ScheduleDone, SchedulePage, SchedulePageRequest,
    ScheduleRemove, ScheduleSet,
};
use threshold_wire::administration::{
    AdministratorPage, AdministratorPageRequest, AdministratorRevoke, AdministratorRevoked,
    AdministratorRole, AdministratorRoleSet,
};
use threshold_wire::bulk::{Progress, Resume, Window};
use threshold_wire::calibrate::{CalibrateAsk, CalibrateStep};
use threshold_wire::call::{self, read_answer};
use threshold_wire::clock::{ClockInfo, ClockSet};
use threshold_wire::commission::{CommissionChallenge, CommissionFinish, Commissioned};
use threshold_wire::config::{Change, ConfigSet};
use threshold_wire::endpoints::{self, ERROR_KEY, TABLE};
use threshold_wire::enrolment::{EnrolmentBegin, EnrolmentBegun, EnrolmentNumber, EnrolmentStage};
use threshold_wire::gallery::GalleryApply;
use threshold_wire::gallery::beside::{
    BesideTold, GalleryBeside, GalleryStage, GalleryStageTold, GalleryStaged,
};
use threshold_wire::handshake::{PairFinish, PairFinished, PairStart, PairStarted, SessionOpened};
use threshold_wire::message::{
    ContextGet, ContextGot, Echo, GalleryAgain, GalleryAgainDone, GalleryPageRequest,
    GallerySearch, GallerySearchDone, IfThere, LogHead, LogPageRequest, Nothing, PersonAs,
    PersonPut, PersonPutDone, PersonRemove, PersonRemoveDone, PullOffer, PullRequest, PullWhat,
    PushAccepted, PushRequest, PushWhat, SecretKeeper, TemplatePut, TemplatePutDone,
    TemplateRedundant, TemplateRedundantDone, Unlocked, WantedId, Wipe,
};
use threshold_wire::policy::{
    ModeSet, PassbackSet, PolicySet, ReserveAsk, ReserveStanding, ReserveTold,
};
use threshold_wire::speed::{SpeedSet, SpeedSettled};
use threshold_wire::trust::{
    CheckpointGet, CheckpointGot, CheckpointPlace, Identity, LogPrune, LogPruned,
};
use threshold_wire::update::{
    SlotsTold, UpdateApplied, UpdateApply, UpdateEnded, UpdatePush, UpdatePushed, UpdateRefusal,
};
use threshold_wire::{Call, CallError, Endpoint, Frame, FrameKind, HelloRequest, RequestError};

/// Names and frames in the order of the file.
#[derive(Default)]
struct Sheet(Vec<(String, Vec<u8>)>);

impl Sheet {
    /// A request: what is written is read back as that call.
    fn call<E: Endpoint>(&mut self, case: &str, request: E::Request, call: fn(E::Request) -> Call)
    where
        E::Request: Clone,
    {
        let line = call::request::<E>(ID, &request).unwrap().as_bytes().to_vec();
        let read = Call::read(&lone(&line).frame()).unwrap();
        assert_eq!(read.path(), E::PATH);
        assert_eq!(read.caller(), E::CALLER, "{}", E::PATH);
        assert_eq!(read, call(request), "{} {case}", E::PATH);
        self.add(E::PATH, "call", case, line);
    }

    /// A response: what is written is read back as that answer.
    fn answer<E: Endpoint>(&mut self, case: &str, response: E::Response)
    where
        E::Response: Clone + Debug + PartialEq,
    {
        let outcome = Ok(response);
        let line = call::answer::<E>(ID, &outcome).unwrap().as_bytes().to_vec();
        let read = read_answer::<E>(ID, &lone(&line).frame());
        assert_eq!(read, Ok(outcome), "{} {case}", E::PATH);
        self.add(E::PATH, "answer", case, line);
    }

    fn add(&mut self, path: &str, direction: &str, case: &str, line: Vec<u8>) {
        let case = if case.is_empty() { String::new() } else { format!(":{case}") };
        self.0.push((format!("{path}:{direction}{case}"), line));
    }

    fn text(&self) -> String {
        self.0.iter().map(|(name, line)| format!("{name} {}\n", hex(line))).collect()
    }
}

/// Every message of the protocol.
fn sheet() -> Sheet {
    let mut sheet = Sheet::default();
    let s = &mut sheet;
    s.call::<endpoints::SayHello>("", samples::hello_request(), Call::SayHello);
    s.answer::<endpoints::SayHello>("", samples::hello());
    s.call::<endpoints::GetInfo>("", Nothing {}, Call::GetInfo);
    s.answer::<endpoints::GetInfo>("", samples::info());
    s.answer::<endpoints::GetInfo>("bare", samples::bare_info());
    let mut info = samples::info();
    info.store.as_mut().unwrap().keeper = SecretKeeper::File;
    s.answer::<endpoints::GetInfo>("keeper_file", info.clone());
    let store = info.store.as_mut().unwrap();
    (store.keeper, store.counter) = (SecretKeeper::Tpm, Some(0x0102_0304_0506));
    s.answer::<endpoints::GetInfo>("keeper_tpm", info);
    for (case, armed) in samples::ARMED {
        let info = threshold_wire::message::Info { armed, ..samples::bare_info() };
        s.answer::<endpoints::GetInfo>(case, info);
    }
    let echo =
        |len: usize| Echo { bytes: samples::counting::<256>(0)[..len].iter().copied().collect() };
    for (case, len) in [("", 5), ("empty", 0), ("full", 256)] {
        s.call::<endpoints::SendEcho>(case, echo(len), Call::SendEcho);
        s.answer::<endpoints::SendEcho>(case, echo(len));
    }
    handshakes(s);
    people(s);
    templates(s);
    log(s);
    trust(s);
    administrators(s);
    policy(s);
    commission(s);
    clock(s);
    access(s);
    config(s);
    enrolment(s);
    s.call::<endpoints::GetStats>("", Nothing {}, Call::GetStats);
    s.answer::<endpoints::GetStats>("", samples::stats());
    s.answer::<endpoints::GetStats>("bare", samples::bare_stats());
    bulk(s);
    update(s);
    for error in samples::errors() {
        let line = call::answer::<endpoints::PutTemplate>(ID, &Err(error.clone())).unwrap();
        let line = line.as_bytes().to_vec();
        let read = read_answer::<endpoints::PutTemplate>(ID, &lone(&line).frame());
        assert_eq!(read, Ok(Err(error.clone())));
        s.0.push((format!("error:{}", samples::error_name(&error)), line));
    }
    for refusal in samples::REFUSALS {
        let line = call::refusal(ID, refusal).unwrap().as_bytes().to_vec();
        let read = read_answer::<endpoints::GetInfo>(ID, &lone(&line).frame());
        assert_eq!(read, Err(CallError::Refused(refusal)));
        s.0.push((format!("refusal:{}", samples::refusal_name(refusal)), line));
    }
    sheet
}

fn handshakes(s: &mut Sheet) {
    s.call::<endpoints::OpenSession>("", samples::session_open(), Call::OpenSession);
    s.answer::<endpoints::OpenSession>("", SessionOpened::Welcome(samples::noise(49)));
    let message = samples::noise(48);
    s.call::<endpoints::StartPairing>("", PairStart { message }, Call::StartPairing);
    s.answer::<endpoints::StartPairing>("", PairStarted::Go(samples::noise(96)));
    let message = samples::noise(160);
    s.call::<endpoints::FinishPairing>("", PairFinish { message }, Call::FinishPairing);
    s.answer::<endpoints::FinishPairing>("", PairFinished::Paired(samples::noise(17)));
    for (case, refusal) in samples::handshake_refusals() {
        s.answer::<endpoints::OpenSession>(case, SessionOpened::Refused(refusal));
        s.answer::<endpoints::StartPairing>(case, PairStarted::Refused(refusal));
        s.answer::<endpoints::FinishPairing>(case, PairFinished::Refused(refusal));
    }
}

fn people(s: &mut Sheet) {
    for (case, if_there) in [("refuse", IfThere::Refuse), ("use", IfThere::Use)] {
        let put = PersonPut { name: samples::name("Zoë O'Neill"), if_there };
        s.call::<endpoints::PutPerson>(case, put, Call::PutPerson);
    }
    let person = PersonId(300);
    let done = PersonPutDone { person, added: true, free_slot: Some(3), generation: 70_000 };
    s.answer::<endpoints::PutPerson>("", done);
    let there = PersonPutDone { added: false, free_slot: None, ..done };
    s.answer::<endpoints::PutPerson>("there", there);
    s.call::<endpoints::RemovePerson>("", PersonRemove { person }, Call::RemovePerson);
    let receipt = Some(samples::counting::<104>(0x70).into());
    let done =
        PersonRemoveDone { name: samples::name("Ada"), templates: 2, generation: 70_001, receipt };
    s.answer::<endpoints::RemovePerson>("", done.clone());
    let bare = PersonRemoveDone { receipt: None, ..done };
    s.answer::<endpoints::RemovePerson>("no_receipt", bare);
    for (case, after) in [("first", PersonId::NOBODY), ("next", PersonId(u32::MAX))] {
        s.call::<endpoints::ListGallery>(case, GalleryPageRequest { after }, Call::ListGallery);
    }
    for (case, count) in [("empty", 0), ("", 3), ("full", 16)] {
        s.answer::<endpoints::ListGallery>(case, samples::gallery_page(count));
    }
}

fn templates(s: &mut Sheet) {
    let model = threshold_record::ModelId(samples::counting(0x20));
    for (case, template) in [("128", samples::template()), ("512", samples::long_template())] {
        let search =
            GallerySearch { model, scale: template.scale, vector: template.vector.clone() };
        s.call::<endpoints::PutTemplate>(case, TemplatePut { model, template }, Call::PutTemplate);
        s.call::<endpoints::SearchGallery>(case, search, Call::SearchGallery);
    }
    for (case, template, but) in
        [("128", samples::template(), None), ("512", samples::long_template(), Some(PersonId(300)))]
    {
        let Template { person, quality, scale, ref vector, .. } = template;
        let vector = vector.clone();
        let again = GalleryAgain { model, pictures: 3, but, scale, vector: vector.clone() };
        s.call::<endpoints::SearchAgain>(case, again, Call::SearchAgain);
        let of = TemplateRedundant { model, person, quality, scale, vector };
        s.call::<endpoints::FindRedundant>(case, of, Call::FindRedundant);
        let found = TemplateRedundantDone { template: Some(template) };
        s.answer::<endpoints::FindRedundant>(case, found);
    }
    for (case, wanted) in
        [("least", WantedId::AtLeast(PersonId(300))), ("exactly", WantedId::Exactly(PersonId(7)))]
    {
        let put = PersonAs { name: samples::name("Zoë O'Neill"), id: wanted };
        s.call::<endpoints::PutPersonAs>(case, put, Call::PutPersonAs);
    }
    let put =
        PersonPutDone { person: PersonId(300), added: true, free_slot: Some(0), generation: 4 };
    s.answer::<endpoints::PutPersonAs>("", put);
    s.answer::<endpoints::FindRedundant>("itself", TemplateRedundantDone { template: None });
    let threshold = Threshold(Score(0.6875));
    let nearest = samples::resembled().best;
    s.answer::<endpoints::SearchAgain>("", GalleryAgainDone { nearest, threshold });
    let nobody = GalleryAgainDone { nearest: None, threshold };
    s.answer::<endpoints::SearchAgain>("nobody", nobody);
    let done = TemplatePutDone { templates: 8, generation: u64::MAX };
    s.answer::<endpoints::PutTemplate>("", done);
    s.answer::<endpoints::SearchGallery>("", samples::resembled());
    let lone = GallerySearchDone { runner_up: None, ..samples::resembled() };
    s.answer::<endpoints::SearchGallery>("one_person", lone);
    let nobody = GallerySearchDone { best: None, runner_up: None };
    s.answer::<endpoints::SearchGallery>("empty", nobody);
}

fn log(s: &mut Sheet) {
    s.call::<endpoints::ReadLog>("", LogPageRequest { from: 200_001 }, Call::ReadLog);
    for (case, count) in [("empty", 0), ("", 2), ("full", 32)] {
        let page = samples::log_page(count);
        let entries: Vec<_> = page.entries().map(Result::unwrap).collect();
        assert_eq!(entries, (1..=count).map(full_entry).collect::<Vec<_>>(), "{case}");
        s.answer::<endpoints::ReadLog>(case, page);
    }
    s.call::<endpoints::GetLogHead>("", Nothing {}, Call::GetLogHead);
    s.answer::<endpoints::GetLogHead>("", LogHead { oldest: 129, head: 200_000 });
    s.call::<endpoints::GetContext>("", ContextGet { number: 0x0304 }, Call::GetContext);
    for kind in ContextKind::ALL {
        let got = ContextGot { kind: *kind, ..samples::context() };
        s.answer::<endpoints::GetContext>(kind.text(), got);
    }
    let full = ContextGot { bytes: [0xc5; 512].into_iter().collect(), ..samples::context() };
    s.answer::<endpoints::GetContext>("full", full);
}

fn trust(s: &mut Sheet) {
    s.call::<endpoints::GetIdentity>("", Nothing {}, Call::GetIdentity);
    let identity = Identity { key: samples::counting(0x40), store_id: samples::counting(0x80) };
    s.answer::<endpoints::GetIdentity>("", identity);
    let places = [("head", CheckpointPlace::Head), ("oldest", CheckpointPlace::BeforeOldest)];
    for (case, place) in places {
        s.call::<endpoints::GetCheckpoint>(case, CheckpointGet { place }, Call::GetCheckpoint);
    }
    let bytes = samples::counting::<160>(0x11);
    s.answer::<endpoints::GetCheckpoint>("", CheckpointGot { bytes: bytes.into() });
    let prune = LogPrune { before: 300_000, checkpoint: bytes.into() };
    s.call::<endpoints::PruneLog>("", prune, Call::PruneLog);
    let pruned = LogPruned { entries: 93_001, oldest: 93_130, entry: 200_001 };
    s.answer::<endpoints::PruneLog>("", pruned);
}

fn administrators(s: &mut Sheet) {
    let key = KeyId(samples::counting(0x30));
    for (case, after) in [("first", None), ("next", Some(key))] {
        let page = AdministratorPageRequest { after };
        s.call::<endpoints::ListAdministrators>(case, page, Call::ListAdministrators);
    }
    for (case, count) in [("", 2), ("full", 8)] {
        s.answer::<endpoints::ListAdministrators>(case, samples::administrator_page(count));
    }
    let none = AdministratorPage { you: None, ..samples::administrator_page(0) };
    s.answer::<endpoints::ListAdministrators>("empty", none);
    let revoke = AdministratorRevoke { key };
    s.call::<endpoints::RevokeAdministrator>("", revoke, Call::RevokeAdministrator);
    let name = samples::name("Ada");
    s.answer::<endpoints::RevokeAdministrator>("", AdministratorRevoked { name: name.clone() });
    for role in Role::ALL.iter().copied() {
        let set = AdministratorRole { key, role };
        s.call::<endpoints::SetRole>(role.text(), set, Call::SetRole);
    }
    s.answer::<endpoints::SetRole>("", AdministratorRoleSet { name });
}

fn policy(s: &mut Sheet) {
    s.call::<endpoints::GetPolicy>("", Nothing {}, Call::GetPolicy);
    s.answer::<endpoints::GetPolicy>("", samples::policy());
    let target = ThresholdRule::Target { fpir: 1e-4 };
    for (case, rule) in [("target", target), ("fixed", samples::fixed_rule())] {
        s.call::<endpoints::SetPolicy>(case, PolicySet { rule }, Call::SetPolicy);
    }
    s.answer::<endpoints::SetPolicy>("", samples::fixed_policy());
    s.call::<endpoints::SetMode>("", ModeSet { mode: Mode::Verify }, Call::SetMode);
    s.answer::<endpoints::SetMode>("", samples::policy());
    s.call::<endpoints::AcknowledgePhoto>("", Nothing {}, Call::AcknowledgePhoto);
    s.answer::<endpoints::AcknowledgePhoto>("", samples::fixed_policy());
    s.call::<endpoints::WithdrawPhoto>("", Nothing {}, Call::WithdrawPhoto);
    s.answer::<endpoints::WithdrawPhoto>("", samples::policy());
    for (case, step) in [
        ("begin", CalibrateStep::Begin),
        ("look", CalibrateStep::Look),
        ("apply", CalibrateStep::Apply),
        ("drop", CalibrateStep::Drop),
    ] {
        let except = if step == CalibrateStep::Apply { 1..17 } else { 1..1 };
        let ask = CalibrateAsk { step, except: except.collect() };
        s.call::<endpoints::Calibrate>(case, ask, Call::Calibrate);
    }
    s.answer::<endpoints::Calibrate>("", samples::calibrate_told());
    s.answer::<endpoints::Calibrate>("bare", samples::bare_calibrate_told());
}

fn commission(s: &mut Sheet) {
    s.call::<endpoints::ChallengeCommission>("", Nothing {}, Call::ChallengeCommission);
    for (case, commission) in samples::COMMISSIONS {
        let (nonce, unit) = (samples::counting(1), samples::counting(0x60));
        let challenge = CommissionChallenge { nonce, unit, commission };
        s.answer::<endpoints::ChallengeCommission>(case, challenge);
    }
    for (case, successor) in [("", None), ("replace", Some(samples::signed(0x90)))] {
        let finish = CommissionFinish { key: samples::signed(0x20), successor };
        s.call::<endpoints::FinishCommission>(case, finish, Call::FinishCommission);
    }
    let commission = samples::COMMISSIONS[1].1;
    s.answer::<endpoints::FinishCommission>("", Commissioned { commission });
}

fn clock(s: &mut Sheet) {
    let wall = WallTime { unix_ms: 1_753_000_000_123, trusted: true };
    s.call::<endpoints::GetClock>("", Nothing {}, Call::GetClock);
    s.answer::<endpoints::GetClock>("", ClockInfo { wall, latest_ms: 0 });
    let set = ClockSet { unix_ms: 1_753_000_000_456 };
    s.call::<endpoints::SetClock>("", set, Call::SetClock);
    s.answer::<endpoints::SetClock>("", ClockInfo { wall, latest_ms: 1_752_000_000_789 });
}

fn access(s: &mut Sheet) {
    let person = PersonId(300);
    s.call::<endpoints::GetAccess>("", AccessGet { person }, Call::GetAccess);
    let got = |access: Access| AccessGot {
        person,
        schedule: access.schedule.map(|id| samples::schedule(id.0, 14)),
        access,
        zone: samples::zone(),
        generation: 70_000,
    };
    s.answer::<endpoints::GetAccess>("", got(samples::access()));
    s.answer::<endpoints::GetAccess>("bare", got(Access::default()));
    let set = AccessSet { person, was: Access::default(), access: samples::access() };
    s.call::<endpoints::SetAccess>("", set, Call::SetAccess);
    s.answer::<endpoints::SetAccess>("", got(samples::access()));
    for (case, after) in [("first", None), ("next", Some(ScheduleId(8)))] {
        let page = SchedulePageRequest { after };
        s.call::<endpoints::ListSchedules>(case, page, Call::ListSchedules);
    }
    for (case, count) in [("empty", 0), ("", 2), ("full", 8)] {
        let schedules = (1..=count).map(|number| samples::schedule(number, 14)).collect();
        let page = SchedulePage { schedules, more: count > 3, zone: samples::zone() };
        s.answer::<endpoints::ListSchedules>(case, page);
    }
    let Schedule { name, intervals, .. } = samples::schedule(2, 3);
    s.call::<endpoints::PutSchedule>("", ScheduleSet { name, intervals }, Call::PutSchedule);
    let done = ScheduleDone { id: ScheduleId(2), generation: 70_001 };
    s.answer::<endpoints::PutSchedule>("", done);
    let remove = ScheduleRemove { id: ScheduleId(2) };
    s.call::<endpoints::RemoveSchedule>("", remove, Call::RemoveSchedule);
    s.answer::<endpoints::RemoveSchedule>("", done);
    s.call::<endpoints::SetPassback>("", PassbackSet { minutes: 300 }, Call::SetPassback);
    s.answer::<endpoints::SetPassback>("", samples::fixed_policy());
    for (case, admissions) in [("", Some(100)), ("asked", None)] {
        s.call::<endpoints::SetReserve>(case, ReserveAsk { admissions }, Call::SetReserve);
    }
    for (case, admissions, standing) in [
        ("", 100, ReserveStanding::Whole),
        ("none", 0, ReserveStanding::None),
        ("missing", 3, ReserveStanding::Missing),
        ("open", 3, ReserveStanding::Open { left: 2 }),
    ] {
        s.answer::<endpoints::SetReserve>(case, ReserveTold { admissions, standing });
    }
}

fn config(s: &mut Sheet) {
    s.call::<endpoints::GetConfig>("", Nothing {}, Call::GetConfig);
    s.answer::<endpoints::GetConfig>("", samples::config(0));
    s.answer::<endpoints::GetConfig>("waiting", samples::config(2));
    let all = samples::config(Setting::ALL.len()).waiting;
    let back = Change { setting: Setting::Name, value: None };
    for (case, changes) in
        [("", [back].into_iter().collect()), ("all", all), ("none", heapless::Vec::new())]
    {
        s.call::<endpoints::SetConfig>(case, ConfigSet { changes }, Call::SetConfig);
    }
    s.answer::<endpoints::SetConfig>("", samples::config(1));
}

fn enrolment(s: &mut Sheet) {
    for (case, force) in [("", false), ("force", true)] {
        let begin = EnrolmentBegin { name: samples::name("Grace Hopper"), templates: 3, force };
        s.call::<endpoints::BeginEnrolment>(case, begin, Call::BeginEnrolment);
    }
    let begun = EnrolmentBegun {
        number: 70_001,
        person: PersonId(300),
        silence_ms: 5_000,
        longest_ms: 90_000,
    };
    s.answer::<endpoints::BeginEnrolment>("", begun);
    let of = EnrolmentNumber { number: 70_001 };
    s.call::<endpoints::GetEnrolment>("", of, Call::GetEnrolment);
    s.answer::<endpoints::GetEnrolment>("", samples::enrolment(EnrolmentStage::Gathering));
    s.answer::<endpoints::GetEnrolment>("enough", samples::enrolment(EnrolmentStage::Enough));
    for &end in EnrolmentEnd::ALL {
        let status = samples::enrolment(EnrolmentStage::Ended(end));
        s.answer::<endpoints::GetEnrolment>(end.text(), status);
    }
    s.call::<endpoints::KeepEnrolment>("", of, Call::KeepEnrolment);
    s.answer::<endpoints::KeepEnrolment>("", samples::enrolment_kept());
    s.call::<endpoints::CancelEnrolment>("", of, Call::CancelEnrolment);
    let cancelled = EnrolmentStage::Ended(EnrolmentEnd::Cancelled);
    s.answer::<endpoints::CancelEnrolment>("", samples::enrolment(cancelled));
}

fn bulk(s: &mut Sheet) {
    let (content, window) = (samples::content(), Window::of_baud(115_200));
    let progress = Progress { next: 70_000, map: 0b1010 };
    let whats = [
        ("", PullWhat::Log { from: 200_001 }, None),
        ("gallery", PullWhat::Gallery, Some(Resume { content, chunk_bytes: 512, progress })),
        ("listing", PullWhat::Listing, None),
    ];
    for (case, what, kept) in whats {
        let request = PullRequest { what, window: Window::USB, kept };
        s.call::<endpoints::StartPull>(case, request, Call::StartPull);
    }
    s.answer::<endpoints::StartPull>("", PullOffer { transfer: 7, content, window });
    let push = PushRequest { what: PushWhat::Gallery, content, window };
    s.call::<endpoints::StartPush>("gallery", push, Call::StartPush);
    s.answer::<endpoints::StartPush>("", PushAccepted { transfer: 8, window, progress });
    s.call::<endpoints::SetSpeed>("", SpeedSet { baud: 3_000_000 }, Call::SetSpeed);
    s.answer::<endpoints::SetSpeed>("", SpeedSettled { baud: 3_000_000 });
    s.call::<endpoints::ApplyGallery>("", GalleryApply { transfer: 8 }, Call::ApplyGallery);
    for (case, left_out) in [("", 0), ("left_out", 3), ("full", 16)] {
        s.answer::<endpoints::ApplyGallery>(case, samples::applied(left_out));
    }
    s.call::<endpoints::StageGallery>("", GalleryStage { transfer: 8 }, Call::StageGallery);
    let staged = |left_out| {
        let left_out = samples::applied(left_out).left_out;
        let model = ModelId([7; 32]);
        let (people, templates, without, done) = (200, 600, 3, left_out.is_empty());
        GalleryStageTold::Staged(GalleryStaged {
            model,
            people,
            templates,
            left_out,
            without,
            done,
        })
    };
    s.answer::<endpoints::StageGallery>("", staged(0));
    s.answer::<endpoints::StageGallery>("full", staged(16));
    let refused = UpdateRefusal::new(UpdateRefusal::NOT_BESIDE, "a version is on trial; wait");
    s.answer::<endpoints::StageGallery>("refused", GalleryStageTold::Refused(refused));
    s.call::<endpoints::GetBeside>("", Nothing {}, Call::GetBeside);
    s.answer::<endpoints::GetBeside>("", BesideTold { beside: None });
    let beside =
        GalleryBeside { model: ModelId([7; 32]), people: 2, templates: 5, without: 70_000 };
    s.answer::<endpoints::GetBeside>("there", BesideTold { beside: Some(beside) });
    s.call::<endpoints::Unlock>("", Nothing {}, Call::Unlock);
    s.answer::<endpoints::Unlock>("", Unlocked { was_locked: true });
    s.call::<endpoints::Reboot>("", Nothing {}, Call::Reboot);
    s.answer::<endpoints::Reboot>("", Nothing {});
    let wipe = Wipe { unit: "north door".try_into().unwrap() };
    s.call::<endpoints::WipeUnit>("", wipe, Call::WipeUnit);
    s.answer::<endpoints::WipeUnit>("", Nothing {});
}

fn update(s: &mut Sheet) {
    let (content, window) = (samples::content(), Window::USB);
    let refusal = || UpdateRefusal::new(UpdateRefusal::OTHER_BASE, "it is none; push the whole");
    s.call::<endpoints::GetSlots>("", Nothing {}, Call::GetSlots);
    s.answer::<endpoints::GetSlots>("", SlotsTold::Told(samples::slots()));
    s.answer::<endpoints::GetSlots>("refused", SlotsTold::Refused(refusal()));
    s.call::<endpoints::PushUpdate>("", UpdatePush { content, window }, Call::PushUpdate);
    let progress = Progress { next: 70_000, map: 0b1010 };
    s.answer::<endpoints::PushUpdate>("", UpdatePushed::Go { transfer: 9, window, progress });
    s.answer::<endpoints::PushUpdate>("refused", UpdatePushed::Refused(refusal()));
    let apply = UpdateApply { hash: content.hash, accepts: UpdateApply::RE_ENROL };
    s.call::<endpoints::ApplyUpdate>("", apply, Call::ApplyUpdate);
    s.answer::<endpoints::ApplyUpdate>("working", UpdateApplied::Working { percent: 41 });
    s.answer::<endpoints::ApplyUpdate>("installed", UpdateApplied::Installed);
    s.answer::<endpoints::ApplyUpdate>("refused", UpdateApplied::Refused(refusal()));
    s.call::<endpoints::ConfirmUpdate>("", Nothing {}, Call::ConfirmUpdate);
    s.call::<endpoints::RevertUpdate>("", Nothing {}, Call::RevertUpdate);
    for (case, ended) in [("", UpdateEnded::Done), ("refused", UpdateEnded::Refused(refusal()))] {
        s.answer::<endpoints::ConfirmUpdate>(case, ended.clone());
        s.answer::<endpoints::RevertUpdate>(case, ended);
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/golden/messages.txt")
}

/// The lines of the committed file.
pub(crate) fn committed() -> BTreeMap<String, Vec<u8>> {
    let text = std::fs::read_to_string(file()).unwrap_or_default();
    let line = |line: &str| {
        let (name, bytes) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), from_hex(bytes))
    };
    text.lines().map(line).collect()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_message_has_its_golden_bytes_and_reads_back() {
    let sheet = sheet();
    if std::env::var_os("THRESHOLD_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(file(), sheet.text()).unwrap();
    }
    let committed = committed();
    for (name, line) in &sheet.0 {
        let golden = committed.get(name).map_or(String::new(), |bytes| hex(bytes));
        assert_eq!(hex(line), golden, "{name} (THRESHOLD_BLESS=1 accepts it)");
    }
    assert_eq!(committed.len(), sheet.0.len(), "the file has a line that nobody makes");
}

#[test]
fn every_row_of_the_table_has_a_golden_call_and_a_golden_answer() {
    let committed = committed();
    for &(path, call_key, answer_key) in TABLE {
        let expected =
            [("call", FrameKind::Call, call_key), ("answer", FrameKind::Answer, answer_key)];
        for (direction, kind, key) in expected {
            let start = format!("{path}:{direction}");
            let of_row = |name: &&String| **name == start || name.starts_with(&format!("{start}:"));
            let names: Vec<&String> = committed.keys().filter(of_row).collect();
            assert!(!names.is_empty(), "{start} has no golden line");
            for name in names {
                let Received { kind: found_kind, id, key: found_key, .. } = lone(&committed[name]);
                assert_eq!((found_kind, id, found_key), (kind, ID, key), "{name}");
            }
        }
    }
}

#[test]
fn no_two_keys_of_one_direction_are_alike() {
    let calls = TABLE.iter().map(|&(_, call, _)| call).collect();
    let answers = TABLE.iter().map(|&(_, _, answer)| answer).chain([ERROR_KEY, [0; 8]]).collect();
    for keys in [calls, answers] {
        let mut distinct: Vec<[u8; 8]> = keys;
        let count = distinct.len();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), count);
    }
}

/// Whether some body that starts with this variant's number, zeros behind, decodes as an error or a refusal.
fn is_variant(kind: FrameKind, key: [u8; 8], number: u8) -> bool {
    let body = [&[number][..], &[0; 80]].concat();
    (1..=body.len()).any(|len| {
        let frame = Frame { kind, id: 1, key, body: &body[..len] };
        !matches!(
            read_answer::<endpoints::GetInfo>(1, &frame),
            Err(CallError::Malformed { .. } | CallError::OtherVersion { .. })
        )
    })
}

#[test]
fn every_variant_of_errors_and_refusals_is_among_the_samples() {
    let mut names: Vec<String> = samples::errors()
        .iter()
        .filter(|error| {
            !matches!(
                error,
                RequestError::BadTemplate(_)
                    | RequestError::BadGallery(_)
                    | RequestError::BadAccess(_)
                    | RequestError::BadConfig(_)
                    | RequestError::BadEnrolment(_)
            )
        })
        .map(samples::error_name)
        .collect();
    names.dedup();
    let (errors, refusals) = (names.len() as u8 + 5, samples::REFUSALS.len() as u8);
    // From 128 on a number takes two bytes.
    for number in 0..128 {
        let is_error = is_variant(FrameKind::Error, ERROR_KEY, number);
        assert_eq!(is_error, number < errors, "error {number}");
        let is_refusal = is_variant(FrameKind::Refusal, [0; 8], number);
        assert_eq!(is_refusal, number < refusals, "refusal {number}");
    }
}

#[test]
fn errors_and_refusals_say_what_to_do() {
    let errors = samples::errors().into_iter().map(|error| error.to_string());
    let refusals = samples::REFUSALS.into_iter().map(|refusal| refusal.to_string());
    for text in errors.chain(refusals) {
        assert!(text.contains("; "), "{text:?} has no remedy");
        assert!(!text.ends_with('.'), "{text:?}");
    }
    let text = |error: RequestError| error.to_string();
    assert_eq!(
        text(RequestError::StoreFault { part: threshold_record::Cause::Store }),
        "the unit's store failed and nothing was changed; read the unit's own messages for the file and what to do"
    );
    assert_eq!(
        text(RequestError::BadTemplate(threshold_record::TemplateError::Slot { slot: 8 })),
        "the template is not fit to be compared (slot 8: a person has slots 0 to 7); enrol again"
    );
}

#[test]
fn a_hello_of_this_build_carries_the_tables_digest() {
    let hello = HelloRequest::of_build("x");
    assert_eq!(hello.schema, endpoints::DIGEST);
    assert_eq!(hello.protocol, threshold_wire::PROTOCOL);
}
