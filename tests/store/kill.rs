//! A real process on a real file system, or on a plain file that stands for a device, killed with SIGKILL at a random instant, again and again on one folder.
//!
//! The process does a seeded mix of work as fast as it can. It says each act on a pipe before it begins it, and that it is
//! done once the store said so; the parent kills it, opens the folder and compares with a plain model.
//! The law: every acknowledged act is there, of the one under way all or nothing, and nothing else ever.
//! What this shows: the real body's order of system calls, its lock, and what stands half done in the folder, at whatever
//! instant a process ends. What it cannot show: a loss of what the kernel was given, since the page cache outlives the
//! process; that is the business of `power.rs` and `log_power.rs`, whose flash loses what was not synced.
//! `THRESHOLD_FLASH` names another device, all of which is erased.
//! 100 kills a round; `THRESHOLD_ROUNDS` repeats it with other seeds.
#![allow(clippy::print_stdout, reason = "figures for whoever asks for them")]

use crate::process::{orders, real_folder, started_again, tell};
use crate::{MODEL, entry, name, template};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_record::PersonId;
use threshold_store::cells::{MIN_DEVICE_BYTES, format};
use threshold_store::{
    Cells, FileFlash, FileKeys, Flash, KEY_FILE, LogSize, Store, StoreError, StoreSize, TailCut,
};
use threshold_tests::lots::Lots;

/// Segments of about 50 entries and of about 20 templates, so that many kills fall into the beginning of one and the removal
/// of another.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 4096, segments: 4 }, gallery_segment_bytes: 4096 };
const KILLS: u64 = 100;
/// The file of a folder that stands for a device.
const DEVICE: &str = "device";
/// The longest time from the line at which the parent decides to kill until it does.
const MOST_DELAY_US: u64 = 3000;

/// The one place where a store is opened here.
fn open(folder: &Path) -> Result<(Store, Option<TailCut>), StoreError> {
    let keys = Arc::new(FileKeys::at(&folder.join(KEY_FILE)));
    let device = folder.join(DEVICE);
    let flash: Box<dyn Flash> = match device.exists() {
        true => Box::new(Cells::open(threshold_mtd::open(&device)?)?),
        false => Box::new(FileFlash::open(folder)?),
    };
    let (mut store, cut) = Store::open_sized(flash, keys, SIZE)?;
    store.load_gallery(MODEL)?;
    Ok((store, cut))
}

/// What the process does; its words are the lines on the pipe.
#[derive(Clone, Debug, PartialEq)]
enum Act {
    Open,
    Add(String),
    Put(u32, u8, i8),
    Remove(u32),
    Append(u32),
    Commit(u32),
    Sync,
    Lockout(u8),
    Tidy,
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open => f.write_str("open"),
            Self::Add(name) => write!(f, "add {name}"),
            Self::Put(id, slot, mark) => write!(f, "put {id} {slot} {mark}"),
            Self::Remove(id) => write!(f, "remove {id}"),
            Self::Append(mark) => write!(f, "append {mark}"),
            Self::Commit(mark) => write!(f, "commit {mark}"),
            Self::Sync => f.write_str("sync"),
            Self::Lockout(count) => write!(f, "lockout {count}"),
            Self::Tidy => f.write_str("tidy"),
        }
    }
}

impl Act {
    fn of_words(words: &[&str]) -> Option<Self> {
        Some(match *words {
            ["open"] => Self::Open,
            ["add", name] => Self::Add(name.to_owned()),
            ["put", id, slot, mark] => {
                Self::Put(id.parse().ok()?, slot.parse().ok()?, mark.parse().ok()?)
            }
            ["remove", id] => Self::Remove(id.parse().ok()?),
            ["append", mark] => Self::Append(mark.parse().ok()?),
            ["commit", mark] => Self::Commit(mark.parse().ok()?),
            ["sync"] => Self::Sync,
            ["lockout", count] => Self::Lockout(count.parse().ok()?),
            ["tidy"] => Self::Tidy,
            _ => return None,
        })
    }

    /// Draws what comes next.
    fn drawn(store: &Store, seed: u64, count: u64, lots: &mut Lots) -> Self {
        let people: Vec<u32> =
            store.gallery().unwrap().members().map(|member| member.person.id.0).collect();
        let mark = lots.below(1 << 31) as u32;
        match lots.below(16) {
            0..3 if people.len() < 12 => Self::Add(format!("person-{seed}-{count}")),
            0..6 if !people.is_empty() => {
                Self::Put(lots.one_of(&people), lots.below(3) as u8, (mark % 100) as i8 + 1)
            }
            6..8 if people.len() > 3 => Self::Remove(lots.one_of(&people)),
            8..11 => Self::Append(mark),
            11 => Self::Tidy,
            12 => Self::Sync,
            13 => Self::Lockout(mark as u8),
            _ => Self::Commit(mark),
        }
    }

