//! The administrator's cable: from the board's serial adapter to a terminal that the real `threshold` opens.
//!
//! Owns the socket to which QEMU's serial adapter connects while the board starts, and the pseudo-terminal of all
//! visitors. Linux keeps a visitor's exclusive claim (TIOCEXCL) on it for as long as an end is open, and ours is, so the
//! claim is given up for each visitor; the lock that `threshold` takes beside it goes with its process.
//! Refuses to look at the bytes.

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, OFlags};
use serialport::{SerialPort as _, TTYPort};
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::spawn;
use std::time::Duration;

/// How long the pump waits for bytes before it looks after the claim.
const PATIENCE: Duration = Duration::from_millis(20);

/// How long a visitor may take no bytes before they are gone, as on a real line.
const OVERRUN: Duration = Duration::from_millis(500);

/// The cable of one board.
pub(super) struct Cable {
    /// The path that leads to the terminal.
    port: PathBuf,
    over: Arc<AtomicBool>,
    carried: Arc<AtomicU64>,
}

impl Cable {
    /// Listens at `socket`; visitors will find the board at `port`.
    ///
    /// # Errors
    /// If the socket or the terminal cannot be made.
    pub(super) fn lay(socket: &Path, port: &Path) -> Result<Self> {
        let _ = fs::remove_file(socket);
        let listener = UnixListener::bind(socket).context("a socket for the serial line")?;
        let (mut master, slave) = TTYPort::pair().context("a pseudo-terminal")?;
        master.set_timeout(PATIENCE).context("a pseudo-terminal")?;
        let name = slave.name().context("a pseudo-terminal has no name")?;
        // A handle of our own: serialport's would take a lock on the terminal when it gives up an exclusive claim.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let claimed = rustix::fs::open(&name, flags, Mode::empty())
            .with_context(|| format!("opening {name}"))?;
        let _ = fs::remove_file(port);
        symlink(&name, port).context("the link to the serial line")?;
        let mut to_visitor = master.try_clone_native().context("a pseudo-terminal")?;
        to_visitor.set_timeout(OVERRUN).context("a pseudo-terminal")?;
        let over = Arc::new(AtomicBool::new(false));
        let carried = Arc::new(AtomicU64::new(0));
        let (ends, count_carried) = (Arc::clone(&over), Arc::clone(&carried));
        spawn(move || {
            let Ok((mut board, _)) = listener.accept() else { return };
            let Ok(mut to_board) = board.try_clone() else { return };
            // Ends with the board, whose end of the socket closes.
            spawn(move || {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = board.read(&mut bytes) {
                    let _ = to_visitor.write_all(&bytes[..count]);
                }
            });
            let mut bytes = [0; 4096];
            while !ends.load(Ordering::Relaxed) {
                match master.read(&mut bytes) {
                    Ok(count) => {
                        let _ = to_board.write_all(&bytes[..count]);
                        count_carried.fetch_add(count as u64, Ordering::Relaxed);
                    }
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    Err(_) => break,
                }
                let _ = rustix::termios::ioctl_tiocnxcl(&claimed);
            }
            drop(slave);
        });
        Ok(Self { port: port.to_path_buf(), over, carried })
    }

    /// Bytes that visitors have sent to the board.
    pub(super) fn carried(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = fs::remove_file(&self.port);
    }
}
