//! What a door controller is told: the card of whoever was admitted, on a thread of its own.
//!
//! Owns that neither the loop nor the lock waits for a word, which takes 70 ms, and that an admission which the controller was not
//! told of is in the log. A word is sent for a permit and nothing else, so after the admission is durable. Refuses to tell a card's number to
//! anybody else: no notice and no entry has it. Refuses to send a word when whoever it is for has left long since, and to go on after
//! that, or with lines that failed, until the next start.

use super::word::{LONGEST, Pace, Sent, Wires};
use crate::journal::Permit;
use crate::notices::Notices;
use crate::state::Shared;
use crate::unit::{Clock, Lock, LockFault};
use crate::wiegand::encode;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use threshold_record::{Cause, Credential, EntryKind, LogEntry, PersonId};

/// Admissions that are told or wait for it: nobody is admitted faster than a word is sent, so that more are a thread that hangs.
const QUEUE: usize = 4;

/// An admission that was not told for so long is not told any more: a controller opens at once, and whoever was admitted has left. Three
/// torn words and their rests take half of it.
const FRESH: Duration = Duration::from_secs(2);

/// How long the thread waits for an admission before it looks whether it shall end.
const PATIENCE: Duration = Duration::from_millis(250);

/// Times that a word is sent which is torn each time.
const TRIES: u32 = 3;

/// The rest between two words: a controller takes 25 to 100 ms without a pulse for the end of one.
const REST: Duration = Duration::from_millis(250);

/// Time between two notices of pulses that lasted for too long.
const TELL_EVERY_MS: u64 = 30_000;

/// Somebody was admitted.
#[derive(Clone, Copy)]
struct Told {
    person: PersonId,
    card: Option<Credential>,
    sequence: u64,
    at: Instant,
}

impl Told {
    /// The entry that says that the controller does not know of it.
    fn not_sent(self, cause: Cause) -> LogEntry {
        LogEntry { person: self.person, cause, ..LogEntry::of(EntryKind::NotSent) }
    }
}

/// Admissions between the loop and the thread.
#[derive(Default)]
struct Queue {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Default)]
struct Asked {
    /// The oldest first, which stays until it was told or given up.
    waiting: VecDeque<Told>,
    /// Nobody is told any more.
    closed: bool,
}

impl Queue {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whom to tell next, waited for no longer than [`PATIENCE`]; an error once it is closed and nobody waits.
    fn next(&self) -> Result<Option<Told>, Closed> {
        let idle = |asked: &mut Asked| asked.waiting.is_empty() && !asked.closed;
        let waited = self.changed.wait_timeout_while(self.asked(), PATIENCE, idle);
        let asked = waited.unwrap_or_else(PoisonError::into_inner).0;
        match asked.waiting.front() {
            None if asked.closed => Err(Closed),
            told => Ok(told.copied()),
        }
    }

    /// Forgets the oldest one.
    fn done(&self) {
        self.asked().waiting.pop_front();
    }

    /// Takes no admission from now on.
    fn close(&self) {
        self.asked().closed = true;
        self.changed.notify_all();
    }

    /// Takes no admission from now on; those that wait.
    fn end(&self) -> VecDeque<Told> {
        let mut asked = self.asked();
        asked.closed = true;
        std::mem::take(&mut asked.waiting)
    }
}

/// The queue is closed and empty.
struct Closed;

/// A lock of whose permits a controller is told.
struct Telling {
    queue: Arc<Queue>,
    /// Those that nobody will be told of.
    untold: Vec<Told>,
    lock: Box<dyn Lock>,
}

impl Lock for Telling {
    fn pulse(&mut self, permit: Permit) -> Result<(), LockFault> {
        self.tell(Told {
            person: permit.person(),
            card: permit.card(),
            sequence: permit.sequence(),
            at: Instant::now(),
        })?;
        self.lock.pulse(permit)
    }

    fn untold(&mut self) -> Vec<LogEntry> {
        self.untold.drain(..).map(|told| told.not_sent(Cause::Controller)).collect()
    }

    fn is_active(&self) -> bool {
        self.lock.is_active()
    }
}

