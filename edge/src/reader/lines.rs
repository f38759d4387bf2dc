//! What the reader asks of a GPIO chip: pulses on two lines, each with the time at which it began.
//!
//! Owns the trait and its body over the kernel's character device; the tests have one that lies. Refuses to guess a time: it
//! is the kernel's, taken in the interrupt. Refuses a chip without interrupts, since nobody looks often enough for 50 us.

use crate::config::ReaderConfig;
use crate::door::gpio::{CONSUMER, GpioChip};
use crate::door::lines::LineFault;
use crate::wiegand::Data;
use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EventClock};
use std::time::Duration;

/// Edges that the kernel keeps for us: some frames. What comes beyond is lost, and that shows.
const KEPT_EDGES: u32 = 256;

/// A pulse, by where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) data: Data,
    /// When it began, microseconds of a clock that never goes back.
    pub(super) at_us: u64,
    /// Others were lost before it.
    pub(super) after_loss: bool,
}

/// The lines of a reader.
pub(super) trait Pulses: Send {
    /// The next pulse, waited for no longer than `patience`.
    ///
    /// # Errors
    /// [`LineFault`].
    fn next(&mut self, patience: Duration) -> Result<Option<Pulse>, LineFault>;

    /// The time now, on the clock of the pulses.
    fn now_us(&self) -> u64;
}

/// Lines of a chip of the kernel's.
pub(super) struct GpioPulses {
    request: Request,
    d0: u32,
    /// The number of the last edge; the kernel counts those that it dropped too.
    last: u32,
}

impl GpioPulses {
    /// The lines that are configured; `None` if none are.
    ///
    /// # Errors
    /// [`LineFault`] if they cannot be had.
    pub(super) fn open(config: &ReaderConfig) -> Option<Result<Self, LineFault>> {
        let (d0, d1) = config.lines()?;
        Some(GpioChip::open(&config.chip, "reader").and_then(|chip| {
            let mut request = chip.config();
            for line in [d0, d1] {
                request.with_line(line.line).as_input();
                if line.active_low {
                    request.as_active_low();
                }
            }
            let plain = request.clone();
            for line in [d0, d1] {
                // Rising is to active, whatever level that is. The other edge is not asked for: the kernel tells edges apart
                // by a look at the level, for which a pulse may be over.
                request
                    .with_line(line.line)
                    .with_edge_detection(EdgeDetection::RisingEdge)
                    .with_event_clock(EventClock::Monotonic);
            }
            let taken = Request::from_config(request)
                .with_consumer(CONSUMER)
                .with_kernel_event_buffer_size(KEPT_EDGES)
                .request();
            match taken {
                Ok(request) => Ok(Self { request, d0: d0.line, last: 0 }),
                // The same lines without edges: what is against them is told by that, or it is the edges.
                Err(error) => match Request::from_config(plain).with_consumer(CONSUMER).request() {
                    Ok(_) => Err(LineFault(format!(
                        "lines {} and {} of {} tell no edges ({error}); wire the reader to a chip with interrupts",
                        d0.line,
                        d1.line,
                        config.chip.display()
                    ))),
                    Err(error) => {
                        let told = [("d0", d0), ("d1", d1)].map(|(key, line)| chip.said(key, line.line, &error));
                        // The line that is at fault has better words than the other.
                        let [first, second] = told;
                        let is_plain = first.0.contains(&error.to_string());
                        Err(if is_plain { second } else { first })
                    }
                },
            }
        }))
    }
}

impl Pulses for GpioPulses {
    fn next(&mut self, patience: Duration) -> Result<Option<Pulse>, LineFault> {
        let failed = |error| {
            LineFault(format!(
                "its lines fail ({error}); check that the GPIO chip is there, and start the unit again"
            ))
        };
        if !self.request.wait_edge_event(patience).map_err(failed)? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(failed)?;
        let after_loss = event.seqno != self.last.wrapping_add(1);
        self.last = event.seqno;
        let data = if event.offset == self.d0 { Data::D0 } else { Data::D1 };
        Ok(Some(Pulse { data, at_us: event.timestamp_ns / 1_000, after_loss }))
    }

    fn now_us(&self) -> u64 {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::try_from(now).map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LineConfig;

    #[test]
    fn a_chip_that_cannot_be_used_is_named_with_what_helps() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = |line| Some(LineConfig { line, active_low: true });
        let config = |name: &str| ReaderConfig {
            chip: folder.path().join(name),
            d0: line(3),
            d1: line(4),
            ..ReaderConfig::default()
        };
        assert!(GpioPulses::open(&ReaderConfig::default()).is_none());
        let said = |name: &str| match GpioPulses::open(&config(name)) {
            Some(Err(fault)) => fault.0,
            _ => panic!("no such chip"),
        };
        assert!(said("gpiochip9").contains("chip in [reader] names one"), "{}", said("gpiochip9"));
        // A file is no chip.
        std::fs::write(folder.path().join("gpiochip0"), "").expect("a file");
        let told = said("gpiochip0");
        assert!(told.contains("line 3 of ") || told.contains("line 4 of "), "{told}");
    }
}
