//! Starting the parts that may fail: packs, self-test, gallery, contexts.
//!
//! Owns the order, and that a part which fails leaves a unit that says so and stays locked. Refuses to arm before the
//! engine gave the packs' golden vectors.

use crate::capture;
use crate::config::Config;
use crate::engines::{self, EngineFault, Opened, Spare};
use crate::journal::{Journal, JournalError};
use crate::notices::Notices;
use crate::state::{EmbedderFacts, Shared, State};
use crate::unit::Clock;
use std::sync::Arc;
use threshold_models::crop::CropRule;
use threshold_models::engine::Engine;
use threshold_models::pack::{Pack, PackDir};
use threshold_policy::Policy;
use threshold_policy::rule::Settled;
use threshold_policy::settings::PresentationRule;
use threshold_record::{Cause, ContextKind, EntryKind, LogEntry};
use threshold_store::{
    Flash, FlashError, FlashFault, Object, Operation, RESERVE_BYTES, Store, StoreError, TailCut,
};
use threshold_wire::message::EngineState;

/// What a start's store came to.
#[derive(Debug)]
pub struct Begun {
    /// The journal; `None` if there is none.
    pub journal: Option<Journal>,
    /// The medium was full, and the reserve's room was given back to it so that the start could be written down.
    pub used_reserve: bool,
    /// Why there is no journal, if it is the keeper that does not stand with the flash.
    pub of_keys: Option<StoreError>,
}

/// The room that a store is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// What the medium has.
    Own,
    /// The reserve's too: [`give_up_reserve`] before it is opened.
    Reserve,
}

/// Opens a store and begins its journal; where that finds the medium full, once more with the room of the reserve.
pub fn begin(
    mut open: impl FnMut(Room) -> Result<(Store, Option<TailCut>), StoreError>,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
) -> Begun {
    let mut begin = |room| begun(open(room), clock, notices);
    let (begun, used_reserve) = match begin(Room::Own) {
        Err(JournalError::Store(error)) if error.is_full() => {
            notices.tell(&format!("fault: store: {error}; trying with the room of the reserve"));
            (begin(Room::Reserve), true)
        }
        begun => (begun, false),
    };
    match begun {
        Ok(journal) => Begun { journal: Some(journal), used_reserve, of_keys: None },
        Err(error) => {
            notices.tell(&format!("fault: store: {error}"));
            let of_keys = match error {
                JournalError::Store(error) if error.is_of_keys() => Some(error),
                _ => None,
            };
            Begun { journal: None, used_reserve: false, of_keys }
        }
    }
}

/// Gives the room of the reserve back to the medium, for a start that found no other.
///
/// # Errors
/// [`StoreError`], also where no reserve is held back.
pub fn give_up_reserve(flash: &mut dyn Flash) -> Result<(), StoreError> {
    let object = Object::Reserve;
    if flash.len(object)? != Some(RESERVE_BYTES as u64) {
        let (operation, fault) = (Operation::Open, FlashFault::Full);
        let (place, detail) =
            (flash.place(), "the medium is full, and no reserve is held back".to_owned());
        return Err(FlashError { object, operation, fault, place, detail }.into());
    }
    Ok(flash.remove(object)?)
}

/// The journal of an opened store, with the entries that every start begins with.
fn begun(
    opened: Result<(Store, Option<TailCut>), StoreError>,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
) -> Result<Journal, JournalError> {
    opened.map_err(JournalError::from).and_then(|(store, cut)| {
        let mut journal = Journal::new(store, Arc::clone(clock))?;
        journal.write(LogEntry::of(EntryKind::Boot))?;
        if let Some(cut) = cut {
            journal.write(LogEntry::of(EntryKind::TailCut))?;
            notices.tell(&format!(
                "log: {} damaged bytes behind entry {} were cut off; nothing acknowledged was lost",
                cut.bytes, cut.head
            ));
        }
        Ok(journal)
    })
}

