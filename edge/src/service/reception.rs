//! Who is at the line: the hello, the handshake, the pairing, and the sessions that came of them.
//!
//! Owns what a line knows of its visitor. A role is looked up in the roster at every call, so that a revoked administrator
//! is refused in the middle of a session. Refuses a handshake without a hello, more handshakes than the ration, and to pair
//! without the unit's button.

use super::commission::Challenge;
use crate::journal::Journal;
use crate::state::State;
use threshold_record::{EntryKind, KeyId, KeyTag, LogEntry, Role};
use threshold_store::{Store, StoreError};
use threshold_wire::handshake::{
    HandshakeRefusal, PairFinish, PairFinished, PairStart, PairStarted, Ration, SessionOpen,
    SessionOpened,
};
use threshold_wire::pairing::{PairingAtUnit, PairingCode};
use threshold_wire::session::{Held, SecretKey, accept};
use threshold_wire::{Hello, HelloRequest};

/// Whoever opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visitor {
    /// The public key.
    pub(super) key: [u8; 32],
    /// Which of the line's sessions this is.
    pub(super) session: u32,
}

/// Whoever asks, as far as the unit knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    pub(super) role: Role,
    /// The key's short name; `None` over a line that is obeyed without a session.
    pub(super) key: Option<KeyId>,
}

impl Asker {
    /// A line that the unit trusts is as good as its owner, until the roster has one.
    pub(super) const OF_TRUSTED_LINE: Self = Self { role: Role::Owner, key: None };

    /// What the log calls the asker.
    pub(super) fn tag(self) -> KeyTag {
        self.key.map_or(KeyTag::NOBODY, KeyId::tag)
    }
}

/// One line's reception.
#[derive(Debug)]
pub(super) struct Reception {
    greeting: Option<HelloRequest>,
    pub(super) held: Held<Visitor>,
    pairing: PairingAtUnit,
    ration: Ration,
    /// Of challenges, as many as of handshakes.
    pub(super) challenges: Ration,
    /// The challenge to whoever has the recovery key.
    pub(super) challenge: Option<Challenge>,
    accepted: u32,
}

impl Reception {
    /// Nobody came yet.
    pub(super) fn new() -> Self {
        Self {
            greeting: None,
            held: Held::default(),
            pairing: PairingAtUnit::default(),
            ration: Ration::full(),
            challenges: Ration::full(),
            challenge: None,
            accepted: 0,
        }
    }

    /// The host said hello.
    pub(super) fn greet(&mut self, host: &HelloRequest, state: &State) -> Hello {
        self.greeting = Some(host.clone());
        hello(state)
    }

    /// Somebody holds the unit's button.
    pub(super) fn button(&mut self, now_ms: u64) {
        self.pairing.window.button(now_ms);
    }

    /// Whoever was at the line has gone; a pairing window stays open until its time is over.
    pub(super) fn hung_up(&mut self) {
        (self.greeting, self.challenge) = (None, None);
        self.held = Held::default();
    }

    /// The visitor and what the visitor may ask; `None` if the roster does not have the visitor any more.
    pub(super) fn asker(&self, state: &State) -> Option<Asker> {
        let visitor = self.held.who()?;
        let roster = state.journal()?.store().roster().administrators();
        let known = roster.iter().find(|known| known.key == visitor.key)?;
        Some(Asker { role: known.role, key: Some(known.key_id()) })
    }

    pub(super) fn open_session(&mut self, request: &SessionOpen, state: &State) -> SessionOpened {
        self.accept(request, state).unwrap_or_else(SessionOpened::Refused)
    }

    pub(super) fn start_pairing(&mut self, request: &PairStart, state: &State) -> PairStarted {
        let started = self.greeting.as_ref().ok_or(HandshakeRefusal::NoHello).and_then(|host| {
            let store = store(state)?;
            let now_ms = state.clock().monotonic_ms();
            let unit = hello(state);
            self.pairing.window.check(now_ms)?;
            self.ration.take(now_ms)?;
            let code = PairingCode::of_bytes(*store.pairing_code());
            self.pairing.start(request, host, &unit, &secret(store)?, &code, now_ms)
        });
        started.unwrap_or_else(PairStarted::Refused)
    }

    /// The administrator stands in the roster before the answer goes out.
    pub(super) fn finish_pairing(
        &mut self,
        request: &PairFinish,
        state: &mut State,
    ) -> PairFinished {
        self.keep(request, state).unwrap_or_else(PairFinished::Refused)
    }

    fn keep(
        &mut self,
        request: &PairFinish,
        state: &mut State,
    ) -> Result<PairFinished, HandshakeRefusal> {
        let now_ms = state.clock().monotonic_ms();
        self.pairing.window.check(now_ms)?;
        self.ration.take(now_ms)?;
        // The first one who stands at a unit with its code owns it; whoever comes after him looks, until an owner gives
        // another role. Who is in the roster comes again because the answer was lost, or what he kept of the unit: he has the code and his
        // key, and is what he was.
        let roster = store(state)?.roster().administrators();
        let there = |key: &[u8; 32]| roster.iter().find(|held| held.key == *key);
        let first = if roster.is_empty() { Role::Owner } else { Role::Viewer };
        let role_of = |key: &[u8; 32]| there(key).map_or(first, |held| held.role);
        let finished = self.pairing.finish(request, role_of, now_ms)?;
        let is_there = there(&finished.administrator.key).is_some();
        let tag = finished.administrator.key_id().tag();
        let entry = LogEntry { by: tag, about: tag, ..LogEntry::of(EntryKind::Paired) };
        if is_there {
            state.write(entry);
            return Ok(finished.answer);
        }
        let journal = state.owing_nothing();
        match journal.and_then(|held| held.store_mut().put_administrator(finished.administrator)) {
            Ok(()) => {
                // He is in the roster: an entry that cannot be written is owed, and the door stays locked until the log has it.
                let _ = state.write_or_owe(entry);
                state.roster_changed();
                Ok(finished.answer)
            }
            // A name that is taken, a key that was revoked: a rule of the roster, and no fault.
            Err(StoreError::Administrator(_)) => Err(HandshakeRefusal::NotKept),
            Err(error) => {
                state.store_failed(&error);
                state.owe_if_it_may_hold(&error, entry);
                Err(HandshakeRefusal::NotKept)
            }
        }
    }

    fn accept(
        &mut self,
        request: &SessionOpen,
        state: &State,
    ) -> Result<SessionOpened, HandshakeRefusal> {
        let host = self.greeting.as_ref().ok_or(HandshakeRefusal::NoHello)?;
        let store = store(state)?;
        let roster = store.roster().administrators();
        self.ration.take(state.clock().monotonic_ms())?;
        let accepted = accept(request, host, &hello(state), &secret(store)?, roster)?;
        self.accepted = self.accepted.wrapping_add(1);
        let visitor = Visitor { key: accepted.administrator.key, session: self.accepted };
        self.held.accepted(accepted.session, visitor);
        Ok(accepted.answer)
    }
}

fn store(state: &State) -> Result<&Store, HandshakeRefusal> {
    state.journal().map(Journal::store).ok_or(HandshakeRefusal::NoKeys)
}

/// The unit's own key.
fn secret(store: &Store) -> Result<SecretKey, HandshakeRefusal> {
    SecretKey::of_bytes(**store.link_secret()).map_err(|_| HandshakeRefusal::NoKeys)
}

fn hello(state: &State) -> Hello {
    let identity = state.identity();
    Hello::of_unit(&identity.unit, identity.build)
}
