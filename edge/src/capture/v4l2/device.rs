//! The device itself, through crate `v4l`: opening, what it offers, its controls, its buffers in shared memory.
//!
//! Owns every call to the driver and nothing else: choices, checks and the course after a fault are its neighbours'.
//! Refuses devices of several planes, which the crate cannot read.

use super::choice::{self, Choice, Offer, Sizes, choose, name};
use super::layout::Layout;
use super::pump::{Buffer, Driver, Stream};
use crate::config::{CameraConfig, CameraFormat};
use crate::notices::Notices;
use crate::unit::CameraFault;
use std::io::{self, ErrorKind};
use std::time::Duration;
use v4l::buffer::{Flags, Type};
use v4l::capability::Flags as Abilities;
use v4l::control::{Control, Value};
use v4l::format::FourCC;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::io::traits::{CaptureStream as _, Stream as _};
use v4l::video::Capture as _;
use v4l::video::capture::Parameters;
use v4l::{Device, Fraction, io::mmap};

/// Buffers of a driver: one that we copy from, and others for it to fill meanwhile.
const BUFFERS: u32 = 4;

/// How long a device may take from its start to its first picture; longer than a webcam's exposure control, and the thread
/// cannot be stopped meanwhile.
const FIRST: Duration = super::mailbox::STUCK;

/// `POLLIN` of poll(2): there is something to read.
const POLLIN: i16 = 1;

/// Controls by V4L2's numbers (v4l2-controls.h), their classes' bases being 0x00980900 and 0x009a0900.
const BACKLIGHT_COMPENSATION: u32 = 0x0098_091c;
const AUTOGAIN: u32 = 0x0098_0912;
const GAIN: u32 = 0x0098_0913;
const EXPOSURE_AUTO: u32 = 0x009a_0901;
const EXPOSURE_ABSOLUTE: u32 = 0x009a_0902;
/// Values of `EXPOSURE_AUTO`: everything by itself, by hand, and time by itself with a fixed aperture, which is what
/// webcams call automatic.
const EXPOSURE_BY_ITSELF: i64 = 0;
const EXPOSURE_BY_HAND: i64 = 1;
const EXPOSURE_TIME_BY_ITSELF: i64 = 3;

/// A V4L2 device and what is wished of it.
pub(super) struct V4l2 {
    name: String,
    wish: CameraConfig,
    notices: Notices,
    /// What was told of the last opening, so that a plug that is loose does not fill the notices.
    told: String,
}

impl V4l2 {
    pub(super) fn new(wish: &CameraConfig, notices: &Notices) -> Self {
        Self {
            name: wish.source.display().to_string(),
            wish: wish.clone(),
            notices: notices.clone(),
            told: String::new(),
        }
    }

    /// The error of a call, in words.
    fn fault(&self, what: &str, error: &io::Error) -> CameraFault {
        let name = &self.name;
        let words = match (error.kind(), error.raw_os_error()) {
            // ENODEV and ENXIO: a node without its device.
            (ErrorKind::NotFound, _) | (_, Some(6 | 19)) => {
                "is not there: plug the camera in, or name another device".to_owned()
            }
            (ErrorKind::PermissionDenied, _) => {
                "may not be opened: put the unit's user into the device's group (video)".to_owned()
            }
            (ErrorKind::ResourceBusy, _) => {
                "is in use by another program: stop that one".to_owned()
            }
            // ENOTTY: no device of this kind.
            (_, Some(25)) => "is no camera: name a V4L2 capture device".to_owned(),
            _ => format!("failed at {what} ({error}): unplug it and plug it in again"),
        };
        CameraFault(format!("{name} {words}"))
    }

    fn tell(&mut self, words: String) {
        if words != self.told {
            self.notices.tell(&format!("camera: {} {words}", self.name));
            self.told = words;
        }
    }
}

impl Driver for V4l2 {
    fn name(&self) -> &str {
        &self.name
    }

