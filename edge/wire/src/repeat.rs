//! The repeat of a lost answer: a call that arrives twice is obeyed once.
//!
//! A host that hears nothing asks again with the same id. If the unit had obeyed the first time, doing it again could
//! add a second person or answer "name taken" to the one who took it. So the unit keeps its last answer and
//! gives it again to the same call. One is enough: a host waits for an answer before it asks the next thing.
//! A host starts its ids at a random number, so that a new session does not meet the last one's answer; the
//! call's bytes must be equal as well.

use crate::frame::{Encoded, Frame};

/// The unit's last answer on one line: as it went out, or as it is sealed anew in a session.
#[derive(Clone, Debug)]
pub struct LastAnswer<A = Encoded> {
    kept: Option<(Fingerprint, A)>,
}

impl<A> Default for LastAnswer<A> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fingerprint {
    id: u32,
    key: [u8; 8],
    len: usize,
    crc: u32,
}

impl<A> LastAnswer<A> {
    /// Nothing answered yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { kept: None }
    }

    /// The answer to this call if it is the last one again.
    #[must_use]
    pub fn to(&self, call: &Frame<'_>) -> Option<&A> {
        let (fingerprint, answer) = self.kept.as_ref()?;
        (*fingerprint == Fingerprint::of(call)).then_some(answer)
    }

    /// Keeps the answer that is about to be sent.
    pub fn keep(&mut self, call: &Frame<'_>, answer: A) -> &A {
        &self.kept.insert((Fingerprint::of(call), answer)).1
    }
}

impl Fingerprint {
    fn of(call: &Frame<'_>) -> Self {
        let (id, key) = (call.id, call.key);
        Self { id, key, len: call.body.len(), crc: crc32fast::hash(call.body) }
    }
}
