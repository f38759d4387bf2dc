//! The board: a QEMU process with a console, a serial adapter, a flash and a door.
//!
//! Owns the process, which is killed when the value goes out of scope, and its console: what is typed there the board's
//! init does. To kill it is the power cut: what the board's kernel has not written to its flash is gone.
//! Refuses KVM: not every machine has it, and timing would differ between those that do and those that do not.

use super::cable::Cable;
use super::parts::Parts;
use anyhow::{Context as _, Result, bail, ensure};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

/// Longest wait for a line of the board's console: a cold start on a loaded machine, many times over.
const PATIENCE: Duration = Duration::from_secs(90);

/// How the board begins what it says itself; everything else is the unit's.
const BOARD: &str = "board: ";

/// What the unit has its line by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The serial adapter, which the cable ends at.
    Adapter,
    /// The USB device port, whose other end on the board the cable is carried to.
    DevicePort,
}

impl By {
    /// As the board's init has it from the kernel's command line.
    const fn word(self) -> &'static str {
        match self {
            Self::Adapter => "adapter",
            Self::DevicePort => "usb",
        }
    }
}

/// A running board.
pub(super) struct Board {
    process: Child,
    console: UnixStream,
    lines: Receiver<(Instant, String)>,
    /// What the unit said since the start, and when.
    said: Vec<(Instant, String)>,
    asked: u32,
    folder: PathBuf,
    /// The administrator's cable.
    pub(super) cable: Cable,
    /// When the power came.
    pub(super) started: Instant,
}

impl Board {
    /// Gives the board power, with that picture before its camera, and waits until its console listens. Sockets and traces stand in
    /// `folder`, whose name is short: a socket's path has 107 bytes at most. `port` will lead to the
    /// serial line, which the unit has `by` that.
    ///
    /// # Errors
    /// If it does not start.
    pub(super) fn start(
        parts: &Parts,
        initramfs: &Path,
        flash: &Path,
        folder: &Path,
        port: &Path,
        picture: &str,
        by: By,
    ) -> Result<Self> {
        let cable = Cable::lay(&folder.join("line"), port)?;
        let at = folder.join("console");
        let _ = fs::remove_file(&at);
        let listener = UnixListener::bind(&at).context("a socket for the console")?;
        let started = Instant::now();
        // A harness that is killed takes its board along.
        let mut qemu = Command::new("setpriv");
        qemu.args(["--pdeathsig", "KILL"]).arg(&parts.qemu);
        qemu.args("-M virt,gic-version=3 -cpu cortex-a57 -accel tcg,thread=multi".split(' '));
        qemu.args("-smp 2 -m 512 -nodefaults -nographic -no-reboot".split(' '));
        qemu.arg("-kernel").arg(&parts.kernel).arg("-initrd").arg(initramfs);
        // vivid of Linux 6.1 makes the kernel complain of its time-outs every second, in the middle of the console's lines.
        qemu.arg("-append").arg(format!(
            "console=ttyAMA0 loglevel=3 panic=-1 systemd.show_status=no systemd.getty_auto=no picture={picture} \
             line={}",
            by.word()
        ));
        qemu.args("-chardev socket,id=console,path=console -serial chardev:console".split(' '));
        qemu.args("-qmp unix:qmp,server=on,wait=off".split(' '));
        qemu.arg("-drive").arg(format!("if=none,id=flash,format=raw,file={}", flash.display()));
        qemu.args("-device virtio-blk-pci,drive=flash -device qemu-xhci".split(' '));
        qemu.args("-chardev socket,id=line,path=line -device usb-serial,chardev=line".split(' '));
        qemu.args("-trace pl061_set_output -D trace".split(' '));
        qemu.current_dir(folder).stdin(Stdio::null());
        let errors = fs::File::create(folder.join("qemu.log")).context("QEMU's log")?;
        qemu.stdout(errors.try_clone()?).stderr(errors);
        let process = qemu.spawn().context("QEMU did not start")?;
        let (console, lines) = listen(&listener, &folder.join("console.log"))?;
        let said = Vec::new();
        let folder = folder.to_path_buf();
        let mut board = Self { process, console, lines, said, asked: 0, folder, cable, started };
        board.line_from_board("up ", PATIENCE)?;
        Ok(board)
    }

    /// Seconds since the power came.
    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Types a line at the console and gives what it printed, in one line.
    ///
    /// # Errors
    /// If it failed, or the board does not answer.
    pub(super) fn ask(&mut self, typed: &str) -> Result<String> {
        self.asked += 1;
        let mark = format!("done-{} ", self.asked);
        let line = format!("said=$({typed} 2>&1); echo \"{BOARD}{mark}$?\" $said\n");
        self.console.write_all(line.as_bytes()).context("the board's console")?;
        let answer = self.line_from_board(&mark, PATIENCE)?;
        let (status, said) = answer.split_once(' ').unwrap_or((&answer, ""));
        ensure!(status == "0", "on the board, `{typed}` failed ({status}): {said}");
        Ok(said.to_owned())
    }

    /// Waits until the unit has said something with this text in it that was said after the first `after` lines; gives
    /// the number of lines then.
    ///
    /// # Errors
    /// If that does not come within the time.
    pub(super) fn unit_says(
        &mut self,
        text: &str,
        after: usize,
        within: Duration,
    ) -> Result<usize> {
        self.unit_says_so(text, |line| line.contains(text), after, within)
    }

