//! The commands: from what was typed to runs, sheets and packs.
//!
//! Owns where configuration, pictures and the installed detector come from. Refuses to put a pack where units look for
//! one: the file is named by whoever asks for it.

use crate::args::{self, Command, Typed};
use crate::config::Config;
use crate::export;
use crate::pictures::{self, Labels, Loaded};
use crate::run::Run;
use crate::say::{self, Progress};
use crate::sheet;
use anyhow::{Context as _, Result};
use std::num::NonZero;
use threshold_models::pack::{Pack, PackDir};

/// Does what was typed.
///
/// # Errors
/// Whatever the command says.
pub fn run(typed: &Typed) -> Result<()> {
    let folder = PackDir::locate(typed.packs.as_deref())?;
    let detector = PackDir::open(&folder).and_then(|dir| dir.detector()).context(
        "samples are labelled and mined by the installed detector; run `cargo xtask setup`",
    )?;
    let threads = typed.threads.map(usize::from);
    let threads =
        threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, NonZero::get));
    match &typed.command {
        Command::Mtcnn(typed) => train(typed, &detector, threads),
        Command::Preview(typed) => preview(typed, &detector, threads),
        Command::Pack(typed) => pack(typed, &detector),
    }
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

fn pack(typed: &args::Pack, detector: &Pack) -> Result<()> {
    let pack = export::detector(&typed.runs, detector, &typed.name, &typed.licence)?;
    pack.write(&typed.out)?;
    say::line(&format!("{}: model id {}", typed.out.display(), pack.id));
    Ok(())
}

fn load(config: &Config, detector: &Pack, threads: usize) -> Result<Loaded> {
    let labels =
        Labels { detector, min_face_px: config.min_face_px, depth: config.stage.depth(), threads };
    let bar = say::bar(0, "reading pictures");
    let loaded =
        pictures::load(&config.wider, &config.people, config.held_back, &labels, &|done, all| {
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
