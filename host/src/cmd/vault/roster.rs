//! `threshold vault list --csv | --jsonl`: the roster for other programs, a line for each person, in order of their ids.
//!
//! Refuses to write a file: names lie on no disk in the clear unless whoever types it says so by a `>` of their own.

use super::Answer;
use crate::say::Say;
use crate::vault::{Held, Vault};
use anyhow::Context as _;
use jiff::civil::Date;
use serde_json::{Value, json};
use threshold_record::PersonId;

/// Somebody as JSON.
pub(super) fn row(id: PersonId, held: &Held, today: Date) -> Value {
    let day = |date: Option<Date>| date.map(|date| date.to_string());
    json!({
        "person": id.0,
        "name": held.name.as_str(),
        "crops": held.photos.len(),
        "consent": day(held.dates.consent),
        "keep_until": day(held.dates.keep_until),
        "over": held.dates.is_over(today),
    })
}

/// A line of JSON for each person.
pub(super) fn jsonl(vault: &Vault, today: Date) -> anyhow::Result<Answer> {
    for (id, held) in vault.people() {
        Say::line(&row(*id, held, today).to_string())?;
    }
    Ok(Answer::Yes)
}

/// The columns of a list that `vault import` takes.
pub(super) fn csv(vault: &Vault) -> anyhow::Result<Answer> {
    Say::line(csv_of(vault.people().values())?.trim_end())?;
    Ok(Answer::Yes)
}

fn csv_of<'a>(people: impl Iterator<Item = &'a Held>) -> anyhow::Result<String> {
    let mut list = csv::Writer::from_writer(Vec::new());
    list.write_record(["name", "photo", "consent", "keep_until"])?;
    for held in people {
        let day = |date: Option<Date>| date.map(|date| date.to_string()).unwrap_or_default();
        let (consent, keep_until) = (day(held.dates.consent), day(held.dates.keep_until));
        list.write_record([held.name.as_str(), "", &consent, &keep_until])?;
    }
    let bytes = list.into_inner().map_err(|error| error.into_error())?;
    String::from_utf8(bytes).context("a name is no UTF-8")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::vault::Dates;
    use crate::vault::source;
    use threshold_record::Name;

    fn held(name: &str, consent: Option<&str>, keep_until: Option<&str>) -> Held {
        let day = |text: Option<&str>| text.map(|text| text.parse().unwrap());
        let dates = Dates { consent: day(consent), keep_until: day(keep_until) };
        Held { name: Name::new(name).unwrap(), dates, photos: vec![[1; 32]; 2] }
    }

    #[test]
    fn a_list_of_everybody_is_read_back_as_it_is_kept() {
        let people =
            [held("Ann, \"A\"", Some("2026-01-02"), Some("2100-01-31")), held("Bo", None, None)];
        let list = csv_of(people.iter()).unwrap();
        let expected =
            "name,photo,consent,keep_until\n\"Ann, \"\"A\"\"\",,2026-01-02,2100-01-31\nBo,,,\n";
        assert_eq!(list, expected);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.csv");
        std::fs::write(&path, &list).unwrap();
        let read = source::read(&path, "2026-11-27".parse().unwrap()).unwrap();
        assert_eq!(read.dates.get(&people[0].name), Some(&people[0].dates));
        assert_eq!((read.wanted.len(), read.bad.len()), (0, 2), "each wants its photo");
    }

    #[test]
    fn lines_of_json_are_read_back_as_they_are_kept() {
        let held = held("Ann, \"A\"", Some("2026-01-02"), Some("2100-01-31"));
        let today = "2026-11-27".parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.jsonl");
        std::fs::write(&path, row(PersonId(7), &held, today).to_string()).unwrap();
        let read = source::read(&path, today).unwrap();
        assert_eq!(read.dates.get(&held.name), Some(&held.dates));
        assert_eq!((read.wanted.len(), read.bad.len()), (0, 1), "it wants its photo");
    }

    #[test]
    fn a_line_of_json_says_whether_the_retention_is_over() {
        let row = |today: &str| {
            let held = held("Ann", None, Some("2026-01-31"));
            row(PersonId(7), &held, today.parse().unwrap())
        };
        let (kept, over) = (row("2026-01-31"), row("2026-02-01"));
        assert_eq!((&kept["person"], &kept["crops"]), (&json!(7), &json!(2)));
        assert_eq!((&kept["consent"], &kept["over"]), (&Value::Null, &json!(false)));
        assert_eq!((&over["keep_until"], &over["over"]), (&json!("2026-01-31"), &json!(true)));
    }
}