    /// The same for a line of which `so` is true; `text` is what it is about.
    ///
    /// # Errors
    /// The same.
    pub(super) fn unit_says_so(
        &mut self,
        text: &str,
        so: impl Fn(&str) -> bool,
        after: usize,
        within: Duration,
    ) -> Result<usize> {
        let give_up = Instant::now() + within;
        loop {
            let found = self.said.iter().skip(after).position(|(_, line)| so(line));
            if let Some(at) = found {
                return Ok(after + at + 1);
            }
            match self.next_line(give_up)? {
                Some(_) => {}
                None => bail!(
                    "the unit did not say {text:?} within {} s; it said:\n{}",
                    within.as_secs(),
                    self.said.iter().map(|(_, line)| line.as_str()).collect::<Vec<_>>().join("\n")
                ),
            }
        }
    }

    /// When the unit said the line before that one, in seconds since the power came.
    pub(super) fn said_at(&self, after: usize) -> f64 {
        let line = after.checked_sub(1).and_then(|at| self.said.get(at));
        line.map_or(0.0, |(at, _)| at.duration_since(self.started).as_secs_f64())
    }

    /// What the unit has said since its first `after` lines.
    pub(super) fn said_since(&self, after: usize) -> impl Iterator<Item = &str> {
        self.said.iter().skip(after).map(|(_, line)| line.as_str())
    }

    /// Lines that the unit has said until now.
    pub(super) fn lines_said(&mut self) -> Result<usize> {
        while self.next_line(Instant::now())?.is_some() {}
        Ok(self.said.len())
    }

    /// The changes of the door's output lines since the power came, as QEMU traced them: line and level.
    pub(super) fn outputs(&self) -> Vec<(u32, bool)> {
        let trace = fs::read_to_string(self.folder.join("trace")).unwrap_or_default();
        trace.lines().filter_map(change).collect()
    }

    /// A pulse on input line 3 of the board, where a door has its button to leave.
    ///
    /// # Errors
    /// If QEMU does not take the command.
    pub(super) fn pulse_input(&self) -> Result<()> {
        let mut monitor = UnixStream::connect(self.folder.join("qmp")).context("QEMU's monitor")?;
        monitor.set_read_timeout(Some(PATIENCE))?;
        let mut answers = BufReader::new(monitor.try_clone()?).lines();
        answers.next();
        for command in ["qmp_capabilities", "system_powerdown"] {
            writeln!(monitor, "{{\"execute\":\"{command}\"}}")?;
            let said =
                answers.find(|line| line.as_ref().map_or(true, |it| !it.contains("\"event\"")));
            let said = said.context("QEMU's monitor closed")??;
            ensure!(said.contains("\"return\""), "QEMU's monitor said {said}");
        }
        Ok(())
    }

    /// Pulls the plug.
    pub(super) fn cut_power(mut self) {
        // It may have ended by itself; either way it is gone.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    /// The rest of the board's next line that begins so.
    fn line_from_board(&mut self, begins: &str, within: Duration) -> Result<String> {
        let give_up = Instant::now() + within;
        let begins = format!("{BOARD}{begins}");
        while let Some(line) = self.next_line(give_up)? {
            if let Some(rest) = line.strip_prefix(&begins) {
                return Ok(rest.to_owned());
            }
        }
        let log = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
        bail!("the board did not say {begins:?} within {} s; the console:\n{log}", within.as_secs())
    }

    /// The next line of the console, if one comes in time; the unit's are kept.
    fn next_line(&mut self, give_up: Instant) -> Result<Option<String>> {
        match self.lines.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
            Ok((at, line)) => {
                if !line.starts_with(BOARD) {
                    self.said.push((at, line.clone()));
                }
                Ok(Some(line))
            }
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => {
                let qemu = fs::read_to_string(self.folder.join("qemu.log")).unwrap_or_default();
                let log = fs::read_to_string(self.folder.join("console.log")).unwrap_or_default();
                bail!("the board ended; QEMU said:\n{qemu}\nand the console:\n{log}")
            }
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One change, from a line such as `pl061_set_output 9030000.pl061 setting output 0 to 1`.
fn change(line: &str) -> Option<(u32, bool)> {
    let (_, change) = line.split_once("setting output ")?;
    let (line, level) = change.split_once(" to ")?;
    Some((line.parse().ok()?, level.trim() == "1"))
}

/// Waits for QEMU at the console's socket; its lines, also written down.
fn listen(
    listener: &UnixListener,
    log: &Path,
) -> Result<(UnixStream, Receiver<(Instant, String)>)> {
    listener.set_nonblocking(true)?;
    let give_up = Instant::now() + PATIENCE;
    let console = loop {
        match listener.accept() {
            Ok((console, _)) => break console,
            Err(_) if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(error).context("QEMU did not open its console"),
        }
    };
    console.set_nonblocking(false)?;
    let mut log = fs::OpenOptions::new().create(true).append(true).open(log)?;
    let reader = console.try_clone()?;
    let (sender, lines) = channel();
    spawn(move || {
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let _ = writeln!(log, "{line}");
            if sender.send((Instant::now(), line)).is_err() {
                return;
            }
        }
    });
    Ok((console, lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_an_output_is_read_from_the_trace() {
        let line = "pl061_set_output 9030000.pl061 setting output 3 to 1";
        assert_eq!(change(line), Some((3, true)));
        assert_eq!(change("pl061_set_output nothing"), None);
    }
}
