//! A unit of another version, as far as it can be seen: what its hello says, which end to update, and its slots.
//!
//! Asks by the rows of `update/` alone, which are frozen. Refuses to guess how the unit stands: a row of another version cannot be read.

use super::flash::{slot_value, slots};
use super::slots;
use crate::remedy;
use crate::say::plain;
use crate::session::Session;
use crate::session::port::Transport;
use serde_json::{Value, json};
use threshold_wire::Mismatch;
use threshold_wire::hello::Older;
use threshold_wire::update::Slots;

/// The stable word for the state of a unit that is not asked for it.
pub(super) const STATE: &str = "other_version";

/// What is seen of it.
pub(super) struct OtherVersion {
    mismatch: Mismatch,
    /// The hello is the paired unit's; else anybody on the line may have said it.
    pub(super) sealed: bool,
    /// Its slots, or why there are none to show.
    slots: Result<Slots, String>,
}

/// Looks at the unit, if it is of another version.
pub(super) fn look<T: Transport>(session: &mut Session<T>) -> Option<OtherVersion> {
    let mismatch = session.mismatch()?;
    let sealed = session.is_sealed();
    let slots = match sealed {
        true => slots(session).map_err(|error| remedy::without(&error.into())),
        false => Err("told only to an administrator whom the unit knows".to_owned()),
    };
    Some(OtherVersion { mismatch, sealed, slots })
}

impl OtherVersion {
    /// What the unit calls itself.
    pub(super) fn unit(&self) -> &str {
        &self.mismatch.unit.unit
    }

    /// Which end to update, and to what.
    pub(super) fn remedy(&self) -> String {
        let text = self.mismatch.to_string();
        text.rsplit_once("; ").map_or(text.clone(), |(_, remedy)| remedy.to_owned())
    }

    pub(super) fn value(&self) -> Value {
        let Mismatch { host, unit } = &self.mismatch;
        json!({
            "unit": unit.unit.as_str(),
            "build": unit.build.as_str(),
            "protocol": unit.protocol,
            "schema": format!("{:016x}", unit.schema),
            "state": STATE,
            "sealed": self.sealed,
            "this_program": {
                "build": host.build.as_str(),
                "protocol": host.protocol,
                "schema": format!("{:016x}", host.schema),
            },
            "older": match self.mismatch.older() {
                Older::Host => "this_program",
                Older::Unit => "unit",
                Older::Neither => "neither",
            },
            "remedy": self.remedy(),
            "slots": self.slots.as_ref().ok().map(|told| told.slots.iter().map(slot_value).collect::<Vec<_>>()),
            "slots_untold": self.slots.as_ref().err(),
        })
    }

