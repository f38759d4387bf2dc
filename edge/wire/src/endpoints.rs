//! The endpoint table: the whole protocol in one place.
//!
//! A key hashes an endpoint's path with the schema of the message, so that an incompatible change gives another key
//! and can never be decoded as something else. [`DIGEST`] hashes all keys; the hello compares it.
//! `hello`, `session/open`, `pair/start`, `pair/finish` and the rows of `update/` are frozen. Everything else may change, with [`crate::PROTOCOL`] raised if a meaning changes.

use crate::access::{
    AccessGet, AccessGot, AccessSet, ScheduleDone, SchedulePage, SchedulePageRequest,
    ScheduleRemove, ScheduleSet,
};
use crate::administration::{
    AdministratorPage, AdministratorPageRequest, AdministratorRevoke, AdministratorRevoked,
    AdministratorRole, AdministratorRoleSet,
};
use crate::calibrate::{CalibrateAsk, CalibrateTold};
use crate::call::{self, Refusal};
use crate::clock::{ClockInfo, ClockSet};
use crate::commission::{CommissionChallenge, CommissionFinish, Commissioned};
use crate::config::{ConfigGot, ConfigSet};
use crate::enrolment::{
    EnrolmentBegin, EnrolmentBegun, EnrolmentKept, EnrolmentNumber, EnrolmentStatus,
};
use crate::frame::Frame;
use crate::gallery::beside::{BesideTold, GalleryStage, GalleryStageTold};
use crate::gallery::{GalleryApplied, GalleryApply};
use crate::handshake::{
    PairFinish, PairFinished, PairStart, PairStarted, SessionOpen, SessionOpened,
};
use crate::hello::{Hello, HelloRequest};
use crate::message::{
    ContextGet, ContextGot, Echo, GalleryAgain, GalleryAgainDone, GalleryPage, GalleryPageRequest,
    GallerySearch, GallerySearchDone, Info, LogHead, LogPage, LogPageRequest, Nothing, PersonAs,
    PersonPut, PersonPutDone, PersonRemove, PersonRemoveDone, PullOffer, PullRequest, PushAccepted,
    PushRequest, RequestError, TemplatePut, TemplatePutDone, TemplateRedundant,
    TemplateRedundantDone, Unlocked, Wipe,
};
use crate::policy::{ModeSet, PassbackSet, PolicyInfo, PolicySet, ReserveAsk, ReserveTold};
use crate::speed::{SpeedSet, SpeedSettled};
use crate::stats::Stats;
use crate::trust::{CheckpointGet, CheckpointGot, Identity, LogPrune, LogPruned};
use crate::update::{SlotsTold, UpdateApplied, UpdateApply, UpdateEnded, UpdatePush, UpdatePushed};
use postcard_schema::Schema;
use postcard_schema::key::Key;
use serde::{Serialize, de::DeserializeOwned};
use threshold_record::Role;

/// Who may call a row, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Anyone who holds the line: the call reads what a passer-by may know, or opens a session.
    Anyone,
    /// An administrator who looks.
    Viewer,
    /// An administrator who changes the gallery.
    Enroller,
    /// An administrator who changes the unit.
    Owner,
}

impl Caller {
    /// The least role that may call; `None` if none is needed.
    #[must_use]
    pub const fn least(self) -> Option<Role> {
        match self {
            Self::Anyone => None,
            Self::Viewer => Some(Role::Viewer),
            Self::Enroller => Some(Role::Enroller),
            Self::Owner => Some(Role::Owner),
        }
    }

    /// True if whoever is at the line may call; `None` stands for a line without a session.
    #[must_use]
    pub const fn admits(self, role: Option<Role>) -> bool {
        match (self.least(), role) {
            (None, _) => true,
            (Some(least), Some(role)) => role.reaches(least),
            (Some(_), None) => false,
        }
    }
}

