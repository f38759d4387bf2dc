//! A display at the door: one line of text for each sign.
//!
//! Owns the thread between the loop and a device that takes text. What the device does changes nothing for the door: the loop never
//! waits for it, and one that is not there, is pulled out or takes no bytes is told and tried again.
//! Speaks what a terminal does: `ESC [ 2 J` clears, `ESC [ H` goes to the first column. The kernel's character displays
//! (`drivers/auxdisplay/charlcd.c`: `/dev/lcd`) know both, and so do serial displays that speak ANSI.
//! Refuses to keep a queue: a display that comes late shows what holds then.

mod words;

use crate::config::DisplayConfig;
use crate::notices::Notices;
use crate::unit::{Indicator, Sign};
use rustix::fs::OFlags;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a display that failed is left alone; so often at most it is told of.
const RETRY: Duration = Duration::from_secs(10);

/// How long a serial line may take no bytes: the longest text at 1,200 baud is on its way for 0.2 s.
const WRITE_PATIENCE: Duration = Duration::from_millis(500);

/// Clears the display and goes to its first column.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// A display for the loop, and what ends its thread.
pub struct Opened {
    /// What shows signs; `None` without a display.
    pub indicator: Option<Box<dyn Indicator>>,
    /// Ends the thread when it is dropped.
    pub end: End,
}

/// Ends the display's thread when it is dropped.
#[derive(Debug, Default)]
pub struct End(Option<(Arc<Slot>, JoinHandle<()>)>);

impl Drop for End {
    fn drop(&mut self) {
        if let Some((slot, thread)) = self.0.take() {
            slot.asked().stop = true;
            slot.changed.notify_all();
            let _ = thread.join();
        }
    }
}

/// Starts what shows signs on the display that is configured, if one is.
///
/// # Errors
/// If the system gives no thread.
pub fn open(config: &DisplayConfig, notices: &Notices) -> io::Result<Opened> {
    let Some(device) = config.device.clone() else {
        return Ok(Opened { indicator: None, end: End::default() });
    };
    let slot = Arc::new(Slot::default());
    let (baud, notices, of_thread) = (config.baud, notices.clone(), Arc::clone(&slot));
    let thread = std::thread::Builder::new()
        .name("display".to_owned())
        .spawn(move || drive(&of_thread, &device, baud, &notices))?;
    let indicator = Box::new(Display(Arc::clone(&slot)));
    Ok(Opened { indicator: Some(indicator), end: End(Some((slot, thread))) })
}

