//! A pull under way: the unit's end of a bulk transfer to the host.
//!
//! Owns the content and the sender. Refuses a second one beside it: a host that asks anew has given the first one up.
//! The content of a log pull is read in small pages, so that the loop at the door never waits for more than one.

use crate::state::Shared;
use threshold_record::LogEntry;
use threshold_store::StoreError;
use threshold_wire::Encoded;
use threshold_wire::bulk::{BulkError, Content, Packet, Progress, Send, Sender, Status, Window};
use threshold_wire::message::LOG_PULL_ENTRIES;
use threshold_wire::session::{Inside, Session};

/// Entries that are read under one hold of the state.
const PAGE_ENTRIES: usize = 1024;

/// A content on its way.
#[derive(Debug)]
pub(super) struct Pull {
    content: Vec<u8>,
    sender: Sender,
}

impl Pull {
    /// Begins to send a content.
    ///
    /// # Errors
    /// [`BulkError`] for a window that is none.
    pub(super) fn start(
        transfer: u8,
        content: Vec<u8>,
        window: Window,
        baud: u32,
        now_ms: u64,
    ) -> Result<(Self, Content, Window), BulkError> {
        let window = Window::USB.agreed(window)?;
        let whole = Content { len: content.len() as u64, hash: *blake3::hash(&content).as_bytes() };
        let sender = Sender::new(transfer, whole, window, Progress::default(), baud, now_ms)?;
        Ok((Self { content, sender }, whole, window))
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
