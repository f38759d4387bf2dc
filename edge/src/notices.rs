//! Notices: one line for each thing that whoever runs the machine should know, on stderr, which a service manager keeps.
//!
//! Owns the only way of the unit to speak besides the log and the line. Refuses to say who came: that is the log's.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// Where notices go. Clones share it.
#[derive(Clone)]
pub struct Notices(Arc<Mutex<Box<dyn Write + Send>>>);

impl Notices {
    /// To the process's stderr.
    #[must_use]
    pub fn to_stderr() -> Self {
        Self::to(Box::new(std::io::stderr()))
    }

    /// To the process's stdout, for what a command was asked for and another program may read.
    #[must_use]
    pub fn to_stdout() -> Self {
        Self::to(Box::new(std::io::stdout()))
    }

    /// To any writer, for tests.
    #[must_use]
    pub fn to(writer: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(writer)))
    }

    /// Says one line. A closed stream changes nothing for the door.
    pub fn tell(&self, line: &str) {
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }

    /// Says why the program ends: an error's parts in one line, the outermost first. A part that one before it has in its own words is
    /// not said again.
    pub fn tell_error(&self, error: &anyhow::Error) {
        let mut line = String::from("error");
        for part in error.chain().map(ToString::to_string) {
            if !line.contains(&part) {
                line = format!("{line}: {part}");
            }
        }
        self.tell(&line);
    }
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notices")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use anyhow::Context as _;
    use threshold_store::{CellsError, StoreError};

    /// What was told.
    #[derive(Clone, Default)]
    struct Told(Arc<Mutex<Vec<u8>>>);

    impl Write for Told {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_error_says_each_of_its_parts_once() {
        let told = |error: anyhow::Error| {
            let told = Told::default();
            Notices::to(Box::new(told.clone())).tell_error(&error);
            let bytes = told.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        let busy = StoreError::from(CellsError::Busy);
        let said = "the device of the store: it is in use; stop the other threshold-edge that uses it, or unmount it\n";
        assert_eq!(told(busy.clone().into()), format!("error: {said}"));
        let outer = Err::<(), _>(busy).context("data").context("unit");
        assert_eq!(told(outer.unwrap_err()), format!("error: unit: data: {said}"));
        assert_eq!(told(anyhow::anyhow!("alone")), "error: alone\n");
    }
}
