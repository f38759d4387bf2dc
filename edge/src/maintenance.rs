//! `threshold-edge store`: looks at a data folder of a unit that does not run, or at its device, checks it, tries or does what a start
//! does, and formats a device.
//!
//! Owns the words. Refuses to change what the folder holds but with `repair` without `--dry-run`, to make a store where none is, and to mend what a start would not take: damage
//! of what was durable is a fault, and its remedy a backup.

use crate::args::{Label, StoreCommand, StoreFolder};
use crate::config::{FolderKeys, KeeperKind, KeysConfig};
use crate::notices::Notices;
use crate::storage::{Storage, format_device};
use anyhow::{Context as _, bail};
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use std::path::Path;
use std::sync::Arc;
use threshold_store::cells::Fill;
use threshold_store::overlay::Changed;
use threshold_store::{
    Flash, Keeper, KeyProvider, Object, Overlay, StillKeys, Store, StoreError, StoreSize, TailCut,
    verify,
};
use threshold_tpm::SEALED_FILE;
use threshold_wire::pairing::PairingCode;

/// Steps after which tidying is given up: more than a full gallery has segments, three times over.
const MAX_STEPS: u32 = 2_000;

/// Does what was typed, and says what it saw.
///
/// # Errors
/// If the folder is not there or in use, if the log has an entry that nobody can vouch for, or if a start would fail.
pub fn run(typed: &StoreCommand, notices: &Notices) -> anyhow::Result<()> {
    match typed {
        StoreCommand::Inspect(typed) => inspect(typed, notices),
        StoreCommand::Verify(typed) => check(typed, notices),
        StoreCommand::Format { device, again, yes, erase_store } => {
            if !yes && again.as_ref() != Some(device) {
                bail!(
                    "everything on {} would be erased; type its name twice, or --yes",
                    device.display()
                );
            }
            let bytes = format_device(device, *erase_store)?;
            let device = device.display();
            notices.tell(&format!(
                "{device} is formatted, {bytes} bytes; name it as `store` in [unit], and start the unit"
            ));
            Ok(())
        }
        StoreCommand::Repair { folder, dry_run } => repair(folder, *dry_run, notices),
        StoreCommand::MoveSecret { folder, to } => move_secret(folder, *to, notices),
    }
}

/// Says the code with which an administrator pairs. A folder or device without a store gets one, so that a label can be printed before
/// the first start.
///
/// # Errors
/// If the store cannot be opened.
pub fn label(typed: &Label, asked_for: &Notices) -> anyhow::Result<()> {
    let flash = storage(&typed.folder)?;
    let size = flash.size();
    let (store, _) = Store::open_sized(Box::new(flash), keeper(&typed.folder), size)?;
    let code = PairingCode::of_bytes(*store.pairing_code()).text();
    asked_for.tell(&format!("pairing code: {code}"));
    if typed.qr {
        let drawn = QrCode::new(code.as_str()).context("no QR code")?;
        // Of light letters on a dark ground, as terminals have them.
        let mut image = drawn.render::<Dense1x2>();
        asked_for.tell(&image.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build());
    }
    Ok(())
}

/// The keeper of a folder's secret: the TPM that was named, or that sealed what lies there, or else the file.
fn keeper(typed: &StoreFolder) -> Arc<FolderKeys> {
    let is_sealed = typed.tpm.is_some() || typed.data.join(SEALED_FILE).exists();
    keeper_of_kind(typed, if is_sealed { KeeperKind::Tpm } else { KeeperKind::File })
}

fn keeper_of_kind(typed: &StoreFolder, keeper: KeeperKind) -> Arc<FolderKeys> {
    let by_default = KeysConfig::default();
    let tpm = typed.tpm.clone().unwrap_or(by_default.tpm);
    KeysConfig { keeper, tpm }.of(&typed.data)
}

fn storage(typed: &StoreFolder) -> anyhow::Result<Storage> {
    Storage::open(&typed.data, typed.device.as_deref()).context("data folder")
}

fn open(typed: &StoreFolder) -> anyhow::Result<Storage> {
    let folder = &typed.data;
    if !folder.is_dir() {
        bail!(
            "data folder: {} is no folder; name the one that the unit is started with",
            folder.display()
        );
    }
    let flash = storage(typed)?;
    if flash.len(Object::Anchor)?.is_none() && flash.len(Object::Keys)?.is_none() {
        bail!(
            "data folder: {} holds no unit's store; name the one that the unit is started with, and with --device \
             the device that [unit] names",
            typed.device.as_ref().unwrap_or(folder).display()
        );
    }
    Ok(flash)
}

