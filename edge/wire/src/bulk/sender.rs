//! The sending end of a transfer: which chunk goes next, which one again, and when to ask.
//!
//! Owns what is known of each chunk under way. Refuses to hold the content: it names a chunk's place, its owner reads
//! the bytes there.

use super::{
    BulkError, Content, MAX_WINDOW_CHUNKS, Progress, SILENCE_MS, STANDSTILL_MS, Stage, Status,
    Window,
};

/// What to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Send {
    /// This chunk.
    Chunk {
        /// Its number.
        index: u32,
        /// Where its bytes are in the content.
        offset: u64,
        /// How many they are.
        len: usize,
    },
    /// A query.
    Query,
}

/// The sending end.
#[derive(Clone, Debug)]
pub struct Sender {
    transfer: u8,
    content: Content,
    window: Window,
    n_chunks: u32,
    /// Everything below has arrived.
    next: u32,
    /// Everything from here on was never sent.
    fresh: u32,
    /// What is known of the chunks from `next` to `fresh`, each at its number modulo the window's most.
    flights: [Flight; MAX_WINDOW_CHUNKS as usize],
    /// Milliseconds without a word after which to ask.
    patience_ms: u64,
    /// Queries since the receiver was last heard.
    unanswered: u32,
    sent_ms: u64,
    /// The last status.
    told_ms: u64,
    heard_ms: u64,
    moved_ms: u64,
    stage: Stage,
}

/// A chunk under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flight {
    /// To be sent, for the first time or again.
    Waiting,
    /// Sent under this mark.
    Sent(u64),
    /// Arrived.
    Arrived,
}

/// The longest wait between two queries, unless a chunk takes longer: sixteen go unanswered before the line is dead, since
/// on a noisy one most do.
const MAX_PATIENCE_MS: u64 = 250;

impl Sender {
    /// A sender of a content of which the receiver has `progress` already. `baud` is the line's speed, 0 for a line
    /// without one.
    ///
    /// # Errors
    /// [`BulkError::TooLong`], or [`BulkError::BadPeer`] for a progress that the content cannot have.
    pub fn new(
        transfer: u8,
        content: Content,
        window: Window,
        progress: Progress,
        baud: u32,
        now_ms: u64,
    ) -> Result<Self, BulkError> {
        let window = window.agreed(window)?;
        let n_chunks = content.n_chunks(window.chunk_bytes)?;
        let Progress { next, map } = progress;
        if next > n_chunks || map & 1 != 0 || highest(progress) > n_chunks {
            return Err(BulkError::BadPeer);
        }
        // A chunk that waits, one on the line and the status behind them, three chunks in all; and a round trip.
        let chunk_ms = u64::from(window.chunk_bytes) * 10_000 / u64::from(baud.max(1));
        let patience_ms = 40 + if baud == 0 { 0 } else { 4 * chunk_ms };
        let mut sender = Self {
            transfer,
            content,
            window,
            n_chunks,
            next,
            fresh: highest(progress).max(next),
            flights: [Flight::Waiting; MAX_WINDOW_CHUNKS as usize],
            patience_ms,
            unanswered: 0,
            sent_ms: now_ms,
            told_ms: now_ms,
            heard_ms: now_ms,
            moved_ms: now_ms,
            stage: Stage::Receiving,
        };
        sender.mark_arrived(progress);
        Ok(sender)
    }

    /// Which transfer.
    #[must_use]
    pub fn transfer(&self) -> u8 {
        self.transfer
    }

    /// Bytes that have arrived without a gap, and bytes of the whole.
    #[must_use]
    pub fn arrived(&self) -> (u64, u64) {
        let bytes = u64::from(self.next) * u64::from(self.window.chunk_bytes);
        (bytes.min(self.content.len), self.content.len)
    }

