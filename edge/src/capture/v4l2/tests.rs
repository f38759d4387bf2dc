//! A camera over a device that a test plays: it stalls, lies, is unplugged and plugged in again.

#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use super::layout::Layout;
use super::pump::{Buffer, DAMAGED_IN_A_ROW, Driver, Stream};
use super::*;
use crate::clock::SystemClock;
use crate::config::CameraFormat;
use std::collections::VecDeque;
use std::sync::Mutex;
use threshold_models::raw::{Colour, PixelFormat, PixelLayout};

/// Sides of the device's pictures, which are grey where a test says nothing else, so that a frame's bytes are the buffer's three times
/// over.
const SIDE: usize = 8;
const BYTES: usize = SIDE * SIDE;

/// What the device does at the next call.
enum Act {
    /// Gives a picture of this brightness.
    Picture(u8),
    /// Gives a buffer that says it holds so many bytes.
    Says(usize),
    /// Gives a picture that it calls damaged itself.
    Damaged,
    /// Counts so many pictures that nobody gets.
    Skips(u32),
    /// Fails with this error; the stream is over.
    Fails(i32),
    /// Says what makes the code below panic.
    Nonsense,
}

/// What the test and the device share.
#[derive(Default)]
struct Script {
    acts: VecDeque<Act>,
    /// Why it cannot be opened, while it cannot.
    missing: Option<&'static str>,
    /// What its pictures are, if not grey.
    format: Option<CameraFormat>,
    opened: usize,
    closed: usize,
}

#[derive(Clone, Default)]
struct Device(Arc<Mutex<Script>>);

struct Playing {
    script: Device,
    format: CameraFormat,
    buffer: Vec<u8>,
    sequence: u32,
}

impl Playing {
    /// A picture of that brightness without colours, as the format has it.
    fn fill(&mut self, byte: u8) {
        const NO_COLOUR: u8 = 128;
        self.buffer = match self.format {
            CameraFormat::Grey => vec![byte; BYTES],
            CameraFormat::Rgb24 => vec![byte; 3 * BYTES],
            CameraFormat::Yuyv => [byte, NO_COLOUR].repeat(BYTES),
            CameraFormat::Uyvy => [NO_COLOUR, byte].repeat(BYTES),
            CameraFormat::Nv12 => [vec![byte; BYTES], vec![NO_COLOUR; BYTES / 2]].concat(),
            CameraFormat::Mjpeg => {
                let (mut jpeg, side) = (Vec::new(), SIDE as u32);
                let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
                let rgb = image::ExtendedColorType::Rgb8;
                image::ImageEncoder::write_image(encoder, &[byte; 3 * BYTES], side, side, rgb)
                    .unwrap();
                jpeg
            }
        };
    }
}

impl Device {
    fn with<T>(&self, change: impl FnOnce(&mut Script) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    fn acts(&self, acts: impl IntoIterator<Item = Act>) {
        self.with(|script| script.acts.extend(acts));
    }
}

impl Driver for Device {
    fn name(&self) -> &str {
        "/dev/video7"
    }

    fn open(&mut self) -> Result<Box<dyn Stream>, CameraFault> {
        let script = self.clone();
        self.with(|opened| match opened.missing {
            Some(why) => Err(CameraFault(why.to_owned())),
            None => {
                opened.opened += 1;
                let format = opened.format.unwrap_or(CameraFormat::Grey);
                Ok(Box::new(Playing { script, format, buffer: vec![0; BYTES], sequence: 0 }) as _)
            }
        })
    }
}

impl Stream for Playing {
    fn layout(&self) -> Layout {
        let stride = match self.format {
            CameraFormat::Grey | CameraFormat::Nv12 => SIDE,
            CameraFormat::Yuyv | CameraFormat::Uyvy => 2 * SIDE,
            CameraFormat::Rgb24 => 3 * SIDE,
            CameraFormat::Mjpeg => 0,
        };
        Layout { format: self.format, width: SIDE, height: SIDE, stride, colour: Colour::default() }
    }

