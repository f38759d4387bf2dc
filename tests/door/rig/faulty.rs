//! The fault line between the host's real session and the unit's real desk, on one virtual clock.
//!
//! Owns what lies between the two: the unit's loop as its service runs it (read, answer, one frame of a transfer while the line has
//! room), the speeds of both ends, cuts that mend by themselves, and entries that are written meanwhile. Refuses to look into a frame.

use crate::keys::{Bench, key};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use threshold_host::session::port::Transport;
use threshold_host::session::wait::Clock;
use threshold_host::session::{Session, SessionError};
use threshold_record::{EntryKind, LogEntry, PersonId};
use threshold_tests::fault_line::{FaultLine, Faults};
use threshold_tests::lots::Lots;
use threshold_wire::speed::BASE;

/// The longest frame that an end queues behind another, as the driver of a serial port does.
const ROOM_BYTES: usize = 600;

/// One way, ms.
const LATENCY_MS: u64 = 1;

/// A unit on the bench, and the line to it.
#[derive(Clone)]
pub(crate) struct Wire(Rc<RefCell<Between>>);

struct Between {
    bench: Bench,
    line: FaultLine,
    /// Frames of the unit that wait for room.
    out: VecDeque<Vec<u8>>,
    /// The desk has nothing to send before.
    due_ms: u64,
    arrived: VecDeque<u8>,
    /// What host and unit run at.
    bauds: [u32; 2],
    lots: Lots,
    /// Cuts that are left, and the most bytes before each.
    cuts: (u32, u64),
    mended_at_ms: Option<u64>,
    /// Entries that are still to be written, the last one's number, and when the next one is.
    entries: (u32, u32, u64),
}

impl Wire {
    /// A line that does nothing wrong yet, at the first speed.
    pub(crate) fn new(bench: &Bench, seed: u64) -> Self {
        let faults = Faults::clean(BASE.into(), LATENCY_MS);
        Self(Rc::new(RefCell::new(Between {
            bench: bench.clone(),
            line: FaultLine::new(faults, seed),
            out: VecDeque::new(),
            due_ms: 0,
            arrived: VecDeque::new(),
            bauds: [BASE; 2],
            lots: Lots(seed),
            cuts: (0, 0),
            mended_at_ms: None,
            entries: (0, 0, 0),
        })))
    }

    /// A host of the administrator with that key, whose port was opened just now.
    pub(crate) fn open(&self, byte: u8) -> Result<Session<HostEnd>, SessionError> {
        let unit_key = {
            let mut between = self.0.borrow_mut();
            between.bauds[0] = BASE;
            between.arrived.clear();
            between.bench.unit_key()
        };
        let mut session = Session::greet(HostEnd(self.clone()), "t")?;
        session.secure(&key(byte), &unit_key)?;
        Ok(session)
    }

    pub(crate) fn now_s(&self) -> f64 {
        self.0.borrow().line.now_s()
    }

    /// Bytes that both ends have written.
    pub(crate) fn carried(&self) -> u64 {
        self.0.borrow().line.carried()
    }

    /// Changes what the line does to bytes from now on.
    pub(crate) fn fault(&self, bit_errors: f64, damaged: f64) {
        let mut between = self.0.borrow_mut();
        between.line.faults.damaged = damaged;
        between.line.set_bit_errors(bit_errors);
    }

    /// Cuts the line so often, each time within so many bytes of the last; each cut is mended within three seconds.
    pub(crate) fn cut(&self, times: u32, most_bytes: u64) {
        self.0.borrow_mut().cuts = (times, most_bytes);
        self.0.borrow_mut().arm();
    }

    pub(crate) fn cuts_left(&self) -> u32 {
        self.0.borrow().cuts.0
    }

    /// Lets the unit write so many entries, two each second, numbered from behind `last` as their people.
    pub(crate) fn write_meanwhile(&self, count: u32, last: u32) {
        let mut between = self.0.borrow_mut();
        between.entries = (count, last, between.line.now_ms());
    }

    pub(crate) fn entries_left(&self) -> u32 {
        self.0.borrow().entries.0
    }
}

impl Between {
    /// The line is cut after some bytes, if a cut is left.
    fn arm(&mut self) {
        if self.cuts.0 > 0 {
            let bytes = self.lots.below(self.cuts.1);
            self.line.cut_after(bytes);
        }
    }

    /// An end writes at its own speed; an end of another one reads noise.
    fn write(&mut self, end: usize, bytes: &[u8]) {
        self.at_speed_of(end);
        let garbled =
            |bytes: &[u8]| bytes.iter().map(|byte| (byte ^ 0xa5) | 1).collect::<Vec<u8>>();
        match self.bauds[0] == self.bauds[1] {
            true => self.line.write(end, bytes),
            false => self.line.write(end, &garbled(bytes)),
        }
        if self.line.is_cut() && self.mended_at_ms.is_none() {
            self.cuts.0 = self.cuts.0.saturating_sub(1);
            self.mended_at_ms = Some(self.line.now_ms() + self.lots.below(3_000));
        }
    }

