//! What re-embedding a vault costs beside the embedding alone: people of LFW, three photos each, taken in with one model and made
//! anew with another.
//!
//! Owns what must hold: every crop has a template afterwards, at most 1.2 times the engine's own time. Refuses to keep what it made.

use crate::program::{cargo, run_aloud};
use crate::repository::{root, shared};
use crate::setup;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Photos of each person.
const PHOTOS: usize = 3;

/// What re-embedding may cost, as a multiple of the embedding alone.
const MAX_COST: f64 = 1.2;

/// Measures with so many people, and prints.
///
/// # Errors
/// If there are not as many, a command failed, or it cost more.
pub(super) fn run(people: usize) -> Result<()> {
    let images = shared().context("no folder of references: set THRESHOLD_SHARED")?;
    let images = images.join("lfw-dev/images");
    let stock = setup::setup()?;
    run_aloud(&mut cargo(&["build", "--quiet", "--release", "--locked", "-p", "threshold-host"]))?;
    let folder = root().join("target/bench-vault");
    // Of a run that was cut off.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).context("making target/bench-vault")?;
    let mut list = String::from("name,photo\n");
    for (name, photos) in with_photos(&images, people)? {
        for photo in photos {
            list += &format!("{name},{}\n", photo.display());
        }
    }
    std::fs::write(folder.join("people.csv"), list).context("writing the list")?;
    let vault = |arguments: &[&str]| -> Result<Value> {
        let mut command = Command::new(root().join("target/release/threshold"));
        command.args(["--json", "--keys", "keys", "--packs"]).arg(&stock.packs);
        // Somebody is left out where LFW shows a second face; the exit status says so.
        let done = command.args(arguments).current_dir(&folder).output()?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(matches!(done.status.code(), Some(0 | 1)), "threshold {arguments:?}: {said}");
        serde_json::from_slice(&done.stdout).context("threshold printed no JSON")
    };
    vault(&["vault", "init"])?;
    let taken = vault(&["--model", "dlib", "vault", "import", "people.csv"])?;
    let made = vault(&["--model", "facenet", "vault", "re-embed"])?;
    let cost = made["cost"].as_f64().context("no cost")?;
    std::fs::remove_dir_all(&folder).context("removing target/bench-vault")?;
    println!(
        "{} people, {} crops: {} templates made in {} ms by {} workers, {} ms of them in the engine: {cost:.3} times the engine alone",
        taken["people_added"],
        made["crops"],
        made["templates_made"],
        made["wall_ms"],
        made["workers"],
        made["engine_ms"],
    );
    ensure!(made["templates"] == made["crops"], "not every crop has a template: {made}");
    ensure!(cost <= MAX_COST, "it cost {cost:.3} times the engine alone, allowed {MAX_COST}");
    Ok(())
}

/// The first people with enough photos, and as many of these.
fn with_photos(images: &Path, people: usize) -> Result<Vec<(String, Vec<PathBuf>)>> {
    let listed = |folder: &Path| -> Result<Vec<PathBuf>> {
        let read = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<PathBuf> = read.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths)
    };
    let mut found = Vec::new();
    for person in listed(images)? {
        let mut photos = listed(&person)?;
        photos.truncate(PHOTOS);
        if photos.len() == PHOTOS && found.len() < people {
            let name = person.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.push((name, photos));
        }
    }
    ensure!(found.len() == people, "{} people have {PHOTOS} photos, not {people}", found.len());
    Ok(found)
}
