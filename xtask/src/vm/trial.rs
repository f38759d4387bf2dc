//! `cargo xtask vm test`: what the unit must do on the board, step by step.
//!
//! Owns the expectations. It pairs and enrols over the serial line, brings people before the camera, updates the unit, pulls the camera,
//! and cuts the power in the middle of writes: what was acknowledged before must be there after, in the gallery and in
//! the log, and the log must be one that verifies. What an update must do stands in `update`.

use super::door::{Door, Start};
use super::unit::NOBODY;
use super::update;
use super::versions::{FIRST, NEWER};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// Where in an enrolment the power is cut, in hundredths of the bytes that one sends: while the person is written, while
/// the template comes, and while the last write waits to be acknowledged.
const CUTS: [u64; 3] = [80, 90, 100];

/// How often the bytes are counted while a cut is waited for: ten of them take longer on the unit's line.
const LOOK: Duration = Duration::from_millis(1);

/// Longest wait for the relay to be at rest again: its pulse is a second.
const RELAY_PATIENCE: Duration = Duration::from_secs(20);

/// Who is enrolled, from which photo.
const ENROLLED: (&str, &str) = ("Obama", "obama.jpg");

/// What was aimed at (DESIGN, budgets), in seconds from the power: an emulated board, whose pace is the machine's that emulates it, so
/// that what was missed is told and fails nothing.
const SERVICE_S: f64 = 10.0;
const ARMED_S: f64 = 40.0;
const DECISION_S: f64 = 60.0;

/// What the run measured, in seconds.
#[derive(Debug)]
pub(super) struct Figures {
    /// The first start, with an empty flash.
    first: Start,
    /// From the power to the first decision, with pairing and enrolment in between.
    first_decision_s: f64,
    /// From a person's coming before the camera to the admission.
    admission_s: f64,
    /// From a stranger's coming before the camera to the refusal.
    refusal_s: f64,
    /// What the updates took.
    updates: update::Figures,
    /// The start after the last power cut, with a person before the camera.
    last: Start,
    /// That person's admission, from the power.
    last_decision_s: f64,
}

impl Figures {
    /// The figures as a table.
    pub(super) fn table(&self) -> String {
        let first = [
            ("first start: the board's console listens", self.first.board_s),
            (
                "first start: the unit answers, after its first version went into a slot and its label was printed",
                self.first.service_s,
            ),
            ("first start: every part works, and nobody commissioned it yet", self.first.armed_s),
            ("first start: first decision, after pairing and enrolment", self.first_decision_s),
            ("a visit of the enrolled person: admitted after", self.admission_s),
        ];
        let last = [
            ("a visit of a stranger: refused after", self.refusal_s),
            ("start after a power cut: the unit answers", self.last.service_s),
            ("start after a power cut: armed", self.last.armed_s),
            ("start after a power cut: whoever waits is admitted", self.last_decision_s),
        ];
        let mut table = "| what | seconds |\n| --- | ---: |\n".to_owned();
        let said = |(what, seconds): (&str, f64)| (what.to_owned(), seconds);
        let (first, last) = (first.into_iter().map(said), last.into_iter().map(said));
        for (what, seconds) in first.chain(self.updates.rows()).chain(last) {
            table += &format!("| {what} | {seconds:.1} |\n");
        }
        table + &self.missed()
    }

    /// What was aimed at, and what of it was missed, with the reason.
    fn missed(&self) -> String {
        let aims = [
            ("the first start's answer", self.first.service_s, SERVICE_S),
            ("the answer after a power cut", self.last.service_s, SERVICE_S),
            ("every part at work after the first start", self.first.armed_s, ARMED_S),
            ("armed after a power cut", self.last.armed_s, ARMED_S),
            ("the first decision", self.first_decision_s, DECISION_S),
        ];
        let missed: Vec<String> = aims
            .into_iter()
            .filter(|(_, took_s, most_s)| took_s > most_s)
            .map(|(what, took_s, most_s)| format!("{what}, {took_s:.1} s of {most_s:.0} s"))
            .collect();
        let mut text = format!(
            "\nAimed at were {SERVICE_S:.0} s until the unit answers, {ARMED_S:.0} s until it is armed and {DECISION_S:.0} s until its \
             first decision, from the power.\n"
        );
        if !missed.is_empty() {
            text += &format!(
                "**Missed: {}.** {:.1} s of the first are the board's own until its console listens, kernel and systemd, emulated \
                 instruction by instruction. Behind it come the services, the launcher, which reads every byte of a slot before it \
                 starts it, and the unit's store; at the first boot also the copy of the first version into its slot, and the label.\n",
                missed.join("; "),
                self.first.board_s
            );
        }
        text
    }
}