/// One row of the table.
pub trait Endpoint {
    /// The path, for people and for the key.
    const PATH: &'static str;
    /// Key of the request.
    const CALL_KEY: [u8; 8];
    /// Key of the answer.
    const ANSWER_KEY: [u8; 8];
    /// Who may call it, at least.
    const CALLER: Caller;
    /// What the host asks.
    type Request: Serialize + DeserializeOwned + Schema;
    /// What the unit answers.
    type Response: Serialize + DeserializeOwned + Schema;
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident $path:literal $caller:ident $request:ty => $response:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Endpoint for $name {
                const PATH: &'static str = $path;
                const CALL_KEY: [u8; 8] = Key::for_path::<$request>($path).to_bytes();
                const ANSWER_KEY: [u8; 8] =
                    Key::for_path::<$response>($path).to_bytes();
                const CALLER: Caller = Caller::$caller;
                type Request = $request;
                type Response = $response;
            }
        )*

        /// A request that arrived at the unit, read.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(clippy::large_enum_variant, reason = "one at a time, and there is no heap to box it on")]
        pub enum Call { $($(#[$doc])* $name($request),)* }

        impl Call {
            /// Reads the request of a frame.
            ///
            /// # Errors
            /// [`Refusal`] if the table has no such key or the body does not decode.
            pub fn read(frame: &Frame<'_>) -> Result<Self, Refusal> {
                $(if frame.key == $name::CALL_KEY {
                    return call::body(frame.body).map(Self::$name).ok_or(Refusal::Malformed);
                })*
                Err(Refusal::UnknownEndpoint)
            }

            /// The path of its endpoint.
            #[must_use]
            pub fn path(&self) -> &'static str {
                match self { $(Self::$name(_) => $name::PATH,)* }
            }

            /// Who may call it, at least.
            #[must_use]
            pub fn caller(&self) -> Caller {
                match self { $(Self::$name(_) => $name::CALLER,)* }
            }
        }

        /// Every endpoint: path, key of the request, key of the answer.
        pub const TABLE: &[(&str, [u8; 8], [u8; 8])] =
            &[$(($name::PATH, $name::CALL_KEY, $name::ANSWER_KEY),)*];
    };
}

