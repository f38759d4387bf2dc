//! What an owner set over the line, over what the unit's file says: read at a start, changed for the next one.
//!
//! ```text
//! <data>/config/set.toml         what holds from the next start on: keys of `record::Setting` in their sections, nothing else
//! <data>/config/previous.toml    what was set before, with which the unit stayed up
//! <data>/config/trial            one byte while what was set is on trial: the starts that it has left
//! ```
//! Order: the defaults, the unit's file, what is set here, what was typed. The file is root's and stays as it is: the unit cannot
//! write it, so whoever takes the overlay away has the unit as its file says.
//! Owns that nothing is kept which the unit's own parser does not take with the rest, and that a start never ends here: what does not
//! load is told, and the start goes on with what was set before, or with the file alone; so is what loads, and with which the loop does
//! not go round for [`SETTLE`] in [`STARTS`] starts, each of which is counted before anything is done with it.
//! Refuses every key but those of `record::Setting`, also in its own files.

use super::{Config, check};
use crate::args;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use threshold_record::{Cause, Setting};
use threshold_wire::config::{Change, ConfigGot, ConfigRefused, TEXT_BYTES};
use threshold_wire::cut;
use toml::{Table, Value};

const FOLDER: &str = "config";
const SET: &str = "set.toml";
const PREVIOUS: &str = "previous.toml";
const STAGED: &str = "staged.toml";
const TRIAL: &str = "trial";

/// Starts in which what was set has to prove itself.
const STARTS: u8 = 3;

/// How long the loop has to go round for that: as long as a version on trial has to be in order.
const SETTLE: Duration = crate::trial::SETTLE;

/// Why a start does not run with what was set last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FellBack {
    /// [`Cause::Config`] if it does not load, [`Cause::ConfigTrial`] if the unit did not stay up with it.
    pub cause: Cause,
    /// In words.
    pub why: String,
}

/// The longest name of a unit, bytes: what `info` shows whole.
const NAME_BYTES: usize = 64;

/// The configuration in force, and what the next start will find.
#[derive(Debug)]
pub struct Held {
    folder: PathBuf,
    /// What file and command line say.
    beneath: Config,
    running: Config,
    /// What is set, from the next start on.
    set: Table,
    /// What was set when this start read it.
    ran: Table,
    /// This start does not run with what lies in the place of what is set.
    fell_back: bool,
    /// That has still to prove itself.
    on_trial: bool,
    /// Since when the loop goes round.
    begun_ms: Option<u64>,
    /// What was typed goes before what is set.
    typed: Vec<Setting>,
}

impl Held {
    /// Reads what is set for the unit of this configuration, of which `typed` was typed at the start; beside it, in words, why what
    /// was set last does not load.
    #[must_use]
    pub fn load(beneath: Config, typed: Vec<Setting>) -> (Self, Option<FellBack>) {
        let mut held = Self {
            folder: beneath.unit.data.join(FOLDER),
            running: beneath.clone(),
            beneath,
            set: Table::new(),
            ran: Table::new(),
            fell_back: false,
            on_trial: false,
            begun_ms: None,
            typed,
        };
        let (mut fell_back, names) = match held.count_start() {
            Ok(()) => (None, &[SET, PREVIOUS][..]),
            Err(why) => (Some(FellBack { cause: Cause::ConfigTrial, why }), &[PREVIOUS][..]),
        };
        for name in names {
            match held.read(name) {
                Ok(Some((set, running))) => {
                    held.ran.clone_from(&set);
                    (held.set, held.running) = (set, running);
                    break;
                }
                Ok(None) => break,
                Err(why) => {
                    fell_back.get_or_insert(FellBack { cause: Cause::Config, why });
                    // What is read now proved itself before.
                    held.on_trial = false;
                }
            }
        }
        held.fell_back = fell_back.is_some();
        (held, fell_back)
    }

