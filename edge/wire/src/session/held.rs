//! The sessions that a unit holds: the present one, and one that was accepted and has brought nothing yet.
//!
//! A first message of a handshake can be replayed by whoever recorded it. The session that it opens is of no use to him,
//! and must not take the place of one that is in use: so it waits beside it until a genuine frame has come.
//! Refuses a third: the last one accepted waits.

use super::{Inside, OpenError, SealError, Session};
use crate::frame::{Encoded, Sealed};

/// Sessions with what their owner knows of who is at the other end.
#[derive(Debug)]
pub struct Held<W> {
    present: Option<(Session, W)>,
    fresh: Option<(Session, W)>,
}

impl<W> Default for Held<W> {
    fn default() -> Self {
        Self { present: None, fresh: None }
    }
}

impl<W> Held<W> {
    /// The host's end: a session that is in use from the start.
    #[must_use]
    pub fn of(session: Session, who: W) -> Self {
        Self { present: Some((session, who)), fresh: None }
    }

    /// A session was accepted.
    pub fn accepted(&mut self, session: Session, who: W) {
        self.fresh = Some((session, who));
    }

    /// Who is at the other end of the present session.
    #[must_use]
    pub fn who(&self) -> Option<&W> {
        self.present.as_ref().map(|(_, who)| who)
    }

    /// The present session.
    pub fn session(&mut self) -> Option<&mut Session> {
        self.present.as_mut().map(|(session, _)| session)
    }

    /// Forgets the sessions of whom `gone` says: the line was hung up, or the administrator was revoked.
    pub fn forget(&mut self, gone: impl Fn(&W) -> bool) {
        for held in [&mut self.present, &mut self.fresh] {
            if held.as_ref().is_some_and(|(_, who)| gone(who)) {
                *held = None;
            }
        }
    }

    /// Opens a sealed frame; the first one of an accepted session makes it the present one.
    ///
    /// # Errors
    /// [`OpenError`]; without any session every frame is forged.
    pub fn open(&mut self, sealed: &Sealed<'_>) -> Result<Inside<'_>, OpenError> {
        let mut opened = match &mut self.present {
            Some((session, _)) => session.decrypt(sealed),
            None => Err(OpenError::Forged),
        };
        if opened.is_err()
            && let Some((session, _)) = &mut self.fresh
            && let Ok(len) = session.decrypt(sealed)
        {
            self.present = self.fresh.take();
            opened = Ok(len);
        }
        let len = opened?;
        self.present.as_ref().map_or(Err(OpenError::Forged), |(session, _)| session.inside(len))
    }

    /// Seals for the present session.
    ///
    /// # Errors
    /// [`SealError`]; [`SealError::Worn`] without one.
    pub fn seal(&mut self, inside: &Inside<'_>) -> Result<Encoded, SealError> {
        self.session().ok_or(SealError::Worn)?.seal(inside)
    }
}
