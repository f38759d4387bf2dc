//! The fault line: a serial line between two ends that loses, changes, doubles, swaps, cuts and stalls, on a virtual clock.
//!
//! Owns what a byte goes through: it waits for those before it, takes ten bits of the baud rate (8N1), and arrives a latency
//! later. Everything is drawn from one seed, so that a failure can be run again; hours of line time cost seconds.
//! Terms: a *cut* ends what is under way and loses all that is written until the line is mended; a *stall* delays.

use crate::lots::Lots;
use std::collections::VecDeque;

/// What a line does to bytes.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Bits a second, ten of them a byte.
    pub baud: u64,
    /// One way, microseconds.
    pub latency_us: u64,
    /// Probability that a bit arrives changed.
    pub bit_errors: f64,
    /// Probability that one bit of a write changes.
    pub damaged: f64,
    /// Probability that a write is lost.
    pub dropped: f64,
    /// Probability that a write arrives twice.
    pub doubled: f64,
    /// Probability that the next write overtakes one.
    pub swapped: f64,
    /// Probability that a write waits.
    pub stalled: f64,
    /// How long it waits then, microseconds.
    pub stall_us: u64,
}

impl Faults {
    /// A line that carries what it is given.
    #[must_use]
    pub fn clean(baud: u64, latency_ms: u64) -> Self {
        Self {
            baud,
            latency_us: latency_ms * 1000,
            bit_errors: 0.0,
            damaged: 0.0,
            dropped: 0.0,
            doubled: 0.0,
            swapped: 0.0,
            stalled: 0.0,
            stall_us: 0,
        }
    }

    /// What the line carries in a second.
    #[must_use]
    pub fn bytes_per_s(&self) -> f64 {
        self.baud as f64 / 10.0
    }

    fn byte_ns(&self) -> u64 {
        10_000_000_000 / self.baud
    }
}

/// One direction of a line.
#[derive(Clone, Debug)]
struct Lane {
    /// When the last byte written so far has left, ns.
    free_ns: u64,
    /// Bytes under way with the time at which their first one arrives, ns.
    under_way: VecDeque<(u64, Vec<u8>)>,
    /// A write held back so that the next one overtakes it.
    held: Option<Vec<u8>>,
    /// Bits until the next one that changes.
    to_error: u64,
    carried: u64,
}

/// Both directions: from end 0 to end 1, and back.
#[derive(Clone, Debug)]
pub struct FaultLine {
    /// What it does; may be changed at any time.
    pub faults: Faults,
    now_ns: u64,
    lanes: [Lane; 2],
    lots: Lots,
    cut: bool,
    /// Bytes after which the line is cut next.
    cut_after: Option<u64>,
}

impl FaultLine {
    /// A line whose faults are drawn from a seed, at time 0.
    #[must_use]
    pub fn new(faults: Faults, seed: u64) -> Self {
        let lane =
            Lane { free_ns: 0, under_way: VecDeque::new(), held: None, to_error: 0, carried: 0 };
        let mut line = Self {
            faults,
            now_ns: 0,
            lanes: [lane.clone(), lane],
            lots: Lots(seed),
            cut: false,
            cut_after: None,
        };
        for lane in 0..2 {
            line.lanes[lane].to_error = line.gap();
        }
        line
    }

    /// Changes the probability that a bit arrives changed, from the next bit on.
    pub fn set_bit_errors(&mut self, bit_errors: f64) {
        self.faults.bit_errors = bit_errors;
        for lane in 0..2 {
            self.lanes[lane].to_error = self.gap();
        }
    }

