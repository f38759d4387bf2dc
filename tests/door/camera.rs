//! A camera's own bytes lead to the decisions that their RGB leads to, by the processor's engine.

use crate::long::{Bench, Ticks, bench_of};
use crate::rig::{MODEL, axis};
use std::sync::Arc;
use std::time::Duration;
use threshold_edge::unit::{Camera, CameraFault, Clock as _, Event};
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::Engine as _;
use threshold_models::frame::{Buffers, Frame};
use threshold_models::picture;
use threshold_models::raw::{Colour, PixelFormat, PixelLayout, RawFrame};
use threshold_models::search::quantise;
use threshold_record::{EntryKind, LogEntry, Name, Reason, Template};
use threshold_tests::{packs, photos, skipped};

/// Frames with the face, and frames after them without one.
const FRAMES: (u64, u64) = (6, 40);

/// Shows a face for some frames, and then grey.
struct Shows {
    clock: Arc<Ticks>,
    layout: PixelLayout,
    face: Vec<u8>,
    converts: bool,
    buffers: Buffers,
    sequence: u64,
}

impl Camera for Shows {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.sequence += 1;
        self.clock.tick();
        let mut buffers = std::mem::take(&mut self.buffers);
        buffers.bytes.clone_from(&self.face);
        if self.sequence > FRAMES.0 {
            buffers.bytes.fill(128);
        }
        let mut frame = Frame::from_camera(self.layout, buffers).unwrap();
        if self.converts {
            frame = RawFrame::of(&frame).to_frame();
        }
        frame.sequence = self.sequence;
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }

    fn take_back(&mut self, frame: Frame) {
        assert!(!self.converts || frame.is_converted());
        self.buffers = frame.into_buffers();
    }
}

/// A photo as a camera of that format would give it: full range is cut to the limited one, roughly.
fn bytes_of(photo: &Frame, format: PixelFormat) -> Vec<u8> {
    let (width, height) = (photo.width(), photo.height());
    let mut bytes = vec![128; format.len(height, format.stride(width))];
    let pixels = RawFrame::of(photo).pixels();
    for (x, y) in (0..width * height).map(|i| (i % width, i / width)) {
        let [r, g, b] = pixels.at(x, y).map(f32::from);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        let [y_, u, v] =
            [16.0 + luma * 219.0 / 255.0, 128.0 + (b - luma) * 0.496, 128.0 + (r - luma) * 0.627]
                .map(|value| value as u8);
        let row = y * format.stride(width);
        match format {
            PixelFormat::Yuyv => {
                bytes[row + 2 * x] = y_;
                bytes[row + 2 * x + 1] = if x % 2 == 0 { u } else { v };
            }
            PixelFormat::Nv12 => {
                bytes[row + x] = y_;
                let chroma = (height + y / 2) * format.stride(width) + x / 2 * 2;
                (bytes[chroma], bytes[chroma + 1]) = (u, v);
            }
            other => unreachable!("{other:?}"),
        }
    }
    bytes
}

#[test]
fn a_cameras_own_bytes_lead_to_the_same_decisions() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped("a camera's own bytes", "no packs or photos: cargo xtask setup");
    };
    let photo = picture::read(&photos.join("obama.jpg")).unwrap();
    let (detector, embedder) = (packs.detector().unwrap(), packs.named("dlib").unwrap());
    assert_eq!(embedder.embedder().unwrap().embedding_len, axis(1).0.len());
    let cascade = CascadeOptions { min_face_px: 80.0, ..CascadeOptions::default() };
    let options = EngineOptions { cascade, ..EngineOptions::default() };
    for format in [PixelFormat::Yuyv, PixelFormat::Nv12] {
        let face = bytes_of(&photo, format);
        let size = [photo.width(), photo.height()];
        let stride = format.stride(photo.width());
        let layout = PixelLayout::new(format, size, stride, Colour::default()).unwrap();
        let run = |converts: bool| {
            let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let clock = Arc::new(Ticks::default());
            let mut engine = CpuEngine::new(&detector, Some(&embedder), &options).unwrap();
            let found = engine.detect(&photo).unwrap()[0];
            let (scale, vector) = quantise(&engine.embed(&photo, &[found]).unwrap()[0]);
            let camera = Shows {
                clock: Arc::clone(&clock),
                layout,
                face: face.clone(),
                converts,
                buffers: Buffers::default(),
                sequence: 0,
            };
            let Bench { mut unit, shared, .. } =
                bench_of(folder.path(), &clock, camera, Box::new(engine));
            {
                let mut state = shared.lock();
                let store = state.journal_mut().unwrap().store_mut();
                let person = store.add_person(Name::new("of the photo").unwrap()).unwrap();
                let vector = vector.iter().copied().collect();
                let model = MODEL.tag();
                let one = Template { person, slot: 0, quality: 90, model, scale, vector };
                store.put_template(one).unwrap();
                state.gallery_changed();
            }
            for _ in 0..FRAMES.0 + FRAMES.1 {
                unit.step(Duration::ZERO);
            }
            let state = shared.lock();
            let log = state.journal().unwrap().store().log_page(1, 1_000).unwrap();
            // Frames take their own time; all else is the frames'.
            let timeless = |entry: LogEntry| LogEntry { detect_dms: 0, embed_dms: 0, ..entry };
            log.into_iter()
                .filter(|entry| entry.kind == EntryKind::Decision)
                .map(timeless)
                .collect::<Vec<_>>()
        };
        let (own, converted) = (run(false), run(true));
        assert_eq!(own, converted, "{format:?}");
        assert_eq!(own.len(), 1, "{format:?}");
        assert_eq!(own[0].reason, Reason::Matched, "{format:?} {own:?}");
    }
}
