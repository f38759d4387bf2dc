//! The reader of badges and numbers at the door: pulses of two Wiegand lines become credentials for the loop.
//!
//! Owns the thread between the lines and the loop, and what it costs: a flood on the lines, be it noise or somebody at the
//! wires, is read slowly and dropped, and the loop takes from a queue of a few. Refuses to know whose a credential is, and to
//! write one down. A reader that is not there or fails is told in `info`; whether that locks the door is the mode's affair.

mod lines;
mod typing;

use crate::config::{KeypadKind, ReaderConfig};
use crate::notices::Notices;
use crate::state::{ReaderStanding, Shared};
use crate::unit::{Clock, NoReader, Presented, Reader};
use crate::wiegand::{Burst, Decoder, Frame, PAUSE_US, Refused, Sent};
use lines::{GpioPulses, Pulses};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use threshold_record::Credential;
use typing::Typing;

/// Credentials that wait for the loop; more are dropped, for whoever gave them will again.
const QUEUE: usize = 4;

/// How long the thread waits for a pulse where no frame is open.
const PATIENCE: Duration = Duration::from_millis(250);

/// Time between two pulses that are read of a flood; the kernel drops the others.
const FLOOD_REST: Duration = Duration::from_millis(5);

/// Calls on end that may fail before the reader is at fault: a signal may end one.
const MAX_FAILURES: u32 = 3;

/// Time between two notices of frames that were refused.
const TELL_EVERY_MS: u64 = 30_000;

/// A reader for the loop, and what ends its thread.
pub struct Opened {
    /// What gives credentials.
    pub reader: Box<dyn Reader>,
    /// Ends the thread when it is dropped.
    pub end: End,
}

/// Ends the reader's thread when it is dropped.
#[derive(Default)]
pub struct End {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens the reader that is configured; one that cannot be had is known to the state from then on.
///
/// # Errors
/// If the system gives no thread.
pub fn open(
    config: &ReaderConfig,
    shared: &Shared,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
) -> std::io::Result<Opened> {
    let without = || Opened { reader: Box::new(NoReader), end: End::default() };
    let pulses = match GpioPulses::open(config) {
        None => return Ok(without()),
        Some(Err(fault)) => {
            shared.lock().set_reader(ReaderStanding::Failed(fault.0));
            return Ok(without());
        }
        Some(Ok(pulses)) => pulses,
    };
    if let Some((d0, d1)) = config.lines() {
        let chip = config.chip.display();
        notices.tell(&format!("reader: D0 is line {} of {chip}, D1 line {}", d0.line, d1.line));
    }
    start(Box::new(pulses), config.keypad, shared, clock, notices)
}

/// Starts the thread that reads lines.
fn start(
    pulses: Box<dyn Pulses>,
    keypad: KeypadKind,
    shared: &Shared,
    clock: &Arc<dyn Clock>,
    notices: &Notices,
) -> std::io::Result<Opened> {
    let (queue, waiting) = sync_channel(QUEUE);
    let mut end = End::default();
    let reading = Reading {
        pulses,
        decoder: Decoder::new(match keypad {
            KeypadKind::None => None,
            KeypadKind::FourBit => Some(Burst::Four),
            KeypadKind::EightBit => Some(Burst::Eight),
        }),
        typing: Typing::default(),
        queue,
        refused: Untold::default(),
        stop: Arc::clone(&end.stop),
        shared: shared.clone(),
        clock: Arc::clone(clock),
        notices: notices.clone(),
    };
    shared.lock().set_reader(ReaderStanding::Works);
    let thread = std::thread::Builder::new().name("reader".to_owned());
    end.thread = Some(thread.spawn(move || reading.run())?);
    Ok(Opened { reader: Box::new(Queue(waiting)), end })
}

/// What the loop takes from.
struct Queue(Receiver<Presented>);

impl Reader for Queue {
    fn next(&mut self) -> Option<Presented> {
        self.0.try_recv().ok()
    }
}

/// Frames that were refused and not told yet.
#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    length: u64,
    parity: u64,
    noise: u64,
    /// Credentials that the queue had no room for.
    dropped: u64,
    told_ms: Option<u64>,
}

impl Untold {
    /// What there is to tell, if it is time for it.
    fn due(&mut self, now_ms: u64) -> Option<String> {
        let Self { length, parity, noise, dropped, told_ms } = *self;
        let waits = told_ms.is_some_and(|told| now_ms.saturating_sub(told) < TELL_EVERY_MS);
        if waits || length + parity + noise + dropped == 0 {
            return None;
        }
        *self = Self { told_ms: Some(now_ms), ..Self::default() };
        Some(format!(
            "reader: refused {length} frames of another length than 26, 34 or a key's, {parity} with a wrong parity, \
             {noise} with pulses too near to one another; dropped {dropped} credentials that came too fast"
        ))
    }
}

