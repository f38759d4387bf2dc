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
}

impl std::fmt::Debug for Notices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notices")
    }
}
