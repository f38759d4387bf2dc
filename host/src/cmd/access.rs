//! `threshold access show | set`: when a person may enter, and by which badges and numbers the person is claimed.
//!
//! Owns what is left as it is: everything that was not named. Refuses to take back what somebody else set meanwhile: the unit is told
//! what stood there when it was looked at.

use super::Answer;
use super::schedule::{self, Schedules};
use crate::args;
use crate::error::HostError;
use crate::local::{Local, hours_text};
use crate::meant::Meant;
use crate::people::People;
use crate::session::Session;
use crate::session::port::Transport;
use serde_json::{Value, json};
use threshold_record::{Access, MAX_CREDENTIALS, Name};
use threshold_wire::access::{AccessGet, AccessGot, AccessSet};
use threshold_wire::endpoints::{GetAccess, SetAccess};

/// Shows what holds of a person, or settles it.
///
/// # Errors
/// A unit that does not answer or says no, a person or a schedule that is not there.
pub fn run(meant: &Meant, typed: &args::Access) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let who = match typed {
        args::Access::Show(who) => &who.person,
        args::Access::Set(set) => &set.person,
    };
    let person = People::read(&mut session)?.find(who)?.clone();
    let mut got = session.call::<GetAccess>(&AccessGet { person: person.person })?;
    if let args::Access::Set(typed) = typed {
        let access = changed(&mut session, &got, typed)?;
        let set = AccessSet { person: person.person, was: got.access, access };
        got = session.call::<SetAccess>(&set)?;
    }
    let local = Local::of(&got.zone)?;
    meant.say.result(&value(&person.name, &got), || text(&person.name, &got, &local))?;
    Ok(Answer::Yes)
}

/// What shall hold: what holds, with everything that was named.
fn changed<T: Transport>(
    session: &mut Session<T>,
    got: &AccessGot,
    typed: &args::AccessSet,
) -> anyhow::Result<Access> {
    let local = Local::of(&got.zone)?;
    let mut access = got.access.clone();
    if typed.clear_from {
        access.valid_from = None;
    }
    if typed.clear_until {
        access.valid_until = None;
    }
    if typed.clear_schedule {
        access.schedule = None;
    }
    if typed.clear_credentials {
        access.credentials.clear();
    }
    if let Some(from) = typed.from {
        access.valid_from = Some(local.begin(from)?);
    }
    if let Some(until) = typed.until {
        access.valid_until = Some(local.end(until)?);
    }
    if let Some(name) = &typed.schedule {
        access.schedule = Some(Schedules::read(session)?.find(name)?.id);
    }
    for &credential in typed.badges.iter().chain(&typed.keypads) {
        if access.credentials.contains(&credential) {
            continue;
        }
        let full = |_| HostError::CredentialsFull { max: MAX_CREDENTIALS };
        access.credentials.push(credential).map_err(full)?;
    }
    Ok(access)
}

fn value(name: &Name, got: &AccessGot) -> Value {
    let AccessGot { person, access, schedule: named, zone, generation } = got;
    let credentials: Vec<String> = access.credentials.iter().map(ToString::to_string).collect();
    json!({
        "person": person.0,
        "name": name.as_str(),
        "valid_from_unix_s": access.valid_from,
        "valid_until_unix_s": access.valid_until,
        "schedule": named.as_ref().map(schedule::value),
        "credentials": credentials,
        "timezone": zone.as_str(),
        "generation": generation,
    })
}

