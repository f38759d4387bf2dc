//! A word on two lines: a card's number as a Wiegand reader would send it.
//!
//! Owns its times, and that what could be seen to go wrong is told. Readers send pulses of 20 to 100 us, 200 us to 20 ms apart; a
//! program under Linux keeps the least of both and not the most, since the kernel may let it wait at any instant. So a pulse that
//! became too long is told and its word goes on: a controller counts edges, and order and number of them are right. A word with a
//! pause in which a controller takes it for ended is given up before its next pulse, so that it is never whole. A last pulse that the
//! kernel itself kept back is the one thing that nobody can judge, and is told as that.
//! Refuses to judge what is sent, and to send a word once more: [`super::controller`] does.

use super::lines::{Chip, LineFault, Output};
use crate::config::LineConfig;
use crate::wiegand::{Data, lines_of};
use std::time::{Duration, Instant};

/// A pulse lasts for so long at least.
pub(super) const PULSE: Duration = Duration::from_micros(50);

/// The longest pulse of a reader.
pub(super) const LONGEST: Duration = Duration::from_micros(100);

/// From the begin of one pulse to that of the next.
pub(super) const PERIOD: Duration = Duration::from_millis(2);

/// What the lines rest between two pulses at least, however late the first one ended.
const LEAST_REST: Duration = Duration::from_micros(200);

/// The longest time between two pulses of a reader.
pub(super) const MOST_APART: Duration = Duration::from_millis(20);

/// The kernel wakes a program later than it asked for, mostly by less than this: the rest of a time is spent looking at the clock.
const LOOK: Duration = Duration::from_micros(150);

/// What time it is, and the way to wait.
pub(super) trait Pace: Send {
    /// Now.
    fn now(&self) -> Instant;

    /// Comes back at that instant, or later.
    fn until(&mut self, at: Instant);
}

/// The machine's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine;

impl Pace for Machine {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn until(&mut self, at: Instant) {
        loop {
            let left = at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match left.checked_sub(LOOK) {
                Some(sleep) => std::thread::sleep(sleep),
                None => std::hint::spin_loop(),
            }
        }
    }
}

/// How a word went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on the wire; its longest pulse lasted for no longer than that.
    Whole(Duration),
    /// It was given up and is not whole: so long passed after a pulse.
    Torn(Duration),
    /// Its last pulse came so long after the one before: a controller may have taken the word, or not.
    Doubtful(Duration),
}

/// The two lines. Dropping them leaves them at rest.
pub(super) struct Wires {
    d0: Box<dyn Output>,
    d1: Box<dyn Output>,
}

impl Wires {
    /// Takes both lines, at rest from this instant on.
    ///
    /// # Errors
    /// [`LineFault`] if one cannot be had.
    pub(super) fn take(
        chip: &dyn Chip,
        (d0, d1): (LineConfig, LineConfig),
    ) -> Result<Self, LineFault> {
        Ok(Self { d0: chip.output("d0", d0)?, d1: chip.output("d1", d1)? })
    }

    /// Sends so many bits, the highest first.
    ///
    /// # Errors
    /// [`LineFault`] of the line that failed; both were told to rest then.
    pub(super) fn send(
        &self,
        (bits, count): (u64, u8),
        pace: &mut dyn Pace,
    ) -> Result<Sent, LineFault> {
        let sent = self.pulses(bits, count, pace);
        if sent.is_err() {
            self.rest();
        }
        sent
    }

    fn pulses(&self, bits: u64, count: u8, pace: &mut dyn Pace) -> Result<Sent, LineFault> {
        let mut longest = Duration::ZERO;
        let mut due = pace.now();
        let mut last: Option<Instant> = None;
        let mut apart = Duration::ZERO;
        for data in lines_of(bits, count) {
            let line = match data {
                Data::D0 => &self.d0,
                Data::D1 => &self.d1,
            };
            pace.until(due);
            let begun = pace.now();
            // What was seen of the last pulse, or what passed since.
            apart = apart.max(last.map_or(Duration::ZERO, |last| begun - last));
            if apart > MOST_APART {
                return Ok(Sent::Torn(apart));
            }
            line.set(true)?;
            let raised = pace.now();
            pace.until(raised + PULSE);
            line.set(false)?;
            let ended = pace.now();
            longest = longest.max(ended - begun);
            apart = last.replace(begun).map_or(Duration::ZERO, |last| raised - last);
            due = (begun + PERIOD).max(ended + LEAST_REST);
        }
        Ok(if apart > MOST_APART { Sent::Doubtful(apart) } else { Sent::Whole(longest) })
    }

