//! `threshold flash`: a bundle becomes what a unit runs.
//!
//! Owns the order: the bundle is checked here against what the unit believes, what will happen is said, what the unit has not is
//! sent, installed, started on trial, and watched until it is confirmed or the unit went back. Works with a unit of any version, but
//! for `--gallery`.
//! Refuses a bundle that the unit would refuse before a byte is sent, another embedding model by which people have no template without
//! `--yes-re-enrol`, and to call done what is not confirmed.

pub mod delta;
pub mod file;
pub mod first;
pub mod gallery;
mod maker;
mod watch;

use super::Answer;
use crate::args;
use crate::meant::Meant;
use crate::say::hex;
use crate::session::wait::{Machine, through_cuts};
use crate::session::{Session, SessionError};
use file::BundleFile;
use gallery::WithBundle;
use serde_json::{Value, json};
use std::time::Duration;
use threshold_bundle::{FileKind, Installed, Trust};
use threshold_record::ModelId;
use threshold_wire::endpoints::{ApplyUpdate, GetSlots};
use threshold_wire::message::Nothing;
use threshold_wire::update::{
    Slot, SlotState, Slots, SlotsTold, UpdateApplied, UpdateApply, UpdateRefusal,
};

/// Time between two questions how far an installation is.
const APPLY_POLL: Duration = Duration::from_millis(300);

/// How long a unit may take to check and write a bundle: a minute on an emulated board, some seconds on others.
const APPLY_PATIENCE: Duration = Duration::from_secs(600);

/// Why a unit does not come to run a bundle.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The unit runs from no slot that it tells of.
    #[error("the unit does not say which of its slots it runs from; look at threshold slots")]
    NothingRuns,
    /// What runs is not confirmed yet.
    #[error(
        "{version} is still on trial at the unit; wait until it is confirmed, or threshold confirm or threshold revert"
    )]
    OnTrial {
        /// The version.
        version: String,
    },
    /// Another embedding model.
    #[error(
        "the bundle brings another embedding model, by which the unit has no template of {people} people; send theirs with --gallery (threshold vault re-embed, then threshold vault export), or --yes-re-enrol if they are to be enrolled again"
    )]
    ReEnrol {
        /// How many.
        people: u32,
    },
    /// The unit's own model stays.
    #[error(
        "the bundle brings the model that the unit runs, so that its gallery stays; leave --gallery out"
    )]
    SameModel,
    /// The gallery is of neither.
    #[error(
        "{path} has templates of model {model}, which the bundle does not bring; export it with the bundle's pack (threshold vault export --model)"
    )]
    OtherGallery {
        /// As typed.
        path: String,
        /// Its model.
        model: ModelId,
    },
    /// The bundle of `--from` is not what the unit runs.
    #[error("{path} is not the bundle that the unit runs; give that one, or leave --from out")]
    OtherBase {
        /// As typed.
        path: String,
    },
    /// The unit went back.
    #[error(
        "{version} was not confirmed and the unit went back to {now}: {why}; threshold log pull tells what the trial met"
    )]
    WentBack {
        /// The version that was tried.
        version: String,
        /// What runs now.
        now: String,
        /// What it said of itself.
        why: String,
    },
    /// Neither, for too long.
    #[error(
        "{version} was neither confirmed nor given up within {waited_s} s, last heard: {said}; threshold slots shows how it stands"
    )]
    Undecided {
        /// The version that is tried.
        version: String,
        /// How long.
        waited_s: u64,
        /// What was heard last.
        said: String,
    },
}

