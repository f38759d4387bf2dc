//! `threshold-edge run`: puts the parts together and keeps the loop going until a signal.
//!
//! What is typed wrong ends the program with an error; a part that fails leaves a unit that stays locked and says why.

use crate::args::{Command, Typed};
use crate::capture;
use crate::clock::SystemClock;
use crate::commits::Commits;
use crate::config::{self, Config, Held, UnitConfig};
use crate::display;
use crate::door;
use crate::heat::Heat;
use crate::maintenance;
use crate::manager::Manager;
use crate::notices::Notices;
use crate::presentation;
use crate::reader;
use crate::service::{self, Access, Button, FileButton, line};
use crate::start::{self, Begun, Room};
use crate::state::{Ending, Identity, RecoveryRecord, Shared, State};
use crate::storage::Storage;
use crate::trial::{self, Trial};
use crate::unit::{Clock, Indicator, Unit};
use crate::update::Updates;
use anyhow::{Context as _, bail};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_record::Cause;
use threshold_store::{
    CellsError, FileFlash, Flash, FlashFault, KeyProvider, Object, Store, StoreError,
};

/// How long the loop waits for the camera before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(50);

/// How long a start waits for the TPM's device: the driver of one on SPI is a module that comes with the first seconds of a boot, and
/// the service manager waits 60 s for the start.
const TPM_PATIENCE: Duration = Duration::from_secs(10);

/// What is wrong once nobody serves the line.
const NO_ANSWERS: &str = "the thread that answers administrators ended; start the unit again, and report this with the log";

/// The exit status of a unit that is to be started again (EX_TEMPFAIL): by `Restart=on-failure` or
/// `RestartForceExitStatus=75` of a service manager.
pub const START_AGAIN: u8 = 75;