/// What is to be shown.
#[derive(Debug, Default)]
struct Slot {
    asked: Mutex<Asked>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Asked {
    words: Option<&'static str>,
    stop: bool,
}

impl Slot {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The words that are to stand there other than `shown`, once it may be tried; `None` once the thread is to end.
    fn next(&self, shown: Option<&str>, not_before: Option<Instant>) -> Option<&'static str> {
        let mut asked = self.asked();
        loop {
            if asked.stop {
                return None;
            }
            let left = not_before.map(|at| at.saturating_duration_since(Instant::now()));
            let left = left.filter(|left| !left.is_zero());
            let wait = match (asked.words.filter(|words| Some(*words) != shown), left) {
                (Some(words), None) => return Some(words),
                (Some(_), Some(left)) => left,
                (None, _) => RETRY,
            };
            let woken = self.changed.wait_timeout(asked, wait);
            asked = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

struct Display(Arc<Slot>);

impl Indicator for Display {
    fn show(&mut self, sign: Sign) {
        self.0.asked().words = Some(words::words(sign));
        self.0.changed.notify_all();
    }
}

/// Writes what is to stand there until it is told to stop; on a thread of its own.
fn drive(slot: &Slot, device: &Path, baud: Option<u32>, notices: &Notices) {
    let name = device.display();
    let mut opened: Option<Box<dyn Write>> = None;
    let (mut shown, mut not_before, mut failed) = (None, None, false);
    while let Some(words) = slot.next(shown, not_before) {
        let written = (|| {
            let display = match &mut opened {
                Some(display) => display,
                none => none.insert(open_device(device, baud)?),
            };
            display.write_all(format!("{CLEAR}{words}").as_bytes())?;
            display.flush()
        })();
        match written {
            Ok(()) => {
                if failed {
                    notices.tell(&format!("display: {name} shows what it is told again"));
                }
                (shown, not_before, failed) = (Some(words), None, false);
            }
            Err(error) => {
                if !failed {
                    notices.tell(&format!(
                        "display: {name} does not show what it is told ({error}); check its cable and [display] in the \
                         configuration. The door works without it"
                    ));
                }
                (opened, shown, failed) = (None, None, true);
                not_before = Some(Instant::now() + RETRY);
            }
        }
    }
    if let Some(mut display) = opened {
        // A unit that is not there invites nobody.
        let _ = display.write_all(CLEAR.as_bytes());
    }
}

/// Opens the device so that no write waits for long.
fn open_device(device: &Path, baud: Option<u32>) -> io::Result<Box<dyn Write>> {
    if let Some(baud) = baud {
        let device = device.to_str().ok_or(ErrorKind::InvalidFilename)?;
        let port = serialport::new(device, baud).timeout(WRITE_PATIENCE).open_native()?;
        return Ok(Box::new(port));
    }
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    Ok(Box::new(OpenOptions::new().write(true).custom_flags(flags).open(device)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serialport::{SerialPort as _, TTYPort};
    use std::io::Read;
    use threshold_record::{Cause, Reason};

    fn notices() -> Notices {
        Notices::to(Box::new(io::sink()))
    }

    /// What arrives at a display's end until those words stand there; panics after five seconds.
    fn until(display: &mut impl Read, words: &str) -> String {
        let (mut got, mut buffer) = (Vec::new(), [0; 64]);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            if let Ok(len) = display.read(&mut buffer) {
                got.extend_from_slice(&buffer[..len]);
            }
            if String::from_utf8_lossy(&got).ends_with(words) {
                return String::from_utf8_lossy(&got).into_owned();
            }
        }
        panic!("{words} does not come: {:?}", String::from_utf8_lossy(&got));
    }

    #[test]
    fn a_terminal_and_a_serial_line_show_each_sign_and_are_cleared_in_the_end() {
        for baud in [None, Some(9_600)] {
            let (mut display, line) = TTYPort::pair().expect("a pseudo-terminal");
            let device = line.name().expect("a name").into();
            let opened = open(&DisplayConfig { device: Some(device), baud }, &notices());
            let Opened { indicator, end } = opened.expect("a thread");
            let mut indicator = indicator.expect("a display");
            for (sign, words) in [
                (Sign::Starting, "Starting"),
                (Sign::Refused(Reason::Quality, Cause::TooFar), "Come closer"),
                (Sign::Granted, "Please come in"),
            ] {
                indicator.show(sign);
                assert_eq!(until(&mut display, words), format!("{CLEAR}{words}"), "{baud:?}");
            }
            drop(end);
            assert_eq!(until(&mut display, CLEAR), CLEAR);
        }
    }

    #[test]
    fn a_display_that_is_not_there_or_takes_nothing_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().expect("a folder");
        // A pseudo-terminal that nobody reads takes some thousands of bytes.
        let (_display, line) = TTYPort::pair().expect("a pseudo-terminal");
        let full: std::path::PathBuf = line.name().expect("a name").into();
        for (device, baud) in [
            (folder.path().join("none"), None),
            (folder.path().join("none"), Some(9_600)),
            (full, None),
        ] {
            let config = DisplayConfig { device: Some(device), baud };
            let Opened { indicator, end } = open(&config, &notices()).expect("a thread");
            let mut indicator = indicator.expect("a display");
            let begun = Instant::now();
            for _ in 0..2_000 {
                indicator.show(Sign::Idle);
                indicator.show(Sign::Look);
            }
            drop(end);
            assert!(begun.elapsed() < Duration::from_secs(5), "{config:?}");
        }
    }

    #[test]
    fn only_the_last_words_are_shown_and_a_failure_is_left_alone_for_a_while() {
        let slot = Slot::default();
        slot.asked().words = Some("b");
        assert_eq!(slot.next(Some("a"), None), Some("b"));
        let soon = Instant::now() + Duration::from_millis(50);
        assert_eq!(slot.next(None, Some(soon)), Some("b"));
        assert!(Instant::now() >= soon);
        slot.asked().stop = true;
        assert_eq!(slot.next(None, None), None);
    }
}
