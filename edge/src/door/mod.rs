//! The door as hardware: lines of a GPIO chip that the unit moves and feels.
//!
//! Owns the order of a start: the relay is driven inactive before anything else of the unit is looked at. Refuses to run
//! on as if nothing were: a line that is configured and cannot be had is a fault of the lock, or of the controller that is told of
//! admissions; the door stays locked, and the unit says why.
//! Free egress never depends on the unit (safety rule 7): request-to-exit is wired past the relay, and the input only
//! masks an alarm. Readers of badges are `reader`'s.

mod bounce;
mod controller;
#[cfg(test)]
mod fake;
pub(crate) mod gpio;
mod inputs;
pub(crate) mod lines;
mod outputs;
mod pattern;
mod pulse;
mod ration;
mod watch;
mod word;

use crate::config::{ControllerConfig, DoorConfig, LockHolder};
use crate::lock::LogOnlyLock;
use crate::notices::Notices;
use crate::service::Button;
use crate::state::Shared;
use crate::unit::{Clock, Indicator, Lock, NoIndicator};
use gpio::GpioChip;
use inputs::{Feeling, LineButton, Wired};
use lines::{Chip, LineFault};
use outputs::{Jammed, Lamps, Orders, Outputs, Relay};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use threshold_record::Cause;
use watch::Input;
use word::{Machine, Pace, Wires};

/// The door's lines, taken from the chip: every output is inactive from then on.
pub struct Lines {
    config: DoorConfig,
    taken: Option<Result<Taken, LineFault>>,
    button: LineButton,
    controller: ControllerConfig,
    wires: Option<Result<Wires, LineFault>>,
}

struct Taken {
    outputs: Outputs,
    inputs: Option<Wired>,
}

/// The door's parts for the loop.
pub struct Door {
    /// What a permit moves.
    pub lock: Box<dyn Lock>,
    /// What shows signs.
    pub indicator: Box<dyn Indicator>,
    /// Ends the threads; what they drive is inactive then.
    pub end: End,
}

/// Ends the door's threads when it is dropped.
#[derive(Default)]
pub struct End {
    orders: Option<Arc<Orders>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(orders) = &self.orders {
            orders.stop();
        }
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has dropped its lines.
            let _ = thread.join();
        }
    }
}

impl Lines {
    /// Takes the lines that are configured. What cannot be had is told by [`Lines::open`].
    #[must_use]
    pub fn take(config: &DoorConfig, controller: &ControllerConfig) -> Self {
        let chip = || GpioChip::open(&config.chip, "door");
        let any = config.lines().next().is_some();
        let taken = any.then(|| chip().and_then(|chip| Taken::from(&chip, config)));
        let wires = controller.lines().map(|lines| {
            let chip = GpioChip::open(&controller.chip, "controller")?;
            Wires::take(&chip, lines)
        });
        let (button, controller) = (LineButton::default(), controller.clone());
        Self { config: config.clone(), taken, button, controller, wires }
    }

    /// Takes the times of the configuration that this start runs with; the wiring stays as it was taken.
    pub fn running(&mut self, config: &DoorConfig) {
        self.config.relay_pulse_ms = config.relay_pulse_ms;
        self.config.held_open_s = config.held_open_s;
    }

    /// The button inside the housing, if one is wired.
    #[must_use]
    pub fn button(&self) -> Option<Box<dyn Button>> {
        self.config.button.map(|_| Box::new(self.button.clone()) as Box<dyn Button>)
    }

