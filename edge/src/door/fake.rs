//! A chip for tests that does what it is told, and lies where it is told to.

use super::lines::{Chip, Edge, Inputs, LineFault, Output};
use super::word::MOST_APART;
use crate::config::LineConfig;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// What happened to the lines, and how they are to fail.
#[derive(Debug, Default)]
pub(super) struct Pins {
    /// What each output is.
    pub(super) levels: BTreeMap<&'static str, bool>,
    /// Every level that an output was driven to, in order, and when.
    pub(super) driven: Vec<(&'static str, bool, Instant)>,
    /// What each input is, by its line.
    pub(super) inputs: BTreeMap<u32, bool>,
    edges: VecDeque<Edge>,
    /// The line of this function is in use by somebody else.
    pub(super) in_use: Option<&'static str>,
    /// The chip has vanished.
    pub(super) gone: bool,
    /// The relay reads back this, whatever it was driven to.
    pub(super) stuck: Option<bool>,
    /// Driving the relay takes until this is over.
    pub(super) hangs: bool,
    /// Driving the relay panics.
    pub(super) panics: bool,
    /// Lighting the green LED panics.
    pub(super) lamp_panics: bool,
    /// After so many levels, driving one takes longer than a word's pause.
    pub(super) stalls_at: Option<usize>,
    /// The time, where a test plays it.
    pub(super) now: Option<Instant>,
}

impl Pins {
    /// True once every edge was taken.
    pub(super) fn is_read(&self) -> bool {
        self.edges.is_empty()
    }
}

/// The chip; clones share its pins.
#[derive(Clone, Default)]
pub(super) struct FakeChip(Arc<(Mutex<Pins>, Condvar)>);

impl FakeChip {
    pub(super) fn pins(&self) -> MutexGuard<'_, Pins> {
        self.0.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Changes the pins, and tells whoever waits for them.
    pub(super) fn change(&self, change: impl FnOnce(&mut Pins)) {
        change(&mut self.pins());
        self.0.1.notify_all();
    }

    /// An input changes.
    pub(super) fn input(&self, line: u32, active: bool) {
        self.change(|pins| {
            pins.inputs.insert(line, active);
            pins.edges.push_back(Edge { line, active, age: Duration::ZERO });
        });
    }

    /// Waits until the pins are so; false if they are not within ten seconds.
    pub(super) fn wait(&self, mut so: impl FnMut(&Pins) -> bool) -> bool {
        let (pins, changed) = &*self.0;
        let pins = pins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let patience = Duration::from_secs(10);
        changed
            .wait_timeout_while(pins, patience, |pins| !so(pins))
            .is_ok_and(|(_, out)| !out.timed_out())
    }

    pub(super) fn is_active(&self, key: &str) -> bool {
        self.pins().levels.get(key).copied().unwrap_or(false)
    }
}

fn vanished(key: &str) -> LineFault {
    LineFault(format!("{key}: the chip vanished"))
}

struct FakeOutput(FakeChip, &'static str);

impl Output for FakeOutput {
    fn set(&self, active: bool) -> Result<(), LineFault> {
        let (pins, changed) = &*self.0.0;
        let mut pins = pins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if self.1 == "granted_led" && active && pins.lamp_panics {
            drop(pins);
            panic!("the LED's driver panics, as it was told");
        }
        if self.1 == "relay" {
            if active && pins.panics {
                drop(pins);
                panic!("the driver panics, as it was told");
            }
            while active && pins.hangs {
                pins = changed.wait(pins).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
        }
        if pins.gone {
            return Err(vanished(self.1));
        }
        pins.levels.insert(self.1, active);
        if pins.stalls_at == Some(pins.driven.len()) {
            pins.now = pins.now.map(|now| now + MOST_APART);
        }
        let now = pins.now.unwrap_or_else(Instant::now);
        pins.driven.push((self.1, active, now));
        changed.notify_all();
        Ok(())
    }

    fn get(&self) -> Result<bool, LineFault> {
        let pins = self.0.pins();
        match pins.stuck {
            _ if pins.gone => Err(vanished(self.1)),
            Some(stuck) if self.1 == "relay" => Ok(stuck),
            _ => Ok(pins.levels.get(self.1).copied().unwrap_or(false)),
        }
    }
}

struct FakeInputs(FakeChip, Vec<u32>);

impl Inputs for FakeInputs {
    fn levels(&self) -> Result<Vec<(u32, bool)>, LineFault> {
        let pins = self.0.pins();
        let level = |&line| (line, pins.inputs.get(&line).copied().unwrap_or(false));
        if pins.gone { Err(vanished("inputs")) } else { Ok(self.1.iter().map(level).collect()) }
    }

    fn next(&mut self, patience: Duration) -> Result<Option<Edge>, LineFault> {
        let (pins, changed) = &*self.0.0;
        let pins = pins.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let idle = |pins: &mut Pins| pins.edges.is_empty() && !pins.gone;
        let waited = changed.wait_timeout_while(pins, patience, idle);
        let mut pins = waited.unwrap_or_else(std::sync::PoisonError::into_inner).0;
        if pins.gone {
            return Err(vanished("inputs"));
        }
        let edge = pins.edges.pop_front();
        changed.notify_all();
        Ok(edge)
    }
}

impl Chip for FakeChip {
    fn output(&self, key: &'static str, _: LineConfig) -> Result<Box<dyn Output>, LineFault> {
        if self.pins().in_use == Some(key) {
            return Err(LineFault(format!("{key}: its line is in use")));
        }
        let line = FakeOutput(self.clone(), key);
        line.set(false)?;
        Ok(Box::new(line))
    }

    fn inputs(&self, lines: &[(&'static str, LineConfig)]) -> Result<Box<dyn Inputs>, LineFault> {
        if let Some((key, _)) = lines.iter().find(|(key, _)| self.pins().in_use == Some(key)) {
            return Err(LineFault(format!("{key}: its line is in use")));
        }
        Ok(Box::new(FakeInputs(self.clone(), lines.iter().map(|(_, line)| line.line).collect())))
    }
}