/// Loads packs, engine and gallery into the shared state. The engine and its spare, where there are such.
pub fn load(
    config: &Config,
    discard_templates: bool,
    judges_attacks: bool,
    shared: &Shared,
) -> (Option<Box<dyn Engine>>, Option<Spare>) {
    let loaded = engine(config);
    let mut state = shared.lock();
    state.set_attack_detection(judges_attacks, config.presentation.lock_out_after);
    match loaded {
        Ok((Opened { engine, words, spare, unusable }, embedder, policy)) => {
            let presentation = PresentationRule::of(judges_attacks);
            let policy = Policy { presentation, ..policy };
            state.set_embedder(embedder, policy);
            if let Err(error) = policy.check() {
                state.fail(Cause::Model, &error.to_string());
            }
            contexts(&mut state, &words);
            state.set_engine(match spare {
                Some(_) => EngineState::Device,
                None => EngineState::Processor,
            });
            if let Some(why) = unusable {
                state.fell_back(Cause::DeviceUnusable, &why, &words);
            }
            load_gallery(&mut state, discard_templates);
            (Some(engine), spare)
        }
        Err(error) => {
            state.fail(Cause::Model, &error.to_string());
            (None, None)
        }
    }
}

type Loaded = (Opened, EmbedderFacts, Policy);

fn engine(config: &Config) -> Result<Loaded, EngineFault> {
    let (camera, zone) = (capture::words(&config.camera), config.unit.zone().unwrap_or_default());
    let (data, config) = (&config.unit.data, &config.engine);
    let folder = PackDir::locate(config.packs.as_deref())?;
    let packs = PackDir::open(&folder)?;
    let detector = packs.detector()?;
    let embedder = match &config.model {
        Some(name) => packs.named(name)?,
        None => packs.default_embedder()?,
    };
    let opened = engines::open(config, data, &detector, &embedder)?;
    let meta = embedder.embedder()?;
    let facts = EmbedderFacts {
        id: embedder.id,
        name: embedder.meta.name.clone(),
        metric: meta.metric,
        crop: crop_words(&meta.crop),
        embedding_len: meta.embedding_len,
        distributions: embedder.meta.scores().map(|scores| scores.distributions),
    };
    let policy = Policy::for_model(meta.metric, meta.threshold_distance);
    let before =
        format!("camera={camera}\ntimezone={}\nmin_face_px={}", zone.rule(), config.min_face_px);
    let after =
        format!("detector={}\nbuild={}", detector_name(&detector), env!("CARGO_PKG_VERSION"));
    let around = move |engine: &str| format!("{before}\n{engine}\n{after}");
    let words = around(&opened.words);
    let spare = opened.spare.map(|spare| -> Spare {
        Box::new(move || spare().map(|(engine, words)| (engine, around(&words))))
    });
    Ok((Opened { words, spare, ..opened }, facts, policy))
}

fn detector_name(detector: &Pack) -> String {
    let id = detector.id.to_string();
    format!("{} {}", detector.meta.name, id.get(..16).unwrap_or(&id))
}

fn crop_words(rule: &CropRule) -> String {
    match rule {
        CropRule::SquaredBox { size_px, margin_px } => {
            format!("box squared about its centre, {margin_px} px margin, {size_px} px")
        }
        CropRule::Similarity { size_px, .. } => {
            format!("five landmarks laid on fixed points, {size_px} px")
        }
    }
}

/// Names model, policy and configuration in the log, for the entries that follow.
pub fn contexts(state: &mut State, config: &str) {
    let model = state.model_context().and_then(|model| model.to_bytes().ok()).unwrap_or_default();
    // What could not be read stays the last one, for the program that can. So does what says the same in an older form: a version on
    // trial that is gone back from leaves the log as the one before can read it.
    let last =
        state.journal().and_then(|journal| journal.store().last_context(ContextKind::Policy));
    let policy = state.settled().map(|settled| match last {
        Some(last) if Settled::from_context(last) == Ok(*settled) => last.to_vec(),
        _ => settled.to_context().unwrap_or_default().to_vec(),
    });
    let Some(journal) = state.journal_mut() else { return };
    let written = journal
        .set_context(ContextKind::Model, &model)
        .and_then(|()| match &policy {
            Some(policy) => journal.set_context(ContextKind::Policy, policy),
            None => Ok(()),
        })
        .and_then(|()| journal.set_context(ContextKind::Config, config.as_bytes()));
    if let Err(error) = written {
        state.store_failed(&error);
    }
}

/// Loads the gallery of the embedder; a gallery that cannot be used is a fault.
pub fn load_gallery(state: &mut State, discard: bool) {
    let Some(model) = state.embedder().map(|embedder| embedder.id) else { return };
    let Some(journal) = state.journal_mut() else { return };
    let store = journal.store_mut();
    let loaded = match discard {
        true => store.load_gallery_discarding_templates(model).map(|_| ()),
        false => store.load_gallery(model).map(|_| ()),
    };
    match loaded {
        Ok(()) => state.gallery_changed(),
        Err(error) => state.fail(Cause::Gallery, &error.to_string()),
    }
}
