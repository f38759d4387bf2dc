//! A cable between a unit's line and the port that a host opens, which is pulled out and plugged in again.
//!
//! A plug is a pseudo-terminal of its own under the port's name: pulled out, its other end hangs up as that of an adapter does, and the
//! name is gone until it is plugged in again.

use serialport::{SerialPort as _, TTYPort};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it is out.
const OUT: Duration = Duration::from_millis(300);

/// Bytes of the unit by which the host is seen to go on: more than hello, handshake and calls.
pub const GOES_ON_BYTES: u64 = 20_000;

/// A cable that carries bytes until it is dropped.
#[derive(Debug)]
pub struct Cable {
    stop: Arc<AtomicBool>,
    pull: Arc<AtomicBool>,
    carrier: Option<JoinHandle<Vec<Duration>>>,
}

impl Cable {
    /// Lays a cable from the unit's line to a port of that name. It is pulled out by itself after each of so many bytes of the unit, each
    /// counted from when it was plugged in.
    ///
    /// # Panics
    /// If the unit's line cannot be opened.
    #[must_use]
    pub fn lay(unit: &Path, name: &Path, cuts: &[u64]) -> Self {
        let line = serialport::new(unit.to_str().expect("a name"), 115_200);
        let line = line.timeout(Duration::from_millis(1)).open_native().expect("the unit's line");
        let (stop, pull) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let carrier = std::thread::spawn({
            let (name, cuts) = (name.to_owned(), cuts.to_vec());
            let (stop, pull) = (Arc::clone(&stop), Arc::clone(&pull));
            move || carry(line, &name, &cuts, &stop, &pull)
        });
        Self { stop, pull, carrier: Some(carrier) }
    }

    /// Pulls it out; it is plugged in again by itself.
    pub fn pull_out(&self) {
        self.pull.store(true, Ordering::Relaxed);
    }

    /// Ends it; how long it took each time from plugging it in until [`GOES_ON_BYTES`] had come.
    ///
    /// # Panics
    /// If it broke.
    #[must_use]
    pub fn end(mut self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        self.carrier.take().map(|carrier| carrier.join().expect("a cable")).unwrap_or_default()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What is plugged in: the host finds it under that name.
struct Plug {
    near: TTYPort,
    /// Kept open, so that it is there before the host opens it.
    _far: TTYPort,
    name: PathBuf,
    since: Instant,
    carried: u64,
}

impl Plug {
    fn put_in(name: &Path) -> Self {
        let (mut near, far) = TTYPort::pair().expect("a pseudo-terminal");
        near.set_timeout(Duration::from_millis(1)).expect("a timeout");
        symlink(far.name().expect("a name"), name).expect("a link");
        Self { near, _far: far, name: name.to_owned(), since: Instant::now(), carried: 0 }
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.name);
    }
}

fn carry(
    mut unit: TTYPort,
    name: &Path,
    cuts: &[u64],
    stop: &AtomicBool,
    pull: &AtomicBool,
) -> Vec<Duration> {
    let mut plugged = Some(Plug::put_in(name));
    let (mut out_since, mut cuts, mut resumed) = (Instant::now(), cuts.iter(), Vec::new());
    let (mut down, mut up) = ([0; 4096], [0; 4096]);
    let (mut next, mut was_out) = (cuts.next(), false);
    while !stop.load(Ordering::Relaxed) {
        // Also while it is out, so that what was under way then is lost.
        let len = match unit.read(&mut down) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::TimedOut => 0,
            Err(error) => panic!("the unit's line: {error}"),
        };
        let Some(plug) = &mut plugged else {
            if out_since.elapsed() >= OUT {
                plugged = Some(Plug::put_in(name));
            }
            continue;
        };
        let _ = plug.near.write_all(&down[..len]);
        let before = plug.carried;
        plug.carried += len as u64;
        if was_out && before < GOES_ON_BYTES && plug.carried >= GOES_ON_BYTES {
            resumed.push(plug.since.elapsed());
        }
        if let Ok(len) = plug.near.read(&mut up) {
            unit.write_all(&up[..len]).expect("the unit's line");
        }
        let cut = next.is_some_and(|cut| plug.carried >= *cut);
        if cut || pull.swap(false, Ordering::Relaxed) {
            if cut {
                next = cuts.next();
            }
            (plugged, out_since, was_out) = (None, Instant::now(), true);
        }
    }
    resumed
}