    fn next(&mut self, patience: Duration) -> std::io::Result<Option<Buffer<'_>>> {
        let act = self.script.with(|script| script.acts.pop_front());
        let (mut used, mut damaged) = (None, false);
        match act {
            None => {
                std::thread::park_timeout(patience.min(Duration::from_millis(5)));
                return Ok(None);
            }
            Some(Act::Picture(byte)) => self.fill(byte),
            Some(Act::Says(said)) => used = Some(said),
            Some(Act::Damaged) => damaged = true,
            Some(Act::Skips(skipped)) => {
                self.sequence = self.sequence.wrapping_add(skipped);
                return Ok(None);
            }
            Some(Act::Fails(error)) => return Err(std::io::Error::from_raw_os_error(error)),
            Some(Act::Nonsense) => std::panic::resume_unwind(Box::new("an impossible answer")),
        }
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = &self.buffer;
        let used = used.unwrap_or(bytes.len());
        Ok(Some(Buffer { bytes, used, damaged, sequence: self.sequence, stamped: None }))
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.script.with(|script| script.closed += 1);
    }
}

fn camera(device: &Device) -> V4l2Camera {
    let notices = Notices::to(Box::new(std::io::sink()));
    V4l2Camera::over(device.clone(), Arc::new(SystemClock::start()), &notices).unwrap()
}

/// Asks the camera until something is there that the test waits for.
fn until<T>(
    camera: &mut V4l2Camera,
    mut wanted: impl FnMut(&Result<Event, CameraFault>) -> Option<T>,
) -> T {
    let patience = Duration::from_millis(20);
    let begun = Instant::now();
    loop {
        let event = camera.next(patience);
        if let Some(found) = wanted(&event) {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the last event is {event:?}");
    }
}

fn frame(camera: &mut V4l2Camera) -> u8 {
    until(camera, |event| match event {
        Ok(Event::Frame(frame)) => Some(frame.rgb()[0]),
        _ => None,
    })
}

fn fault(camera: &mut V4l2Camera) -> String {
    until(camera, |event| event.as_ref().err().map(ToString::to_string))
}

#[test]
fn frames_come_in_order_with_their_own_number_and_instant() {
    let device = Device::default();
    let mut camera = camera(&device);
    let mut last = (0, 0);
    for byte in 1..=4 {
        device.acts([Act::Picture(byte)]);
        last = until(&mut camera, |event| {
            let Ok(Event::Frame(frame)) = event else { return None };
            assert_eq!((frame.width(), frame.height(), frame.rgb()[0]), (SIDE, SIDE, byte));
            assert!(frame.sequence > last.0 && frame.captured_at_ms >= last.1);
            Some((frame.sequence, frame.captured_at_ms))
        });
        assert!(camera.making() > Duration::ZERO, "it was looked at whether it is a new one");
    }
    assert_eq!(camera.fault(), None);
}

/// From the device's buffer through the camera's thread to the loop, and the look for repeated pictures on it.
#[test]
fn every_format_comes_through_whole_and_a_picture_that_repeats_does_not() {
    for format in [
        CameraFormat::Rgb24,
        CameraFormat::Yuyv,
        CameraFormat::Uyvy,
        CameraFormat::Nv12,
        CameraFormat::Mjpeg,
        CameraFormat::Grey,
    ] {
        let device = Device::default();
        device.with(|script| script.format = Some(format));
        let mut camera = camera(&device);
        let mut last = 0;
        for byte in [40, 90, 140, 200] {
            device.acts([Act::Picture(byte)]);
            let (size, rgb) = until(&mut camera, |event| match event {
                Ok(Event::Frame(frame)) => {
                    Some(((frame.width(), frame.height()), frame.rgb().to_vec()))
                }
                _ => None,
            });
            assert_eq!((size, rgb.len()), ((SIDE, SIDE), 3 * BYTES), "{format:?}");
            let of_one = rgb[0];
            assert!(rgb.iter().all(|&of| of == of_one), "{format:?}: {rgb:?}");
            // Limited range is spread; JPEG rounds.
            assert!(of_one > last && of_one.abs_diff(byte) <= 20, "{format:?}: {of_one} of {byte}");
            last = of_one;
        }
        let taken = camera.mailbox.counts().captured;
        device.acts([Act::Picture(200), Act::Picture(90)]);
        while camera.mailbox.counts().captured < taken + 2 {
            let event = camera.next(Duration::from_millis(5));
            assert!(!matches!(event, Ok(Event::Frame(_))), "{format:?}: {event:?}");
        }
    }
}

#[test]
fn a_loop_that_is_slow_gets_the_newest_frame_and_the_others_are_counted() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts((1..=9).map(Act::Picture).chain([Act::Skips(5), Act::Picture(10)]));
    while camera.mailbox.counts().captured < 10 {
        std::thread::yield_now();
    }
    assert_eq!(frame(&mut camera), 10);
    assert_eq!(camera.mailbox.counts().dropped, 9 + 5);
    assert!(matches!(camera.next(Duration::ZERO), Ok(Event::Nothing)));
}

