//! `threshold vault audit`: who is at a unit whose data should be gone, or of whom the vault knows too little to say so.
//!
//! Owns the comparison of a unit's people with the vault's, and what to do about each. Refuses to remove anybody: that is
//! `threshold gallery remove`, of one person at a time.

use super::{Answer, today};
use crate::meant::Meant;
use crate::people::People;
use crate::say::table;
use crate::session::Session;
use crate::vault::{Held, Vault};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::time::SystemTime;
use threshold_record::PersonId;
use threshold_wire::message::PersonSummary;

/// What speaks against somebody's being at the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The last day on which the data may be kept is past.
    Over(Date),
    /// The vault demands a consent, and has none of the person.
    NoConsent,
    /// The vault has the person under another id, so that what is removed under the one stays under the other.
    OtherId(PersonId),
    /// The vault does not have the person: enrolled at the door or without `--vault`, or removed from the vault alone.
    NoRecord,
}

/// Somebody at the unit, with what speaks against it.
#[derive(Debug, PartialEq)]
struct Finding<'a> {
    person: &'a PersonSummary,
    why: Why,
    /// The unit may still admit the person: there is a template or a credential, and no validity that has ended.
    admitted: bool,
}

/// Says it; [`Answer::No`] if there is anybody.
pub(super) fn run(meant: &Meant, vault: &Vault) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let people = People::read(&mut session)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let found = findings(vault, &people.people, today(), now.as_secs());
    let value = json!({
        "vault": vault.path().display().to_string(),
        "unit": session.hello().unit.as_str(),
        "people_at_unit": people.people.len(),
        "findings": found.iter().map(Finding::value).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || match found.is_empty() {
        true => format!(
            "each of the {} people at {} is in the vault, and nobody's retention is over",
            people.people.len(),
            session.hello().unit
        ),
        false => {
            let rows: Vec<Vec<String>> = found.iter().map(Finding::row).collect();
            table(&["id", "name", "why", "still admitted", "what to do"], &rows)
        }
    })?;
    Ok(if found.is_empty() { Answer::Yes } else { Answer::No })
}

fn findings<'a>(
    vault: &Vault,
    people: &'a [PersonSummary],
    today: Date,
    now_unix_s: u64,
) -> Vec<Finding<'a>> {
    let finding = |person: &'a PersonSummary| {
        let why = why(vault, person, today)?;
        let is_valid = person.valid_until.is_none_or(|until| now_unix_s < until);
        let admitted = is_valid && (person.slots != 0 || person.credentials > 0);
        Some(Finding { person, why, admitted })
    };
    people.iter().filter_map(finding).collect()
}

fn why(vault: &Vault, person: &PersonSummary, today: Date) -> Option<Why> {
    // By name: an id of the unit's own may be somebody else's in the vault.
    let Some(id) = vault.id_of(&person.name) else { return Some(Why::NoRecord) };
    let Held { dates, .. } = vault.people().get(&id)?;
    match dates.keep_until.filter(|_| dates.is_over(today)) {
        Some(until) => Some(Why::Over(until)),
        None if vault.demands_consent() && dates.consent.is_none() => Some(Why::NoConsent),
        None => (id != person.person).then_some(Why::OtherId(id)),
    }
}

impl Finding<'_> {
    fn words(&self) -> String {
        match self.why {
            Why::Over(until) => format!("the data may be kept until {until}, which is over"),
            Why::NoConsent => "no consent is recorded, and the vault demands one".to_owned(),
            Why::OtherId(id) => format!("#{} in the vault", id.0),
            Why::NoRecord => "not in the vault".to_owned(),
        }
    }

    fn remedy(&self) -> String {
        let name = self.person.name.as_str();
        match self.why {
            Why::Over(_) => {
                format!("threshold gallery remove {name:?}; threshold vault remove --expired")
            }
            Why::NoConsent => format!(
                "its day into the column consent of a list for threshold vault import; or threshold gallery remove {name:?}"
            ),
            Why::OtherId(_) => format!(
                "threshold gallery remove {name:?}, then threshold enrol {name:?} --vault --photo <all photos>"
            ),
            Why::NoRecord => format!(
                "threshold enrol {name:?} --vault --photo <photos>; or threshold gallery remove {name:?}"
            ),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            format!("#{}", self.person.person.0),
            self.person.name.to_string(),
            self.words(),
            if self.admitted { "yes" } else { "no" }.to_owned(),
            self.remedy(),
        ]
    }

    fn value(&self) -> Value {
        let (why, keep_until, in_vault) = match self.why {
            Why::Over(until) => ("over", Some(until.to_string()), None),
            Why::NoConsent => ("no_consent", None, None),
            Why::OtherId(id) => ("other_id", None, Some(id.0)),
            Why::NoRecord => ("no_record", None, None),
        };
        json!({
            "person": self.person.person.0,
            "name": self.person.name.as_str(),
            "why": why,
            "keep_until": keep_until,
            "in_vault": in_vault,
            "admitted": self.admitted,
            "remedy": self.remedy(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keychain::Keychain;
    use crate::session::fake::FakeUnit;
    use crate::vault::{Addition, Dates};
    use threshold_record::{ModelId, Name};

    #[test]
    fn whose_data_should_be_gone_is_named_with_what_to_do_and_whether_the_door_still_admits() {
        let folder = tempfile::tempdir().unwrap();
        let keychain = Keychain::meant(Some(&folder.path().join("keys")));
        let mut vault = Vault::create(&folder.path().join("vault.db"), &keychain).unwrap();
        let day = |text: &str| Some(text.parse::<Date>().unwrap());
        let kept = |name: &str, keep_until: Option<Date>| Addition {
            name: Name::new(name).unwrap(),
            dates: Dates { consent: day("2026-01-02"), keep_until },
            photo: None,
        };
        let today: Date = "2026-11-27".parse().unwrap();
        let rows = [
            kept("Ann", day("2026-11-26")),
            kept("Bob", day("2026-11-27")),
            kept("Eve", day("2026-11-26")),
            kept("Dan", None),
        ];
        vault.add(ModelId([5; 32]), &rows).unwrap();
        let mut unit = FakeUnit::new();
        for name in ["Ann", "Bob", "Eve", "Cid", "Dan"] {
            unit.add_person(name, 1);
        }
        unit.people[2].valid_until = Some(999);
        let found = findings(&vault, &unit.people, today, 1000);
        let told: Vec<(&str, Why, bool)> =
            found.iter().map(|it| (it.person.name.as_str(), it.why, it.admitted)).collect();
        let over = Why::Over(day("2026-11-26").unwrap());
        let expected = [
            ("Ann", over, true),
            ("Eve", over, false),
            ("Cid", Why::NoRecord, true),
            ("Dan", Why::OtherId(PersonId(4)), true),
        ];
        assert_eq!(told, expected, "Bob may be kept today");
        assert!(found[0].remedy().starts_with("threshold gallery remove \"Ann\""));
        assert_eq!(found[0].value()["keep_until"], "2026-11-26");
        assert!(found[2].remedy().starts_with("threshold enrol \"Cid\" --vault --photo"));
        // Nobody who is consented to is named where the vault demands a consent.
        vault.demand_consent(true).unwrap();
        assert_eq!(findings(&vault, &unit.people[1..2], today, 0), []);
        let fay = Addition { dates: Dates::default(), ..kept("Fay", None) };
        vault.add(ModelId([5; 32]), &[fay]).unwrap();
        unit.add_person("Fay", 1);
        assert_eq!(findings(&vault, &unit.people[5..], today, 0)[0].why, Why::NoConsent);
    }
}
