//! A V4L2 device as a camera.
//!
//! Owns what the loop sees of it: the newest picture as a frame, within the loop's patience, or a fault in words. A frame
//! whose bytes were there before is never handed on ([`freeze`]), nor one that does not decode. Nothing becomes RGB here but a
//! JPEG: the frame has the camera's own bytes, in the buffer that the thread wrote them to, and the loop gives it back.
//! The parts: [`choice`] and [`layout`] say what is asked for and what is taken, [`device`] calls the driver, [`pump`] is
//! the thread that does so, [`mailbox`] lies between it and the loop, [`stamp`] maps the
//! driver's clock, [`shade`] notices a covered lens.

mod choice;
mod device;
mod freeze;
mod layout;
mod mailbox;
mod pump;
mod shade;
mod stamp;

use crate::config::CameraConfig;
use crate::notices::Notices;
use crate::unit::{Camera, CameraFault, Clock, Event};
use freeze::{Freeze, Seen};
use layout::Damage;
use mailbox::{Found, Mailbox, Raw};
use pump::Driver;
use shade::Shade;
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_models::frame::{Buffers, Frame};
use threshold_models::raw::RawFrame;

/// Pictures in a row that must decode after ones that did not, before the camera counts as mended: one that now and then
/// sends a good one would fill the log with its mending.
const MENDED: u32 = 50;

/// A camera behind a V4L2 device, which may come and go.
pub struct V4l2Camera {
    name: String,
    mailbox: Mailbox,
    notices: Notices,
    /// The picture that was read last; its buffer goes round.
    read: Option<Raw>,
    /// Where a frame becomes RGB; the loop has it with the frame.
    rgb: Vec<u8>,
    freeze: Freeze,
    frozen: bool,
    shade: Shade,
    /// Pictures in a row that did not decode.
    undecoded: u32,
    /// Pictures that must decode before the camera counts as mended.
    mending: u32,
    /// What decoding and judging the last picture took.
    making: Duration,
}

impl V4l2Camera {
    /// A camera over the device that the configuration names. Whether it is there is found by the camera's own thread.
    ///
    /// # Errors
    /// [`CameraFault`] if there is no thread to be had.
    pub fn open(
        wish: &CameraConfig,
        clock: Arc<dyn Clock>,
        notices: &Notices,
    ) -> Result<Self, CameraFault> {
        Self::over(device::V4l2::new(wish, notices), clock, notices)
    }

    fn over(
        driver: impl Driver + 'static,
        clock: Arc<dyn Clock>,
        notices: &Notices,
    ) -> Result<Self, CameraFault> {
        let name = driver.name().to_owned();
        let mailbox = Mailbox::new(&name);
        let of_thread = mailbox.clone();
        std::thread::Builder::new()
            .name("capture".to_owned())
            .spawn(move || pump::run(driver, &of_thread, &clock))
            .map_err(|error| {
                CameraFault(format!("no thread for {name} ({error}): start the unit again"))
            })?;
        Ok(Self {
            name,
            mailbox,
            notices: notices.clone(),
            read: None,
            rgb: Vec::new(),
            freeze: Freeze::default(),
            frozen: false,
            shade: Shade::default(),
            undecoded: 0,
            mending: 0,
            making: Duration::ZERO,
        })
    }

    /// What a picture is to the loop.
    fn judge(&mut self, mut picture: Raw) -> Result<Event, CameraFault> {
        let decoded = self.decode(&mut picture);
        self.read = Some(picture);
        let Some(frame) = decoded? else { return Ok(Event::Nothing) };
        match self.is_live(&frame) {
            Ok(true) => Ok(Event::Frame(frame)),
            judged => {
                self.take_back(frame);
                judged.map(|_| Event::Nothing)
            }
        }
    }

