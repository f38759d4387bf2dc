//! The messages: requests, responses, and the unit's own errors.
//!
//! Every text is bounded, every list is a page. An answer that changed the gallery carries the new generation.

use crate::access::AccessRefused;
use crate::bulk::{Content, Progress, Resume, Window};
use crate::commission::Commission;
use crate::config::ConfigRefused;
use crate::enrolment::EnrolmentRefused;
use crate::gallery::{GalleryFault, MAX_PERSON};
use crate::policy::PolicyInfo;
use crate::stats::HeatState;
use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{
    Cause, Context, EntryError, KeyId, LogEntry, MAX_EMBEDDING_LEN, Metric, ModelId, Name,
    PersonId, Presentation, Role, ScheduleId, Score, Template, TemplateError, Threshold, WallTime,
};

/// Log entries in one page.
pub const LOG_PAGE_ENTRIES: usize = 32;

/// People in one page of the gallery.
pub const GALLERY_PAGE_PEOPLE: usize = 16;

/// Bytes of the receipt of a removal.
pub const RECEIPT_BYTES: usize = 104;

/// A request without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Nothing {}

/// The state of a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Info {
    /// The unit's name.
    pub unit: String<64>,
    /// The unit's build.
    pub build: String<32>,
    /// The embedder; `None` if the unit could not load one.
    pub model: Option<ModelInfo>,
    /// How the threshold comes about and what it means for the gallery as it is; `None` without an embedder.
    pub policy: Option<PolicyInfo>,
    /// What the gallery holds; `None` if it could not be loaded.
    pub gallery: Option<GalleryInfo>,
    /// Sequence of the last log entry, 0 for an empty log; `None` if the log could not be opened.
    pub log_head: Option<u64>,
    /// What the store holds; `None` if it could not be opened.
    pub store: Option<StoreInfo>,
    /// Whether the unit decides, or why not.
    pub armed: Armed,
    /// Whether the unit may move its lock, as far as its owner's recovery key goes.
    pub commission: Commission,
    /// Seconds that a lock-out still lasts; 0 if none does.
    pub lockout_s: u32,
    /// True if this line is not authenticated and the unit takes gallery changes over it all the same: it has no
    /// administrator yet.
    pub insecure_link: bool,
    /// The presentation-attack verdict that frames get at best: with [`Presentation::NotAssessed`] no detector is
    /// installed, and a photo opens this door.
    pub presentation: Presentation,
    /// Count of starts.
    pub boot: u32,
    /// Milliseconds since this start.
    pub uptime_ms: u64,
    /// The unit's clock.
    pub wall: WallTime,
    /// Whether the reader of credentials works; `None` if none is configured.
    pub reader: Option<ReaderState>,
    /// The engine that was loaded last, whether it works or failed since (`armed`); `None` if there was none.
    pub engine: Option<EngineState>,
    /// What follows from its temperature.
    pub heat: HeatState,
}

/// What detects and embeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum EngineState {
    /// The processor, as configured.
    Processor,
    /// A device, as configured.
    Device,
    /// The processor, in the place of a device that could not be used or failed.
    FellBack,
}

/// How a reader of credentials stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum ReaderState {
    /// Its lines are read.
    Works,
    /// They could not be had, or failed; the unit's messages say why.
    Failed,
}

impl Info {
    /// The notice that goes with [`Presentation::NotAssessed`] wherever a unit's state is shown.
    pub const PHOTO_NOTICE: &'static str = "a photo opens this door";
}

/// The embedder of a unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct ModelInfo {
    /// The pack.
    pub id: ModelId,
    /// The pack's name.
    pub name: String<64>,
    /// How its distances are measured.
    pub metric: Metric,
    /// The crop rule in words.
    pub crop: String<96>,
    /// Components of an embedding.
    pub embedding_len: u16,
    /// The threshold in force.
    pub threshold: Threshold,
}

