//! Each kernel alone, from values to values: for tests, which run every one on every device beside a reference.
//!
//! Owns nothing of the engine; the same launchers with inputs that a test chooses. Errors are the device's.

use crate::device::{Device, DeviceError, Program};
use crate::fragments::Uploaded;
use crate::launch::{
    self, BOX_BYTES, EIGHT, Found, Levels, Measured, ONET_ANSWERS, ONET_MAX, PNET_MAX,
    RESULT_BYTES, RNET_ANSWERS, RNET_MAX, Status,
};
use crate::picture;
use crate::stages::{Cell, Stages, half_bytes, halves, padded, values};
use crate::weights::Packed;
use std::time::Instant;
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

    /// P-Net's own layers over one tile: what conv1 and its pool make of the pixels, where conv1's map has that size, and what conv3 and
    /// both heads make of conv2's values: eight a cell, two logits, four regressions and two zeros. All inputs are rounded to half.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn pnet_layers(
        &self,
        pixels: &[f32],
        conv_size: [u32; 2],
        conv2: &[f32],
    ) -> Result<(Vec<f32>, Vec<f32>), DeviceError> {
        let (device, mut program) = self.program()?;
        let pixels = program.take_filled(device, &half_bytes(pixels))?;
        let conv2 = program.take_filled(device, &half_bytes(conv2))?;
        let pool = program.take(device, launch::PNET_ALONE_POOL.pow(2) * 32)?;
        let answers = program.take(device, launch::PNET_ALONE_CELLS.pow(2) * 32)?;
        let regions = [pixels, pool, conv2, answers];
        program.push(launch::pnet_alone(self.packed.pnet, conv_size, regions));
        program.run(device, &[])?;
        Ok((halves(&program.read(device, pool)?), values(&program.read(device, answers)?)))
    }

    /// R-Net's answers from what its convolutions give, [`launch::RNET_FEATURES`] values a crop, rounded to half.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn rnet_dense(&self, features: &[f32]) -> Result<Vec<[f32; RNET_ANSWERS]>, DeviceError> {
        let n = features.len() / launch::RNET_FEATURES;
        let (device, mut program) = self.program()?;
        let features = padded(features, RNET_MAX * launch::RNET_FEATURES);
        let features = program.take_filled(device, &half_bytes(&features))?;
        let answers = program.take(device, RNET_MAX * RNET_ANSWERS * size_of::<f32>())?;
        let status = Status { rnet_kept: n as u32, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        program.push(launch::rnet_heads(self.packed.rnet_heads, [features, answers, status]));
        program.run(device, &[])?;
        let mut answers: Vec<_> = values(&program.read(device, answers)?);
        answers.truncate(n);
        Ok(answers)
    }

    /// O-Net's hidden values, 256 a crop, and its answers from what its convolutions give, [`launch::ONET_FEATURES`] values a crop,
    /// rounded to half.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn onet_dense(
        &self,
        features: &[f32],
    ) -> Result<(Vec<f32>, Vec<[f32; ONET_ANSWERS]>), DeviceError> {
        let n = features.len() / launch::ONET_FEATURES;
        let (device, mut program) = self.program()?;
        let features = padded(features, ONET_MAX * launch::ONET_FEATURES);
        let features = program.take_filled(device, &half_bytes(&features))?;
        let hidden = program.take(device, launch::ONET_HIDDEN_BYTES)?;
        let answers = program.take(device, ONET_MAX * ONET_ANSWERS * size_of::<f32>())?;
        let status = Status { onet_kept: n as u32, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let regions = [features, hidden, answers, status];
        for step in launch::onet_heads(self.packed.onet_heads, regions) {
            program.push(step);
        }
        program.run(device, &[])?;
        let hidden = halves(&program.read(device, hidden)?);
        let mut answers: Vec<_> = values(&program.read(device, answers)?);
        answers.truncate(n);
        Ok((hidden, answers))
    }

    /// The networks alone.
    #[must_use]
    pub fn stages(&self) -> Stages<'_, D> {
        Stages { device: &self.device, packed: &self.packed }
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
        let result = program.take(device, RESULT_BYTES)?;
        let again = program.take(device, ONET_MAX * size_of::<Found>())?;
        program.push(launch::place(thresholds, [boxes, answers, masks, result, again, status]));
        program.run(device, &[])?;
        let result = program.read(device, result)?;
        let (status, found) = result.split_at(size_of::<Status>());
        let status: Status = bytemuck::pod_read_unaligned(status);
        let (mut found, mut again): (Vec<Found>, Vec<Found>) =
            (values(found), values(&program.read(device, again)?));
        found.truncate(status.detections as usize);
        again.truncate(status.detections as usize);
        assert_eq!(found, again, "for the host and for kernels");
        Ok((status, found))
    }

    /// What the first `detections` of these faces are like, and what lies behind for the others: zeros.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn quality(
        &self,
        frame: &RawFrame<'_>,
        faces: &[Found],
        detections: u32,
    ) -> Result<Vec<Measured>, DeviceError> {
        let (device, mut program) = self.program()?;
        let picture = picture::push_filled(&mut program, device, frame)?;
        let status = Status { detections, ..Status::default() };
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let n = faces.len();
        let faces = program.take_filled(device, bytemuck::cast_slice(faces))?;
        let out = program.take(device, n * size_of::<Measured>())?;
        program.push(launch::quality(n, picture, faces, status, out));
        program.run(device, &[])?;
        Ok(values(&program.read(device, out)?))
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
        let picture = picture::push_filled(&mut program, device, frame)?;
        let regions = [
            program.take_filled(device, bytemuck::cast_slice(faces))?,
            program.take(device, faces.len() * launch::crop_bytes(rule.0))?,
        ];
        program.push(launch::cut(faces.len(), picture, rule, regions, None));
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

    /// Microseconds of a row of so many levels of so many blocks, the median of some, and the last level's values: as a launch
    /// each, or in one launch of `grid` blocks that wait for counters.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn levels_floor(
        &self,
        (levels, blocks): (usize, usize),
        grid: Option<usize>,
        times: usize,
    ) -> Result<(f64, Vec<[u32; 4]>), DeviceError> {
        let (device, mut program) = self.program()?;
        let len = launch::level_bytes(blocks);
        let values = [program.take(device, len)?, program.take(device, len)?];
        let counters = program.take(device, launch::levels_counters_bytes(levels))?;
        match grid {
            Some(grid) => {
                program.push(launch::levels_in_one((levels, blocks), grid, values, counters));
            }
            None => launch::level_by_level(levels, blocks, values)
                .into_iter()
                .for_each(|step| program.push(step)),
        }
        program.record(device)?;
        let mut all = Vec::new();
        for _ in 0..=times {
            let start = Instant::now();
            program.run(device, &[])?;
            all.push(start.elapsed().as_secs_f64() * 1e6);
        }
        // The first is no measure.
        let mut all = all.split_off(1);
        all.sort_by(f64::total_cmp);
        let us = all.get(all.len() / 2).copied().unwrap_or_default();
        Ok((us, self::values(&program.read(device, values[levels % 2])?)))
    }

    fn median_us(&self, program: &mut Program<D>, times: usize) -> Result<f64, DeviceError> {
        let mut all = Vec::new();
        for _ in 0..times.max(1) {
            all.push(program.time_us(&self.device)?.iter().map(|(_, us)| f64::from(*us)).sum());
        }
        all.sort_by(f64::total_cmp);
        Ok(all[all.len() / 2])
    }

    fn program(&self) -> Result<(&D, Program<D>), DeviceError> {
        Ok((&self.device, Program::new(&self.device, 0, 0)?))
    }
}
