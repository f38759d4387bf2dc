//! A peer as a process that stays: commands on its standard input, answers on its standard output, one JSON line each.

use super::environment::{Environment, folder_of_scripts};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running peer.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// With versions.
    pub(super) title: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// Installs it where it is missing, starts it and asks its version.
    ///
    /// # Errors
    /// If it cannot be installed or does not answer.
    pub(super) fn start(environment: &Environment) -> Result<Self> {
        let name = environment.name;
        let python = environment.python()?;
        let mut child = Command::new(python)
            // -B: no byte code beside the sources.
            .arg("-B")
            .arg(folder_of_scripts().join(environment.script))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} did not start"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().with_context(|| format!("{name} has no output"))?;
        let output = BufReader::new(output);
        let mut peer = Self { name, title: String::new(), child, input, output };
        let version = peer.ask(&json!({"do": "version"}))?;
        version["version"].as_str().unwrap_or(name).clone_into(&mut peer.title);
        Ok(peer)
    }

    /// The answer to a command.
    ///
    /// # Errors
    /// If the process has ended, or the command failed in it.
    pub(super) fn ask(&mut self, command: &Value) -> Result<Value> {
        let name = self.name;
        let input = self.input.as_mut().with_context(|| format!("{name} takes no input"))?;
        writeln!(input, "{command}").with_context(|| format!("{name} has ended"))?;
        let mut line = String::new();
        self.output.read_line(&mut line).with_context(|| format!("reading from {name}"))?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("{name} ended, or answered no JSON: {line:?}"))?;
        match answer["error"].as_str() {
            Some(error) => bail!("{name}: {error}"),
            None => Ok(answer),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // The end of its input ends it.
        self.input.take();
        let _ = self.child.wait();
    }
}