    /// Starts what drives them; a line that could not be had is a fault of the lock.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(
        mut self,
        shared: &Shared,
        clock: &Arc<dyn Clock>,
        notices: &Notices,
    ) -> std::io::Result<Door> {
        let (controller, wires) = (std::mem::take(&mut self.controller), self.wires.take());
        let mut door = self.open_door(shared, clock, notices)?;
        let (Some(wires), Some((d0, d1))) = (wires, controller.lines()) else { return Ok(door) };
        let chip = controller.chip.display();
        let lock = match controller.holder() {
            LockHolder::Controller => "it holds the lock, and the unit has none",
            LockHolder::Unit => "the unit holds the lock",
        };
        notices.tell(&format!(
            "controller: D0 is line {} of {chip}, D1 line {}; {lock}",
            d0.line, d1.line
        ));
        shared.lock().set_controller(controller);
        match wires {
            Err(fault) => {
                shared.lock().fail(Cause::Controller, &fault.0);
                door.lock = Box::new(Jammed(fault));
            }
            Ok(wires) => {
                let sends = (wires, Box::new(Machine) as Box<dyn Pace>);
                let stop = &door.end.stop;
                let (lock, thread) =
                    controller::start(sends, door.lock, shared, clock, notices, stop)?;
                door.lock = lock;
                door.end.threads.push(thread);
            }
        }
        Ok(door)
    }

    /// The same without the controller.
    fn open_door(
        self,
        shared: &Shared,
        clock: &Arc<dyn Clock>,
        notices: &Notices,
    ) -> std::io::Result<Door> {
        let without = |lock: Box<dyn Lock>| Door {
            lock,
            indicator: Box::new(NoIndicator),
            end: End::default(),
        };
        let taken = match self.taken {
            None => return Ok(without(Box::new(LogOnlyLock::new(notices.clone())))),
            Some(Err(fault)) => {
                shared.lock().fail(Cause::Lock, &fault.0);
                return Ok(without(Box::new(Jammed(fault))));
            }
            Some(Ok(taken)) => taken,
        };
        for (key, line) in self.config.lines() {
            let level = if line.active_low { "low" } else { "high" };
            let chip = self.config.chip.display();
            notices.tell(&format!("door: {key} is line {} of {chip}, active {level}", line.line));
        }
        let Taken { outputs, inputs } = taken;
        let orders = Orders::new(self.config.relay_pulse_ms, Arc::clone(clock));
        let lock: Box<dyn Lock> = match &outputs.relay {
            Some(_) => Box::new(Relay(Arc::clone(&orders))),
            None => Box::new(LogOnlyLock::new(notices.clone())),
        };
        let feeling = Feeling {
            wired: inputs,
            relay: outputs.relay.clone(),
            orders: Arc::clone(&orders),
            held_ms: self.config.held_open_s * 1_000,
            button: self.button,
            shared: shared.clone(),
            clock: Arc::clone(clock),
            notices: notices.clone(),
        };
        let driven = Arc::clone(&orders);
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let indicator = Box::new(Lamps(Arc::clone(&orders)));
        let mut end = End::default();
        end.orders = Some(orders);
        end.threads.push(thread("door-out").spawn(move || outputs::drive(&outputs, &driven))?);
        end.threads.push(thread("door-in").spawn(move || feeling.run())?);
        Ok(Door { lock, indicator, end })
    }
}

