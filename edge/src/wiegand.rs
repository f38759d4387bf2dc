//! Wiegand: from pulses on two lines to what a reader or a keypad sent, and from a badge's number to the bits that a door controller
//! is sent. Pure: lines and times come in, no clock is read.
//!
//! Each pulse on D0 is a bit 0, each on D1 a bit 1, the highest first; a pause ends the frame.
//!
//! ```text
//! 26 bits: even parity of the next 12 | facility u8  | card u16 | odd parity of the 12 before
//! 34 bits: even parity of the next 16 | facility u16 | card u16 | odd parity of the 16 before
//!  4 bits: a key, 0 to 9, 10 for *, 11 for #
//!  8 bits: the same, behind its complement
//! ```
//! Refuses every other length, a parity that does not hold, and a frame in which pulses came nearer to one another than any
//! reader sends them, be it on one line or on both at once. Parity finds every single wrong bit and no more: a number is a
//! claim and no proof, and the face decides.

use threshold_record::Credential;

/// A silence that ends a frame, microseconds: readers send their bits at most 20 ms apart.
pub(crate) const PAUSE_US: u64 = 25_000;

/// Pulses nearer than this are none of a reader's, microseconds: it sends them 200 apart at least, and the time stamps of
/// interrupts shake.
const NEAREST_US: u64 = 100;

/// The most bits that are kept; a longer frame is only counted.
const MOST_BITS: u8 = 64;

/// One of the two lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Data {
    /// A bit 0.
    D0,
    /// A bit 1.
    D1,
}

/// How a keypad sends its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Burst {
    /// In 4 bits.
    Four,
    /// In 8 bits, the upper half the complement of the lower.
    Eight,
}

/// A key of a keypad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`: what was typed is forgotten.
    Clear,
    /// `#`: what was typed is the number.
    Enter,
}

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// The number of a badge.
    Card(Credential),
    /// A key was pressed.
    Key(Key),
}

/// Why a frame says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It has another number of bits than any that is read.
    Length,
    /// A parity does not hold, or a key is none.
    Parity,
    /// Pulses came too near to one another, or out of order.
    Noise,
}

/// A frame that ended.
pub(crate) type Frame = Result<Sent, Refused>;

/// The frame that comes in, at most [`MOST_BITS`] of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder {
    /// How the keypad sends its keys; `None` without one.
    keypad: Option<Burst>,
    bits: u64,
    count: u8,
    noisy: bool,
    last_us: u64,
}

impl Decoder {
    pub(crate) fn new(keypad: Option<Burst>) -> Self {
        Self { keypad, bits: 0, count: 0, noisy: false, last_us: 0 }
    }

    /// A pulse came. Gives the frame before it, if that ended with the pause between.
    pub(crate) fn pulse(&mut self, data: Data, at_us: u64) -> Option<Frame> {
        let ended = self.rest(at_us);
        if self.count > 0 {
            self.noisy |= at_us < self.last_us.saturating_add(NEAREST_US);
        }
        self.bits = (self.bits << 1) | u64::from(data == Data::D1);
        self.count = self.count.saturating_add(1);
        self.last_us = self.last_us.max(at_us);
        ended
    }

    /// Nothing more has come until now: the frame, if it ended with that.
    pub(crate) fn rest(&mut self, now_us: u64) -> Option<Frame> {
        if self.count == 0 || now_us < self.last_us.saturating_add(PAUSE_US) {
            return None;
        }
        let frame = self.frame();
        *self = Self { last_us: self.last_us, ..Self::new(self.keypad) };
        Some(frame)
    }

    /// Pulses were lost: the frame that comes in is none.
    pub(crate) fn spoil(&mut self, now_us: u64) {
        (self.noisy, self.last_us) = (true, self.last_us.max(now_us));
        self.count = self.count.max(1);
    }

    /// True while a frame comes in.
    pub(crate) fn is_open(&self) -> bool {
        self.count > 0
    }

    /// True if what comes in is longer than any frame.
    pub(crate) fn is_flooded(&self) -> bool {
        self.count > MOST_BITS
    }