#[test]
fn a_frames_memory_goes_round_and_only_who_asks_for_rgb_has_it_made() {
    let device = Device::default();
    let mut camera = camera(&device);
    let (mut bytes, mut rgb) = (Vec::new(), Vec::new());
    for byte in 1..=40 {
        device.acts([Act::Picture(byte)]);
        let frame = loop {
            if let Ok(Event::Frame(frame)) = camera.next(Duration::from_millis(20)) {
                break frame;
            }
        };
        assert!(!frame.is_converted(), "nobody asked");
        assert!(frame.rgb().iter().all(|&grey| grey == byte));
        bytes.push(RawFrame::of(&frame).bytes().as_ptr() as usize);
        rgb.push(frame.rgb().as_ptr() as usize);
        camera.take_back(frame);
    }
    let places = |of: &mut Vec<usize>| {
        of.sort_unstable();
        of.dedup();
        of.len()
    };
    assert!(places(&mut bytes) <= 3, "the thread's, the mailbox's and the loop's");
    assert_eq!(places(&mut rgb), 1);
}

#[test]
fn filling_between_the_rows_is_no_part_of_a_picture() {
    let frame = |fill: u8, last: u8| {
        let mut bytes = vec![fill; 4 * 7];
        for row in bytes.chunks_exact_mut(7) {
            row[..6].fill(50);
        }
        bytes[3 * 7 + 5] = last;
        let layout = PixelLayout::new(PixelFormat::Grey, [6, 4], 7, Colour::default()).unwrap();
        Frame::from_camera(layout, Buffers { bytes, rgb: Vec::new() }).unwrap()
    };
    assert_eq!(digest(&frame(0, 50)), digest(&frame(99, 50)));
    assert_ne!(digest(&frame(0, 50)), digest(&frame(0, 51)));
}

#[test]
fn a_camera_that_is_unplugged_is_a_fault_and_mends_when_it_is_plugged_in_again() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts([Act::Picture(1)]);
    assert_eq!(frame(&mut camera), 1);
    device.with(|script| script.missing = Some("/dev/video7 is not there: plug the camera in"));
    device.acts([Act::Fails(19)]);
    assert!(fault(&mut camera).contains("/dev/video7 stopped"));
    until(&mut camera, |event| {
        event.as_ref().err().filter(|fault| fault.0.contains("is not there")).map(|_| ())
    });
    assert!(camera.fault().is_some());
    device.with(|script| script.missing = None);
    device.acts([Act::Picture(2)]);
    assert_eq!(frame(&mut camera), 2);
    assert_eq!(camera.fault(), None);
    assert_eq!(device.with(|script| (script.opened, script.closed)), (2, 1));
}

#[test]
fn a_camera_that_was_never_there_is_a_fault_at_once_and_may_come_later() {
    let device = Device::default();
    device.with(|script| script.missing = Some("/dev/video7 is not there: plug the camera in"));
    let mut camera = camera(&device);
    assert!(camera.fault().is_some());
    assert!(fault(&mut camera).contains("plug the camera in"));
    device.with(|script| script.missing = None);
    device.acts([Act::Picture(3)]);
    assert_eq!(frame(&mut camera), 3);
}

#[test]
fn a_camera_that_stalls_does_not_hold_the_loop_and_is_a_fault_after_a_while() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts([Act::Picture(1)]);
    frame(&mut camera);
    let begun = Instant::now();
    assert!(matches!(camera.next(Duration::from_millis(10)), Ok(Event::Nothing)));
    assert!(begun.elapsed() < mailbox::STUCK);
    assert!(fault(&mut camera).contains("has given no frame for 3 s"));
    assert!(begun.elapsed() >= mailbox::STUCK);
    device.acts([Act::Picture(2)]);
    assert_eq!(frame(&mut camera), 2);
}