impl Telling {
    /// Leaves it to the thread; returns at once. A thread that let somebody wait for too long tells nobody any more, and keeps the one
    /// alone that it may be telling.
    fn tell(&mut self, told: Told) -> Result<(), LockFault> {
        let mut asked = self.queue.asked();
        let waits = asked.waiting.front().map_or(Duration::ZERO, |oldest| told.at - oldest.at);
        if asked.waiting.len() >= QUEUE || waits > FRESH {
            asked.closed = true;
            self.untold.extend(asked.waiting.drain(1..));
        }
        if asked.closed {
            self.untold.push(told);
            let why =
                "controller: its thread is gone or hangs; start the unit again, and report this";
            return Err(LockFault(why.to_owned()));
        }
        asked.waiting.push_back(told);
        self.queue.changed.notify_all();
        Ok(())
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Starts the thread that tells a controller; the lock that a permit goes to from now on, which is told of before that lock moves.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn start(
    (wires, pace): (Wires, Box<dyn Pace>),
    lock: Box<dyn Lock>,
    shared: &Shared,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
    stop: &Arc<AtomicBool>,
) -> std::io::Result<(Box<dyn Lock>, JoinHandle<()>)> {
    let (telling, sending) = parts((wires, pace), lock, shared, clock, notices, stop);
    let thread = std::thread::Builder::new().name("controller".to_owned());
    Ok((Box::new(telling), thread.spawn(move || sending.run())?))
}

fn parts(
    (wires, pace): (Wires, Box<dyn Pace>),
    lock: Box<dyn Lock>,
    shared: &Shared,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
    stop: &Arc<AtomicBool>,
) -> (Telling, Sending) {
    let queue = Arc::new(Queue::default());
    let sending = Sending {
        free_at: pace.now() + REST,
        wires,
        pace,
        queue: Arc::clone(&queue),
        long: Long::default(),
        stop: Arc::clone(stop),
        shared: shared.clone(),
        clock: Arc::clone(clock),
        notices: notices.clone(),
    };
    (Telling { queue, untold: Vec::new(), lock }, sending)
}

/// Words with a pulse that lasted for too long, not told yet.
#[derive(Clone, Copy, Debug, Default)]
struct Long {
    words: u32,
    longest: Duration,
    told_ms: Option<u64>,
}

/// What the thread works with.
struct Sending {
    wires: Wires,
    pace: Box<dyn Pace>,
    /// When the lines have rested after the last word.
    free_at: Instant,
    queue: Arc<Queue>,
    long: Long,
    stop: Arc<AtomicBool>,
    shared: Shared,
    clock: Arc<dyn Clock>,
    notices: Notices,
}

impl Sending {
    /// Sends until it is stopped, a line fails or somebody waited for too long; on a thread of its own. A panic is a fault like any other.
    fn run(mut self) {
        let why = catch_unwind(AssertUnwindSafe(|| self.serve())).unwrap_or_else(|_| {
            let why = "it is told of nobody any more, the program panicked; start the unit again, and report this";
            Some(why.to_owned())
        });
        // Nobody is admitted between this and the fault: the lock fails by itself from here on.
        let waiting = self.queue.end();
        if let Some(why) = why {
            self.shared.lock().fail(Cause::Controller, &why);
        }
        for told in waiting {
            self.not_sent(told, Cause::Controller);
        }
    }

    /// Sends; why it ended, if nobody stopped it.
    fn serve(&mut self) -> Option<String> {
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(next) = self.queue.next() else { return None };
            if let Some(told) = next {
                let untold = self.tell(told);
                // Those that are not told with a fault stay, and are written down behind it.
                if untold.is_some() {
                    return untold;
                }
                self.queue.done();
            }
            if let Some(words) = self.long.due(self.clock.monotonic_ms()) {
                self.notices.tell(&words);
            }
        }
        None
    }

    /// Tells of one admission; why nobody is told from now on, if so.
    fn tell(&mut self, told: Told) -> Option<String> {
        let Some(word) = told.card.and_then(encode) else {
            self.not_sent(told, Cause::NoCard);
            return None;
        };
        for _ in 0..TRIES {
            self.pace.until(self.free_at);
            let waited = self.pace.now().saturating_duration_since(told.at);
            if waited > FRESH {
                let ms = waited.as_millis();
                return Some(format!(
                    "its word waited for {ms} ms and is not sent any more; the lines or the machine hang: start the unit again, and report this"
                ));
            }
            let sent = self.wires.send(word, self.pace.as_mut());
            self.free_at = self.pace.now() + REST;
            let (what, apart) = match sent {
                Ok(Sent::Whole(longest)) => {
                    self.long.note(longest);
                    self.notices.tell(&format!("controller: told of entry {}", told.sequence));
                    return None;
                }
                Ok(Sent::Torn(apart)) => ("was given up", apart),
                Ok(Sent::Doubtful(apart)) => ("may have been taken for whole, or not", apart),
                Err(fault) => return Some(fault.0),
            };
            self.notices.tell(&format!(
                "controller: the word of entry {} {what}, {} ms passed between two pulses; the machine does too much else",
                told.sequence,
                apart.as_millis()
            ));
            if matches!(sent, Ok(Sent::Doubtful(_))) {
                break;
            }
        }
        self.not_sent(told, Cause::Controller);
        None
    }

    /// Writes down that the controller does not know of an admission.
    fn not_sent(&self, told: Told, cause: Cause) {
        let _ = self.shared.lock().write(told.not_sent(cause));
        let (sequence, why) = (told.sequence, cause.text());
        self.notices.tell(&format!("controller: not told of entry {sequence}: {why}"));
    }
}

impl Long {
    /// Counts a word's longest pulse.
    fn note(&mut self, longest: Duration) {
        if longest > LONGEST {
            self.words = self.words.saturating_add(1);
            self.longest = self.longest.max(longest);
        }
    }

