//! Operation sequences against a plain model, with the power cut at every write.
//!
//! The law: what was acknowledged is there, the gallery is the old one or the new one, nothing else ever.

use crate::bed::Bed;
use crate::log_power::rounds;
use crate::{MODEL, entry, name, open, template};
use std::collections::BTreeMap;
use threshold_record::{ContextKind, PersonId};
use threshold_store::{MockFlash, Store};
use threshold_tests::lots::Lots;

#[derive(Clone, Copy, Debug)]
enum Operation {
    Add,
    Put,
    Remove,
    Append,
    Sync,
    Commit,
    Context,
    Lockout,
    Reopen,
}

const OPERATIONS: [Operation; 12] = [
    Operation::Add,
    Operation::Add,
    Operation::Put,
    Operation::Put,
    Operation::Remove,
    Operation::Append,
    Operation::Append,
    Operation::Append,
    Operation::Sync,
    Operation::Commit,
    Operation::Context,
    Operation::Lockout,
];

/// People with name and the marks of their slots.
type People = BTreeMap<PersonId, (String, BTreeMap<u8, i8>)>;

/// What the store should hold, as far as the caller was told.
#[derive(Clone, Debug, Default)]
struct Model {
    people: People,
    given_ids: Vec<PersonId>,
    removed: Vec<PersonId>,
    /// Marks of every entry appended.
    entries: Vec<u32>,
    /// How many of them were acknowledged as durable.
    durable: usize,
    lockout: [u8; 4],
    generation: u64,
}

fn people(store: &Store) -> People {
    let members = store.gallery().unwrap().members();
    let marks = |templates: &[threshold_record::Template]| {
        templates.iter().map(|template| (template.slot, template.vector[1])).collect()
    };
    members
        .map(|member| {
            (member.person.id, (member.person.name.to_string(), marks(&member.templates)))
        })
        .collect()
}

/// Does one operation on both. `Err` if the power went; the model then says what had been acknowledged before, and
/// the second what would be there if the operation had been finished.
fn step(
    flash: &Bed,
    store: &mut Store,
    model: &mut Model,
    operation: Operation,
    lots: &mut Lots,
) -> Result<(), Box<Model>> {
    let mut done = model.clone();
    let somebody: Vec<PersonId> = model.people.keys().copied().collect();
    let somebody = (!somebody.is_empty()).then(|| lots.one_of(&somebody));
    let mark = lots.below(100) as u32 + 1;
    let outcome = match (operation, somebody) {
        (Operation::Add, _) => {
            let text = format!("person {}", model.given_ids.len());
            let added = store.add_person(name(&text));
            if let Ok(id) = added {
                assert!(!model.given_ids.contains(&id), "{id:?} was given out twice");
                done.given_ids.push(id);
            }
            // A cut leaves the id unknown to the caller; the check looks at names and marks then.
            let id = added.clone().unwrap_or(PersonId(u32::MAX));
            done.people.insert(id, (text, BTreeMap::new()));
            added.map(|_| ())
        }
        (Operation::Put, Some(person)) => {
            let slot = lots.below(3) as u8;
            done.people.get_mut(&person).unwrap().1.insert(slot, mark as i8);
            store.put_template(template(person, slot, mark as i8))
        }
        (Operation::Remove, Some(person)) => {
            done.people.remove(&person);
            done.removed.push(person);
            store.remove_person(person).map(|_| ())
        }
        (Operation::Append, _) => {
            let appended = store.append(entry(mark));
            done.entries.push(mark);
            if let Ok(appended) = &appended {
                assert_eq!(appended.sequence, done.entries.len() as u64);
            }
            appended.map(|_| ())
        }
        (Operation::Sync, _) => {
            done.durable = done.entries.len();
            store.sync()
        }
        (Operation::Commit, _) => {
            done.entries.push(mark);
            done.durable = done.entries.len();
            store.commit(entry(mark)).map(|_| ())
        }
        (Operation::Context, _) => store
            .context_number(ContextKind::Config, format!("a={}", mark % 5).as_bytes())
            .map(|_| ()),
        (Operation::Lockout, _) => {
            done.lockout = [1, mark as u8, 0, 0];
            // It goes to the log, with all that waits.
            done.durable = done.entries.len();
            store.save_lockout(done.lockout)
        }
        (Operation::Reopen, _) => match flash.open() {
            Ok((mut opened, cut)) => {
                assert_eq!(cut, None, "a tail was cut although no power was");
                // What was not durable waited in memory, and went with the process.
                done.entries.truncate(done.durable);
                let loaded = opened.load_gallery(MODEL).map(|_| ());
                *store = opened;
                loaded
            }
            Err(error) => Err(error),
        },
        (Operation::Put | Operation::Remove, None) => Ok(()),
    };
    match outcome {
        Ok(()) if !flash.is_off() => {
            done.generation = store.gallery().unwrap().generation();
            assert!(done.generation >= model.generation);
            *model = done;
            Ok(())
        }
        // The anchor behind a finished change of the gallery may have been cut off.
        Ok(()) => {
            *model = done.clone();
            Err(Box::new(done))
        }
        Err(_) => {
            assert!(flash.is_off(), "an error without a fault: {outcome:?}");
            Err(Box::new(done))
        }
    }
}

