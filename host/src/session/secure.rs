//! What a session does with keys: opening it sealed, and pairing.
//!
//! Refuses to keep keys: its caller has them from a file and puts them there.

use super::port::Transport;
use super::{PATIENCE, Session, SessionError};
use std::time::Duration;
use threshold_record::{Name, Role};
use threshold_wire::endpoints::{FinishPairing, OpenSession, StartPairing};
use threshold_wire::handshake::HandshakeRefusal;
use threshold_wire::pairing::{PairingAtHost, PairingCode};
use threshold_wire::session::{HandshakeError, Opening, SecretKey};

/// Time between two handshakes that a unit has to compute: one more than it is rationed.
const RATION_PAUSE: Duration = Duration::from_millis(300);

impl<T: Transport> Session<T> {
    /// Opens a session with a unit whose key was paired: from here on every call is sealed. Gives what the administrator
    /// may ask.
    ///
    /// # Errors
    /// [`SessionError::Handshake`] if the unit is another one, or does not know the administrator.
    pub fn secure(
        &mut self,
        secret: &SecretKey,
        unit_key: &[u8; 32],
    ) -> Result<Role, SessionError> {
        // A new handshake goes in the open, also where the unit has forgotten the session before.
        (self.line.sealed, self.unit_key, self.role) = (None, None, None);
        let give_up = self.line.transport.now() + PATIENCE;
        loop {
            let (opening, request) = Opening::start(&self.greeting, &self.hello, secret, unit_key)?;
            let answer = self.line.call::<OpenSession>(&request)?;
            match opening.finish(&answer) {
                Ok((session, role)) => {
                    (self.line.sealed, self.unit_key) = (Some(session), Some(*unit_key));
                    self.role = Some(role);
                    return Ok(role);
                }
                // A unit takes few handshakes a second, and commands in a row are more.
                Err(HandshakeError::Refused(HandshakeRefusal::Busy))
                    if self.line.left(give_up).is_some() =>
                {
                    self.pause(RATION_PAUSE)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Becomes an administrator of the unit, at which somebody holds the button: gives the unit's key, to be kept under its
    /// name, and the role.
    ///
    /// # Errors
    /// [`SessionError::Handshake`]; nothing is to be kept then.
    pub fn pair(
        &mut self,
        secret: &SecretKey,
        code: &PairingCode,
        name: Name,
    ) -> Result<([u8; 32], Role), SessionError> {
        (self.line.sealed, self.unit_key, self.role) = (None, None, None);
        let (host, start) = PairingAtHost::start(&self.greeting, &self.hello, secret, code, name)?;
        let started = self.line.call::<StartPairing>(&start)?;
        let (host, finish) = host.go(&started)?;
        let finished = self.line.call::<FinishPairing>(&finish)?;
        let (unit_key, paired) = host.finish(&finished)?;
        Ok((unit_key, paired.role))
    }
}
