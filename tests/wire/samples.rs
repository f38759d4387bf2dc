//! One or more values of every message, each field another value, so that a swap of two fields shows in the bytes.
//!
//! Owns the values behind `golden/messages.txt`. A new variant of an enum stops this file from compiling, a new row of
//! the endpoint table makes `golden.rs` fail: neither goes without a golden line.

use threshold_record::{
    Access, AccessFault, Administrator, Cause, ContextKind, Credential, EnrolmentEnd, HeadPose,
    Interval, KeyId, KeyTag, LogEntry, Metric, Mode, ModelId, ModelTag, Name, PersonId,
    Presentation, Role, Schedule, ScheduleId, Score, Setting, Template, TemplateError, Threshold,
    ThresholdRule, WallTime,
};
use threshold_tests::entry::full_entry;
use threshold_wire::access::{AccessRefused, ZONE_BYTES};
use threshold_wire::administration::AdministratorPage;
use threshold_wire::bulk::Content;
use threshold_wire::calibrate::{
    CalibrateTold, DerivedTold, PairTold, StrangerTold, StrangersTold,
};
use threshold_wire::commission::{Commission, Signature, Signed};
use threshold_wire::config::{Change, ConfigGot, ConfigRefused};
use threshold_wire::enrolment::{
    EnrolmentKept, EnrolmentRefused, EnrolmentStage, EnrolmentStatus, TemplateKept,
};
use threshold_wire::gallery::{GalleryApplied, GalleryFault, LeftOut, Why};
use threshold_wire::handshake::{HandshakeRefusal, NoiseMessage, SessionOpen};
use threshold_wire::message::{
    Armed, ContextGot, EngineState, GalleryInfo, GalleryPage, GallerySearchDone, Info, LogPage,
    ModelInfo, PersonSummary, ReaderState, Resembled, SecretKeeper, StoreInfo,
};
use threshold_wire::policy::{
    CalibrationHeld, OnePolicy, PolicyForecast, PolicyInfo, PolicyRefusal,
};
use threshold_wire::stats::{DecisionCount, HeatState, StageTime, Stats};
use threshold_wire::update::{Slot, SlotState, Slots};
use threshold_wire::{Hello, HelloRequest, Refusal, RequestError};

/// The id of every golden frame.
pub(crate) const ID: u32 = 0xa1b2_c3d4;

