//! The way to a TPM: the kernel's device with its resource manager, or the socket of a software TPM.
//!
//! A command goes out in one write and its answer comes in one piece, as the device asks for; a socket may cut it.
//! Refuses an answer that is longer than a TPM's are, and to wait longer than it may: the kernel's own bounds are minutes, and both a read
//! and the closing of a device wait for the command that is under way. So a thread of its own does both; one whose TPM hangs is left
//! behind, and until it comes back no other begins ([`Busy`]).

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// The longest command and answer, bytes.
pub(crate) const MAX_BYTES: usize = 4096;
/// Bytes before the body: tag, length of the whole, code.
pub(crate) const HEADER: usize = 10;

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

/// Whether a TPM still has a command that nobody waits for any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    fn set(&self, is_busy: bool) {
        self.0.store(is_busy, Ordering::SeqCst);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// An open way.
pub(crate) struct Line {
    commands: Sender<Vec<u8>>,
    answers: Receiver<Result<Vec<u8>>>,
    busy: Busy,
    deadline: Instant,
    /// An answer was waited for in vain: what comes now belongs to no command that is known.
    is_late: bool,
}

impl Line {
    /// Opens it, for as long as everything over it may take together. What was loaded over a device's earlier opening is gone.
    ///
    /// # Errors
    /// Of the system; [`ErrorKind::TimedOut`] while an earlier command is still with the TPM.
    pub(crate) fn open(path: &Path, busy: &Busy, patience: Duration) -> Result<Self> {
        if busy.is_set() {
            return Err(ErrorKind::TimedOut.into());
        }
        let (commands, asked) = channel();
        let (told, answers) = channel();
        let deadline = Instant::now() + patience;
        let mut line = Self { commands, answers, busy: busy.clone(), deadline, is_late: false };
        let (path, served) = (path.to_path_buf(), busy.clone());
        busy.set(true);
        let spawned = std::thread::Builder::new()
            .name("tpm".to_owned())
            .spawn(move || serve(&path, &asked, &told, &served));
        if let Err(error) = spawned {
            busy.set(false);
            return Err(error);
        }
        line.answer()?;
        Ok(line)
    }

    /// The answer to a command, whole.
    ///
    /// # Errors
    /// Of the system, [`ErrorKind::TimedOut`] if none came in time, and if the other side ends or says a length that no answer has.
    pub(crate) fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        if self.is_late || Instant::now() >= self.deadline {
            return Err(ErrorKind::TimedOut.into());
        }
        self.busy.set(true);
        if self.commands.send(command.to_vec()).is_err() {
            self.busy.set(false);
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<Vec<u8>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        match self.answers.recv_timeout(left) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                self.is_late = true;
                Err(ErrorKind::TimedOut.into())
            }
            Err(RecvTimeoutError::Disconnected) => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

/// Opens the way, tells that with an empty answer, and then answers each command, until nobody asks any more.
fn serve(
    path: &Path,
    commands: &Receiver<Vec<u8>>,
    answers: &Sender<Result<Vec<u8>>>,
    busy: &Busy,
) {
    let tell = |answer| {
        busy.set(false);
        answers.send(answer).is_ok()
    };
    let mut way = match open(path) {
        Ok(way) => way,
        Err(error) => {
            tell(Err(error));
            return;
        }
    };
    let mut is_heard = tell(Ok(Vec::new()));
    while is_heard && let Ok(command) = commands.recv() {
        is_heard = tell(exchange(way.as_mut(), &command));
    }
}

fn open(path: &Path) -> Result<Box<dyn Both>> {
    if std::fs::metadata(path)?.file_type().is_socket() {
        return Ok(Box::new(UnixStream::connect(path)?));
    }
    Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
}

fn exchange(way: &mut dyn Both, command: &[u8]) -> Result<Vec<u8>> {
    way.write_all(command)?;
    let mut answer = vec![0; MAX_BYTES];
    let mut len = 0;
    loop {
        match way.read(&mut answer[len..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            more => len += more,
        }
        let Some(said) = answer[..len].get(2..6) else { continue };
        let said = u32::from_be_bytes(said.try_into().unwrap_or_default()) as usize;
        if !(HEADER..=MAX_BYTES).contains(&said) || len > said {
            return Err(Error::new(ErrorKind::InvalidData, "no answer of a TPM"));
        }
        if len == said {
            answer.truncate(len);
            return Ok(answer);
        }
    }
}
