//! `cargo xtask demo`: the product does its job on real photos, and the right decisions are checked.
//!
//! A virtual unit runs on a pseudo-terminal with a folder as its camera. One person is enrolled from one photo; that
//! person, a stranger and nobody come to the door; then the stranger is enrolled and comes again.
//! Every decision is compared with the one written down in `visits`; the pulled log must be complete and equal to
//! what was followed. Then the unit, which has its owner and its people by now, is started again and must be armed in time
//! (`starts`). Exit status 0 means all of that.
//!
//! Refuses to reach into the product: it starts `threshold-edge` and `threshold` and reads what they print.

pub(crate) mod door;
mod pictures;
mod report;
mod starts;
mod visits;

use crate::program::{cargo, run_aloud};
use crate::repository::root;
use crate::setup;
use anyhow::{Context as _, Result, bail, ensure};
use door::{Host, Unit};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use visits::{ACTS, Expected, Visit};

/// Longest wait for a decision: a visit takes a second or two, a loaded machine several times that.
const DECISION: Duration = Duration::from_secs(60);

/// A visit with what the door made of it.
struct Outcome {
    visit: &'static Visit,
    entry: Value,
    /// What `threshold why` says.
    why: String,
    /// The annotated picture, as a data address.
    drawn: String,
}

impl Outcome {
    fn text(&self, key: &str) -> &str {
        self.entry[key].as_str().unwrap_or("")
    }

    fn right(&self) -> bool {
        match self.visit.expected {
            Expected::Admit(person) => {
                self.text("decision") == "admit" && self.text("person_name") == person
            }
            Expected::Refuse(reason, cause) => {
                self.text("decision") == "refuse"
                    && self.text("reason") == reason.text()
                    && self.text("cause") == cause.text()
            }
        }
    }

    /// What the door did, in the words of the expectation.
    fn decision(&self) -> String {
        match (self.text("decision"), self.text("cause")) {
            ("admit", _) => format!("admit {}", self.text("person_name")),
            (_, "none") => format!("refuse: {}", self.text("reason")),
            (_, cause) => format!("refuse: {}, {cause}", self.text("reason")),
        }
    }

    fn scores(&self) -> String {
        let number = |key: &str| self.entry[key].as_f64().unwrap_or(0.0);
        if self.entry["person"].as_u64().unwrap_or(0) == 0 {
            return "no candidate".to_owned();
        }
        format!("score {:.3}, threshold {:.3}", number("best_score"), number("threshold"))
    }
}

/// Runs the demonstration.
///
/// # Errors
/// If a part does not work, a decision is not the right one, or the pulled log is not what was followed.
pub(crate) fn run() -> Result<()> {
    let stock = setup::setup()?;
    println!("building the release binaries");
    run_aloud(&mut build())?;
    let start = Instant::now();
    let folder = Folder::fresh(&root().join("target/demo"))?;
    let host = Host {
        binary: root().join("target/release/threshold"),
        port: folder.path("port"),
        packs: stock.packs.clone(),
        keys: folder.path("keys"),
    };
    let [camera, data, button] = ["camera", "data", "button"].map(|name| folder.path(name));
    let edge = root().join("target/release/threshold-edge");
    let code = door::label(&edge, &data)?;
    let process = Instant::now();
    let [port, camera, data, packs, pressed] =
        [&host.port, &camera, &data, &host.packs, &button].map(|path| path.display().to_string());
    let serial = format!("pty:{port}");
    let typed = ["run", "--serial", &serial, "--camera", &camera, "--data", &data];
    let typed = [&typed[..], &["--packs", &packs, "--dev-button", &pressed]].concat();
    let mut unit = Unit::start(&edge, &typed, &folder.path("unit.log"))?;
    unit.wait_until_it_says("not armed: nobody commissioned this unit")?;
    let seconds = process.elapsed().as_secs_f64();
    println!("every part works {seconds:.2} s after its process started");
    host.wait_for(&mut unit)?;
    println!("the unit answers after {:.1} s", start.elapsed().as_secs_f64());
    std::fs::write(&button, "").with_context(|| format!("writing {}", button.display()))?;
    unit.wait_until_it_says("the button was pressed")?;
    let role = host.pair("Demo", &code)?;
    println!("paired by button and code as {role}: from here on the line is sealed");
    let paper = folder.path("recovery.key").display().to_string();
    host.text(&["commission", "--out", &paper])?;
    println!(
        "commissioned with a recovery key, which an owner keeps on paper: a wiped unit asks for it"
    );
    host.text(&["policy", "acknowledge", "--photo-opens-this-door"])?;
    println!("the owner acknowledges that a photo opens this door: until then it lets nobody in");

    let mut outcomes = Vec::new();
    let mut followed = Vec::new();
    for act in &ACTS {
        let photo = stock.photos.join(act.photo);
        host.text(&["enrol", act.person, "--photo", &photo.display().to_string()])?;
        println!("\n{} is enrolled from {}", act.person, act.photo);
        let from = followed.last().map_or(1, |entry: &Value| sequence(entry) + 1);
        let follow = host.follow(from)?;
        for visit in act.visits {
            let picture = folder.show(outcomes.len(), visit, &stock.photos)?;
            let entry = loop {
                unit.still_there()?;
                let entry = follow
                    .next(DECISION)
                    .with_context(|| format!("waiting for the decision on {:?}", visit.name))?;
                followed.push(entry.clone());
                if entry["kind"] == "decision" {
                    break entry;
                }
            };
            let outcome = Outcome { visit, entry, why: String::new(), drawn: picture };
            print(&outcome);
            outcomes.push(outcome);
        }
    }
    let resident = unit.resident_bytes();
    finish(&host, &folder, &mut outcomes, &followed, start)?;
    if let Some(bytes) = resident {
        println!("the unit holds {} MB in memory", bytes / 1_000_000);
    }
    let wrong = outcomes.iter().filter(|outcome| !outcome.right()).count();
    ensure!(wrong == 0, "{wrong} of {} decisions are not the right ones", outcomes.len());
    println!(
        "all {} decisions are the right ones ({:.1} s)",
        outcomes.len(),
        start.elapsed().as_secs_f64()
    );
    drop(unit);
    starts::in_time(&edge, &typed, &folder.path("starts.log"))
}

