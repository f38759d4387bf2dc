//! What the unit answers of its administrators: who they are, who goes, who may what.
//!
//! Owns the checks that need to know who asks, and the log entry after each change. Refuses to add an administrator: that
//! is the pairing's.

use super::answers::{journal, refused};
use super::reception::Asker;
use crate::state::State;
use threshold_record::{Administrator, EntryKind, KeyId, LogEntry, Role};
use threshold_store::{AdministratorError, Store, StoreError};
use threshold_wire::RequestError;
use threshold_wire::administration::{
    AdministratorPage, AdministratorPageRequest, AdministratorRevoke, AdministratorRevoked,
    AdministratorRole, AdministratorRoleSet,
};

/// Administrators in the order of their coming.
pub(super) fn page(
    state: &State,
    request: &AdministratorPageRequest,
    asker: Option<Asker>,
) -> Result<AdministratorPage, RequestError> {
    let all = journal(state)?.store().roster().administrators();
    let start = match request.after {
        None => 0,
        Some(key) => {
            let place = all.iter().position(|held| held.key_id() == key);
            place.ok_or(RequestError::UnknownAdministrator { key })? + 1
        }
    };
    let you = asker.and_then(|asker| asker.key);
    let mut page = AdministratorPage { administrators: heapless::Vec::new(), more: false, you };
    for held in all.iter().skip(start) {
        if page.administrators.push(held.clone()).is_err() {
            page.more = true;
            break;
        }
    }
    Ok(page)
}

/// Revokes a key: the own, or as an owner any.
pub(super) fn revoke(
    state: &mut State,
    request: &AdministratorRevoke,
    asker: Option<Asker>,
) -> Result<AdministratorRevoked, RequestError> {
    let (asker, key) = (asker.ok_or(RequestError::InsecureLink)?, request.key);
    if asker.role != Role::Owner && asker.key != Some(key) {
        return Err(RequestError::RoleTooLow { least: Role::Owner, role: asker.role });
    }
    let there = administrator(state, key)?;
    let entry = LogEntry::of(EntryKind::Revoked);
    let entry = LogEntry { by: asker.tag(), about: key.tag(), ..entry };
    change(state, entry, |store| store.revoke_administrator(key))?;
    // The change holds: an entry that cannot be written is owed, and the door stays locked until the log has it.
    let _ = state.write_or_owe(entry);
    state.roster_changed();
    Ok(AdministratorRevoked { name: there.name })
}

/// Gives an administrator a role; nothing happens if that is the role already.
pub(super) fn set_role(
    state: &mut State,
    request: &AdministratorRole,
    asker: Option<Asker>,
) -> Result<AdministratorRoleSet, RequestError> {
    let asker = asker.ok_or(RequestError::InsecureLink)?;
    let AdministratorRole { key, role } = *request;
    let there = administrator(state, key)?;
    if there.role != role {
        let entry = LogEntry::of(match role {
            Role::Viewer => EntryKind::MadeViewer,
            Role::Enroller => EntryKind::MadeEnroller,
            Role::Owner => EntryKind::MadeOwner,
        });
        let entry = LogEntry { by: asker.tag(), about: key.tag(), ..entry };
        change(state, entry, |store| store.set_role(key, role))?;
        let _ = state.write_or_owe(entry);
        state.roster_changed();
    }
    Ok(AdministratorRoleSet { name: there.name })
}

fn administrator(state: &State, key: KeyId) -> Result<Administrator, RequestError> {
    let held = journal(state)?.store().roster().of_key(key).cloned();
    held.ok_or(RequestError::UnknownAdministrator { key })
}

/// Changes the roster; a rule of it that is against the change is no fault of the store. `owed` is the entry of a change that fails
/// and may hold all the same.
fn change(
    state: &mut State,
    owed: LogEntry,
    change: impl FnOnce(&mut Store) -> Result<(), StoreError>,
) -> Result<(), RequestError> {
    journal(state)?;
    let changed = state.owing_nothing().and_then(|journal| change(journal.store_mut()));
    changed.inspect_err(|error| state.owe_if_it_may_hold(error, owed)).map_err(
        |error| match error {
            StoreError::Administrator(AdministratorError::Unknown { key }) => {
                RequestError::UnknownAdministrator { key }
            }
            StoreError::Administrator(AdministratorError::LastOwner { key }) => {
                RequestError::LastOwner { key }
            }
            StoreError::Administrator(AdministratorError::RevokedFull) => RequestError::RevokedFull,
            error => refused(state, &error),
        },
    )
}