    /// What there is to tell, if it is time for it.
    fn due(&mut self, now_ms: u64) -> Option<String> {
        let Self { words, longest, told_ms } = *self;
        let waits = told_ms.is_some_and(|told| now_ms.saturating_sub(told) < TELL_EVERY_MS);
        if waits || words == 0 {
            return None;
        }
        *self = Self { told_ms: Some(now_ms), ..Self::default() };
        Some(format!(
            "controller: {words} words had a pulse of more than {} us, the longest of {} us; if it misses admissions, the machine does \
             too much else",
            LONGEST.as_micros(),
            longest.as_micros()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::FakeChip;
    use super::super::outputs::Jammed;
    use super::super::tests::Bench;
    use super::super::word::tests::{Played, read};
    use super::*;
    use crate::config::LineConfig;
    use crate::door::lines::LineFault;
    use crate::lock::LogOnlyLock;
    use crate::wiegand::{PAUSE_US, Sent as Read};
    use std::sync::mpsc::{Receiver, Sender, channel};

    const CARD: Credential = Credential::Wiegand34 { facility: 300, card: 4_711 };
    const ADA: PersonId = PersonId(1);

    fn parts_of(
        bench: &Bench,
        pace: impl Pace + 'static,
        lock: impl Lock + 'static,
    ) -> (Telling, Sending) {
        let line = |line| LineConfig { line, active_low: true };
        let wires = Wires::take(&bench.chip, (line(1), line(2))).expect("lines");
        let notices = Notices::to(Box::new(std::io::sink()));
        let (stop, lock) = (Arc::default(), Box::new(lock));
        parts((wires, Box::new(pace)), lock, &bench.shared, &bench.clock, &notices, &stop)
    }

    fn on_time(chip: &FakeChip) -> Played {
        Played::new(chip, || Duration::ZERO)
    }

    fn log_only() -> LogOnlyLock {
        LogOnlyLock::new(Notices::to(Box::new(std::io::sink())))
    }

    fn told(card: Option<Credential>) -> Told {
        Told { person: ADA, card, sequence: 9, at: Instant::now() }
    }

    /// The entries that say whom the controller was not told of, and why.
    fn not_sent(bench: &Bench) -> Vec<(PersonId, Cause)> {
        let log = bench.log().into_iter().filter(|entry| entry.kind == EntryKind::NotSent);
        log.map(|entry| (entry.person, entry.cause)).collect()
    }

    #[test]
    fn a_permit_is_one_word_with_the_card_of_the_person() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        let other = Credential::Wiegand26 { facility: 1, card: 2 };
        for card in [CARD, other] {
            telling.pulse(bench.permit(ADA).with_card(Some(card))).expect("it is told");
        }
        assert!(read(&bench.chip).is_empty(), "nothing is sent on the loop's thread");
        drop(telling);
        sending.run();
        let words = [CARD, other].map(|card| Ok(Read::Card(card)));
        assert_eq!(read(&bench.chip), words);
        assert_eq!((not_sent(&bench), bench.fault()), (Vec::new(), None));
    }

    #[test]
    fn whoever_has_no_card_is_not_told_and_the_log_says_so() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        telling.pulse(bench.permit(ADA)).expect("the lock is released all the same");
        telling.tell(told(Credential::keypad("0042"))).expect("it is told");
        drop(telling);
        sending.run();
        assert!(read(&bench.chip).is_empty());
        assert_eq!(not_sent(&bench), [(ADA, Cause::NoCard); 2]);
        let kinds: Vec<_> = bench.log().iter().map(|entry| entry.kind).collect();
        let admitted = kinds.iter().position(|kind| *kind == EntryKind::Decision);
        let untold = kinds.iter().position(|kind| *kind == EntryKind::NotSent);
        assert!(admitted < untold, "{kinds:?}");
        assert_eq!(bench.fault(), None);
    }

    #[test]
    fn a_torn_word_is_sent_again_and_three_are_given_up_with_an_entry() {
        for torn in 0..=TRIES {
            let bench = Bench::new();
            let mut waits = 0u32;
            // One wait for the rest before each word, and two for its first pulse; that before its second one tears it.
            let late = move || {
                waits += 1;
                let in_torn = (0..torn).any(|nth| waits == nth * 4 + 4);
                if in_torn { Duration::from_micros(PAUSE_US) } else { Duration::ZERO }
            };
            let (mut telling, sending) =
                parts_of(&bench, Played::new(&bench.chip, late), log_only());
            telling.tell(told(Some(CARD))).expect("it is told");
            drop(telling);
            sending.run();
            let frames = read(&bench.chip);
            let cards = frames.iter().filter(|frame| frame.is_ok()).count();
            assert_eq!(cards, usize::from(torn < TRIES), "{torn}: {frames:?}");
            assert!(cards == 0 || frames.last() == Some(&Ok(Read::Card(CARD))));
            let expected = if torn < TRIES { Vec::new() } else { vec![(ADA, Cause::Controller)] };
            assert_eq!((not_sent(&bench), bench.fault()), (expected, None));
        }
    }

    #[test]
    fn lines_that_fail_are_a_fault_and_no_permit_moves_the_lock_from_then_on() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        for _ in 0..2 {
            telling.tell(told(Some(CARD))).expect("it is told");
        }
        bench.chip.change(|pins| pins.gone = true);
        sending.run();
        assert_eq!(bench.fault(), Some(Cause::Controller));
        assert_eq!(not_sent(&bench), [(ADA, Cause::Controller); 2]);
        let fault = telling.pulse(bench.permit(ADA)).expect_err("nobody would be told");
        assert!(fault.0.contains("its thread is gone"), "{fault}");
        assert_eq!(telling.untold(), [told(None).not_sent(Cause::Controller)], "once");
        assert!(telling.untold().is_empty());
        // A lock that fails is told as that, though the word is on its way.
        let bench = Bench::new();
        let jammed = Jammed(LineFault("stuck".to_owned()));
        let (mut telling, _sending) = parts_of(&bench, on_time(&bench.chip), jammed);
        assert_eq!(telling.pulse(bench.permit(ADA)), Err(LockFault("stuck".to_owned())));
    }