/// Bytes that count up from a first one.
pub(crate) fn counting<const N: usize>(first: u8) -> [u8; N] {
    std::array::from_fn(|i| first.wrapping_add(i as u8))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn hello_request() -> HelloRequest {
    // Not of this build: the golden line must not change with the table.
    HelloRequest {
        protocol: 0x0102,
        schema: 0x0304_0506_0708_090a,
        build: "0.1.0+abc".try_into().unwrap(),
    }
}

pub(crate) fn hello() -> Hello {
    Hello {
        protocol: 0x0b0c,
        schema: 0x0d0e_0f10_1112_1314,
        build: "0.1.1".try_into().unwrap(),
        unit: "north door".try_into().unwrap(),
    }
}

/// A unit that runs from one slot and gave the other up.
pub(crate) fn slots() -> Slots {
    let running = Slot {
        name: "a".try_into().unwrap(),
        version: "0.2.0".try_into().unwrap(),
        state: SlotState::Confirmed as u8,
        running: true,
        counter: 5,
        trials_left: 0,
        bundle: counting(1),
        said: Default::default(),
    };
    let failed = Slot {
        name: "b".try_into().unwrap(),
        version: "0.3.0".try_into().unwrap(),
        state: SlotState::Failed as u8,
        running: false,
        counter: 6,
        trials_left: 2,
        bundle: counting(101),
        said: "the camera gives no frame".try_into().unwrap(),
    };
    Slots {
        compatible: "jetson-orin".try_into().unwrap(),
        counter: 5,
        release_key: counting(33),
        serial: 3,
        longest: 270_000_000,
        model: counting(65),
        people: 300,
        slots: [running, failed].into_iter().collect(),
    }
}

/// A loop that has run for a while.
pub(crate) fn stats() -> Stats {
    let stage = |calls| StageTime { calls, p50_us: calls + 1, p95_us: calls + 2 };
    Stats {
        uptime_ms: 86_400_000,
        frames: 2_160_000,
        dropped: 12,
        searched: 190_000,
        visits: 321,
        decisions: [(0, 300), (2, 20), (5, 1)]
            .map(|(reason, count)| DecisionCount { reason, count })
            .into_iter()
            .collect(),
        detect: stage(512),
        embed: stage(401),
        frame: stage(511),
        resident_bytes: Some(180_000_000),
        temperature_mc: Some(61_500),
        heat: HeatState::Throttled,
    }
}

/// A loop that has seen nothing, on a system that does not tell.
pub(crate) fn bare_stats() -> Stats {
    let none = StageTime::default();
    Stats {
        uptime_ms: 7,
        frames: 0,
        dropped: 0,
        searched: 0,
        visits: 0,
        decisions: heapless::Vec::new(),
        detect: none,
        embed: none,
        frame: none,
        resident_bytes: None,
        temperature_mc: None,
        heat: HeatState::Normal,
    }
}

/// Every part there.
pub(crate) fn info() -> Info {
    Info {
        unit: "north door".try_into().unwrap(),
        build: "0.1.1".try_into().unwrap(),
        model: Some(ModelInfo {
            id: ModelId(counting(0x20)),
            name: "facenet-20180402-vggface2".try_into().unwrap(),
            metric: Metric::SquaredL2,
            crop: "square about the box, 32 px margin".try_into().unwrap(),
            embedding_len: 512,
            threshold: Threshold(Score(0.515)),
        }),
        policy: Some(policy()),
        gallery: Some(GalleryInfo {
            people: 17,
            templates: 300,
            capacity: 100_000,
            generation: 0x0102_0304_0506,
        }),
        log_head: Some(200_000),
        store: Some(StoreInfo {
            log_oldest: 129,
            log_segments: 14,
            log_segments_kept: 420,
            log_segments_begun: 433,
            log_bytes: 14_000_000,
            gallery_segments: 2,
            gallery_bytes: 90_000,
            written_bytes: 0x0102_0304_0506,
            reserve_bytes: 1 << 20,
            keeper: SecretKeeper::Memory,
            counter: None,
            administrators: 3,
        }),
        armed: Armed::Armed,
        commission: Commission::Holds(KeyId(counting(0x50))),
        lockout_s: 59,
        insecure_link: true,
        presentation: Presentation::Live,
        boot: 12,
        uptime_ms: 3_600_000,
        wall: WallTime { unix_ms: 1_753_000_000_123, trusted: true },
        reader: Some(ReaderState::Failed),
        engine: Some(EngineState::FellBack),
        heat: HeatState::Critical,
    }
}

/// Nothing there.
pub(crate) fn bare_info() -> Info {
    Info {
        unit: "".try_into().unwrap(),
        build: "".try_into().unwrap(),
        model: None,
        policy: None,
        gallery: None,
        log_head: None,
        store: None,
        armed: Armed::Fault(Cause::Gallery),
        commission: Commission::Never,
        lockout_s: 0,
        insecure_link: false,
        presentation: Presentation::NotAssessed,
        boot: 1,
        uptime_ms: 0,
        wall: WallTime { unix_ms: 0, trusted: false },
        reader: None,
        engine: None,
        heat: HeatState::Normal,
    }
}

/// A target that is not kept.
pub(crate) fn policy() -> PolicyInfo {
    PolicyInfo {
        rule: ThresholdRule::Target { fpir: 1e-3 },
        floor: Threshold(Score(0.473)),
        threshold: Threshold(Score(0.515)),
        people: 17,
        templates: 300,
        forecast: Some(PolicyForecast {
            fpir: 6e-4,
            fpir_high: 0.001_25,
            fnir: 0.36,
            fnir_high: 0.42,
        }),
        refusal: Some(PolicyRefusal { why: Cause::TooManyRefusals, people_at_most: 150 }),
        photo: None,
        passback_min: 0,
        mode: Mode::Both,
        one: OnePolicy {
            templates: 3,
            threshold: Threshold(Score(0.49)),
            forecast: None,
            refusal: Some(Cause::Reader),
        },
        calibration: None,
    }
}

/// An owner's own threshold with a model that nobody measured.
pub(crate) fn fixed_policy() -> PolicyInfo {
    PolicyInfo {
        rule: fixed_rule(),
        forecast: None,
        refusal: None,
        photo: Some(KeyTag(counting(0x40))),
        passback_min: 300,
        mode: Mode::Identify,
        calibration: Some(CalibrationHeld {
            by: KeyTag(counting(0x60)),
            threshold: Threshold(Score(0.52)),
            people: 17,
            templates: 300,
            strangers: 4000,
            stale: true,
        }),
        ..policy()
    }
}

pub(crate) fn fixed_rule() -> ThresholdRule {
    ThresholdRule::Fixed { model: ModelId(counting(0x20)), threshold: Threshold(Score(0.8)) }
}

pub(crate) const ARMED: [(&str, Armed); 5] = [
    ("armed", Armed::Armed),
    ("empty_gallery", Armed::EmptyGallery),
    ("fault", Armed::Fault(Cause::Lock)),
    ("starting", Armed::Starting),
    ("refuses", Armed::Refuses(Cause::NotMeasured)),
];

/// Every way in which a unit stands to its recovery key.
pub(crate) const COMMISSIONS: [(&str, Commission); 4] = [
    ("never", Commission::Never),
    ("holds", Commission::Holds(KeyId([0x51; 8]))),
    ("waits", Commission::Waits(KeyId([0x52; 8]))),
    ("unreadable", Commission::Unreadable),
];

pub(crate) fn signed(first: u8) -> Signed {
    Signed { key: counting(first), signature: Signature::from_array(counting::<64>(first ^ 0xff)) }
}

/// The shortest embedding that a template may have.
pub(crate) fn template() -> Template {
    Template {
        person: PersonId(70_000),
        slot: 7,
        quality: 93,
        model: ModelTag(counting(0x20)),
        scale: 0.0125,
        vector: (-64..64).collect(),
    }
}

/// The longest.
pub(crate) fn long_template() -> Template {
    Template { vector: (0..512).map(|i| (i % 255 - 127) as i8).collect(), ..template() }
}

pub(crate) fn resembled() -> GallerySearchDone {
    GallerySearchDone {
        best: Some(Resembled { person: PersonId(5), score: Score(0.75) }),
        runner_up: Some(Resembled { person: PersonId(300), score: Score(-0.125) }),
    }
}

/// A page of `count` people.
pub(crate) fn gallery_page(count: u32) -> GalleryPage {
    let person = |i: u32| PersonSummary {
        person: PersonId(100 * (i + 1)),
        name: name(["Ada", "Grace Hopper", "Zoë"][i as usize % 3]),
        slots: 1 << (i % 8),
        best_quality: 80 + i as u8,
        valid_from: i.is_multiple_of(2).then_some(1_800_000_000),
        valid_until: i.is_multiple_of(3).then_some(1_900_000_000),
        schedule: i.is_multiple_of(4).then_some(ScheduleId(16)),
        credentials: i as u8 % 5,
    };
    GalleryPage { generation: 41, people: (0..count).map(person).collect(), more: count > 3 }
}

/// A page of `count` administrators, whose names are as long as names may be.
pub(crate) fn administrator_page(count: u8) -> AdministratorPage {
    let held = |i: u8| Administrator {
        key: counting(0x10 * i),
        name: name(&"n".repeat(64 - usize::from(i))),
        role: Role::ALL[usize::from(i) % 3],
    };
    let administrators = (0..count).map(held).collect();
    AdministratorPage { administrators, more: count > 3, you: Some(KeyId(counting(0x30))) }
}

/// A page of `count` entries.
pub(crate) fn log_page(count: u64) -> LogPage {
    let entries: Vec<LogEntry> = (1..=count).map(full_entry).collect();
    LogPage::of(count + 1, &entries)
}

pub(crate) fn context() -> ContextGot {
    ContextGot {
        number: 0x0304,
        kind: ContextKind::Config,
        bytes: b"min_face_px=80\n".iter().copied().collect(),
    }
}

/// Every error that a unit may answer, and every fault of a template inside one.
pub(crate) fn errors() -> Vec<RequestError> {
    let bad_templates = [
        TemplateError::Nobody,
        TemplateError::Slot { slot: 8 },
        TemplateError::Quality { quality: 101 },
        TemplateError::Length { len: 127 },
        TemplateError::Scale,
        TemplateError::Component { index: 511 },
        TemplateError::Zero,
    ];
    let mut errors = vec![
        RequestError::InsecureLink,
        RequestError::RoleTooLow { least: Role::Owner, role: Role::Enroller },
        RequestError::UnknownAdministrator { key: KeyId(counting(0x30)) },
        RequestError::LastOwner { key: KeyId(counting(0x40)) },
        RequestError::RevokedFull,
        RequestError::WrongModel { unit: ModelId(counting(0x20)), host: ModelId(counting(0x80)) },
        RequestError::GalleryFull { capacity: 100_000 },
        RequestError::UnknownPerson { person: PersonId(9) },
        RequestError::NameTaken { person: PersonId(10) },
        RequestError::SlotsFull { person: PersonId(11), max: 8 },
        RequestError::UnknownContext { number: 513 },
        RequestError::NoSuchContent,
        RequestError::StoreFault { part: Cause::Store },
        RequestError::NotReady { part: Cause::Model },
        RequestError::BadTarget,
        RequestError::BadThreshold,
        RequestError::GalleryOfOtherModel {
            unit: ModelId(counting(0x20)),
            file: ModelId(counting(0x80)),
            people: 1000,
            templates: 3000,
        },
        RequestError::UnknownPush,
        RequestError::OtherUnit { unit: "north door".try_into().unwrap() },
        RequestError::BadTime,
        RequestError::NoChallenge,
        RequestError::TooManyTries,
        RequestError::OtherRecoveryKey { known: KeyId(counting(0x50)) },
        RequestError::BadProof,
        RequestError::RecoveryRecord,
        RequestError::BadPassback { most: 1440 },
        RequestError::NotOfThisLog,
        RequestError::LogPruned { first: 93_130 },
    ];
    let badge = Credential::Wiegand26 { facility: 12, card: 345 };
    let (person, holder) = (PersonId(300), name("Grace Hopper"));
    let accesses = [
        AccessRefused::NotWhole(AccessFault::Validity),
        AccessRefused::NotWhole(AccessFault::Credentials),
        AccessRefused::NotWhole(AccessFault::Number),
        AccessRefused::NotWhole(AccessFault::Intervals),
        AccessRefused::CredentialTaken { credential: badge, person, name: holder.clone() },
        AccessRefused::UnknownSchedule { id: ScheduleId(3) },
        AccessRefused::ScheduleInUse { person, name: holder },
        AccessRefused::SchedulesFull,
        AccessRefused::Changed,
    ];
    let galleries = [
        GalleryFault::NotAGallery,
        GalleryFault::Version { found: 2, supported: 1 },
        GalleryFault::Damaged { at: 70_000 },
        GalleryFault::Forged,
        GalleryFault::ForAnother { sealed_for: KeyId(counting(0x30)), own: KeyId(counting(0x40)) },
        GalleryFault::UnknownSender { sender: KeyId(counting(0x50)) },
        GalleryFault::TooLong { len: 1 << 40, max: 1 << 26 },
    ];
    errors.extend(accesses.map(RequestError::BadAccess));
    errors.extend(config_refusals().map(RequestError::BadConfig));
    errors.extend(enrolment_refusals().map(RequestError::BadEnrolment));
    errors.extend(galleries.map(RequestError::BadGallery));
    errors.extend(bad_templates.map(RequestError::BadTemplate));
    errors
}

/// The golden line of an error.
pub(crate) fn error_name(error: &RequestError) -> String {
    let template = match error {
        RequestError::InsecureLink => return "insecure_link".to_owned(),
        RequestError::RoleTooLow { .. } => return "role_too_low".to_owned(),
        RequestError::UnknownAdministrator { .. } => return "unknown_administrator".to_owned(),
        RequestError::LastOwner { .. } => return "last_owner".to_owned(),
        RequestError::RevokedFull => return "revoked_full".to_owned(),
        RequestError::WrongModel { .. } => return "wrong_model".to_owned(),
        RequestError::GalleryFull { .. } => return "gallery_full".to_owned(),
        RequestError::UnknownPerson { .. } => return "unknown_person".to_owned(),
        RequestError::NameTaken { .. } => return "name_taken".to_owned(),
        RequestError::SlotsFull { .. } => return "slots_full".to_owned(),
        RequestError::UnknownContext { .. } => return "unknown_context".to_owned(),
        RequestError::NoSuchContent => return "no_such_content".to_owned(),
        RequestError::StoreFault { .. } => return "store_fault".to_owned(),
        RequestError::NotReady { .. } => return "not_ready".to_owned(),
        RequestError::BadTarget => return "bad_target".to_owned(),
        RequestError::BadThreshold => return "bad_threshold".to_owned(),
        RequestError::GalleryOfOtherModel { .. } => return "gallery_of_other_model".to_owned(),
        RequestError::UnknownPush => return "unknown_push".to_owned(),
        RequestError::OtherUnit { .. } => return "other_unit".to_owned(),
        RequestError::BadGallery(fault) => return format!("bad_gallery:{}", gallery_fault(*fault)),
        RequestError::BadTime => return "bad_time".to_owned(),
        RequestError::NoChallenge => return "no_challenge".to_owned(),
        RequestError::TooManyTries => return "too_many_tries".to_owned(),
        RequestError::OtherRecoveryKey { .. } => return "other_recovery_key".to_owned(),
        RequestError::BadProof => return "bad_proof".to_owned(),
        RequestError::RecoveryRecord => return "recovery_record".to_owned(),
        RequestError::BadPassback { .. } => return "bad_passback".to_owned(),
        RequestError::NotOfThisLog => return "not_of_this_log".to_owned(),
        RequestError::LogPruned { .. } => return "log_pruned".to_owned(),
        RequestError::BadConfig(refused) => {
            return format!("bad_config:{}", config_refused(refused));
        }
        RequestError::BadEnrolment(refused) => {
            return format!("bad_enrolment:{}", enrolment_refused(refused));
        }
        RequestError::BadAccess(refused) => {
            return format!("bad_access:{}", access_refused(refused));
        }
        RequestError::BadTemplate(template) => match template {
            TemplateError::Nobody => "nobody",
            TemplateError::Slot { .. } => "slot",
            TemplateError::Quality { .. } => "quality",
            TemplateError::Length { .. } => "length",
            TemplateError::Scale => "scale",
            TemplateError::Component { .. } => "component",
            TemplateError::Zero => "zero",
        },
    };
    format!("bad_template:{template}")
}

fn access_refused(refused: &AccessRefused) -> &'static str {
    match refused {
        AccessRefused::NotWhole(AccessFault::Validity) => "validity",
        AccessRefused::NotWhole(AccessFault::Credentials) => "credentials",
        AccessRefused::NotWhole(AccessFault::Number) => "number",
        AccessRefused::NotWhole(AccessFault::Intervals) => "intervals",
        AccessRefused::CredentialTaken { .. } => "credential_taken",
        AccessRefused::UnknownSchedule { .. } => "unknown_schedule",
        AccessRefused::ScheduleInUse { .. } => "schedule_in_use",
        AccessRefused::SchedulesFull => "schedules_full",
        AccessRefused::Changed => "changed",
    }
}