impl Taken {
    /// Takes each line; the relay first.
    fn from(chip: &dyn Chip, config: &DoorConfig) -> Result<Self, LineFault> {
        let output = |key, line: Option<_>| line.map(|line| chip.output(key, line)).transpose();
        let relay = output("relay", config.relay)?;
        let outputs = Outputs {
            relay: relay.map(Arc::from),
            granted: output("granted_led", config.granted_led)?,
            refused: output("refused_led", config.refused_led)?,
            buzzer: output("buzzer", config.buzzer)?,
        };
        if let Some(relay) = &outputs.relay {
            outputs::put(relay.as_ref(), false)?;
        }
        let felt: Vec<_> = [
            ("request_to_exit", config.request_to_exit, Input::RequestToExit),
            ("contact", config.contact, Input::Contact),
            ("tamper", config.tamper, Input::Tamper),
            ("button", config.button, Input::Button),
        ]
        .into_iter()
        .filter_map(|(key, line, input)| Some((key, line?, input)))
        .collect();
        let names: Vec<_> = felt.iter().map(|(_, line, input)| (line.line, *input)).collect();
        let wired: Vec<_> = felt.into_iter().map(|(key, line, _)| (key, line)).collect();
        let inputs = match wired[..] {
            [] => None,
            _ => Some(Wired::new(chip.inputs(&wired)?, names)?),
        };
        Ok(Self { outputs, inputs })
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("config", &self.config).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeChip;
    use super::word::tests::read;
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::LineConfig;
    use crate::journal::{Journal, Permit, StageTimes};
    use crate::state::{Identity, RecoveryRecord, State};
    use crate::unit::Sign;
    use crate::wiegand::Sent;
    use crate::zone::Zone;
    use std::time::{Duration, Instant};
    use threshold_policy::{Candidate, Evidence, Observation, Policy, Standing, Verdict, decide};
    use threshold_record::{Credential, EntryKind, LogEntry, Metric, Mode, PersonId, Score};
    use threshold_store::{MockFlash, Store};

    const EXIT: u32 = 3;
    const CONTACT: u32 = 4;
    const TAMPER: u32 = 5;
    const BUTTON: u32 = 6;

    fn config() -> DoorConfig {
        let line = |line| Some(LineConfig { line, active_low: false });
        DoorConfig {
            chip: "/dev/gpiochip0".into(),
            relay: line(0),
            granted_led: line(1),
            refused_led: line(2),
            request_to_exit: line(EXIT),
            contact: line(CONTACT),
            tamper: line(TAMPER),
            button: line(BUTTON),
            held_open_s: 1,
            ..DoorConfig::default()
        }
    }

    /// A door on a chip that does what it is told, with a store in memory.
    pub(super) struct Bench {
        pub(super) chip: FakeChip,
        flash: MockFlash,
        pub(super) shared: Shared,
        pub(super) clock: Arc<dyn Clock>,
    }

    impl Bench {
        pub(super) fn new() -> Self {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
            let flash = MockFlash::new();
            let (store, _) = Store::open(Box::new(flash.clone()), flash.keys()).expect("a store");
            let journal = Journal::new(store, Arc::clone(&clock)).expect("a journal");
            let identity = Identity {
                unit: "bench".to_owned(),
                build: "0",
                insecure_link: false,
                zone: Zone::default(),
            };
            let notices = Notices::to(Box::new(std::io::sink()));
            let record = RecoveryRecord::open(Ok(Box::new(flash.clone())));
            let state =
                State::starting(identity, Arc::clone(&clock), notices, Some(journal), record);
            Self { chip: FakeChip::default(), flash, shared: Shared::new(state), clock }
        }

        fn lines(&self, config: &DoorConfig) -> Lines {
            let taken = Some(Taken::from(&self.chip, config));
            let (button, controller) = (LineButton::default(), ControllerConfig::default());
            Lines { config: config.clone(), taken, button, controller, wires: None }
        }

        fn open(&self, lines: Lines) -> Door {
            let notices = Notices::to(Box::new(std::io::sink()));
            lines.open(&self.shared, &self.clock, &notices).expect("threads")
        }

        /// Leave for somebody who was admitted, whose entry is durable.
        pub(super) fn permit(&self, person: PersonId) -> Permit {
            let policy = Policy::for_model(Metric::SquaredL2, 1.0);
            let mut evidence = Evidence::begin(0);
            for at_ms in 1..=u64::from(policy.frames_needed) {
                let best = Candidate { person, score: Score(policy.threshold.0.0 + 0.1) };
                let poor = Observation::poor(at_ms, 100, Cause::None);
                evidence.observe(Observation { best: Some(best), ..poor });
            }
            let standing = Standing {
                armed: Ok(()),
                fault: None,
                lockout: Ok(()),
                people: 1,
                mode: Mode::Identify,
                nearest: &[],
            };
            let Verdict::Decided(outcome) = decide(&policy, &evidence, &standing, |_| Ok(()))
            else {
                panic!("undecided")
            };
            let mut state = self.shared.lock();
            let journal = state.journal_mut().expect("a journal");
            let written = journal.write_decision(outcome, StageTimes::default());
            written.expect("it is durable").1.expect("an admission")
        }

        pub(super) fn log(&self) -> Vec<LogEntry> {
            let state = self.shared.lock();
            state.journal().expect("a journal").store().log_page(1, 1_000).expect("a log")
        }

        /// Waits until the log has so many entries of a kind.
        fn wait(&self, kind: EntryKind, count: usize) -> bool {
            let begun = Instant::now();
            let there = || self.log().iter().filter(|entry| entry.kind == kind).count() >= count;
            while !there() && begun.elapsed() < Duration::from_secs(20) {
                std::thread::yield_now();
            }
            there()
        }

        pub(super) fn fault(&self) -> Option<Cause> {
            self.shared.lock().standing(threshold_policy::Subject::Everybody, Ok(())).fault
        }
    }

    #[test]
    fn each_input_is_told_in_the_log_and_the_button_once_to_whoever_pairs() {
        let bench = Bench::new();
        let lines = bench.lines(&config());
        let mut button = lines.button().expect("it is wired");
        let door = bench.open(lines);
        for (line, kind) in [
            (CONTACT, EntryKind::DoorForced),
            (EXIT, EntryKind::ExitRequested),
            (TAMPER, EntryKind::Tampered),
            (BUTTON, EntryKind::ButtonPressed),
        ] {
            assert!(!button.pressed());
            bench.chip.input(line, true);
            assert!(bench.wait(kind, 1), "{kind:?}");
        }
        assert!(button.pressed() && !button.pressed());
        assert!(bench.wait(EntryKind::DoorHeld, 1));
        assert!(bench.chip.wait(|pins| pins.levels.get("refused_led") == Some(&true)), "it alarms");
        bench.chip.input(CONTACT, false);
        bench.chip.input(TAMPER, false);
        assert!(bench.wait(EntryKind::DoorClosed, 1) && bench.wait(EntryKind::HousingClosed, 1));
        assert_eq!(bench.fault(), None, "an alarm is no fault");
        drop(door);
        assert!(bench.chip.pins().levels.values().all(|active| !active));
    }

    /// Safety rule 7: whatever comes in at the inputs, the relay is driven to nothing but inactive.
    #[test]
    fn no_input_moves_the_lock() {
        let bench = Bench::new();
        let door = bench.open(bench.lines(&config()));
        // A sequence without order, the same at each run.
        let mut seed = 1u32;
        for _ in 0..5_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bench.chip.input(EXIT + (seed >> 16) % 4, seed >> 31 == 1);
        }
        assert!(bench.chip.wait(|pins| pins.is_read()));
        drop(door);
        let pins = bench.chip.pins();
        assert!(pins.driven.iter().all(|(key, active, _)| *key != "relay" || !active));
        // And so many edges wrote little, each kind its burst and what counts the rest.
        let log = bench.log();
        assert!(log.len() <= 7 * 12, "{}", log.len());
    }