    /// Time that stands until the test lets it go.
    struct Stands(Mutex<Receiver<()>>, Played);

    impl Pace for Stands {
        fn now(&self) -> Instant {
            self.1.now()
        }

        fn until(&mut self, at: Instant) {
            // Goes on once the other end is dropped.
            let _ = self.0.lock().expect("no panic").recv();
            self.1.until(at);
        }
    }

    #[test]
    fn neither_the_lock_nor_the_loop_waits_for_a_word_and_too_many_close_it() {
        let bench = Bench::new();
        let (go, stands): (Sender<()>, _) = channel();
        let (mut telling, sending) =
            parts_of(&bench, Stands(stands.into(), on_time(&bench.chip)), log_only());
        let thread = std::thread::spawn(move || sending.run());
        for nth in 0..QUEUE + 2 {
            let pulse = telling.pulse(bench.permit(ADA).with_card(Some(CARD)));
            assert_eq!(pulse.is_ok(), nth < QUEUE, "{nth}: {pulse:?}");
        }
        // All but the one that the thread is at.
        assert_eq!(telling.untold().len(), QUEUE + 1);
        drop(go);
        thread.join().expect("it ends by itself");
        assert!(not_sent(&bench).is_empty(), "that one is told");
        assert_eq!(read(&bench.chip), [Ok(Read::Card(CARD))], "and no other");
    }