/// What a gallery holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryInfo {
    /// People.
    pub people: u32,
    /// Templates of them.
    pub templates: u32,
    /// Templates that fit.
    pub capacity: u32,
    /// Grows with every change.
    pub generation: u64,
}

/// How full a unit's store is, and what keeps its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct StoreInfo {
    /// Sequence of the first log entry that is still there; 0 for an empty log.
    pub log_oldest: u64,
    /// Segments of the log.
    pub log_segments: u32,
    /// Segments that are kept before the oldest goes.
    pub log_segments_kept: u32,
    /// Segments that the log began since the unit's first start, those that went among them: what it wore the flash.
    pub log_segments_begun: u32,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Segments of the gallery.
    pub gallery_segments: u32,
    /// Bytes of the gallery.
    pub gallery_bytes: u64,
    /// Bytes that the store gave to the flash since this start, whatever a file system adds.
    pub written_bytes: u64,
    /// Bytes that are held back for admissions on a full medium; 0 if none are.
    pub reserve_bytes: u64,
    /// What keeps the secret that all of it is sealed with.
    pub keeper: SecretKeeper,
    /// Where the keeper's counter stands, by which a flash that was put back is found; `None` if it has none.
    pub counter: Option<u64>,
    /// Administrators in the roster; 0 on a unit that was never paired.
    pub administrators: u32,
}

/// What keeps a unit's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SecretKeeper {
    /// A file beside the flash: whoever copies the medium has it. For development.
    File,
    /// Memory of the unit's process, for tests.
    Memory,
    /// A TPM, which alone opens the file beside the flash.
    Tpm,
}

/// Whether the unit decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Armed {
    /// It does.
    Armed,
    /// It does, and the gallery holds nobody yet, so that everybody is refused; enrol somebody.
    EmptyGallery,
    /// A part failed its check or stopped working.
    Fault(Cause),
    /// It has not finished starting.
    Starting,
    /// Every part works, and it compares nobody: no threshold keeps what the owner settled, or a door at which nobody comes in
    /// without a credential has no reader; [`Info::policy`] says what would help.
    Refuses(Cause),
}

/// What to do if a person of that name is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum IfThere {
    /// Answer [`RequestError::NameTaken`].
    Refuse,
    /// Answer with that person, to add templates.
    Use,
}

/// Adds a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonPut {
    /// What the administrator typed; one person for each name.
    pub name: Name,
    /// What to do if the name is taken.
    pub if_there: IfThere,
}

/// Adds a person under the id that a vault knows the person by, so that one id stands for one person wherever a file is pushed to, and
/// who was removed under it stays removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonAs {
    /// What the administrator typed; one person for each name.
    pub name: Name,
    /// The id. [`RequestError::NameTaken`] tells who has the name under another one; with the id that was wanted, that it is somebody
    /// else's or was somebody's who was removed.
    pub id: WantedId,
}

/// Which id somebody is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum WantedId {
    /// One that the unit never used, and not below this one.
    AtLeast(PersonId),
    /// This one.
    Exactly(PersonId),
}

impl WantedId {
    /// Whether somebody who is there under an id may stay so.
    #[must_use]
    pub fn allows(self, id: PersonId) -> bool {
        match self {
            Self::AtLeast(least) => id >= least,
            Self::Exactly(wanted) => id == wanted,
        }
    }

    /// Whether it leaves a unit the ids that it gives itself: no one call uses them up.
    #[must_use]
    pub fn leaves_room(self) -> bool {
        match self {
            Self::AtLeast(id) | Self::Exactly(id) => id <= MAX_PERSON,
        }
    }
}

/// The person that was added or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonPutDone {
    /// Who.
    pub person: PersonId,
    /// False if the person was there already.
    pub added: bool,
    /// The lowest slot without a template; `None` if all are used.
    pub free_slot: Option<u8>,
    /// The gallery's generation.
    pub generation: u64,
}

