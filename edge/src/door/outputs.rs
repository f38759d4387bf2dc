//! The lines that the unit drives, on a thread of their own: the relay's pulses, LEDs and buzzer.
//!
//! Owns that whoever raises the relay also drops it: only this thread raises the line, once leave was given, and by its
//! own clock. Where it panics or ends, all its lines are inactive before it is gone, and that is a fault at once; where it hangs,
//! [`super::inputs`] drops the relay with [`Orders::overdue`]. Refuses to raise the relay again after it could not be driven or read back once, until the
//! next start. What remains is a process that is killed outright: see SECURITY.

use super::lines::{LineFault, Output};
use super::pattern::{self, Levels, Pattern};
use super::pulse::{Pulse, Span};
use crate::journal::Permit;
use crate::unit::{Clock, Indicator, Lock, LockFault, Sign};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a permit waits for the relay to be seen active. The thread does it within a millisecond; one that takes
/// longer than this hangs, and is not to raise the line later.
const ANSWER: Duration = Duration::from_secs(1);

/// The thread looks at its orders at least so often.
const LOOK: Duration = Duration::from_secs(1);

/// A relay that is active for so long after its pulse's end was not dropped by its thread.
const OVERDUE_MS: u64 = 500;

/// The lines themselves. Dropping them makes them inactive.
pub(super) struct Outputs {
    pub(super) relay: Option<Arc<dyn Output>>,
    pub(super) granted: Option<Box<dyn Output>>,
    pub(super) refused: Option<Box<dyn Output>>,
    pub(super) buzzer: Option<Box<dyn Output>>,
}

impl Drop for Outputs {
    fn drop(&mut self) {
        // Nobody is left who could be told of an error.
        if let Some(relay) = &self.relay {
            let _ = relay.set(false);
        }
        for line in [&self.granted, &self.refused, &self.buzzer].into_iter().flatten() {
            let _ = line.set(false);
        }
    }
}

/// What the thread is to do, and what came of it.
pub(super) struct Orders {
    asked: Mutex<Asked>,
    changed: Condvar,
    clock: Arc<dyn Clock>,
}

struct Asked {
    pulse: Pulse,
    /// Permits so far, and how many of them were obeyed.
    permits: u64,
    obeyed: u64,
    /// The start of the pulse for which the line was raised, from before it is raised until it is seen dropped.
    raised_ms: Option<u64>,
    /// Until when the line rests after it was dropped, however late that was.
    rests_until_ms: u64,
    /// What went wrong with the relay.
    fault: Option<LineFault>,
    /// What went wrong with LEDs or buzzer.
    dark: Option<LineFault>,
    sign: Sign,
    /// What is shown once the answer that is shown has ended.
    next: Option<Sign>,
    alarm: bool,
    /// When the pattern began.
    since_ms: u64,
    stop: bool,
    ended: bool,
}

impl Orders {
    /// Orders to a relay at rest, with pulses of that length.
    pub(super) fn new(pulse_ms: u64, clock: Arc<dyn Clock>) -> Arc<Self> {
        let asked = Asked {
            pulse: Pulse::of(pulse_ms),
            permits: 0,
            obeyed: 0,
            raised_ms: None,
            rests_until_ms: 0,
            fault: None,
            dark: None,
            sign: Sign::Starting,
            next: None,
            alarm: false,
            since_ms: clock.monotonic_ms(),
            stop: false,
            ended: false,
        };
        Arc::new(Self { asked: Mutex::new(asked), changed: Condvar::new(), clock })
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last pulse, perhaps one that runs.
    pub(super) fn span(&self) -> Option<Span> {
        self.asked().pulse.span()
    }

    /// True until the last pulse has ended, also while it waits for the rest after the run before.
    fn is_active(&self) -> bool {
        let asked = self.asked();
        let now_ms = self.clock.monotonic_ms();
        asked.fault.is_none() && asked.pulse.span().is_some_and(|span| now_ms < span.end_ms)
    }

    /// What is wrong with the relay, and with LEDs and buzzer.
    pub(super) fn faults(&self) -> (Option<LineFault>, Option<LineFault>) {
        let asked = self.asked();
        (asked.fault.clone(), asked.dark.clone())
    }

    /// True if the relay is not to be active and was not dropped: its thread hangs. That is a fault from then on.
    pub(super) fn overdue(&self) -> bool {
        let mut asked = self.asked();
        let now_ms = self.clock.monotonic_ms();
        let late = |span: Span| now_ms >= span.end_ms.saturating_add(OVERDUE_MS);
        let overdue = asked.raised_ms.is_some() && asked.pulse.span().is_some_and(late);
        if overdue {
            asked.fail("relay: its pulse did not end; start the unit again, and report this");
        }
        overdue
    }

    /// Sounds the alarm, or ends it.
    pub(super) fn alarm(&self, on: bool) {
        let mut asked = self.asked();
        if asked.alarm != on {
            (asked.alarm, asked.since_ms) = (on, self.clock.monotonic_ms());
            self.changed.notify_all();
        }
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.asked().stop = true;
        self.changed.notify_all();
    }

    /// True once the threads are to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.asked().stop
    }