    #[test]
    fn a_word_that_waited_for_too_long_is_not_sent_nor_those_behind_it() {
        let bench = Bench::new();
        // A pulse of the first word stalls.
        let mut waits = 0u32;
        let stalls = move || {
            waits += 1;
            if waits == 9 { FRESH } else { Duration::ZERO }
        };
        let (mut telling, sending) = parts_of(&bench, Played::new(&bench.chip, stalls), log_only());
        for _ in 0..3 {
            telling.tell(told(Some(CARD))).expect("it is told");
        }
        sending.run();
        assert!(read(&bench.chip).iter().all(Result::is_err), "no card went out");
        assert_eq!(not_sent(&bench), [(ADA, Cause::Controller); 3]);
        assert_eq!(bench.fault(), Some(Cause::Controller));
        assert!(telling.tell(told(Some(CARD))).is_err(), "and nobody is admitted");
    }

    #[test]
    fn an_admission_behind_one_that_waited_for_too_long_fails() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        let now = Instant::now();
        let at = |later| Told { at: now + later, ..told(Some(CARD)) };
        telling.tell(at(Duration::ZERO)).expect("the first");
        telling.tell(at(FRESH)).expect("not yet");
        let late = telling.tell(at(FRESH + Duration::from_millis(1)));
        assert!(late.is_err_and(|fault| fault.0.contains("hangs")));
        assert!(telling.tell(at(FRESH)).is_err(), "it stays so");
        assert_eq!(telling.untold(), [told(None).not_sent(Cause::Controller); 3]);
        drop(sending);
    }

    #[test]
    fn whoever_waits_at_the_end_is_not_told_and_the_log_says_so() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        for _ in 0..3 {
            telling.tell(told(Some(CARD))).expect("it is told");
        }
        sending.stop.store(true, Ordering::Relaxed);
        sending.run();
        assert!(read(&bench.chip).is_empty());
        assert_eq!((not_sent(&bench), bench.fault()), (vec![(ADA, Cause::Controller); 3], None));
        assert!(telling.tell(told(Some(CARD))).is_err(), "nobody comes behind");
    }

    #[test]
    fn a_last_pulse_that_came_late_is_not_sent_again() {
        let bench = Bench::new();
        let (mut telling, sending) = parts_of(&bench, on_time(&bench.chip), log_only());
        // The rests of two lines, and two levels for each pulse before the last one.
        bench.chip.change(|pins| pins.stalls_at = Some(2 + 2 * 33));
        telling.tell(told(Some(CARD))).expect("it is told");
        drop(telling);
        sending.run();
        let raised = bench.chip.pins().driven.iter().filter(|(_, active, _)| *active).count();
        assert_eq!(raised, 34, "one word");
        assert_eq!((not_sent(&bench), bench.fault()), (vec![(ADA, Cause::Controller)], None));
    }

    #[test]
    fn pulses_that_lasted_for_too_long_are_told_at_once_and_then_every_half_minute() {
        let mut long = Long::default();
        long.note(LONGEST);
        assert_eq!(long.due(0), None);
        long.note(LONGEST * 4);
        assert!(
            long.due(5)
                .is_some_and(|words| words.contains("1 words had") && words.contains("of 400 us"))
        );
        long.note(LONGEST * 2);
        assert_eq!(long.due(TELL_EVERY_MS + 4), None);
        assert!(long.due(TELL_EVERY_MS + 5).is_some());
    }
}