/// Does what was typed; gives how the unit ended if it was told to over the line.
///
/// # Errors
/// If a name that was typed leads nowhere, or another unit uses the data folder.
pub fn run(typed: Typed, notices: &Notices) -> anyhow::Result<Option<Ending>> {
    let typed = match typed.command {
        Command::Run(typed) => typed,
        Command::Config(typed) => {
            return config::tell(&typed, notices, &Notices::to_stdout()).map(|()| None);
        }
        Command::Label(typed) => {
            return maintenance::label(&typed, &Notices::to_stdout()).map(|()| None);
        }
        Command::Store(typed) => return maintenance::run(&typed, notices).map(|()| None),
    };
    let beneath = Config::of(&typed)?;
    // Before any other part, so that a relay which a unit killed in its pulse left released is locked again, if the launcher did not do
    // it (`threshold-launch lock`). What was set over the line says nothing of the wiring.
    let mut lines = door::Lines::take(&beneath.door, &beneath.controller);
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).context("no signal handler")?;
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
    let keys = beneath.keys.of(&beneath.unit.data);
    let unit_config = beneath.unit.clone();
    let folder = take_folder(&unit_config, notices);
    match &folder {
        Err(StoreError::Flash(error)) if error.fault == FlashFault::Busy => {
            bail!("data folder: {error}")
        }
        Err(error @ StoreError::Device(CellsError::Busy)) => bail!("{error}"),
        _ => {}
    }
    // Once the folder is this unit's alone: a start of a trial is counted there.
    let (held, fell_back) = Held::load(beneath, Held::typed(&typed));
    let config = held.running().clone();
    lines.running(&config.door);
    let camera = capture::open(&config.camera, Arc::clone(&clock), notices).context("camera")?;
    let beside = FileFlash::open(&config.unit.commission()?);
    let record = RecoveryRecord::open(beside.map(|flash| Box::new(flash) as Box<dyn Flash>));
    let (line, pty) = line::open(&config.link.serial)?;
    let zone = config.unit.zone()?;
    keys.await_tpm(TPM_PATIENCE, || stop.load(Ordering::Relaxed));
    // Before the store counts this start: one that ends until here is none, and one that is repeated for ever would wear out the
    // counter of a keeper.
    let mut folder = Some(folder);
    let open = |room| {
        let taken = folder.take().unwrap_or_else(|| take_folder(&unit_config, notices));
        let mut flash = taken?;
        if room == Room::Reserve {
            start::give_up_reserve(&mut flash)?;
        }
        let (size, keeper) = (flash.size(), Arc::clone(&keys) as Arc<dyn KeyProvider>);
        let opened = Store::open_sized(Box::new(flash), keeper, size)?;
        keys.drop_plain()?;
        Ok(opened)
    };
    let Begun { journal, used_reserve, of_keys } = start::begin(open, &clock, notices);
    let trusted = pty || typed.insecure_dev_link;
    if typed.insecure_dev_link {
        notices.tell("insecure: whoever reaches the serial line may change the gallery");
    }
    let identity = Identity {
        unit: config.unit.name.clone().unwrap_or_else(machine_name),
        build: env!("CARGO_PKG_VERSION"),
        insecure_link: trusted,
        zone,
    };
    let mut state = State::starting(identity, Arc::clone(&clock), notices.clone(), journal, record);
    if let Some(error) = of_keys {
        state.keys_failed(&error);
    }
    if used_reserve {
        state.reserve_used_by_start();
    }
    let shared = Shared::new(state);
    // Without the thread each entry is durable before the next one.
    let commits = Commits::spawn(&shared);
    if let Err(error) = &commits {
        notices.tell(&format!("log: every entry is written by itself: {error}"));
    }
    shared.lock().set_config(held, fell_back.as_ref());
    let updates = trial::slots(notices)
        .map(|(slots, folder, slot)| Updates::of(slots, folder, slot, &config.unit.data));
    let before = updates.as_ref().map(Updates::before).unwrap_or_default();
    let mut trial = Trial::of(updates.as_ref().map(Updates::slots).as_deref(), before, notices);
    if let Some(updates) = &updates {
        trial::tell(&mut updates.slots(), &shared, notices);
        shared.lock().set_updates(updates.clone());
    }
    if typed.dev_button.is_some() {
        notices.tell(
            "insecure: whoever writes the button's file may pair, with the code on the label",
        );
    }
    let file =
        typed.dev_button.clone().map(|path| Box::new(FileButton::at(path)) as Box<dyn Button>);
    let buttons = file.into_iter().chain(lines.button()).collect();
    let access = Access { trusted, buttons };
    let service = service::spawn(line, shared.clone(), access, notices.clone(), Arc::clone(&stop))
        .context("no thread for the service")?;
    let mut manager = Manager::from_environment();
    manager.ready();
    let door = lines.open(&shared, &clock, notices);
    let display = display::open(&config.display, notices).context("no thread for the display")?;
    let reader = reader::open(&config.reader, &shared, &clock, notices);
    let attacks = presentation::installed();
    let (engine, spare) = start::load(&config, typed.discard_templates, attacks.is_some(), &shared);
    // A camera that was not there by now is a fault from the first entry on, and mends with its first frame.
    if let Some(fault) = camera.fault() {
        shared.lock().fail(Cause::Camera, &fault.to_string());
    }
    shared.lock().start_done();
    let door = door.context("no thread for the door")?;
    let reader = reader.context("no thread for the reader")?;
    let indicator = match display.indicator {
        Some(display) => Box::new([door.indicator, display]) as Box<dyn Indicator>,
        None => door.indicator,
    };
    let mut unit = Unit::new(camera, door.lock, engine, shared.clone(), clock, notices.clone())
        .shown_by(indicator)
        .read_by(reader.reader)
        .backed_by(spare)
        .judged_by(attacks)
        .kept_cool_by(Heat::of(Path::new(Heat::ZONES), &config.heat));
    let ending = go_round(&mut unit, &mut manager, &shared, &stop, || {
        let answers = !service.is_finished();
        let slots = || updates.as_ref()?.slots_now().ok();
        trial.look(slots, &shared, || answers && service::probe::answers(&shared));
        if let Some(updates) = &updates {
            updates.look_beside(&shared);
        }
        shared.lock().look_at_config();
        answers
    });
    manager.stopping();
    stop.store(true, Ordering::Relaxed);
    drop(unit);
    drop(door.end);
    drop(reader.end);
    drop(display.end);
    drop(commits);
    shared.lock().stop();
    // Ends within its own patience; drops the line, and with it the link to the pseudo-terminal.
    let _ = service.join();
    notices.tell(match ending {
        Some(_) => "stopped, to be started again",
        None => "stopped",
    });
    Ok(ending)
}

