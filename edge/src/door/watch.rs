//! What the door's inputs mean: a pure state machine. Edges and time come in, events for the log go out.
//!
//! Owns when a door counts as forced or held open. Refuses to move anything: request-to-exit masks the alarm of a forced
//! door, for a while, and no input whatever releases the lock (safety rule 7). It has nothing to release it with.

use super::pulse::{Pulse, Span};
use threshold_record::EntryKind;

/// An opening that begins so long after a request to exit is one from inside. Counted from the press: a button that is
/// held, or whose wires were joined, masks nothing afterwards.
const AFTER_EXIT_MS: u64 = 10_000;

/// Most events of one edge.
const MAX_EVENTS: usize = 2;

/// What an input is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Active while somebody inside asks to leave.
    RequestToExit,
    /// Active while the door is open.
    Contact,
    /// Active while the housing is open.
    Tamper,
    /// Active while the button inside the housing is pressed.
    Button,
}

/// Kinds of entries that come of it.
pub(super) type Events = heapless::Vec<EntryKind, MAX_EVENTS>;

/// The door as its inputs tell it.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    held_ms: u64,
    /// Since when the door has been open.
    open_ms: Option<u64>,
    /// The opening was told as forced, or as held.
    forced: bool,
    held: bool,
    /// When somebody last asked to leave.
    exit_ms: Option<u64>,
    tampered: bool,
}

impl Watch {
    /// A door that may stand open for so long, with its inputs as they are at the start. One that is open then was not
    /// seen opening, so it is not forced, and held after the same time as any other.
    pub(super) fn start(
        held_ms: u64,
        levels: impl IntoIterator<Item = (Input, bool)>,
        now_ms: u64,
    ) -> (Self, Events) {
        let mut watch = Self {
            held_ms,
            open_ms: None,
            forced: false,
            held: false,
            exit_ms: None,
            tampered: false,
        };
        let mut events = Events::new();
        for (input, active) in levels {
            match input {
                Input::Contact => watch.open_ms = active.then_some(now_ms),
                Input::Tamper => events = watch.edge(input, active, now_ms, None),
                // Held before the unit looked: nobody pressed.
                Input::RequestToExit | Input::Button => {}
            }
        }
        (watch, events)
    }

    /// Takes a change of an input; `span` is the relay's last pulse. A change to what is known already says nothing.
    pub(super) fn edge(
        &mut self,
        input: Input,
        active: bool,
        at_ms: u64,
        span: Option<Span>,
    ) -> Events {
        let mut events = Events::new();
        // Two at most, and room for them: nothing is lost.
        let mut tell = |kind| {
            let _ = events.push(kind);
        };
        match (input, active) {
            (Input::RequestToExit, true) => {
                self.exit_ms = Some(at_ms);
                tell(EntryKind::ExitRequested);
            }
            (Input::Contact, true) if self.open_ms.is_none() => {
                self.open_ms = Some(at_ms);
                self.forced = !self.is_free(at_ms, span);
                if self.forced {
                    tell(EntryKind::DoorForced);
                }
            }
            (Input::Contact, false) if self.open_ms.take().is_some() => {
                // An opening that nobody told needs no end.
                if self.forced || self.held {
                    tell(EntryKind::DoorClosed);
                }
                (self.forced, self.held) = (false, false);
            }
            (Input::Tamper, open) if self.tampered != open => {
                self.tampered = open;
                tell(if open { EntryKind::Tampered } else { EntryKind::HousingClosed });
            }
            (Input::Button, true) => tell(EntryKind::ButtonPressed),
            _ => {}
        }
        events
    }

    /// Time passes: true once for an opening that lasts too long, counted from the opening or the last pulse. A request to
    /// exit makes it no longer.
    pub(super) fn too_long(&mut self, now_ms: u64, span: Option<Span>) -> bool {
        let Some(open_ms) = self.open_ms.filter(|_| !self.held) else { return false };
        let since_ms = open_ms.max(span.map_or(0, |span| span.end_ms));
        self.held = now_ms.saturating_sub(since_ms) >= self.held_ms;
        self.held
    }

    /// True while something stands open that should not.
    pub(super) fn is_alarm(&self) -> bool {
        self.forced || self.held || self.tampered
    }

