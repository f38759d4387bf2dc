//! The running unit and the administrator's tool, as the demonstration uses them: two programs and a serial line.
//!
//! Owns the unit's process: it is killed when the value goes out of scope, on success and on every error.

use crate::program;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Longest wait for the unit to start.
const START: Duration = Duration::from_secs(60);

/// The virtual unit: the product's own binary on a pseudo-terminal, with a folder as its camera.
pub(crate) struct Unit {
    process: Child,
    log: PathBuf,
}

impl Unit {
    /// Starts the unit; its standard output and error go to `log`.
    pub(crate) fn start(binary: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("writing {}", log.display()))?;
        let process = Command::new(binary)
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(out.try_clone().context("copying a file handle")?)
            .stdout(out)
            .spawn()
            .with_context(|| format!("{} did not start", binary.display()))?;
        Ok(Self { process, log: log.to_path_buf() })
    }

    /// An error if the unit has ended; otherwise nothing.
    pub(crate) fn still_there(&mut self) -> Result<()> {
        if let Some(status) = self.process.try_wait().context("asking for the unit's status")? {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            bail!("the unit ended ({status}); it said:\n{said}");
        }
        Ok(())
    }

    /// Waits until the unit says something.
    pub(crate) fn wait_until_it_says(&mut self, text: &str) -> Result<()> {
        let give_up = Instant::now() + START;
        while !std::fs::read_to_string(&self.log).is_ok_and(|said| said.contains(text)) {
            self.still_there()?;
            if Instant::now() > give_up {
                bail!("the unit did not say {text:?} within {} s", START.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// How long its main thread waited for a processor that other work had, as Linux tells it.
    pub(crate) fn waited(&self) -> Option<Duration> {
        let told =
            std::fs::read_to_string(format!("/proc/{}/schedstat", self.process.id())).ok()?;
        told.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
    }

    /// Resident memory in bytes, as Linux tells it.
    pub(crate) fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }
}

/// The pairing code on the label of the unit with this data folder, which does not run yet.
pub(crate) fn label(binary: &Path, data: &Path) -> Result<String> {
    let mut command = Command::new(binary);
    let done = command.arg("label").arg(data).output().context("`threshold-edge label`")?;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let code = said.trim().strip_prefix("pairing code: ");
    Ok(code.with_context(|| format!("`threshold-edge label` said {said:?}"))?.to_owned())
}

impl Drop for Unit {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left running.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The administrator's tool, always with the same unit.
pub(crate) struct Host {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// The unit's line.
    pub(crate) port: PathBuf,
    /// The folder of packs.
    pub(crate) packs: PathBuf,
    /// The administrator's keychain.
    pub(crate) keys: PathBuf,
}

impl Host {
    /// A command of the tool with this unit, these packs and keys.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("--unit").arg(&self.port).arg("--packs").arg(&self.packs);
        command.arg("--keys").arg(&self.keys).args(arguments);
        command
    }

    /// Becomes an administrator with the code of the unit's label; gives the role.
    pub(crate) fn pair(&self, name: &str, code: &str) -> Result<String> {
        let mut process = self
            .command(&["--json", "pair", name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("`threshold pair` did not start")?;
        if let Some(mut input) = process.stdin.take() {
            // A command that ended already says why.
            let _ = writeln!(input, "{code}");
        }
        let done = process.wait_with_output().context("waiting for `threshold pair`")?;
        if !done.status.success() {
            bail!("`threshold pair` failed ({})", done.status);
        }
        let paired: Value = serde_json::from_slice(&done.stdout)?;
        Ok(paired["role"].as_str().unwrap_or_default().to_owned())
    }

    /// Runs a command and gives what it printed.
    pub(crate) fn text(&self, arguments: &[&str]) -> Result<String> {
        program::output(&mut self.command(arguments))
    }

    /// Runs a command with `--json` and gives what it printed.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.text(&[&["--json"], arguments].concat())?;
        serde_json::from_str(&text)
            .with_context(|| format!("{} printed no JSON", arguments.join(" ")))
    }

    /// Follows the log from a sequence number on, once the line is free.
    pub(crate) fn follow(&self, from: u64) -> Result<Follow> {
        let mut process = self
            .command(&["--json", "--wait=10", "log", "follow", "--from", &from.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("`threshold log follow` did not start")?;
        let out = process.stdout.take().context("`threshold log follow` has no output")?;
        let (sender, entries) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Follow { process, entries })
    }

    /// Waits until the unit answers and has started.
    pub(crate) fn wait_for(&self, unit: &mut Unit) -> Result<()> {
        let give_up = Instant::now() + START;
        loop {
            unit.still_there()?;
            if self.port.exists() && self.json(&["--wait=60", "info"])?["state"] != "starting" {
                return Ok(());
            }
            if Instant::now() > give_up {
                bail!("the unit was not ready within {} s", START.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// A running `threshold log follow`.
pub(crate) struct Follow {
    process: Child,
    entries: Receiver<String>,
}

impl Follow {
    /// The next entry.
    ///
    /// # Errors
    /// If none came within the time, or the command ended.
    pub(crate) fn next(&self, within: Duration) -> Result<Value> {
        match self.entries.recv_timeout(within) {
            Ok(line) => serde_json::from_str(&line)
                .with_context(|| format!("`threshold log follow --json` printed {line:?}")),
            Err(RecvTimeoutError::Timeout) => {
                bail!("no log entry within {} s", within.as_secs())
            }
            Err(RecvTimeoutError::Disconnected) => bail!("`threshold log follow` ended"),
        }
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
