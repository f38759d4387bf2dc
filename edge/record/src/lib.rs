//! What all of Threshold agrees on: ids, templates, scores, decisions and the 64-byte log entry.
//!
//! Owns the types that cross a crate, the serial line or a power cycle.
//! Refuses to allocate, to do arithmetic on faces, and to decide: a decision is made in `policy` only.
//! Terms: *score* is similarity, higher is more alike; *distance* is what the model's metric measures.
#![no_std]
#![forbid(unsafe_code)]

pub mod access;
pub mod administrator;
pub mod context;
pub mod credential;
pub mod decision;
pub mod distribution;
pub mod enrolment;
pub mod entry;
pub mod id;
pub mod mode;
pub mod name;
pub mod rule;
pub mod score;
pub mod setting;
pub mod template;

pub use access::{
    Access, AccessFault, Interval, MAX_CREDENTIALS, MAX_INTERVALS, MAX_SCHEDULES, Schedule,
    ScheduleId,
};
pub use administrator::{Administrator, KeyId, KeyTag, Role};
pub use context::{
    ClockContext, Context, ContextError, ContextKind, MAX_CONTEXT_BYTES, ModelContext,
};
pub use credential::{Credential, CredentialError};
pub use decision::{Cause, Decision, Presentation, Reason};
pub use distribution::{Distributions, Quantile};
pub use enrolment::{EnrolmentEnd, HeadPose};
pub use entry::{EntryError, EntryKind, LogEntry, WallTime};
pub use id::{ModelId, ModelTag, PersonId};
pub use mode::Mode;
pub use name::{MAX_NAME_BYTES, Name, NameError, misleads};
pub use rule::ThresholdRule;
pub use score::{Metric, Score, Threshold};
pub use setting::Setting;
pub use template::{
    MAX_EMBEDDING_LEN, MAX_SLOTS, MIN_EMBEDDING_LEN, Person, Template, TemplateError,
};
