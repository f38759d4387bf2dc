//! Contents in bulk: the log and the gallery from the unit, a gallery or a bundle to it.
//!
//! Owns what of a content is there, so that a transfer that was cut goes on in the next session of the same run. It is in
//! memory and on no disk, since a gallery is templates.
//! Refuses more bytes than a content of its kind can have, and a unit that keeps the line alive and sends nothing of it.

use super::port::Transport;
use super::{Line, Session, SessionError};
use std::time::Duration;
use threshold_record::LogEntry;
use threshold_wire::Arrived;
use threshold_wire::bulk::{BulkError, Content, Packet, Receiver, Resume, Send, Sender, Window};
use threshold_wire::endpoints::{PushUpdate, StartPull, StartPush};
use threshold_wire::gallery::MAX_GALLERY_BYTES;
use threshold_wire::message::{
    LOG_PULL_ENTRIES, PullOffer, PullRequest, PullWhat, PushAccepted, PushRequest, PushWhat,
};
use threshold_wire::session::{Inside, SealError};
use threshold_wire::update::{UpdatePush, UpdatePushed};

/// What is there of a content that a unit sends.
#[derive(Debug, Default)]
pub struct Part {
    bytes: Vec<u8>,
    resume: Option<Resume>,
}

impl<T: Transport> Session<T> {
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
        let mut part = Part::default();
        let most = LOG_PULL_ENTRIES * LogEntry::LEN as u64;
        let mut told = |there, _| arrived(there);
        let outcome = self.pull(PullWhat::Log { from }, window, most, &mut part, &mut told);
        let whole = part.without_gap() / LogEntry::LEN * LogEntry::LEN;
        kept.extend_from_slice(part.bytes.get(..whole).unwrap_or(&[]));
        outcome
    }

    /// Pulls the gallery or its listing, from where `part` ends if the unit still has the same one. `arrived` hears how many bytes
    /// are there, and how many it is in all.
    ///
    /// # Errors
    /// [`SessionError`]; `part` then has what came, for the next try.
    pub fn pull_gallery(
        &mut self,
        what: PullWhat,
        part: &mut Part,
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<Vec<u8>, SessionError> {
        self.pull(what, self.window(), MAX_GALLERY_BYTES, part, arrived)?;
        Ok(std::mem::take(part).bytes)
    }

    /// Pushes a gallery, from where the unit says that it has it. Gives the number under which it is applied. `arrived` hears how
    /// many bytes the unit has, and how many it is in all.
    ///
    /// # Errors
    /// [`SessionError`]; the unit then keeps what came for the next try, and nothing of it counts.
    pub fn push_gallery(
        &mut self,
        bytes: &[u8],
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<u8, SessionError> {
        self.hurry(bytes.len() as u64)?;
        let pushed = self.push_part(bytes, arrived);
        self.rest();
        pushed
    }

    /// Pushes a gallery as [`Session::push_gallery`] does, at the speed at which the line runs: for one of several.
    ///
    /// # Errors
    /// The same.
    pub fn push_part(
        &mut self,
        bytes: &[u8],
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<u8, SessionError> {
        let content = content_of(bytes);
        let request = PushRequest { what: PushWhat::Gallery, content, window: self.window() };
        let accepted = self.call::<StartPush>(&request)?;
        self.send(bytes, content, &accepted, arrived)
    }

    /// Pushes a bundle, or the delta that makes it, from where the unit says that it has it. Gives the hash under which it is
    /// applied. `arrived` hears how many bytes the unit has, and how many it is in all.
    ///
    /// # Errors
    /// [`SessionError`]; the unit then keeps what came for the next try, also if it starts meanwhile.
    pub fn push_update(
        &mut self,
        bytes: &[u8],
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<[u8; 32], SessionError> {
        self.hurry(bytes.len() as u64)?;
        let content = content_of(bytes);
        let request = UpdatePush { content, window: self.window() };
        let pushed = match self.call::<PushUpdate>(&request)? {
            UpdatePushed::Go { transfer, window, progress } => {
                let accepted = PushAccepted { transfer, window, progress };
                self.send(bytes, content, &accepted, arrived)
            }
            UpdatePushed::Refused(refusal) => Err(refusal.into()),
        };
        self.rest();
        pushed.map(|_| content.hash)
    }

    /// Sends a content that the unit takes; gives the number of the transfer.
    fn send(
        &mut self,
        bytes: &[u8],
        content: Content,
        accepted: &PushAccepted,
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<u8, SessionError> {
        let window = self.window().agreed(accepted.window)?;
        let (transfer, line) = (accepted.transfer, &mut self.line);
        let (progress, start_ms) = (accepted.progress, now_ms(line));
        let mut sender = Sender::new(transfer, content, window, progress, line.baud, start_ms)?;
        let mut buffer = [0; 4096];
        loop {
            loop {
                let session = line.sealed.as_mut().ok_or(SealError::Worn)?;
                let now_ms = line.transport.now().as_millis() as u64;
                let packet = match sender.poll(now_ms, session.next_mark())? {
                    Some(Send::Chunk { index, offset, len }) => {
                        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
                        let bytes = rest.get(..len).unwrap_or(rest);
                        Packet::Chunk { transfer, index, bytes }
                    }
                    Some(Send::Query) => Packet::Query { transfer },
                    None => break,
                };
                let frame = session.seal(&Inside::Bulk(packet))?;
                line.send(frame.as_bytes())?;
            }
            let (there, all) = sender.arrived();
            arrived(there, all);
            if sender.is_done() {
                return Ok(transfer);
            }
            let wait_ms = sender.due_ms().saturating_sub(now_ms(line)).max(1);
            let len = line.receive(&mut buffer, Duration::from_millis(wait_ms))?;
            let now_ms = now_ms(line);
            let mut bytes = &buffer[..len];
            while let Some(found) = line.decoder.feed_any(&mut bytes) {
                let (Ok(Arrived::Sealed(sealed)), Some(session)) = (found, &mut line.sealed) else {
                    continue;
                };
                let Ok(inside) = session.open(&sealed) else { continue };
                sender.heard(now_ms);
                if let Inside::Bulk(Packet::Status(status)) = inside {
                    sender.take(&status, now_ms)?;
                }
            }
        }
    }

    fn pull(
        &mut self,
        what: PullWhat,
        window: Window,
        most: u64,
        part: &mut Part,
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<(), SessionError> {
        let offer = self.call::<StartPull>(&PullRequest { what, window, kept: part.resume })?;
        // A unit may announce anything; what it sends is held in memory.
        let len = offer.content.len;
        if len > most {
            return Err(BulkError::TooLong { len }.into());
        }
        if part.resume.is_none_or(|kept| kept.content != offer.content) {
            *part = Part::default();
        }
        let outcome = self.receive(&offer, window, part, arrived);
        if let Err(SessionError::Bulk(BulkError::Mismatch)) = outcome {
            *part = Part::default();
        }
        outcome
    }

    fn receive(
        &mut self,
        offer: &PullOffer,
        window: Window,
        part: &mut Part,
        arrived: &mut dyn FnMut(u64, u64),
    ) -> Result<(), SessionError> {
        let window = window.agreed(offer.window)?;
        let (transfer, whole) = (offer.transfer, offer.content);
        let start_ms = now_ms(&self.line);
        let mut receiver = Receiver::new(transfer, whole, window, part.resume.as_ref(), start_ms)?;
        part.resume = Some(receiver.resume());
        let mut buffer = [0; 4096];
        loop {
            if receiver.is_whole() {
                receiver.checked(blake3::hash(&part.bytes).as_bytes())?;
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
                            part.bytes.resize(part.bytes.len().max(end), 0);
                            part.bytes[start..end].copy_from_slice(write.bytes);
                            part.resume = Some(receiver.resume());
                            arrived(part.without_gap() as u64, whole.len);
                        }
                    }
                    Inside::Bulk(Packet::Query { .. }) => receiver.take_query(),
                    Inside::Bulk(Packet::Status(_)) | Inside::Message(_) => {}
                }
            }
        }
    }
}

impl Part {
    /// Bytes that are there before the first chunk that is missing; the last chunk may be shorter than the others.
    fn without_gap(&self) -> usize {
        let resume = self.resume.as_ref();
        let chunks = |kept: &Resume| kept.progress.next as usize * usize::from(kept.chunk_bytes);
        resume.map_or(0, chunks).min(self.bytes.len())
    }
}

fn content_of(bytes: &[u8]) -> Content {
    Content { len: bytes.len() as u64, hash: *blake3::hash(bytes).as_bytes() }
}

fn now_ms<T: Transport>(line: &Line<T>) -> u64 {
    line.transport.now().as_millis() as u64
}
