//! The thread that feels the door, and keeps an eye on the relay.
//!
//! Owns the order: an edge, what it means ([`super::watch`]), an entry in the log. Refuses to move anything; the one thing that it
//! drives is a relay whose own thread did not end a pulse, and that to inactive.

use super::lines::{Edge, Inputs, LineFault, Output};
use super::outputs::Orders;
use super::ration::{Due, Rations};
use super::watch::{Input, Watch};
use crate::journal::Wait;
use crate::notices::Notices;
use crate::service::Button;
use crate::state::Shared;
use crate::unit::Clock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_record::{Cause, EntryKind, LogEntry, PersonId};

/// How long the thread waits for an edge before it looks at the relay and the time.
const PATIENCE: Duration = Duration::from_millis(250);

/// Calls on end that may fail before the inputs are at fault: a signal may end one.
const MAX_FAILURES: u32 = 3;

/// A button on a line: pressed once for each press.
#[derive(Clone, Debug, Default)]
pub(super) struct LineButton(Arc<AtomicBool>);

impl Button for LineButton {
    fn pressed(&mut self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

/// The inputs that are wired, and what is known of them.
pub(super) struct Wired {
    lines: Box<dyn Inputs>,
    names: Vec<(u32, Input)>,
    known: Vec<(Input, bool)>,
}

impl Wired {
    /// Inputs, each as it is now: what changes from here on is told as a change, however late the thread begins.
    ///
    /// # Errors
    /// [`LineFault`] if they cannot be read.
    pub(super) fn new(lines: Box<dyn Inputs>, names: Vec<(u32, Input)>) -> Result<Self, LineFault> {
        let mut wired = Self { lines, names, known: Vec::new() };
        wired.known = wired.levels()?;
        Ok(wired)
    }

    fn levels(&self) -> Result<Vec<(Input, bool)>, LineFault> {
        let levels = self.lines.levels()?;
        Ok(levels.into_iter().filter_map(|(line, is)| Some((self.name(line)?, is))).collect())
    }

    fn name(&self, line: u32) -> Option<Input> {
        self.names.iter().find(|(of, _)| *of == line).map(|(_, input)| *input)
    }

    /// What changed within the patience, and when; without an edge, what the levels say all the same: the kernel keeps so
    /// many edges and no more.
    fn changes(&mut self, clock: &dyn Clock) -> Result<Vec<(Input, bool, u64)>, LineFault> {
        let edge = self.lines.next(PATIENCE)?;
        let now_ms = clock.monotonic_ms();
        let changes: Vec<_> = match edge {
            Some(Edge { line, active, age }) => {
                let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                let at_ms = now_ms.saturating_sub(age_ms);
                self.name(line).map(|input| (input, active, at_ms)).into_iter().collect()
            }
            None => {
                let levels = self.levels()?.into_iter();
                let lost = levels.filter(|level| !self.known.contains(level));
                lost.map(|(input, active)| (input, active, now_ms)).collect()
            }
        };
        for (input, active, _) in &changes {
            if let Some(known) = self.known.iter_mut().find(|(of, _)| of == input) {
                known.1 = *active;
            }
        }
        Ok(changes)
    }
}

/// What the thread works with.
pub(super) struct Feeling {
    pub(super) wired: Option<Wired>,
    pub(super) relay: Option<Arc<dyn Output>>,
    pub(super) orders: Arc<Orders>,
    pub(super) held_ms: u64,
    pub(super) button: LineButton,
    pub(super) shared: Shared,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) notices: Notices,
}

impl Feeling {
    /// Feels the door until the orders end; on a thread of its own. A panic is a fault of the door like any other.
    pub(super) fn run(self) {
        let shared = self.shared.clone();
        if catch_unwind(AssertUnwindSafe(|| self.feel())).is_err() {
            let why = "the door's inputs are not felt any more, the program panicked; start the unit again, and report this";
            shared.lock().fail(Cause::Lock, why);
        }
    }

