//! The detector's self-test: its three networks on the device beside the CPU engine, over one frame of noise; and in `whole`, frames
//! through the graphs that the door uses.
//!
//! Golden vectors are values that no camera gives, and the cascade's kernels read camera frames; so the expected answers are
//! the CPU engine's, made once when the weights are at hand. The pack's hash vouches for the weights, this for the device.

pub(crate) mod whole;

use crate::device::Device;
use crate::embed::Embedder;
use crate::engine::KernelError;
use crate::launch::Levels;
use crate::stages::Stages;
use std::sync::Arc;
use threshold_models::cascade::pyramid::{AreaResize, Grey, Rect, levels};
use threshold_models::cascade::{ONetOutput, PNetMap, RNetOutput, StageNets as _};
use threshold_models::cpu::{CpuStages, Pool, Simd};
use threshold_models::engine::EngineError;
use threshold_models::frame::Frame;
use threshold_models::graph::Shape;
use threshold_models::pack::PackError;
use threshold_models::raw::RawFrame;
use threshold_models::synthetic;
use threshold_models::tensor::{TensorSource, max_abs_diff};

/// Pixels of the frame's side, O-Net's input.
const SIDE: usize = 48;
/// How far an answer may lie from the CPU engine's: on noise half precision moves it by 0.003 at most
/// (`tests/kernels/networks.rs`); a wrong product or a lost barrier moves it by far more.
const TOLERANCE: f32 = 0.02;

/// What the networks should answer.
pub(crate) struct Expected {
    frame: Frame,
    /// Score and regression of each cell of each level.
    pnet: Vec<[f32; 5]>,
    rnet: RNetOutput,
    onet: ONetOutput,
}

impl Expected {
    /// The answers of the CPU engine with these weights.
    pub(crate) fn new(detector: &dyn TensorSource) -> Result<Self, EngineError> {
        let values = synthetic::input(4, Shape { h: SIDE, w: SIDE, c: 3 });
        let grey = |value: f32| ((value + 1.0) * 127.5) as u8;
        let Ok(frame) = Frame::from_rgb(SIDE, SIDE, values.into_iter().map(grey).collect()) else {
            unreachable!("as many bytes as pixels");
        };
        let mut cpu = CpuStages::new(detector, Simd::detect(), Arc::new(Pool::new(1)))?;
        let resized = |height: usize, width: usize| {
            let mut out = vec![0.0; height * width * 3];
            let whole = Rect::of(&frame);
            AreaResize::default().run(&frame, whole, (height, width), Grey::CASCADE, &mut out);
            out
        };
        let (mut pnet, mut map) = (Vec::new(), PNetMap::default());
        for level in levels(SIDE, SIDE, FACE_PX, FACTOR) {
            let pixels = resized(level.height, level.width);
            cpu.pnet(&pixels, level.height, level.width, &mut map)?;
            let (regs, _) = map.reg.as_chunks::<4>();
            pnet.extend(map.prob.iter().zip(regs).map(|(&p, &[a, b, c, d])| [p, a, b, c, d]));
        }
        let (mut rnet, mut onet) = (Vec::new(), Vec::new());
        cpu.rnet(&resized(24, 24), 1, &mut rnet)?;
        cpu.onet(&resized(48, 48), 1, &mut onet)?;
        let (rnet, onet) = (rnet.swap_remove(0), onet.swap_remove(0));
        Ok(Self { frame, pnet, rnet, onet })
    }

    /// Runs the networks on the device and compares.
    pub(crate) fn check<D: Device>(&self, stages: &Stages<'_, D>) -> Result<(), KernelError> {
        let raw = RawFrame::of(&self.frame);
        let table = Levels::new(SIDE, SIDE, FACE_PX, FACTOR);
        let pixels = stages.pyramid(&raw, &table)?;
        let (_, mut cells) = stages.pnet(&table, &pixels, 0.0)?;
        cells.sort_by_key(|cell| cell.cell);
        let found = cells.iter().flat_map(|cell| {
            let [a, b, c, d] = cell.reg;
            [cell.score, a, b, c, d]
        });
        compare("P-Net", found.collect(), self.pnet.as_flattened())?;

        let whole = [[1.0, 1.0, SIDE as f32, SIDE as f32]];
        let answer = stages.rnet(&raw, &whole)?[0];
        let mut expected = vec![self.rnet.score];
        expected.extend(self.rnet.reg);
        compare("R-Net", scored(&answer, 4), &expected)?;

        let answer = stages.onet(&raw, &whole)?[0];
        let mut expected = vec![self.onet.score];
        expected.extend(self.onet.reg.iter().chain(&self.onet.landmarks));
        compare("O-Net", scored(&answer, 14), &expected)
    }
}

/// Whole frames through the graphs: what is left of the networks' answers, and what is made of the faces if there is an embedder.
///
/// # Errors
/// [`KernelError::SelfTest`] with what differs from the processor's; [`KernelError::NothingCompared`] if a frame leaves no face;
/// what the device failed with.
pub(crate) fn check_whole<D: Device>(
    stages: &Stages<'_, D>,
    embedder: Option<&mut Embedder<D>>,
) -> Result<(), KernelError> {
    whole::check(stages, embedder).map(|_| ())
}

/// So that the first level is the frame itself.
const FACE_PX: f64 = 12.0;
const FACTOR: f64 = 0.709;

/// The probability of two logits, then `n` further answers.
fn scored(answer: &[f32], n: usize) -> Vec<f32> {
    std::iter::once(probability(answer)).chain(answer[2..2 + n].iter().copied()).collect()
}

/// That of a face, of an answer that begins with two logits.
fn probability(answer: &[f32]) -> f32 {
    1.0 / (1.0 + (answer[0] - answer[1]).exp())
}

fn compare(network: &'static str, found: Vec<f32>, expected: &[f32]) -> Result<(), KernelError> {
    let difference = max_abs_diff(&found, expected);
    if difference <= TOLERANCE {
        return Ok(());
    }
    let (name, tolerance) = ("the detector".to_owned(), TOLERANCE);
    Err(KernelError::Pack(Box::new(PackError::SelfTest { name, network, difference, tolerance })))
}
