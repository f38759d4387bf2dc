//! The way to a TPM: the kernel's device with its resource manager, or the socket of a software TPM.
//!
//! A command goes out in one write and its answer comes in one piece, as the device asks for; a socket may cut it.
//! Refuses an answer that is longer than a TPM's are.

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The longest command and answer, bytes.
pub(crate) const MAX_BYTES: usize = 4096;
/// Bytes before the body: tag, length of the whole, code.
pub(crate) const HEADER: usize = 10;

/// How long a socket may say nothing. The kernel has bounds of its own for a device.
const PATIENCE: Duration = Duration::from_secs(20);

trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

/// An open way.
pub(crate) struct Line(Box<dyn Both>);

impl Line {
    /// Opens it. What was loaded over a device's earlier opening is gone.
    ///
    /// # Errors
    /// Of the system.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        if std::fs::metadata(path)?.file_type().is_socket() {
            let socket = UnixStream::connect(path)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            return Ok(Self(Box::new(socket)));
        }
        Ok(Self(Box::new(OpenOptions::new().read(true).write(true).open(path)?)))
    }

    /// The answer to a command, whole.
    ///
    /// # Errors
    /// Of the system, and if the other side ends or says a length that no answer has.
    pub(crate) fn exchange(&mut self, command: &[u8]) -> Result<Vec<u8>> {
        self.0.write_all(command)?;
        let mut answer = vec![0; MAX_BYTES];
        let mut len = 0;
        loop {
            match self.0.read(&mut answer[len..])? {
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
}
