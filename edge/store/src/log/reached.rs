//! How far a log has come, batch after batch: what an open and a check of the whole log have in common.

use super::batch::{Batch, Batches, Tail};
use super::record::Record;
use super::segment::Head;
use super::state::State;
use crate::chain::{Chain, Tip};
use crate::count::{MOST, UNREACHED};
use crate::error::StoreError;

/// Everything that follows from the pieces of the log up to one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reached {
    pub(crate) tip: Tip,
    /// Batches of the log.
    pub(crate) batches: u64,
    pub(crate) state: State,
    /// The last bytes of the last piece.
    pub(crate) tail: Tail,
}

/// Why a batch that opened is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// Another one belongs there.
    Other(&'static str),
    /// It holds what only a later program reads.
    Later,
}

/// How a segment may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Where the next segment says: everything before it is whole.
    Sealed,
    /// It is the last one: its end may be torn.
    Open,
}

impl Reached {
    /// Where a segment begins.
    pub(crate) fn before(head: &Head) -> Self {
        let Head { batches, state, tail, .. } = *head;
        Self { tip: head.checkpoint.tip(), batches, state, tail }
    }

    /// Takes in the contexts that the head has of its own: those of a segment that was begun anew stood in it before.
    pub(crate) fn take_carried(&mut self, chain: &Chain, head: &Head) {
        for context in head.carried.iter().filter(|held| held.number > head.checkpoint.contexts) {
            self.tip.take_context(chain, context);
        }
    }

    /// Takes in the next batch and shows each of its records, with the place behind it.
    ///
    /// # Errors
    /// [`Unfit`]; what was reached is then as before.
    pub(crate) fn take(
        &mut self,
        chain: &Chain,
        batch: &Batch,
        tail: Tail,
        see: &mut dyn FnMut(&Tip, Record),
    ) -> Result<(), Unfit> {
        if !batch.follows {
            return Err(Unfit::Other("a batch that does not continue the one before it"));
        }
        if batch.prefix.first != self.tip.head + 1 {
            return Err(Unfit::Other("a batch out of sequence"));
        }
        let (mut tip, mut state) = (self.tip, self.state);
        for record in batch.records() {
            let record = record.ok_or(Unfit::Later)?;
            match &record {
                Record::Entry(entry) if entry.sequence == tip.head + 1 => {
                    tip.take_entry(chain, entry);
                }
                Record::Entry(_) => return Err(Unfit::Other("an entry out of sequence")),
                Record::Context(context) if tip.given.checked_add(1) == Some(context.number) => {
                    tip.take_context(chain, context);
                }
                Record::Context(_) => return Err(Unfit::Other("a context out of its order")),
                Record::State(found) if found.is_reached() => state = *found,
                Record::State(_) => return Err(Unfit::Other(UNREACHED)),
            }
            see(&tip, record);
        }
        if tip.head + 1 != batch.prefix.next() {
            return Err(Unfit::Other("a batch of another count of entries"));
        }
        let batches = self.batches + 1;
        if tip.head.max(batches) > MOST {
            return Err(Unfit::Other(UNREACHED));
        }
        *self = Self { tip, state, tail, batches };
        Ok(())
    }

    /// Takes in a segment's batches from `offset` on. Gives the end of the last one: the end of what may be read or, at the end
    /// of the log, the start of a torn tail.
    ///
    /// # Errors
    /// Damage, a later format, or a failing flash; what was reached is then the batch before.
    pub(crate) fn read_on(
        &mut self,
        chain: &Chain,
        batches: &mut Batches<'_>,
        mut offset: u64,
        end: End,
        see: &mut dyn FnMut(&Tip, Record),
    ) -> Result<u64, StoreError> {
        while offset < batches.len() {
            let Some(batch) = batches.open(offset)? else {
                if end == End::Sealed || batches.any_behind(offset)? {
                    return Err(batches.not_whole(offset));
                }
                break;
            };
            let behind = offset + batch.prefix.len as u64;
            let tail = batches.tail_before(behind)?;
            self.take(chain, &batch, tail, see).map_err(|unfit| batches.unfit(offset, unfit))?;
            offset = behind;
        }
        Ok(offset)
    }
}