/// Everything that may hold of a person.
pub(crate) fn access() -> Access {
    Access {
        valid_from: Some(1_800_000_000),
        valid_until: Some(1_900_000_001),
        schedule: Some(ScheduleId(16)),
        credentials: [
            Credential::Wiegand26 { facility: 12, card: 345 },
            Credential::Wiegand34 { facility: 1200, card: 34_567 },
            Credential::Keypad { digits: 4, number: 42 },
        ]
        .into_iter()
        .collect(),
    }
}

/// A schedule of `count` intervals, whose name is as long as names may be.
pub(crate) fn schedule(number: u8, count: u16) -> Schedule {
    let interval = |i| Interval { days: 1u8 << (i % 7), from: 1000 + i, to: 1440 - i };
    Schedule {
        id: ScheduleId(number),
        name: name(&"n".repeat(65 - usize::from(number))),
        intervals: (0..count).map(interval).collect(),
    }
}

/// The time zone of Berlin.
pub(crate) fn zone() -> heapless::String<ZONE_BYTES> {
    "CET-1CEST,M3.5.0,M10.5.0/3".try_into().unwrap()
}

fn gallery_fault(fault: GalleryFault) -> &'static str {
    match fault {
        GalleryFault::NotAGallery => "not_a_gallery",
        GalleryFault::Version { .. } => "version",
        GalleryFault::Damaged { .. } => "damaged",
        GalleryFault::Forged => "forged",
        GalleryFault::ForAnother { .. } => "for_another",
        GalleryFault::UnknownSender { .. } => "unknown_sender",
        GalleryFault::TooLong { .. } => "too_long",
    }
}