    fn frame(&self) -> Frame {
        if self.noisy {
            return Err(Refused::Noise);
        }
        match (self.count, self.keypad) {
            (26, _) => {
                let [_, facility, high, low] = self.payload(12)?.to_be_bytes();
                Ok(Sent::Card(Credential::Wiegand26 {
                    facility,
                    card: u16::from_be_bytes([high, low]),
                }))
            }
            (34, _) => {
                let [f_high, f_low, high, low] = self.payload(16)?.to_be_bytes();
                Ok(Sent::Card(Credential::Wiegand34 {
                    facility: u16::from_be_bytes([f_high, f_low]),
                    card: u16::from_be_bytes([high, low]),
                }))
            }
            (4, Some(Burst::Four)) => key(self.bits),
            (8, Some(Burst::Eight)) if (self.bits >> 4) ^ 0xf == self.bits & 0xf => {
                key(self.bits & 0xf)
            }
            (8, Some(Burst::Eight)) => Err(Refused::Parity),
            _ => Err(Refused::Length),
        }
    }

    /// What stands between the two parities, each over itself and `half` bits.
    fn payload(&self, half: u32) -> Result<u32, Refused> {
        let mask = (1 << (half + 1)) - 1;
        let even = (self.bits >> (half + 1) & mask).count_ones().is_multiple_of(2);
        let odd = !(self.bits & mask).count_ones().is_multiple_of(2);
        let between = self.bits >> 1 & ((1 << (2 * half)) - 1);
        u32::try_from(between).ok().filter(|_| even && odd).ok_or(Refused::Parity)
    }
}

fn key(code: u64) -> Frame {
    match code {
        0..=9 => Ok(Sent::Key(Key::Digit(code as u8))),
        10 => Ok(Sent::Key(Key::Clear)),
        11 => Ok(Sent::Key(Key::Enter)),
        _ => Err(Refused::Parity),
    }
}

/// The bits of a badge's number, the highest first, and how many there are; `None` for a number that was typed.
pub(crate) fn encode(credential: Credential) -> Option<(u64, u8)> {
    let (half, payload) = match credential {
        Credential::Wiegand26 { facility, card } => {
            (12, u64::from(facility) << 16 | u64::from(card))
        }
        Credential::Wiegand34 { facility, card } => {
            (16, u64::from(facility) << 16 | u64::from(card))
        }
        Credential::Keypad { .. } => return None,
    };
    let ones = |bits: u64| u64::from(!bits.count_ones().is_multiple_of(2));
    let (upper, lower) = (payload >> half, payload & ((1 << half) - 1));
    let bits = ones(upper) << (2 * half + 1) | payload << 1 | (ones(lower) ^ 1);
    Some((bits, 2 * half as u8 + 2))
}