/// What the thread works with.
struct Reading {
    pulses: Box<dyn Pulses>,
    decoder: Decoder,
    typing: Typing,
    queue: SyncSender<Presented>,
    refused: Untold,
    stop: Arc<AtomicBool>,
    shared: Shared,
    clock: Arc<dyn Clock>,
    notices: Notices,
}

impl Reading {
    /// Reads until it is stopped or the lines fail; on a thread of its own. A panic is a fault of the reader like any other.
    fn run(mut self) {
        let shared = self.shared.clone();
        let why = match catch_unwind(AssertUnwindSafe(|| self.read())) {
            Ok(None) => return,
            Ok(Some(why)) => why,
            Err(_) => {
                "it is not read any more, the program panicked; start the unit again, and report this"
                    .to_owned()
            }
        };
        shared.lock().set_reader(ReaderStanding::Failed(why));
    }

    /// Reads; why it ended, if nobody stopped it.
    fn read(&mut self) -> Option<String> {
        let mut failures = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let patience =
                if self.decoder.is_open() { Duration::from_micros(PAUSE_US) } else { PATIENCE };
            let frame = match self.pulses.next(patience) {
                Ok(Some(pulse)) => {
                    failures = 0;
                    if pulse.after_loss {
                        self.decoder.spoil(pulse.at_us);
                    }
                    let frame = self.decoder.pulse(pulse.data, pulse.at_us);
                    frame.map(|frame| (frame, pulse.at_us))
                }
                Ok(None) => {
                    failures = 0;
                    let now_us = self.pulses.now_us();
                    self.decoder.rest(now_us).map(|frame| (frame, now_us))
                }
                Err(fault) => {
                    failures += 1;
                    if failures >= MAX_FAILURES {
                        return Some(fault.0);
                    }
                    None
                }
            };
            if let Some((frame, at_us)) = frame {
                self.take(frame, at_us);
            }
            if let Some(words) = self.refused.due(self.clock.monotonic_ms()) {
                self.notices.tell(&words);
            }
            if self.decoder.is_flooded() {
                std::thread::sleep(FLOOD_REST);
            }
        }
        None
    }

    fn take(&mut self, frame: Frame, at_us: u64) {
        match frame {
            Ok(Sent::Card(credential)) => {
                self.typing.forget();
                self.give(credential);
            }
            Ok(Sent::Key(key)) => {
                if let Some(credential) = self.typing.key(key, at_us) {
                    self.give(credential);
                }
            }
            Err(Refused::Length) => self.refused.length += 1,
            Err(Refused::Parity) => self.refused.parity += 1,
            Err(Refused::Noise) => self.refused.noise += 1,
        }
    }

    fn give(&mut self, credential: Credential) {
        let presented = Presented { credential, at_ms: self.clock.monotonic_ms() };
        if self.queue.try_send(presented).is_err() {
            self.refused.dropped += 1;
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::lines::Pulse;
    use super::*;
    use crate::clock::SystemClock;
    use crate::door::lines::LineFault;
    use crate::state::{Identity, RecoveryRecord, State};
    use crate::wiegand::{Data, encode, lines_of};
    use crate::zone::Zone;
    use std::sync::Mutex;
    use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
    use std::time::Instant;
    use threshold_store::MockFlash;

    /// What happens on the lines, as a test says: a pulse, or that they fail.
    type Happens = Result<Pulse, LineFault>;

    struct FakePulses {
        happens: Receiver<Happens>,
        now_us: u64,
    }

    impl Pulses for FakePulses {
        fn next(&mut self, patience: Duration) -> Result<Option<Pulse>, LineFault> {
            match self.happens.recv_timeout(patience) {
                Ok(Ok(pulse)) => {
                    self.now_us = pulse.at_us;
                    Ok(Some(pulse))
                }
                Ok(Err(fault)) => Err(fault),
                Err(RecvTimeoutError::Timeout) => {
                    self.now_us += patience.as_micros() as u64;
                    Ok(None)
                }
                Err(RecvTimeoutError::Disconnected) => {
                    Err(LineFault("the chip vanished".to_owned()))
                }
            }
        }

        fn now_us(&self) -> u64 {
            self.now_us
        }
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        lines: Option<Sender<Happens>>,
        shared: Shared,
        opened: Opened,
        told: Sink,
        at_us: u64,
    }

    impl Bench {
        fn new(keypad: KeypadKind) -> Self {
            let clock: Arc<dyn Clock> = Arc::new(SystemClock::start());
            let told = Sink::default();
            let notices = Notices::to(Box::new(told.clone()));
            let zone = Zone::default();
            let identity =
                Identity { unit: "bench".to_owned(), build: "0", insecure_link: false, zone };
            let record = RecoveryRecord::open(Ok(Box::new(MockFlash::new())));
            let state =
                State::starting(identity, Arc::clone(&clock), notices.clone(), None, record);
            let shared = Shared::new(state);
            let (lines, happens) = channel();
            let pulses = Box::new(FakePulses { happens, now_us: 0 });
            let opened = start(pulses, keypad, &shared, &clock, &notices).expect("a thread");
            Self { lines: Some(lines), shared, opened, told, at_us: 1_000_000 }
        }

        /// Sends bits, 2 ms apart, and lets the lines rest.
        fn send(&mut self, bits: u64, count: u8) {
            for data in lines_of(bits, count) {
                self.pulse(data, 2_000, false);
            }
            self.at_us += 2 * PAUSE_US;
        }

        fn pulse(&mut self, data: Data, gap_us: u64, after_loss: bool) {
            self.at_us += gap_us;
            let pulse = Pulse { data, at_us: self.at_us, after_loss };
            self.lines.as_ref().expect("the lines").send(Ok(pulse)).expect("a thread that reads");
        }

        /// Waits for a credential.
        fn read(&mut self) -> Option<Credential> {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(20) {
                if let Some(presented) = self.opened.reader.next() {
                    return Some(presented.credential);
                }
                std::thread::yield_now();
            }
            None
        }

        /// Waits until the notices say this.
        fn is_told(&self, words: &str) -> bool {
            let begun = Instant::now();
            let is_told =
                || String::from_utf8_lossy(&self.told.0.lock().expect("no panic")).contains(words);
            while !is_told() && begun.elapsed() < Duration::from_secs(20) {
                std::thread::yield_now();
            }
            is_told()
        }
    }

    #[test]
    fn badges_and_numbers_come_to_the_loop() {
        let mut bench = Bench::new(KeypadKind::FourBit);
        assert_eq!(*bench.shared.lock().reader(), ReaderStanding::Works);
        let badge = Credential::Wiegand34 { facility: 300, card: 4711 };
        let (bits, count) = encode(badge).expect("a badge");
        bench.send(bits, count);
        assert_eq!(bench.read(), Some(badge));
        for key in [0, 0, 4, 2, 11] {
            bench.send(key, 4);
        }
        assert_eq!(bench.read(), Credential::keypad("0042"));
        // A badge forgets what was typed before it.
        bench.send(7, 4);
        bench.send(bits, count);
        assert_eq!(bench.read(), Some(badge));
        for key in [1, 11] {
            bench.send(key, 4);
        }
        assert_eq!(bench.read(), Credential::keypad("1"));
    }

    #[test]
    fn what_is_no_badge_is_counted_and_told_and_a_lost_pulse_spoils_its_frame() {
        let mut bench = Bench::new(KeypadKind::None);
        bench.send(0, 37);
        assert!(bench.is_told("refused 1 frames of another length"));
        let badge = Credential::Wiegand26 { facility: 1, card: 2 };
        let (bits, count) = encode(badge).expect("a badge");
        bench.send(bits ^ 1, count);
        for (at, data) in lines_of(bits, count).enumerate() {
            bench.pulse(data, 2_000, at == 13);
        }
        bench.at_us += 2 * PAUSE_US;
        bench.send(bits, count);
        assert_eq!(bench.read(), Some(badge));
        assert!(bench.opened.reader.next().is_none(), "and nothing before it");
    }

    #[test]
    fn a_flood_ends_and_the_badge_after_it_is_read() {
        let mut bench = Bench::new(KeypadKind::None);
        for _ in 0..200 {
            bench.pulse(Data::D1, 300, false);
        }
        bench.at_us += 2 * PAUSE_US;
        let badge = Credential::Wiegand26 { facility: 200, card: 65_535 };
        let (bits, count) = encode(badge).expect("a badge");
        bench.send(bits, count);
        assert_eq!(bench.read(), Some(badge));
        // More than the queue holds are dropped, and the loop is not waited for.
        for _ in 0..QUEUE + 3 {
            bench.send(bits, count);
        }
        let given = std::iter::from_fn(|| bench.read().map(|_| ())).take(QUEUE).count();
        assert_eq!(given, QUEUE);
    }

    #[test]
    fn lines_that_vanish_are_told_and_a_reader_that_is_stopped_is_not() {
        let mut bench = Bench::new(KeypadKind::None);
        bench.lines = None;
        assert!(bench.is_told("reader: the chip vanished"));
        let standing = bench.shared.lock().reader().clone();
        assert_eq!(standing, ReaderStanding::Failed("the chip vanished".to_owned()));

        let bench = Bench::new(KeypadKind::None);
        drop(bench.opened);
        assert_eq!(*bench.shared.lock().reader(), ReaderStanding::Works);
    }

    #[test]
    fn what_was_refused_is_told_at_once_and_then_every_half_minute() {
        let mut untold = Untold { parity: 1, ..Untold::default() };
        assert!(untold.due(5).is_some_and(|words| words.contains("1 with a wrong parity")));
        untold.parity += 7;
        assert_eq!(untold.due(TELL_EVERY_MS + 4), None);
        let words = untold.due(TELL_EVERY_MS + 5).unwrap_or_default();
        assert!(words.contains("7 with a wrong parity"), "{words}");
        assert_eq!(untold.due(u64::MAX), None);
    }
}
