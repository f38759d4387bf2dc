//! The capture thread: opens the device, takes every picture that it gives, and tries again after a fault.
//!
//! Owns the course of a camera that is stuck, lies, is unplugged and plugged in again. A thread of its own, because a
//! driver may hold any call for seconds, and because the newest picture is only had by taking all of them: a driver that
//! nobody asks keeps its oldest.
//! The device stands behind [`Driver`], so that tests play one.

use super::layout::{Damage, Layout};
use super::mailbox::{Mailbox, Raw, STUCK};
use super::stamp;
use crate::unit::{CameraFault, Clock};
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A device that may be opened again and again.
pub(super) trait Driver: Send {
    /// Its name, for whoever has to find it.
    fn name(&self) -> &str;

    /// Opens it, agrees on a format and starts it. It is closed when the stream is dropped.
    ///
    /// # Errors
    /// In words, with a remedy.
    fn open(&mut self) -> Result<Box<dyn Stream>, CameraFault>;
}

/// A device that gives pictures.
pub(super) trait Stream {
    /// What was agreed.
    fn layout(&self) -> Layout;

    /// The next buffer, waited for about as long as `patience`; `None` if there is none.
    ///
    /// # Errors
    /// From the system; the stream is of no use any more.
    fn next(&mut self, patience: Duration) -> std::io::Result<Option<Buffer<'_>>>;
}

/// One buffer of a device, as the device describes it.
pub(super) struct Buffer<'a> {
    /// All of it.
    pub(super) bytes: &'a [u8],
    /// How many of these the device says it used.
    pub(super) used: usize,
    /// The device says that what is in it is damaged.
    pub(super) damaged: bool,
    /// The device's count.
    pub(super) sequence: u32,
    /// On the kernel's monotonic clock.
    pub(super) stamped: Option<Duration>,
}

/// How long the thread waits for a picture before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Rests between two tries: short at first, for a plug that was pulled and put back, and then long enough to cost nothing.
const RESTS_MS: [u64; 5] = [250, 500, 1_000, 2_000, 4_000];

/// Damaged buffers in a row that are a fault. One now and then is a hiccup of a bus; a device that lies about its sizes
/// does so every time.
pub(super) const DAMAGED_IN_A_ROW: u32 = 5;

/// A camera that gave pictures for so long is one that works.
const LIVED: Duration = Duration::from_secs(10);

/// Runs until the camera is no longer wanted.
pub(super) fn run(mut driver: impl Driver, mailbox: &Mailbox, clock: &Arc<dyn Clock>) {
    let mut pump = Pump { mailbox, clock, own: Raw::default(), last_ms: 0, sequence: 0 };
    let mut rests = Rests::default();
    while !mailbox.stopped() {
        mailbox.tried();
        let (before, begun) = (pump.sequence, Instant::now());
        // The crate below takes what a driver says for granted here and there, and panics if that is impossible.
        let ended = catch_unwind(AssertUnwindSafe(|| pump.stream(&mut driver)));
        let ended = ended.unwrap_or_else(|_| {
            let name = driver.name();
            Err(CameraFault(format!(
                "{name} says what no camera can: take another one, or another driver"
            )))
        });
        let lived = if pump.sequence > before { begun.elapsed() } else { Duration::ZERO };
        let rest = rests.after(lived);
        if let Err(fault) = ended {
            mailbox.fail(fault);
            mailbox.rest(rest);
        }
    }
}

/// How long the next try is waited for.
#[derive(Debug, Default)]
struct Rests {
    /// Tries since the camera last worked.
    tries: usize,
}

impl Rests {
    /// The rest after a stream that gave pictures for so long. One that did for a while is tried again at once, and then as patiently
    /// as before. A plug that is loose, or that somebody plays with, writes few entries into the log that way.
    fn after(&mut self, lived: Duration) -> Duration {
        self.tries = if lived >= LIVED { 1 } else { self.tries + 1 };
        let rest_ms = RESTS_MS.get(self.tries - 1).or(RESTS_MS.last());
        Duration::from_millis(rest_ms.copied().unwrap_or_default())
    }
}

struct Pump<'a> {
    mailbox: &'a Mailbox,
    clock: &'a Arc<dyn Clock>,
    /// The buffer that is filled next.
    own: Raw,
    last_ms: u64,
    sequence: u64,
}

impl Pump<'_> {
    /// Opens the device and takes its pictures until it is no longer wanted, or to be opened again.
    fn stream(&mut self, driver: &mut impl Driver) -> Result<(), CameraFault> {
        let mut stream = driver.open()?;
        let layout = stream.layout();
        let name = driver.name();
        let mut since = Instant::now();
        let mut in_a_row = 0;
        let mut expected = None;
        while !self.mailbox.stopped() && !self.mailbox.restarting() {
            let taken = stream.next(PATIENCE).map_err(|error| match error.kind() {
                ErrorKind::TimedOut => self.mailbox.stuck(),
                _ => lost(name, &error),
            })?;
            let Some(buffer) = taken else {
                if since.elapsed() > STUCK {
                    return Err(self.mailbox.stuck());
                }
                continue;
            };
            // A count that goes back is one that began anew.
            let gap = expected.map_or(0, |expected| buffer.sequence.wrapping_sub(expected));
            let gap = if gap > u32::MAX / 2 { 0 } else { gap };
            expected = Some(buffer.sequence.wrapping_add(1));
            let payload = match buffer.damaged {
                true => Err(Damage("sent a picture that it calls damaged itself".to_owned())),
                false => layout.payload(buffer.bytes, buffer.used),
            };
            match payload {
                Ok(payload) => {
                    self.mailbox.lost(u64::from(gap), 0);
                    self.own.bytes.clear();
                    self.own.bytes.extend_from_slice(payload);
                    self.post(layout, buffer.stamped);
                    since = Instant::now();
                    in_a_row = 0;
                }
                Err(Damage(words)) => {
                    self.mailbox.lost(u64::from(gap), 1);
                    in_a_row += 1;
                    if in_a_row >= DAMAGED_IN_A_ROW {
                        return Err(CameraFault(format!(
                            "{name} {words}, {in_a_row} times in a row: plug it in directly, or name another format in [camera]"
                        )));
                    }
                }
            }
        }
        Ok(())
    }

    fn post(&mut self, layout: Layout, stamped: Option<Duration>) {
        let at_ms =
            stamp::captured_at_ms(self.clock.monotonic_ms(), monotonic(), stamped, self.last_ms);
        (self.last_ms, self.sequence) = (at_ms, self.sequence + 1);
        let mut picture = std::mem::take(&mut self.own);
        picture.layout = Some(layout);
        (picture.sequence, picture.captured_at_ms) = (self.sequence, at_ms);
        self.own = self.mailbox.post(picture);
    }
}

/// The fault of a device that stopped answering.
fn lost(name: &str, error: &std::io::Error) -> CameraFault {
    CameraFault(format!("{name} stopped ({error}): check its plug; it is tried again"))
}

/// The kernel's monotonic clock, which drivers stamp with.
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    // Neither is negative on that clock.
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plug_that_is_loose_is_tried_ever_more_patiently_and_a_camera_that_worked_at_once() {
        let mut rests = Rests::default();
        let short = LIVED - Duration::from_millis(1);
        let loose: Vec<u128> = (0..7).map(|_| rests.after(short).as_millis()).collect();
        assert_eq!(loose, [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        assert_eq!(rests.after(LIVED).as_millis(), 250);
        assert_eq!(rests.after(Duration::ZERO).as_millis(), 500);
        assert_eq!(rests.after(Duration::from_secs(3_600)).as_millis(), 250);
    }
}