    /// The frame of a picture, in its buffer; none of one that does not decode.
    fn decode(&mut self, picture: &mut Raw) -> Result<Option<Frame>, CameraFault> {
        let Some(layout) = picture.layout else { return Ok(None) };
        let (bytes, rgb) = (std::mem::take(&mut picture.bytes), std::mem::take(&mut self.rgb));
        let mut buffers = Buffers { bytes, rgb };
        let decoded = layout.frame(&mut buffers);
        // What the frame did not take.
        (picture.bytes, self.rgb) = (buffers.bytes, buffers.rgb);
        match decoded {
            Ok(mut frame) => {
                self.undecoded = 0;
                frame.sequence = picture.sequence;
                frame.captured_at_ms = picture.captured_at_ms;
                Ok(Some(frame))
            }
            Err(Damage(words)) => {
                self.mailbox.lost(0, 1);
                self.undecoded += 1;
                let is_fault = self.undecoded >= pump::DAMAGED_IN_A_ROW;
                if is_fault || self.mending > 0 {
                    self.mending = MENDED;
                }
                if !is_fault {
                    return Ok(None);
                }
                Err(CameraFault(format!(
                    "{} {words}, {} times in a row: name another format in [camera]",
                    self.name, self.undecoded
                )))
            }
        }
    }

    /// Whether a frame is one of a camera that is live and in order.
    fn is_live(&mut self, frame: &Frame) -> Result<bool, CameraFault> {
        if self.mending > 0 {
            self.mending -= 1;
            return Ok(false);
        }
        let seen = self.freeze.look(digest(frame), frame.captured_at_ms);
        let was = std::mem::replace(&mut self.frozen, seen == Seen::Frozen);
        match seen {
            Seen::Live => {
                if self.shade.look(frame) {
                    self.notices.tell(&format!(
                        "camera: {} has shown one shade for a while: its lens is covered, or there is no light",
                        self.name
                    ));
                }
                Ok(true)
            }
            Seen::Repeated => Ok(false),
            Seen::Frozen => {
                // Once: a camera that hangs may come back by that, and one that is in the dark does not.
                if !was {
                    self.mailbox.restart();
                }
                Err(CameraFault(format!(
                    "{} shows the same picture again and again: it hangs, or its lens is covered; unplug it and plug it in again",
                    self.name
                )))
            }
        }
    }
}

/// Of the bytes that came; what lies between the rows is no picture, and a driver may leave anything there.
fn digest(frame: &Frame) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for row in RawFrame::of(frame).rows() {
        hasher.update(row);
    }
    *hasher.finalize().as_bytes()
}

impl Camera for V4l2Camera {
    fn dropped(&self) -> u64 {
        self.mailbox.counts().dropped
    }

    fn next(&mut self, patience: Duration) -> Result<Event, CameraFault> {
        match self.mailbox.take(self.read.take(), patience) {
            Found::Picture(picture) => {
                let start = Instant::now();
                let judged = self.judge(picture);
                self.making = start.elapsed();
                judged
            }
            Found::Nothing => Ok(Event::Nothing),
            Found::Fault(fault) => Err(fault),
        }
    }

    fn making(&self) -> Duration {
        self.making
    }

    fn take_back(&mut self, frame: Frame) {
        let Buffers { bytes, rgb } = frame.into_buffers();
        match &mut self.read {
            Some(read) if read.bytes.is_empty() => (read.bytes, self.rgb) = (bytes, rgb),
            // Made of a JPEG, which stayed here.
            _ => self.rgb = bytes,
        }
    }

    fn fault(&self) -> Option<CameraFault> {
        self.mailbox.standing()
    }
}

impl Drop for V4l2Camera {
    fn drop(&mut self) {
        // The thread ends by itself; it is not waited for, since a driver may hold it.
        self.mailbox.stop();
        let counts = self.mailbox.counts();
        self.notices.tell(&format!(
            "camera: {} gave {} frames, {} dropped, {} damaged",
            self.name, counts.captured, counts.dropped, counts.damaged
        ));
    }
}

#[cfg(test)]
mod tests;