/// `threshold flash`.
///
/// # Errors
/// [`FlashError`], a bundle that is none or not for the unit, a unit that does not answer or says no.
pub fn run(meant: &Meant, typed: &args::Flash) -> anyhow::Result<Answer> {
    if let Some(machine) = &typed.first {
        return first::run(meant, &first::Machine::named(machine), typed);
    }
    let bytes = file::bytes(&typed.file)?;
    let mut session = Session::open_to_update(meant)?;
    let unit = session.hello().unit.to_string();
    let there = slots(&mut session)?;
    drop(session);
    let running = running(&there)?.clone();
    let bundle = BundleFile::of(&typed.file, bytes, &trust(&there), &installed(&there))?;
    if bundle.id == running.bundle && SlotState::of(running.state) == Some(SlotState::Confirmed) {
        let value = json!({ "unit": unit, "version": bundle.manifest.version, "result": "there" });
        meant.say.result(&value, || {
            format!("{unit} runs {} already; nothing was sent", bundle.manifest.version)
        })?;
        return Ok(Answer::Yes);
    }
    check(&there, &running, &bundle, typed)?;
    let gallery = typed.gallery.as_deref();
    let gallery = gallery.map(|path| WithBundle::read(meant, path, &bundle)).transpose()?;
    let staged = gallery.map(|gallery| gallery.stage(meant, &bundle)).transpose()?;
    if let Some(staged) = &staged {
        meant.say.note(&staged.text());
        if staged.without > 0 && !typed.yes_re_enrol {
            return Err(FlashError::ReEnrol { people: staged.without }.into());
        }
    }
    let base = base(meant, typed, &there, &running)?;
    let delta = base.and_then(|base| delta::of(&bundle, &base));
    let content = delta.as_deref().unwrap_or(&bundle.bytes);
    let enrols_all = staged.is_none() && is_other_model(&there, &bundle);
    meant.say.note(&plan(
        &unit,
        &there,
        &running,
        &bundle,
        content.len(),
        delta.is_some(),
        enrols_all,
    ));
    let sent = install(meant, content, &bundle.id, typed.yes_re_enrol);
    let (sent_bytes, is_delta) = match sent {
        // The unit's own base is not what it said, or it opens no delta.
        Err(SessionError::Update(refusal))
            if delta.is_some()
                && matches!(
                    refusal.code,
                    UpdateRefusal::OTHER_BASE | UpdateRefusal::BAD_BUNDLE
                ) =>
        {
            meant.say.warn(&format!("{refusal}; sending it whole"));
            install(meant, &bundle.bytes, &bundle.id, typed.yes_re_enrol)?;
            (bundle.bytes.len(), false)
        }
        sent => {
            sent?;
            (content.len(), delta.is_some())
        }
    };
    meant.say.note("installed; waiting for the unit to start it on trial");
    let slot = watch::until_decided(meant, &bundle)?;
    if let Err(error) = file::keep(&meant.keychain.bundles(), &bundle) {
        meant.say.warn(&format!("the bundle was not kept for the next update: {error}"));
    }
    let value = json!({
        "unit": unit,
        "from": { "version": running.version.as_str(), "counter": running.counter },
        "to": { "version": bundle.manifest.version, "counter": bundle.manifest.counter, "bundle": hex(&bundle.id) },
        "sent_bytes": sent_bytes,
        "bundle_bytes": bundle.bytes.len(),
        "delta": is_delta,
        "slot": slot,
        "gallery": staged.as_ref().map(gallery::StagedThere::value),
        "result": "confirmed",
    });
    meant.say.result(&value, || {
        format!("{unit} runs {} from slot {slot}, confirmed", bundle.manifest.version)
    })?;
    Ok(Answer::Yes)
}

/// How the unit's slots stand.
///
/// # Errors
/// [`SessionError`].
pub(super) fn slots<T: crate::session::port::Transport>(
    session: &mut Session<T>,
) -> Result<Slots, SessionError> {
    match session.call::<GetSlots>(&Nothing {})? {
        SlotsTold::Told(slots) => Ok(slots),
        SlotsTold::Refused(refusal) => Err(refusal.into()),
    }
}

/// Sends a content and has it installed. After a cut the unit may have started what it was sent: then nothing is sent again.
fn install(
    meant: &Meant,
    content: &[u8],
    id: &[u8; 32],
    re_enrol: bool,
) -> Result<(), SessionError> {
    let accepts = if re_enrol { UpdateApply::RE_ENROL } else { 0 };
    let bar = meant.say.transfer(content.len() as u64, "sending");
    let mut is_again = false;
    let sent = through_cuts(
        meant.wait,
        &mut Machine::new(),
        || Session::open_to_update(meant),
        |session| {
            if std::mem::replace(&mut is_again, true) && watch::has_come(&slots(session)?, id) {
                return Ok(());
            }
            let hash = session.push_update(content, &mut |there, _| bar.set_position(there))?;
            apply(meant, session, UpdateApply { hash, accepts })
        },
    );
    bar.finish_and_clear();
    sent.map(|_| ())
}

fn apply<T: crate::session::port::Transport>(
    meant: &Meant,
    session: &mut Session<T>,
    asked: UpdateApply,
) -> Result<(), SessionError> {
    let bar = meant.say.bar(100, "installing");
    let most = APPLY_PATIENCE.as_millis() / APPLY_POLL.as_millis();
    for _ in 0..most {
        match session.call::<ApplyUpdate>(&asked)? {
            UpdateApplied::Working { percent } => bar.set_position(percent.into()),
            UpdateApplied::Installed => {
                bar.finish_and_clear();
                return Ok(());
            }
            UpdateApplied::Refused(refusal) => return Err(refusal.into()),
        }
        session.pause(APPLY_POLL)?;
    }
    let text = format!(
        "the unit was still installing after {} s; look at threshold slots",
        APPLY_PATIENCE.as_secs()
    );
    Err(UpdateRefusal::new(UpdateRefusal::BUSY, &text).into())
}

