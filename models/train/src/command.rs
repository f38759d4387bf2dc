//! The commands: from what was typed to runs, sheets and packs.
//!
//! Owns where configuration, pictures and the installed detector come from. Refuses to put a pack where units look for
//! one: the file is named by whoever asks for it.

use crate::args::{self, Command, Typed};
use crate::config::Config;
use crate::export;
use crate::facenet::{self, network::Rows, run::People};
use crate::pace;
use crate::pictures::{self, Labels, Loaded};
use crate::run::Run;
use crate::say::{self, Progress};
use crate::sheet;
use anyhow::{Context as _, Result};
use std::num::NonZero;
use std::path::Path;
use threshold_models::pack::{Pack, PackDir};

/// Does what was typed.
///
/// # Errors
/// Whatever the command says.
pub fn run(typed: &Typed) -> Result<()> {
    if let Command::Pace(typed) = &typed.command {
        return pace(typed);
    }
    let folder = PackDir::locate(typed.packs.as_deref())?;
    let detector = PackDir::open(&folder).and_then(|dir| dir.detector()).context(
        "samples are labelled and mined by the installed detector; run `cargo xtask setup`",
    )?;
    let threads = typed.threads.map(usize::from);
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    match &typed.command {
        Command::Mtcnn(typed) => train(typed, &detector, threads),
        Command::Facenet(typed) => facenet(typed, &detector, &embedder(&folder)?, threads),
        Command::Preview(typed) => preview(typed, &detector, threads),
        Command::Pack(typed) => pack(typed, &detector, &folder),
        Command::Pace(typed) => pace(typed),
    }
}

fn pace(typed: &args::Pace) -> Result<()> {
    let args::Pace { network, samples, calls } = *typed;
    let ms = pace::median_ms(network, samples as usize, calls as usize)?;
    say::line(&serde_json::json!({ "samples": samples, "calls": calls, "ms": ms }).to_string());
    Ok(())
}

fn embedder(folder: &Path) -> Result<Pack> {
    let embedder = PackDir::open(folder).and_then(|dir| dir.named("facenet"));
    embedder.context(
        "last block, crops and teacher are those of the installed FaceNet; run `cargo xtask setup`",
    )
}

fn facenet(typed: &args::Facenet, detector: &Pack, embedder: &Pack, threads: usize) -> Result<()> {
    let config = facenet::config::Config::read(&typed.config)?;
    if let Some(list) = &config.pairs {
        // Before the photos are passed through the network, which takes long.
        facenet::pairs::read(list)?;
    }
    let kept = config.features.clone().unwrap_or_else(|| typed.run.join("features"));
    for folder in [Some(typed.run.as_path()), kept.parent()].into_iter().flatten() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    let packs = [detector, embedder];
    let load = |rows: Rows| {
        let bar = say::bar(0, "rows of photos");
        let progress = |done, all| {
            bar.set_length(all as u64);
            bar.set_position(done as u64);
        };
        let photos =
            facenet::photos::load(&config.people, packs, (rows, &kept), threads, &progress);
        bar.finish_and_clear();
        photos
    };
    let photos = load(config.network.rows(config.size().side_px))?;
    let mut people = People::of(&photos, config.held_back);
    let skipped = photos.skipped;
    // Whole crops of all photos stand in `people` now.
    drop(photos.features);
    if config.distil.epochs > 0 {
        people.teach(&load(Rows::Features)?)?;
    }
    let mut run = facenet::run::Run::open(&config, &people, packs, skipped, &typed.run)?;
    let outcome = run.outcome();
    let [learn, photos] = outcome.learn;
    say::line(&format!(
        "{learn} people with {photos} photos to learn from, {} with one alone, {} held back; {} left out",
        outcome.single,
        outcome.held[0],
        outcome.skipped.len()
    ));
    for what in &outcome.skipped {
        say::line(&format!("left out: {what}"));
    }
    for (name, judged) in outcome.beside.named() {
        say::line(&format!("{name}: {}", say::pairs(&judged)));
    }
    let mut progress = Progress::new(config.epochs * config.steps);
    let outcome = run.go(usize::MAX, &mut progress)?;
    for (kind, check) in [("pairs", &outcome.check), ("drawn pairs", &outcome.drawn)] {
        let Some(check) = check else { continue };
        let [people, photos, pairs] = check.counts;
        say::line(&format!("check half: {people} people, {photos} photos, {pairs} {kind}"));
        let trained = [("trained", check.trained)].into_iter();
        for (name, judged) in trained.chain(check.beside.named()) {
            say::line(&format!("  {name}: {}", say::pairs(&judged)));
        }
    }
    Ok(())
}

fn train(typed: &args::Mtcnn, detector: &Pack, threads: usize) -> Result<()> {
    let config = Config::read(&typed.config)?;
    let loaded = load(&config, detector, threads)?;
    let mut run = Run::open(&config, &loaded, detector, &typed.run, threads)?;
    let outcome = run.outcome();
    say::line(&format!("untrained: {}", say::shares(&outcome.untrained)));
    if let Some(installed) = &outcome.installed {
        say::line(&format!("installed: {}", say::shares(installed)));
    }
    let mut progress = Progress::new(config.epochs * config.steps);
    let outcome = run.go(usize::MAX, &mut progress)?;
    say::line(&format!("best: {:.2} %, in {}", outcome.best * 100.0, typed.run.display()));
    Ok(())
}

fn preview(typed: &args::Preview, detector: &Pack, threads: usize) -> Result<()> {
    let config = Config::read(&typed.config)?;
    let loaded = load(&config, detector, threads)?;
    let sheet = sheet::draw(&config, &loaded)?;
    sheet.save(&typed.out).with_context(|| typed.out.display().to_string())
}

fn pack(typed: &args::Pack, detector: &Pack, folder: &Path) -> Result<()> {
    let name = |other: &str| typed.name.clone().unwrap_or_else(|| other.to_owned());
    let pack = match &typed.runs[..] {
        [run] if export::is_facenet(run) => {
            export::embedder(run, &embedder(folder)?, &name("facenet-128"), &typed.licence)?
        }
        runs => export::detector(runs, detector, &name("mtcnn-trained"), &typed.licence)?,
    };
    pack.write(&typed.out)?;
    say::line(&format!("{}: model id {}", typed.out.display(), pack.id));
    Ok(())
}

fn load(config: &Config, detector: &Pack, threads: usize) -> Result<Loaded> {
    let labels =
        Labels { detector, min_face_px: config.min_face_px, depth: config.stage.depth(), threads };
    let bar = say::bar(0, "reading pictures");
    let loaded = pictures::load(config.sets(), config.held_back, &labels, &|done, all| {
        bar.set_length(all as u64);
        bar.set_position(done as u64);
    })?;
    bar.finish_and_clear();
    say::line(&format!(
        "{} pictures to learn from, {} held back, {} left out",
        loaded.train.pictures.len(),
        loaded.held.pictures.len(),
        loaded.skipped.len()
    ));
    for why in &loaded.skipped {
        say::line(&format!("left out: {why}"));
    }
    Ok(loaded)
}
