//! `cargo xtask vm test`: what the unit must do on the board, step by step.
//!
//! Owns the expectations. It pairs and enrols over the serial line, brings people before the camera, pulls the camera,
//! and cuts the power in the middle of writes: what was acknowledged before must be there after, in the gallery and in
//! the log, and the log must be one that verifies.

use super::door::{Door, Start};
use super::unit::NOBODY;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// Power cuts.
const CUTS: u32 = 3;

/// Who is enrolled, from which photo.
const ENROLLED: (&str, &str) = ("Obama", "obama.jpg");

/// What the run measured, in seconds.
#[derive(Debug)]
pub(super) struct Figures {
    /// The first start, with an empty flash.
    pub(super) first: Start,
    /// From the power to the first decision, with pairing and enrolment in between.
    pub(super) first_decision_s: f64,
    /// From a person's coming before the camera to the admission.
    pub(super) admission_s: f64,
    /// From a stranger's coming before the camera to the refusal.
    pub(super) refusal_s: f64,
    /// The last start after a power cut, with a person before the camera: to service, armed, and to the admission.
    pub(super) again: Start,
    pub(super) again_decision_s: f64,
}

/// Runs the trial.
///
/// # Errors
/// If the unit does anything else than is written here.
pub(super) fn run(door: &mut Door, photos: &Path) -> Result<Figures> {
    door.transcript.part("The first start");
    let board_s = door.power_on(NOBODY)?;
    let first = door.wait_until_armed(board_s)?;
    let code = door.ask("label")?;
    door.pair(code.trim_start_matches("pairing code: "))?;
    let photo = |name: &str| photos.join(name).display().to_string();
    door.administer(&["enrol", ENROLLED.0, "--photo", &photo(ENROLLED.1)])?;
    door.administer(&["info"])?;

    door.transcript.part("Visits");
    let (admission_s, entry) = visit(door, "obama")?;
    let first_decision_s = door.seconds();
    admitted(&entry, ENROLLED.0)?;
    let (refusal_s, entry) = visit(door, "stranger")?;
    refused(&entry, "unknown")?;

    door.transcript.part("Power cuts");
    let again = cuts(door, photos)?;
    Ok(Figures { first, first_decision_s, admission_s, refusal_s, again, again_decision_s: 0.0 })
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

fn refused(entry: &Value, reason: &str) -> Result<()> {
    let right = entry["decision"] == "refuse" && entry["reason"] == reason;
    ensure!(right, "the door should have refused with {reason}: {entry}");
    Ok(())
}

/// Cuts the power while an administrator enrols one person after another.
fn cuts(door: &mut Door, photos: &Path) -> Result<Start> {
    let photo = photos.join("biden.jpg").display().to_string();
    let mut acknowledged = BTreeSet::from([ENROLLED.0.to_owned()]);
    let mut again = None;
    for cut in 1..=CUTS {
        for number in 1..=2 {
            let name = format!("Guest {cut}.{number}");
            door.administer(&["enrol", &name, "--photo", &photo])?;
            acknowledged.insert(name);
        }
        let name = format!("Guest {cut}.3");
        let mut enrolling = door.begin(&["enrol", &name, "--photo", &photo])?;
        // Another moment of the write each time; where it falls is told by whether the tool was answered.
        std::thread::sleep(Duration::from_millis(150 + 150 * u64::from(cut)));
        if enrolling.try_wait()?.is_some_and(|status| status.success()) {
            acknowledged.insert(name);
        }
        door.cut_power()?;
        let _ = enrolling.kill();
        let _ = enrolling.wait();

        let board_s = door.power_on(NOBODY)?;
        again = Some(door.wait_until_armed(board_s)?);
        let listed = door.json(&["gallery", "list"])?;
        let people = listed["people"].as_array().cloned().unwrap_or_default();
        let there: BTreeSet<String> =
            people.iter().filter_map(|person| Some(person["name"].as_str()?.to_owned())).collect();
        let lost: Vec<&String> = acknowledged.difference(&there).collect();
        ensure!(lost.is_empty(), "after cut {cut} the gallery lost {lost:?}");
        acknowledged.extend(there);
        door.administer(&["log", "verify"])?;
    }
    again.ok_or_else(|| anyhow::anyhow!("no power was cut"))
}
