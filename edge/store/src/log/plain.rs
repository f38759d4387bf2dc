//! The log of flash formats 1 and 2, which was not sealed: earlier programs wrote it, and here it is only read, to make the
//! sealed log of it.
//!
//! Format 1 has it in a single file (`single`), format 2 in segments of version 1 (`segment`); both have the records of
//! `record`. A torn tail is left out.

mod record;
mod scan;
mod segment;
mod single;

use super::references;
use crate::anchor::LogForm;
use crate::count::{MOST, UNREACHED};
use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, FlashError, Object, Series};
pub(crate) use record::Body;
use single::Single;
use std::collections::BTreeMap;
use threshold_record::Context;

/// A stretch of records.
#[derive(Clone, Copy, Debug)]
struct Piece {
    object: Object,
    from: u64,
    to: u64,
}

/// A log that is not sealed.
#[derive(Debug)]
pub(crate) struct Plain {
    pieces: Vec<Piece>,
    /// Sequence of the first entry that it may hold.
    pub(crate) first: u64,
    /// Sequence of the last entry; `first` - 1 for none.
    pub(crate) head: u64,
    /// Numbers of contexts given out before its first record.
    pub(crate) given: u16,
    /// Contexts of before that, carried over.
    pub(crate) base: Vec<Context>,
    /// The last entry that refers to each context.
    pub(crate) last_use: BTreeMap<u16, u64>,
    /// A torn end, which is left out.
    pub(crate) cut: Option<TailCut>,
    /// Number of its last segment; 0 for none.
    pub(crate) last: u32,
}

/// Numbers of the segments that say of themselves that they are not sealed, rising.
///
/// # Errors
/// A failing flash.
pub(crate) fn segments(flash: &dyn Flash) -> Result<Vec<u32>, FlashError> {
    let mut plain = Vec::new();
    for number in flash.segments(Series::Log) {
        if segment::is_plain(flash, number)? {
            plain.push(number);
        }
    }
    Ok(plain)
}

impl Plain {
    /// Reads the log from end to end; it had reached `anchored`.
    ///
    /// # Errors
    /// Damage, an older log, a later format, or a failing flash.
    pub(crate) fn open(
        flash: &dyn Flash,
        form: LogForm,
        anchored: u64,
    ) -> Result<Self, StoreError> {
        let plain = match form {
            LogForm::Single => Self::of_single(Single::open(flash, anchored)?),
            _ => Self::of_segments(flash)?,
        };
        if plain.head < anchored {
            let object = match form {
                LogForm::Single => Object::SingleLog,
                _ => Object::Segment(plain.last.max(1)),
            };
            return Err(StoreError::RolledBack { object, found: plain.head, expected: anchored });
        }
        Ok(plain)
    }

    fn empty() -> Self {
        Self {
            pieces: Vec::new(),
            first: 1,
            head: 0,
            given: 0,
            base: Vec::new(),
            last_use: BTreeMap::new(),
            cut: None,
            last: 0,
        }
    }

    fn of_single(single: Single) -> Self {
        let Single { end, head, last_use, cut } = single;
        let piece = Piece { object: Object::SingleLog, from: single::HEADER as u64, to: end };
        Self { pieces: vec![piece], head, last_use, cut, ..Self::empty() }
    }

    fn of_segments(flash: &dyn Flash) -> Result<Self, StoreError> {
        let mut plain = Self::empty();
        let Some(&last) = segments(flash)?.last() else { return Ok(plain) };
        let segments = segment::read_all(flash, last)?;
        let Some(oldest) = segments.first() else { return Ok(plain) };
        plain.last = last;
        plain.first = oldest.first;
        plain.head = oldest.first - 1;
        plain.given = oldest.contexts;
        let mut given = oldest.contexts;
        for (at, held) in segments.iter().enumerate() {
            let object = Object::Segment(held.number);
            let mut take = |found: &record::Record| {
                if found.sequence > MOST {
                    return Err(UNREACHED);
                }
                if found.sequence != plain.head + 1 {
                    return Err("a record out of sequence");
                }
                match &found.body {
                    Body::Entry(entry) if entry.sequence == found.sequence => {
                        plain.head += 1;
                        for number in references(entry) {
                            plain.last_use.insert(number, entry.sequence);
                        }
                    }
                    Body::Entry(_) => return Err("an entry out of sequence"),
                    Body::Context(context) if context.number <= given => {
                        if at == 0 {
                            plain.base.push(context.as_ref().clone());
                        }
                    }
                    Body::Context(context) if context.number == given + 1 => given += 1,
                    Body::Context(_) => return Err("a context out of its order"),
                }
                Ok(())
            };
            let (from, start) = (segment::HEADER as u64, u64::from(held.start));
            let end =
                scan::stretch(flash, object, from, start, |found| take(found).map(|()| true))?;
            if end != start {
                let what = "the length of the contexts carried over";
                return Err(StoreError::Damaged { object, offset: 36, what });
            }
            let to = if held.number == last {
                let len = flash.len(object)?.unwrap_or(0);
                let to = scan::tail(flash, object, start, len, take)?;
                let bytes = len - to;
                plain.cut = (bytes > 0).then_some(TailCut { head: plain.head, bytes });
                to
            } else {
                scan::stretch(flash, object, start, u64::from(held.end), |found| {
                    take(found).map(|()| true)
                })?
            };
            plain.pieces.push(Piece { object, from, to });
        }
        Ok(plain)
    }

    /// Removes what stands behind it: segments of an earlier try that was cut off.
    ///
    /// # Errors
    /// A failing flash.
    pub(crate) fn remove_tries(&self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        for number in flash.segments(Series::Log).into_iter().filter(|&number| number > self.last) {
            flash.remove(Object::Segment(number))?;
        }
        Ok(())
    }

    /// Calls `see` with every entry and every context that was given out in it, in order.
    ///
    /// # Errors
    /// What `see` says, damage, or a failing flash.
    pub(crate) fn for_each(
        &self,
        flash: &mut dyn Flash,
        mut see: impl FnMut(&mut dyn Flash, Body) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut given = self.given;
        for &Piece { object, mut from, to } in &self.pieces {
            while from < to {
                // A stretch at a time, since whoever sees the records writes to the same flash.
                let mut bodies = Vec::new();
                from = scan::stretch(flash, object, from, to, |found| {
                    bodies.push(found.body.clone());
                    Ok(bodies.len() < 512)
                })?;
                for body in bodies {
                    match &body {
                        // Carried over, and seen before.
                        Body::Context(context) if context.number <= given => continue,
                        Body::Context(context) => given = context.number,
                        Body::Entry(_) => {}
                    }
                    see(flash, body)?;
                }
            }
        }
        Ok(())
    }
}
