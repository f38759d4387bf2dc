//! A mini-batch: samples of all kinds side by side, with the switches of the tasks (beta of the paper's eq. 4).
//!
//! Owns the mix and the layout. Sample `j` of step `s` follows from seed, `s` and `j` alone, so a batch is the same
//! whoever draws it, on however many threads, and whether the run was cut or not.

use crate::config::Mix;
use crate::random::Random;
use crate::sample::{Drawer, Kind, Sample};
use crate::stage::Stage;
use anyhow::{Result, bail};

/// Values that the landmarks' output has.
pub const LANDMARKS: usize = 10;
/// Values that the box's output has.
pub const BOX: usize = 4;

/// Samples as a network takes them, with what it should answer. Values of a task that is switched off are zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Samples.
    pub n: usize,
    /// `n * side * side * 3`, NHWC.
    pub pixels: Vec<f32>,
    /// 1 for a face, 0 for none.
    pub face: Vec<f32>,
    /// Whether the class counts, 0 or 1.
    pub face_on: Vec<f32>,
    /// `n * 4`.
    pub reg: Vec<f32>,
    /// Whether the box counts.
    pub reg_on: Vec<f32>,
    /// `n * 10`.
    pub landmarks: Vec<f32>,
    /// Whether the landmarks count.
    pub landmarks_on: Vec<f32>,
}

impl Batch {
    /// One sample more.
    pub fn push(&mut self, sample: &Sample) {
        self.n += 1;
        self.pixels.extend(&sample.pixels);
        self.face.push(f32::from(sample.face == Some(true)));
        self.face_on.push(f32::from(sample.face.is_some()));
        self.reg.extend(sample.reg.unwrap_or_default());
        self.reg_on.push(f32::from(sample.reg.is_some()));
        self.landmarks.extend(sample.landmarks.unwrap_or_default());
        self.landmarks_on.push(f32::from(sample.landmarks.is_some()));
    }
}

/// What the draw is for, beside the seed.
const STREAM: u64 = 0x7472_6169;

/// Draws batches.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    drawer: Drawer<'a>,
    kinds: Vec<Kind>,
    seed: u64,
    threads: usize,
}

impl<'a> Batches<'a> {
    /// Batches of `n` samples in this mix, on so many threads.
    ///
    /// # Errors
    /// If the pictures do not give every kind that is asked for.
    pub fn new(drawer: Drawer<'a>, mix: &Mix, n: usize, seed: u64, threads: usize) -> Result<Self> {
        let kinds = kinds(drawer.stage, mix, n);
        for kind in [Kind::Negative, Kind::Positive, Kind::Part, Kind::Landmarks] {
            let asked = kinds.contains(&kind);
            if asked && drawer.sample(kind, &mut Random::of(&[seed, !STREAM])).is_none() {
                bail!(
                    "the pictures give no {kind:?} sample; add sets, lower min_face_px, or set its part of mix to 0"
                );
            }
        }
        Ok(Self { drawer, kinds, seed, threads: threads.max(1) })
    }

    /// The batch of a step.
    ///
    /// # Errors
    /// If a sample could not be drawn.
    pub fn draw(&self, step: usize) -> Result<Batch> {
        let share = self.kinds.len().div_ceil(self.threads);
        let one = |(j, &kind): (usize, &Kind)| {
            let mut random = Random::of(&[self.seed, STREAM, step as u64, j as u64]);
            self.drawer.sample(kind, &mut random)
        };
        let one = &one;
        let parts: Vec<Vec<Option<Sample>>> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .kinds
                .chunks(share)
                .enumerate()
                .map(|(i, kinds)| {
                    scope.spawn(move || {
                        (i * share..).zip(kinds).map(|(j, kind)| one((j, kind))).collect::<Vec<_>>()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or_default()).collect()
        });
        let mut batch = Batch::default();
        for sample in parts.into_iter().flatten() {
            let Some(sample) = sample else { bail!("step {step}: a sample could not be drawn") };
            batch.push(&sample);
        }
        if batch.n != self.kinds.len() {
            bail!("step {step}: a drawing thread panicked");
        }
        Ok(batch)
    }
}

/// The kinds of a batch's samples. Tasks whose output the network lacks get none.
fn kinds(stage: Stage, mix: &Mix, n: usize) -> Vec<Kind> {
    let graph = stage.graph();
    let has = |name: &str| graph.outputs().iter().any(|&(output, _)| output == name);
    let mut parts = vec![(Kind::Negative, mix.negative), (Kind::Positive, mix.positive)];
    if has("reg") {
        parts.push((Kind::Part, mix.part));
    }
    if has("landmarks") {
        parts.push((Kind::Landmarks, mix.landmarks));
    }
    let sum: u32 = parts.iter().map(|&(_, part)| part).sum();
    let mut kinds = Vec::with_capacity(n);
    let mut upto = 0;
    for (kind, part) in parts {
        upto += part;
        // Rounded by the running sum, so that they fill the batch exactly.
        kinds.resize(n * upto as usize / sum as usize, kind);
    }
    kinds
}