/// How far a gallery is applied, with so many people left out.
pub(crate) fn applied(left_out: u8) -> GalleryApplied {
    let left = |i: u8| LeftOut {
        person: PersonId(0x7000_0000 + u32::from(i)),
        name: name(&"n".repeat(64 - usize::from(i))),
        why: match i % 7 {
            0 => Why::OtherId { holder: PersonId(u32::MAX) },
            1 => Why::Removed,
            2 => Why::OtherName,
            3 => Why::OtherAccess,
            4 => Why::NoSchedule,
            5 => Why::NotThere,
            _ => Why::OtherClaim { holder: PersonId(u32::MAX) },
        },
    };
    GalleryApplied {
        added: 1,
        changed: 200,
        equal: 70_000,
        templates: 3000,
        left_out: (0..left_out).map(left).collect(),
        generation: 0x0102_0304_0506,
        done: left_out == 0,
    }
}

pub(crate) fn content() -> Content {
    Content { len: 12_800_000, hash: counting(0x60) }
}

/// A Noise message of any bytes.
pub(crate) fn noise(len: usize) -> NoiseMessage {
    counting::<160>(0x40)[..len].iter().copied().collect()
}

pub(crate) fn session_open() -> SessionOpen {
    SessionOpen { key_id: KeyId(counting(0x30)), message: noise(48) }
}