    /// Does it; the number that the store gave, or 0.
    fn done(&self, store: &mut Store) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Open => u64::from(store.boot()),
            Self::Add(text) => u64::from(store.add_person(name(text))?.0),
            &Self::Put(id, slot, mark) => {
                store.put_template(template(PersonId(id), slot, mark))?;
                0
            }
            &Self::Remove(id) => {
                store.remove_person(PersonId(id))?;
                0
            }
            &Self::Append(mark) => store.append(entry(mark))?.sequence,
            &Self::Commit(mark) => store.commit(entry(mark))?.sequence,
            Self::Sync => {
                store.sync()?;
                0
            }
            &Self::Lockout(count) => {
                store.save_lockout([1, count, 0, 0])?;
                0
            }
            Self::Tidy => u64::from(store.tidy_up()?),
        })
    }
}

#[test]
fn the_other_process_works_until_it_is_killed() {
    let Some((folder, seed)) = orders() else { return };
    tell(&format!("? {}", Act::Open));
    let (mut store, _) = open(&folder).unwrap();
    tell(&format!("! {}", store.boot()));
    let mut lots = Lots(seed);
    for count in 0.. {
        let act = Act::drawn(&store, seed, count, &mut lots);
        tell(&format!("? {act}"));
        let number = act.done(&mut store).unwrap();
        tell(&format!("! {number}"));
    }
}

/// What the folder holds, as far as the parent was told.
#[derive(Clone, Debug, Default)]
struct Model {
    boot: u64,
    /// People with name and the marks of their slots.
    people: BTreeMap<u32, (String, BTreeMap<u8, i8>)>,
    /// Ids that were seen; none may come again for another.
    given: BTreeSet<u32>,
    /// Marks by sequence, since the oldest that was there at the last look.
    entries: BTreeMap<u64, u32>,
    durable: u64,
    lockout: [u8; 4],
}

impl Model {
    fn head(&self) -> u64 {
        self.entries.last_key_value().map_or(self.durable, |(&sequence, _)| sequence)
    }

    /// Takes an act in; `number` is what the store gave, or what it would have given.
    fn take(&mut self, act: &Act, number: u64) {
        match act {
            Act::Open => {
                assert_eq!(number, self.boot + 1, "starts are counted");
                self.boot = number;
            }
            Act::Add(name) => {
                let id = number as u32;
                assert!(self.given.insert(id), "person {id} was given out twice");
                self.people.insert(id, (name.clone(), BTreeMap::new()));
            }
            &Act::Put(id, slot, mark) => {
                self.people.get_mut(&id).unwrap().1.insert(slot, mark);
            }
            Act::Remove(id) => {
                self.people.remove(id).unwrap();
            }
            &Act::Append(mark) => self.add_entry(number, mark),
            &Act::Commit(mark) => {
                self.add_entry(number, mark);
                self.durable = number;
            }
            Act::Sync => self.durable = self.head(),
            &Act::Lockout(count) => self.lockout = [1, count, 0, 0],
            Act::Tidy => {}
        }
    }

    fn add_entry(&mut self, sequence: u64, mark: u32) {
        assert_eq!(sequence, self.head() + 1, "no gap and no number twice");
        self.entries.insert(sequence, mark);
    }

    /// What would be there if the act under way had come to its end; an id that the caller was not told is the highest.
    fn after(&self, under_way: Option<&Act>, store: &Store) -> Self {
        let mut after = self.clone();
        match under_way {
            Some(act @ Act::Add(_)) => {
                let last = store.gallery().unwrap().members().last().map(|last| last.person.id.0);
                // If it never came to be, the last one was there before.
                if let Some(last) = last.filter(|last| !self.given.contains(last)) {
                    after.take(act, u64::from(last));
                }
            }
            Some(act @ Act::Open) => after.take(act, self.boot + 1),
            Some(act) => after.take(act, self.head() + 1),
            None => {}
        }
        after
    }

