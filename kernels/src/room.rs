//! A room: the buffers and the recorded steps for frames of one geometry.
//!
//! Owns how long every buffer is and in which order the kernels run. A room lives until a frame of another geometry comes,
//! so that nothing is allocated from frame to frame.
//!
//! ```text
//! frame, status = 0 -> pyramid -> pnet -> proposals -> overlap -> propose -> rnet -> rnet_heads -> refine
//!                   -> onet -> onet_heads -> place -> status and detections
//! ```

use crate::device::{Address, Device, DeviceError, Step};
use crate::launch::{
    self, BOX_BYTES, Found, FrameView, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_MAX, PNET_MAX,
    RNET_ANSWERS, RNET_FEATURES, RNET_MAX, Region, Status,
};
use crate::weights::Packed;
use threshold_models::cascade::CascadeOptions;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};

/// Overlap above which proposals of one level suppress each other, and of all levels and stages: `models::cascade`'s.
const NMS_LEVEL: f32 = 0.5;
const NMS_STAGE: f32 = 0.7;
/// What the host reads back: the status, then the detections.
const RESULT_BYTES: usize = size_of::<Status>() + ONET_MAX * size_of::<Found>();

/// What two frames share that can use one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    format: PixelFormat,
    size: [usize; 2],
    stride: usize,
    colour: Colour,
}

impl Geometry {
    pub(crate) fn of(frame: &RawFrame<'_>) -> Self {
        Self {
            format: frame.format(),
            size: [frame.width(), frame.height()],
            stride: frame.stride(),
            colour: frame.colour(),
        }
    }
}

/// The buffers and steps for one geometry.
pub(crate) struct Room<D: Device> {
    pub(crate) geometry: Geometry,
    // Before the buffers that its steps point into, since fields are dropped in this order.
    graph: D::Graph,
    steps: Vec<Step>,
    input: D::Staging,
    result: D::Staging,
    _buffers: Vec<D::Buffer>,
}

impl<D: Device> Room<D> {
    /// A room for frames like this one; none if they are smaller than the smallest face.
    pub(crate) fn new(
        device: &D,
        frame: &RawFrame<'_>,
        options: &CascadeOptions,
        weights: &Packed,
    ) -> Result<Option<Self>, DeviceError> {
        let size = [frame.width(), frame.height()];
        let levels = Levels::new(size[0], size[1], options.min_face_px, options.factor);
        if levels.is_empty() {
            return Ok(None);
        }
        let mut buffers = Buffers { device, all: Vec::new() };
        let mut table = device.alloc(levels.bytes().len())?;
        device.write(&mut table, 0, levels.bytes())?;
        let table = buffers.keep(table, levels.bytes().len());
        let mut take = |len: usize| buffers.take(len);

        let picture = take(frame.bytes().len())?;
        let pixels = take(levels.pixel_bytes())?;
        let keys = take(levels.cells() * size_of::<u64>())?;
        let regs = take(levels.cells() * size_of::<[f32; 4]>())?;
        let sorted = take(PNET_MAX * size_of::<u64>())?;
        let boxes = take(PNET_MAX * BOX_BYTES)?;
        let level_of_box = take(PNET_MAX * size_of::<u32>())?;
        let level_masks = take(PNET_MAX * PNET_MAX / 8)?;
        let all_masks = take(PNET_MAX * PNET_MAX / 8)?;
        let rnet_boxes = take(RNET_MAX * BOX_BYTES)?;
        let rnet_features = take(RNET_MAX * RNET_FEATURES * 2)?;
        let rnet_answers = take(RNET_MAX * RNET_ANSWERS * size_of::<f32>())?;
        let onet_boxes = take(ONET_MAX * BOX_BYTES)?;
        let onet_features = take(ONET_MAX * ONET_FEATURES * 2)?;
        let onet_answers = take(ONET_MAX * ONET_ANSWERS * size_of::<f32>())?;
        let all = take(RESULT_BYTES)?;
        let status = Region { at: all.at, len: size_of::<Status>() };
        let found = Region { at: all.at.offset(status.len), len: all.len - status.len };

        let (input, result) = (device.staging(frame.bytes().len())?, device.staging(RESULT_BYTES)?);
        let view = FrameView::of(frame, picture);
        let [pnet_threshold, rnet_threshold, onet_threshold] = options.thresholds;
        let n = device.multiprocessors();
        let steps = vec![
            Step::Upload {
                from: device.staging_address(&input),
                to: picture.at,
                len: frame.bytes().len(),
            },
            Step::Clear { at: status.at, len: status.len },
            launch::pyramid(view, &levels, table, pixels),
            launch::pnet(
                &levels,
                [table, pixels],
                weights.pnet,
                pnet_threshold,
                [keys, regs, status],
            ),
            launch::proposals(&levels, [table, keys], [sorted, boxes, level_of_box], status),
            launch::overlap(
                n,
                [boxes, level_of_box],
                [level_masks, all_masks],
                [NMS_LEVEL, NMS_STAGE],
                status,
            ),
            launch::propose(
                size,
                levels.cells(),
                [sorted, boxes, regs],
                [level_masks, all_masks],
                rnet_boxes,
                status,
            ),
            launch::rnet(n, view, weights.rnet, [rnet_boxes, rnet_features, status]),
            launch::rnet_heads(weights.rnet_heads, [rnet_features, rnet_answers, status]),
            // The suppression's masks are done with, and longer than these.
            launch::refine(
                size,
                [rnet_threshold, NMS_STAGE],
                [rnet_boxes, rnet_answers, level_masks, onet_boxes, status],
            ),
            launch::onet(n, view, weights.onet, [onet_boxes, onet_features, status]),
            launch::onet_heads(weights.onet_heads, [onet_features, onet_answers, status]),
            launch::place(
                [onet_threshold, NMS_STAGE],
                [onet_boxes, onet_answers, level_masks, found, status],
            ),
            Step::Download { from: all.at, to: device.staging_address(&result), len: RESULT_BYTES },
        ];
        // SAFETY: launchers checked every region against what their kernels touch; buffers and staging live in this room,
        // behind the graph, and the weights in the engine that owns the room.
        #[allow(unsafe_code, reason = "the one place that knows that all buffers live")]
        let graph = unsafe { device.record(steps.clone()) }?;
        let geometry = Geometry::of(frame);
        Ok(Some(Self { geometry, graph, steps, input, result, _buffers: buffers.all }))
    }

