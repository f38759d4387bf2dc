//! `threshold gallery`: who is enrolled, one person's templates, and removing a person; the whole of it in bulk is in `copy`, `push` and
//! `compare`.
//!
//! Owns what is said of a removal's receipt. Refuses to call one kept that the paired unit did not sign.

pub mod compare;
pub mod copy;
pub mod push;

use super::Answer;
use super::schedule::Schedules;
use crate::args;
use crate::meant::Meant;
use crate::people::People;
use crate::say::{hex, table};
use crate::session::Session;
use crate::session::port::Transport;
use crate::vault::Vault;
use crate::{receipts, trust};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};
use threshold_record::access::MAX_UNIX_S;
use threshold_record::{MAX_SLOTS, Name, PersonId, Schedule, ScheduleId};
use threshold_wire::endpoints::RemovePerson;
use threshold_wire::message::{PersonRemove, PersonRemoveDone, PersonSummary};

/// Shows or changes the gallery.
///
/// # Errors
/// A unit that does not answer or says no, or a person who is not there.
pub fn run(meant: &Meant, typed: &args::Gallery) -> anyhow::Result<Answer> {
    match typed {
        args::Gallery::Pull(typed) => return copy::pull(meant, typed),
        args::Gallery::Export(typed) => return copy::export(meant, typed),
        args::Gallery::Push(typed) => return push::push(meant, typed),
        args::Gallery::Diff(typed) => return compare::diff(meant, typed),
        args::Gallery::Verify(typed) => return compare::verify(meant, typed),
        args::Gallery::List | args::Gallery::Show(_) | args::Gallery::Remove(_) => {}
    }
    let mut session = Session::open_started(meant)?;
    match typed {
        args::Gallery::List => {
            let people = People::read(&mut session)?;
            let hours = Hours::of(&mut session, &people)?;
            meant.say.result(&list_value(&people, &hours), || list_text(&people, &hours))?;
        }
        args::Gallery::Show(who) => {
            let people = People::read(&mut session)?;
            let hours = Hours::of(&mut session, &people)?;
            let person = people.find(&who.person)?;
            meant.say.result(&person_value(person, &hours), || person_text(person))?;
        }
        args::Gallery::Remove(who) => {
            // Who signs first: from a unit that is not the one that was paired, nobody is removed.
            let identity = trust::identity(&meant.keychain, &mut session)?;
            let (person, done) = remove(&mut session, &who.person)?;
            let kept = match (&done.receipt, identity) {
                (Some(bytes), Some(identity)) => {
                    let path = meant.keychain.kept(&identity.key, "receipts");
                    let receipt = receipts::check(bytes, &identity, person.person);
                    let kept = receipt.and_then(|receipt| Ok(receipts::keep(&path, &receipt)?));
                    let (name, id) = (&done.name, person.person.0);
                    kept.with_context(|| format!("{name} (#{id}) is removed, without a receipt"))?;
                    Some(path)
                }
                _ => None,
            };
            let value = json!({
                "person": person.person.0,
                "name": done.name.as_str(),
                "templates": done.templates,
                "generation": done.generation,
                "receipt": done.receipt.as_ref().map(|bytes| hex(bytes)),
                "receipt_kept": kept.as_ref().map(|path| path.display().to_string()),
            });
            meant.say.result(&value, || {
                let left = match (&done.receipt, &kept) {
                    (Some(_), Some(path)) => format!(
                        "nothing is left of them on the unit, whose signature under that was checked and is kept in {}",
                        path.display()
                    ),
                    (Some(_), None) => {
                        "nothing is left of them on the unit, which signed a receipt (--json shows it; pair with the unit to \
                         have it checked and kept)"
                            .to_owned()
                    }
                    (None, _) => {
                        "the unit still has to clear its flash of them, and does so when nobody is there".to_owned()
                    }
                };
                format!(
                    "{} (#{}) is removed with {}, for good; {left}",
                    done.name,
                    person.person.0,
                    templates(done.templates.into())
                )
            })?;
            if let Some(text) = in_vault(meant, &done.name, person.person) {
                meant.say.warn(&text);
            }
        }
        // These were done above.
        _ => {}
    }
    Ok(Answer::Yes)
}