endpoints! {
    /// Who are you, and which version do you speak? The first call on a line. Frozen.
    SayHello "hello" Anyone HelloRequest => Hello;
    /// I am this administrator; let us speak where nobody listens. Frozen.
    OpenSession "session/open" Anyone SessionOpen => SessionOpened;
    /// I wish to become an administrator. Frozen.
    StartPairing "pair/start" Anyone PairStart => PairStarted;
    /// I know the code, and this is my name. Frozen.
    FinishPairing "pair/finish" Anyone PairFinish => PairFinished;
    /// How do you stand?
    GetInfo "info" Anyone Nothing => Info;
    /// Send this back.
    SendEcho "echo" Viewer Echo => Echo;
    /// Add a person.
    PutPerson "gallery/person/put" Enroller PersonPut => PersonPutDone;
    /// Put a template into its slot.
    PutTemplate "gallery/template/put" Enroller TemplatePut => TemplatePutDone;
    /// Remove a person.
    RemovePerson "gallery/person/remove" Enroller PersonRemove => PersonRemoveDone;
    /// Whom does this face resemble? Asked before a person is enrolled.
    SearchGallery "gallery/search" Enroller GallerySearch => GallerySearchDone;
    /// List people.
    ListGallery "gallery/page" Viewer GalleryPageRequest => GalleryPage;
    /// Read log entries.
    ReadLog "log/page" Viewer LogPageRequest => LogPage;
    /// Where does the log end? Asked again and again by whoever follows it.
    GetLogHead "log/head" Viewer Nothing => LogHead;
    /// Read a context record.
    GetContext "log/context" Viewer ContextGet => ContextGot;
    /// Who signs for you?
    GetIdentity "identity" Viewer Nothing => Identity;
    /// Sign how far your log has come, or where it begins.
    GetCheckpoint "log/checkpoint" Viewer CheckpointGet => CheckpointGot;
    /// Who may administer you?
    ListAdministrators "administrators/page" Viewer AdministratorPageRequest => AdministratorPage;
    /// Revoke a key: the own, or as an owner any.
    RevokeAdministrator "administrators/revoke" Viewer AdministratorRevoke => AdministratorRevoked;
    /// Give an administrator another role.
    SetRole "administrators/role" Owner AdministratorRole => AdministratorRoleSet;
    /// How does your threshold come about?
    GetPolicy "policy/get" Viewer Nothing => PolicyInfo;
    /// Let it come about so.
    SetPolicy "policy/set" Owner PolicySet => PolicyInfo;
    /// Compare a face with these.
    SetMode "policy/mode" Owner ModeSet => PolicyInfo;
    /// I know that a photo opens this door: compare faces with everybody all the same.
    AcknowledgePhoto "policy/acknowledge" Owner Nothing => PolicyInfo;
    /// I take that back.
    WithdrawPhoto "policy/withdraw" Owner Nothing => PolicyInfo;
    /// Challenge me: I have the owner's recovery key.
    ChallengeCommission "commission/challenge" Owner Nothing => CommissionChallenge;
    /// This is signed by it: you may move your lock.
    FinishCommission "commission/finish" Owner CommissionFinish => Commissioned;
    /// What time is it at yours, and who says so?
    GetClock "clock/get" Viewer Nothing => ClockInfo;
    /// This is the time.
    SetClock "clock/set" Owner ClockSet => ClockInfo;
    /// How does your loop fare?
    GetStats "stats" Viewer Nothing => Stats;
    /// Send me this content in bulk.
    StartPull "bulk/pull" Viewer PullRequest => PullOffer;
    /// Take this content in bulk.
    StartPush "bulk/push" Enroller PushRequest => PushAccepted;
    /// Let the line run at this speed from the end of your answer on.
    SetSpeed "line/speed" Viewer SpeedSet => SpeedSettled;
    /// Put the people whom I pushed into the gallery.
    ApplyGallery "gallery/apply" Enroller GalleryApply => GalleryApplied;
    /// End the lock-out that lasts.
    Unlock "unlock" Enroller Nothing => Unlocked;
    /// End your process, and start again.
    Reboot "reboot" Owner Nothing => Nothing;
    /// Forget everything, for good.
    WipeUnit "wipe" Owner Wipe => Nothing;
    /// What do you run, and what else could you? Frozen.
    GetSlots "update/slots" Viewer Nothing => SlotsTold;
    /// Take this bundle. Frozen.
    PushUpdate "update/push" Owner UpdatePush => UpdatePushed;
    /// Install it, and start it on trial. Frozen.
    ApplyUpdate "update/apply" Owner UpdateApply => UpdateApplied;
    /// Keep what you run on trial. Frozen.
    ConfirmUpdate "update/confirm" Owner Nothing => UpdateEnded;
    /// Go back to what you ran before. Frozen.
    RevertUpdate "update/revert" Owner Nothing => UpdateEnded;
    /// When may this person enter, and by what is the person claimed?
    GetAccess "access/get" Enroller AccessGet => AccessGot;
    /// Let it be so.
    SetAccess "access/set" Enroller AccessSet => AccessGot;
    /// Which schedules have you?
    ListSchedules "schedule/page" Viewer SchedulePageRequest => SchedulePage;
    /// Have this one.
    PutSchedule "schedule/set" Owner ScheduleSet => ScheduleDone;
    /// Have it no more.
    RemoveSchedule "schedule/remove" Owner ScheduleRemove => ScheduleDone;
    /// Admit the same person again only after a while.
    SetPassback "policy/passback" Owner PassbackSet => PolicyInfo;
    /// What are you told to do?
    GetConfig "config/get" Owner Nothing => ConfigGot;
    /// Do so from your next start on.
    SetConfig "config/set" Owner ConfigSet => ConfigGot;
    /// Put the templates of the gallery that I pushed beside yours, for the version of another model that I send next.
    StageGallery "gallery/stage" Owner GalleryStage => GalleryStageTold;
    /// Which model's templates lie beside your gallery?
    GetBeside "gallery/beside" Viewer Nothing => BesideTold;
    /// Let go of your oldest entries: I have them.
    PruneLog "log/prune" Owner LogPrune => LogPruned;
    /// What do your own gallery and your strangers say of your threshold?
    Calibrate "policy/calibrate" Owner CalibrateAsk => CalibrateTold;
    /// Look at the person before you and gather templates; decide nobody meanwhile.
    BeginEnrolment "enrolment/begin" Enroller EnrolmentBegin => EnrolmentBegun;
    /// How does it go? Asked again and again, or it ends.
    GetEnrolment "enrolment/get" Enroller EnrolmentNumber => EnrolmentStatus;
    /// Put what you gathered into the gallery.
    KeepEnrolment "enrolment/keep" Enroller EnrolmentNumber => EnrolmentKept;
    /// Forget what you gathered.
    CancelEnrolment "enrolment/cancel" Enroller EnrolmentNumber => EnrolmentStatus;
    /// Admit so often while the medium of your log is full, or say how often you do.
    SetReserve "policy/reserve" Owner ReserveAsk => ReserveTold;
    /// Is the face of this enrolment somebody's whom you have? Asked before a person is enrolled, with all pictures in one.
    SearchAgain "gallery/again" Enroller GalleryAgain => GalleryAgainDone;
    /// All slots of this person are used: which template could go for this one? None goes while a slot is free.
    FindRedundant "gallery/redundant" Enroller TemplateRedundant => TemplateRedundantDone;
    /// Add this person under the vault's id.
    PutPersonAs "gallery/person/as" Enroller PersonAs => PersonPutDone;
}

/// Key of a [`RequestError`]. Apart from the answers' keys, so that a new error leaves the hello's answer as it is.
pub const ERROR_KEY: [u8; 8] = Key::for_path::<RequestError>("error").to_bytes();

/// One number for the whole table: FNV-1a over all keys in order.
pub const DIGEST: u64 = {
    let mut state: u64 = u64::from_le_bytes(ERROR_KEY);
    let mut row = 0;
    while row < TABLE.len() {
        let (_, call, answer) = TABLE[row];
        let mut at = 0;
        while at < 8 {
            state = (state ^ call[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            state = (state ^ answer[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
            at += 1;
        }
        row += 1;
    }
    state
};
