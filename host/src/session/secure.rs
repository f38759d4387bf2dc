//! What a session does with keys: opening it sealed, pairing, and pulling the log in bulk.
//!
//! Refuses to keep keys: its caller has them from a file and puts them there.

use super::port::Transport;
use super::{PATIENCE, Session, SessionError};
use std::time::Duration;
use threshold_record::{LogEntry, Name, Role};
use threshold_wire::Arrived;
use threshold_wire::bulk::{BulkError, Packet, Receiver, Window};
use threshold_wire::endpoints::{FinishPairing, OpenSession, StartPairing, StartPull};
use threshold_wire::handshake::HandshakeRefusal;
use threshold_wire::message::{LOG_PULL_ENTRIES, PullOffer, PullRequest, PullWhat};
use threshold_wire::pairing::{PairingAtHost, PairingCode};
use threshold_wire::session::{HandshakeError, Inside, Opening, SealError, SecretKey};

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
        self.line.sealed = None;
        let give_up = self.line.transport.now() + PATIENCE;
        loop {
            let (opening, request) = Opening::start(&self.greeting, &self.hello, secret, unit_key)?;
            let answer = self.line.call::<OpenSession>(&request)?;
            match opening.finish(&answer) {
                Ok((session, role)) => {
                    self.line.sealed = Some(session);
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
        self.line.sealed = None;
        let (host, start) = PairingAtHost::start(&self.greeting, &self.hello, secret, code, name)?;
        let started = self.line.call::<StartPairing>(&start)?;
        let (host, finish) = host.go(&started)?;
        let finished = self.line.call::<FinishPairing>(&finish)?;
        let (unit_key, paired) = host.finish(&finished)?;
        Ok((unit_key, paired.role))
    }

    /// Pulls log entries from a sequence on, as many as one transfer carries, and appends their bytes to `kept`: none if
    /// there are no more. Also when it fails, what was appended is whole entries without a gap, so that the next pull goes on
    /// behind them. `arrived` hears how many bytes are there without a gap, as they come.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn pull_log(
        &mut self,
        from: u64,
        window: Window,
        kept: &mut Vec<u8>,
        arrived: &mut dyn FnMut(u64),
    ) -> Result<(), SessionError> {
        let request = PullRequest { what: PullWhat::Log { from }, window };
        let offer = self.call::<StartPull>(&request)?;
        // A unit may announce anything; what it sends is held in memory.
        let len = offer.content.len;
        if len > LOG_PULL_ENTRIES * LogEntry::LEN as u64 {
            return Err(BulkError::TooLong { len }.into());
        }
        let mut content = Vec::new();
        let mut receiver = None;
        let outcome = self.receive_bulk(&offer, &mut receiver, &mut content, arrived);
        let whole = receiver.map_or(0, |receiver: Receiver| {
            without_gap(&receiver).min(content.len()) / LogEntry::LEN * LogEntry::LEN
        });
        kept.extend_from_slice(content.get(..whole).unwrap_or(&[]));
        outcome
    }

    fn receive_bulk(
        &mut self,
        offer: &PullOffer,
        receiver: &mut Option<Receiver>,
        content: &mut Vec<u8>,
        arrived: &mut dyn FnMut(u64),
    ) -> Result<(), SessionError> {
        let now_ms = |line: &super::Line<T>| line.transport.now().as_millis() as u64;
        let start_ms = now_ms(&self.line);
        let (transfer, whole) = (offer.transfer, offer.content);
        let receiver =
            receiver.insert(Receiver::new(transfer, whole, offer.window, None, start_ms)?);
        let mut buffer = [0; 4096];
        loop {
            if receiver.is_whole() {
                receiver.checked(blake3::hash(content).as_bytes())?;
            }
            let line = &mut self.line;
            while let Some(status) = receiver.poll(now_ms(line))? {
                let session = line.sealed.as_mut().ok_or(SealError::Worn)?;
                let frame = session.seal(&Inside::Bulk(Packet::Status(status)))?;
                line.send(frame.as_bytes())?;
            }
            if receiver.is_done() {
                return Ok(());
            }
            let wait_ms = receiver.due_ms().saturating_sub(now_ms(line)).max(1);
            let len = line.receive(&mut buffer, Duration::from_millis(wait_ms))?;
            let now_ms = now_ms(line);
            let mut bytes = &buffer[..len];
            while let Some(found) = line.decoder.feed_any(&mut bytes) {
                let (Ok(Arrived::Sealed(sealed)), Some(session)) = (found, &mut line.sealed) else {
                    continue;
                };
                let Ok(inside) = session.open(&sealed) else { continue };
                receiver.saw(sealed.nonce, now_ms);
                match inside {
                    Inside::Bulk(Packet::Chunk { transfer, index, bytes }) => {
                        if let Some(write) = receiver.take(transfer, index, bytes)? {
                            // Grows with what arrives, not with what was announced.
                            let start = write.offset as usize;
                            let end = start + write.bytes.len();
                            content.resize(content.len().max(end), 0);
                            content[start..end].copy_from_slice(write.bytes);
                            arrived(without_gap(receiver).min(content.len()) as u64);
                        }
                    }
                    Inside::Bulk(Packet::Query { .. }) => receiver.take_query(),
                    Inside::Bulk(Packet::Status(_)) | Inside::Message(_) => {}
                }
            }
        }
    }
}

/// Bytes that arrived before the first chunk that is missing; the last chunk may be counted for more than it has.
fn without_gap(receiver: &Receiver) -> usize {
    let resume = receiver.resume();
    resume.progress.next as usize * usize::from(resume.chunk_bytes)
}