    /// Runs a frame of this geometry.
    pub(crate) fn run(
        &mut self,
        device: &D,
        frame: &RawFrame<'_>,
    ) -> Result<(Status, &[Found]), DeviceError> {
        self.input.as_mut()[..frame.bytes().len()].copy_from_slice(frame.bytes());
        device.replay(&mut self.graph)?;
        Ok(self.answer())
    }

    /// The same step by step, with each one's time.
    pub(crate) fn run_timed(
        &mut self,
        device: &D,
        frame: &RawFrame<'_>,
    ) -> Result<Vec<(&'static str, f32)>, DeviceError> {
        self.input.as_mut()[..frame.bytes().len()].copy_from_slice(frame.bytes());
        // SAFETY: as in `new`.
        #[allow(unsafe_code, reason = "as in `new`")]
        let times = unsafe { device.time_us(&self.steps) }?;
        let name = |step: &Step| match step {
            Step::Launch(launch) => launch.kernel,
            Step::Upload { .. } => "upload",
            Step::Clear { .. } => "clear",
            Step::Download { .. } => "download",
        };
        Ok(self.steps.iter().map(name).zip(times).collect())
    }

    fn answer(&self) -> (Status, &[Found]) {
        let bytes = self.result.as_ref();
        let (status, found) = bytes.split_at(size_of::<Status>());
        let status: Status = bytemuck::pod_read_unaligned(status);
        let n = (status.detections as usize).min(ONET_MAX);
        // Staging begins on a page or on what malloc gives, 16 bytes at least, and the status is two of these.
        (status, bytemuck::cast_slice(&found[..n * size_of::<Found>()]))
    }
}

/// Buffers of a room being made.
struct Buffers<'a, D: Device> {
    device: &'a D,
    all: Vec<D::Buffer>,
}

impl<D: Device> Buffers<'_, D> {
    fn take(&mut self, len: usize) -> Result<Region, DeviceError> {
        let buffer = self.device.alloc(len)?;
        Ok(self.keep(buffer, len))
    }

    fn keep(&mut self, buffer: D::Buffer, len: usize) -> Region {
        let at: Address = self.device.address(&buffer);
        self.all.push(buffer);
        Region { at, len }
    }
}