    /// Counts this start, durably, if what is set is on trial.
    ///
    /// # Errors
    /// In words why the start runs with what was set before: there is no start left, or this one cannot be counted, and a trial that
    /// counts nothing would never end.
    fn count_start(&mut self) -> Result<(), String> {
        let left = match std::fs::read(self.folder.join(TRIAL)) {
            Ok(left) => left,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(format!("how many starts it has left cannot be read: {error}"));
            }
        };
        // What is no number of starts is none that is left.
        let left = left.first().copied().filter(|left| *left <= STARTS).unwrap_or(0);
        let fewer = left.checked_sub(1);
        let fewer = fewer.ok_or(format!("the unit did not stay up with it in {STARTS} starts"))?;
        let counted = self.put(TRIAL, &[fewer]);
        counted.map_err(|error| format!("this start of its trial cannot be counted: {error}"))?;
        self.on_trial = true;
        Ok(())
    }

    /// The loop goes round. True once, when what was set has proved itself.
    ///
    /// # Errors
    /// The medium's, once; the next start counts on.
    pub fn lives(&mut self, now_ms: u64) -> io::Result<bool> {
        let begun_ms = *self.begun_ms.get_or_insert(now_ms);
        let since = Duration::from_millis(now_ms.saturating_sub(begun_ms));
        if !self.on_trial || since < SETTLE {
            return Ok(false);
        }
        self.on_trial = false;
        // A change that waits for the next start has a trial of its own.
        if self.set == self.ran {
            std::fs::remove_file(self.folder.join(TRIAL))?;
        }
        Ok(true)
    }

    /// What the command line says of what may be set.
    #[must_use]
    pub fn typed(typed: &args::Run) -> Vec<Setting> {
        let said = [
            (typed.name.is_some(), Setting::Name),
            (typed.threads.is_some(), Setting::Threads),
            (typed.min_face.is_some(), Setting::MinFace),
        ];
        said.into_iter().filter(|(is_said, _)| *is_said).map(|(_, setting)| setting).collect()
    }

    /// What this start runs with.
    #[must_use]
    pub fn running(&self) -> &Config {
        &self.running
    }

    /// `None` if there is no such file.
    fn read(&self, name: &str) -> Result<Option<(Table, Config)>, String> {
        let path = self.folder.join(name);
        let worded = |why: &str| format!("{}: {why}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(worded(&error.to_string())),
        };
        let set: Table = text.parse().map_err(|error: toml::de::Error| worded(error.message()))?;
        let config = self.over(&set).map_err(|why| worded(&why))?;
        Ok(Some((set, config)))
    }

    /// The configuration with that set.
    fn over(&self, set: &Table) -> Result<Config, String> {
        let mut whole = Table::try_from(&self.beneath).map_err(|error| error.to_string())?;
        for (section, keys) in set {
            let keys = keys.as_table().ok_or_else(|| format!("{section} is no section"))?;
            for (key, value) in keys {
                let name = format!("{section}.{key}");
                let setting = Setting::of(&name)
                    .ok_or_else(|| format!("{name} is nothing that is set over the line"))?;
                check_name(setting, value)?;
                if self.typed.contains(&setting) {
                    continue;
                }
                let section = whole.entry(section).or_insert_with(|| Table::new().into());
                let section = section.as_table_mut().ok_or("no section")?;
                section.insert(key.clone(), value.clone());
            }
        }
        let text = toml::to_string(&whole).map_err(|error| error.to_string())?;
        check::read(&text).map_err(|problems| {
            problems.into_iter().next().map(|problem| problem.what).unwrap_or_default()
        })
    }

    /// What is set once these changes hold.
    ///
    /// # Errors
    /// [`ConfigRefused`] for the first of them that cannot hold.
    pub fn with(&self, changes: &[Change]) -> Result<Table, ConfigRefused> {
        let mut next = self.set.clone();
        for (nth, Change { setting, value }) in changes.iter().enumerate() {
            let setting = *setting;
            if changes.iter().take(nth).any(|before| before.setting == setting) {
                return Err(ConfigRefused::Twice { setting });
            }
            if self.typed.contains(&setting) {
                return Err(ConfigRefused::Typed { setting });
            }
            let refused = |why: &str| ConfigRefused::BadValue { setting, why: cut(why) };
            let (section, key) = setting.place();
            match value {
                None => {
                    if let Some(keys) = next.get_mut(section).and_then(Value::as_table_mut) {
                        keys.remove(key);
                    }
                }
                Some(text) => {
                    let value = one_value(text).map_err(|why| refused(&why))?;
                    let keys = next.entry(section).or_insert_with(|| Table::new().into());
                    let keys = keys.as_table_mut().ok_or_else(|| refused("no section"))?;
                    keys.insert(key.to_owned(), value);
                }
            }
            next.retain(|_, keys| keys.as_table().is_some_and(|keys| !keys.is_empty()));
            self.over(&next).map_err(|why| refused(&why))?;
        }
        let is_told = self
            .over(&next)
            .is_ok_and(|config| config.told().is_ok_and(|text| text.len() <= TEXT_BYTES));
        if is_told { Ok(next) } else { Err(ConfigRefused::NotKept) }
    }

    /// The keys of these changes that differ between what is set and that. After a start that fell back, all of them: what lies in the
    /// place of what is set is not known here, and goes with the change.
    #[must_use]
    pub fn changed(&self, next: &Table, changes: &[Change]) -> Vec<Setting> {
        if self.fell_back {
            return changes.iter().map(|change| change.setting).collect();
        }
        let differs = |setting: &Setting| value_in(&self.set, *setting) != value_in(next, *setting);
        Setting::ALL.iter().copied().filter(differs).collect()
    }

    /// Writes beside what is set what is to take its place, on trial, and what this start runs with as what was before; durable on
    /// return. After a start that fell back, that takes the place of what was gone back from at once.
    ///
    /// # Errors
    /// The medium's; what is set stays, or what this start runs with is set.
    pub fn stage(&self, next: &Table) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // What did not prove itself yet is nothing to go back to.
        if !self.on_trial {
            self.write(PREVIOUS, &self.ran)?;
        }
        // The starts that are counted from now on are not those of what was gone back from, should the change fail.
        if self.fell_back {
            self.write(SET, &self.ran)?;
        }
        self.write(STAGED, next)?;
        self.put(TRIAL, &[STARTS])
    }

    /// Puts what was staged in the place of what is set; durable on return.
    ///
    /// # Errors
    /// The medium's; the next start may find either.
    pub fn commit(&mut self, next: Table) -> io::Result<()> {
        std::fs::rename(self.folder.join(STAGED), self.folder.join(SET))?;
        File::open(&self.folder)?.sync_all()?;
        self.set = next;
        self.fell_back = false;
        Ok(())
    }

    fn write(&self, name: &str, table: &Table) -> io::Result<()> {
        self.put(name, toml::to_string(table).map_err(io::Error::other)?.as_bytes())
    }

    /// Puts a file in place, whole whatever the power does; durable on return.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let fresh = self.folder.join("fresh.tmp");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, self.folder.join(name))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Takes everything away that was set; durable on return.
    ///
    /// # Errors
    /// The medium's.
    pub fn forget(&mut self) -> io::Result<()> {
        self.set = Table::new();
        Self::forget_in(&self.beneath.unit.data)
    }

    /// The same in a data folder, before anything is read there.
    ///
    /// # Errors
    /// The medium's.
    pub fn forget_in(data: &Path) -> io::Result<()> {
        match std::fs::remove_dir_all(data.join(FOLDER)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => File::open(data)?.sync_all(),
        }
    }

    /// What an owner is told; `None` if it is longer than a frame.
    #[must_use]
    pub fn got(&self) -> Option<ConfigGot> {
        let text = self.running.told().ok()?.as_str().try_into().ok()?;
        let set = Setting::ALL.iter().copied();
        let set = set.filter(|&setting| value_in(&self.set, setting).is_some()).collect();
        let then = Table::try_from(self.over(&self.set).ok()?).ok()?;
        let now = Table::try_from(&self.running).ok()?;
        let differs = |setting: &Setting| value_in(&now, *setting) != value_in(&then, *setting);
        let waiting = Setting::ALL.iter().copied().filter(differs).map(|setting| Change {
            setting,
            value: value_in(&then, setting).map(|value| cut(&value.to_string())),
        });
        Some(ConfigGot { text, set, waiting: waiting.collect() })
    }
}