/// Puts a template into its slot; one that stands there is replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct TemplatePut {
    /// The whole id of the model that made it; the unit compares it with its own.
    pub model: ModelId,
    /// The template.
    pub template: Template,
}

/// The template stands in the gallery, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct TemplatePutDone {
    /// Templates of this person now.
    pub templates: u8,
    /// The gallery's generation.
    pub generation: u64,
}

/// Asks which template of somebody whose slots are full tells the least beside the others and one more.
/// The vector is as a [`Template`]'s: component = vector\[i\] * scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct TemplateRedundant {
    /// The whole id of the model that made it; the unit compares it with its own.
    pub model: ModelId,
    /// Whose templates.
    pub person: PersonId,
    /// Quality of the one more, in percent.
    pub quality: u8,
    /// Size of one int8 step.
    pub scale: f32,
    /// The int8 components, -127 to 127.
    pub vector: Vec<i8, MAX_EMBEDDING_LEN>,
}

/// Which one it is; nothing has changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct TemplateRedundantDone {
    /// The template, as whoever replaces it has to keep it to put it back; `None` if it is the one more.
    pub template: Option<Template>,
}

/// Asks whom of the gallery a face resembles, so that nobody is enrolled under a second name by mistake.
/// The vector is as a [`Template`]'s: component = vector\[i\] * scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct GallerySearch {
    /// The whole id of the model that made it; the unit compares it with its own.
    pub model: ModelId,
    /// Size of one int8 step.
    pub scale: f32,
    /// The int8 components, -127 to 127.
    pub vector: Vec<i8, MAX_EMBEDDING_LEN>,
}

/// Whom the face resembles most; to anybody but an owner each is [`PersonId::NOBODY`], with the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct GallerySearchDone {
    /// The most alike; `None` in an empty gallery.
    pub best: Option<Resembled>,
    /// The most alike of another person than the best; `None` if there is only one person.
    pub runner_up: Option<Resembled>,
}

/// Asks whether the face of an enrolment is somebody's who is enrolled already, by the mean of all its pictures.
/// The vector is as a [`Template`]'s: component = vector\[i\] * scale.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct GalleryAgain {
    /// The whole id of the model that made them; the unit compares it with its own.
    pub model: ModelId,
    /// Pictures of which the vector is the mean, one at least.
    pub pictures: u8,
    /// Whose enrolment it is, if the person is there; their own templates are not looked at.
    pub but: Option<PersonId>,
    /// Size of one int8 step.
    pub scale: f32,
    /// The int8 components, -127 to 127.
    pub vector: Vec<i8, MAX_EMBEDDING_LEN>,
}

/// Who of the gallery is nearest to the enrolment; to anybody but an owner that is [`PersonId::NOBODY`], with the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct GalleryAgainDone {
    /// The nearest, with the score as of one picture and one template; `None` in a gallery of nobody else.
    pub nearest: Option<Resembled>,
    /// The score from which on it is the same person; among the people who are there now, one new person in 200 reaches it by chance.
    pub threshold: Threshold,
}

/// A person of the gallery and how alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub struct Resembled {
    /// Who.
    pub person: PersonId,
    /// The score of the person's most alike template.
    pub score: Score,
}

/// Removes a person and all templates; the id is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonRemove {
    /// Who.
    pub person: PersonId,
}

/// The person is gone, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonRemoveDone {
    /// The name that was removed.
    pub name: Name,
    /// Templates that went.
    pub templates: u8,
    /// The gallery's generation.
    pub generation: u64,
    /// The unit's signed receipt that nothing is left of the templates; `None` if its flash could not be cleared of them yet.
    pub receipt: Option<Vec<u8, RECEIPT_BYTES>>,
}

/// Asks for people in order of their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryPageRequest {
    /// The page starts after this person; [`PersonId::NOBODY`] for the first page.
    pub after: PersonId,
}