/// The release build of the two binaries.
pub(crate) fn build() -> Command {
    let mut command = cargo(&["build", "--quiet", "--release", "--locked"]);
    command.args(["-p", "threshold-edge", "-p", "threshold-host"]);
    command
}

/// Pulls and checks the log, asks for the reasons, draws the pictures and writes the report.
fn finish(
    host: &Host,
    folder: &Folder,
    outcomes: &mut [Outcome],
    followed: &[Value],
    start: Instant,
) -> Result<()> {
    let pulled = folder.path("log.jsonl");
    host.text(&["log", "pull", "--out", &pulled.display().to_string()])?;
    let log = fs::read_to_string(&pulled).context("reading the pulled log")?;
    let log: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("pulled line {line:?}")))
        .collect::<Result<_>>()?;
    check_log(&log, followed)?;
    println!("\nthe pulled log has {} entries, complete and as followed", log.len());
    print!("{}", host.text(&["log", "verify"])?);
    println!(
        "(each reading after it, as for the reasons in the report, adds an entry that says so)"
    );
    let drawn = folder.path("drawn");
    let shown: Vec<String> = outcomes.iter().map(|outcome| outcome.drawn.clone()).collect();
    let drawn_text = drawn.display().to_string();
    let mut arguments = vec!["detect", "--min-face", "80", "--draw", &drawn_text];
    arguments.extend(shown.iter().map(String::as_str));
    host.text(&arguments)?;
    for (outcome, picture) in outcomes.iter_mut().zip(&shown) {
        outcome.why = host.text(&["why", &sequence(&outcome.entry).to_string()])?;
        outcome.drawn = pictures::as_data_address(&drawn_file(&drawn, Path::new(picture))?)?;
    }
    let facts =
        report::Facts { info: host.text(&["info"])?, log, seconds: start.elapsed().as_secs_f64() };
    let path = root().join("target/demo/report.html");
    fs::write(&path, report::html(outcomes, &facts)).context("writing the report")?;
    println!("the report is target/demo/report.html");
    Ok(())
}

/// The annotated picture of a picture: same stem, in the folder of drawings.
fn drawn_file(drawn: &Path, picture: &Path) -> Result<PathBuf> {
    let stem = picture.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    for file in fs::read_dir(drawn).context("reading the folder of drawings")? {
        let path = file?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&stem)) {
            return Ok(path);
        }
    }
    bail!("no drawing of {} in {}", picture.display(), drawn.display())
}

fn print(outcome: &Outcome) {
    let mark = if outcome.right() { "right" } else { "WRONG" };
    println!(
        "  {mark}  {:<62} {:<30} {}",
        outcome.visit.name,
        outcome.decision(),
        outcome.scores()
    );
    if !outcome.right() {
        println!("         expected {}: {}", outcome.visit.expected.text(), outcome.visit.because);
    }
}

fn sequence(entry: &Value) -> u64 {
    entry["sequence"].as_u64().unwrap_or(0)
}