    fn rest(&self) {
        for line in [&self.d0, &self.d1] {
            // Nobody is left who could be told of an error.
            let _ = line.set(false);
        }
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.rest();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::fake::FakeChip;
    use super::*;
    use crate::wiegand::{Decoder, Frame, PAUSE_US, Sent as Read, encode};
    use threshold_record::Credential;

    /// Time that passes only where it is waited for, by more than was asked for: the next of these, one for each wait.
    pub(in super::super) struct Played {
        chip: FakeChip,
        late: Box<dyn FnMut() -> Duration + Send>,
    }

    impl Played {
        pub(in super::super) fn new(
            chip: &FakeChip,
            late: impl FnMut() -> Duration + Send + 'static,
        ) -> Self {
            chip.change(|pins| pins.now = Some(Instant::now()));
            Self { chip: chip.clone(), late: Box::new(late) }
        }
    }

    impl Pace for Played {
        fn now(&self) -> Instant {
            self.chip.pins().now.expect("it is played")
        }

        fn until(&mut self, at: Instant) {
            let late = (self.late)();
            self.chip.change(|pins| pins.now = pins.now.map(|now| now.max(at) + late));
        }
    }

    /// What a reader at the other end of the wires makes of everything that was driven.
    pub(in super::super) fn read(chip: &FakeChip) -> Vec<Frame> {
        let pins = chip.pins();
        let driven = pins.driven.iter().filter(|(key, ..)| ["d0", "d1"].contains(key));
        let mut decoder = Decoder::new(None);
        let Some(&(.., first)) = driven.clone().next() else { return Vec::new() };
        let pulses = driven.filter(|(_, active, _)| *active).map(|&(key, _, at)| {
            let data = if key == "d0" { Data::D0 } else { Data::D1 };
            (data, u64::try_from((at - first).as_micros()).expect("it fits"))
        });
        let mut frames: Vec<_> = pulses.filter_map(|(data, at)| decoder.pulse(data, at)).collect();
        frames.extend(decoder.rest(u64::MAX));
        frames
    }

    fn wires(chip: &FakeChip) -> Wires {
        let line = |line| LineConfig { line, active_low: true };
        Wires::take(chip, (line(1), line(2))).expect("lines")
    }

    /// Whatever the kernel does to its times, what a reader's decoder takes from the wires is what was sent.
    #[test]
    fn what_a_reader_takes_from_the_wires_is_what_was_sent() {
        let mut state = 1u64;
        let mut lots = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state >> 33
        };
        for round in 0..400u64 {
            let card = lots() as u16;
            let credential = match round % 2 {
                0 => Credential::Wiegand26 { facility: lots() as u8, card },
                _ => Credential::Wiegand34 { facility: lots() as u16, card },
            };
            let chip = FakeChip::default();
            let wires = wires(&chip);
            // From a kernel that is never late to one that lets each wait last 8 ms longer.
            let latest_us = [1, 60, 1_000, 8_000][round as usize / 2 % 4];
            let mut seed = round;
            let mut pace = Played::new(&chip, move || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                Duration::from_micros((seed >> 33) % latest_us)
            });
            let word = encode(credential).expect("a card");
            let Ok(Sent::Whole(longest)) = wires.send(word, &mut pace) else {
                panic!("{credential} with {latest_us} us")
            };
            assert!(longest >= PULSE && longest < PULSE + Duration::from_micros(latest_us));
            assert_eq!(read(&chip), [Ok(Read::Card(credential))]);
            let driven = chip.pins().driven.clone();
            // At rest twice when they were taken, then one pulse after the other, each for long enough and far enough apart.
            let pulses: Vec<_> = driven[2..].chunks(2).collect();
            assert_eq!(pulses.len(), usize::from(word.1));
            for pulse in &pulses {
                let [(up, true, from), (down, false, to)] = *pulse else { panic!("{pulse:?}") };
                assert!(up == down && *to - *from >= PULSE);
            }
            assert!(pulses.windows(2).all(|two| two[1][0].2 - two[0][1].2 >= LEAST_REST));
            assert!(pulses.windows(2).all(|two| two[1][0].2 - two[0][0].2 >= PERIOD));
        }
    }

    /// What a reader takes from a word before whose pulse of that number, from 0, the kernel let the program wait.
    fn torn_before(credential: Credential, nth: usize) -> Vec<Frame> {
        let word = encode(credential).expect("a card");
        let chip = FakeChip::default();
        let mut waits = 0;
        // Two waits a pulse: before it and in it.
        let late = move || {
            waits += 1;
            if waits == nth * 2 + 1 { Duration::from_micros(PAUSE_US) } else { Duration::ZERO }
        };
        let mut pace = Played::new(&chip, late);
        let sent = wires(&chip).send(word, &mut pace).expect("no line fails");
        assert_eq!(sent, Sent::Torn(PERIOD + Duration::from_micros(PAUSE_US)));
        let raised = chip.pins().driven.iter().filter(|(_, active, _)| *active).count();
        assert_eq!(raised, nth, "the late pulse is not sent");
        read(&chip)
    }

    /// A controller that takes one length, as `format` says, takes no torn word. One that takes both lengths may take one: the first 26 of
    /// 34 bits, if they have the parities of a card, as the second one here has.
    #[test]
    fn a_word_with_a_pause_that_ends_it_is_given_up_and_is_no_card_of_its_length() {
        let odd = Credential::Wiegand34 { facility: 7, card: 7 };
        let good = (0..).map(|card| Credential::Wiegand34 { facility: 300, card });
        let good = good.take(1_000).find(|card| torn_before(*card, 26).iter().any(Result::is_ok));
        let short = Credential::Wiegand26 { facility: 7, card: 7 };
        for (credential, bits) in [(odd, 34), (good.expect("one in four"), 34), (short, 26)] {
            for nth in 1..bits {
                for frame in torn_before(credential, nth) {
                    let other = matches!(frame, Ok(Read::Card(Credential::Wiegand26 { .. })));
                    let may = nth == 26 && Some(credential) == good && other;
                    assert!(may || frame.is_err(), "{credential} {nth}: {frame:?}");
                }
            }
        }
    }

    #[test]
    fn a_pulse_that_the_kernel_kept_back_ends_the_word_and_the_last_one_is_in_doubt() {
        let word = encode(Credential::Wiegand26 { facility: 7, card: 7 }).expect("a card");
        for nth in 1..26 {
            let chip = FakeChip::default();
            let mut pace = Played::new(&chip, || Duration::ZERO);
            let wires = wires(&chip);
            chip.change(|pins| pins.stalls_at = Some(2 + 2 * nth));
            let sent = wires.send(word, &mut pace).expect("no line fails");
            let raised = chip.pins().driven.iter().filter(|(_, active, _)| *active).count();
            assert_eq!(raised, nth + 1, "none behind it");
            assert_eq!(matches!(sent, Sent::Doubtful(_)), nth == 25, "{nth}: {sent:?}");
            assert_eq!(matches!(sent, Sent::Torn(_)), nth < 25, "{nth}: {sent:?}");
        }
    }

    #[test]
    fn a_line_that_fails_ends_the_word_and_dropped_lines_rest() {
        let chip = FakeChip::default();
        let wires = wires(&chip);
        let mut pace = Played::new(&chip, || Duration::ZERO);
        chip.change(|pins| pins.gone = true);
        assert!(wires.send((1, 26), &mut pace).is_err());
        chip.change(|pins| pins.gone = false);
        chip.change(|pins| pins.levels.extend([("d0", true)]));
        drop(wires);
        assert!(!chip.is_active("d0") && !chip.is_active("d1"));
    }

    #[test]
    fn the_machines_pace_is_never_early() {
        let mut pace = Machine;
        for wait in [Duration::ZERO, PULSE, PERIOD] {
            let at = pace.now() + wait;
            pace.until(at);
            assert!(pace.now() >= at);
        }
    }
}
