//! What it costs that a camera's frames become RGB, where nobody reads that and where somebody does.

use super::{Ticks, bench_of, corridor, figure, is_alone, share};
use crate::rig::axis;
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_edge::unit::{Camera, CameraFault, Clock as _, Event};
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Detection, Embedding, Engine, EngineError};
use threshold_models::frame::{Buffers, Frame};
use threshold_models::raw::{Colour, PixelFormat, PixelLayout, RawFrame};
use threshold_tests::packs;

/// A camera of 1280 x 720 in YUYV, whose bytes are copied once, as from a driver's buffer.
struct PlainCamera {
    clock: Arc<Ticks>,
    /// The corridor in two lights.
    bytes: [Vec<u8>; 2],
    flickers: bool,
    /// Each frame becomes RGB here, in memory of its own.
    converts: bool,
    buffers: Buffers,
    sequence: u64,
}

impl PlainCamera {
    fn new(clock: &Arc<Ticks>, flickers: bool, converts: bool) -> Self {
        let yuyv = |light| -> Vec<u8> {
            let (frame, mut chroma) = (corridor(light), [120, 140].into_iter().cycle());
            let luma = frame.rgb().iter().step_by(3).copied();
            luma.flat_map(|luma| [luma, chroma.next().unwrap_or(128)]).collect()
        };
        Self {
            clock: Arc::clone(clock),
            bytes: [60, 90].map(yuyv),
            flickers,
            converts,
            buffers: Buffers::default(),
            sequence: 0,
        }
    }
}

impl Camera for PlainCamera {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.sequence += 1;
        self.clock.tick();
        let light = usize::from(self.flickers && self.sequence.is_multiple_of(2));
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.bytes.clear();
        buffers.bytes.extend_from_slice(&self.bytes[light]);
        let (format, size, colour) = (PixelFormat::Yuyv, [1280, 720], Colour::default());
        let mut frame = if self.converts {
            let raw = RawFrame::new(format, size, 2560, colour, &buffers.bytes).unwrap();
            let frame = raw.to_frame();
            self.buffers = buffers;
            frame
        } else {
            let layout = PixelLayout::new(format, size, 2560, colour).unwrap();
            Frame::from_camera(layout, buffers).unwrap()
        };
        frame.sequence = self.sequence;
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }

    fn take_back(&mut self, frame: Frame) {
        if !self.converts {
            self.buffers = frame.into_buffers();
        }
    }
}

/// An engine that reads the bytes as they came, as the kernels do, and finds nobody.
struct PlainEngine;

impl Engine for PlainEngine {
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        std::hint::black_box(RawFrame::of(frame).bytes().last());
        Ok(Vec::new())
    }

    fn embed(&mut self, _: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        Ok(vec![axis(1); faces.len()])
    }
}

/// A step's median time where frames are the camera's own bytes, of the same where each becomes RGB first, in memory of its own.
fn own_bytes(flickers: bool, n: usize, engine: &dyn Fn() -> Box<dyn Engine>) -> f64 {
    let folders = [(), ()].map(|()| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let mut units = [true, false].map(|converts| {
        let ticks = Arc::new(Ticks::default());
        let camera = PlainCamera::new(&ticks, flickers, converts);
        bench_of(folders[usize::from(converts)].path(), &ticks, camera, engine()).unit
    });
    let mut times = [const { Vec::new() }; 2];
    // In turn, so that the machine's other work falls on both.
    for step in 0..n + 4 {
        for (unit, times) in units.iter_mut().zip(&mut times) {
            let begun = Instant::now();
            unit.step(Duration::ZERO);
            // The first ones take memory.
            if step >= 4 {
                times.push(begun.elapsed());
            }
        }
    }
    let [converted, own] = &mut times;
    share(own, 500) / share(converted, 500)
}

#[test]
fn a_cameras_own_bytes_cost_an_idle_frame_no_way_to_rgb() {
    if !is_alone("long::bytes::a_cameras_own_bytes_cost_an_idle_frame_no_way_to_rgb") {
        return;
    }
    let of = "1280 x 720 in YUYV with the camera's own bytes, of one that becomes RGB first";
    let plain = || -> Box<dyn Engine> { Box::new(PlainEngine) };
    let idle = own_bytes(false, 150, &plain);
    figure(&format!("an idle frame of {of} | {idle:.2}"));
    let searched = own_bytes(true, 100, &plain);
    figure(&format!(
        "the same searched by an engine that reads the bytes as they came | {searched:.2}"
    ));
    assert!(idle <= 0.8 && searched <= 0.8, "{idle} {searched}");
    if let Some(packs) = packs() {
        let detector = packs.detector().unwrap();
        let cascade = CascadeOptions { min_face_px: 80.0, ..CascadeOptions::default() };
        let options = EngineOptions { cascade, ..EngineOptions::default() };
        let cpu =
            || -> Box<dyn Engine> { Box::new(CpuEngine::new(&detector, None, &options).unwrap()) };
        // It takes all processors, so that other work of the machine is within the limit's reach: once more then, and a real cost is
        // there each time.
        let mut searched = f64::INFINITY;
        for _ in 0..3 {
            searched = searched.min(own_bytes(true, 60, &cpu));
            if searched <= 1.1 {
                break;
            }
        }
        figure(&format!("the same searched by the processor's engine | {searched:.2}"));
        assert!(searched <= 1.1, "{searched}");
    }
}