    /// True once the receiver has the whole and its hash is right.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// What to send now under the mark of the next frame; `None` if there is nothing to send yet. Call it when the line
    /// has room and no call waits.
    ///
    /// # Errors
    /// [`BulkError`] once the transfer is over without success.
    pub fn poll(&mut self, now_ms: u64, mark: u64) -> Result<Option<Send>, BulkError> {
        self.check(now_ms)?;
        if self.is_done() {
            return Ok(None);
        }
        let end = self.next.saturating_add(self.window.chunks.into()).min(self.n_chunks);
        let again = (self.next..self.fresh.min(end)).find(|&i| self.flight(i) == Flight::Waiting);
        let fresh = (self.fresh < end).then_some(self.fresh);
        if let Some(index) = again.or(fresh) {
            self.fresh = self.fresh.max(index + 1);
            *self.flight_mut(index) = Flight::Sent(mark);
            self.sent_ms = now_ms;
            let chunk_bytes = self.window.chunk_bytes;
            return Ok(Some(Send::Chunk {
                index,
                offset: u64::from(index) * u64::from(chunk_bytes),
                len: self.content.chunk_len(index, chunk_bytes),
            }));
        }
        if now_ms < self.query_due_ms() {
            return Ok(None);
        }
        self.unanswered += 1;
        self.sent_ms = now_ms;
        Ok(Some(Send::Query))
    }

    /// When to poll again if nothing arrives.
    #[must_use]
    pub fn due_ms(&self) -> u64 {
        self.query_due_ms().min(self.heard_ms + SILENCE_MS).min(self.moved_ms + STANDSTILL_MS)
    }

    /// The peer was heard in some other way, such as an answer to a call.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
    }

    /// Takes a status.
    ///
    /// # Errors
    /// [`BulkError`] if it ends the transfer.
    pub fn take(&mut self, status: &Status, now_ms: u64) -> Result<(), BulkError> {
        if status.transfer != self.transfer {
            return Ok(());
        }
        self.heard(now_ms);
        self.told_ms = now_ms;
        self.unanswered = 0;
        match status.stage {
            Stage::Unknown => return Err(BulkError::Forgotten),
            Stage::Mismatch => return Err(BulkError::Mismatch),
            Stage::Receiving | Stage::Done => {}
        }
        let Progress { next, map } = status.progress;
        if next > self.fresh || map & 1 != 0 || highest(status.progress) > self.fresh {
            return Err(BulkError::BadPeer);
        }
        if status.stage == Stage::Done {
            if next != self.n_chunks {
                return Err(BulkError::BadPeer);
            }
            self.stage = Stage::Done;
        }
        // An older status than one taken before tells nothing.
        if next < self.next {
            return Ok(());
        }
        let before = (self.next, self.n_arrived());
        // Chunks that leave the window give their places to those that enter it.
        for index in self.next..next {
            *self.flight_mut(index) = Flight::Waiting;
        }
        self.next = next;
        self.mark_arrived(status.progress);
        for index in self.next..self.fresh {
            if let Flight::Sent(mark) = self.flight(index)
                && mark <= status.seen
            {
                *self.flight_mut(index) = Flight::Waiting;
            }
        }
        if (self.next, self.n_arrived()) != before {
            self.moved_ms = now_ms;
        }
        Ok(())
    }

    fn check(&self, now_ms: u64) -> Result<(), BulkError> {
        let silent_ms = now_ms.saturating_sub(self.heard_ms);
        let still_ms = now_ms.saturating_sub(self.moved_ms);
        if self.is_done() {
            Ok(())
        } else if silent_ms >= SILENCE_MS {
            Err(BulkError::Dead { silent_ms })
        } else if still_ms >= STANDSTILL_MS {
            Err(BulkError::TooNoisy { still_ms })
        } else {
            Ok(())
        }
    }

    fn query_due_ms(&self) -> u64 {
        let wait_ms =
            (self.patience_ms << self.unanswered.min(8)).min(MAX_PATIENCE_MS.max(self.patience_ms));
        self.sent_ms.max(self.told_ms) + wait_ms
    }

    fn mark_arrived(&mut self, progress: Progress) {
        for bit in 1..u64::BITS {
            if progress.map >> bit & 1 == 1 {
                *self.flight_mut(progress.next + bit) = Flight::Arrived;
            }
        }
    }

    fn n_arrived(&self) -> usize {
        (self.next..self.fresh).filter(|&index| self.flight(index) == Flight::Arrived).count()
    }

    fn flight(&self, index: u32) -> Flight {
        let place = index as usize % self.flights.len();
        self.flights.get(place).copied().unwrap_or(Flight::Waiting)
    }

    fn flight_mut(&mut self, index: u32) -> &mut Flight {
        // The remainder is a place of the array, whose length is a constant above zero.
        &mut self.flights[index as usize % MAX_WINDOW_CHUNKS as usize]
    }
}

/// One past the last chunk that has arrived.
fn highest(progress: Progress) -> u32 {
    progress.next.saturating_add(if progress.map == 0 {
        0
    } else {
        u64::BITS - progress.map.leading_zeros()
    })
}
