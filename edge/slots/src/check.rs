//! Whether a slot holds a version that may be started: its signatures, its board, its counter, and every byte of it.
//!
//! Owns the one question that is asked before a version runs, goes on trial or is gone back to.

use crate::medium::Medium;
use crate::state::{Standing, State};
use crate::{Maker, PROGRAM, Slot};
use std::collections::BTreeSet;
use std::io::{self, Read as _};
use threshold_bundle::{BundleError, FileKind, Installed, Keys, Manifest, Texts, Trust};

/// The longest text of a slot; a bundle's reader has the same limit.
const MAX_TEXT: u64 = 1 << 16;

/// Why a slot's version may not be started.
#[derive(Debug, thiserror::Error)]
pub enum SlotFault {
    /// Nothing was installed there, or an installation was cut off.
    #[error("it is empty")]
    Empty,
    /// It was never confirmed, so that nobody goes back to it.
    #[error("its version was never confirmed")]
    NeverConfirmed,
    /// Its texts are not right, not for this unit, or below the security counter.
    #[error("{0}")]
    Texts(#[from] BundleError),
    /// Its texts are not those of the version that was installed.
    #[error("its manifest is not the one that was installed")]
    OtherManifest,
    /// It holds no program to start.
    #[error("it holds no program {PROGRAM}")]
    NoProgram,
    /// A file is not the manifest's.
    #[error(
        "{name} is damaged, missing, not of its manifest, or a program that may not be executed"
    )]
    File {
        /// Its name.
        name: String,
    },
    /// The medium.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// What a slot's texts say, if they may be believed. Reads four small files.
pub(crate) fn texts(
    medium: &dyn Medium,
    maker: &Maker,
    state: &State,
    slot: Slot,
) -> Result<(Manifest, Keys), SlotFault> {
    let held = state.held(slot);
    if held.standing == Standing::Empty {
        return Err(SlotFault::Empty);
    }
    let read = |name: &str| {
        let mut bytes = Vec::new();
        medium.open(slot, name)?.take(MAX_TEXT + 1).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let [keys, keys_signature, manifest, signature] = Texts::NAMES;
    let members = [read(keys)?, read(keys_signature)?, read(manifest)?, read(signature)?];
    let texts = Texts::of(members).ok_or(SlotFault::OtherManifest)?;
    let trust = Trust { release_key: maker.release_key, serial: state.serial };
    let installed = Installed { compatible: maker.compatible.clone(), counter: state.counter };
    let said = texts.verified(&trust, &installed)?;
    match blake3::hash(&texts.manifest).as_bytes() == &held.manifest {
        true => Ok(said),
        false => Err(SlotFault::OtherManifest),
    }
}

/// The same, if every file is as the manifest says and nothing else is there. Reads the whole slot.
pub(crate) fn whole(
    medium: &dyn Medium,
    maker: &Maker,
    state: &State,
    slot: Slot,
) -> Result<(Manifest, Keys), SlotFault> {
    let (manifest, keys) = texts(medium, maker, state, slot)?;
    let is_program = |name: &str, kind| name == PROGRAM && kind == FileKind::Program;
    if !manifest.files.iter().any(|file| is_program(&file.name, file.kind)) {
        return Err(SlotFault::NoProgram);
    }
    let named = manifest.files.iter().map(|file| file.name.as_str());
    let named: BTreeSet<&str> = named.chain(Texts::NAMES).collect();
    // A pack that nobody signed would be found by whoever looks through the folder.
    let there = medium.list(slot)?;
    if let Some(name) = there.into_iter().find(|name| !named.contains(name.as_str())) {
        return Err(SlotFault::File { name });
    }
    for file in &manifest.files {
        let fault = || SlotFault::File { name: file.name.clone() };
        let mut hasher = blake3::Hasher::new();
        let opened = match medium.open(slot, &file.name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(fault()),
            opened => opened?,
        };
        // One byte more than it should have, so that a longer one is another one.
        hasher.update_reader(opened.take(file.bytes + 1))?;
        if hasher.count() != file.bytes || hasher.finalize().as_bytes() != &file.hash() {
            return Err(fault());
        }
        // The manifest says nothing of a file's mode, and the launcher would find it out when it is too late for the other slot.
        if file.kind == FileKind::Program && !medium.may_execute(slot, &file.name)? {
            return Err(fault());
        }
    }
    Ok((manifest, keys))
}
