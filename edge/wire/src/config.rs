//! The messages about the configuration: what a unit runs with, and what its owner sets of it from the next start on.
//!
//! Owns which keys stay at the unit: everything that names a place of its machine ([`UNTOLD`]). What may be set is
//! [`threshold_record::Setting`], so that no message can name another key.
//! Refuses to judge a value: the unit's own parser does.

use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::Setting;

/// The longest configuration that is told, bytes; a frame carries it with what waits.
pub const TEXT_BYTES: usize = 1760;

/// The longest value of one key, bytes of TOML: a name of 64 bytes in quotation marks, with some of them escaped.
pub const VALUE_BYTES: usize = 80;

/// The longest words of why a value is refused, bytes: an error stays small enough to be handed about by value.
pub const WHY_BYTES: usize = 96;

/// Keys that can be set, and no more in one message.
pub const SETTINGS: usize = Setting::ALL.len();

/// Keys that a unit does not tell, by section and name: folders and devices of its machine.
pub const UNTOLD: [&str; 11] = [
    "unit.data",
    "unit.commission",
    "camera.source",
    "link.serial",
    "door.chip",
    "reader.chip",
    "controller.chip",
    "display.device",
    "engine.packs",
    "engine.kernels",
    "keys.tpm",
];

/// What stands behind a line of the text whose value is the default.
pub const DEFAULT_MARK: &str = "  # default";

/// What a unit runs with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ConfigGot {
    /// The configuration in force, a TOML file without the keys of [`UNTOLD`]; a line ends with [`DEFAULT_MARK`] if its value is the
    /// default.
    pub text: String<TEXT_BYTES>,
    /// The keys that are set over the line, from the next start on.
    pub set: Vec<Setting, SETTINGS>,
    /// What the next start changes, with the value that holds then.
    pub waiting: Vec<Change, SETTINGS>,
}

/// Sets keys, all of them or none. It holds from the next start on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ConfigSet {
    /// What shall hold.
    pub changes: Vec<Change, SETTINGS>,
}

/// One key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Change {
    /// Which.
    pub setting: Setting,
    /// Its value in TOML; `None` for what the unit's file or the default says.
    pub value: Option<String<VALUE_BYTES>>,
}

/// Why a configuration cannot be so; nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum ConfigRefused {
    /// The unit's parser does not take the value.
    #[error("{} cannot be that: {why}; give another value", setting.text())]
    BadValue {
        /// Of which key.
        setting: Setting,
        /// What the parser says.
        why: String<WHY_BYTES>,
    },
    /// The command that starts the unit says it, which goes before everything else.
    #[error(
        "{} is said by the command that starts the unit, which goes before what is set; change it there",
        setting.text()
    )]
    Typed {
        /// Which key.
        setting: Setting,
    },
    /// A key stands in the message twice.
    #[error("{} is given twice; give it once", setting.text())]
    Twice {
        /// Which.
        setting: Setting,
    },
    /// The unit's medium did not take it, or it is longer than is told.
    #[error(
        "the unit could not keep that, and goes on with what was set before; read the unit's own messages for the file and what to do"
    )]
    NotKept,
}
