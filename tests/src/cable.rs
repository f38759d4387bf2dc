//! A cable between a unit's line and the port that a host opens, which is pulled out and plugged in again.
//!
//! A plug is a pseudo-terminal of its own under the port's name: pulled out, its other end hangs up as that of an adapter does, and the
//! name is gone until it is plugged in again.

use serialport::{SerialPort as _, TTYPort};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
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
    silent_after: Arc<AtomicU64>,
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
        let silent_after = Arc::new(AtomicU64::new(u64::MAX));
        let carrier = std::thread::spawn({
            let (name, cuts) = (name.to_owned(), cuts.to_vec());
            let (stop, pull) = (Arc::clone(&stop), Arc::clone(&pull));
            let silent_after = Arc::clone(&silent_after);
            move || carry(line, &name, &cuts, &stop, &pull, &silent_after)
        });
        Self { stop, pull, silent_after, carrier: Some(carrier) }
    }

    /// Lets it carry so many bytes more, both ways together, and none after them: it stays plugged in, as one whose wire broke.
    pub fn breaks_after(&self, bytes: u64) {
        self.silent_after.store(bytes, Ordering::Relaxed);
    }

    /// True once its wire broke.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.silent_after.load(Ordering::Relaxed) == 0
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
        // The pair's own are inherited by every program that another test starts, and in its hands the line would never hang up; copies
        // are closed there.
        let kept = |port: TTYPort| port.try_clone_native().expect("a copy");
        let (near, far) = TTYPort::pair().expect("a pseudo-terminal");
        let (mut near, far) = (kept(near), kept(far));
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
    silent_after: &AtomicU64,
) -> Vec<Duration> {
    // Counts down what is carried until the wire breaks; the whole of what was read at once goes, or nothing.
    let carries = |len: usize| {
        let count = |left| (left < u64::MAX).then_some(u64::saturating_sub(left, len as u64));
        let counted = silent_after.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count);
        // The error is that nothing is counted down.
        counted.map_or(true, |left| left > 0)
    };
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
        if carries(len) {
            let _ = plug.near.write_all(&down[..len]);
        }
        let before = plug.carried;
        plug.carried += len as u64;
        if was_out && before < GOES_ON_BYTES && plug.carried >= GOES_ON_BYTES {
            resumed.push(plug.since.elapsed());
        }
        if let Ok(len) = plug.near.read(&mut up)
            && carries(len)
        {
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
