//! Whether a unit is the one that was paired, and what it signs.
//!
//! Owns the comparison with the signing key that was kept at pairing: whoever has the pairing code's session is believed
//! once, and nobody after that. Refuses an identity that was heard in the open, since anybody could say one.

use crate::error::HostError;
use crate::keychain::Keychain;
use crate::session::Session;
use crate::session::port::Transport;
use threshold_store::Checkpoint;
use threshold_wire::endpoints::{GetCheckpoint, GetIdentity};
use threshold_wire::message::Nothing;
use threshold_wire::trust::{CheckpointGet, CheckpointPlace, Identity};

/// Who signs for the unit at the other end; kept from now on if none was kept. `None` for a unit that was not paired.
///
/// # Errors
/// [`HostError::OtherIdentity`] if another one was kept, and what the session and the keychain say.
pub fn identity<T: Transport>(
    keychain: &Keychain,
    session: &mut Session<T>,
) -> anyhow::Result<Option<Identity>> {
    let unit = session.hello().unit.as_str().to_owned();
    if keychain.unit(&unit)?.is_none() || !session.is_sealed() {
        return Ok(None);
    }
    let said = session.call::<GetIdentity>(&Nothing {})?;
    match keychain.identity(&unit)? {
        Some(kept) if kept != said.key => return Err(HostError::OtherIdentity { unit }.into()),
        Some(_) => {}
        None => {
            // What it signs shows that the key is its own.
            checkpoint(session, &said, CheckpointPlace::Head)?;
            keychain.pin(&unit, &said.key)?;
        }
    }
    Ok(Some(said))
}

/// A checkpoint of the unit's log, which its identity signed.
///
/// # Errors
/// [`threshold_store::ChainError`] if it is not signed by that, and what the session says.
pub fn checkpoint<T: Transport>(
    session: &mut Session<T>,
    identity: &Identity,
    place: CheckpointPlace,
) -> anyhow::Result<Checkpoint> {
    let got = session.call::<GetCheckpoint>(&CheckpointGet { place })?;
    let unit = session.hello().unit.as_str().to_owned();
    let bytes = got
        .bytes
        .as_slice()
        .try_into()
        .map_err(|_| HostError::OtherIdentity { unit: unit.clone() })?;
    let checkpoint = Checkpoint::from_bytes(bytes)?;
    checkpoint.verify(&identity.key)?;
    if checkpoint.store_id != identity.store_id {
        return Err(HostError::OtherIdentity { unit }.into());
    }
    Ok(checkpoint)
}