    fn open(&mut self) -> Result<Box<dyn Stream>, CameraFault> {
        let worded = |words: String| CameraFault(format!("{} {words}", self.name));
        let device =
            Device::with_path(&self.wish.source).map_err(|error| self.fault("opening", &error))?;
        let able = device.query_caps().map_err(|error| self.fault("its abilities", &error))?;
        if !able.capabilities.contains(Abilities::VIDEO_CAPTURE | Abilities::STREAMING) {
            return Err(worded(format!(
                "({}) is no camera of one plane that streams: name another device; a camera may have several",
                able.card
            )));
        }
        let offers = offers(&device).map_err(|error| self.fault("its formats", &error))?;
        let rates = |offer: &Offer, size| rates(&device, offer, size);
        let choice = choose(&offers, &self.wish, rates).map_err(worded)?;
        let [width, height] = choice.size;
        let wanted = v4l::Format::new(width, height, FourCC::new(&choice.fourcc));
        let told =
            device.set_format(&wanted).map_err(|error| self.fault("setting the format", &error))?;
        let layout = Layout::agreed(&choice, &told).map_err(worded)?;
        let rate = set_rate(&device, &choice, self.wish.fps);
        let refused = set_controls(&device, &self.wish);
        let mut stream = mmap::Stream::with_buffers(&device, Type::VideoCapture, BUFFERS)
            .map_err(|error| self.fault("its buffers", &error))?;
        stream.set_timeout(FIRST);
        let mut words = format!(
            "({}) gives {} of {} x {} px",
            able.card,
            name(layout.format),
            layout.width,
            layout.height
        );
        if let Some(rate) = rate {
            words.push_str(&format!(", {rate} a second"));
        }
        if !matches!(layout.format, CameraFormat::Rgb24 | CameraFormat::Grey | CameraFormat::Mjpeg)
        {
            words.push_str(&format!(", {:?} {:?}", layout.colour.matrix, layout.colour.range));
        }
        for control in refused {
            words.push_str(&format!("; it does not take {control} of [camera]"));
        }
        self.tell(words);
        Ok(Box::new(Streaming { stream: Some(stream), layout, begun: false }))
    }
}

/// What a device offers of the formats that we take.
fn offers(device: &Device) -> io::Result<Vec<Offer>> {
    let formats = device.enum_formats()?;
    Ok(formats
        .into_iter()
        .filter_map(|found| {
            let fourcc = found.fourcc;
            let format = CameraFormat::of(fourcc.repr)?;
            // A driver that lists no sizes takes any and gives the nearest.
            let sizes = device.enum_framesizes(fourcc).unwrap_or_default();
            let sizes = sizes.into_iter().map(|found| match found.size {
                FrameSizeEnum::Discrete(size) => Sizes::One([size.width, size.height]),
                FrameSizeEnum::Stepwise(sizes) => Sizes::Steps {
                    least: [sizes.min_width, sizes.min_height],
                    most: [sizes.max_width, sizes.max_height],
                    step: [sizes.step_width, sizes.step_height],
                },
            });
            Some(Offer { format, fourcc: fourcc.repr, sizes: sizes.collect() })
        })
        .collect())
}

/// The rates of one format and size, in millihertz.
fn rates(device: &Device, offer: &Offer, [width, height]: [u32; 2]) -> Vec<u32> {
    let fourcc = FourCC::new(&offer.fourcc);
    // A driver that lists none has one, or none that can be set.
    let found = device.enum_frameintervals(fourcc, width, height).unwrap_or_default();
    let mut rates = Vec::new();
    for interval in found {
        match interval.interval {
            FrameIntervalEnum::Discrete(interval) => rates.extend(choice::rate_mhz(interval)),
            // The steps between do not matter: a driver takes the nearest.
            FrameIntervalEnum::Stepwise(intervals) => {
                rates.extend(choice::rate_mhz(intervals.min));
                rates.extend(choice::rate_mhz(intervals.max));
            }
        }
    }
    rates
}

/// Sets the rate; what the device says it is then. `None` if it does not say.
fn set_rate(device: &Device, choice: &Choice, fps: u32) -> Option<f64> {
    // A device that lists its rates gets one of them.
    let mhz = choice.rate_mhz.unwrap_or(fps * 1000);
    let wanted = Parameters::new(Fraction::new(1000, mhz));
    let set = device.set_params(&wanted).or_else(|_| device.params()).ok()?;
    choice::rate_mhz(set.interval).map(|mhz| f64::from(mhz) / 1000.0)
}

