//! How hot the unit is, and what follows: less work from one temperature on, a fault from another.
//!
//! Owns when that begins and ends. It begins once the board has been that hot for 5 s, and ends once it has been 5 °C below
//! for a minute: a small board cools within seconds of resting, and would otherwise go to and fro, with an entry each time.
//! Refuses to act: the loop searches fewer frames, the state writes down and locks. A board without a sensor is never throttled; its
//! own protection, which takes clocks away and says nothing, is all that it has.

use crate::config::HeatConfig;
use std::path::{Path, PathBuf};
use threshold_wire::stats::HeatState;

/// How often the sensors are read, milliseconds.
const EVERY_MS: u64 = 1_000;
/// How long a temperature has to last for more to follow from it.
const HOTTER_MS: u64 = 5_000;
/// How long for less.
const COOLER_MS: u64 = 60_000;
/// How much cooler than the limit the unit has to be for as much work as before, thousandths of a degree.
const COOLER_MC: i32 = 5_000;

/// What no chip that computes can have, thousandths of a degree: a zone that is off tells such things.
const OUT_OF_RANGE: [i32; 2] = [-40_000, 150_000];

/// What follows from the temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing.
    #[default]
    Normal,
    /// Fewer frames are searched for faces.
    Throttled,
    /// None is: the unit is at fault.
    Critical,
}

impl From<Level> for HeatState {
    fn from(level: Level) -> Self {
        match level {
            Level::Normal => Self::Normal,
            Level::Throttled => Self::Throttled,
            Level::Critical => Self::Critical,
        }
    }
}

/// What a look at the sensors came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// The temperature, thousandths of a degree Celsius.
    Temperature(i32),
    /// From here on another level holds, at this temperature.
    Changed(Level, i32),
    /// No sensor tells anything, said once. What held goes on to hold.
    NoSensor,
}

/// The sensors, and what follows from what they tell.
#[derive(Debug)]
pub struct Heat {
    /// The folder of thermal zones.
    zones: PathBuf,
    limits: HeatConfig,
    level: Level,
    /// Since when another level is asked for, and whether it is a hotter one.
    asked: Option<(bool, u64)>,
    due_ms: u64,
    is_blind: bool,
}

impl Heat {
    /// The kernel's thermal zones.
    pub const ZONES: &str = "/sys/class/thermal";

    /// The sensors of a folder of thermal zones, with these limits.
    #[must_use]
    pub fn of(zones: &Path, limits: &HeatConfig) -> Self {
        let (zones, limits) = (zones.to_path_buf(), limits.clone());
        Self { zones, limits, level: Level::Normal, asked: None, due_ms: 0, is_blind: false }
    }

    /// What holds now.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Reads the sensors, at most once a second.
    pub fn look(&mut self, now_ms: u64) -> Option<Told> {
        if now_ms < self.due_ms {
            return None;
        }
        self.due_ms = now_ms.saturating_add(EVERY_MS);
        match hottest(&self.zones, self.limits.zone.as_deref()) {
            Some(mc) => Some(self.take(now_ms, mc)),
            None if std::mem::replace(&mut self.is_blind, true) => None,
            None => Some(Told::NoSensor),
        }
    }

    /// Takes a temperature, thousandths of a degree Celsius.
    fn take(&mut self, now_ms: u64, mc: i32) -> Told {
        self.is_blind = false;
        let asked = self.asks(mc);
        if asked == self.level {
            self.asked = None;
            return Told::Temperature(mc);
        }
        let hotter = asked > self.level;
        let since_ms = self.asked.filter(|&(before, _)| before == hotter).map(|(_, since)| since);
        let (_, since_ms) = *self.asked.insert((hotter, since_ms.unwrap_or(now_ms)));
        let lasts_ms = if hotter { HOTTER_MS } else { COOLER_MS };
        if now_ms.saturating_sub(since_ms) < lasts_ms {
            return Told::Temperature(mc);
        }
        (self.level, self.asked) = (asked, None);
        Told::Changed(asked, mc)
    }

    /// The level that a temperature asks for, from the one that holds.
    fn asks(&self, mc: i32) -> Level {
        let [throttle, critical] =
            [self.limits.throttle_c, self.limits.critical_c].map(|limit| i32::from(limit) * 1000);
        match self.level {
            _ if mc >= critical => Level::Critical,
            Level::Critical if mc >= throttle => Level::Critical,
            Level::Throttled | Level::Critical if mc >= throttle - COOLER_MC => Level::Throttled,
            Level::Normal if mc >= throttle => Level::Throttled,
            _ => Level::Normal,
        }
    }
}