fn text(name: &Name, got: &AccessGot, local: &Local) -> String {
    let AccessGot { person, access, schedule: named, zone, .. } = got;
    let mut lines = vec![format!("{name} (#{})", person.0)];
    let mut row = |head: &str, text: String| lines.push(format!("  {head:<13}{text}"));
    let time = |at: Option<u64>| at.map_or("no limit".to_owned(), |at| local.text(at));
    row("valid from", time(access.valid_from));
    row("valid until", time(access.valid_until));
    row(
        "schedule",
        named.as_ref().map_or("none, at every hour".to_owned(), |named| {
            format!("{}: {}", named.name, hours_text(&named.intervals))
        }),
    );
    let credentials: Vec<String> = access.credentials.iter().map(ToString::to_string).collect();
    row(
        "credentials",
        if credentials.is_empty() { "none".to_owned() } else { credentials.join(", ") },
    );
    if access.is_limited() {
        row("times", format!("local at the unit, time zone {zone}"));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::local::local_time;
    use crate::session::fake::FakeUnit;
    use threshold_record::{Credential, Interval, PersonId, Schedule, ScheduleId};

    fn office() -> Schedule {
        let hours = Interval { days: 0b1_1111, from: 7 * 60, to: 19 * 60 };
        let intervals = [hours].into_iter().collect();
        Schedule { id: ScheduleId(2), name: Name::new("office").unwrap(), intervals }
    }

    fn got(access: Access) -> AccessGot {
        let schedule = access.schedule.map(|_| office());
        let zone = "CET-1CEST,M3.5.0,M10.5.0/3".try_into().unwrap();
        AccessGot { person: PersonId(1), access, schedule, zone, generation: 9 }
    }

    fn badge(card: u16) -> Credential {
        Credential::Wiegand26 { facility: 12, card }
    }

    fn typed() -> args::AccessSet {
        args::AccessSet {
            person: "Ada".to_owned(),
            from: None,
            until: None,
            schedule: None,
            badges: vec![],
            keypads: vec![],
            clear_from: false,
            clear_until: false,
            clear_schedule: false,
            clear_credentials: false,
        }
    }

    #[test]
    fn what_is_named_changes_and_the_rest_stays() {
        let mut unit = FakeUnit::new();
        unit.schedules.push(office());
        let mut session = unit.session();
        let held = Access {
            valid_from: Some(5),
            valid_until: Some(9),
            credentials: [badge(1)].into_iter().collect(),
            ..Access::default()
        };
        let set = args::AccessSet {
            until: Some(local_time("2027-01-31T18:00").unwrap()),
            schedule: Some("office".to_owned()),
            badges: vec![badge(1), badge(2)],
            ..typed()
        };
        let access = changed(&mut session, &got(held.clone()), &set).unwrap();
        let expected = Access {
            valid_from: Some(5),
            valid_until: Some(1_801_414_800),
            schedule: Some(ScheduleId(2)),
            credentials: [badge(1), badge(2)].into_iter().collect(),
        };
        assert_eq!(access, expected);
        let set = args::AccessSet {
            clear_from: true,
            clear_schedule: true,
            clear_credentials: true,
            keypads: vec![Credential::keypad("0042").unwrap()],
            ..typed()
        };
        let access = changed(&mut session, &got(expected), &set).unwrap();
        assert_eq!((access.valid_from, access.valid_until), (None, Some(1_801_414_800)));
        assert_eq!((access.schedule, access.credentials.len()), (None, 1));
        let set = args::AccessSet { schedule: Some("offic".to_owned()), ..typed() };
        assert!(changed(&mut session, &got(held.clone()), &set).is_err());
        let set = args::AccessSet { badges: (2..7).map(badge).collect(), ..typed() };
        assert!(changed(&mut session, &got(held), &set).is_err());
    }

    #[test]
    fn what_holds_is_told_in_local_time() {
        let name = Name::new("Ada").unwrap();
        let access = Access {
            valid_from: None,
            valid_until: Some(1_801_414_800),
            schedule: Some(ScheduleId(2)),
            credentials: [badge(345), Credential::keypad("0042").unwrap()].into_iter().collect(),
        };
        let got = got(access);
        let local = Local::of(&got.zone).unwrap();
        assert_eq!(
            text(&name, &got, &local),
            "Ada (#1)\n  \
             valid from   no limit\n  \
             valid until  2027-01-31 18:00\n  \
             schedule     office: mon-fri 07:00-19:00\n  \
             credentials  w26:12:345, keypad:0042\n  \
             times        local at the unit, time zone CET-1CEST,M3.5.0,M10.5.0/3"
        );
        assert_eq!(value(&name, &got)["schedule"]["name"], "office");
    }
}