/// The slot that the unit runs from.
fn running(there: &Slots) -> Result<&Slot, FlashError> {
    there.slots.iter().find(|slot| slot.running).ok_or(FlashError::NothingRuns)
}

/// Whom the unit believes, and what it takes.
fn trust(there: &Slots) -> Trust {
    Trust { release_key: there.release_key, serial: there.serial }
}

fn installed(there: &Slots) -> Installed {
    Installed { compatible: there.compatible.to_string(), counter: there.counter }
}

/// What the unit would refuse is refused here.
fn check(
    there: &Slots,
    running: &Slot,
    bundle: &BundleFile,
    typed: &args::Flash,
) -> Result<(), FlashError> {
    if SlotState::of(running.state) == Some(SlotState::Trial) {
        return Err(FlashError::OnTrial { version: running.version.to_string() });
    }
    match (is_other_model(there, bundle), &typed.gallery) {
        (true, None) if !typed.yes_re_enrol => Err(FlashError::ReEnrol { people: there.people }),
        (_, Some(_)) if !brings_another(there, bundle) => Err(FlashError::SameModel),
        _ => Ok(()),
    }
}

/// True if nobody's template can be compared with the bundle's models.
fn is_other_model(there: &Slots, bundle: &BundleFile) -> bool {
    there.people > 0 && brings_another(there, bundle)
}

/// True if the unit's model is none of the bundle's. A bundle without packs leaves the unit its own.
fn brings_another(there: &Slots, bundle: &BundleFile) -> bool {
    let mut packs = bundle.manifest.files.iter().filter(|file| file.kind == FileKind::Pack);
    let has = packs.clone().next().is_some();
    has && there.model != [0; 32] && !packs.any(|pack| pack.hash() == there.model)
}

/// The bundle that the unit runs, if it is here.
fn base(
    meant: &Meant,
    typed: &args::Flash,
    there: &Slots,
    running: &Slot,
) -> anyhow::Result<Option<BundleFile>> {
    // It was taken once; only what it is counts now.
    let any = Installed { counter: 0, ..installed(there) };
    let trust = Trust { serial: 0, ..trust(there) };
    let Some(path) = &typed.from else {
        let kept = file::kept(&meant.keychain.bundles(), &running.bundle);
        let bytes = file::bytes(&kept).ok();
        let base = bytes.and_then(|bytes| BundleFile::of(&kept, bytes, &trust, &any).ok());
        return Ok(base.filter(|base| base.id == running.bundle));
    };
    let base = BundleFile::of(path, file::bytes(path)?, &trust, &any)?;
    match base.id == running.bundle {
        true => Ok(Some(base)),
        false => Err(FlashError::OtherBase { path: path.display().to_string() }.into()),
    }
}

/// What will happen, in words.
fn plan(
    unit: &str,
    there: &Slots,
    running: &Slot,
    bundle: &BundleFile,
    len: usize,
    is_delta: bool,
    enrols_all: bool,
) -> String {
    let manifest = &bundle.manifest;
    let mut text = format!("{unit}: {} -> {}", running.version, manifest.version);
    if manifest.counter > there.counter {
        text += &format!(
            ", security counter {} -> {}: once it is confirmed nothing older runs again",
            there.counter, manifest.counter
        );
    }
    let what = if is_delta { "what changed" } else { "the bundle whole" };
    text += &format!("; {:.1} MB to send ({what})", len as f64 / 1e6);
    if enrols_all {
        text += &format!(
            "; another embedding model: {} people must be enrolled again, and the trial is given up over their gallery unless you confirm \
             it (threshold confirm) and have the unit started once with --discard-templates",
            there.people
        );
    }
    text
}

/// A slot as JSON shows it.
pub(super) fn slot_value(slot: &Slot) -> Value {
    json!({
        "slot": slot.name.as_str(),
        "version": slot.version.as_str(),
        "state": state_word(slot.state),
        "running": slot.running,
        "counter": slot.counter,
        "trials_left": slot.trials_left,
        "bundle": hex(&slot.bundle),
        "said": slot.said.as_str(),
    })
}

/// A state's word; a later version's has its number.
pub(super) fn state_word(number: u8) -> String {
    let word = match SlotState::of(number) {
        Some(SlotState::Empty) => "empty",
        Some(SlotState::Confirmed) => "confirmed",
        Some(SlotState::Trial) => "trial",
        Some(SlotState::Failed) => "not_confirmed",
        Some(SlotState::TooOld) => "too_old",
        Some(SlotState::Damaged) => "damaged",
        None => return format!("state_{number}"),
    };
    word.to_owned()
}