/// What the vault, if there is one that opens, still has of somebody who was removed from a unit.
fn in_vault(meant: &Meant, name: &Name, removed: PersonId) -> Option<String> {
    let vault = Vault::open_to_read(&meant.keychain.vault(), &meant.keychain).ok()?;
    let id = vault.id_of(name)?;
    let what = match id == removed {
        true => "photos and templates",
        false => "photos under another id, so that a gallery file of it would let them in again",
    };
    Some(format!(
        "the vault {} still has {name} (#{}) with {what}; threshold vault remove {:?}",
        vault.path().display(),
        id.0,
        name.as_str()
    ))
}

fn remove<T: Transport>(
    session: &mut Session<T>,
    typed: &str,
) -> anyhow::Result<(PersonSummary, PersonRemoveDone)> {
    let person = People::read(session)?.find(typed)?.clone();
    let done = session.call::<RemovePerson>(&PersonRemove { person: person.person })?;
    Ok((person, done))
}

/// The slots that hold a template.
pub(super) fn used_slots(slots: u8) -> Vec<u8> {
    (0..MAX_SLOTS).filter(|slot| slots >> slot & 1 == 1).collect()
}

pub(super) fn templates(count: u32) -> String {
    format!("{count} template{}", if count == 1 { "" } else { "s" })
}

/// The names of the schedules that somebody is bound to.
#[derive(Default)]
struct Hours(BTreeMap<ScheduleId, String>);

impl Hours {
    /// Asks for them only if somebody is bound to one.
    fn of<T: Transport>(session: &mut Session<T>, people: &People) -> anyhow::Result<Self> {
        if people.people.iter().all(|person| person.schedule.is_none()) {
            return Ok(Self::default());
        }
        let schedules = Schedules::read(session)?;
        let name = |held: &Schedule| (held.id, held.name.as_str().to_owned());
        Ok(Self(schedules.all().iter().map(name).collect()))
    }

    /// One that was put or removed since the people were read has none.
    fn name(&self, id: ScheduleId) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }
}

fn person_value(person: &PersonSummary, hours: &Hours) -> Value {
    json!({
        "person": person.person.0,
        "name": person.name.as_str(),
        "templates": person.slots.count_ones(),
        "slots": used_slots(person.slots),
        "best_quality": person.best_quality,
        "valid_from_unix_s": person.valid_from,
        "valid_until_unix_s": person.valid_until,
        "schedule": person.schedule.map(|id| id.0),
        "schedule_name": person.schedule.and_then(|id| hours.name(id)),
        "credentials": person.credentials,
    })
}

fn person_text(person: &PersonSummary) -> String {
    let mut text =
        format!("{} (#{}): {}", person.name, person.person.0, templates(person.slots.count_ones()));
    if person.slots != 0 {
        let slots: Vec<String> = used_slots(person.slots).iter().map(u8::to_string).collect();
        let slots = match &slots[..] {
            [first @ .., last] if !first.is_empty() => {
                format!("slots {} and {last}", first.join(", "))
            }
            one => format!("slot {}", one.concat()),
        };
        let best = person.best_quality;
        text += &format!(" in {slots} (of {MAX_SLOTS}), best quality {best} %");
    }
    text
}

fn list_value(people: &People, hours: &Hours) -> Value {
    let row = |person| person_value(person, hours);
    let rows: Vec<Value> = people.people.iter().map(row).collect();
    json!({ "generation": people.generation, "people": rows })
}