    /// Compares with the folder's store, and is what that holds from then on.
    fn settle(&mut self, under_way: Option<&Act>, store: &Store, what: &str) {
        let after = self.after(under_way, store);
        let people = people(store);
        let old_or_new = people == self.people || people == after.people;
        assert!(old_or_new, "{what}: {people:?}\nold {:?}\nnew {:?}", self.people, after.people);
        let lockout = store.lockout();
        assert!(lockout == self.lockout || lockout == after.lockout, "{what}: {lockout:?}");
        let boot = u64::from(store.boot());
        assert!(boot == self.boot + 1 || boot == after.boot + 1, "{what}: start {boot}");
        let (oldest, head) = (store.log_oldest(), store.log_head());
        assert!(head >= self.durable, "{what}: {head} of {} are there", self.durable);
        assert!(head <= after.head(), "{what}: {head}, and no more than {} came", after.head());
        let page = store.log_page(0, usize::MAX).unwrap();
        assert_eq!(page.len() as u64, if head == 0 { 0 } else { head + 1 - oldest }, "{what}");
        for (found, sequence) in page.iter().zip(oldest..) {
            assert_eq!(found.sequence, sequence, "{what}");
            assert_eq!(Some(&found.person.0), after.entries.get(&sequence), "{what}: {sequence}");
        }
        *self = Self { boot, people, durable: head, lockout, ..after };
        self.entries.split_off(&(head + 1));
        self.entries = self.entries.split_off(&oldest);
        self.given.extend(self.people.keys());
    }
}

fn people(store: &Store) -> BTreeMap<u32, (String, BTreeMap<u8, i8>)> {
    let members = store.gallery().unwrap().members();
    members
        .map(|member| {
            let marks = member.templates.iter().map(|held| (held.slot, held.vector[1])).collect();
            (member.person.id.0, (member.person.name.to_string(), marks))
        })
        .collect()
}

/// Lets a process work in the folder and kills it. The model takes in what was acknowledged; the act under way is given.
fn work_and_kill(folder: &Path, seed: u64, model: &mut Model, lots: &mut Lots) -> Option<Act> {
    let mut command =
        started_again(&[], "kill::the_other_process_works_until_it_is_killed", folder, seed);
    let mut process =
        command.stdout(Stdio::null()).stderr(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    // One kill in eight falls into the opening.
    let at = if lots.below(8) == 0 { 0 } else { lots.below(120) };
    let delay = Duration::from_micros(lots.below(MOST_DELAY_US));
    let mut under_way = None;
    let mut count = 0;
    while let Some(line) = lines.next() {
        let line = line.unwrap();
        match *line.split(' ').collect::<Vec<_>>() {
            ["?", ref words @ ..] => {
                under_way = Some(Act::of_words(words).unwrap_or_else(|| panic!("{line}")));
            }
            ["!", number] => {
                model.take(&under_way.take().unwrap(), number.parse().unwrap());
            }
            // A panic begins with an empty line.
            _ => {
                let rest: Vec<String> = lines.map_while(Result::ok).collect();
                panic!("seed {seed}: the process failed: {line}{}", rest.join("\n"));
            }
        }
        if count == at {
            let start = Instant::now();
            while start.elapsed() < delay {
                std::hint::spin_loop();
            }
            process.kill().unwrap();
        }
        count += 1;
    }
    process.wait().unwrap();
    under_way
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    check(|_| {});
}

#[test]
fn a_process_that_is_killed_on_a_device_loses_nothing_that_was_acknowledged() {
    check(|folder| {
        let device = folder.join(DEVICE);
        match crate::device::named() {
            Some(named) => std::os::unix::fs::symlink(named, &device).unwrap(),
            None => std::fs::File::create(&device).unwrap().set_len(MIN_DEVICE_BYTES).unwrap(),
        }
        format(&mut threshold_mtd::to_format(&device).unwrap()).unwrap();
    });
}

/// Kills a process again and again on a folder that was made ready.
fn check(make_ready: impl Fn(&Path)) {
    for round in 0..crate::log_power::rounds() {
        let folder = real_folder();
        make_ready(folder.path());
        let mut model = Model::default();
        let mut lots = Lots(round);
        // How often each kind of act was cut short: the loop is worth nothing if one never is.
        let mut cut_short = BTreeMap::<String, u64>::new();
        for kill in 0..KILLS {
            let seed = round * KILLS + kill;
            let under_way = work_and_kill(folder.path(), seed, &mut model, &mut lots);
            let what = format!("kill {seed}, {under_way:?}");
            let opened = open(folder.path());
            let (store, _) = opened.unwrap_or_else(|error| panic!("{what}: {error}"));
            model.settle(under_way.as_ref(), &store, &what);
            let word = under_way.map_or_else(String::new, |act| act.to_string());
            *cut_short.entry(word.split(' ').next().unwrap().to_owned()).or_default() += 1;
        }
        assert!(cut_short.len() > 4, "{cut_short:?}");
        println!("{KILLS} kills, under way then: {cut_short:?}; {} entries", model.durable);
    }
}