/// Every no of a handshake, with its golden name.
pub(crate) fn handshake_refusals() -> [(&'static str, HandshakeRefusal); 9] {
    use HandshakeRefusal as No;
    [
        ("no_hello", No::NoHello),
        ("no_keys", No::NoKeys),
        ("unknown_key", No::UnknownKey),
        ("forged", No::Forged),
        ("window_closed", No::WindowClosed),
        ("wrong_code", No::WrongCode { left: 4 }),
        ("bad_key", No::BadKey),
        ("not_kept", No::NotKept),
        ("busy", No::Busy),
    ]
}

pub(crate) const REFUSALS: [Refusal; 3] =
    [Refusal::UnknownEndpoint, Refusal::Malformed, Refusal::AnswerTooLong];

/// The golden line of a refusal.
pub(crate) fn refusal_name(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownEndpoint => "unknown_endpoint",
        Refusal::Malformed => "malformed",
        Refusal::AnswerTooLong => "answer_too_long",
    }
}

/// Each way in which a configuration cannot be so.
fn config_refusals() -> [ConfigRefused; 4] {
    let why = "fps in [camera] is 0: it may be 5 to 240".try_into().unwrap();
    [
        ConfigRefused::BadValue { setting: Setting::Fps, why },
        ConfigRefused::Typed { setting: Setting::Name },
        ConfigRefused::Twice { setting: Setting::MinFace },
        ConfigRefused::NotKept,
    ]
}