/// The same, of a unit that is not being wiped: to open such a one is to finish that.
fn whole(typed: &StoreFolder) -> anyhow::Result<Storage> {
    let flash = open(typed)?;
    if flash.len(Object::Wiping)?.is_some() {
        bail!("a wipe was begun here and not finished; the next start of the unit finishes it");
    }
    Ok(flash)
}

/// The flash with a keeper, on neither of which anything is changed.
fn looked_at(typed: &StoreFolder) -> anyhow::Result<Looked> {
    let flash = whole(typed)?;
    let (size, fill) = (flash.size(), flash.fill());
    let keys = Arc::new(StillKeys::over(keeper(typed)));
    Ok(Looked { overlay: Overlay::over(flash), keys, size, fill })
}

/// What is looked at.
struct Looked {
    overlay: Overlay,
    keys: Arc<dyn KeyProvider>,
    size: StoreSize,
    fill: Option<Fill>,
}

fn inspect(typed: &StoreFolder, notices: &Notices) -> anyhow::Result<()> {
    let Looked { overlay, keys, size, fill } = looked_at(typed)?;
    objects(&overlay, typed.device.as_ref().unwrap_or(&typed.data), notices)?;
    if let Some(Fill { cell_bytes, cells, free, bad, most_erased }) = fill {
        notices.tell(&format!(
            "device: {free} of {cells} cells of {cell_bytes} bytes are free, {bad} are bad, the most worn one was \
             erased {most_erased} times"
        ));
    }
    let (mut store, cut) = Store::open_sized(Box::new(overlay), keys, size)?;
    tell_cut(cut, notices);
    if let Err(error) = store.load_any_gallery() {
        notices.tell(&format!("gallery: {error}"));
    }
    facts(&store, notices)
}

fn check(typed: &StoreFolder, notices: &Notices) -> anyhow::Result<()> {
    let flash = whole(typed)?;
    let keys: Arc<dyn KeyProvider> = Arc::new(StillKeys::over(keeper(typed)));
    let verified = verify(&flash, &keys, None)?;
    notices.tell(&format!(
        "log: {} entries, {} to {}, in {} segments are as the unit wrote them",
        verified.entries, verified.oldest, verified.head, verified.segments
    ));
    tell_pruned(verified.pruned, notices);
    if verified.torn_bytes > 0 {
        notices.tell(&format!(
            "log: behind them stand {} bytes of a write that was cut off; the next start leaves them out",
            verified.torn_bytes
        ));
    }
    if let Some(bad) = verified.first_bad {
        bail!("log: entry {} is not as the unit wrote it: {}", bad.sequence, bad.why);
    }
    let size = flash.size();
    let (mut store, _) = Store::open_sized(Box::new(Overlay::over(flash)), keys, size)?;
    let gallery = store.load_any_gallery().context("gallery")?;
    notices.tell(&format!(
        "gallery: {} people with {} templates, generation {}, are as the unit wrote them",
        gallery.n_people(),
        gallery.n_templates(),
        gallery.generation()
    ));
    Ok(())
}

fn repair(typed: &StoreFolder, dry_run: bool, notices: &Notices) -> anyhow::Result<()> {
    if !dry_run {
        let keys = keeper(typed);
        let (flash, keeper) = (open(typed)?, Arc::clone(&keys) as Arc<dyn KeyProvider>);
        let size = flash.size();
        start(Box::new(flash), keeper, size, notices)?;
        // Beside a sealed file that nobody named, the plain one may be what the unit is configured for.
        if typed.tpm.is_some() {
            keys.drop_plain().map_err(StoreError::from)?;
        }
        notices.tell("done: the next start finds nothing to mend");
        return Ok(());
    }
    let Looked { overlay, keys, size, .. } = looked_at(typed)?;
    start(Box::new(overlay.clone()), keys, size, notices)?;
    for Changed { object, before, after } in overlay.changes()? {
        let line = match (before, after) {
            (None, Some(after)) => format!("would make {object}, {after} bytes"),
            (Some(before), Some(after)) => {
                format!("would write {object}, {before} bytes, {after} then")
            }
            (Some(before), None) => format!("would remove {object}, {before} bytes"),
            (None, None) => continue,
        };
        notices.tell(&line);
    }
    Ok(())
}