    /// Edges that the kernel lost show in the levels.
    #[test]
    fn an_edge_that_was_lost_is_found() {
        let bench = Bench::new();
        let _door = bench.open(bench.lines(&config()));
        bench.chip.change(|pins| pins.inputs.extend([(CONTACT, true)]));
        assert!(bench.wait(EntryKind::DoorForced, 1));
    }

    #[test]
    fn what_a_full_log_did_not_take_is_written_when_it_can_be() {
        let mut rations = ration::Rations::default();
        let due = rations.take(EntryKind::DoorForced, 0).expect("the first");
        rations.give_back(due);
        assert_eq!(rations.due(0), Some(due), "it is tried again");

        let bench = Bench::new();
        let _door = bench.open(bench.lines(&config()));
        bench.flash.set_capacity(Some(0));
        bench.chip.input(CONTACT, true);
        while bench.fault() != Some(Cause::Store) {
            std::thread::yield_now();
        }
        bench.flash.set_capacity(None);
        assert!(bench.wait(EntryKind::DoorForced, 1));
    }

    #[test]
    fn a_line_that_cannot_be_had_is_a_fault_and_moves_nothing() {
        let every = config();
        for (key, _) in every.lines() {
            let bench = Bench::new();
            bench.chip.change(|pins| pins.in_use = Some(key));
            let door = bench.open(bench.lines(&every));
            assert_eq!(bench.fault(), Some(Cause::Lock), "{key}");
            drop(door);
            assert!(!bench.chip.is_active("relay"), "{key}");
        }
        // A relay that reads back active although nobody raised it.
        let bench = Bench::new();
        bench.chip.change(|pins| pins.stuck = Some(true));
        let _door = bench.open(bench.lines(&every));
        assert_eq!(bench.fault(), Some(Cause::Lock));
    }

    #[test]
    fn a_chip_that_vanishes_is_a_fault_and_the_unit_goes_on() {
        let bench = Bench::new();
        let _door = bench.open(bench.lines(&config()));
        bench.chip.change(|pins| pins.gone = true);
        while bench.fault() != Some(Cause::Lock) {
            std::thread::yield_now();
        }
    }

