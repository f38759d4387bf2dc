//! What the cascade asks of an engine: the arithmetic of three small networks, and nothing else.
//!
//! Owns the trait and its plain data. Refuses to know thresholds, boxes or frames: those are the cascade's.
//! All activations are NHWC f32; levels and crops come normalised, `(grey - 127.5) / 128`.

use crate::engine::EngineError;

/// P-Net's answer for one level: a map of `height x width` cells, one for each 12 x 12 window at stride 2.
///
/// The engine sets the sizes and overwrites both vectors; they are kept between frames, so that a warm one does not
/// allocate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PNetMap {
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
    /// `height * width` probabilities that the window holds a face (softmax channel 1).
    pub prob: Vec<f32>,
    /// `height * width * 4` box regressions (x1, y1, x2, y2 as fractions of the window's side), HWC.
    pub reg: Vec<f32>,
}

/// R-Net's answer for one crop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RNetOutput {
    /// Probability that the crop holds a face (softmax channel 1).
    pub score: f32,
    /// Box regression: x1, y1, x2, y2 as fractions of the box's side.
    pub reg: [f32; 4],
}

/// O-Net's answer for one crop.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ONetOutput {
    /// Probability that the crop holds a face (softmax channel 1).
    pub score: f32,
    /// Box regression: x1, y1, x2, y2 as fractions of the box's side.
    pub reg: [f32; 4],
    /// Landmarks as the network gives them: x of the five points, then y, as fractions of the box's side.
    pub landmarks: [f32; 10],
}

/// The three networks of the cascade, on whatever hardware. Deterministic, and the same for any batch size.
pub trait StageNets {
    /// Runs P-Net over one level of `height x width x 3` (HWC); both sides are at least 12.
    ///
    /// # Errors
    /// [`EngineError`] if the arithmetic failed.
    fn pnet(
        &mut self,
        level: &[f32],
        height: usize,
        width: usize,
        out: &mut PNetMap,
    ) -> Result<(), EngineError>;

    /// Runs R-Net over `n` crops of 24 x 24 x 3; `out` becomes `n` answers in the same order.
    ///
    /// # Errors
    /// [`EngineError`] if the arithmetic failed.
    fn rnet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<RNetOutput>,
    ) -> Result<(), EngineError>;

    /// Runs O-Net over `n` crops of 48 x 48 x 3; `out` becomes `n` answers in the same order.
    ///
    /// # Errors
    /// [`EngineError`] if the arithmetic failed.
    fn onet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<ONetOutput>,
    ) -> Result<(), EngineError>;

    /// Threads that [`StageNets::each_chunk`] numbers, at least 1.
    fn threads(&self) -> usize {
        1
    }

    /// Calls `body(chunk's number, thread's number, chunk)` for each chunk of `len` values, the last one what is left.
    /// Here one after the other; an engine that has threads lends them, for the resizing between the networks.
    fn each_chunk(
        &self,
        values: &mut [f32],
        len: usize,
        body: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) {
        for (i, chunk) in values.chunks_mut(len).enumerate() {
            body(i, 0, chunk);
        }
    }
}