fn config_refused(refused: &ConfigRefused) -> &'static str {
    match refused {
        ConfigRefused::BadValue { .. } => "bad_value",
        ConfigRefused::Typed { .. } => "typed",
        ConfigRefused::Twice { .. } => "twice",
        ConfigRefused::NotKept => "not_kept",
    }
}

fn enrolment_refusals() -> [EnrolmentRefused; 7] {
    [
        EnrolmentRefused::Busy,
        EnrolmentRefused::Unknown,
        EnrolmentRefused::NotEnough,
        EnrolmentRefused::BadCount { most: 8 },
        EnrolmentRefused::SomebodyElse { other: None },
        EnrolmentRefused::SomebodyElse { other: Some(PersonId(300)) },
        EnrolmentRefused::UnlikeOwn { person: PersonId(301) },
    ]
}

fn enrolment_refused(refused: &EnrolmentRefused) -> &'static str {
    match refused {
        EnrolmentRefused::Busy => "busy",
        EnrolmentRefused::Unknown => "unknown",
        EnrolmentRefused::NotEnough => "not_enough",
        EnrolmentRefused::BadCount { .. } => "bad_count",
        EnrolmentRefused::SomebodyElse { other: None } => "somebody_else",
        EnrolmentRefused::SomebodyElse { other: Some(_) } => "somebody_else_named",
        EnrolmentRefused::UnlikeOwn { .. } => "unlike_own",
    }
}