/// The temperature of the hottest zone, or of the one of that type, thousandths of a degree Celsius; `None` if none tells. A zone whose
/// part is off refuses to be read, and the others count.
fn hottest(zones: &Path, of_type: Option<&str>) -> Option<i32> {
    let text = |path: PathBuf| std::fs::read_to_string(path).ok();
    let read = |zone: std::io::Result<std::fs::DirEntry>| {
        let zone = zone.ok()?.path();
        if let Some(of_type) = of_type
            && text(zone.join("type"))?.trim() != of_type
        {
            return None;
        }
        let mc: i32 = text(zone.join("temp"))?.trim().parse().ok()?;
        let [least, most] = OUT_OF_RANGE;
        (least < mc && mc < most).then_some(mc)
    };
    std::fs::read_dir(zones).ok()?.filter_map(read).max()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn heat() -> Heat {
        Heat::of(Path::new("/nowhere"), &HeatConfig::default())
    }

    /// Levels that were reached, each with the second in which it was, of a temperature in degrees for each second.
    fn run(heat: &mut Heat, degrees: impl Iterator<Item = i32>) -> Vec<(usize, Level)> {
        let told = degrees.enumerate().map(|(s, c)| (s, heat.take(s as u64 * 1000, c * 1000)));
        let changed = told.filter_map(|(s, told)| match told {
            Told::Changed(level, _) => Some((s, level)),
            _ => None,
        });
        changed.collect()
    }

    #[test]
    fn a_level_begins_after_five_seconds_and_ends_after_a_cooler_minute() {
        let mut heat = heat();
        // A spike of 4 s, then heat; what is cooler by less than the hysteresis ends nothing, however long.
        let spike = [89, 90, 95, 120, 90, 89];
        let then = [95; 20].into_iter().chain([86; 200]).chain([84; 61]);
        let found = run(&mut heat, spike.into_iter().chain(then));
        assert_eq!(found, [(11, Level::Throttled), (6 + 20 + 200 + 60, Level::Normal)]);
    }

    #[test]
    fn a_fault_ends_below_the_lower_limit_alone() {
        let mut heat = heat();
        let climbs = (60..110).chain([110; 10]).chain([100; 300]).chain([89; 70]).chain([20; 70]);
        let levels: Vec<Level> =
            run(&mut heat, climbs).into_iter().map(|(_, level)| level).collect();
        assert_eq!(levels, [Level::Throttled, Level::Critical, Level::Throttled, Level::Normal]);
    }

    #[test]
    fn a_temperature_that_goes_to_and_fro_writes_two_entries_a_minute_at_most() {
        let mut heat = heat();
        // A small board that cools within 10 s of resting.
        let found = run(&mut heat, (0..86_400).map(|s| if s / 10 % 2 == 0 { 100 } else { 60 }));
        assert_eq!(found, [(5, Level::Throttled)], "it never is cool for a minute");
        let found =
            run(&mut super::tests::heat(), (0..86_400).map(|s| if s % 66 < 5 { 100 } else { 60 }));
        assert!(found.len() <= 2 * 86_400 / 66, "{}", found.len());
    }

    #[test]
    fn the_hottest_zone_tells_and_what_is_no_temperature_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let zone = |name: &str, kind: &str, temp: &str| {
            let zone = folder.path().join(name);
            std::fs::create_dir_all(&zone).unwrap();
            std::fs::write(zone.join("type"), format!("{kind}\n")).unwrap();
            std::fs::write(zone.join("temp"), temp).unwrap();
        };
        assert_eq!(hottest(folder.path(), None), None);
        assert_eq!(hottest(&folder.path().join("gone"), None), None);
        zone("thermal_zone0", "cpu-thermal", "61500\n");
        zone("thermal_zone1", "gpu-thermal", "");
        zone("thermal_zone2", "PMIC-Die", "100000\n");
        zone("thermal_zone3", "off", "-274000\n");
        zone("thermal_zone4", "broken", "2147483647\n");
        std::fs::create_dir(folder.path().join("cooling_device0")).unwrap();
        assert_eq!(hottest(folder.path(), None), Some(100_000));
        assert_eq!(hottest(folder.path(), Some("cpu-thermal")), Some(61_500));
        assert_eq!(hottest(folder.path(), Some("off")), None);
    }

    #[test]
    fn no_sensor_is_said_once_and_ends_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut heat = Heat::of(folder.path(), &HeatConfig::default());
        assert_eq!(heat.look(0), Some(Told::NoSensor));
        assert_eq!(heat.look(5_000), None);
        let zone = folder.path().join("thermal_zone0");
        std::fs::create_dir(&zone).unwrap();
        std::fs::write(zone.join("temp"), "95000\n").unwrap();
        assert_eq!(heat.look(5_500), None, "once a second");
        assert_eq!(heat.look(6_000), Some(Told::Temperature(95_000)));
        assert_eq!(heat.look(11_000), Some(Told::Changed(Level::Throttled, 95_000)));
        std::fs::remove_dir_all(&zone).unwrap();
        assert_eq!((heat.look(12_000), heat.look(900_000)), (Some(Told::NoSensor), None));
        assert_eq!(heat.level(), Level::Throttled);
    }
}