    fn at_speed_of(&mut self, end: usize) {
        self.line.faults.baud = self.bauds[end].into();
    }

    fn has_room(&mut self, end: usize) -> bool {
        self.at_speed_of(end);
        self.line.has_room(end, ROOM_BYTES)
    }

    /// What happens now at both ends, as the unit's service does it.
    fn turn(&mut self) {
        let now_ms = self.line.now_ms();
        if self.mended_at_ms.is_some_and(|at| at <= now_ms) {
            self.mended_at_ms = None;
            self.line.mend();
            self.arm();
        }
        while self.entries.0 > 0 && self.entries.2 <= now_ms {
            self.entries = (self.entries.0 - 1, self.entries.1 + 1, self.entries.2 + 500);
            numbered(&self.bench, self.entries.1);
        }
        let bytes = self.line.read(1);
        if !bytes.is_empty() {
            let out = &mut self.out;
            let mut rig = self.bench.rig.borrow_mut();
            rig.desk.take(&bytes, |frame| out.push_back(frame.as_bytes().to_vec()));
            drop(rig);
            self.due_ms = now_ms;
        }
        while self.has_room(1) {
            if self.out.is_empty() && self.due_ms <= now_ms {
                let out = &mut self.out;
                let mut rig = self.bench.rig.borrow_mut();
                let due = rig.desk.poll(|frame| out.push_back(frame.as_bytes().to_vec()));
                self.due_ms = now_ms + due.unwrap_or(250);
            }
            let Some(frame) = self.out.pop_front() else { break };
            self.write(1, &frame);
        }
        let is_sent = self.out.is_empty() && self.line.has_room(1, 1);
        let due = is_sent.then(|| self.bench.rig.borrow_mut().desk.speed_due()).flatten();
        self.bauds[1] = due.unwrap_or(self.bauds[1]);
        let bytes = self.line.read(0);
        self.arrived.extend(bytes);
    }

    /// Lets time pass until something happens, or until then.
    fn pass(&mut self, until_ns: u64) {
        let mut next_ns = until_ns.min(self.due_ms.saturating_mul(1_000_000));
        if !self.has_room(1) {
            next_ns = until_ns.min(self.line.room_ns(1, ROOM_BYTES));
        }
        for end in 0..2 {
            next_ns = next_ns.min(self.line.next_ns(end).unwrap_or(u64::MAX));
        }
        let before_ms = self.line.now_ms();
        self.line.pass_until(next_ns);
        self.bench.rig.borrow().clock.advance(self.line.now_ms() - before_ms);
    }
}

/// Writes an entry whose person is its number.
pub(crate) fn numbered(bench: &Bench, number: u32) {
    let entry = LogEntry { person: PersonId(number), ..LogEntry::of(EntryKind::LogRead) };
    assert!(bench.rig.borrow().shared.lock().write(entry).is_some());
}

impl Clock for Wire {
    fn now(&self) -> Duration {
        Duration::from_nanos(self.0.borrow().line.now_ns())
    }

    fn sleep(&mut self, time: Duration) {
        let until_ns = (self.now() + time).as_nanos() as u64;
        let mut between = self.0.borrow_mut();
        while between.line.now_ns() < until_ns {
            between.turn();
            between.pass(until_ns);
        }
    }
}

/// The host's end of the line.
pub(crate) struct HostEnd(Wire);

impl Transport for HostEnd {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut between = self.0.0.borrow_mut();
        while !between.has_room(0) {
            between.turn();
            between.at_speed_of(0);
            let room_ns = between.line.room_ns(0, ROOM_BYTES);
            between.pass(room_ns);
        }
        between.write(0, bytes);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let until_ns = (self.now() + patience).as_nanos() as u64;
        let mut between = self.0.0.borrow_mut();
        loop {
            between.turn();
            if !between.arrived.is_empty() || between.line.now_ns() >= until_ns {
                let len = into.len().min(between.arrived.len());
                for (into, byte) in into.iter_mut().zip(between.arrived.drain(..len)) {
                    *into = byte;
                }
                return Ok(len);
            }
            between.pass(until_ns);
        }
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        let mut between = self.0.0.borrow_mut();
        between.bauds[0] = baud;
        true
    }

    fn drain(&mut self) {
        let mut between = self.0.0.borrow_mut();
        between.line.read(0);
        between.arrived.clear();
    }

    fn now(&self) -> Duration {
        Clock::now(&self.0)
    }

    fn name(&self) -> &str {
        "fault line"
    }
}
