//! `threshold schedule list | set | remove`: the hours of the week under a name, which people are bound to.
//!
//! Refuses to guess which schedule a name means.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::local::{hours, hours_text};
use crate::meant::Meant;
use crate::say::table;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_record::{Name, Schedule};
use threshold_wire::access::{SchedulePageRequest, ScheduleRemove, ScheduleSet};
use threshold_wire::endpoints::{ListSchedules, PutSchedule, RemoveSchedule};

/// Lists, puts or removes a schedule.
///
/// # Errors
/// A unit that does not answer or says no, words that are no hours, a schedule that is not there.
pub fn run(meant: &Meant, typed: &args::Schedule) -> anyhow::Result<Answer> {
    match typed {
        args::Schedule::List => {
            let schedules = Schedules::read(&mut Session::open_started(meant)?)?;
            meant.say.result(&schedules.value(), || schedules.text())?;
        }
        args::Schedule::Set { name, hours: words } => {
            // The words first: their faults need no unit to be found.
            let intervals = hours(words)?;
            let bad =
                |error: threshold_record::NameError| HostError::BadName { what: error.to_string() };
            let name = Name::new(name).map_err(bad)?;
            let mut session = Session::open_started(meant)?;
            let set = ScheduleSet { name: name.clone(), intervals: intervals.clone() };
            let done = session.call::<PutSchedule>(&set)?;
            let schedule = Schedule { id: done.id, name, intervals };
            meant.say.result(&value(&schedule), || {
                format!("{}: {}", schedule.name, hours_text(&schedule.intervals))
            })?;
        }
        args::Schedule::Remove { name } => {
            let mut session = Session::open_started(meant)?;
            let schedule = Schedules::read(&mut session)?.find(name)?.clone();
            session.call::<RemoveSchedule>(&ScheduleRemove { id: schedule.id })?;
            meant.say.result(&value(&schedule), || format!("{} is removed", schedule.name))?;
        }
    }
    Ok(Answer::Yes)
}

/// The schedules of a unit, and its time zone.
pub(super) struct Schedules {
    schedules: Vec<Schedule>,
    zone: String,
}

impl Schedules {
    pub(super) fn read<T: Transport>(session: &mut Session<T>) -> Result<Self, SessionError> {
        let mut all = Self { schedules: Vec::new(), zone: String::new() };
        loop {
            let after = all.schedules.last().map(|last| last.id);
            let page = session.call::<ListSchedules>(&SchedulePageRequest { after })?;
            all.zone = page.zone.as_str().to_owned();
            let rises = page.schedules.first().is_some_and(|first| Some(first.id) > after);
            all.schedules.extend(page.schedules);
            if !page.more || !rises {
                return Ok(all);
            }
        }
    }

    /// All of them, in order of their numbers.
    pub(super) fn all(&self) -> &[Schedule] {
        &self.schedules
    }

    pub(super) fn find(&self, name: &str) -> Result<&Schedule, HostError> {
        let found = self.schedules.iter().find(|schedule| schedule.name.as_str() == name);
        found.ok_or_else(|| HostError::NoSuchSchedule { name: name.to_owned() })
    }

    fn value(&self) -> Value {
        let all: Vec<Value> = self.schedules.iter().map(value).collect();
        json!({ "schedules": all, "timezone": self.zone })
    }

    fn text(&self) -> String {
        if self.schedules.is_empty() {
            return format!("the unit has no schedules; its time zone is {}", self.zone);
        }
        let row = |schedule: &Schedule| {
            vec![schedule.name.as_str().to_owned(), hours_text(&schedule.intervals)]
        };
        let rows: Vec<Vec<String>> = self.schedules.iter().map(row).collect();
        format!(
            "{}\nlocal time at the unit, time zone {}",
            table(&["schedule", "hours"], &rows),
            self.zone
        )
    }
}

/// A schedule in JSON.
pub(super) fn value(schedule: &Schedule) -> Value {
    json!({
        "id": schedule.id.0,
        "name": schedule.name.as_str(),
        "hours": hours_text(&schedule.intervals),
    })
}