/// People in order of their ids.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryPage {
    /// The gallery's generation; a reader of several pages starts again if it changes.
    pub generation: u64,
    /// The people.
    pub people: Vec<PersonSummary, GALLERY_PAGE_PEOPLE>,
    /// True if more people follow.
    pub more: bool,
}

/// One person of the gallery, without embeddings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PersonSummary {
    /// Who.
    pub person: PersonId,
    /// What the administrator typed.
    pub name: Name,
    /// Bit n is set if slot n holds a template.
    pub slots: u8,
    /// Quality of the best template, percent; 0 without templates.
    pub best_quality: u8,
    /// The first second at which the person may enter, since 1970-01-01 UTC; `None` for no limit.
    pub valid_from: Option<u64>,
    /// The first second at which the person may enter no more; `None` for no limit.
    pub valid_until: Option<u64>,
    /// The hours at which the person may enter; `None` for all.
    pub schedule: Option<ScheduleId>,
    /// How many credentials the person has.
    pub credentials: u8,
}

/// Asks for log entries in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LogPageRequest {
    /// The first sequence wanted; 0 and 1 both mean the oldest.
    pub from: u64,
}

/// Log entries in order, without gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LogPage {
    /// Sequence of the last entry in the log; the page reaches it or is full.
    pub head: u64,
    /// The entries' 64 bytes each.
    pub entries: Vec<u8, { LOG_PAGE_ENTRIES * LogEntry::LEN }>,
}

impl LogPage {
    /// A page of entries; those that do not fit are left for the next.
    #[must_use]
    pub fn of(head: u64, entries: &[LogEntry]) -> Self {
        let mut page = Self { head, entries: Vec::new() };
        for entry in entries {
            if page.entries.extend_from_slice(&entry.to_bytes()).is_err() {
                break;
            }
        }
        page
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = Result<LogEntry, EntryError>> + '_ {
        self.entries.as_chunks::<{ LogEntry::LEN }>().0.iter().map(LogEntry::from_bytes)
    }
}

/// The two ends of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LogHead {
    /// Sequence of the first entry that is still there; 0 for an empty log.
    pub oldest: u64,
    /// Sequence of the last entry; 0 for an empty log.
    pub head: u64,
}

/// Asks for a context record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ContextGet {
    /// Its number, from a log entry.
    pub number: u16,
}

/// A context record.
pub type ContextGot = Context;

/// Log entries in one transfer: 4 MiB, of which a unit makes the hash in a few milliseconds.
pub const LOG_PULL_ENTRIES: u64 = 65_536;

/// The newest entries, which no prune takes: a day at one a second, so that what a door did lately is at the door, and the last
/// admissions that anti-passback looks for are among them.
pub const LOG_PRUNE_LEAVES: u64 = 86_400;

/// What a host may pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum PullWhat {
    /// Log entries, 64 bytes each, in order and without gaps; at most [`LOG_PULL_ENTRIES`].
    Log {
        /// The first sequence wanted; 0 and 1 both mean the oldest.
        from: u64,
    },
    /// The gallery with its templates; takes an enroller.
    Gallery,
    /// The gallery with a digest of each template; takes an enroller.
    Listing,
}

/// Asks for a content in bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PullRequest {
    /// Which.
    pub what: PullWhat,
    /// What the host can take.
    pub window: Window,
    /// What arrived before of a content that may be the same: if it is, and the window's chunks are too, the transfer goes on there.
    pub kept: Option<Resume>,
}

/// The content is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PullOffer {
    /// Number of the transfer.
    pub transfer: u8,
    /// What it is; no bytes if there is nothing to pull.
    pub content: Content,
    /// What is under way at once.
    pub window: Window,
}

/// What a host may push beside a bundle, which has a row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum PushWhat {
    /// A gallery, as it is or in an envelope for this unit; it is applied by calls of its own.
    Gallery,
}

/// Offers a content in bulk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PushRequest {
    /// Which.
    pub what: PushWhat,
    /// The whole.
    pub content: Content,
    /// What the host can send.
    pub window: Window,
}

