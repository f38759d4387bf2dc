//! A door with its board, its administrator, and somebody before the camera.
//!
//! Owns what the harness does to the unit, all of it from outside: power, the cable, pictures, the plug of the camera.
//! Everything that an administrator does is done by the real `threshold`.

use super::board::{Board, By};
use super::parts::Parts;
use super::transcript::Transcript;
use super::unit::RELAY;
use super::versions::Versions;
use crate::demo::door::Host;
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

/// Longest wait for an entry or a notice: an embedding takes seconds on an emulated processor, a visit several of them.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the unit says at its first start, which only its owner changes.
const NOT_COMMISSIONED: &str = "not armed: nobody commissioned this unit";

/// What it says once it is armed; behind "not " it is what the line above begins with.
const ARMED: &str = "armed";

/// True for a line in which the unit says that it is armed.
fn is_armed(line: &str) -> bool {
    line.contains(ARMED) && !line.contains("not armed") && !line.contains("disarmed")
}

/// The door.
pub(super) struct Door {
    pub(super) parts: Parts,
    pub(super) initramfs: PathBuf,
    pub(super) flash: PathBuf,
    /// Sockets and traces.
    pub(super) folder: PathBuf,
    pub(super) host: Host,
    /// What the unit is updated by.
    pub(super) versions: Versions,
    pub(super) board: Option<Board>,
    pub(super) transcript: Transcript,
    /// The last entry that was seen.
    pub(super) seen: u64,
}

/// When the parts of a start were done, in seconds since the power came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    /// The board's console listens, which systemd has started.
    pub(super) board_s: f64,
    /// The unit answers an administrator.
    pub(super) service_s: f64,
    /// The unit would let somebody in.
    pub(super) armed_s: f64,
}

/// A run of the administrator's tool beside what else is done.
pub(super) struct Aside {
    process: Child,
    typed: Vec<String>,
}

impl Door {
    fn board(&mut self) -> Result<&mut Board> {
        self.board.as_mut().context("the board has no power")
    }