fn by_name(people: &People) -> Vec<&(String, BTreeMap<u8, i8>)> {
    people.values().collect()
}

/// Checks the store that was opened after a cut against what was acknowledged and what was under way.
fn check(store: &Store, acknowledged: &Model, under_way: &Model, what: &str) {
    let found = people(store);
    let old_or_new = by_name(&found) == by_name(&acknowledged.people)
        || by_name(&found) == by_name(&under_way.people);
    assert!(old_or_new, "{what}: {found:?}\nold {acknowledged:?}\nnew {under_way:?}");
    assert!(store.gallery().unwrap().generation() >= acknowledged.generation, "{what}");
    for removed in &acknowledged.removed {
        assert!(!found.contains_key(removed), "{what}: {removed:?} is back");
    }
    let entries = store.log_page(1, usize::MAX).unwrap();
    let marks: Vec<u32> = entries.iter().map(|entry| entry.person.0).collect();
    assert!(marks.len() >= acknowledged.durable, "{what}: acknowledged entries are lost");
    assert_eq!(marks, under_way.entries[..marks.len()], "{what}");
    for (at, entry) in entries.iter().enumerate() {
        assert_eq!(entry.sequence, at as u64 + 1, "{what}");
    }
    let lockout = store.lockout();
    assert!(lockout == acknowledged.lockout || lockout == under_way.lockout, "{what}");
}

fn run(flash: Bed, seed: u64, length: usize, cut: Option<(u64, u64)>) -> u64 {
    if let Some((write, lot)) = cut {
        flash.cut_power_at(write, lot);
    }
    let what = format!("seed {seed}, cut {cut:?}");
    let mut lots = Lots(seed);
    let mut model = Model::default();
    let mut under_way = None;
    match flash.open() {
        Ok((mut store, _)) => {
            store.load_gallery(MODEL).unwrap();
            for _ in 0..length {
                let operation = match lots.below(12) {
                    0 => Operation::Reopen,
                    _ => lots.one_of(&OPERATIONS),
                };
                if let Err(done) = step(&flash, &mut store, &mut model, operation, &mut lots) {
                    under_way = Some(done);
                    break;
                }
            }
        }
        Err(error) => assert!(flash.is_off(), "{what}: {error}"),
    }
    let writes = flash.writes();
    if cut.is_none() {
        return writes;
    }
    if !flash.is_off() {
        flash.cut_power(seed);
    }
    let under_way = under_way.unwrap_or_else(|| Box::new(model.clone()));
    // The power goes again while the store recovers, once at each write of the recovery.
    for again in 1..=4 {
        let copy = flash.copy();
        copy.cut_power_at(again, seed + again);
        if let Ok((mut store, _)) = copy.open() {
            let _ = store.load_gallery(MODEL);
        }
        copy.power_on();
        check(&copy.opened(), &model, &under_way, &format!("{what}, again at {again}"));
    }
    flash.power_on();
    let mut store = flash.opened();
    check(&store, &model, &under_way, &what);
    // And it goes on: new entries follow without a gap, ids are new.
    let head = store.log_head();
    assert_eq!(store.commit(entry(1)).unwrap().sequence, head + 1, "{what}");
    let id = store.add_person(name("a late one")).unwrap();
    assert!(!model.given_ids.contains(&id), "{what}: {id:?} was given out twice");
    drop(store);
    assert_eq!(flash.opened().log_head(), head + 1, "{what}");
    flash.check(&what);
    writes
}

#[test]
fn a_cut_at_every_write_leaves_the_old_or_the_new_state_and_every_acknowledged_entry() {
    let mut cuts = 0;
    for seed in 0..60 {
        let writes = run(Bed::objects(), seed, 30, None);
        for write in 1..=writes {
            for lot in 0..4 {
                run(Bed::objects(), seed, 30, Some((write, 1000 * seed + lot)));
                cuts += 1;
            }
        }
    }
    assert!(cuts > 5_000, "{cuts} cuts");
}

