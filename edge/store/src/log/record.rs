//! One record inside a sealed piece of the log.
//!
//! ```text
//! 0 kind u8      1 entry, 2 context, 3 state
//! 1 length u16   of the body
//! 3 body         entry: LogEntry's 64 bytes; context: number u16 | kind u8 | bytes; state: 32 bytes
//! ```
//! Whoever reads one has opened the seal around it, so that bytes that are no record were written by a later program.

use super::state::{self, State};
use threshold_record::{Context, ContextKind, LogEntry};

const PREFIX: usize = 3;

/// The length of an entry's record.
pub(crate) const ENTRY_LEN: usize = PREFIX + LogEntry::LEN;

/// The length of a state's record.
pub(crate) const STATE_LEN: usize = PREFIX + state::LEN;

/// The length of the record of a context of so many bytes.
pub(crate) const fn context_len(bytes: usize) -> usize {
    PREFIX + 3 + bytes
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Record {
    Entry(LogEntry),
    Context(Box<Context>),
    State(State),
}

/// Writes the record of an entry behind others.
pub(crate) fn push_entry(bytes: &mut Vec<u8>, entry: &LogEntry) {
    push(bytes, 1, &[&entry.to_bytes()]);
}

/// Writes the record of a context behind others.
pub(crate) fn push_context(bytes: &mut Vec<u8>, context: &Context) {
    let [low, high] = context.number.to_le_bytes();
    push(bytes, 2, &[&[low, high, context.kind.code()], &context.bytes]);
}

/// Writes the record of a state behind others.
pub(crate) fn push_state(bytes: &mut Vec<u8>, state: State) {
    push(bytes, 3, &[&state.to_bytes()]);
}

fn push(bytes: &mut Vec<u8>, kind: u8, body: &[&[u8]]) {
    let len = body.iter().map(|part| part.len()).sum::<usize>() as u16;
    bytes.push(kind);
    bytes.extend_from_slice(&len.to_le_bytes());
    body.iter().for_each(|part| bytes.extend_from_slice(part));
}

/// The records in bytes, in order; `None` in place of one that is of a later program, and nothing behind it.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = Option<Record>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let read = split(bytes);
        bytes = read.as_ref().map_or(&[], |(_, rest)| rest);
        Some(read.map(|(record, _)| record))
    })
}

fn split(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (&[kind, low, high], rest) = bytes.split_first_chunk::<PREFIX>()?;
    let (body, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
    let record = match kind {
        1 => Record::Entry(LogEntry::from_bytes(body.try_into().ok()?).ok()?),
        2 => Record::Context(Box::new(context(body)?)),
        3 => Record::State(State::from_bytes(body.try_into().ok()?)),
        _ => return None,
    };
    Some((record, rest))
}

fn context(body: &[u8]) -> Option<Context> {
    let (&[low, high, kind], bytes) = body.split_first_chunk::<3>()?;
    Some(Context {
        number: u16::from_le_bytes([low, high]),
        kind: ContextKind::from_code(kind)?,
        bytes: heapless::Vec::from_slice(bytes).ok()?,
    })
}
