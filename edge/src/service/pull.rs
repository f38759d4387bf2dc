//! A pull under way: the unit's end of a bulk transfer to the host.
//!
//! Owns the content and the sender. Refuses a second one beside it: a host that asks anew has given the first one up.
//! The content of a log pull is read in small pages, so that the loop at the door never waits for more than one. A gallery is
//! copied as it is at one generation: 1,000 people in less than a millisecond, the largest in some tens. That its templates
//! leave the unit is in the log before they do.

use super::answers;
use crate::state::{Shared, State};
use threshold_record::{Cause, EntryKind, KeyTag, LogEntry, Role};
use threshold_store::{Gallery, Member, StoreError};
use threshold_wire::bulk::{BulkError, Content, Packet, Resume, Send, Sender, Status, Window};
use threshold_wire::gallery::content::{self, Origin, Told};
use threshold_wire::gallery::listing;
use threshold_wire::message::{LOG_PULL_ENTRIES, PullRequest, PullWhat};
use threshold_wire::session::{Inside, Session};
use threshold_wire::{Encoded, RequestError};

/// Entries that are read under one hold of the state.
pub(super) const PAGE_ENTRIES: usize = 1024;

/// A content on its way.
#[derive(Debug)]
pub(super) struct Pull {
    content: Vec<u8>,
    sender: Sender,
    /// Who may have it, at least.
    pub(super) least: Role,
}

impl Pull {
    /// Begins to send a content, behind what the host has of it.
    ///
    /// # Errors
    /// [`BulkError`] for a window that is none, or a progress that cannot be.
    pub(super) fn start(
        transfer: u8,
        content: Vec<u8>,
        request: &PullRequest,
        baud: u32,
        now_ms: u64,
    ) -> Result<(Self, Content, Window), BulkError> {
        let window = Window::USB.agreed(request.window)?;
        let whole = Content { len: content.len() as u64, hash: *blake3::hash(&content).as_bytes() };
        let kept = request.kept.map(|kept| kept.in_window(whole, window));
        let progress = kept.transpose()?.unwrap_or_default();
        let sender = Sender::new(transfer, whole, window, progress, baud, now_ms)?;
        Ok((Self { content, sender, least: least(request.what) }, whole, window))
    }

    /// The next packet, sealed; `None` if there is nothing to send yet.
    ///
    /// # Errors
    /// [`BulkError`] once the transfer is over.
    pub(super) fn poll(
        &mut self,
        session: &mut Session,
        now_ms: u64,
    ) -> Result<Option<Encoded>, BulkError> {
        let transfer = self.sender.transfer();
        let packet = match self.sender.poll(now_ms, session.next_mark())? {
            Some(Send::Chunk { index, offset, len }) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX);
                let bytes = self.content.get(start..).and_then(|rest| rest.get(..len));
                Packet::Chunk { transfer, index, bytes: bytes.unwrap_or(&[]) }
            }
            Some(Send::Query) => Packet::Query { transfer },
            None => return Ok(None),
        };
        // A session that is worn ends the transfer as a silent line does; the host opens another.
        Ok(session.seal(&Inside::Bulk(packet)).ok())
    }

    /// Takes what the host tells.
    ///
    /// # Errors
    /// [`BulkError`] once the transfer is over.
    pub(super) fn take(&mut self, status: &Status, now_ms: u64) -> Result<(), BulkError> {
        self.sender.take(status, now_ms)
    }

    /// The host was heard.
    pub(super) fn heard(&mut self, now_ms: u64) {
        self.sender.heard(now_ms);
    }

    /// True once the host has the whole.
    pub(super) fn is_done(&self) -> bool {
        self.sender.is_done()
    }

    /// When to poll again if nothing arrives.
    pub(super) fn due_ms(&self) -> u64 {
        self.sender.due_ms()
    }
}

/// The bytes of the log from a sequence on, as many as one transfer carries.
///
/// # Errors
/// [`StoreError`] if the log cannot be read; `None` without a store.
pub(super) fn log(shared: &Shared, from: u64) -> Option<Result<Vec<u8>, StoreError>> {
    let mut bytes = Vec::new();
    let mut next = from;
    while bytes.len() < LOG_PULL_ENTRIES as usize * LogEntry::LEN {
        let state = shared.lock();
        let page = match state.journal()?.store().log_page(next, PAGE_ENTRIES) {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        drop(state);
        let Some(last) = page.last() else { break };
        // The oldest segment may go between two pages; what is behind the gap is the next pull's.
        if !bytes.is_empty() && page.first().is_some_and(|first| first.sequence != next) {
            break;
        }
        next = last.sequence + 1;
        bytes.extend(page.iter().flat_map(LogEntry::to_bytes));
    }
    Some(Ok(bytes))
}

/// Who may pull a content, at least.
pub(super) fn least(what: PullWhat) -> Role {
    match what {
        PullWhat::Log { .. } => Role::Viewer,
        PullWhat::Gallery | PullWhat::Listing => Role::Enroller,
    }
}

/// The gallery with its templates. That somebody takes it is in the log before; whoever has a part of just this content goes on
/// with what is there.
pub(super) fn gallery(
    shared: &Shared,
    kept: Option<&Resume>,
    by: KeyTag,
) -> Result<Vec<u8>, RequestError> {
    let bytes = {
        let state = shared.lock();
        let gallery = answers::gallery(&state)?;
        content::write(&origin(&state)?, gallery.schedules(), people(gallery))
    };
    let bytes = bytes.map_err(|_| RequestError::NotReady { part: Cause::Gallery })?;
    let goes_on = kept.is_some_and(|kept| kept.content.hash == *blake3::hash(&bytes).as_bytes());
    let entry = LogEntry { by, ..LogEntry::of(EntryKind::GalleryRead) };
    if !goes_on && shared.lock().write(entry).is_none() {
        return Err(RequestError::StoreFault { part: Cause::Store });
    }
    Ok(bytes)
}

/// The gallery with digests of its templates.
pub(super) fn listing(shared: &Shared) -> Result<Vec<u8>, RequestError> {
    let state = shared.lock();
    let gallery = answers::gallery(&state)?;
    let schedules: Vec<_> = gallery.schedules().collect();
    Ok(listing::write(&origin(&state)?, &schedules, people(gallery)))
}

fn origin(state: &State) -> Result<Origin, RequestError> {
    let (store, gallery) = (answers::journal(state)?.store(), answers::gallery(state)?);
    let (model, generation) = (gallery.model(), gallery.generation());
    Ok(Origin { model, store_id: store.store_id(), generation })
}

fn people(gallery: &Gallery) -> impl Iterator<Item = Told<'_>> {
    gallery.members().map(|Member { person, access, templates }| Told {
        person,
        access: access.as_deref(),
        templates,
    })
}
