//! `threshold config get | set | diff`: what a unit is told to do, as its owner reads, compares and sets it.
//!
//! Owns the comparison with a file. Refuses to judge a value, which the unit's own parser does, and to set a key that
//! [`Setting`] does not name: wiring, places and engine stand in the unit's own file.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::plain;
use crate::session::Session;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use threshold_record::Setting;
use threshold_wire::config::{Change, ConfigGot, ConfigSet, DEFAULT_MARK, UNTOLD};
use threshold_wire::endpoints::{GetConfig, SetConfig};
use threshold_wire::message::Nothing;

/// Shows, sets or compares the configuration.
///
/// # Errors
/// A unit that does not answer or says no, an administrator who is no owner, a key that cannot be set, a file that is none.
pub fn run(meant: &Meant, typed: &args::Config) -> anyhow::Result<Answer> {
    match typed {
        args::Config::Get => {
            let got = Session::open(meant)?.call::<GetConfig>(&Nothing {})?;
            meant.say.result(&value(&got), || on_screen(&text(&got)))?;
        }
        args::Config::Set { settings } => {
            // The words first: their faults need no unit to be found.
            let changes = settings.iter().map(|typed| change(typed)).collect::<Result<_, _>>()?;
            let got = Session::open(meant)?.call::<SetConfig>(&ConfigSet { changes })?;
            meant.say.result(&value(&got), || on_screen(&waiting(&got).join("\n")))?;
        }
        args::Config::Diff { file } => {
            let wanted = read(file)?;
            let got = Session::open(meant)?.call::<GetConfig>(&Nothing {})?;
            let difference = Difference::of(&got, wanted)?;
            meant.say.result(&difference.value(), || on_screen(&difference.text()))?;
            if !difference.keys.is_empty() {
                return Ok(Answer::No);
            }
        }
    }
    Ok(Answer::Yes)
}

/// What a unit or a file says, so that it moves no cursor.
fn on_screen(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}

/// One key as typed: `key=value`, or `key=` to take it back.
fn change(typed: &str) -> Result<Change, HostError> {
    let bad = |what: &str| HostError::BadSetting { key: typed.to_owned(), what: what.to_owned() };
    let (key, said) =
        typed.split_once('=').ok_or_else(|| bad("it has no = with a value behind"))?;
    let Some(setting) = Setting::of(key.trim()) else {
        return Err(HostError::NoSuchSetting { key: key.trim().to_owned() });
    };
    let written = match (said.trim(), setting.is_text()) {
        ("", _) => return Ok(Change { setting, value: None }),
        (said, true) => toml::Value::String(said.to_owned()).to_string(),
        (said, false) => said.to_owned(),
    };
    let value = written.as_str().try_into().map_err(|_| bad("the value is too long"))?;
    Ok(Change { setting, value: Some(value) })
}

fn value(got: &ConfigGot) -> Value {
    let waiting = got.waiting.iter().map(|change| (change.setting.text(), change.value.as_deref()));
    json!({
        "text": got.text.as_str(),
        "set": got.set.iter().map(|setting| setting.text()).collect::<Vec<_>>(),
        "waiting": waiting.collect::<BTreeMap<_, _>>(),
    })
}

/// The file that the unit runs with; what is said besides is a comment in it.
fn text(got: &ConfigGot) -> String {
    let set: Vec<&str> = got.set.iter().map(|setting| setting.text()).collect();
    let mut lines = vec![got.text.trim_end().to_owned(), String::new()];
    lines.push("# Folders and devices of the unit's machine stay at the unit.".to_owned());
    if !set.is_empty() {
        lines.push(format!("# Set over the line: {}.", set.join(", ")));
    }
    if !got.waiting.is_empty() {
        lines.extend(waiting(got).iter().map(|line| format!("# {line}")));
    }
    lines.join("\n")
}