/// Sets exposure, gain and compensation; the keys of those that the device did not take.
/// Automatic ones are set too: a device keeps what another program left until it is unplugged.
fn set_controls(device: &Device, wish: &CameraConfig) -> Vec<&'static str> {
    let integer = |id, value| device.set_control(Control { id, value: Value::Integer(value) });
    let boolean = |id, value| device.set_control(Control { id, value: Value::Boolean(value) });
    let mut refused = Vec::new();
    match wish.exposure {
        Some(time) => {
            let by_hand = integer(EXPOSURE_AUTO, EXPOSURE_BY_HAND);
            if by_hand.and_then(|()| integer(EXPOSURE_ABSOLUTE, i64::from(time))).is_err() {
                refused.push("exposure");
            }
        }
        // A device has one of the two, or neither.
        None => {
            let _ = integer(EXPOSURE_AUTO, EXPOSURE_TIME_BY_ITSELF)
                .or_else(|_| integer(EXPOSURE_AUTO, EXPOSURE_BY_ITSELF));
        }
    }
    // Few devices have an automatic gain of its own; of the others exposure's automatic moves it.
    let _ = boolean(AUTOGAIN, wish.gain.is_none());
    if let Some(gain) = wish.gain
        && integer(GAIN, i64::from(gain)).is_err()
    {
        refused.push("gain");
    }
    if let Some(backlight) = wish.backlight
        && integer(BACKLIGHT_COMPENSATION, i64::from(backlight)).is_err()
    {
        refused.push("backlight");
    }
    refused
}

/// A device that streams.
struct Streaming {
    /// `None` only while it is dropped.
    stream: Option<mmap::Stream<'static>>,
    layout: Layout,
    /// A first picture came, which means that every buffer but one is the driver's.
    begun: bool,
}

impl Stream for Streaming {
    fn layout(&self) -> Layout {
        self.layout
    }

    fn next(&mut self, patience: Duration) -> io::Result<Option<Buffer<'_>>> {
        let Some(stream) = self.stream.as_mut() else { return Ok(None) };
        // The first call gives all buffers to the driver, starts it and waits. A later call gives back the buffer that was
        // read, and must not be made before another one is ready: after a wait in vain it would give it back twice.
        if self.begun {
            let patience_ms = i32::try_from(patience.as_millis()).unwrap_or(i32::MAX);
            match stream.handle().poll(POLLIN, patience_ms) {
                Ok(0) => return Ok(None),
                // A signal came; whoever asked looks whether to go on.
                Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(None),
                ready => ready?,
            };
        }
        let (bytes, meta) = stream.next()?;
        self.begun = true;
        let clock = meta.flags & Flags::TIMESTAMP_MASK;
        let stamped = (clock == Flags::TIMESTAMP_MONOTONIC).then(|| {
            let micros = u64::try_from(meta.timestamp.usec).unwrap_or(0);
            let seconds = u64::try_from(meta.timestamp.sec).unwrap_or(0);
            Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros))
        });
        Ok(Some(Buffer {
            bytes,
            used: meta.bytesused as usize,
            damaged: meta.flags.contains(Flags::ERROR),
            sequence: meta.sequence,
            stamped,
        }))
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            let_go(stream, |stream| stream.stop());
        }
    }
}

/// Stops a stream and drops it. The crate panics, and on its way out once more, if a stream cannot be stopped for another reason than
/// that it is gone (ENODEV). Such a device is left open: better a few pages that are lost than a unit that is.
fn let_go<S>(mut stream: S, stop: impl FnOnce(&mut S) -> io::Result<()>) {
    if let Err(error) = stop(&mut stream)
        && error.raw_os_error() != Some(19)
    {
        std::mem::forget(stream);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// What counts how often it is dropped.
    struct Held<'a>(&'a Cell<u32>);

    impl Drop for Held<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn a_stream_that_cannot_be_stopped_is_left_open_and_every_other_one_is_closed_once() {
        // STREAMOFF that works, of a device that is gone (ENODEV), and that fails (EIO, EBUSY, EINVAL).
        for (errno, closed) in
            [(None, 1), (Some(19), 1), (Some(5), 0), (Some(16), 0), (Some(22), 0)]
        {
            let drops = Cell::new(0);
            let_go(Held(&drops), |_| {
                errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
            });
            assert_eq!(drops.get(), closed, "{errno:?}");
        }
    }
}
