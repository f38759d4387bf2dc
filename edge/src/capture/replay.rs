//! A folder as a camera: every picture that appears in it is a visit.
//!
//! Owns the order (names), the pace (some frames of one picture, at a camera's intervals), and when a file is whole: its
//! size and time are the same in two looks. Pictures that are there at the start are shown too.
//! A picture that cannot be read is a fault of the camera for its visit, not for the next.
//! One picture shown several times is the same evidence several times over: fit for demonstrations and tests only.

use crate::unit::{Camera, CameraFault, Clock, Event};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use threshold_models::frame::Frame;
use threshold_models::picture;

/// Frames of one picture: the policy's window of five, and some for those that come too late to count.
const FRAMES: u32 = 8;

/// Time between two frames, as of a camera of 25 frames a second.
const INTERVAL_MS: u64 = 40;

/// Time between two looks at the folder.
const LOOK_MS: u64 = 50;

/// Endings of picture files, without regard to case.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// Size and time of a file, which change while it is written.
type Stamp = (u64, SystemTime);

/// What comes next of the picture that is shown.
enum Showing {
    /// Nothing is shown.
    Nothing,
    /// The arrival was told; the picture is not read yet.
    Arrived(PathBuf),
    /// Frames are left to show, the next one from `due_ms` on.
    Frames { frame: Frame, left: u32, due_ms: u64 },
    /// The departure is left to tell.
    Leaving,
}

/// A folder that replays as a camera.
pub struct Replay {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
    showing: Showing,
    sequence: u64,
    /// Files as the last look found them.
    seen: BTreeMap<OsString, Stamp>,
    /// Files as they were when they were shown.
    shown: BTreeMap<OsString, Stamp>,
}

impl Replay {
    /// A camera over that folder.
    ///
    /// # Errors
    /// [`CameraFault`] if it is no folder that can be listed.
    pub fn open(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, CameraFault> {
        let mut replay = Self {
            folder: folder.to_path_buf(),
            clock,
            showing: Showing::Nothing,
            sequence: 0,
            seen: BTreeMap::new(),
            shown: BTreeMap::new(),
        };
        replay.look()?;
        Ok(replay)
    }

    /// Looks at the folder; the first whole picture that was not shown yet, in the order of names.
    fn look(&mut self) -> Result<Option<PathBuf>, CameraFault> {
        let fault = |error: std::io::Error| {
            let folder = self.folder.display();
            CameraFault(format!(
                "the folder {folder} cannot be read: {error}; make it, or name another with --camera"
            ))
        };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            // A file that was taken away since is no fault.
            let Ok(meta) = std::fs::metadata(entry.path()) else { continue };
            if meta.is_file() && is_picture(&entry.path()) {
                let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                found.insert(entry.file_name(), (meta.len(), changed));
            }
        }
        let next = found.iter().find(|(name, stamp)| {
            self.seen.get(*name) == Some(stamp) && self.shown.get(*name) != Some(stamp)
        });
        let next = next.map(|(name, &stamp)| (name.clone(), stamp));
        self.seen = found;
        Ok(next.map(|(name, stamp)| {
            let path = self.folder.join(&name);
            self.shown.insert(name, stamp);
            path
        }))
    }
}

impl Camera for Replay {
    fn next(&mut self, patience: Duration) -> Result<Event, CameraFault> {
        match std::mem::replace(&mut self.showing, Showing::Nothing) {
            Showing::Nothing => {
                std::thread::sleep(patience.min(Duration::from_millis(LOOK_MS)));
                let Some(path) = self.look()? else { return Ok(Event::Nothing) };
                self.showing = Showing::Arrived(path);
                Ok(Event::Arrival)
            }
            Showing::Arrived(path) => {
                self.showing = Showing::Leaving;
                let frame = picture::read(&path).map_err(|error| CameraFault(error.to_string()))?;
                let due_ms = self.clock.monotonic_ms();
                self.showing = Showing::Frames { frame, left: FRAMES, due_ms };
                Ok(Event::Nothing)
            }
            Showing::Frames { left: 0, .. } | Showing::Leaving => Ok(Event::Departure),
            Showing::Frames { mut frame, left, due_ms } => {
                let wait = Duration::from_millis(due_ms.saturating_sub(self.clock.monotonic_ms()));
                std::thread::sleep(wait.min(patience));
                if wait > patience {
                    self.showing = Showing::Frames { frame, left, due_ms };
                    return Ok(Event::Nothing);
                }
                self.sequence += 1;
                frame.sequence = self.sequence;
                frame.captured_at_ms = self.clock.monotonic_ms();
                let due_ms = frame.captured_at_ms + INTERVAL_MS;
                let shown = frame.clone();
                self.showing = Showing::Frames { frame, left: left - 1, due_ms };
                Ok(Event::Frame(shown))
            }
        }
    }
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}