/// What the next start changes.
fn waiting(got: &ConfigGot) -> Vec<String> {
    if got.waiting.is_empty() {
        return vec!["the unit runs with that already; its next start changes nothing".to_owned()];
    }
    let line = |change: &Change| match &change.value {
        Some(value) => format!("{} = {value}", change.setting.text()),
        None => format!("{} is not set", change.setting.text()),
    };
    let mut lines = vec!["from the unit's next start on (threshold reboot):".to_owned()];
    lines.extend(got.waiting.iter().map(line));
    lines
}

/// A file's keys.
fn read(path: &Path) -> Result<Keys, HostError> {
    let bad = |what: String| HostError::BadConfig { path: path.display().to_string(), what };
    let text = std::fs::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    keys(&text).map_err(bad)
}

/// Values by section and name.
type Keys = BTreeMap<String, toml::Value>;

fn keys(text: &str) -> Result<Keys, String> {
    fn walk(into: &mut Keys, at: &str, table: toml::Table) {
        for (key, value) in table {
            let name = if at.is_empty() { key } else { format!("{at}.{key}") };
            match value {
                toml::Value::Table(table) => walk(into, &name, table),
                value => drop(into.insert(name, value)),
            }
        }
    }
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| error.to_string().trim_end().to_owned())?;
    let mut found = Keys::new();
    walk(&mut found, "", table);
    Ok(found)
}

/// The keys of a configuration whose value is the default.
fn defaults(text: &str) -> BTreeSet<String> {
    let mut section = "";
    let mut found = BTreeSet::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) =
            line.strip_suffix(DEFAULT_MARK).and_then(|line| line.split_once(" = "))
        {
            found.insert(format!("{section}.{key}"));
        }
    }
    found
}

/// What differs between a unit and a file: a key, at the unit, in the file.
struct Difference {
    keys: Vec<(String, Option<toml::Value>, Option<toml::Value>)>,
    /// What the file says and no unit tells.
    not_compared: Vec<String>,
}

impl Difference {
    fn of(got: &ConfigGot, mut wanted: Keys) -> Result<Self, HostError> {
        let bad = |what| HostError::BadConfig { path: "what the unit told".to_owned(), what };
        let mut there = keys(&got.text).map_err(bad)?;
        let untold = |key: &&String| UNTOLD.contains(&key.as_str());
        let not_compared: Vec<String> = wanted.keys().filter(untold).cloned().collect();
        wanted.retain(|key, _| !not_compared.contains(key));
        // What a file does not say is the default.
        for key in defaults(&got.text) {
            if !wanted.contains_key(&key) {
                there.remove(&key);
            }
        }
        let all: BTreeSet<&String> = there.keys().chain(wanted.keys()).collect();
        let pair = |key: &String| (key.clone(), there.get(key).cloned(), wanted.get(key).cloned());
        let keys = all.into_iter().map(pair).filter(|(_, unit, file)| unit != file).collect();
        Ok(Self { keys, not_compared })
    }

    fn value(&self) -> Value {
        let word = |value: &Option<toml::Value>| value.as_ref().map(ToString::to_string);
        let row = |(key, unit, file): &(String, Option<toml::Value>, Option<toml::Value>)| json!({ "key": key, "unit": word(unit), "file": word(file) });
        let rows: Vec<Value> = self.keys.iter().map(row).collect();
        json!({ "differs": rows, "not_compared": self.not_compared })
    }