    /// Waits until the threads are to end, for no longer than that.
    pub(super) fn wait(&self, patience: Duration) {
        let asked = self.asked();
        drop(self.changed.wait_timeout_while(asked, patience, |asked| !asked.stop));
    }

    fn show(&self, sign: Sign) {
        self.asked().show(sign, self.clock.monotonic_ms());
        self.changed.notify_all();
    }

    /// Asks for a pulse; the number of this permit.
    fn ask(&self) -> u64 {
        let mut asked = self.asked();
        asked.pulse.permit(self.clock.monotonic_ms());
        asked.permits += 1;
        self.changed.notify_all();
        asked.permits
    }

    /// Releases the lock for one pulse; returns once the relay was seen active, or waits for the rest after the run before.
    fn permit(&self) -> Result<(), LineFault> {
        let number = self.ask();
        let mut asked = self.asked();
        let begun = Instant::now();
        loop {
            if let Some(fault) = &asked.fault {
                return Err(fault.clone());
            }
            if asked.obeyed >= number {
                return Ok(());
            }
            let left = ANSWER.saturating_sub(begun.elapsed());
            if left.is_zero() || asked.ended {
                let now_ms = self.clock.monotonic_ms();
                asked.pulse.end(now_ms);
                return Err(
                    asked.fail("relay: its thread hangs; start the unit again, and report this")
                );
            }
            asked =
                self.changed.wait_timeout(asked, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Asked {
    /// The relay is at fault: it rests until the next start. The fault that came first counts.
    fn fail(&mut self, why: &str) -> LineFault {
        self.fault.get_or_insert_with(|| LineFault(why.to_owned())).clone()
    }

    /// What to show, and milliseconds until that changes.
    fn levels(&self, now_ms: u64) -> (Levels, Option<u64>) {
        let since_ms = now_ms.saturating_sub(self.since_ms);
        let shown = pattern::levels(Pattern::Sign(self.sign), since_ms);
        if !self.alarm {
            return shown;
        }
        let alarm = pattern::levels(Pattern::Alarm, since_ms);
        // Somebody who asks at the door goes before an alarm with the lamps, until the answer was shown; whoever stays there silences
        // none.
        match matches!(self.sign, Sign::Starting | Sign::Fault)
            || shown == (Levels::default(), None)
        {
            true => alarm,
            false => {
                let buzzer = shown.0.buzzer || alarm.0.buzzer;
                (Levels { buzzer, ..shown.0 }, shown.1.into_iter().chain(alarm.1).min())
            }
        }
    }

    /// Shows a sign from now on. An answer is shown to its end before what only says that the unit looks or waits, since the number of
    /// blinks is what it says.
    fn show(&mut self, sign: Sign, now_ms: u64) {
        let waits = matches!(sign, Sign::Look | Sign::Idle) && self.is_answering(now_ms);
        match waits {
            true => self.next = Some(sign),
            false => (self.sign, self.since_ms, self.next) = (sign, now_ms, None),
        }
    }

    /// Shows what waited for the end of an answer, if that has come.
    fn go_on(&mut self, now_ms: u64) {
        if !self.is_answering(now_ms)
            && let Some(next) = self.next.take()
        {
            (self.sign, self.since_ms) = (next, now_ms);
        }
    }

    fn is_answering(&self, now_ms: u64) -> bool {
        let since_ms = now_ms.saturating_sub(self.since_ms);
        matches!(self.sign, Sign::Granted | Sign::Refused(..))
            && pattern::levels(Pattern::Sign(self.sign), since_ms) != (Levels::default(), None)
    }
}

/// What is to be driven.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    /// The start of the pulse for which the relay is to be active.
    run_ms: Option<u64>,
    levels: Levels,
    permits: u64,
}

impl Asked {
    fn wanted(&self, now_ms: u64) -> Wanted {
        let may = self.fault.is_none() && !self.stop;
        let active = may && self.pulse.is_active(now_ms);
        let run_ms = self.pulse.span().filter(|_| active).map(|span| span.start_ms);
        // One run ends at rest before the next one begins, however late this thread is.
        let run_ms = run_ms.filter(|run_ms| match self.raised_ms {
            Some(raised_ms) => raised_ms == *run_ms,
            None => now_ms >= self.rests_until_ms,
        });
        Wanted { run_ms, levels: self.levels(now_ms).0, permits: self.permits }
    }
}

/// Drives the lines until it is told to stop; on a thread of its own.
pub(super) fn drive(lines: &Outputs, orders: &Orders) {
    let _end = End { orders, moves_relay: lines.relay.is_some() };
    let mut shown = Levels::default();
    loop {
        let (asked, patience) = turn(lines, orders, &mut shown);
        if asked.stop {
            return;
        }
        if !patience.is_zero() {
            drop(orders.changed.wait_timeout(asked, patience));
        }
    }
}

/// Drives the lines as they are to be now; the orders, and how long they stay like that if nobody changes them.
fn turn<'a>(
    lines: &Outputs,
    orders: &'a Orders,
    shown: &mut Levels,
) -> (MutexGuard<'a, Asked>, Duration) {
    let mut asked = orders.asked();
    let now_ms = orders.clock.monotonic_ms();
    asked.go_on(now_ms);
    let wanted = asked.wanted(now_ms);
    let (was_ms, fresh) = (asked.raised_ms, asked.obeyed != wanted.permits);
    asked.raised_ms = wanted.run_ms.or(was_ms);
    // No line is touched while others wait for the orders.
    drop(asked);
    let driven = match (&lines.relay, wanted.run_ms) {
        (Some(relay), Some(_)) if fresh || was_ms.is_none() => put(relay.as_ref(), true),
        (Some(relay), None) if was_ms.is_some() => put(relay.as_ref(), false),
        _ => Ok(()),
    };
    // Whatever a driver says that failed: at rest it is safe.
    let rests = driven.is_err()
        && lines.relay.as_ref().is_some_and(|relay| put(relay.as_ref(), false).is_ok());
    let lit = light(lines, shown, wanted.levels);
    let mut asked = orders.asked();
    asked.dark = asked.dark.take().or(lit.err());
    let now_ms = orders.clock.monotonic_ms();
    if was_ms.is_some() && wanted.run_ms.is_none() {
        asked.rests_until_ms = now_ms.saturating_add(Pulse::REST_MS);
    }
    match driven {
        Ok(()) => (asked.raised_ms, asked.obeyed) = (wanted.run_ms, wanted.permits),
        Err(fault) => {
            asked.fail(&fault.0);
            if rests {
                asked.raised_ms = None;
            }
        }
    }
    orders.changed.notify_all();
    if asked.wanted(now_ms) != wanted {
        return (asked, Duration::ZERO);
    }
    let rest_ms = asked.rests_until_ms.checked_sub(now_ms).filter(|&rest_ms| rest_ms > 0);
    let due_ms =
        [asked.pulse.due_ms(now_ms), asked.levels(now_ms).1, rest_ms].into_iter().flatten();
    let patience = due_ms.map(Duration::from_millis).fold(LOOK, Duration::min);
    (asked, patience)
}

/// Drives the relay and reads it back.
pub(super) fn put(relay: &dyn Output, active: bool) -> Result<(), LineFault> {
    relay.set(active)?;
    match relay.get()? == active {
        true => Ok(()),
        false => {
            let (asked, is) = if active { ("active", "inactive") } else { ("inactive", "active") };
            Err(LineFault(format!(
                "relay: its line was driven {asked} and reads back {is}; check what else drives it, and that the chip's \
                 outputs can be read"
            )))
        }
    }
}

/// Lights what is to be lit; `shown` is what is lit already.
fn light(lines: &Outputs, shown: &mut Levels, levels: Levels) -> Result<(), LineFault> {
    let before = std::mem::replace(shown, levels);
    let mut lit = Ok(());
    for (line, was, is) in [
        (&lines.granted, before.granted, levels.granted),
        (&lines.refused, before.refused, levels.refused),
        (&lines.buzzer, before.buzzer, levels.buzzer),
    ] {
        if let Some(line) = line
            && was != is
        {
            // One lamp that fails leaves the others.
            lit = lit.and(line.set(is));
        }
    }
    lit
}

/// Says that the thread has ended, also by a panic: a fault from that instant on, so that nobody is admitted before a lock that nothing
/// moves any more. Without a relay it only was to light something.
struct End<'a> {
    orders: &'a Orders,
    moves_relay: bool,
}

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut asked = self.orders.asked();
        asked.ended = true;
        if !asked.stop {
            match self.moves_relay {
                true => drop(asked.fail(
                    "relay: its thread ended; start the unit again, and report this with the log",
                )),
                false => {
                    let dark = || LineFault("LEDs and buzzer: their thread ended".to_owned());
                    asked.dark.get_or_insert_with(dark);
                }
            }
        }
        drop(asked);
        self.orders.changed.notify_all();
    }
}