/// Which line each of so many bits is a pulse of, in the order in which they are sent.
pub(crate) fn lines_of(bits: u64, count: u8) -> impl Iterator<Item = Data> {
    (0..count).rev().map(move |at| if bits >> at & 1 == 1 { Data::D1 } else { Data::D0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64.
    struct Lots(u64);

    impl Lots {
        fn bits(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        fn below(&mut self, below: u64) -> u64 {
            self.bits() % below
        }

        fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
            values[self.below(values.len() as u64) as usize]
        }
    }

    /// Pulses of these bits, the highest first, from a time on.
    fn pulses(bits: u64, count: u8, from_us: u64, gap_us: u64) -> Vec<(Data, u64)> {
        let at_us = (0..).map(|at| from_us + at * gap_us);
        lines_of(bits, count).zip(at_us).collect()
    }

    /// What a decoder makes of pulses, and of the silence after them.
    fn decode(keypad: Option<Burst>, pulses: &[(Data, u64)]) -> Vec<Frame> {
        let mut decoder = Decoder::new(keypad);
        let frames = pulses.iter().filter_map(|&(data, at_us)| decoder.pulse(data, at_us));
        let mut frames: Vec<Frame> = frames.collect();
        frames.extend(decoder.rest(u64::MAX));
        assert!(!decoder.is_open());
        frames
    }

    fn any(lots: &mut Lots) -> Credential {
        let (facility, card) = (lots.bits() as u16, lots.bits() as u16);
        match lots.below(2) {
            0 => Credential::Wiegand26 { facility: facility as u8, card },
            _ => Credential::Wiegand34 { facility, card },
        }
    }

    #[test]
    fn badges_of_the_books_are_read() {
        // Facility 1, card 1: 12 bits of one 1 before, odd parity of one 1 after. Written out by hand.
        let bits = 1 << 25 | 1 << 17 | 1 << 1;
        let read = decode(None, &pulses(bits, 26, 7, 2_000));
        assert_eq!(read, [Ok(Sent::Card(Credential::Wiegand26 { facility: 1, card: 1 }))]);
        // Facility 0, card 0: even parity 0, odd parity 1.
        let read = decode(None, &pulses(1, 34, 7, 2_000));
        assert_eq!(read, [Ok(Sent::Card(Credential::Wiegand34 { facility: 0, card: 0 }))]);
    }

    /// Words written out by hand: parity, facility, card, parity.
    #[test]
    fn known_words_are_sent_and_read() {
        for (credential, word) in [
            (Credential::Wiegand26 { facility: 0, card: 0 }, "0 00000000 0000000000000000 1"),
            (Credential::Wiegand26 { facility: 1, card: 1 }, "1 00000001 0000000000000001 0"),
            (
                Credential::Wiegand26 { facility: 101, card: 54_321 },
                "1 01100101 1101010000110001 1",
            ),
            (
                Credential::Wiegand26 { facility: 255, card: 65_535 },
                "0 11111111 1111111111111111 1",
            ),
            (
                Credential::Wiegand34 { facility: 1_000, card: 40_000 },
                "0 0000001111101000 1001110001000000 0",
            ),
            (
                Credential::Wiegand34 { facility: 65_535, card: 1 },
                "0 1111111111111111 0000000000000001 0",
            ),
        ] {
            let sent: Vec<Data> = word
                .bytes()
                .filter(|byte| *byte != b' ')
                .map(|byte| if byte == b'1' { Data::D1 } else { Data::D0 })
                .collect();
            let (bits, count) = encode(credential).expect("a badge");
            assert_eq!(lines_of(bits, count).collect::<Vec<_>>(), sent, "{credential}");
            let timed: Vec<(Data, u64)> = sent.into_iter().zip((0..).step_by(2_000)).collect();
            assert_eq!(decode(None, &timed), [Ok(Sent::Card(credential))]);
        }
        assert_eq!(encode(Credential::Keypad { digits: 4, number: 42 }), None);
    }

    #[test]
    fn every_badge_is_read_at_any_speed_and_with_shaking_time_stamps() {
        let mut lots = Lots(1);
        for _ in 0..5_000 {
            let (first, second) = (any(&mut lots), any(&mut lots));
            let mut sent = Vec::new();
            let mut at_us = lots.below(1 << 40);
            for one in [first, second] {
                let (bits, count) = encode(one).expect("a badge");
                let gap_us = 400 + lots.below(19_000);
                let shake = |lots: &mut Lots| lots.below((gap_us / 3).min(5_000));
                let of = pulses(bits, count, at_us, gap_us);
                sent.extend(of.into_iter().map(|(data, at)| (data, at + shake(&mut lots))));
                at_us += u64::from(count) * gap_us + PAUSE_US + gap_us;
            }
            let read = decode(Some(Burst::Four), &sent);
            assert_eq!(read, [Ok(Sent::Card(first)), Ok(Sent::Card(second))]);
        }
    }

    #[test]
    fn a_single_wrong_bit_is_always_refused() {
        let mut lots = Lots(2);
        for _ in 0..2_000 {
            let (bits, count) = encode(any(&mut lots)).expect("a badge");
            for flipped in 0..count {
                let read = decode(None, &pulses(bits ^ 1 << flipped, count, 0, 1_000));
                assert_eq!(read, [Err(Refused::Parity)]);
            }
        }
    }

    #[test]
    fn a_dropped_and_a_doubled_pulse_are_refused_and_what_is_read_has_its_parity() {
        let mut lots = Lots(3);
        let (mut read_wrong, mut refused) = (0, 0);
        for _ in 0..20_000 {
            let credential = any(&mut lots);
            let (bits, count) = encode(credential).expect("a badge");
            let mut sent = pulses(bits, count, 1_000, 1_000 + lots.below(2_000));
            let changes = 1 + lots.below(3);
            for _ in 0..changes {
                let at = lots.below(sent.len() as u64) as usize;
                match lots.below(3) {
                    0 => drop(sent.remove(at)),
                    1 => sent.insert(at + 1, (sent[at].0, sent[at].1 + 150 + lots.below(800))),
                    _ => sent[at].0 = if sent[at].0 == Data::D0 { Data::D1 } else { Data::D0 },
                }
                sent.sort_by_key(|pulse| pulse.1);
            }
            for frame in decode(None, &sent) {
                match frame {
                    Err(_) => refused += 1,
                    // Two errors may make another number whose parities hold: that number is what was sent.
                    Ok(Sent::Card(read)) => {
                        let as_sent = sent
                            .iter()
                            .fold(0, |bits, pulse| bits << 1 | u64::from(pulse.0 == Data::D1));
                        assert_eq!(encode(read), Some((as_sent, sent.len() as u8)));
                        assert!(changes > 1);
                        read_wrong += u32::from(read != credential);
                    }
                    Ok(Sent::Key(key)) => panic!("{key:?} without a keypad"),
                }
            }
        }
        assert!(refused > 15_000 && read_wrong > 100, "{refused}, {read_wrong}");
    }

    #[test]
    fn both_lines_at_once_pulses_too_near_and_times_that_go_back_are_noise() {
        let (bits, count) =
            encode(Credential::Wiegand26 { facility: 12, card: 3456 }).expect("a badge");
        let clean = pulses(bits, count, 10_000, 2_000);
        for at in 1..clean.len() {
            // A pulse on the other line at once.
            let mut both = clean.clone();
            let other = if both[at].0 == Data::D0 { Data::D1 } else { Data::D0 };
            both.insert(at, (other, both[at].1));
            // A frame of the right length, of which one pulse came too soon or before the last.
            let mut near = clean.clone();
            near[at].1 = near[at - 1].1 + NEAREST_US - 1;
            let mut back = clean.clone();
            back[at].1 = back[at - 1].1 - 1;
            for sent in [both, near, back] {
                assert_eq!(decode(None, &sent), [Err(Refused::Noise)]);
            }
        }
    }

    #[test]
    fn every_other_length_is_refused_and_a_flood_takes_no_room() {
        for count in 1..=64 {
            let read = decode(None, &pulses(1, count, 0, 1_000));
            let expected = if count == 34 || count == 26 { None } else { Some(Refused::Length) };
            assert_eq!(read[0].err(), expected, "{count}");
        }
        let mut decoder = Decoder::new(None);
        for at in 0..1_000_000u64 {
            assert_eq!(decoder.pulse(Data::D1, at * 300), None);
        }
        assert!(decoder.is_flooded());
        assert_eq!(decoder.rest(u64::MAX), Some(Err(Refused::Length)));
        // What comes after it is read again.
        let (bits, count) =
            encode(Credential::Wiegand34 { facility: 1, card: 2 }).expect("a badge");
        for (data, at_us) in pulses(bits, count, 400_000_000, 1_000) {
            assert_eq!(decoder.pulse(data, at_us), None);
        }
        decoder.spoil(400_034_000);
        assert_eq!(decoder.rest(400_034_000 + PAUSE_US), Some(Err(Refused::Noise)));
    }

    #[test]
    fn keys_are_read_in_four_and_in_eight_bits_and_only_as_the_keypad_sends_them() {
        for code in 0..16u64 {
            let expected = match code {
                0..=9 => Ok(Sent::Key(Key::Digit(code as u8))),
                10 => Ok(Sent::Key(Key::Clear)),
                11 => Ok(Sent::Key(Key::Enter)),
                _ => Err(Refused::Parity),
            };
            let four = pulses(code, 4, 0, 1_000);
            assert_eq!(decode(Some(Burst::Four), &four), [expected]);
            for keypad in [None, Some(Burst::Eight)] {
                assert_eq!(decode(keypad, &four), [Err(Refused::Length)]);
            }
            let eight = (code ^ 0xf) << 4 | code;
            assert_eq!(decode(Some(Burst::Eight), &pulses(eight, 8, 0, 1_000)), [expected]);
            for flipped in 0..8 {
                let wrong = pulses(eight ^ 1 << flipped, 8, 0, 1_000);
                assert_eq!(decode(Some(Burst::Eight), &wrong), [Err(Refused::Parity)]);
            }
        }
    }

    #[test]
    fn whatever_comes_nothing_panics_and_what_is_read_was_sent() {
        let mut lots = Lots(4);
        for _ in 0..300 {
            let mut decoder =
                Decoder::new(lots.one_of(&[None, Some(Burst::Four), Some(Burst::Eight)]));
            let mut at_us = 0u64;
            for _ in 0..400 {
                at_us = at_us.saturating_add(match lots.below(20) {
                    0 => lots.below(PAUSE_US * 2),
                    1 => 0,
                    _ => 100 + lots.below(5_000),
                });
                let data = lots.one_of(&[Data::D0, Data::D1]);
                if let Some(Ok(Sent::Card(read))) = decoder.pulse(data, at_us) {
                    assert!(encode(read).is_some());
                }
            }
        }
    }
}
