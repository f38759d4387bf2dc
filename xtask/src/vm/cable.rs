//! The administrator's cable: from the board's serial adapter to a terminal that the real `threshold` opens.
//!
//! Owns the socket to which QEMU's serial adapter connects while the board starts, and a pseudo-terminal that is made
//! anew for each visitor, because Linux keeps a visitor's exclusive claim on it. Refuses to look at the bytes.

use anyhow::{Context as _, Result};
use serialport::{SerialPort as _, TTYPort};
use std::fs;
use std::io::{ErrorKind, Read, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// How long a pump waits for bytes before it looks whether it should end.
const PATIENCE: Duration = Duration::from_millis(20);

/// Our end of the visitor's terminal; none between two visitors.
type Master = Arc<Mutex<Option<TTYPort>>>;

/// The cable of one board.
pub(super) struct Cable {
    /// The path that leads to the terminal of the day.
    port: PathBuf,
    master: Master,
    adapter: Arc<Mutex<Option<UnixStream>>>,
    visitor: Option<Visitor>,
}

/// Who was let in last.
struct Visitor {
    /// Open for as long as the visitor may come: a terminal that nobody has open looks hung up.
    _slave: TTYPort,
    over: Arc<AtomicBool>,
    pump: JoinHandle<()>,
}

impl Cable {
    /// Listens at `socket`; visitors will find the board at `port`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub(super) fn lay(socket: &Path, port: &Path) -> Result<Self> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).context("a socket for the serial line")?;
        let master = Master::default();
        let adapter = Arc::new(Mutex::new(None));
        let (to_visitor, to_board) = (Arc::clone(&master), Arc::clone(&adapter));
        spawn(move || {
            let Ok((mut board, _)) = listener.accept() else { return };
            *held(&to_board) = board.try_clone().ok();
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = board.read(&mut bytes) {
                // What comes between two visitors is for nobody, as on a real line.
                if let Some(terminal) = held(&to_visitor).as_mut() {
                    let _ = terminal.write_all(&bytes[..count]);
                }
            }
        });
        Ok(Self { port: port.to_path_buf(), master, adapter, visitor: None })
    }

    /// A terminal for the next visitor; whoever was there before has left.
    ///
    /// # Errors
    /// If the system gives none.
    pub(super) fn next_visitor(&mut self) -> Result<()> {
        self.part();
        let (mut master, slave) = TTYPort::pair().context("a pseudo-terminal")?;
        master.set_timeout(PATIENCE).context("a pseudo-terminal")?;
        let name = slave.name().context("a pseudo-terminal has no name")?;
        let _ = fs::remove_file(&self.port);
        std::os::unix::fs::symlink(name, &self.port).context("the link to the serial line")?;
        *held(&self.master) = Some(master.try_clone_native().context("a pseudo-terminal")?);
        let over = Arc::new(AtomicBool::new(false));
        let (ends, adapter) = (Arc::clone(&over), Arc::clone(&self.adapter));
        let pump = spawn(move || {
            let mut bytes = [0; 4096];
            while !ends.load(Ordering::Relaxed) {
                match master.read(&mut bytes) {
                    Ok(count) => {
                        if let Some(board) = held(&adapter).as_mut() {
                            let _ = board.write_all(&bytes[..count]);
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    Err(_) => return,
                }
            }
        });
        self.visitor = Some(Visitor { _slave: slave, over, pump });
        Ok(())
    }

    fn part(&mut self) {
        *held(&self.master) = None;
        if let Some(Visitor { _slave, over, pump }) = self.visitor.take() {
            over.store(true, Ordering::Relaxed);
            let _ = pump.join();
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.part();
        let _ = fs::remove_file(&self.port);
    }
}

fn held<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
