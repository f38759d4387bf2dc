//! `threshold administrators` and `unpair`: who may ask what of the unit; roles given, keys revoked.
//!
//! Refuses to guess whom a name means: an administrator is named by name or by the key's first digits, and both must be the only
//! one's.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use crate::session::port::{Port, Transport};
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_record::{Administrator, KeyId};
use threshold_wire::administration::{
    AdministratorPageRequest, AdministratorRevoke, AdministratorRole,
};
use threshold_wire::endpoints::{ListAdministrators, RevokeAdministrator, SetRole};

/// Lists, revokes, or gives a role.
///
/// # Errors
/// A unit that does not answer or says no, or an administrator who is not there.
pub fn run(meant: &Meant, typed: &args::Administrators) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let roster = Roster::read(&mut session)?;
    match typed {
        args::Administrators::List => {
            meant.say.result(&roster.value(), || roster.text())?;
        }
        args::Administrators::Revoke { who } => {
            let there = roster.find(who)?;
            let key = there.key_id();
            revoke(meant, &mut session, key)?;
        }
        args::Administrators::Role { who, role } => {
            let (key, role) = (roster.find(who)?.key_id(), role.role());
            let done = session.call::<SetRole>(&AdministratorRole { key, role })?;
            let value =
                json!({ "key": key.to_string(), "name": done.name.as_str(), "role": role.text() });
            meant
                .say
                .result(&value, || format!("{} is {} now", done.name.as_str(), role.text()))?;
        }
    }
    Ok(Answer::Yes)
}

/// Revokes the own key at the unit, and forgets the unit.
///
/// # Errors
/// A unit that was not paired from here, does not answer, or has no other owner.
pub fn unpair(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    // In the open anybody may say the name of a unit that was paired.
    let own = meant.keychain.secret()?.filter(|_| session.is_sealed());
    let unit = session.hello().unit.to_string();
    let key = own.ok_or(HostError::NotPaired { unit })?.key_id();
    revoke(meant, &mut session, key)?;
    Ok(Answer::Yes)
}

/// Revokes a key; with the own one the unit is forgotten.
fn revoke(meant: &Meant, session: &mut Session<Port>, key: KeyId) -> anyhow::Result<()> {
    let own = meant.keychain.secret()?.is_some_and(|secret| secret.key_id() == key);
    let done = session.call::<RevokeAdministrator>(&AdministratorRevoke { key })?;
    if own {
        // The key opens nothing there any more.
        meant.keychain.keep(&session.hello().unit, None)?;
    }
    let name = done.name.as_str();
    let value = json!({ "key": key.to_string(), "name": name, "own": own });
    let said = meant.say.result(&value, || {
        let again = match own {
            true => "; whoever is to administer the unit from here again pairs with another one (--keys)",
            false => "",
        };
        format!("{name}'s key {key} is revoked and never comes back{again}")
    });
    Ok(said?)
}

/// The unit's administrators, and which of them asks.
struct Roster {
    administrators: Vec<Administrator>,
    you: Option<KeyId>,
}

impl Roster {
    fn read<T: Transport>(session: &mut Session<T>) -> Result<Self, SessionError> {
        let mut roster = Self { administrators: Vec::new(), you: None };
        loop {
            let after = roster.administrators.last().map(Administrator::key_id);
            let page = session.call::<ListAdministrators>(&AdministratorPageRequest { after })?;
            roster.you = page.you;
            // A unit that says the same again would be read for ever.
            let known = |one: &Administrator| roster.has(one.key_id());
            let more = page.more && page.administrators.last().is_some_and(|last| !known(last));
            roster.administrators.extend(page.administrators);
            if !more {
                return Ok(roster);
            }
        }
    }

    fn has(&self, key: KeyId) -> bool {
        self.administrators.iter().any(|held| held.key_id() == key)
    }

    fn find(&self, who: &str) -> Result<&Administrator, HostError> {
        let named = |held: &&Administrator| {
            held.name.as_str() == who
                || (who.len() >= 4 && held.key_id().to_string().starts_with(who))
        };
        let mut found = self.administrators.iter().filter(named);
        match (found.next(), found.next()) {
            (Some(one), None) => Ok(one),
            (first, _) => Err(HostError::NoSuchAdministrator {
                who: who.to_owned(),
                several: first.is_some(),
            }),
        }
    }

    fn value(&self) -> Value {
        let of = |held: &Administrator| {
            json!({
                "name": held.name.as_str(),
                "role": held.role.text(),
                "key": held.key_id().to_string(),
                "you": self.you == Some(held.key_id()),
            })
        };
        json!({ "administrators": self.administrators.iter().map(of).collect::<Vec<_>>() })
    }

    fn text(&self) -> String {
        if self.administrators.is_empty() {
            return "nobody was paired with this unit".to_owned();
        }
        let rows = self.administrators.iter().map(|held| {
            let you = if self.you == Some(held.key_id()) { "you" } else { "" };
            let key = held.key_id().to_string();
            vec![held.name.as_str().to_owned(), held.role.text().to_owned(), key, you.to_owned()]
        });
        table(&["name", "role", "key", ""], &rows.collect::<Vec<_>>())
    }
}