#[test]
fn a_camera_that_lies_about_its_size_is_a_fault_and_one_bad_buffer_is_not() {
    for (bad, expected) in [
        (Act::Says as fn(usize) -> Act, "sent 63 bytes of a picture of 64"),
        (|_| Act::Says(0), "sent an empty buffer"),
        (|_| Act::Says(65), "says that a buffer of 64 bytes holds 65"),
        (|_| Act::Damaged, "calls damaged itself"),
    ] {
        let device = Device::default();
        let mut camera = camera(&device);
        for byte in 1..=4 {
            device.acts([bad(63), Act::Picture(byte)]);
            assert_eq!(frame(&mut camera), byte);
        }
        assert_eq!(camera.mailbox.counts().damaged, 4);
        device.acts((0..DAMAGED_IN_A_ROW).map(|_| bad(63)));
        let words = fault(&mut camera);
        assert!(words.contains(expected) && words.contains("5 times in a row"), "{words}");
        device.acts([Act::Picture(9)]);
        assert_eq!(frame(&mut camera), 9);
    }
}

#[test]
fn a_driver_that_says_what_cannot_be_is_a_fault_and_is_tried_again() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts([Act::Nonsense]);
    assert!(fault(&mut camera).contains("says what no camera can"));
    device.acts([Act::Picture(4)]);
    assert_eq!(frame(&mut camera), 4);
}

#[test]
fn a_picture_that_stays_is_shown_once_then_a_fault_and_the_camera_is_opened_again() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts([Act::Picture(1)]);
    assert_eq!(frame(&mut camera), 1);
    let words = until(&mut camera, |event| {
        device.acts([Act::Picture(1)]);
        assert!(!matches!(event, Ok(Event::Frame(_))), "a picture was shown twice");
        event.as_ref().err().map(ToString::to_string)
    });
    assert!(words.contains("the same picture again and again"), "{words}");
    let mut byte = 1;
    until(&mut camera, |event| {
        byte += 1;
        device.acts([Act::Picture(byte)]);
        matches!(event, Ok(Event::Frame(_))).then_some(())
    });
    assert_eq!(device.with(|script| script.opened), 2);
}

#[test]
fn a_camera_that_is_no_longer_wanted_is_closed() {
    let device = Device::default();
    let mut camera = camera(&device);
    device.acts([Act::Picture(1)]);
    frame(&mut camera);
    drop(camera);
    while device.with(|script| script.closed) == 0 {
        std::thread::yield_now();
    }
}

#[test]
fn after_bad_jpegs_fifty_good_pictures_in_a_row_mend_the_camera_and_one_bad_one_begins_them_anew() {
    let device = Device::default();
    let mut camera = camera(&device);
    let format = CameraFormat::Grey;
    let grey = Playing { script: device, format, buffer: Vec::new(), sequence: 0 }.layout();
    let bad = || Raw {
        bytes: b"no JPEG at all".to_vec(),
        layout: Some(Layout { format: CameraFormat::Mjpeg, ..grey }),
        ..Raw::default()
    };
    let mut at_ms = 0;
    let mut good = |camera: &mut V4l2Camera| {
        at_ms += 33;
        let bytes = vec![(at_ms / 33 % 251) as u8; BYTES];
        let picture = Raw { bytes, layout: Some(grey), captured_at_ms: at_ms, ..Raw::default() };
        matches!(camera.judge(picture), Ok(Event::Frame(_)))
    };
    // Now and then one is bad: nothing comes of it, and the next good one is a frame.
    for _ in 0..3 {
        for _ in 1..DAMAGED_IN_A_ROW {
            assert!(matches!(camera.judge(bad()), Ok(Event::Nothing)));
        }
        assert!(good(&mut camera));
    }
    for _ in 1..DAMAGED_IN_A_ROW {
        assert!(matches!(camera.judge(bad()), Ok(Event::Nothing)));
    }
    let fault = camera.judge(bad()).unwrap_err().0;
    assert!(fault.contains("5 times in a row: name another format"), "{fault}");
    assert!((1..MENDED).all(|_| !good(&mut camera)), "mended too soon");
    assert!(matches!(camera.judge(bad()), Ok(Event::Nothing)));
    assert!((0..MENDED).all(|_| !good(&mut camera)), "the bad one did not count");
    assert!((0..2 * MENDED).all(|_| good(&mut camera)));
}
