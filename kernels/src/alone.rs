//! Each kernel alone, from values to values: for tests, which run every one on every device beside a reference.
//!
//! Owns nothing of the engine; the same launchers with inputs that a test chooses. Errors are the device's.

use crate::device::{Device, DeviceError, Program, Step};
use crate::fragments::Uploaded;
use crate::launch::{
    self, BOX_BYTES, EIGHT, Found, FrameView, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_MAX,
    PNET_MAX, RNET_ANSWERS, RNET_FEATURES, RNET_MAX, Region, Status,
};
use crate::weights::Packed;
use half::f16;
use threshold_models::crop::CropRule;
use threshold_models::pack::Preprocessing;
use threshold_models::raw::RawFrame;

/// A device with a detector's weights, on which kernels run one at a time.
pub struct Alone<D: Device> {
    device: D,
    packed: Packed,
    _weights: Uploaded<D>,
}

/// Blocks for each multiprocessor where a ceiling is measured.
const BLOCKS_EACH: u32 = 8;

/// A proposal of P-Net.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Its cell among those of all levels, in order.
    pub cell: u32,
    /// Its score.
    pub score: f32,
    /// Its box regression.
    pub reg: [f32; 4],
}

impl<D: Device> Alone<D> {
    /// A device with these weights.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: D, packed: Packed) -> Result<Self, DeviceError> {
        let (packed, weights) = packed.upload(&device)?;
        Ok(Self { device, packed, _weights: weights })
    }

    /// One of [`launch::CONVS_ALONE`], by its place: the output of an input that is dense NHWC, rounded to half.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn conv(&self, which: usize, x: &[f32]) -> Result<Vec<f32>, DeviceError> {
        let (device, mut program) = self.program()?;
        let [pnet, rnet, onet] = [&self.packed.pnet[..], &self.packed.rnet, &self.packed.onet];
        let layers = [pnet[1], rnet[0], rnet[1], rnet[2], onet[0], onet[1], onet[2], onet[3]];
        let x = program.take_filled(device, &half_bytes(x))?;
        let len = launch::CONVS_ALONE[which].output.iter().product::<usize>();
        let y = program.take(device, len * 2)?;
        program.push(launch::conv_alone(which, layers[which], x, y));
        program.run(device, &[])?;
        Ok(halves(&program.read(device, y)?))
    }

    /// Every level's pixels, four values each, one level after the other.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn pyramid(&self, frame: &RawFrame<'_>, levels: &Levels) -> Result<Vec<f32>, DeviceError> {
        let (device, mut program) = self.program()?;
        let picture = program.take_filled(device, frame.bytes())?;
        let table = program.take_filled(device, levels.bytes())?;
        let pixels = program.take(device, levels.pixel_bytes())?;
        program.push(launch::pyramid(FrameView::of(frame, picture), levels, table, pixels));
        program.run(device, &[])?;
        Ok(halves(&program.read(device, pixels)?))
    }

    /// P-Net's proposals over levels' pixels (four values each), in no order.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn pnet(
        &self,
        levels: &Levels,
        pixels: &[f32],
        threshold: f32,
    ) -> Result<(Status, Vec<Cell>), DeviceError> {
        let (device, mut program) = self.program()?;
        let table = program.take_filled(device, levels.bytes())?;
        let pixels = program.take_filled(device, &half_bytes(pixels))?;
        let keys = program.take(device, levels.cells() * size_of::<u64>())?;
        let regs = program.take(device, levels.cells() * size_of::<[f32; 4]>())?;
        let status = program.take(device, size_of::<Status>())?;
        let outputs = [keys, regs, status];
        program.push(launch::pnet(levels, [table, pixels], self.packed.pnet, threshold, outputs));
        program.run(device, &[])?;
        let status: Status = bytemuck::pod_read_unaligned(&program.read(device, status)?);
        let regs: Vec<[f32; 4]> = values(&program.read(device, regs)?);
        let keys: Vec<u64> = values(&program.read(device, keys)?);
        let cell = |&key: &u64| {
            let cell = key as u32;
            Cell { cell, score: f32::from_bits(!((key >> 32) as u32)), reg: regs[cell as usize] }
        };
        Ok((status, keys[..status.pnet_found as usize].iter().map(cell).collect()))
    }

    /// R-Net's boxes from P-Net's proposals, which may come in any order: sorting and both suppressions.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn propose(
        &self,
        frame_size: [usize; 2],
        levels: &Levels,
        found: &[Cell],
        thresholds: [f32; 2],
    ) -> Result<(Status, Vec<[f32; 4]>), DeviceError> {
        let (device, mut program) = self.program()?;
        let table = program.take_filled(device, levels.bytes())?;
        let (mut keys, mut regs) = (vec![0u64; levels.cells()], vec![[0f32; 4]; levels.cells()]);
        for (key, cell) in keys.iter_mut().zip(found) {
            *key = u64::from(!cell.score.to_bits()) << 32 | u64::from(cell.cell);
            regs[cell.cell as usize] = cell.reg;
        }
        let keys = program.take_filled(device, bytemuck::cast_slice(&keys))?;
        let regs = program.take_filled(device, bytemuck::cast_slice(&regs))?;
        let status = Status { pnet_found: found.len() as u32, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let sorted = program.take(device, PNET_MAX * size_of::<u64>())?;
        let boxes = program.take(device, PNET_MAX * BOX_BYTES)?;
        let level_of_box = program.take(device, PNET_MAX * size_of::<u32>())?;
        let masks = [0; 2].map(|_| program.take(device, PNET_MAX * PNET_MAX / 8));
        let [level_masks, all_masks] = masks;
        let masks = [level_masks?, all_masks?];
        let out = program.take(device, RNET_MAX * BOX_BYTES)?;
        let outputs = [sorted, boxes, level_of_box];
        program.push(launch::proposals(levels, [table, keys], outputs, status));
        let n = device.multiprocessors();
        program.push(launch::overlap(n, [boxes, level_of_box], masks, thresholds, status));
        let inputs = [sorted, boxes, regs];
        program.push(launch::propose(frame_size, levels.cells(), inputs, masks, out, status));
        program.run(device, &[])?;
        let status: Status = bytemuck::pod_read_unaligned(&program.read(device, status)?);
        let mut boxes: Vec<[f32; 4]> = values(&program.read(device, out)?);
        boxes.truncate(status.rnet_kept as usize);
        Ok((status, boxes))
    }

    /// R-Net's answers for boxes of a frame, [`RNET_ANSWERS`] values each.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn rnet(
        &self,
        frame: &RawFrame<'_>,
        boxes: &[[f32; 4]],
    ) -> Result<Vec<[f32; RNET_ANSWERS]>, DeviceError> {
        let status = Status { rnet_kept: boxes.len() as u32, ..Status::default() };
        let (features, answers) = (RNET_MAX * RNET_FEATURES, RNET_MAX * RNET_ANSWERS);
        let bytes =
            self.crops(frame, boxes, RNET_MAX, status, [features, answers], |view, regions| {
                let [boxes, features, answers, status] = regions;
                [
                    launch::rnet(
                        self.device.multiprocessors(),
                        view,
                        self.packed.rnet,
                        [boxes, features, status],
                    ),
                    launch::rnet_heads(self.packed.rnet_heads, [features, answers, status]),
                ]
            })?;
        let mut answers: Vec<_> = values(&bytes);
        answers.truncate(boxes.len());
        Ok(answers)
    }

    /// O-Net's answers for boxes of a frame, [`ONET_ANSWERS`] values each.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn onet(
        &self,
        frame: &RawFrame<'_>,
        boxes: &[[f32; 4]],
    ) -> Result<Vec<[f32; ONET_ANSWERS]>, DeviceError> {
        let status = Status { onet_kept: boxes.len() as u32, ..Status::default() };
        let (features, answers) = (ONET_MAX * ONET_FEATURES, ONET_MAX * ONET_ANSWERS);
        let bytes =
            self.crops(frame, boxes, ONET_MAX, status, [features, answers], |view, regions| {
                let [boxes, features, answers, status] = regions;
                [
                    launch::onet(
                        self.device.multiprocessors(),
                        view,
                        self.packed.onet,
                        [boxes, features, status],
                    ),
                    launch::onet_heads(self.packed.onet_heads, [features, answers, status]),
                ]
            })?;
        let mut answers: Vec<_> = values(&bytes);
        answers.truncate(boxes.len());
        Ok(answers)
    }

    fn crops(
        &self,
        frame: &RawFrame<'_>,
        boxes: &[[f32; 4]],
        most: usize,
        status: Status,
        [features, answers]: [usize; 2],
        steps: impl FnOnce(FrameView, [Region; 4]) -> [Step; 2],
    ) -> Result<Vec<u8>, DeviceError> {
        let (device, mut program) = self.program()?;
        let picture = program.take_filled(device, frame.bytes())?;
        let boxes = padded(boxes, most);
        let boxes = program.take_filled(device, bytemuck::cast_slice(&boxes))?;
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let features = program.take(device, features * 2)?;
        let answers = program.take(device, answers * size_of::<f32>())?;
        let view = FrameView::of(frame, picture);
        for step in steps(view, [boxes, features, answers, status]) {
            program.push(step);
        }
        program.run(device, &[])?;
        program.read(device, answers)
    }

    /// O-Net's boxes from R-Net's boxes and answers.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn refine(
        &self,
        frame_size: [usize; 2],
        boxes: &[[f32; 4]],
        answers: &[[f32; RNET_ANSWERS]],
        thresholds: [f32; 2],
    ) -> Result<(Status, Vec<[f32; 4]>), DeviceError> {
        let (device, mut program) = self.program()?;
        let status = Status { rnet_kept: boxes.len() as u32, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let boxes = program.take_filled(device, bytemuck::cast_slice(&padded(boxes, RNET_MAX)))?;
        let answers = padded(answers, RNET_MAX);
        let answers = program.take_filled(device, bytemuck::cast_slice(&answers))?;
        let masks = program.take(device, RNET_MAX * RNET_MAX / 8)?;
        let out = program.take(device, ONET_MAX * BOX_BYTES)?;
        let regions = [boxes, answers, masks, out, status];
        program.push(launch::refine(frame_size, thresholds, regions));
        program.run(device, &[])?;
        let status: Status = bytemuck::pod_read_unaligned(&program.read(device, status)?);
        let mut boxes: Vec<[f32; 4]> = values(&program.read(device, out)?);
        boxes.truncate(status.onet_kept as usize);
        Ok((status, boxes))
    }

    /// The detections from O-Net's boxes and answers.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn place(
        &self,
        boxes: &[[f32; 4]],
        answers: &[[f32; ONET_ANSWERS]],
        thresholds: [f32; 2],
    ) -> Result<(Status, Vec<Found>), DeviceError> {
        let (device, mut program) = self.program()?;
        let status = Status { onet_kept: boxes.len() as u32, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let boxes = program.take_filled(device, bytemuck::cast_slice(&padded(boxes, ONET_MAX)))?;
        let answers = padded(answers, ONET_MAX);
        let answers = program.take_filled(device, bytemuck::cast_slice(&answers))?;
        let masks = program.take(device, ONET_MAX * ONET_MAX / 8)?;
        let found = program.take(device, ONET_MAX * size_of::<Found>())?;
        program.push(launch::place(thresholds, [boxes, answers, masks, found, status]));
        program.run(device, &[])?;
        let status: Status = bytemuck::pod_read_unaligned(&program.read(device, status)?);
        let mut found: Vec<Found> = values(&program.read(device, found)?);
        found.truncate(status.detections as usize);
        Ok((status, found))
    }

    /// The crops of faces by a rule, as the embedder gets them: r, g, b of each pixel, and what lies behind them.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn cut(
        &self,
        frame: &RawFrame<'_>,
        faces: &[Found],
        rule: (&CropRule, Preprocessing),
    ) -> Result<Vec<[f32; EIGHT]>, DeviceError> {
        let (device, mut program) = self.program()?;
        let picture = program.take_filled(device, frame.bytes())?;
        let regions = [
            program.take_filled(device, bytemuck::cast_slice(faces))?,
            program.take(device, faces.len() * launch::crop_bytes(rule.0))?,
        ];
        program.push(launch::cut(faces.len(), FrameView::of(frame, picture), rule, regions));
        program.run(device, &[])?;
        let values = halves(&program.read(device, regions[1])?);
        let (pixels, _) = values.as_chunks();
        Ok(pixels.to_vec())
    }

    /// Bytes a second, read and written, of a copy of `len` bytes (a multiple of 16), the median of some; and the copy.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn copy_ceiling(&self, bytes: &[u8], times: usize) -> Result<(f64, Vec<u8>), DeviceError> {
        let (device, mut program) = self.program()?;
        let from = program.take_filled(device, bytes)?;
        let to = program.take(device, bytes.len())?;
        program.push(launch::copy(device.multiprocessors() * BLOCKS_EACH, from, to));
        let us = self.median_us(&mut program, times)?;
        Ok((2.0 * bytes.len() as f64 / us * 1e6, program.read(device, to)?))
    }

    /// Multiply-adds a second of the tensor cores, from registers, the median of some; and the sums of all threads.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn multiply_ceiling(
        &self,
        rounds: u32,
        times: usize,
    ) -> Result<(f64, Vec<[f32; 4]>), DeviceError> {
        let (device, mut program) = self.program()?;
        let blocks = device.multiprocessors() * BLOCKS_EACH;
        let out = program.take(device, blocks as usize * 256 * size_of::<[f32; 4]>())?;
        program.push(launch::multiply(blocks, rounds, out));
        let us = self.median_us(&mut program, times)?;
        let multiplied = (u64::from(blocks) * u64::from(rounds) * launch::MULTIPLIED) as f64;
        Ok((multiplied / us * 1e6, values(&program.read(device, out)?)))
    }

    fn median_us(&self, program: &mut Program<D>, times: usize) -> Result<f64, DeviceError> {
        let mut all = Vec::new();
        for _ in 0..times.max(1) {
            all.push(
                program.time_us(&self.device, &[])?.iter().map(|(_, us)| f64::from(*us)).sum(),
            );
        }
        all.sort_by(f64::total_cmp);
        Ok(all[all.len() / 2])
    }

    fn program(&self) -> Result<(&D, Program<D>), DeviceError> {
        Ok((&self.device, Program::new(&self.device, 0, 0)?))
    }
}

fn padded<T: Copy + bytemuck::Zeroable>(items: &[T], most: usize) -> Vec<T> {
    let mut all = items.to_vec();
    all.resize(most, T::zeroed());
    all
}

fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

fn halves(bytes: &[u8]) -> Vec<f32> {
    let (halves, _) = bytes.as_chunks::<2>();
    halves.iter().map(|&two| f16::from_le_bytes(two).to_f32()).collect()
}

fn half_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}
