//! What the unit's heat means for everybody: an entry when less is computed, and when it is as much as before; a fault when it is too hot.
//!
//! Refuses to measure, and to act on the loop: `heat` and `unit` do.

use super::State;
use crate::heat::{Level, Told};
use crate::journal::Wait;
use threshold_record::{Cause, EntryKind, LogEntry, PersonId};

impl State {
    /// Takes what a look at the sensors came to.
    pub fn heat_told(&mut self, told: Told) {
        match told {
            Told::Temperature(mc) => self.temperature_mc = Some(mc),
            Told::NoSensor => {
                self.temperature_mc = None;
                self.notices.tell(
                    "heat: no thermal zone tells a temperature, so that this unit does not do less when it is hot; [heat] and \
                     /sys/class/thermal",
                );
            }
            Told::Changed(level, mc) => {
                self.temperature_mc = Some(mc);
                self.heat = level;
                self.heat_changed(level, mc);
            }
        }
    }

    fn heat_changed(&mut self, level: Level, mc: i32) {
        let celsius = mc / 1000;
        let help = "shade it, let air to it, or keep the place cooler";
        match level {
            Level::Critical => self.fail(
                Cause::Heat,
                &format!("the unit is {celsius} °C hot, and computes no more; {help}; it goes on by itself once it is cooler"),
            ),
            Level::Throttled => {
                self.notices.tell(&format!(
                    "heat: the unit is {celsius} °C hot, and searches two frames a second for faces at most; {help}"
                ));
                self.write_heat(EntryKind::Throttled, celsius);
            }
            Level::Normal => {
                self.notices.tell(&format!(
                    "heat: the unit is {celsius} °C hot, and searches as many frames as before"
                ));
                self.write_heat(EntryKind::ThrottleEnded, celsius);
            }
        }
        if level != Level::Critical {
            self.mend(Cause::Heat);
        }
    }

    fn write_heat(&mut self, kind: EntryKind, celsius: i32) {
        let degrees = PersonId(u32::try_from(celsius).unwrap_or(0));
        self.write_soon(LogEntry { runner_up: degrees, ..LogEntry::of(kind) }, Wait::Event);
    }

    /// What follows from the unit's heat.
    #[must_use]
    pub fn heat(&self) -> Level {
        self.heat
    }

    /// The temperature that the loop read last, thousandths of a degree Celsius; `None` if no sensor tells one.
    #[must_use]
    pub fn temperature_mc(&self) -> Option<i32> {
        self.temperature_mc
    }
}
