//! A room: the buffers and the recorded steps for frames of one geometry.
//!
//! Owns which buffers there are and in which order the kernels run. A room lives until a frame of another geometry comes,
//! so that nothing is allocated from frame to frame.
//!
//! ```text
//! input -> ingest -> columns -> pyramid -> pnet -> proposals -> overlap -> propose -> rnet -> rnet_heads -> refine
//!       -> onet_pool1 -> onet_pool2 -> onet_features -> onet_hidden -> onet_heads -> place -> output
//! ```
//!
//! Input and output are the host's memory, pinned: `ingest` reads the frame where the camera's bytes were written, and `place`
//! writes status and detections where the host reads them. Nothing in between is copied.

use crate::device::{Device, DeviceError, Program, Region, Step};
use crate::launch::{
    self, BOX_BYTES, Found, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_HIDDEN_BYTES, ONET_MAX,
    ONET_POOL1_BYTES, PNET_MAX, PictureView, RESULT_BYTES, RNET_ANSWERS, RNET_FEATURES, RNET_MAX,
    Status,
};
use crate::picture;
use crate::stages::values;
use crate::weights::Packed;
use threshold_models::cascade::{NMS_LEVEL, NMS_STAGE};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};

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

/// The program for one geometry.
pub(crate) struct Room<D: Device> {
    pub(crate) geometry: Geometry,
    program: Program<D>,
    /// Bytes of a frame; those of the input behind them are padding.
    frame_len: usize,
    picture: PictureView,
    faces: Region,
    status: Region,
    /// Keys and regressions of P-Net's cells, R-Net's answers, O-Net's answers.
    answers: [Region; 4],
}

/// What the networks answered of the last frame.
pub(crate) struct Answers {
    /// Cells that passed, in order: which of all levels' it is, its score and regression.
    pub(crate) pnet: Vec<(u32, f32, [f32; 4])>,
    /// Of each crop, in order.
    pub(crate) rnet: Vec<[f32; RNET_ANSWERS]>,
    /// The same.
    pub(crate) onet: Vec<[f32; ONET_ANSWERS]>,
}

impl<D: Device> Room<D> {
    /// A room for frames like this one, which has these levels, one at least. The weights must outlive it.
    pub(crate) fn new(
        device: &D,
        frame: &RawFrame<'_>,
        levels: &Levels,
        thresholds: [f32; 3],
        weights: &Packed,
    ) -> Result<Self, DeviceError> {
        let size = [frame.width(), frame.height()];
        let mut program = Program::new(device, picture::input_bytes(frame), RESULT_BYTES)?;
        let table = program.take_filled(device, levels.bytes())?;
        let mut take = |len: usize| program.take(device, len);
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
        let onet_pool1 = take(ONET_POOL1_BYTES)?;
        let onet_features = take(ONET_MAX * ONET_FEATURES * 2)?;
        let onet_hidden = take(ONET_HIDDEN_BYTES)?;
        let onet_answers = take(ONET_MAX * ONET_ANSWERS * size_of::<f32>())?;
        let faces = take(ONET_MAX * size_of::<Found>())?;
        let status = take(size_of::<Status>())?;

        let (input, result) = (program.input_region(device), program.output_region(device));
        let picture = picture::push(&mut program, device, (frame, input), Some(status))?;
        let [pnet_threshold, rnet_threshold, onet_threshold] = thresholds;
        let n = device.multiprocessors();
        program.push(launch::pyramid(picture, levels, table, pixels));
        program.push(launch::pnet(
            levels,
            [table, pixels],
            weights.pnet,
            pnet_threshold,
            [keys, regs, status],
        ));
        program.push(launch::proposals(
            levels,
            [table, keys],
            [sorted, boxes, level_of_box],
            status,
        ));
        let masks = [level_masks, all_masks];
        program.push(launch::overlap(
            n,
            [boxes, level_of_box],
            masks,
            [NMS_LEVEL, NMS_STAGE],
            status,
        ));
        let cells = levels.cells();
        program.push(launch::propose(
            size,
            cells,
            [sorted, boxes, regs],
            masks,
            rnet_boxes,
            status,
        ));
        program.push(launch::rnet(n, picture, weights.rnet, [rnet_boxes, rnet_features, status]));
        let heads = [rnet_features, rnet_answers, status];
        program.push(launch::rnet_heads(weights.rnet_heads, heads));
        // The first suppression's masks are done with, and longer than the later ones.
        program.push(launch::refine(
            size,
            [rnet_threshold, NMS_STAGE],
            [rnet_boxes, rnet_answers, level_masks, onet_boxes, status],
        ));
        // The second pool takes the place of the other masks of the first suppression, for the same reason.
        let crops = [onet_boxes, onet_pool1, all_masks, onet_features, status];
        let heads = [onet_features, onet_hidden, onet_answers, status];
        for step in launch::onet(n, picture, weights.onet, crops) {
            program.push(step);
        }
        for step in launch::onet_heads(weights.onet_heads, heads) {
            program.push(step);
        }
        program.push(launch::place(
            [onet_threshold, NMS_STAGE],
            [onet_boxes, onet_answers, level_masks, result, faces, status],
        ));
        program.record(device)?;
        let (geometry, frame_len) = (Geometry::of(frame), frame.bytes().len());
        let answers = [keys, regs, rnet_answers, onet_answers];
        Ok(Self { geometry, program, frame_len, picture, faces, status, answers })
    }