#[test]
fn a_cut_at_every_program_and_erase_of_cells_leaves_the_old_or_the_new_state() {
    let mut cuts = 0;
    for seed in 0..4 * rounds() {
        let writes = run(Bed::cells(), seed, 30, None);
        for write in 1..=writes {
            for lot in 0..2 {
                run(Bed::cells(), seed, 30, Some((write, 1000 * seed + lot)));
                cuts += 1;
            }
        }
    }
    assert!(cuts > 1_000 * rounds(), "{cuts} cuts");
}

#[test]
fn entries_that_are_not_durable_are_not_shown() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.commit(entry(1)).unwrap();
    store.append(entry(2)).unwrap();
    let number = store.context_number(ContextKind::Config, b"a=1").unwrap();
    assert_eq!((store.log_head(), store.log_page(1, 9).unwrap().len()), (1, 1));
    assert_eq!(store.context(number), Ok(None));
    store.sync().unwrap();
    assert_eq!((store.log_head(), store.log_page(1, 9).unwrap().len()), (2, 2));
    assert_eq!(store.context(number).unwrap().unwrap().bytes, b"a=1");
}

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.commit(entry(1)).unwrap();
    drop(store);
    let mut bytes = flash.bytes(threshold_store::Object::Segment(1)).unwrap();
    bytes.extend_from_slice(&[64, 0, 0xbf, 0xff, 1, 0, 0]);
    flash.set_bytes(threshold_store::Object::Segment(1), Some(bytes));
    let (store, cut) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    assert_eq!(cut, Some(threshold_store::TailCut { head: 1, bytes: 7 }));
    drop(store);
    assert_eq!(Store::open(Box::new(flash.clone()), flash.keys()).unwrap().1, None);
}

#[test]
fn equal_contexts_share_a_number_across_starts() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let first = store.context_number(ContextKind::Model, b"m").unwrap();
    let second = store.context_number(ContextKind::Policy, b"m").unwrap();
    assert_eq!((first, second), (1, 2));
    store.sync().unwrap();
    drop(store);
    let mut store = open(&flash);
    assert_eq!(store.context_number(ContextKind::Model, b"m").unwrap(), 1);
    assert_eq!(store.context_number(ContextKind::Model, b"n").unwrap(), 3);
    assert_eq!(store.context(2).unwrap().unwrap().kind, ContextKind::Policy);
}

#[test]
fn pages_begin_anywhere_and_end_at_the_head() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for mark in 1..=300 {
        store.append(entry(mark)).unwrap();
        if mark % 50 == 0 {
            let text = format!("k={mark}");
            store.context_number(ContextKind::Config, text.as_bytes()).unwrap();
        }
    }
    store.sync().unwrap();
    for store in [store, open(&flash)] {
        for (from, max, expected) in
            [(0, 2, 1..3), (1, 300, 1..301), (64, 3, 64..67), (65, 64, 65..129), (299, 9, 299..301)]
        {
            let page = store.log_page(from, max).unwrap();
            let found: Vec<u64> = page.iter().map(|entry| entry.sequence).collect();
            assert_eq!(found, expected.collect::<Vec<u64>>(), "from {from}, at most {max}");
        }
        assert_eq!(store.log_page(301, 9).unwrap(), []);
        assert_eq!(store.log_page(u64::MAX, 9).unwrap(), []);
        assert_eq!(store.log_page(1, 0).unwrap(), []);
    }
}

#[test]
fn the_lockout_is_one_batch_of_the_log_and_there_at_the_next_start() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    store.commit(entry(1)).unwrap();
    let anchor = flash.bytes(threshold_store::Object::Anchor);
    for lockout in [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 0, 0]] {
        store.save_lockout(lockout).unwrap();
        flash.copy().cut_power(1);
        assert_eq!(open(&flash.copy()).lockout(), lockout);
    }
    // An append and a sync for each that changed something, and nothing else.
    let writes = flash.writes();
    store.save_lockout([1, 2, 0, 0]).unwrap();
    store.save_lockout([1, 2, 0, 0]).unwrap();
    assert_eq!(flash.writes(), writes + 2);
    assert_eq!(flash.bytes(threshold_store::Object::Anchor), anchor);
    drop(store);
    assert_eq!(open(&flash).lockout(), [1, 2, 0, 0]);
}