/// Has another keeper hold the secret of a folder. It is kept there, and the store would open with it, before the one before forgets
/// it, and only then a start is made: whatever is cut off is done by the same command again.
fn move_secret(typed: &StoreFolder, to: KeeperKind, notices: &Notices) -> anyhow::Result<()> {
    let (from, word) = match to {
        KeeperKind::File => (KeeperKind::Tpm, "file"),
        KeeperKind::Tpm => (KeeperKind::File, "tpm"),
    };
    let flash = whole(typed)?;
    let (from, to) = (keeper_of_kind(typed, from), keeper_of_kind(typed, to));
    let Some(secret) = from.secret().map_err(StoreError::from)? else {
        if to.secret().map_err(StoreError::from)?.is_none() {
            return Err(StoreError::NoSecret.into());
        }
        to.drop_plain().map_err(StoreError::from)?;
        notices.tell(&format!("the secret is kept there already; keeper = \"{word}\" in [keys]"));
        return Ok(());
    };
    drop(flash);
    let opens = |keys: &Arc<FolderKeys>| -> anyhow::Result<()> {
        let still = Arc::new(StillKeys::over(Arc::clone(keys) as Arc<dyn KeyProvider>));
        let flash = whole(typed)?;
        let size = flash.size();
        drop(Store::open_sized(Box::new(Overlay::over(flash)), still, size)?);
        Ok(())
    };
    // A move that was cut off may have left the store so that it opens through the other one alone.
    let is_there = matches!(to.secret(), Ok(Some(held)) if held == secret) && opens(&to).is_ok();
    if !is_there {
        // Nothing is moved of a store that would not open.
        opens(&from)?;
        // What a move that was cut off left there counts from its own time on.
        to.forget_here().and_then(|()| to.keep(&secret)).map_err(StoreError::from)?;
        opens(&to)?;
    }
    from.forget_here().map_err(StoreError::from)?;
    let flash = whole(typed)?;
    let size = flash.size();
    start(Box::new(flash), to, size, notices)?;
    notices.tell(&format!(
        "done: keeper = \"{word}\" in [keys] before the next start; what the medium had of the secret before may still be read from its \
         pages, so wipe and pair a unit whose medium somebody may have copied"
    ));
    Ok(())
}

/// What a start does to a store, and what it does while nobody is there.
fn start(
    flash: Box<dyn Flash>,
    keys: Arc<dyn KeyProvider>,
    size: StoreSize,
    notices: &Notices,
) -> anyhow::Result<()> {
    let (mut store, cut) = Store::open_sized(flash, keys, size)?;
    tell_cut(cut, notices);
    store.load_any_gallery().context("gallery")?;
    let mut steps = 0;
    while store.tidy_up()? && steps < MAX_STEPS {
        steps += 1;
    }
    facts(&store, notices)
}

fn tell_cut(cut: Option<TailCut>, notices: &Notices) {
    if let Some(TailCut { head, bytes }) = cut {
        notices.tell(&format!(
            "log: {bytes} bytes behind entry {head} are of a write that was cut off; nothing acknowledged was lost"
        ));
    }
}

fn tell_pruned(first: u64, notices: &Notices) {
    if first > 0 {
        notices.tell(&format!(
            "log: the entries before {first} were pruned by an owner, which an entry tells"
        ));
    }
}

fn objects(flash: &dyn Flash, folder: &Path, notices: &Notices) -> anyhow::Result<()> {
    notices.tell(&format!("{}:", folder.display()));
    let series = threshold_store::Series::ALL.into_iter();
    let segments = series.flat_map(|of| flash.segments(of).into_iter().map(move |n| of.segment(n)));
    for object in Object::FIXED.into_iter().chain(segments) {
        if let Some(len) = flash.len(object)? {
            notices.tell(&format!("  {object}  {len} bytes"));
        }
    }
    Ok(())
}

fn facts(store: &Store, notices: &Notices) -> anyhow::Result<()> {
    let figures = store.figures()?;
    let (segments, kept) = figures.log_segments;
    notices.tell(&format!(
        "log: entries {} to {}, {segments} of {kept} segments, {} bytes; {} segments begun since the first start, {} bytes held back",
        store.log_oldest(),
        store.log_head(),
        figures.log_bytes,
        figures.log_segments_begun,
        figures.reserve_bytes
    ));
    tell_pruned(store.log_pruned(), notices);
    if let Some(gallery) = store.gallery() {
        notices.tell(&format!(
            "gallery: {} people with {} templates of model {}, generation {}, {} segments, {} bytes; {} people were removed",
            gallery.n_people(),
            gallery.n_templates(),
            gallery.model(),
            gallery.generation(),
            figures.gallery_segments,
            figures.gallery_bytes,
            figures.tombstones
        ));
    }
    let keeper = match figures.keeper {
        Keeper::File => {
            "a file beside it, for development: whoever copies the medium reads everything"
        }
        Keeper::Memory => "nothing yet",
        Keeper::Tpm => "a TPM, which alone opens it",
    };
    notices.tell(&format!(
        "unit: {} starts, {} administrators, {} data keys, the secret kept by {keeper}",
        store.boot(),
        store.roster().administrators().len(),
        figures.data_keys
    ));
    if let Some(at) = figures.counter {
        notices.tell(&format!("counter: {at}, by which a medium that was put back is found"));
    }
    Ok(())
}