    /// Nobody asks for a permit: the next visitor's admission would be the first to find out.
    #[test]
    fn a_thread_of_the_outputs_that_is_gone_is_a_fault_before_anybody_comes() {
        let bench = Bench::new();
        let mut door = bench.open(bench.lines(&config()));
        assert_eq!(bench.fault(), None);
        bench.chip.change(|pins| pins.lamp_panics = true);
        door.indicator.show(Sign::Granted);
        let begun = Instant::now();
        while bench.fault() != Some(Cause::Lock) {
            assert!(begun.elapsed() < Duration::from_secs(20), "nobody found out");
            std::thread::yield_now();
        }
        assert!(bench.chip.pins().levels.values().all(|active| !active));

        // A unit that has no relay there loses its lamps, and no more.
        let bench = Bench::new();
        let mut door = bench.open(bench.lines(&DoorConfig { relay: None, ..config() }));
        bench.chip.change(|pins| pins.lamp_panics = true);
        door.indicator.show(Sign::Granted);
        bench.chip.input(TAMPER, true);
        assert!(bench.wait(EntryKind::Tampered, 1));
        assert_eq!(bench.fault(), None);
    }

    #[test]
    fn a_door_without_lines_only_tells_and_has_no_threads() {
        let bench = Bench::new();
        let lines = Lines::take(&DoorConfig::default(), &ControllerConfig::default());
        assert!(lines.button().is_none());
        let door = bench.open(lines);
        assert!(door.end.threads.is_empty());
        assert_eq!(bench.fault(), None);
    }

    #[test]
    fn what_was_set_over_the_line_changes_the_times_of_lines_that_are_taken_and_no_wiring() {
        let mut lines = Lines::take(&DoorConfig::default(), &ControllerConfig::default());
        let set = DoorConfig { relay_pulse_ms: 700, held_open_s: 9, ..config() };
        lines.running(&set);
        let expected = DoorConfig { relay_pulse_ms: 700, held_open_s: 9, ..DoorConfig::default() };
        assert_eq!(lines.config, expected);
    }

    fn controller(lock: LockHolder) -> ControllerConfig {
        let line = |line| Some(LineConfig { line, active_low: true });
        let (chip, d0, d1) = ("nowhere/gpiochip0".into(), line(7), line(8));
        let lock = Some(lock);
        ControllerConfig { chip, d0, d1, lock, ..ControllerConfig::default() }
    }

    #[test]
    fn an_admission_releases_the_lock_and_the_controller_is_told() {
        let bench = Bench::new();
        let controller = controller(LockHolder::Unit);
        let wires = Wires::take(&bench.chip, controller.lines().expect("two lines"));
        let lines = Lines { controller, wires: Some(wires), ..bench.lines(&config()) };
        let mut door = bench.open(lines);
        let card = Credential::Wiegand26 { facility: 12, card: 345 };
        let permit = bench.permit(PersonId(1)).with_card(Some(card));
        door.lock.pulse(permit).expect("it is released");
        assert!(bench.chip.is_active("relay") && door.lock.is_active());
        // By the machine's own time: a word that it tears is sent again.
        let (begun, sent) = (Instant::now(), Some(Ok(Sent::Card(card))));
        while read(&bench.chip).last().copied() != sent && begun.elapsed() < Duration::from_secs(20)
        {
            std::thread::yield_now();
        }
        assert_eq!(read(&bench.chip).last().copied(), sent);
        drop(door);
        assert!(bench.chip.pins().levels.values().all(|active| !active));
        assert_eq!(bench.fault(), None);
    }

    #[test]
    fn lines_to_a_controller_that_cannot_be_had_are_its_fault() {
        for lock in [LockHolder::Unit, LockHolder::Controller] {
            let bench = Bench::new();
            let mut door = bench.open(Lines::take(&DoorConfig::default(), &controller(lock)));
            assert_eq!(bench.fault(), Some(Cause::Controller));
            let fault = door.lock.pulse(bench.permit(PersonId(1))).expect_err("it moves nothing");
            assert!(fault.0.contains("chip in [controller] names one"), "{fault}");
        }
    }

    #[test]
    fn a_chip_that_is_not_there_is_a_fault_of_the_lock() {
        let bench = Bench::new();
        let chip = "nowhere/gpiochip0".into();
        let _door =
            bench.open(Lines::take(&DoorConfig { chip, ..config() }, &ControllerConfig::default()));
        assert_eq!(bench.fault(), Some(Cause::Lock));
    }
}