fn list_text(people: &People, hours: &Hours) -> String {
    if people.people.is_empty() {
        return "nobody is enrolled".to_owned();
    }
    let row = |person: &PersonSummary| {
        vec![
            format!("#{}", person.person.0),
            person.name.as_str().to_owned(),
            person.slots.count_ones().to_string(),
            format!("{} %", person.best_quality),
            may_enter(person, hours),
        ]
    };
    let rows: Vec<Vec<String>> = people.people.iter().map(row).collect();
    table(&["id", "name", "templates", "best quality", "may enter"], &rows)
}

/// When a person may enter, in UTC; `access show` has it in the unit's local time.
fn may_enter(person: &PersonSummary, hours: &Hours) -> String {
    let time = |unix_s: u64| {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(unix_s.min(MAX_UNIX_S));
        humantime::format_rfc3339_seconds(at).to_string()
    };
    let limits = [
        person.valid_from.map(|from| format!("from {}", time(from))),
        person.valid_until.map(|until| format!("until {}", time(until))),
        person.schedule.map(|id| match hours.name(id) {
            Some(name) => format!("schedule {name} ({})", id.0),
            None => format!("schedule {}", id.0),
        }),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() { "always".to_owned() } else { limits.join(", ") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::FakeUnit;

    fn session() -> Session<FakeUnit> {
        let mut unit = FakeUnit::new();
        unit.add_person("Ann", 0b101);
        unit.add_person("Bob", 0);
        let ann = &mut unit.people[0];
        ann.valid_until = Some(1_801_414_800);
        ann.schedule = Some(ScheduleId(2));
        ann.credentials = 1;
        unit.session()
    }

    #[test]
    fn people_are_listed_with_templates_and_slots() {
        let people = People::read(&mut session()).unwrap();
        let hours = Hours([(ScheduleId(2), "cleaners".to_owned())].into());
        assert_eq!(
            list_value(&people, &hours),
            json!({"generation": 3, "people": [
                {"person": 1, "name": "Ann", "templates": 2, "slots": [0, 2], "best_quality": 80,
                 "valid_from_unix_s": null, "valid_until_unix_s": 1_801_414_800,
                 "schedule": 2, "schedule_name": "cleaners", "credentials": 1},
                {"person": 2, "name": "Bob", "templates": 0, "slots": [], "best_quality": 80,
                 "valid_from_unix_s": null, "valid_until_unix_s": null,
                 "schedule": null, "schedule_name": null, "credentials": 0},
            ]})
        );
        let text = "id  name  templates  best quality  may enter\n\
                    #1  Ann   2          80 %          until 2027-01-31T17:00:00Z, schedule cleaners (2)\n\
                    #2  Bob   0          80 %          always";
        assert_eq!(list_text(&people, &hours), text);
        let unnamed = list_text(&people, &Hours::default());
        assert!(unnamed.contains("17:00:00Z, schedule 2\n"), "{unnamed}");
        assert_eq!(list_text(&People::default(), &hours), "nobody is enrolled");
        let [ann, bob] = [&people.people[0], &people.people[1]].map(person_text);
        assert_eq!(ann, "Ann (#1): 2 templates in slots 0 and 2 (of 8), best quality 80 %");
        assert_eq!(bob, "Bob (#2): 0 templates");
    }

    #[test]
    fn a_person_is_removed_by_name_or_id_and_nobody_else() {
        for typed in ["Ann", "#1"] {
            let mut session = session();
            let (person, done) = remove(&mut session, typed).unwrap();
            assert_eq!((person.person.0, done.name.as_str(), done.templates), (1, "Ann", 2));
            let left = People::read(&mut session).unwrap();
            assert_eq!(left.people.len(), 1);
            assert_eq!(left.people[0].name.as_str(), "Bob");
        }
        let mut session = session();
        assert!(remove(&mut session, "Carol").is_err() && remove(&mut session, "#9").is_err());
        assert_eq!(session.unit().people.len(), 2);
    }
}