    /// Time of the line, milliseconds.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ns / 1_000_000
    }

    /// The same in nanoseconds.
    #[must_use]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The same in seconds.
    #[must_use]
    pub fn now_s(&self) -> f64 {
        self.now_ns as f64 / 1e9
    }

    /// Bytes that both directions were given.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.lanes[0].carried + self.lanes[1].carried
    }

    /// True if an end may write without queueing more than one frame of this length.
    #[must_use]
    pub fn has_room(&self, end: usize, len: usize) -> bool {
        self.lanes[end].free_ns < self.now_ns + len as u64 * self.faults.byte_ns()
    }

    /// When an end has room again for a frame of this length.
    #[must_use]
    pub fn room_ns(&self, end: usize, len: usize) -> u64 {
        self.lanes[end].free_ns.saturating_sub(len as u64 * self.faults.byte_ns()) + 1
    }

    /// An end writes.
    pub fn write(&mut self, end: usize, bytes: &[u8]) {
        self.lanes[end].carried += bytes.len() as u64;
        let mut bytes = bytes.to_vec();
        if let Some(left) = self.cut_after {
            let kept = bytes.len().min(left as usize);
            self.cut_after = Some(left - kept as u64);
            if kept < bytes.len() {
                // The rest of this frame is the first that is lost.
                bytes.truncate(kept);
                self.send(end, bytes);
                self.cut_now();
                return;
            }
        }
        if self.cut {
            self.lose(end, bytes.len());
            return;
        }
        let faults = self.faults.clone();
        if self.chance(faults.stalled) {
            self.lanes[end].free_ns =
                self.lanes[end].free_ns.max(self.now_ns) + faults.stall_us * 1000;
        }
        if self.chance(faults.damaged) {
            let bit = self.lots.below(bytes.len() as u64 * 8) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        if self.chance(faults.swapped) && self.lanes[end].held.is_none() {
            self.lanes[end].held = Some(bytes);
            return;
        }
        let times = match () {
            () if self.chance(faults.dropped) => 0,
            () if self.chance(faults.doubled) => 2,
            () => 1,
        };
        if times == 0 {
            self.lose(end, bytes.len());
        }
        for _ in 0..times {
            self.send(end, bytes.clone());
        }
        if let Some(held) = self.lanes[end].held.take() {
            self.send(end, held);
        }
    }

    /// Lets the line be cut once so many more bytes were written to it.
    pub fn cut_after(&mut self, bytes: u64) {
        self.cut_after = Some(bytes);
    }

    /// True until it is mended.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Cuts the line: what is under way does not arrive.
    pub fn cut_now(&mut self) {
        self.cut = true;
        self.cut_after = None;
        for lane in &mut self.lanes {
            let now = self.now_ns;
            // What has arrived has arrived.
            lane.under_way.retain(|(at, _)| *at <= now);
            lane.held = None;
            lane.free_ns = now;
        }
    }

    /// Mends a cut.
    pub fn mend(&mut self) {
        self.cut = false;
    }

    /// What has arrived at an end by now.
    pub fn read(&mut self, end: usize) -> Vec<u8> {
        let byte_ns = self.faults.byte_ns();
        let lane = &mut self.lanes[1 - end];
        let mut read = Vec::new();
        while let Some((at, bytes)) = lane.under_way.front_mut() {
            let Some(passed) = self.now_ns.checked_sub(*at) else { break };
            let arrived = bytes.len().min(passed as usize / byte_ns as usize + 1);
            read.extend(bytes.drain(..arrived));
            *at += arrived as u64 * byte_ns;
            if !bytes.is_empty() {
                break;
            }
            lane.under_way.pop_front();
        }
        read
    }

    /// When the last byte of the next write under way to an end arrives, ns.
    #[must_use]
    pub fn next_ns(&self, end: usize) -> Option<u64> {
        let (at, bytes) = self.lanes[1 - end].under_way.front()?;
        Some(at + (bytes.len() as u64 - 1) * self.faults.byte_ns())
    }

    /// Lets time pass until then, at least a little.
    pub fn pass_until(&mut self, until_ns: u64) {
        self.now_ns = until_ns.max(self.now_ns + 1);
    }

    /// Bytes that leave an end and arrive nowhere.
    fn lose(&mut self, end: usize, len: usize) {
        let lane = &mut self.lanes[end];
        lane.free_ns = lane.free_ns.max(self.now_ns) + len as u64 * self.faults.byte_ns();
    }

    fn send(&mut self, end: usize, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        if self.faults.bit_errors > 0.0 {
            let bits = bytes.len() as u64 * 8;
            let mut at = self.lanes[end].to_error;
            while at < bits {
                bytes[at as usize / 8] ^= 1 << (at % 8);
                at += 1 + self.gap();
            }
            self.lanes[end].to_error = at - bits;
        }
        let (byte_ns, latency_ns) = (self.faults.byte_ns(), self.faults.latency_us * 1000);
        let lane = &mut self.lanes[end];
        let start = lane.free_ns.max(self.now_ns);
        lane.free_ns = start + bytes.len() as u64 * byte_ns;
        lane.under_way.push_back((start + byte_ns + latency_ns, bytes));
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.draw() < probability
    }

    fn draw(&mut self) -> f64 {
        (self.lots.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Sound bits before a changed one.
    fn gap(&mut self) -> u64 {
        if self.faults.bit_errors <= 0.0 {
            return u64::MAX;
        }
        ((1.0 - self.draw()).ln() / (1.0 - self.faults.bit_errors).ln()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clean_line_takes_ten_bits_a_byte_and_its_latency() {
        let mut line = FaultLine::new(Faults::clean(115_200, 8), 1);
        line.write(0, &[7; 1152]);
        line.pass_until(8_000_000);
        assert!(line.read(1).is_empty());
        line.pass_until(107_900_000);
        let early = line.read(1).len();
        assert!((1140..1152).contains(&early), "{early}");
        line.pass_until(108_100_000);
        assert_eq!(early + line.read(1).len(), 1152);
        assert!(line.read(0).is_empty());
    }

    #[test]
    fn faults_come_as_often_as_they_are_asked_for_and_the_same_each_time() {
        let run = |faults: &Faults| {
            let mut line = FaultLine::new(faults.clone(), 5);
            for i in 0..20_000u32 {
                line.write(1, &[i as u8; 100]);
            }
            line.pass_until(u64::MAX / 2);
            line.read(0)
        };
        let clean = Faults::clean(3_000_000, 0);
        let sound = run(&clean);
        assert_eq!(sound.len(), 2_000_000);
        let noisy = Faults { bit_errors: 1e-4, ..clean.clone() };
        let found = run(&noisy);
        let changed: u32 = sound.iter().zip(&found).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert!((1400..1800).contains(&changed), "{changed} of 16,000,000 bits");
        assert_eq!(found, run(&noisy));
        let len = |faults: &Faults| run(faults).len() as i64 / 100;
        assert!((len(&Faults { dropped: 0.1, ..clean.clone() }) - 18_000).abs() < 200);
        assert!((len(&Faults { doubled: 0.1, ..clean.clone() }) - 22_000).abs() < 200);
        let swapped = run(&Faults { swapped: 0.1, ..clean });
        assert!(swapped != sound && swapped.len() >= sound.len() - 100);
    }
}