/// A pulled log is complete if its sequences run from 1 without gaps, and true if what was followed is in it, the
/// same in every field, and nothing decided is missing from what was followed.
fn check_log(log: &[Value], followed: &[Value]) -> Result<()> {
    for (index, entry) in log.iter().enumerate() {
        let expected = index as u64 + 1;
        ensure!(
            sequence(entry) == expected,
            "the pulled log has sequence {} where {expected} belongs",
            sequence(entry)
        );
    }
    for entry in followed {
        let pulled = (sequence(entry) as usize).checked_sub(1).and_then(|index| log.get(index));
        let pulled = pulled
            .with_context(|| format!("entry {} was followed, not pulled", sequence(entry)))?;
        ensure!(
            unnamed(pulled) == unnamed(entry),
            "entry {} was pulled as {pulled} and followed as {entry}",
            sequence(entry)
        );
    }
    let decisions = |entries: &[Value]| -> Vec<u64> {
        entries.iter().filter(|entry| entry["kind"] == "decision").map(sequence).collect()
    };
    ensure!(
        decisions(log) == decisions(followed),
        "decisions pulled {:?}, followed {:?}",
        decisions(log),
        decisions(followed)
    );
    Ok(())
}

/// An entry without the name, which the host adds from the gallery of the moment.
fn unnamed(entry: &Value) -> Value {
    let mut entry = entry.clone();
    if let Some(keys) = entry.as_object_mut() {
        keys.remove("person_name");
    }
    entry
}

/// The demonstration's folder: camera, data, drawings; made anew on each run.
struct Folder(PathBuf);

impl Folder {
    fn fresh(path: &Path) -> Result<Self> {
        if path.exists() {
            fs::remove_dir_all(path).with_context(|| format!("clearing {}", path.display()))?;
        }
        for name in ["camera", "data", "drawn", "pictures"] {
            fs::create_dir_all(path.join(name)).context("making the demonstration's folder")?;
        }
        Ok(Self(path.to_path_buf()))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Lays the visit's picture into the camera's folder, whole or not at all, and gives the path of a copy.
    fn show(&self, index: usize, visit: &Visit, photos: &Path) -> Result<String> {
        let slug: String = visit
            .name
            .chars()
            .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
            .collect();
        let name = format!("{:02}-{slug}.{}", index + 1, visit.picture.ending());
        let kept = self.path("pictures").join(&name);
        visit.picture.write(photos, &kept)?;
        let arriving = self.path("arriving");
        fs::copy(&kept, &arriving).context("copying a picture")?;
        fs::rename(&arriving, self.path("camera").join(&name)).context("showing a picture")?;
        Ok(kept.display().to_string())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::json;
    use threshold_record::{Cause, Reason};

    fn entry(sequence: u64, kind: &str) -> Value {
        json!({"sequence": sequence, "kind": kind, "person_name": ""})
    }

    fn check(log: &[Value], followed: &[Value], problem: Option<&str>) {
        let found = check_log(log, followed).err().map(|error| error.to_string());
        match problem {
            None => assert_eq!(found, None),
            Some(problem) => assert!(found.clone().unwrap().contains(problem), "{found:?}"),
        }
    }

    #[test]
    fn a_pulled_log_that_is_not_what_was_followed_is_refused() {
        let (boot, first, second) = (entry(1, "boot"), entry(2, "decision"), entry(3, "decision"));
        let whole = [boot.clone(), first.clone(), second.clone()];
        check(&whole, &whole, None);
        check(&whole, &whole[1..], None);
        check(&whole[1..], &whole, Some("where 1 belongs"));
        check(&whole[..2], &whole, Some("entry 3 was followed, not pulled"));
        check(&whole, &whole[..2], Some("decisions pulled [2, 3], followed [2]"));
        let mut other = whole.clone();
        other[1]["person"] = json!(7);
        check(&other, &whole, Some("entry 2 was pulled as"));
        let mut named = whole.clone();
        named[1]["person_name"] = json!("Obama");
        check(&named, &whole, None);
    }

    #[test]
    fn only_the_written_decision_is_right() {
        let visit = |expected| {
            Box::leak(Box::new(Visit {
                name: "v",
                picture: pictures::Picture::EmptyRoom,
                expected,
                because: "",
            }))
        };
        let outcome = |expected, entry: Value| Outcome {
            visit: visit(expected),
            entry,
            why: String::new(),
            drawn: String::new(),
        };
        let admit =
            json!({"decision": "admit", "reason": "matched", "cause": "none", "person_name": "A"});
        let refuse = json!({"decision": "refuse", "reason": "quality", "cause": "no_face"});
        let [quality, unknown] = [Reason::Quality, Reason::Unknown];
        assert!(outcome(Expected::Admit("A"), admit.clone()).right());
        assert!(!outcome(Expected::Admit("B"), admit.clone()).right());
        assert!(!outcome(Expected::Refuse(unknown, Cause::None), admit).right());
        assert!(outcome(Expected::Refuse(quality, Cause::NoFace), refuse.clone()).right());
        assert!(!outcome(Expected::Refuse(quality, Cause::TooDark), refuse.clone()).right());
        assert!(!outcome(Expected::Refuse(unknown, Cause::NoFace), refuse.clone()).right());
        assert!(!outcome(Expected::Admit("A"), refuse).right());
    }
}