    /// The networks' answers of the last run, for the self-test: they stay on the device otherwise.
    pub(crate) fn answers(&self, device: &D) -> Result<Answers, DeviceError> {
        let [keys, regs, rnet, onet] = self.answers;
        let read = |region| self.program.read(device, region);
        let (status, _) = self.result();
        let mut keys: Vec<u64> = values(&read(keys)?);
        keys.truncate(status.pnet_found as usize);
        let regs: Vec<[f32; 4]> = values(&read(regs)?);
        let cell = |&key: &u64| {
            let cell = key as u32;
            let reg = regs.get(cell as usize).copied().unwrap_or([f32::NAN; 4]);
            (cell, f32::from_bits(!((key >> 32) as u32)), reg)
        };
        let mut pnet: Vec<_> = keys.iter().map(cell).collect();
        pnet.sort_by_key(|&(cell, ..)| cell);
        let (mut rnet, mut onet): (Vec<_>, Vec<_>) = (values(&read(rnet)?), values(&read(onet)?));
        rnet.truncate(status.rnet_kept as usize);
        onet.truncate(status.onet_kept as usize);
        Ok(Answers { pnet, rnet, onet })
    }

    /// The last frame on the device.
    pub(crate) fn picture(&self) -> PictureView {
        self.picture
    }

    /// The last frame's detections on the device, and its status.
    pub(crate) fn faces(&self) -> [Region; 2] {
        [self.faces, self.status]
    }

    /// The steps from the input to the detections, for a program that goes on behind them. They point into this room.
    pub(crate) fn steps(&self) -> &[Step] {
        self.program.steps()
    }

    /// Where the next frame's bytes go.
    pub(crate) fn input(&mut self) -> &mut [u8] {
        &mut self.program.input()[..self.frame_len]
    }

    /// Begins over the input.
    pub(crate) fn begin(&mut self, device: &D) -> Result<(), DeviceError> {
        self.program.begin(device)
    }

    /// Waits for what was begun, for [`Room::result`].
    pub(crate) fn finish(&mut self, device: &D) -> Result<(), DeviceError> {
        self.program.finish(device).map(|_| ())
    }

    /// The status and the detections of the last run, also of one by another program that has this room's steps.
    pub(crate) fn result(&self) -> (Status, impl Iterator<Item = Found> + '_) {
        let (status, found) = self.program.output().split_at(size_of::<Status>());
        let status: Status = bytemuck::pod_read_unaligned(status);
        let n = (status.detections as usize).min(ONET_MAX);
        let found = found.chunks_exact(size_of::<Found>()).take(n);
        (status, found.map(bytemuck::pod_read_unaligned))
    }

    /// The same step by step, with each one's time in microseconds.
    pub(crate) fn time_us(&mut self, device: &D) -> Result<Vec<(&'static str, f32)>, DeviceError> {
        self.program.time_us(device)
    }
}
