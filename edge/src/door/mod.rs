//! The door as hardware: lines of a GPIO chip that the unit moves and feels.
//!
//! Owns the order of a start: the relay is driven inactive before anything else of the unit is looked at. Refuses to run
//! on as if nothing were: a line that is configured and cannot be had is a fault of the lock, the door stays locked, and the unit says why.
//! Free egress never depends on the unit (safety rule 7): request-to-exit is wired past the relay, and the input only
//! masks an alarm. Wiegand output is not built.

mod bounce;
#[cfg(test)]
mod fake;
mod gpio;
mod lines;
mod outputs;
mod pattern;
mod pulse;

use crate::config::DoorConfig;
use crate::lock::LogOnlyLock;
use crate::notices::Notices;
use crate::state::Shared;
use crate::unit::{Clock, Indicator, Lock, NoIndicator};
use gpio::GpioChip;
use lines::{Chip, LineFault};
use outputs::{Jammed, Lamps, Orders, Outputs, Relay};
use std::sync::Arc;
use std::thread::JoinHandle;
use threshold_record::Cause;

/// The door's lines, taken from the chip: every output is inactive from then on.
pub struct Lines {
    config: DoorConfig,
    taken: Option<Result<Taken, LineFault>>,
}

struct Taken {
    outputs: Outputs,
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
    threads: Vec<JoinHandle<()>>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(orders) = &self.orders {
            orders.stop();
        }
        for thread in self.threads.drain(..) {
            // A thread that panicked has dropped its lines.
            let _ = thread.join();
        }
    }
}

impl Lines {
    /// Takes the lines that are configured. What cannot be had is told by [`Lines::open`].
    #[must_use]
    pub fn take(config: &DoorConfig) -> Self {
        let chip = || GpioChip::open(&config.chip);
        let any = config.lines().next().is_some();
        let taken = any.then(|| chip().and_then(|chip| Taken::from(&chip, config)));
        Self { config: config.clone(), taken }
    }

    /// Starts what drives them; a line that could not be had is a fault of the lock.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn open(
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
        let Taken { outputs } = taken;
        let orders = Orders::new(self.config.relay_pulse_ms, Arc::clone(clock));
        let lock: Box<dyn Lock> = match &outputs.relay {
            Some(_) => Box::new(Relay(Arc::clone(&orders))),
            None => Box::new(LogOnlyLock::new(notices.clone())),
        };
        let driven = Arc::clone(&orders);
        let driver = std::thread::Builder::new()
            .name("door".to_owned())
            .spawn(move || outputs::drive(&outputs, &driven))?;
        let indicator = Box::new(Lamps(Arc::clone(&orders)));
        let end = End { orders: Some(orders), threads: vec![driver] };
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
        Ok(Self { outputs })
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