/// Takes a data folder for this unit alone, and the device that it may have. If its store is to finish a wipe, what was set over the line
/// goes before: a wipe that was cut off left it there.
fn take_folder(unit: &UnitConfig, notices: &Notices) -> Result<Storage, StoreError> {
    let flash = Storage::open(&unit.data, unit.store.as_deref())?;
    if flash.len(Object::Wiping)?.is_some()
        && let Err(error) = Held::forget_in(&unit.data)
    {
        notices.tell(&format!("configuration: what was set over the line stays: {error}"));
    }
    Ok(flash)
}

/// Keeps the loop going until it shall stop, and says how it ends if an administrator had it so, which waits a while for whoever is at
/// the door; each round is told to `round`, and to the manager while that says that the thread which answers administrators runs. Once
/// it has ended nobody could be told of anything: a fault from then on, and the manager, which hears nothing more, starts the unit again.
pub fn go_round(
    unit: &mut Unit,
    manager: &mut Manager,
    shared: &Shared,
    stop: &AtomicBool,
    mut round: impl FnMut() -> bool,
) -> Option<Ending> {
    let mut ending = None;
    while !stop.load(Ordering::Relaxed) && ending.is_none() {
        unit.step(PATIENCE);
        match round() {
            true => manager.alive(shared),
            false => shared.lock().fail(Cause::Engine, NO_ANSWERS),
        }
        let engaged = unit.is_engaged();
        let state = shared.lock();
        ending = state.ending().filter(|_| !engaged || !state.may_wait());
    }
    ending
}

/// The machine's name; units of one site have different ones, or are given one.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "threshold".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn a_device_beside_a_folder_with_a_store_of_its_own_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let notices = Notices::to(Box::new(std::io::sink()));
        let device = folder.path().join("device");
        let file = std::fs::File::create(&device).unwrap();
        file.set_len(threshold_store::cells::MIN_DEVICE_BYTES).unwrap();
        let data = folder.path().join("data");
        let store = Some(device.clone());
        let unit = UnitConfig { data: data.clone(), store, ..UnitConfig::default() };
        let error = take_folder(&unit, &notices).unwrap_err();
        assert_eq!(error, CellsError::NotFormatted.into());
        crate::storage::format_device(&device, false).unwrap();
        let error = crate::storage::format_device(&device, false).unwrap_err().to_string();
        assert!(error.contains("; type --erase-store"), "{error}");
        crate::storage::format_device(&device, true).unwrap();
        let keys = config::KeysConfig::default().of(&data);
        let flash = take_folder(&unit, &notices).unwrap();
        let size = flash.size();
        assert!((10..420).contains(&size.log.segments), "{size:?}");
        drop(Store::open_sized(Box::new(flash), keys, size).unwrap());
        // The store is on the device, and the secret in the folder.
        assert!(!data.join(Object::Anchor.name()).exists() && data.join("unit.key").exists());
        std::fs::write(data.join(Object::Anchor.name()), b"of another").unwrap();
        let error = take_folder(&unit, &notices).unwrap_err();
        assert_eq!(error, CellsError::FolderToo { object: Object::Anchor }.into());
    }

    #[test]
    fn a_start_that_finishes_a_wipe_does_not_run_with_what_was_set() {
        let folder = tempfile::tempdir().unwrap();
        let set = folder.path().join("config/set.toml");
        let notices = Notices::to(Box::new(std::io::sink()));
        let unit = UnitConfig { data: folder.path().to_owned(), ..UnitConfig::default() };
        let put = || {
            std::fs::create_dir(folder.path().join("config")).unwrap();
            std::fs::write(&set, "[camera]\nfps = 20\n").unwrap();
        };
        put();
        drop(take_folder(&unit, &notices).unwrap());
        assert!(set.exists(), "nothing is wiped");
        // What a power cut leaves of a wipe.
        std::fs::write(folder.path().join(Object::Wiping.to_string()), "wiping\n").unwrap();
        drop(take_folder(&unit, &notices).unwrap());
        assert!(!set.exists());
    }
}