fn value_in(table: &Table, setting: Setting) -> Option<&Value> {
    let (section, key) = setting.place();
    table.get(section)?.get(key)
}

/// The one value of a text: nothing behind it, and no key beside it.
fn one_value(text: &str) -> Result<Value, String> {
    let table: Table = format!("value = {text}")
        .parse()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    let mut values = table.into_iter();
    match (values.next(), values.next()) {
        (Some((key, value)), None) if key == "value" && !text.contains('\n') => Ok(value),
        _ => Err("it is more than one value".to_owned()),
    }
}

/// A name that everybody who lists the unit can read and type; the parser takes any text.
fn check_name(setting: Setting, value: &Value) -> Result<(), String> {
    let Some(name) = value.as_str().filter(|_| setting == Setting::Name) else { return Ok(()) };
    let is_one = !name.is_empty() && name.trim() == name && name.len() <= NAME_BYTES;
    if is_one && !name.chars().any(threshold_record::misleads) {
        return Ok(());
    }
    Err(format!(
        "a name has 1 to {NAME_BYTES} bytes, no space at its ends, and nothing that does not print"
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use threshold_wire::config::{UNTOLD, VALUE_BYTES};

    /// What a unit's file says, with every place that must stay there.
    const FILE: &str = "[unit]\nname = \"north\"\ncommission = \"/secret/commission\"\n\
        [camera]\nsource = \"/secret/video\"\nfps = 15\n[link]\nserial = \"/secret/tty\"\n\
        [door]\nchip = \"/secret/chip\"\nrelay = { line = 105 }\nbutton = { line = 43, active_low = true }\n\
        [reader]\nchip = \"/secret/wiegand\"\nd0 = { line = 84 }\nd1 = { line = 130 }\n\
        [engine]\npacks = \"/secret/packs\"\nkernels = \"/secret/kernels\"\n";

    struct Unit(tempfile::TempDir);

    impl Unit {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn beneath(&self) -> Config {
            let mut config = check::read(FILE).unwrap();
            config.unit.data = self.0.path().to_owned();
            config
        }

        fn start(&self) -> (Held, Option<FellBack>) {
            Held::load(self.beneath(), Vec::new())
        }

        /// Sets one key and says what the next start runs with.
        fn set(&self, setting: Setting, value: &str) -> Result<Config, ConfigRefused> {
            let (mut held, fell) = self.start();
            assert_eq!(fell, None);
            let before = held.running.clone();
            let next = held.with(&[change(setting, Some(value))])?;
            held.stage(&next).unwrap();
            assert_eq!(self.start().0.set, held.set, "nothing holds before it is put in place");
            held.commit(next).unwrap();
            assert_eq!(held.running, before, "nothing changes in this start");
            let (mut next, fell) = self.start();
            assert_eq!(fell, None);
            proves(&mut next);
            Ok(next.running)
        }

        fn put(&self, name: &str, text: &str) {
            let folder = self.0.path().join("config");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    /// The loop goes round for long enough.
    fn proves(held: &mut Held) {
        assert!(!held.lives(7).unwrap());
        assert!(!held.lives(6 + SETTLE.as_millis() as u64).unwrap(), "not before that");
        assert!(held.lives(7 + SETTLE.as_millis() as u64).unwrap());
        assert!(!held.lives(u64::MAX).unwrap(), "once");
    }

    fn change(setting: Setting, value: Option<&str>) -> Change {
        Change { setting, value: value.map(|value| value.try_into().unwrap()) }
    }

    /// A value of each that differs from the file's and the default.
    const OTHERS: [(Setting, &str); Setting::ALL.len()] = [
        (Setting::Name, "\"south door\""),
        (Setting::Timezone, "\"CET-1CEST,M3.5.0,M10.5.0/3\""),
        (Setting::Width, "640"),
        (Setting::Height, "480"),
        (Setting::Fps, "20"),
        (Setting::Exposure, "80"),
        (Setting::Gain, "16"),
        (Setting::Backlight, "1"),
        (Setting::RelayPulse, "5000"),
        (Setting::HeldOpen, "60"),
        (Setting::Threads, "2"),
        (Setting::MinFace, "60"),
    ];

    #[test]
    fn each_key_that_may_be_set_holds_from_the_next_start_on_and_changes_no_other() {
        for (setting, value) in OTHERS {
            let unit = Unit::new();
            let config = unit.set(setting, value).unwrap();
            let (before, after) = (unit.beneath(), Table::try_from(&config).unwrap());
            assert_eq!(value_in(&after, setting).unwrap().to_string(), value, "{setting:?}");
            let mut as_before = after;
            let was = value_in(&Table::try_from(&before).unwrap(), setting).cloned();
            let (section, key) = setting.place();
            let keys = as_before.get_mut(section).unwrap().as_table_mut().unwrap();
            keys.remove(key);
            keys.extend(was.map(|was| (key.to_owned(), was)));
            assert_eq!(as_before, Table::try_from(&before).unwrap(), "{setting:?}");
            // Taken back, it is what the file says.
            let (mut held, _) = unit.start();
            let next = held.with(&[change(setting, None)]).unwrap();
            assert!(next.is_empty(), "{next:?}");
            held.stage(&next).unwrap();
            held.commit(next).unwrap();
            assert_eq!(unit.start().0.running, before);
        }
    }

    #[test]
    fn what_the_parser_does_not_take_is_refused_with_the_key_and_nothing_is_written() {
        let long = format!("\"{}\"", "n".repeat(65));
        for (setting, value, why) in [
            (Setting::Fps, "0", "it may be 5 to 240"),
            (Setting::Fps, "\"many\"", "invalid type"),
            (Setting::Fps, "", ""),
            (Setting::Fps, "15\n[door]\nrelay_pulse_ms = 500", "more than one value"),
            (Setting::Fps, "15\nrelay = 1", "more than one value"),
            (Setting::Fps, "{ a = 1 }", "invalid type"),
            (Setting::RelayPulse, "10001", "it may be 500 to 10000"),
            (Setting::HeldOpen, "3601", "it may be 1 to 3600"),
            (Setting::Threads, "65", "it may be 1 to 64"),
            (Setting::MinFace, "5", "it may be 12 to 4096"),
            (Setting::Width, "8193", "it may be 64 to 8192"),
            (Setting::Timezone, "\"Berlin\"", ""),
            (Setting::Name, "\"\"", "a name has 1 to 64 bytes"),
            (Setting::Name, "\" north\"", "a name has 1 to 64 bytes"),
            (Setting::Name, "\"no\\u001brth\"", "a name has 1 to 64 bytes"),
            (Setting::Name, &long, "a name has 1 to 64 bytes"),
            (Setting::Name, "north", ""),
        ] {
            let unit = Unit::new();
            let Err(ConfigRefused::BadValue { setting: of, why: said }) = unit.set(setting, value)
            else {
                panic!("{value} was taken for {setting:?}");
            };
            assert!(of == setting && said.contains(why), "{value}: {said}");
            assert!(!unit.0.path().join("config").exists(), "{value}");
        }
    }

    #[test]
    fn one_key_that_is_refused_sets_none_and_a_key_is_named_once() {
        let (held, _) = Unit::new().start();
        let (good, bad) = (change(Setting::Fps, Some("20")), change(Setting::Threads, Some("0")));
        let refused = held.with(&[good.clone(), bad]).unwrap_err();
        assert!(matches!(refused, ConfigRefused::BadValue { setting: Setting::Threads, .. }));
        let refused = held.with(&[good.clone(), good]).unwrap_err();
        assert_eq!(refused, ConfigRefused::Twice { setting: Setting::Fps });
    }

    #[test]
    fn what_was_typed_goes_before_what_is_set_and_is_not_set() {
        let unit = Unit::new();
        unit.put(SET, "[unit]\nname = \"south\"\n[engine]\nthreads = 2\n");
        let (held, fell) = Held::load(unit.beneath(), vec![Setting::Name]);
        assert_eq!(
            (held.running.unit.name.as_deref(), held.running.engine.threads),
            (Some("north"), Some(2))
        );
        assert_eq!(fell, None);
        for value in [Some("\"east\""), None] {
            let refused = held.with(&[change(Setting::Name, value)]).unwrap_err();
            assert_eq!(refused, ConfigRefused::Typed { setting: Setting::Name });
        }
    }

    #[test]
    fn what_does_not_load_is_told_and_the_start_goes_on_with_what_was_set_before_or_with_the_file()
    {
        let good = "[camera]\nfps = 20\n";
        for bad in [
            "[camera]\nfps = 1\n",
            "[camera]\nfps = ",
            "fps = 20\n",
            "\u{0}\u{0}",
            // Nothing but the keys that may be set, whoever wrote the file.
            "[door]\nrelay = { line = 4 }\n",
            "[door]\nbutton = { line = 5 }\n",
            "[link]\nserial = \"pty:door\"\n",
            "[camera]\nsource = \"pictures\"\n",
            "[engine]\nkernels = \"kernels\"\n",
            "[unit]\ndata = \"elsewhere\"\n",
            "[camera]\nfps = 20\n[engine]\nmodel = \"other\"\n",
        ] {
            let unit = Unit::new();
            unit.put(SET, bad);
            let (held, fell) = unit.start();
            assert_eq!(held.running, unit.beneath(), "{bad:?}");
            assert!(fell.unwrap().why.contains("set.toml"), "{bad:?}");
            unit.put(PREVIOUS, good);
            let (mut held, fell) = unit.start();
            assert_eq!(held.running.camera.fps, 20, "{bad:?}");
            assert!(fell.unwrap().why.contains("set.toml"), "{bad:?}");
            // The next change heals it, on what holds.
            let next = held.with(&[change(Setting::Gain, Some("3"))]).unwrap();
            held.stage(&next).unwrap();
            held.commit(next).unwrap();
            let (held, fell) = unit.start();
            assert_eq!(
                (held.running.camera.fps, held.running.camera.gain, fell),
                (20, Some(3), None)
            );
            unit.put(SET, bad);
            unit.put(PREVIOUS, bad);
            assert_eq!(unit.start().0.running, unit.beneath(), "both of them: {bad:?}");
        }
        // A folder in the place of the file, which nobody can read.
        let unit = Unit::new();
        std::fs::create_dir_all(unit.0.path().join("config").join(SET)).unwrap();
        assert!(unit.start().1.is_some());
    }

    #[test]
    fn what_does_not_let_the_unit_stay_up_is_gone_back_from_after_three_starts() {
        let unit = Unit::new();
        unit.set(Setting::Fps, "20").unwrap();
        let (mut held, _) = unit.start();
        // Two changes before a start: what nobody ran is nothing to go back to.
        for fps in ["30", "60"] {
            let next = held.with(&[change(Setting::Fps, Some(fps))]).unwrap();
            held.stage(&next).unwrap();
            held.commit(next).unwrap();
        }
        for start in 1..=STARTS {
            let (mut held, fell) = unit.start();
            assert_eq!((held.running.camera.fps, fell), (60, None), "start {start}");
            // The loop begins, and something ends the process before it has gone round for long enough.
            assert!(!held.lives(0).unwrap() && !held.lives(SETTLE.as_millis() as u64 - 1).unwrap());
        }
        for start in 0..3 {
            let (mut held, fell) = unit.start();
            assert_eq!(held.running.camera.fps, 20, "start {start}");
            assert_eq!(fell.unwrap().cause, Cause::ConfigTrial);
            assert!(
                !held.lives(0).unwrap() && !held.lives(u64::MAX).unwrap(),
                "nothing is on trial"
            );
        }
        // What is set then has three starts of its own, on what the unit went back to.
        let (mut held, _) = unit.start();
        let next = held.with(&[change(Setting::Gain, Some("3"))]).unwrap();
        held.stage(&next).unwrap();
        held.commit(next).unwrap();
        let (mut held, fell) = unit.start();
        assert_eq!((held.running.camera.fps, held.running.camera.gain, fell), (20, Some(3), None));
        proves(&mut held);
        for _ in 0..2 * STARTS {
            let (held, fell) = unit.start();
            assert_eq!((held.running.camera.gain, fell), (Some(3), None), "it is kept");
        }
    }

    #[test]
    fn a_change_that_fails_after_going_back_gives_what_was_gone_back_from_no_start() {
        let unit = Unit::new();
        unit.set(Setting::Fps, "20").unwrap();
        let (mut held, _) = unit.start();
        let next = held.with(&[change(Setting::Fps, Some("60"))]).unwrap();
        held.stage(&next).unwrap();
        held.commit(next).unwrap();
        (0..STARTS).for_each(|_| drop(unit.start()));
        let (held, fell) = unit.start();
        assert_eq!(fell.unwrap().cause, Cause::ConfigTrial);
        // Its entry is not written, or the power goes.
        held.stage(&held.with(&[change(Setting::Gain, Some("3"))]).unwrap()).unwrap();
        drop(held);
        for _ in 0..2 * STARTS {
            let (mut held, _) = unit.start();
            let camera = &held.running.camera;
            assert_eq!((camera.fps, camera.gain), (20, unit.beneath().camera.gain));
            held.lives(0).unwrap();
            held.lives(u64::MAX).unwrap();
        }
    }

    #[test]
    fn what_is_changed_during_a_trial_has_a_trial_of_its_own_and_the_way_back_stays() {
        let unit = Unit::new();
        unit.set(Setting::Fps, "20").unwrap();
        let set = |held: &mut Held, fps: &str| {
            let next = held.with(&[change(Setting::Fps, Some(fps))]).unwrap();
            held.stage(&next).unwrap();
            held.commit(next).unwrap();
        };
        set(&mut unit.start().0, "30");
        let (mut held, _) = unit.start();
        set(&mut held, "60");
        // The loop has gone round for long enough with the first of them, not with the second.
        proves(&mut held);
        for _ in 0..STARTS {
            assert_eq!(unit.start().0.running.camera.fps, 60);
        }
        assert_eq!(unit.start().0.running.camera.fps, 20);
        // A count that nobody wrote is no start more.
        for count in [&[][..], &[STARTS + 1], b"many"] {
            std::fs::write(unit.0.path().join("config").join(TRIAL), count).unwrap();
            assert_eq!(unit.start().0.running.camera.fps, 20, "{count:?}");
        }
    }

    #[test]
    fn a_start_that_cannot_be_counted_runs_with_what_was_set_before() {
        let unit = Unit::new();
        unit.put(SET, "[camera]\nfps = 30\n");
        unit.put(PREVIOUS, "[camera]\nfps = 20\n");
        let trial = unit.0.path().join("config").join(TRIAL);
        std::fs::write(&trial, [STARTS]).unwrap();
        // A folder in the place of what is written first stands for a medium that takes no write.
        let fresh = unit.0.path().join("config").join("fresh.tmp");
        std::fs::create_dir(&fresh).unwrap();
        for start in 0..=STARTS {
            let (mut held, fell) = unit.start();
            assert_eq!(held.running.camera.fps, 20, "start {start}");
            let fell = fell.unwrap();
            assert_eq!(fell.cause, Cause::ConfigTrial);
            assert!(fell.why.contains("cannot be counted"), "{}", fell.why);
            assert!(!held.lives(0).unwrap() && !held.lives(u64::MAX).unwrap(), "no trial passes");
            assert_eq!(std::fs::read(&trial).unwrap(), [STARTS]);
        }
        std::fs::remove_dir(&fresh).unwrap();
        assert_eq!(unit.start().0.running.camera.fps, 30, "it has its starts yet");
        // A count that cannot be read is no trial that nobody began.
        std::fs::remove_file(&trial).unwrap();
        std::fs::create_dir(&trial).unwrap();
        let (held, fell) = unit.start();
        assert_eq!((held.running.camera.fps, fell.unwrap().cause), (20, Cause::ConfigTrial));
    }

    #[test]
    fn the_power_going_at_any_step_of_a_change_leaves_what_was_or_what_shall_be() {
        let unit = Unit::new();
        unit.set(Setting::Fps, "20").unwrap();
        let (mut held, _) = unit.start();
        let next = held.with(&[change(Setting::Fps, Some("30"))]).unwrap();
        held.stage(&next).unwrap();
        let (before, fell) = unit.start();
        assert_eq!((before.running.camera.fps, fell), (20, None), "staged is not set");
        // What was staged is torn, and nobody reads it.
        unit.put(STAGED, "[camera]\nf");
        assert_eq!(unit.start().0.running.camera.fps, 20);
        held.stage(&next).unwrap();
        held.commit(next).unwrap();
        assert_eq!(unit.start().0.running.camera.fps, 30);
        let previous =
            std::fs::read_to_string(unit.0.path().join("config").join(PREVIOUS)).unwrap();
        assert_eq!(previous, "[camera]\nfps = 20\n");
        held.forget().unwrap();
        assert!(!unit.0.path().join("config").exists());
        held.forget().unwrap();
        assert_eq!(unit.start().0.running, unit.beneath());
    }

    #[test]
    fn an_owner_is_told_everything_but_the_places_of_the_machine() {
        let unit = Unit::new();
        let (mut held, _) = unit.start();
        let got = held.got().unwrap();
        assert!(!got.text.contains('/') && !got.text.contains("secret"), "{}", got.text);
        for untold in UNTOLD {
            let (_, key) = untold.split_once('.').unwrap();
            assert!(
                !got.text.lines().any(|line| line.starts_with(&format!("{key} = "))),
                "{untold}"
            );
        }
        for line in [
            "name = \"north\"",
            "fps = 15",
            "width_px = 1280  # default",
            "line = 105",
            "# gain is not set",
        ] {
            assert!(got.text.lines().any(|told| told == line), "{line}: {}", got.text);
        }
        assert!(got.set.is_empty() && got.waiting.is_empty());
        let changes = OTHERS.map(|(setting, value)| change(setting, Some(value)));
        let next = held.with(&changes).unwrap();
        held.stage(&next).unwrap();
        held.commit(next).unwrap();
        let got = held.got().unwrap();
        assert_eq!(got.set.as_slice(), Setting::ALL);
        assert_eq!(got.waiting.as_slice(), changes, "this start runs with none of it");
        let got = unit.start().0.got().unwrap();
        assert_eq!((got.set.len(), got.waiting.len()), (Setting::ALL.len(), 0));
    }

    #[test]
    fn the_longest_configuration_is_told_whole_in_one_frame() {
        let example = include_str!("../../system/unit.toml");
        let spoken: String = example
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(left_out) if !left_out.starts_with(' ') => format!("{left_out}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let unit = Unit::new();
        let mut beneath = check::read(&spoken).unwrap();
        beneath.unit.data = unit.0.path().to_owned();
        let (mut held, _) = Held::load(beneath, Vec::new());
        let longest = format!("\"{}\"", "n".repeat(NAME_BYTES));
        let changes = OTHERS.map(|(setting, value)| match setting {
            Setting::Name => change(setting, Some(&longest)),
            _ => change(setting, Some(value)),
        });
        assert!(longest.len() <= VALUE_BYTES);
        let next = held.with(&changes).unwrap();
        held.stage(&next).unwrap();
        held.commit(next).unwrap();
        let got = held.got().unwrap();
        let bytes = got.text.len();
        let sent =
            threshold_wire::call::answer::<threshold_wire::endpoints::GetConfig>(1, &Ok(got));
        assert!(sent.is_ok(), "{bytes} bytes");
    }
}