/// Runs the trial.
///
/// # Errors
/// If the unit does anything else than is written here.
pub(super) fn run(door: &mut Door, photos: &Path) -> Result<Figures> {
    door.transcript.part("The first start");
    let first = begin(door, photos)?;
    let (admission_s, entry) = visit(door, "obama")?;
    let first_decision_s = door.seconds();
    admitted(&entry, ENROLLED.0)?;
    pulsed(door, 1)?;

    door.transcript.part("A power cut in the middle of an update");
    log(door)?;
    let cut_s = update::cut(door, NOBODY)?;
    log(door)?;

    door.transcript.part("The same update again, and visits while it is on trial");
    let (mut updates, refusal_s) = update::good(door, |door| {
        let (_, entry) = visit(door, "obama-again")?;
        admitted(&entry, ENROLLED.0)?;
        pulsed(door, 1)?;
        let (refusal_s, entry) = visit(door, "stranger")?;
        refused(&entry, "unknown")?;
        pulsed(door, 1)?;
        Ok(refusal_s)
    })?;
    updates.cut_s = cut_s;

    door.transcript.part("Somebody inside asks to leave");
    door.press_exit()?;
    door.entry(|entry| entry["kind"] == "exit_requested")?;
    pulsed(door, 1)?;

    door.transcript.part("The camera's plug is pulled and put back");
    plug(door)?;

    door.transcript.part("A version that ends at once, and one from before");
    updates.reverted_s = update::broken(door)?;
    update::downgrade(door)?;

    door.transcript.part("Power cuts in the middle of enrolments");
    log(door)?;
    let last = cuts(door, photos)?;
    let entry = door.decision()?;
    let last_decision_s = door.seconds();
    admitted(&entry, ENROLLED.0)?;
    pulsed(door, 1)?;
    log(door)?;
    update::runs(door, NEWER)?;
    Ok(Figures { first, first_decision_s, admission_s, updates, refusal_s, last, last_decision_s })
}

/// Makes the new board's unit a door's: label, pairing, one person, commission, acknowledgement; its first version is confirmed by its
/// owner, who need not wait for that.
pub(super) fn begin(door: &mut Door, photos: &Path) -> Result<Start> {
    let board_s = door.power_on(NOBODY)?;
    let code = door.label()?;
    let first = door.first_started(board_s)?;
    door.pair(&code)?;
    let photo = photos.join(ENROLLED.1).display().to_string();
    door.administer(&["enrol", ENROLLED.0, "--photo", &photo])?;
    // Without it the unit moves no lock. The key would stand in the transcript, so that it goes to a file alone.
    let paper = door.folder.join("recovery.key");
    let _ = std::fs::remove_file(&paper);
    door.administer(&["--json", "commission", "--out", &paper.display().to_string()])?;
    // Without it nobody is let in: no detector for photos is installed.
    door.administer(&["policy", "acknowledge", "--photo-opens-this-door"])?;
    door.administer(&["confirm"])?;
    door.administer(&["info"])?;
    update::runs(door, FIRST)?;
    Ok(first)
}

/// The camera goes away while the unit looks through it, and comes back.
fn plug(door: &mut Door) -> Result<()> {
    let said = door.lines_said()?;
    door.ask("unplug")?;
    door.transcript.event(door.seconds(), "the camera's driver is unbound");
    door.unit_says("fault: camera", said)?;
    let entry = door.entry(|entry| entry["kind"] == "fault" || entry["kind"] == "disarmed")?;
    ensure!(entry["cause"] == "camera", "the log should name the camera: {entry}");
    door.ask("plug")?;
    door.transcript.event(door.seconds(), "the camera's module is loaded anew");
    door.unit_says("mended: camera", said)?;
    door.entry(|entry| entry["kind"] == "armed")?;
    let (_, entry) = visit(door, "obama-again")?;
    admitted(&entry, ENROLLED.0)?;
    pulsed(door, 2)
}