    /// As `diff` writes it: what the unit has behind a minus, what the file says behind a plus.
    fn text(&self) -> String {
        let mut lines = Vec::new();
        for (key, unit, file) in &self.keys {
            lines.extend(unit.as_ref().map(|value| format!("- {key} = {value}")));
            lines.extend(file.as_ref().map(|value| format!("+ {key} = {value}")));
        }
        if lines.is_empty() {
            lines.push("the unit runs with what the file says".to_owned());
        }
        if !self.not_compared.is_empty() {
            lines.push(format!(
                "not compared, since it stays at the unit: {}",
                self.not_compared.join(", ")
            ));
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const TOLD: &str = "[unit]\nname = \"north\"\n# timezone is not set\n\n[camera]\nwidth_px = 1280  # default\n\
                        fps = 15\n\n[door.relay]\nline = 105\nactive_low = false  # default\n";

    fn got() -> ConfigGot {
        let waiting = [
            Change { setting: Setting::Fps, value: Some("30".try_into().unwrap()) },
            Change { setting: Setting::Name, value: None },
        ];
        ConfigGot {
            text: TOLD.try_into().unwrap(),
            set: [Setting::Fps].into_iter().collect(),
            waiting: waiting.into_iter().collect(),
        }
    }

    fn diff(file: &str) -> String {
        Difference::of(&got(), keys(file).unwrap()).unwrap().text()
    }

    #[test]
    fn a_key_is_set_by_its_name_and_taken_back_by_nothing_behind_it() {
        let set = |typed: &str| change(typed).map(|change| (change.setting, change.value));
        let some = |text: &str| Some(text.try_into().unwrap());
        for (typed, setting, value) in [
            ("camera.fps=15", Setting::Fps, some("15")),
            ("camera.fps = 15", Setting::Fps, some("15")),
            ("camera.fps=", Setting::Fps, None),
            ("unit.name=north door", Setting::Name, some("\"north door\"")),
            (
                "unit.timezone=CET-1CEST,M3.5.0,M10.5.0/3",
                Setting::Timezone,
                some("\"CET-1CEST,M3.5.0,M10.5.0/3\""),
            ),
        ] {
            assert_eq!(set(typed).unwrap(), (setting, value), "{typed}");
        }
        // What a safety rule rests on, by the name that the unit's own file has for it.
        for key in [
            "door.relay",
            "door.relay.line",
            "door.chip",
            "door.button",
            "door.tamper",
            "reader.d0",
            "reader.keypad",
            "link.serial",
            "camera.source",
            "camera.format",
            "engine.kernels",
            "engine.kind",
            "engine.packs",
            "engine.model",
            "unit.data",
            "unit.commission",
            "insecure_dev_link",
            "dev_button",
            "",
        ] {
            let error = change(&format!("{key}=1")).unwrap_err();
            assert!(
                matches!(&error, HostError::NoSuchSetting { key: said } if said == key),
                "{error}"
            );
        }
        let long = format!("unit.name={}", "n".repeat(200));
        for typed in ["camera.fps", long.as_str()] {
            assert!(matches!(change(typed), Err(HostError::BadSetting { .. })), "{typed}");
        }
    }

    #[test]
    fn what_a_unit_tells_is_no_different_from_itself_and_from_a_file_that_leaves_defaults_out() {
        let same = "the unit runs with what the file says";
        assert_eq!(diff(&text(&got())), same);
        assert_eq!(
            diff("[unit]\nname = \"north\"\n[camera]\nfps = 15\n[door]\nrelay = { line = 105 }\n"),
            same
        );
    }

    #[test]
    fn each_key_that_differs_is_told_from_both_sides_and_what_stays_at_the_unit_is_left_out() {
        let file = "[unit]\nname = \"south\"\ndata = \"here\"\n[camera]\nwidth_px = 640\n[engine]\nthreads = 2\n";
        assert_eq!(
            diff(file),
            "- camera.fps = 15\n- camera.width_px = 1280\n+ camera.width_px = 640\n- door.relay.line = 105\n\
             + engine.threads = 2\n- unit.name = \"north\"\n+ unit.name = \"south\"\n\
             not compared, since it stays at the unit: unit.data"
        );
        let difference = Difference::of(&got(), keys(file).unwrap()).unwrap();
        assert_eq!(
            difference.value()["differs"][0],
            json!({"key": "camera.fps", "unit": "15", "file": null})
        );
        assert!(keys("[unit\n").is_err());
    }

    #[test]
    fn what_waits_for_a_start_is_said_with_the_way_to_one() {
        let lines = waiting(&got()).join("\n");
        assert_eq!(
            lines,
            "from the unit's next start on (threshold reboot):\ncamera.fps = 30\nunit.name is not set"
        );
        assert!(
            text(&got())
                .contains("\n# Set over the line: camera.fps.\n# from the unit's next start on")
        );
        assert_eq!(value(&got())["waiting"], json!({"camera.fps": "30", "unit.name": null}));
    }
}