/// A lock that a relay moves.
pub(super) struct Relay(pub(super) Arc<Orders>);

impl Lock for Relay {
    fn pulse(&mut self, permit: Permit) -> Result<(), LockFault> {
        // Each permit is one pulse, and this is where it is spent.
        drop(permit);
        self.0.permit().map_err(|fault| LockFault(fault.0))
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }
}

/// A lock whose relay could not be had: every permit is a fault.
pub(super) struct Jammed(pub(super) LineFault);

impl Lock for Jammed {
    fn pulse(&mut self, _: Permit) -> Result<(), LockFault> {
        Err(LockFault(self.0.0.clone()))
    }
}

/// LEDs and buzzer.
pub(super) struct Lamps(pub(super) Arc<Orders>);

impl Indicator for Lamps {
    fn show(&mut self, sign: Sign) {
        self.0.show(sign);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::config::LineConfig;
    use crate::door::fake::FakeChip;
    use crate::door::lines::Chip;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread::JoinHandle;
    use threshold_record::{Cause, Reason, WallTime};

    /// A driver on a thread, with a relay and lamps of a chip that lies where it is told to.
    struct Bench {
        chip: FakeChip,
        orders: Arc<Orders>,
        relay: Arc<dyn Output>,
        thread: Option<JoinHandle<()>>,
    }

    impl Bench {
        fn of(pulse_ms: u64) -> Self {
            let chip = FakeChip::default();
            let line =
                |key| chip.output(key, LineConfig { line: 0, active_low: false }).expect("a line");
            let relay: Arc<dyn Output> = Arc::from(line("relay"));
            let outputs = Outputs {
                relay: Some(Arc::clone(&relay)),
                granted: Some(line("granted_led")),
                refused: Some(line("refused_led")),
                buzzer: Some(line("buzzer")),
            };
            let orders = Orders::new(pulse_ms, Arc::new(SystemClock::start()));
            let driven = Arc::clone(&orders);
            let thread = Some(std::thread::spawn(move || drive(&outputs, &driven)));
            Self { chip, orders, relay, thread }
        }

        fn join(&mut self) -> bool {
            self.thread.take().is_some_and(|thread| thread.join().is_ok())
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            self.chip.change(|pins| pins.hangs = false);
            self.orders.stop();
            self.join();
            assert!(
                !self.chip.is_active("relay") || self.chip.pins().gone,
                "it is locked at the end"
            );
        }
    }

    #[test]
    fn a_permit_raises_the_relay_at_once_and_it_drops_by_itself_after_its_pulse() {
        let bench = Bench::of(60);
        let begun = Instant::now();
        bench.orders.permit().expect("it is raised");
        assert!(bench.chip.is_active("relay") && bench.orders.is_active());
        assert!(begun.elapsed() < ANSWER, "the loop does not wait for the pulse");
        assert!(bench.chip.wait(|pins| pins.levels.get("relay") == Some(&false)));
        assert!(!bench.orders.is_active());
        let relay: Vec<_> =
            bench.chip.pins().driven.iter().filter(|(key, ..)| *key == "relay").copied().collect();
        let [start, raised, dropped] = relay[..] else { panic!("{relay:?}") };
        assert_eq!((start.1, raised.1, dropped.1), (false, true, false));
        assert!(dropped.2 - raised.2 >= Duration::from_millis(50));
        assert_eq!(bench.orders.faults(), (None, None));
    }

    /// Permits come without end, and the line is still seen at rest between runs of three pulses.
    #[test]
    fn permits_without_end_do_not_keep_the_line_active() {
        let bench = Bench::of(20);
        while bench
            .chip
            .pins()
            .driven
            .iter()
            .filter(|(key, active, _)| *key == "relay" && !active)
            .count()
            < 3
        {
            bench.orders.permit().expect("it is raised");
            std::thread::yield_now();
        }
        let pins = bench.chip.pins();
        let mut raised = None;
        for (_, active, at) in pins.driven.iter().filter(|(key, ..)| *key == "relay") {
            match (active, raised) {
                (true, None) => raised = Some(*at),
                (false, Some(since)) => {
                    let run = at.duration_since(since);
                    // Three pulses, and what a busy machine takes to get round to it.
                    assert!(run < Duration::from_millis(3 * 20 + OVERDUE_MS), "{run:?}");
                    raised = None;
                }
                _ => {}
            }
        }
    }

    /// A clock that a test moves.
    #[derive(Debug, Default)]
    struct HandClock(AtomicU64);

    impl Clock for HandClock {
        fn monotonic_ms(&self) -> u64 {
            self.0.load(Ordering::SeqCst)
        }

        fn wall(&self) -> WallTime {
            WallTime::default()
        }
    }

    /// Permits, time, a chip that vanishes, lies or comes back, a driver that is late, and the one who looks after it, in any
    /// order: a relay that can be reached is active for no longer than the bound and the driver's lateness, and after a fault
    /// not at all.
    #[test]
    fn no_interleaving_keeps_the_relay_active() {
        const PULSE_MS: u64 = 500;
        const LATE_MS: u64 = 300;
        let mut seed = 7u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let (mut raises, mut faults) = (0, 0);
        for _ in 0..300 {
            let chip = FakeChip::default();
            let line = LineConfig { line: 0, active_low: false };
            let relay: Arc<dyn Output> = Arc::from(chip.output("relay", line).expect("a line"));
            let outputs =
                Outputs { relay: Some(relay), granted: None, refused: None, buzzer: None };
            let clock = Arc::new(HandClock::default());
            let orders = Orders::new(PULSE_MS, Arc::clone(&clock) as Arc<dyn Clock>);
            let (mut shown, mut since_ms, mut turned_ms) = (Levels::default(), None, 0);
            // Half of the runs have a chip that fails.
            let fails = random(2) == 0;
            for _ in 0..400 {
                let now_ms = clock.monotonic_ms();
                match random(if fails { 40 } else { 12 }) {
                    0..3 => drop(orders.ask()),
                    3 => drop(orders.overdue()),
                    12 => chip.change(|pins| pins.gone = true),
                    13 => chip.change(|pins| pins.stuck = Some(false)),
                    14..18 => chip.change(|pins| (pins.gone, pins.stuck) = (false, None)),
                    _ => drop(clock.0.fetch_add(random(LATE_MS), Ordering::SeqCst)),
                }
                let faulty = orders.faults().0.is_some();
                if random(4) > 0 || now_ms - turned_ms >= LATE_MS {
                    while turn(&outputs, &orders, &mut shown).1.is_zero() {}
                    turned_ms = clock.monotonic_ms();
                    if faulty && !chip.pins().gone {
                        assert!(!chip.is_active("relay"), "raised after a fault");
                    }
                }
                let now_ms = clock.monotonic_ms();
                since_ms = (chip.is_active("relay") && !chip.pins().gone)
                    .then(|| since_ms.unwrap_or(now_ms));
                if let Some(since_ms) = since_ms {
                    // Between two turns lie two steps of time at most, and a look at the lateness.
                    let bound_ms = Pulse::MAX_PULSES * PULSE_MS + 3 * LATE_MS;
                    assert!(now_ms - since_ms <= bound_ms, "{} ms", now_ms - since_ms);
                }
            }
            let active = |(_, active, _): &&(_, bool, _)| *active;
            raises += chip.pins().driven.iter().filter(active).count();
            faults += usize::from(orders.faults().0.is_some());
        }
        assert!(raises > 1_000 && faults > 50, "{raises} raises, {faults} faults");
    }

    #[test]
    fn a_relay_that_vanishes_or_lies_is_a_fault_and_is_not_raised_again() {
        for lie in [true, false] {
            let bench = Bench::of(10_000);
            bench.chip.change(|pins| if lie { pins.stuck = Some(false) } else { pins.gone = true });
            let fault = bench.orders.permit().expect_err("it fails");
            let told = if lie { "was driven active and reads back inactive" } else { "vanished" };
            assert!(fault.0.contains(told), "{fault}");
            assert_eq!(bench.orders.faults().0, Some(fault.clone()));
            // Healed or not, it rests until the next start.
            bench.chip.change(|pins| (pins.stuck, pins.gone) = (None, false));
            assert!(bench.chip.wait(|pins| pins.levels.get("relay") == Some(&false)));
            let before = bench.chip.pins().driven.len();
            assert_eq!(bench.orders.permit(), Err(fault));
            assert!(bench.chip.pins().driven[before..].iter().all(|(_, active, _)| !active));
        }
    }

    #[test]
    fn a_relay_that_vanishes_in_its_pulse_is_driven_until_it_drops() {
        let bench = Bench::of(50);
        bench.orders.permit().expect("it is raised");
        bench.chip.change(|pins| pins.gone = true);
        while bench.orders.faults().0.is_none() {
            std::thread::yield_now();
        }
        assert!(bench.chip.is_active("relay"), "nobody reaches it");
        bench.chip.change(|pins| pins.gone = false);
        assert!(bench.chip.wait(|pins| pins.levels.get("relay") == Some(&false)));
    }

    #[test]
    fn a_thread_that_hangs_is_a_fault_and_the_pulse_is_taken_back() {
        let bench = Bench::of(10_000);
        bench.chip.change(|pins| pins.hangs = true);
        let fault = bench.orders.permit().expect_err("nobody answers");
        assert!(fault.0.contains("its thread hangs"), "{fault}");
        // What raises the line after all is dropped at once, long before a pulse would be over.
        let begun = Instant::now();
        bench.chip.change(|pins| pins.hangs = false);
        assert!(bench.chip.wait(|pins| {
            let mut relay =
                pins.driven.iter().filter(|(key, ..)| *key == "relay").map(|(_, active, _)| active);
            relay.any(|active| *active) && pins.levels.get("relay") == Some(&false)
        }));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_pulse_that_nobody_ends_is_seen_and_ended_from_outside() {
        // A driver that raised the line and then stood still.
        let chip = FakeChip::default();
        let relay =
            chip.output("relay", LineConfig { line: 0, active_low: false }).expect("a line");
        let orders = Orders::new(1, Arc::new(SystemClock::start()));
        {
            let mut asked = orders.asked();
            asked.pulse.permit(orders.clock.monotonic_ms());
            asked.raised_ms = asked.pulse.span().map(|span| span.start_ms);
        }
        relay.set(true).expect("it is raised");
        assert!(!orders.overdue());
        while !orders.overdue() {
            std::thread::yield_now();
        }
        assert!(orders.faults().0.expect("a fault").0.contains("its pulse did not end"));
    }

    #[test]
    fn a_thread_that_panics_or_ends_leaves_every_line_inactive_and_no_permit_moves_anything() {
        let mut bench = Bench::of(10_000);
        bench.orders.show(Sign::Granted);
        bench.orders.permit().expect("it is raised");
        assert!(bench.chip.wait(|pins| pins.levels.get("granted_led") == Some(&true)));
        bench.chip.change(|pins| pins.panics = true);
        assert!(bench.orders.permit().is_err(), "the thread is gone");
        assert!(!bench.join(), "it panicked");
        assert!(bench.chip.pins().levels.values().all(|active| !active), "{:?}", bench.chip.pins());
        bench.chip.change(|pins| pins.panics = false);
        assert!(bench.orders.permit().is_err());
        assert!(!bench.relay.get().expect("it is there"));

        let mut bench = Bench::of(10_000);
        bench.orders.permit().expect("it is raised");
        bench.orders.stop();
        assert!(bench.join());
        assert!(!bench.chip.is_active("relay"), "a unit that is stopped in its pulse locks");
    }

    #[test]
    fn a_sign_lights_its_lamps_and_one_that_fails_costs_no_admission() {
        let bench = Bench::of(50);
        bench.orders.show(Sign::Refused(Reason::Quality, Cause::TooFar));
        assert!(bench.chip.wait(|pins| pins.levels.get("refused_led") == Some(&true)));
        assert!(bench.chip.wait(|pins| {
            let blinks = pins.driven.iter().filter(|(key, on, _)| *key == "refused_led" && *on);
            blinks.count() == 2
        }));
        assert!(!bench.chip.is_active("granted_led"));
        bench.orders.show(Sign::Idle);
        assert!(bench.chip.wait(|pins| pins.levels.get("refused_led") == Some(&false)));
        bench.orders.alarm(true);
        assert!(bench.chip.wait(|pins| pins.levels.get("buzzer") == Some(&true)));
    }

    /// Rises of a lamp or of the buzzer in so long a time.
    fn rises(asked: &mut Asked, from_ms: u64, to_ms: u64, lamp: fn(Levels) -> bool) -> usize {
        let mut was = false;
        let mut count = 0;
        for now_ms in from_ms..to_ms {
            asked.go_on(now_ms);
            let is = lamp(asked.levels(now_ms).0);
            count += usize::from(is && !was);
            was = is;
        }
        count
    }

    #[test]
    fn whoever_stays_before_the_camera_silences_no_alarm() {
        for sign in [Sign::Look, Sign::Refused(Reason::LockedOut, Cause::None), Sign::Granted] {
            let bench = Bench::of(50);
            let mut asked = bench.orders.asked();
            asked.show(sign, 0);
            assert!(rises(&mut asked, 0, 3_000, |levels| levels.buzzer) <= 2, "{sign:?}");
            asked.alarm = true;
            assert!(rises(&mut asked, 0, 3_000, |levels| levels.buzzer) >= 5, "{sign:?}");
            let (_, due_ms) = asked.levels(10);
            assert!(due_ms.is_some_and(|due_ms| due_ms <= 250), "{sign:?}: {due_ms:?}");
        }
    }

    #[test]
    fn an_answer_is_shown_to_its_end_whoever_stays_or_goes() {
        let answer = Sign::Refused(Reason::Quality, Cause::MoreThanOne);
        for after in [Sign::Look, Sign::Idle] {
            let bench = Bench::of(50);
            let mut asked = bench.orders.asked();
            asked.show(answer, 0);
            asked.show(after, 1_000);
            let blinks = rises(&mut asked, 0, 10_000, |levels| levels.refused);
            assert_eq!(blinks, usize::from(Cause::MoreThanOne.code()), "{after:?}");
            assert_eq!(asked.sign, after);
            // Another answer, or a fault, is shown at once.
            asked.show(answer, 10_000);
            asked.show(after, 10_001);
            asked.show(Sign::Granted, 10_002);
            assert_eq!((asked.sign, asked.next), (Sign::Granted, None));
            asked.show(Sign::Fault, 10_003);
            assert_eq!(asked.sign, Sign::Fault);
        }
    }
}