    /// True if an opening at that instant follows a pulse or a request to exit.
    fn is_free(&self, at_ms: u64, span: Option<Span>) -> bool {
        let pulsed = span.is_some_and(|Span { free_from_ms, end_ms, .. }| {
            (free_from_ms..=end_ms.saturating_add(Pulse::COUNTS_MS)).contains(&at_ms)
        });
        let asked = self.exit_ms.is_some_and(|exit_ms| {
            (exit_ms..=exit_ms.saturating_add(AFTER_EXIT_MS)).contains(&at_ms)
        });
        pulsed || asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EntryKind::{
        ButtonPressed, DoorClosed, DoorForced, DoorHeld, ExitRequested, HousingClosed, Tampered,
    };

    const HELD_MS: u64 = 30_000;
    const PULSE: Span = Span { start_ms: 10_000, end_ms: 13_000, free_from_ms: 10_000 };

    /// What comes of edges at their times, with looks at the time in between, and whether it ends in an alarm.
    fn told(edges: &[(u64, Input, bool)], span: Option<Span>) -> (Vec<(u64, EntryKind)>, bool) {
        let (mut watch, _) = Watch::start(HELD_MS, [], 0);
        let mut told = Vec::new();
        for now_ms in 0..100_000 {
            for &(_, input, active) in edges.iter().filter(|edge| edge.0 == now_ms) {
                let events = watch.edge(input, active, now_ms, span);
                told.extend(events.into_iter().map(|kind| (now_ms, kind)));
            }
            if watch.too_long(now_ms, span) {
                told.push((now_ms, DoorHeld));
            }
        }
        (told, watch.is_alarm())
    }

    #[test]
    fn each_way_of_opening_is_told_as_what_it_is() {
        let (exit, contact) = (Input::RequestToExit, Input::Contact);
        type Case<'a> = (&'a str, &'a [(u64, Input, bool)], &'a [(u64, EntryKind)], bool);
        let table: &[Case<'_>] = &[
            ("with a pulse", &[(12_000, contact, true), (15_000, contact, false)], &[], false),
            ("just after one", &[(15_000, contact, true), (16_000, contact, false)], &[], false),
            (
                "too long after one",
                &[(15_001, contact, true), (16_000, contact, false)],
                &[(15_001, DoorForced), (16_000, DoorClosed)],
                false,
            ),
            (
                "just before one",
                &[(9_999, contact, true)],
                &[(9_999, DoorForced), (43_000, DoorHeld)],
                true,
            ),
            (
                "from inside",
                &[(50_000, exit, true), (60_000, contact, true), (61_000, contact, false)],
                &[(50_000, ExitRequested)],
                false,
            ),
            (
                "long after somebody asked to leave, who still holds the button",
                &[(50_000, exit, true), (60_001, contact, true)],
                &[(50_000, ExitRequested), (60_001, DoorForced), (90_001, DoorHeld)],
                true,
            ),
            (
                "held, however often somebody asks to leave",
                &[
                    (12_000, contact, true),
                    (20_000, exit, true),
                    (40_000, exit, true),
                    (50_000, contact, false),
                ],
                &[
                    (20_000, ExitRequested),
                    (40_000, ExitRequested),
                    (43_000, DoorHeld),
                    (50_000, DoorClosed),
                ],
                false,
            ),
            (
                "open already",
                &[(12_000, contact, true), (20_000, contact, true), (25_000, contact, false)],
                &[],
                false,
            ),
        ];
        for (how, edges, expected, alarm) in table {
            assert_eq!(told(edges, Some(PULSE)), (expected.to_vec(), *alarm), "{how}");
        }
    }

    #[test]
    fn housing_and_button_are_told_by_themselves() {
        let edges = [
            (5, Input::Tamper, true),
            (6, Input::Tamper, true),
            (7, Input::Button, true),
            (8, Input::Button, false),
            (9, Input::Tamper, false),
        ];
        let expected = vec![(5, Tampered), (7, ButtonPressed), (9, HousingClosed)];
        assert_eq!(told(&edges, None), (expected, false));
        assert!(told(&edges[..1], None).1, "an open housing sounds");
    }

    #[test]
    fn a_start_tells_an_open_housing_and_neither_a_press_nor_a_forced_door() {
        let all = [Input::RequestToExit, Input::Contact, Input::Tamper, Input::Button];
        let (mut watch, events) = Watch::start(HELD_MS, all.map(|input| (input, true)), 7);
        assert_eq!(events.as_slice(), [Tampered]);
        assert!(!watch.too_long(HELD_MS + 6, None) && watch.too_long(HELD_MS + 7, None));
    }

    /// All sequences of edges of a length, at all the times that matter: each opening is told as forced unless a pulse or a
    /// request stands before it, and each that is told ends with one closing.
    #[test]
    fn no_sequence_hides_a_forced_door() {
        let steps = [0, 1, Pulse::COUNTS_MS + 1, AFTER_EXIT_MS, AFTER_EXIT_MS + 1, HELD_MS];
        let moves = [
            (Input::Contact, true),
            (Input::Contact, false),
            (Input::RequestToExit, true),
            (Input::RequestToExit, false),
            (Input::Tamper, true),
            (Input::Button, true),
        ];
        let choices = steps.len() * moves.len();
        for sequence in 0..choices.pow(4) {
            let (mut watch, _) = Watch::start(HELD_MS, [], 0);
            let (mut at_ms, mut rest) = (0, sequence);
            let (mut exit_ms, mut open, mut alarms) = (None, false, 0);
            for _ in 0..4 {
                let choice = rest % choices;
                rest /= choices;
                at_ms += steps[choice % steps.len()];
                alarms += u32::from(watch.too_long(at_ms, Some(PULSE)));
                let (input, active) = moves[choice / steps.len()];
                let events = watch.edge(input, active, at_ms, Some(PULSE));
                let opens = (input, active) == (Input::Contact, true) && !open;
                let pulsed = (10_000..=15_000).contains(&at_ms);
                let asked = exit_ms.is_some_and(|exit_ms| at_ms - exit_ms <= AFTER_EXIT_MS);
                assert_eq!(events.contains(&DoorForced), opens && !pulsed && !asked, "{sequence}");
                alarms += u32::from(events.contains(&DoorForced));
                if events.contains(&DoorClosed) {
                    assert!(alarms > 0 && open, "{sequence}");
                    alarms = 0;
                }
                match (input, active) {
                    (Input::Contact, is) => open = is,
                    (Input::RequestToExit, true) => exit_ms = Some(at_ms),
                    _ => {}
                }
                assert!(open || alarms == 0, "{sequence}: an alarm without an end");
            }
        }
    }
}
