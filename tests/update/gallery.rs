//! An update to another model with the power cut at every change of the slots and of the store: whichever version is started finds
//! everybody's templates of its own model, and nobody who was removed.

use crate::rig::{Factory, files};
use std::io::Cursor;
use threshold_bundle::FileKind;
use threshold_record::{ModelId, Name, PersonId, Template};
use threshold_slots::Slot;
use threshold_slots::mock::MockMedium;
use threshold_store::{Member, MockFlash, Store};

/// Lots of what a cut leaves, at each place.
const SEEDS: u64 = 4;

const NAMES: [&str; 3] = ["Ada", "Grace", "Eve"];

/// Who is removed by the version on trial.
const GRACE: PersonId = PersonId(2);

/// How the trial ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// With the counter of the version before, or a higher one.
    Confirmed(u64),
    Reverted,
}

/// What the power takes: the write of the store, or the change of the slots, of that number.
#[derive(Clone, Copy, Debug)]
enum Cut {
    None,
    Store(u64),
    Slots(u64),
}

/// A unit's two media.
struct Unit<'a> {
    factory: &'a Factory,
    flash: MockFlash,
    medium: MockMedium,
    /// The store said that Grace is removed.
    removed: bool,
}

/// The embedder of a version: the last of its packs.
fn model_of(version: &str) -> ModelId {
    let files = files(version.parse().unwrap());
    let mut packs = files.iter().filter(|(_, kind, _)| *kind == FileKind::Pack);
    ModelId(*blake3::hash(&packs.next_back().unwrap().2).as_bytes())
}

/// A template by the model of that version, which is told from the other's.
fn template(version: u8, person: PersonId) -> Template {
    let model = model_of(&version.to_string()).tag();
    let vector = (0..128).map(|at| if at == 0 { 100 } else { version as i8 }).collect();
    Template { person, slot: 0, quality: 90, model, scale: 0.01, vector }
}

/// The power went, or an error said so.
struct Off;

impl Unit<'_> {
    fn store(&self, model: ModelId) -> Result<Store, Off> {
        let opened = Store::open(Box::new(self.flash.clone()), self.flash.keys());
        let (mut store, _) = opened.map_err(|_| Off)?;
        store.load_gallery(model).map_err(|_| Off)?;
        Ok(store)
    }

    /// Starts the unit; the version that runs, its slot and its store.
    fn start(&self) -> Result<(String, Slot, Store), Off> {
        let choice = self.factory.slots(&self.medium, None).choose().map_err(|_| Off)?;
        let store = self.store(model_of(&choice.manifest.version))?;
        Ok((choice.manifest.version, choice.slot, store))
    }

    /// What the running unit does with what lies beside its gallery, and then idles.
    fn look(&self, slot: Slot, store: &mut Store) -> Result<(), Off> {
        let slots = self.factory.slots(&self.medium, Some(slot));
        if store.beside_model().is_some_and(|model| !slots.may_need(&model.0)) {
            store.drop_beside().map_err(|_| Off)?;
        }
        while store.tidy_up().map_err(|_| Off)? {}
        Ok(())
    }

    /// The update from its first step to its last.
    fn update(&mut self, end: End) -> Result<(), Off> {
        let (_, slot, mut store) = self.start()?;
        store.begin_beside(model_of("2")).map_err(|_| Off)?;
        let people: Vec<_> = store.gallery().unwrap().members().cloned().collect();
        for Member { person, .. } in people {
            let put = Member::of(person.clone(), vec![template(2, person.id)]);
            store.put_beside(&[put]).map_err(|_| Off)?;
        }
        let counter = if let End::Confirmed(counter) = end { counter } else { 1 };
        let bundle = self.factory.version(2, counter);
        let mut slots = self.factory.slots(&self.medium, Some(slot));
        slots.install(&mut Cursor::new(bundle)).map_err(|_| Off)?;
        drop((slots, store));
        let (_, slot, mut store) = self.start()?;
        self.look(slot, &mut store)?;
        if store.gallery().unwrap().member(GRACE).is_some() {
            store.remove_person(GRACE).map_err(|_| Off)?;
        }
        self.removed = true;
        let mut slots = self.factory.slots(&self.medium, Some(slot));
        let ended = match end {
            End::Confirmed(_) => slots.confirm(),
            End::Reverted => slots.revert(),
        };
        ended.map_err(|_| Off)?;
        drop(slots);
        self.look(slot, &mut store)?;
        drop(store);
        let (_, slot, mut store) = self.start()?;
        self.look(slot, &mut store)
    }

    /// Starts the unit after whatever happened, and finds one version with its own gallery.
    fn check(&self, at: &str) -> (String, Option<ModelId>) {
        let Ok((version, slot, mut store)) = self.start() else { panic!("{at}: no start") };
        for _ in 0..2 {
            let members: Vec<_> = store.gallery().unwrap().members().cloned().collect();
            for Member { person, templates, .. } in &members {
                let own = template(version.parse().unwrap(), person.id);
                assert_eq!(*templates, [own], "{at}: {} by version {version}", person.name);
            }
            let names: Vec<_> = members.iter().map(|held| held.person.name.as_str()).collect();
            match names.as_slice() {
                ["Ada", "Eve"] => {}
                ["Ada", "Grace", "Eve"] if !self.removed => {}
                other => panic!("{at}: {other:?}"),
            }
            let Ok(()) = self.look(slot, &mut store) else { panic!("{at}: it does not go on") };
        }
        (version, store.beside_model())
    }
}

#[test]
fn after_a_power_cut_anywhere_a_version_finds_the_gallery_of_its_model_and_nobody_who_was_removed()
{
    let factory = Factory::new();
    let (flash, medium) = (MockFlash::new(), factory.confirmed());
    let first = Unit { factory: &factory, flash, medium, removed: false };
    let Ok((_, _, mut store)) = first.start() else { panic!("no start") };
    for text in NAMES {
        let id = store.add_person(Name::new(text).unwrap()).unwrap();
        store.put_template(template(1, id)).unwrap();
    }
    while store.tidy_up().unwrap() {}
    drop(store);
    let mut cuts = 0;
    for (end, ending) in [
        (End::Confirmed(2), ("2", None)),
        (End::Confirmed(1), ("2", Some("1"))),
        (End::Reverted, ("1", Some("2"))),
    ] {
        let life = |cut, seed| {
            let (flash, medium) = (first.flash.copy(), first.medium.copy());
            match cut {
                Cut::None => {}
                Cut::Store(write) => flash.cut_power_at(write, seed),
                Cut::Slots(change) => medium.cut_power_at(change, seed),
            }
            let mut unit = Unit { factory: &factory, flash, medium, removed: false };
            let done = unit.update(end).is_ok();
            (unit, done)
        };
        let (whole, done) = life(Cut::None, 0);
        assert!(done, "{end:?}");
        let (version, beside) = ending;
        let found = whole.check("no cut");
        assert_eq!(found, (version.to_owned(), beside.map(model_of)), "{end:?}");
        let stores = (1..=whole.flash.writes()).map(Cut::Store);
        for cut in stores.chain((1..=whole.medium.changes()).map(Cut::Slots)) {
            for seed in 0..SEEDS {
                let (unit, done) = life(cut, seed);
                unit.flash.power_on();
                unit.medium.power_on();
                unit.check(&format!("{end:?}, {cut:?}, seed {seed}"));
                cuts += u64::from(!done);
            }
        }
    }
    assert!(cuts >= 500, "{cuts} cuts");
}