/// The unit takes the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct PushAccepted {
    /// Number of the transfer.
    pub transfer: u8,
    /// What is under way at once.
    pub window: Window,
    /// What of this content has arrived before.
    pub progress: Progress,
}

/// The lock-out that lasted is ended, and its counts began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Unlocked {
    /// False if none lasted.
    pub was_locked: bool,
}

/// Forgets everything that the unit ever knew, its keys first; for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Wipe {
    /// The name of the unit that is meant, so that no other one is wiped by mistake.
    pub unit: String<64>,
}

/// Bytes that come back as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Echo {
    /// Any bytes.
    pub bytes: Vec<u8, 256>,
}

/// The unit read the request and says no. Texts end with the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum RequestError {
    /// Nobody whom the unit knows is at the line: it has no session, or the session's administrator was revoked.
    #[error("the unit does this only for an administrator whom it knows; pair with the unit")]
    InsecureLink,
    /// The administrator's role does not reach so far.
    #[error(
        "this takes the role {}, the administrator has {}; ask somebody of that role", least.text(), role.text()
    )]
    RoleTooLow {
        /// What the call takes.
        least: Role,
        /// What the administrator has.
        role: Role,
    },
    /// No administrator has the key.
    #[error(
        "no administrator of the unit has key {key}; list the administrators to see who is there"
    )]
    UnknownAdministrator {
        /// Whose key was asked for.
        key: KeyId,
    },
    /// The unit would have no owner.
    #[error("key {key} is the last owner's; make another administrator an owner first")]
    LastOwner {
        /// The owner's key.
        key: KeyId,
    },
    /// Keys are revoked for ever, and no more fit.
    #[error("the unit cannot remember another revoked key; wipe it and pair it again")]
    RevokedFull,
    /// The template was made by another model.
    #[error(
        "the template was made by model {host}, the unit compares with model {unit}; \
         enrol with the unit's pack (`threshold model list` shows which packs are here)"
    )]
    WrongModel {
        /// The unit's model.
        unit: ModelId,
        /// The host's model.
        host: ModelId,
    },
    /// No template fits any more.
    #[error("the gallery is full with {capacity} templates; remove people who no longer come")]
    GalleryFull {
        /// Templates that fit.
        capacity: u32,
    },
    /// The gallery has nobody of that id.
    #[error("the gallery has no person {}; `threshold gallery list` shows who is there", person.0)]
    UnknownPerson {
        /// Who was asked for.
        person: PersonId,
    },
    /// The name belongs to somebody in the gallery.
    #[error("person {} has that name already; give another name, or add photos to that person", person.0)]
    NameTaken {
        /// Who has it.
        person: PersonId,
    },
    /// Every slot of the person holds a template.
    #[error(
        "person {} has {max} templates already; enrol with --replace FILE, which keeps what goes, or remove the person and enrol \
         again with the best photos", person.0
    )]
    SlotsFull {
        /// Who.
        person: PersonId,
        /// Templates of one person.
        max: u8,
    },
    /// The template cannot be compared.
    #[error("the template is not fit to be compared ({0}); enrol again")]
    BadTemplate(TemplateError),
    /// The log has no context record of that number.
    #[error("the log has no context record {number}; pull the whole log again")]
    UnknownContext {
        /// What was asked for.
        number: u16,
    },
    /// The unit moves no such content.
    #[error("the unit moves no such content in bulk; update the unit")]
    NoSuchContent,
    /// The unit's store failed; nothing was changed.
    #[error(
        "the unit's {} failed and nothing was changed; read the unit's own messages for the file and what to do", part.text()
    )]
    StoreFault {
        /// [`Cause::Store`] or [`Cause::Gallery`].
        part: Cause,
    },
    /// The unit has no such part running (no embedder, no gallery).
    #[error("the unit cannot do this now, its {} is not working; `threshold info` says why", part.text())]
    NotReady {
        /// What is missing.
        part: Cause,
    },
    /// The target is no rate, or looser than any door may be.
    #[error("the target must lie above 0 and be at most {most}; give a stricter one", most = threshold_record::ThresholdRule::FPIR_MOST)]
    BadTarget,
    /// The threshold is looser than the model's floor, or one that nobody reaches.
    #[error(
        "the threshold must be a score from the model's floor up to 1; `threshold policy show` says the floor"
    )]
    BadThreshold,
    /// What was pushed is no gallery that can be taken; nothing was changed.
    #[error(transparent)]
    BadGallery(GalleryFault),
    /// The gallery that was pushed was made by another model; nothing was changed.
    #[error(
        "the file has {templates} templates of {people} people made by model {file}, the unit compares with model {unit}; \
         start the unit with that model's pack, or enrol everybody with the unit's"
    )]
    GalleryOfOtherModel {
        /// The unit's model.
        unit: ModelId,
        /// The file's.
        file: ModelId,
        /// People in the file.
        people: u32,
        /// Templates of them.
        templates: u32,
    },
    /// Nothing of that number was pushed, or it has not arrived whole.
    #[error(
        "the unit has no such push any more; push again: what is there already is not sent twice"
    )]
    UnknownPush,
    /// The unit has another name.
    #[error(
        "this is the unit {unit}, and another one was meant; name the unit that is to be wiped"
    )]
    OtherUnit {
        /// Its name.
        unit: String<64>,
    },
    /// The time lies before what the log has seen, or outside the years that a clock is set to.
    #[error(
        "the unit's clock goes back no further than an hour before the latest time that its log has seen, and not beyond 2099; \
         check this machine's date, `threshold clock show` says the unit's"
    )]
    BadTime,
    /// No challenge of this session waits, or its time is over.
    #[error(
        "the unit waits for no answer to a challenge, or a minute has passed; commission it again"
    )]
    NoChallenge,
    /// More tries than a unit takes.
    #[error("the unit was asked too often; try again in a second")]
    TooManyTries,
    /// The unit knows another recovery key.
    #[error(
        "the unit knows the recovery key {known}, and this is another one; give the key that it was first commissioned with, or the one \
         that took its place"
    )]
    OtherRecoveryKey {
        /// The key that the unit knows.
        known: KeyId,
    },
    /// What the recovery key signed does not verify.
    #[error(
        "the recovery key's signature is not for this unit, this administrator and this challenge; commission the unit again, over a \
         line that nobody changes"
    )]
    BadProof,
    /// The record of the recovery key cannot be read or written.
    #[error(
        "the unit's record of its recovery key cannot be read or written, so that it stays locked; read the unit's own messages for the \
         file and what to do"
    )]
    RecoveryRecord,
    /// What is to hold of a person, or a schedule, cannot; nothing was changed.
    #[error(transparent)]
    BadAccess(AccessRefused),
    /// Nobody may be kept waiting for so long.
    #[error(
        "the same person may be kept waiting for {most} minutes at most; give fewer, or 0 for none"
    )]
    BadPassback {
        /// The longest.
        most: u16,
    },
    /// The configuration cannot be so; nothing was changed.
    #[error(transparent)]
    BadConfig(ConfigRefused),
    /// The checkpoint is none that this unit signed of its log as it is; nothing was pruned.
    #[error(
        "the checkpoint is not one that the unit signed of its log as it is now, so that nothing was pruned; see what threshold log \
         verify says, and prune again"
    )]
    NotOfThisLog,
    /// The entries that were asked for were pruned.
    #[error(
        "an owner had the entries before {first} pruned, and the unit has them no more; ask for them from {first} on, and look for the \
         others in what was pulled before"
    )]
    LogPruned {
        /// The first entry that the prune left.
        first: u64,
    },
    /// The enrolment at the door cannot be; nothing was changed.
    #[error(transparent)]
    BadEnrolment(EnrolmentRefused),
}
