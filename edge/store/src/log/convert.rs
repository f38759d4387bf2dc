//! From a log that is not sealed, of formats 1 and 2, to the sealed one, once, at the first start of a program that seals.
//!
//! The key ring decides: as long as its form is `Converting` the old log is the log, and what stands beside it is what an
//! earlier try left when the power went; it is removed. The caller switches the form once the new segments are durable, and
//! from then on they are the log and the old one is a leftover, which goes. There is no state between.
//! The new segments' numbers go on after the old ones', so that no segment is ever in another's place: whatever is left of the
//! old ones stands before the oldest that counts.
//! Sequences and numbers of contexts stay as they are; the chains begin with the oldest entry that is there.

use super::batch::Tail;
use super::plain::{Body, Plain};
use super::reached::Reached;
use super::{Converting, Log, LogSize, State, record};
use crate::anchor::{Anchor, LogForm};
use crate::chain::Tip;
use crate::error::{StoreError, TailCut};
use crate::flash::Flash;
use crate::keyring::Keyring;

/// Makes sealed segments of the old log, durable on return. The old one stays; it goes with [`Log::remove_old`] once the switch
/// is durable.
///
/// # Errors
/// [`StoreError`]; the old log is then as before.
pub(crate) fn convert(
    flash: &mut dyn Flash,
    keyring: &Keyring,
    size: LogSize,
    form: LogForm,
    anchor: &Anchor,
) -> Result<(Log, Option<TailCut>), StoreError> {
    let plain = Plain::open(flash, form, anchor.log_head)?;
    plain.remove_tries(flash)?;
    let mut log = Log::empty(keyring, size);
    log.tip = Tip { head: plain.first - 1, given: plain.given, ..Tip::default() };
    log.state = State::from(anchor);
    log.durable = Reached { tip: log.tip, batches: 0, state: log.state, tail: Tail::default() };
    log.converting = Some(Converting { last: plain.last, last_use: plain.last_use.clone() });
    plain.base.iter().for_each(|context| log.hold(context.clone()));
    log.roll(flash, keyring)?;
    plain.for_each(flash, |flash, body| match body {
        Body::Context(context) => log.push_context(flash, keyring, *context),
        Body::Entry(entry) => {
            log.make_room(flash, keyring, record::ENTRY_LEN)?;
            log.push_entry(&entry);
            Ok(())
        }
    })?;
    log.sync(flash, keyring)?;
    log.converting = None;
    Ok((log, plain.cut))
}
