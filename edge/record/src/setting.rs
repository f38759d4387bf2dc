//! What an owner may set of a unit's configuration over the line: the only keys of it that a message or an entry can name.
//!
//! Owns the numbers, which the log keeps. Leaves out whatever a safety rule or a way back rests on: how lock, inputs and reader are
//! wired, what the unit sees with and is reached by, its folders, and what it recognises with. Those stand in the unit's own file,
//! which whoever stands at the machine writes.

use crate::decision::coded;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

coded! {
    /// A key of the configuration, by section and name.
    Setting {
        /// What the unit is called.
        Name = 1 => "unit.name",
        /// The time zone of schedules.
        Timezone = 2 => "unit.timezone",
        /// Columns that are wished for.
        Width = 3 => "camera.width_px",
        /// Rows that are wished for.
        Height = 4 => "camera.height_px",
        /// Frames a second that are wished for.
        Fps = 5 => "camera.fps",
        /// The exposure time.
        Exposure = 6 => "camera.exposure",
        /// The gain.
        Gain = 7 => "camera.gain",
        /// Compensation of light from behind.
        Backlight = 8 => "camera.backlight",
        /// How long one admission releases the lock; its bounds are the configuration's.
        RelayPulse = 9 => "door.relay_pulse_ms",
        /// How long the door may stand open before that is told.
        HeldOpen = 10 => "door.held_open_s",
        /// Threads for the networks.
        Threads = 11 => "engine.threads",
        /// The smallest face looked for.
        MinFace = 12 => "engine.min_face_px",
    }
}

impl Setting {
    /// The setting of a key, as `section.name`.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|setting| setting.text() == key)
    }

    /// Section and name.
    #[must_use]
    pub fn place(self) -> (&'static str, &'static str) {
        self.text().split_once('.').unwrap_or_default()
    }

    /// True if its value is a text.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Name | Self::Timezone)
    }
}
