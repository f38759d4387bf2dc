//! The cascade's networks alone, from values to values: for the self-test before arming, and for tests.
//!
//! Owns nothing but the way in and out; the weights are the engine's. Errors are the device's.

use crate::device::{Device, DeviceError, Program, Step};
use crate::launch::{
    self, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_MAX, PictureView, RNET_ANSWERS, RNET_FEATURES,
    RNET_MAX, Region, Status,
};
use crate::picture;
use crate::weights::Packed;
use half::f16;
use threshold_models::raw::RawFrame;

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

/// A detector's networks on a device.
pub struct Stages<'a, D: Device> {
    pub(crate) device: &'a D,
    pub(crate) packed: &'a Packed,
}

impl<D: Device> Stages<'_, D> {
    /// Every level's pixels, four values each, one level after the other.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn pyramid(&self, frame: &RawFrame<'_>, levels: &Levels) -> Result<Vec<f32>, DeviceError> {
        let (device, mut program) = self.program()?;
        let picture = picture::push_filled(&mut program, device, frame)?;
        let table = program.take_filled(device, levels.bytes())?;
        let pixels = program.take(device, levels.pixel_bytes())?;
        program.push(launch::pyramid(picture, levels, table, pixels));
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
        steps: impl FnOnce(PictureView, [Region; 4]) -> [Step; 2],
    ) -> Result<Vec<u8>, DeviceError> {
        let (device, mut program) = self.program()?;
        let view = picture::push_filled(&mut program, device, frame)?;
        let boxes = padded(boxes, most);
        let boxes = program.take_filled(device, bytemuck::cast_slice(&boxes))?;
        let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
        let features = program.take(device, features * 2)?;
        let answers = program.take(device, answers * size_of::<f32>())?;
        for step in steps(view, [boxes, features, answers, status]) {
            program.push(step);
        }
        program.run(device, &[])?;
        program.read(device, answers)
    }

    fn program(&self) -> Result<(&D, Program<D>), DeviceError> {
        Ok((self.device, Program::new(self.device, 0, 0)?))
    }
}

pub(crate) fn padded<T: Copy + bytemuck::Zeroable>(items: &[T], most: usize) -> Vec<T> {
    let mut all = items.to_vec();
    all.resize(most, T::zeroed());
    all
}

pub(crate) fn values<T: bytemuck::AnyBitPattern>(bytes: &[u8]) -> Vec<T> {
    bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()
}

pub(crate) fn halves(bytes: &[u8]) -> Vec<f32> {
    let (halves, _) = bytes.as_chunks::<2>();
    halves.iter().map(|&two| f16::from_le_bytes(two).to_f32()).collect()
}

pub(crate) fn half_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect()
}