    fn feel(mut self) {
        let mut rations = Rations::default();
        let now_ms = self.clock.monotonic_ms();
        let known = self.wired.as_ref().map(|wired| wired.known.clone()).unwrap_or_default();
        let (mut watch, events) = Watch::start(self.held_ms, known, now_ms);
        for kind in events {
            self.happened(kind, &mut rations, now_ms);
        }
        let (mut failures, mut dark) = (0, false);
        while !self.orders.is_stopped() {
            let changes = self.changes(&mut failures);
            let now_ms = self.clock.monotonic_ms();
            let span = self.orders.span();
            for (input, active, at_ms) in changes {
                for kind in watch.edge(input, active, at_ms, span) {
                    if kind == EntryKind::ButtonPressed {
                        self.button.0.store(true, Ordering::Relaxed);
                    }
                    self.happened(kind, &mut rations, now_ms);
                }
            }
            if watch.too_long(now_ms, span) {
                self.happened(EntryKind::DoorHeld, &mut rations, now_ms);
            }
            if let Some(due) = rations.due(now_ms) {
                match self.write(due) {
                    true => self.say(due),
                    false => rations.give_back(due),
                }
            }
            self.orders.alarm(watch.is_alarm());
            self.look_after_outputs(&mut dark);
        }
    }

    /// What changed; a chip that has gone is a fault, and the thread goes on without it.
    fn changes(&mut self, failures: &mut u32) -> Vec<(Input, bool, u64)> {
        let Some(wired) = &mut self.wired else {
            self.orders.wait(PATIENCE);
            return Vec::new();
        };
        match wired.changes(self.clock.as_ref()) {
            Ok(changes) => {
                *failures = 0;
                return changes;
            }
            Err(fault) => {
                *failures += 1;
                if *failures >= MAX_FAILURES {
                    self.wired = None;
                    self.shared.lock().fail(Cause::Lock, &fault.0);
                }
            }
        }
        Vec::new()
    }

    /// Writes an entry and says the same to whoever runs the machine. What the store does not take is tried again.
    fn happened(&self, kind: EntryKind, rations: &mut Rations, now_ms: u64) {
        let Some(due) = rations.take(kind, now_ms) else { return };
        self.say(due);
        if !self.write(due) {
            rations.give_back(due);
        }
    }

    fn write(&self, Due { kind, more }: Due) -> bool {
        let entry = LogEntry { runner_up: PersonId(more), ..LogEntry::of(kind) };
        let mut state = self.shared.lock();
        let written = match kind {
            // Whoever opens the housing is near the plug, and whoever forces the door may look for it.
            EntryKind::Tampered | EntryKind::DoorForced => state.write(entry),
            _ => state.write_soon(entry, Wait::Event),
        };
        written.is_some()
    }

    fn say(&self, Due { kind, more }: Due) {
        let many = if more > 0 { format!(" (and {more} times before)") } else { String::new() };
        self.notices.tell(&format!("door: {}{many}", words(kind)));
    }

    /// Tells what the outputs' thread cannot, and ends a pulse that it did not end.
    fn look_after_outputs(&self, dark: &mut bool) {
        if self.orders.overdue()
            && let Some(relay) = &self.relay
        {
            // Tried again at the next turn, if it must be.
            let _ = relay.set(false);
        }
        let (fault, lamp) = self.orders.faults();
        if let Some(fault) = fault {
            self.shared.lock().fail(Cause::Lock, &fault.0);
        }
        if let Some(lamp) = lamp.filter(|_| !*dark) {
            *dark = true;
            self.notices.tell(&format!("door: {lamp}"));
        }
    }
}

/// What an entry of the door's says.
fn words(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::DoorForced => "it was opened without the unit and without a request to exit",
        EntryKind::DoorHeld => "it stands open for too long",
        EntryKind::DoorClosed => "it is closed again",
        EntryKind::ExitRequested => "somebody inside asked to leave",
        EntryKind::Tampered => "the housing was opened",
        EntryKind::HousingClosed => "the housing is closed again",
        EntryKind::ButtonPressed => "the button inside the housing was pressed",
        _ => kind.text(),
    }
}