/// An enrolment at the door that stands so.
pub(crate) fn enrolment(stage: EnrolmentStage) -> EnrolmentStatus {
    let resembled = matches!(stage, EnrolmentStage::Ended(EnrolmentEnd::SomebodyElse))
        .then_some(Resembled { person: PersonId(5), score: Score(0.75) });
    EnrolmentStatus {
        stage,
        pose: HeadPose::Left,
        cause: Cause::Blurred,
        quality: 44,
        yaw_deg: -17,
        taken: [3, 2, 1],
        of_each: 3,
        frames: 70_000,
        discarded: 300,
        left_ms: 80_000,
        resembled,
    }
}

/// What is kept of one.
pub(crate) fn enrolment_kept() -> EnrolmentKept {
    let templates = [(0, 91, HeadPose::Frontal), (2, 80, HeadPose::Left), (7, 77, HeadPose::Right)]
        .map(|(slot, quality, pose)| TemplateKept { slot, quality, pose });
    EnrolmentKept {
        person: PersonId(300),
        added: true,
        templates: templates.into_iter().collect(),
        generation: 0x0102_0304_0506,
    }
}

/// A configuration with `waiting` of its keys to come.
pub(crate) fn config(waiting: usize) -> ConfigGot {
    let text = "[unit]\nname = \"north door\"\n\n[camera]\nwidth_px = 1280  # default\n";
    let change = |setting| Change { setting, value: Some("20".try_into().unwrap()) };
    ConfigGot {
        text: text.try_into().unwrap(),
        set: Setting::ALL.iter().copied().take(waiting).collect(),
        waiting: Setting::ALL.iter().copied().take(waiting).map(change).collect(),
    }
}

/// A calibration with all that there can be.
pub(crate) fn calibrate_told() -> CalibrateTold {
    let pair = |n: u32| PairTold {
        person: PersonId(n),
        other: PersonId(n + 1),
        score: Score(0.98),
        alike: if n == 1 { Cause::SameFace } else { Cause::NearTwins },
    };
    let stranger =
        |n: u64| StrangerTold { sequence: 1_000_000 + n, person: PersonId(7), score: Score(0.5) };
    CalibrateTold {
        compared: 300,
        templates: 300,
        unread: Some(0),
        threshold: Threshold(Score(0.515)),
        shipped: Threshold(Score(0.515)),
        target: Some(1e-3),
        people: 17,
        without_template: 1,
        near_twins: 34,
        same_face: 2,
        pairs: (1..=16).map(pair).collect(),
        strangers: Some(StrangersTold {
            visits: 5000,
            comparable: 4000,
            retries: 31,
            quantiles: Some([Score(0.2), Score(0.3), Score(0.45)]),
            highest: (0..8).map(stranger).collect(),
            above: 1,
            rate_high: 0.001_185,
        }),
        derived: Some(DerivedTold {
            asked: Some(Threshold(Score(0.52))),
            shown: true,
            threshold: Threshold(Score(0.52)),
            forecast: policy().forecast,
            refusal: Some(Cause::TooManyRefusals),
        }),
    }
}

/// One that nobody asked for yet, in an empty gallery.
pub(crate) fn bare_calibrate_told() -> CalibrateTold {
    CalibrateTold {
        compared: 0,
        templates: 0,
        unread: None,
        target: None,
        people: 0,
        without_template: 0,
        near_twins: 0,
        same_face: 0,
        pairs: heapless::Vec::new(),
        strangers: None,
        derived: None,
        ..calibrate_told()
    }
}