/// Somebody comes, stays until the decision, and goes; how long the decision took.
fn visit(door: &mut Door, picture: &str) -> Result<(f64, Value)> {
    let came_s = door.seconds();
    door.show(picture)?;
    let entry = door.decision()?;
    let took_s = door.seconds() - came_s;
    door.show(NOBODY)?;
    Ok((took_s, entry))
}

fn admitted(entry: &Value, person: &str) -> Result<()> {
    let right = entry["decision"] == "admit" && entry["person_name"] == person;
    ensure!(right, "the door should have admitted {person}: {entry}");
    Ok(())
}

/// Waits until the relay is at rest, having been moved so often since the power came.
fn pulsed(door: &mut Door, times: usize) -> Result<()> {
    let give_up = Instant::now() + RELAY_PATIENCE;
    loop {
        let levels = door.relay();
        let moved = levels.iter().filter(|&&level| level).count();
        if moved == times && levels.last() == Some(&false) {
            let words =
                format!("the relay's line: moved {times} times since the power came, at rest");
            door.transcript.event(door.seconds(), &words);
            return Ok(());
        }
        let in_time = moved <= times && Instant::now() < give_up;
        ensure!(
            in_time,
            "the relay should have been moved {times} times, and was put to {levels:?}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn refused(entry: &Value, reason: &str) -> Result<()> {
    let right = entry["decision"] == "refuse" && entry["reason"] == reason;
    ensure!(right, "the door should have refused with {reason}: {entry}");
    Ok(())
}

/// Cuts the power while an administrator enrols one person after another; the last start.
fn cuts(door: &mut Door, photos: &Path) -> Result<Start> {
    // All guests are one face, which the tool enrols again where it is told that they are twins.
    let photo = photos.join("biden.jpg").display().to_string();
    let mut acknowledged = BTreeSet::from([ENROLLED.0.to_owned()]);
    let mut last = None;
    for (cut, hundredths) in CUTS.iter().enumerate() {
        let name = |number: u32| format!("Guest {}.{number}", cut + 1);
        let before = door.carried();
        door.administer(&["enrol", &name(1), "--photo", &photo, "--force"])?;
        acknowledged.insert(name(1));
        let begun = door.carried();
        let whole = begun - before;
        let mut enrolling = door.begin(&["enrol", &name(2), "--photo", &photo, "--force"])?;
        let mut done = None;
        while done.is_none() && (door.carried() - begun) * 100 < whole * hundredths {
            std::thread::sleep(LOOK);
            done = enrolling.try_wait()?;
        }
        door.cut_power()?;
        // What the tool said before the cut counts; what it finds out after it is no answer of the unit's.
        match done.or(enrolling.try_wait()?) {
            Some(status) if status.success() => drop(acknowledged.insert(name(2))),
            Some(_) => {}
            None => enrolling.kill()?,
        }
        enrolling.wait()?;
        let is_last = cut + 1 == CUTS.len();
        let picture = if is_last { "obama" } else { NOBODY };
        let board_s = door.power_on(picture)?;
        let start = door.unit_started(board_s)?;
        log(door)?;
        let there = people(door)?;
        let lost: Vec<&String> = acknowledged.difference(&there).collect();
        ensure!(lost.is_empty(), "a power cut took {lost:?}, who had been acknowledged");
        let words = match (there.contains(&name(2)), acknowledged.contains(&name(2))) {
            (true, true) => "acknowledged, and there",
            (true, false) => "not acknowledged, and there",
            (false, _) => "not acknowledged, and not there",
        };
        door.transcript.event(door.seconds(), &format!("{} is {words}", name(2)));
        acknowledged = there;
        last = Some(start);
    }
    last.context("no power was cut")
}

/// Pulls what is new of the log and verifies all of it: what was pulled before a power cut must still be the unit's.
pub(super) fn log(door: &mut Door) -> Result<()> {
    let pulled = door.host.port.with_file_name("log.jsonl").display().to_string();
    door.host.text(&["log", "pull", "--out", &pulled])?;
    door.administer(&["log", "verify"]).map(drop)
}

/// Who is enrolled.
pub(super) fn people(door: &Door) -> Result<BTreeSet<String>> {
    let listed = door.host.json(&["gallery", "list"])?;
    let people = listed["people"].as_array().cloned().unwrap_or_default();
    Ok(people.iter().filter_map(|person| Some(person["name"].as_str()?.to_owned())).collect())
}