    pub(super) fn text(&self) -> String {
        let Mismatch { host, unit } = &self.mismatch;
        let version = |build: &str, protocol, schema| {
            format!("build {}, protocol {protocol}, schema {schema:016x}", plain(build))
        };
        let mut lines = vec![
            format!("{} (build {})", plain(&unit.unit), plain(&unit.build)),
            "  state     unknown: it is of another version, and this program cannot read what it says of itself".to_owned(),
            format!("  unit      {}", version(&unit.build, unit.protocol, unit.schema)),
            format!("  here      {}", version(&host.build, host.protocol, host.schema)),
            format!("  helps     {}", plain(&self.remedy())),
        ];
        if !self.sealed {
            lines.push(
                "  link      in the open: whoever is on this line may have said it".to_owned(),
            );
        }
        match &self.slots {
            Ok(told) => lines.push(slots::text(&told.slots)),
            Err(why) => lines.push(format!("  slots     {}", plain(why))),
        }
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::SessionError;
    use crate::session::fake::FakeUnit;
    use threshold_record::{Administrator, Name, Role};
    use threshold_wire::endpoints::ConfirmUpdate;
    use threshold_wire::message::Nothing;
    use threshold_wire::session::SecretKey;
    use threshold_wire::update::{Slot, SlotState, SlotsTold};

    fn key(byte: u8) -> SecretKey {
        SecretKey::of_bytes([byte; 32]).unwrap()
    }

    fn slot(name: &str, running: bool) -> Slot {
        Slot {
            name: name.try_into().unwrap(),
            version: "10.0.0".try_into().unwrap(),
            state: SlotState::Confirmed as u8,
            running,
            counter: 4,
            trials_left: 0,
            bundle: [0; 32],
            said: Default::default(),
        }
    }

    /// A unit one version ahead, whose administrator has key 1.
    fn newer() -> FakeUnit {
        let mut unit = FakeUnit::new();
        unit.hello.protocol += 1;
        unit.hello.schema ^= 1;
        unit.hello.build = "10.0.0".try_into().unwrap();
        let owner = Administrator {
            key: *key(1).public(),
            name: Name::new("Ada").unwrap(),
            role: Role::Owner,
        };
        unit.keys = Some((key(2), owner));
        unit.slots = SlotsTold::Told(Slots {
            compatible: "threshold-test".try_into().unwrap(),
            counter: 4,
            release_key: [5; 32],
            serial: 1,
            longest: 1 << 20,
            model: [7; 32],
            people: 3,
            slots: [slot("a", true), slot("b", false)].into_iter().collect(),
        });
        unit
    }

    #[test]
    fn a_paired_unit_one_version_ahead_is_seen_with_its_slots_and_asked_by_frozen_rows_alone() {
        assert!(matches!(Session::greet(newer(), "9.9.9"), Err(SessionError::Mismatch(_))));
        let mut session = Session::greet_any(newer(), "9.9.9").unwrap();
        assert_eq!(session.secure(&key(1), key(2).public()).unwrap(), Role::Owner);
        let seen = look(&mut session).unwrap();
        assert_eq!(session.unit().obeyed, ["hello", "session/open", "update/slots"]);
        let value = seen.value();
        assert_eq!((&value["unit"], &value["build"]), (&json!("door"), &json!("10.0.0")));
        assert_eq!((&value["state"], &value["older"]), (&json!(STATE), &json!("this_program")));
        assert_eq!(value["protocol"], threshold_wire::PROTOCOL + 1);
        assert_eq!(value["this_program"]["protocol"], threshold_wire::PROTOCOL);
        assert_eq!(value["remedy"], "update this program to build 10.0.0");
        assert_eq!((&value["sealed"], &value["slots_untold"]), (&json!(true), &Value::Null));
        assert_eq!(
            (&value["slots"][0]["slot"], &value["slots"][0]["running"]),
            (&json!("a"), &json!(true))
        );
        let said = seen.text();
        for expected in [
            "door (build 10.0.0)",
            "here      build 9.9.9",
            "helps     update this program",
            "confirmed, running",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert!(!said.contains("in the open"), "{said}");
        // And an owner goes on to the other frozen rows in the same session.
        let refused = session.call::<ConfirmUpdate>(&Nothing {});
        assert!(matches!(refused, Err(SessionError::Refused(_))), "{refused:?}");
        assert_eq!(session.unit().obeyed.last(), Some(&"update/confirm"));
    }

    #[test]
    fn in_the_open_the_hello_is_all_that_is_seen_and_nothing_else_is_asked() {
        let mut session = Session::greet_any(newer(), "9.9.9").unwrap();
        let seen = look(&mut session).unwrap();
        assert_eq!(session.unit().obeyed, ["hello"]);
        let value = seen.value();
        assert_eq!((&value["sealed"], &value["slots"]), (&json!(false), &Value::Null));
        assert!(seen.text().contains("link      in the open"), "{}", seen.text());
        assert!(value["slots_untold"].as_str().unwrap().starts_with("told only to"), "{value}");
    }

    #[test]
    fn a_unit_of_the_same_version_is_none_of_these_and_one_without_slots_says_why() {
        assert!(look(&mut FakeUnit::new().session()).is_none());
        let mut unit = newer();
        unit.slots = FakeUnit::new().slots;
        unit.hello.build = "a\n  state     armed".try_into().unwrap();
        let mut session = Session::greet_any(unit, "9.9.9").unwrap();
        session.secure(&key(1), key(2).public()).unwrap();
        let seen = look(&mut session).unwrap();
        assert_eq!(seen.value()["slots_untold"], "it runs from no slot");
        // What it says of itself cannot pass for a line of this program.
        assert_eq!(seen.text().matches("\n  state ").count(), 1, "{}", seen.text());
    }
}