    /// Gives the board power, with that picture before the camera; seconds until its console listened. systemd starts the unit.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn power_on(&mut self, picture: &str) -> Result<f64> {
        self.power_on_by(picture, By::Adapter)
    }

    /// The same, with the unit's line by what is told.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn power_on_by(&mut self, picture: &str, by: By) -> Result<f64> {
        let Self { parts, initramfs, flash, folder, host, .. } = self;
        let board = Board::start(parts, initramfs, flash, folder, &host.port, picture, by)?;
        let board_s = self.board.insert(board).seconds();
        self.transcript.event(board_s, "power on; the board's console listens");
        Ok(board_s)
    }

    /// The code on the label, by the steps that the manual has for a new unit; the unit is started anew after them.
    ///
    /// # Errors
    /// If the unit does not say it.
    pub(super) fn label(&mut self) -> Result<String> {
        let said = self.ask("label")?;
        let code = said.split("pairing code: ").nth(1).map(str::trim);
        Ok(code.with_context(|| format!("no pairing code in {said:?}"))?.to_owned())
    }

    /// Waits until the unit of a new board, which systemd starts, answers and says how it stands: nobody commissioned it yet.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn first_started(&mut self, board_s: f64) -> Result<Start> {
        let service_s = self.wait_for_service()?;
        let said = self.board()?.unit_says(NOT_COMMISSIONED, 0, PATIENCE)?;
        let armed_s = self.board()?.said_at(said);
        self.stands("refuses")?;
        let words = "every part works; not armed before its owner commissions it";
        self.transcript.event(armed_s, words);
        Ok(Start { board_s, service_s, armed_s })
    }

    /// Waits until the unit, which systemd starts, answers and is armed.
    ///
    /// # Errors
    /// If it does not, or stands in any other way then: at fault, not commissioned, without its people.
    pub(super) fn unit_started(&mut self, board_s: f64) -> Result<Start> {
        let service_s = self.wait_for_service()?;
        let said = self.unit_armed(0)?;
        let armed_s = self.board()?.said_at(said);
        self.stands("armed")?;
        self.transcript.event(armed_s, "the unit is armed");
        Ok(Start { board_s, service_s, armed_s })
    }

    /// Waits until the unit says that it is armed, after so many of its lines; the place behind that line.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn unit_armed(&mut self, after: usize) -> Result<usize> {
        self.board()?.unit_says_so(ARMED, is_armed, after, PATIENCE)
    }

    /// Makes sure of how the unit stands, by what it answers to an administrator.
    fn stands(&self, state: &str) -> Result<()> {
        let info = self.host.json(&["info"])?;
        ensure!(info["state"] == state, "the unit should stand as {state:?}: {info}");
        Ok(())
    }

    /// Waits until the unit answers the administrator's tool.
    ///
    /// # Errors
    /// If it does not.
    pub(super) fn wait_for_service(&mut self) -> Result<f64> {
        self.host.json(&["--wait=60", "info"])?;
        let service_s = self.board()?.seconds();
        self.transcript.event(service_s, "the unit answers `threshold info`");
        Ok(service_s)
    }

    /// Seconds since the power came.
    pub(super) fn seconds(&self) -> f64 {
        self.board.as_ref().map_or(0.0, Board::seconds)
    }

    /// Does something on the board.
    pub(super) fn ask(&mut self, typed: &str) -> Result<String> {
        self.board()?.ask(typed)
    }

    /// Runs the administrator's tool; what it prints stands in the transcript.
    pub(super) fn administer(&mut self, arguments: &[&str]) -> Result<String> {
        let said = self.host.text(arguments)?;
        self.transcript.command(self.seconds(), arguments, &said);
        Ok(said)
    }

    /// Becomes the owner: label, button, code.
    ///
    /// # Errors
    /// If the unit does not pair.
    pub(super) fn pair(&mut self, code: &str) -> Result<()> {
        let said = self.board()?.lines_said()?;
        self.ask("touch /run/button")?;
        self.board()?.unit_says("the button was pressed", said, PATIENCE)?;
        let role = self.host.pair("Demo", code)?;
        ensure!(role == "owner", "paired as {role:?}, not as owner");
        let words =
            "the button was pressed; `threshold pair Demo` with the code on the label: owner";
        self.transcript.event(self.seconds(), words);
        Ok(())
    }

    /// Lets another picture come before the camera.
    pub(super) fn show(&mut self, picture: &str) -> Result<()> {
        self.ask(&format!("show {picture}"))?;
        self.transcript.event(self.seconds(), &format!("before the camera: {picture}"));
        Ok(())
    }

    /// Presses the button to leave, on the board's input line 3.
    pub(super) fn press_exit(&mut self) -> Result<()> {
        self.board()?.pulse_input()?;
        self.transcript.event(self.seconds(), "a pulse on input line 3: the button to leave");
        Ok(())
    }

    /// Follows the log until an entry is what is waited for; what was passed on the way counts as seen.
    ///
    /// # Errors
    /// If none comes.
    pub(super) fn entry(&mut self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let follow = self.host.follow(self.seen + 1)?;
        loop {
            let entry = follow.next(PATIENCE)?;
            self.seen = entry["sequence"].as_u64().unwrap_or(self.seen);
            if wanted(&entry) {
                self.transcript.entry(self.seconds(), &entry);
                return Ok(entry);
            }
        }
    }

    /// The door's next decision.
    ///
    /// # Errors
    /// If none comes.
    pub(super) fn decision(&mut self) -> Result<Value> {
        self.entry(|entry| entry["kind"] == "decision")
    }

    /// Waits for a notice of the unit's.
    ///
    /// # Errors
    /// If it does not come.
    pub(super) fn unit_says(&mut self, text: &str, after: usize) -> Result<usize> {
        let place = self.board()?.unit_says(text, after, PATIENCE)?;
        self.transcript.event(self.seconds(), &format!("the unit says: {text}"));
        Ok(place)
    }

    /// Lines that the unit has said until now.
    pub(super) fn lines_said(&mut self) -> Result<usize> {
        self.board()?.lines_said()
    }

    /// The levels that the relay's line was put to since the power came; `false` is locked.
    pub(super) fn relay(&self) -> Vec<bool> {
        let outputs = self.board.as_ref().map(Board::outputs).unwrap_or_default();
        outputs.into_iter().filter(|&(line, _)| line == RELAY).map(|(_, level)| level).collect()
    }

    /// When the unit said the line before that one, in seconds since the power came.
    pub(super) fn said_at(&self, after: usize) -> f64 {
        self.board.as_ref().map_or(0.0, |board| board.said_at(after))
    }

    /// How many lines with that text the unit has said since its first `after` lines.
    ///
    /// # Errors
    /// If the board ended.
    pub(super) fn times_said(&mut self, text: &str, after: usize) -> Result<usize> {
        self.lines_said()?;
        Ok(self.board()?.said_since(after).filter(|line| line.contains(text)).count())
    }

    /// Bytes that the administrator's tool has sent to the unit since the power came.
    pub(super) fn carried(&self) -> u64 {
        self.board.as_ref().map_or(0, |board| board.cable.carried())
    }

    /// Starts the administrator's tool and does not wait for it.
    pub(super) fn begin(&mut self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.host.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().context("`threshold` did not start")
    }

    /// Starts the administrator's tool beside what else is done; what it says stands in the transcript once it is over.
    pub(super) fn begin_aside(&mut self, arguments: &[&str]) -> Result<Aside> {
        let mut command = self.host.command(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().context("`threshold` did not start")?;
        let typed = arguments.iter().map(|word| (*word).to_owned()).collect();
        self.transcript.command(self.seconds(), arguments, "");
        Ok(Aside { process, typed })
    }

    /// Waits for the end of what was begun; true if the tool was content, and all that it said.
    ///
    /// # Errors
    /// If it cannot be waited for.
    pub(super) fn end_of(&mut self, aside: Aside) -> Result<(bool, String)> {
        let done = aside.process.wait_with_output().context("waiting for `threshold`")?;
        let said = [done.stderr, done.stdout].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let typed: Vec<&str> = aside.typed.iter().map(String::as_str).collect();
        self.transcript.end_of(self.seconds(), &typed, &said);
        Ok((done.status.success(), said))
    }

    /// Pulls the plug.
    ///
    /// # Errors
    /// If there was no power.
    pub(super) fn cut_power(&mut self) -> Result<()> {
        let Some(board) = self.board.take() else { bail!("the board has no power") };
        self.transcript.event(board.seconds(), "the power is cut (SIGKILL of QEMU)");
        board.cut_power();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_is_not_armed_is_not_taken_for_one_that_is() {
        for (line, armed) in [
            (
                "armed. A photo opens this door: presentation-attack detection is not installed",
                true,
            ),
            ("armed, but nobody is enrolled: everybody is refused. A photo opens this door", true),
            ("not armed: nobody commissioned this unit with its owner's recovery key", false),
            ("not armed: locked out after too many attacks in a row", false),
            ("fault: camera: it gives no frames", false),
        ] {
            assert_eq!(is_armed(line), armed, "{line}");
        }
        assert!(NOT_COMMISSIONED.contains(ARMED));
    }
}
