//! The cascade's networks alone, from values to values: for the self-test before arming, and for tests.
//!
//! Owns nothing but the way in and out; the weights are the engine's. Errors are the device's.

use crate::device::{Device, DeviceError, Program};
use crate::launch::{
    self, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_HIDDEN_BYTES, ONET_MAX, ONET_POOL1_BYTES,
    ONET_POOL2_BYTES, PictureView, RNET_ANSWERS, RNET_FEATURES, RNET_MAX, Region, Status,
};
use crate::picture;
use crate::weights::Packed;
use half::f16;
use threshold_models::net::PNET_CELL_PX;
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

/// Which of the cascade's networks.
#[derive(Clone, Copy, Debug)]
pub enum CascadeNetwork {
    /// P-Net.
    Proposals,
    /// R-Net.
    Refinement,
    /// O-Net.
    Output,
}

/// One of the cascade's networks over one window, recorded: to be timed.
pub struct OneWindow<'a, D: Device> {
    // Before what is given, into which its steps point.
    program: Program<D>,
    _given: Program<D>,
    device: &'a D,
}

impl<D: Device> OneWindow<'_, D> {
    /// Runs it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn replay(&mut self) -> Result<(), DeviceError> {
        self.program.run(self.device, &[]).map(|_| ())
    }
}

/// A detector's networks on a device.
pub struct Stages<'a, D: Device> {
    pub(crate) device: &'a D,
    pub(crate) packed: &'a Packed,
}

impl<'a, D: Device> Stages<'a, D> {
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
        let (device, mut program) = self.program()?;
        let crops = crops(&mut program, device, frame, boxes, RNET_MAX, status)?;
        let answers = self.push_rnet(&mut program, crops)?;
        answers_of(&mut program, device, answers, boxes.len())
    }

    fn push_rnet(
        &self,
        program: &mut Program<D>,
        (view, boxes, status): (PictureView, Region, Region),
    ) -> Result<Region, DeviceError> {
        let device = self.device;
        let features = program.take(device, RNET_MAX * RNET_FEATURES * 2)?;
        let answers = program.take(device, RNET_MAX * RNET_ANSWERS * size_of::<f32>())?;
        let regions = [boxes, features, status];
        program.push(launch::rnet(device.multiprocessors(), view, self.packed.rnet, regions));
        let regions = [features, answers, status];
        program.push(launch::rnet_heads(self.packed.rnet_heads, regions));
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
        let (device, mut program) = self.program()?;
        let crops = crops(&mut program, device, frame, boxes, ONET_MAX, status)?;
        let answers = self.push_onet(&mut program, crops)?;
        answers_of(&mut program, device, answers, boxes.len())
    }

    fn push_onet(
        &self,
        program: &mut Program<D>,
        (view, boxes, status): (PictureView, Region, Region),
    ) -> Result<Region, DeviceError> {
        let device = self.device;
        let pool1 = program.take(device, ONET_POOL1_BYTES)?;
        let pool2 = program.take(device, ONET_POOL2_BYTES)?;
        let features = program.take(device, ONET_MAX * ONET_FEATURES * 2)?;
        let hidden = program.take(device, ONET_HIDDEN_BYTES)?;
        let answers = program.take(device, ONET_MAX * ONET_ANSWERS * size_of::<f32>())?;
        let regions = [boxes, pool1, pool2, features, status];
        for step in launch::onet(device.multiprocessors(), view, self.packed.onet, regions) {
            program.push(step);
        }
        let regions = [features, hidden, answers, status];
        for step in launch::onet_heads(self.packed.onet_heads, regions) {
            program.push(step);
        }
        Ok(answers)
    }

    /// A network over a frame that is one window, which lies on the device already; R-Net and O-Net with its crop and resizing, which
    /// their kernels do as well.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn one_window(
        &self,
        network: CascadeNetwork,
        frame: &RawFrame<'_>,
    ) -> Result<OneWindow<'a, D>, DeviceError> {
        let (device, mut given) = self.program()?;
        let (_, mut program) = self.program()?;
        let whole = [[0.0, 0.0, frame.width() as f32, frame.height() as f32]];
        match network {
            CascadeNetwork::Proposals => {
                let levels = Levels::new(frame.width(), frame.height(), PNET_CELL_PX as f64, 0.5);
                let picture = picture::push_filled(&mut given, device, frame)?;
                let table = given.take_filled(device, levels.bytes())?;
                let pixels = given.take(device, levels.pixel_bytes())?;
                given.push(launch::pyramid(picture, &levels, table, pixels));
                let keys = given.take(device, levels.cells() * size_of::<u64>())?;
                let regs = given.take(device, levels.cells() * size_of::<[f32; 4]>())?;
                let status = given.take(device, size_of::<Status>())?;
                // Which no cell passes: they would be appended run by run.
                let above_all = 2.0;
                let outputs = [keys, regs, status];
                let pnet = self.packed.pnet;
                program.push(launch::pnet(&levels, [table, pixels], pnet, above_all, outputs));
            }
            CascadeNetwork::Refinement => {
                let status = Status { rnet_kept: 1, ..Status::default() };
                let crops = crops(&mut given, device, frame, &whole, RNET_MAX, status)?;
                self.push_rnet(&mut program, crops)?;
            }
            CascadeNetwork::Output => {
                let status = Status { onet_kept: 1, ..Status::default() };
                let crops = crops(&mut given, device, frame, &whole, ONET_MAX, status)?;
                self.push_onet(&mut program, crops)?;
            }
        }
        given.run(device, &[])?;
        program.record(device)?;
        Ok(OneWindow { program, _given: given, device })
    }

    fn program(&self) -> Result<(&'a D, Program<D>), DeviceError> {
        Ok((self.device, Program::new(self.device, 0, 0)?))
    }
}

/// The frame's picture, the boxes and the status in a program.
fn crops<D: Device>(
    program: &mut Program<D>,
    device: &D,
    frame: &RawFrame<'_>,
    boxes: &[[f32; 4]],
    most: usize,
    status: Status,
) -> Result<(PictureView, Region, Region), DeviceError> {
    let view = picture::push_filled(program, device, frame)?;
    let boxes = program.take_filled(device, bytemuck::cast_slice(&padded(boxes, most)))?;
    let status = program.take_filled(device, bytemuck::bytes_of(&status))?;
    Ok((view, boxes, status))
}

/// Runs the program: the first `n` answers of a region.
fn answers_of<D: Device, T: bytemuck::AnyBitPattern>(
    program: &mut Program<D>,
    device: &D,
    answers: Region,
    n: usize,
) -> Result<Vec<T>, DeviceError> {
    program.run(device, &[])?;
    let mut all = values(&program.read(device, answers)?);
    all.truncate(n);
    Ok(all)
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
