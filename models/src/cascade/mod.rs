//! The cascade: from a frame to detections, with the semantics of facenet-pytorch 2.5.3, written once.
//!
//! Owns every rounding, `+1`, threshold, order and tie-break between the networks.
//! Refuses to do the networks' arithmetic: an engine lends it through [`StageNets`].
//! Terms: a *level* is one rescaled frame, a *proposal* is a box that survived an early stage, with its score.
//!
//! ```text
//! frame -> levels -> P-Net -> proposals -> NMS 0.5 in a level, 0.7 over all -> regress, square
//!       -> crops 24 -> R-Net -> NMS 0.7 -> regress, square
//!       -> crops 48 -> O-Net -> landmarks, regress -> NMS 0.7 of the smaller area -> order by area
//! ```
//! Each step is a public function of its file, so that a test can compare it with the reference alone.

pub mod nets;
pub mod nms;
pub mod proposal;
pub mod pyramid;
pub mod regress;

pub use nets::{ONetOutput, PNetMap, RNetOutput, StageNets};
pub use proposal::Proposal;

use crate::engine::{BBox, Detection, EngineError, Landmarks};
use crate::frame::Frame;
use nms::{Nms, Overlap};
use pyramid::{AreaResize, Grey, Rect};
use std::cmp::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the cascade is asked for. The default is the reference's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeOptions {
    /// Side of the smallest face looked for, in frame pixels, 6 to 100,000; below 12 the frame is enlarged.
    pub min_face_px: f64,
    /// Stage scores that a proposal must reach: P-Net (at or above), R-Net and O-Net (above).
    pub thresholds: [f32; 3],
    /// Ratio between one pyramid level and the one before it, 0.1 to 0.95.
    pub factor: f64,
}

impl Default for CascadeOptions {
    fn default() -> Self {
        Self { min_face_px: 20.0, thresholds: [0.6, 0.7, 0.7], factor: 0.709 }
    }
}

impl CascadeOptions {
    /// Says which option is out of range: a level count without end would hang the door.
    ///
    /// # Errors
    /// [`EngineError::CascadeOption`] for the first option that is out of range or not a number.
    pub fn check(&self) -> Result<(), EngineError> {
        let ranges = [
            ("min_face_px", self.min_face_px, 6.0, 100_000.0),
            ("factor", self.factor, 0.1, 0.95),
            ("P-Net threshold", f64::from(self.thresholds[0]), 0.0, 1.0),
            ("R-Net threshold", f64::from(self.thresholds[1]), 0.0, 1.0),
            ("O-Net threshold", f64::from(self.thresholds[2]), 0.0, 1.0),
        ];
        for (option, value, min, max) in ranges {
            if !(min..=max).contains(&value) {
                return Err(EngineError::CascadeOption { option, value, min, max });
            }
        }
        Ok(())
    }
}

/// Overlap above which proposals of one level suppress each other.
pub const NMS_LEVEL: f32 = 0.5;
/// The same over all levels and after R-Net (union), and after O-Net (smaller area).
pub const NMS_STAGE: f32 = 0.7;
/// Sides of the crops that R-Net and O-Net take.
const RNET_SIDE: usize = 24;
const ONET_SIDE: usize = 48;
/// Parts of a level's resize for each thread, so that one that the system holds up takes fewer, and the fewest rows of one:
/// waking a thread costs what a few rows do.
const PARTS_EACH: usize = 2;
const ROWS_MIN: usize = 8;
/// Crops handed over at a time: enough to fill several threads, 7 MB of O-Net's at most.
const BATCH: usize = 256;

/// The cascade with its buffers; a warm one allocates only the detections.
#[derive(Debug, Default)]
pub struct Cascade {
    options: CascadeOptions,
    /// One for each of the engine's threads.
    resizes: Vec<Mutex<AreaResize>>,
    nms: Nms,
    pixels: Vec<f32>,
    map: PNetMap,
    level_proposals: Vec<Proposal>,
    proposals: Vec<Proposal>,
    survivors: Vec<Proposal>,
    windows: Vec<Rect>,
    rnet: Vec<RNetOutput>,
    onet: Vec<ONetOutput>,
    landmarks: Vec<Landmarks>,
}

/// Faces of a frame, by box area descending, then score, then index; see [`Cascade::detect`].
///
/// # Errors
/// [`EngineError`] if an option is out of range or the arithmetic failed.
pub fn detect(
    nets: &mut dyn StageNets,
    frame: &Frame,
    options: &CascadeOptions,
) -> Result<Vec<Detection>, EngineError> {
    Cascade::new(*options).detect(nets, frame)
}

impl Cascade {
    /// A cascade for these options; they are checked at each detection.
    #[must_use]
    pub fn new(options: CascadeOptions) -> Self {
        Self { options, ..Self::default() }
    }

    /// The options in force.
    #[must_use]
    pub fn options(&self) -> &CascadeOptions {
        &self.options
    }

    /// Faces of a frame, by box area descending, then score, then index. Boxes may stick out of the frame.
    ///
    /// # Errors
    /// [`EngineError`] if an option is out of range or the arithmetic failed.
    pub fn detect(
        &mut self,
        nets: &mut dyn StageNets,
        frame: &Frame,
    ) -> Result<Vec<Detection>, EngineError> {
        self.prepare(nets)?;
        self.propose(nets, frame)?;
        self.refine(nets, frame)?;
        self.place(nets, frame)
    }

    /// What P-Net (`stages` 1) or R-Net (2) passes on, score descending, regressed and squared: what the next stage is
    /// trained on.
    ///
    /// # Errors
    /// [`EngineError`] if an option is out of range or the arithmetic failed.
    pub fn proposals(
        &mut self,
        nets: &mut dyn StageNets,
        frame: &Frame,
        stages: usize,
    ) -> Result<&[Proposal], EngineError> {
        self.prepare(nets)?;
        self.propose(nets, frame)?;
        if stages > 1 {
            self.refine(nets, frame)?;
        }
        Ok(&self.proposals)
    }

    fn prepare(&mut self, nets: &dyn StageNets) -> Result<(), EngineError> {
        self.options.check()?;
        if self.resizes.len() < nets.threads() {
            self.resizes.resize_with(nets.threads(), Mutex::default);
        }
        Ok(())
    }

    /// Stage 1: fills `proposals` from P-Net, score descending, regressed and squared.
    fn propose(&mut self, nets: &mut dyn StageNets, frame: &Frame) -> Result<(), EngineError> {
        let CascadeOptions { min_face_px, factor, thresholds } = self.options;
        self.survivors.clear();
        for level in pyramid::levels(frame.width(), frame.height(), min_face_px, factor) {
            self.pixels.resize(level.height * level.width * 3, 0.0);
            let size = (level.height, level.width);
            // Each part finds the windows anew, so one thread takes the level whole.
            let parts = if nets.threads() == 1 { 1 } else { PARTS_EACH * nets.threads() };
            let rows = level.height.div_ceil(parts).max(ROWS_MIN);
            let resize = |part: usize, thread: usize, out: &mut [f32]| {
                let resize = &mut lock(&self.resizes[thread]);
                resize.run_rows(frame, Rect::of(frame), size, part * rows, Grey::CASCADE, out);
            };
            nets.each_chunk(&mut self.pixels, rows * level.width * 3, &resize);
            nets.pnet(&self.pixels, level.height, level.width, &mut self.map)?;
            self.level_proposals.clear();
            proposal::collect(&self.map, level.scale, thresholds[0], &mut self.level_proposals)?;
            let kept = self.nms.keep(&self.level_proposals, Overlap::Union, NMS_LEVEL);
            self.survivors.extend(kept.iter().map(|&i| self.level_proposals[i as usize]));
        }
        let kept = self.nms.keep(&self.survivors, Overlap::Union, NMS_STAGE);
        self.proposals.clear();
        self.proposals.extend(kept.iter().map(|&i| {
            let proposal = self.survivors[i as usize];
            let bbox = regress::squared(&regress::regress_plain(&proposal.bbox, &proposal.reg));
            Proposal { bbox, ..proposal }
        }));
        Ok(())
    }

    /// Stage 2: replaces `proposals` by those that R-Net passes, score descending, regressed and squared.
    fn refine(&mut self, nets: &mut dyn StageNets, frame: &Frame) -> Result<(), EngineError> {
        self.find_windows(frame);
        self.survivors.clear();
        let batches = self.windows.chunks(BATCH).zip(self.proposals.chunks(BATCH));
        for (windows, proposals) in batches {
            crop_batch(nets, &self.resizes, frame, windows, RNET_SIDE, &mut self.pixels);
            nets.rnet(&self.pixels, windows.len(), &mut self.rnet)?;
            assert_eq!(self.rnet.len(), windows.len(), "the engine answers every crop");
            for (output, proposal) in self.rnet.iter().zip(proposals) {
                let RNetOutput { score, reg } = *output;
                if !score.is_finite() || !reg.iter().all(|value| value.is_finite()) {
                    return Err(EngineError::NotFinite { network: "R-Net" });
                }
                if score > self.options.thresholds[1] {
                    self.survivors.push(Proposal { bbox: proposal.bbox, score, reg });
                }
            }
        }
        let kept = self.nms.keep(&self.survivors, Overlap::Union, NMS_STAGE);
        self.proposals.clear();
        self.proposals.extend(kept.iter().map(|&i| {
            let proposal = self.survivors[i as usize];
            let bbox = regress::squared(&regress::regress_inclusive(&proposal.bbox, &proposal.reg));
            Proposal { bbox, ..proposal }
        }));
        Ok(())
    }

    /// Stage 3: the detections that O-Net passes, in the final order.
    fn place(
        &mut self,
        nets: &mut dyn StageNets,
        frame: &Frame,
    ) -> Result<Vec<Detection>, EngineError> {
        self.find_windows(frame);
        self.survivors.clear();
        self.landmarks.clear();
        let batches = self.windows.chunks(BATCH).zip(self.proposals.chunks(BATCH));
        for (windows, proposals) in batches {
            crop_batch(nets, &self.resizes, frame, windows, ONET_SIDE, &mut self.pixels);
            nets.onet(&self.pixels, windows.len(), &mut self.onet)?;
            assert_eq!(self.onet.len(), windows.len(), "the engine answers every crop");
            for (output, proposal) in self.onet.iter().zip(proposals) {
                let ONetOutput { score, reg, landmarks } = *output;
                let mut values = reg.iter().chain(&landmarks).chain(std::iter::once(&score));
                if !values.all(|value| value.is_finite()) {
                    return Err(EngineError::NotFinite { network: "O-Net" });
                }
                if score > self.options.thresholds[2] {
                    let bbox = regress::regress_inclusive(&proposal.bbox, &reg);
                    self.survivors.push(Proposal { bbox, score, reg });
                    self.landmarks.push(regress::place_landmarks(&proposal.bbox, &landmarks));
                }
            }
        }
        let kept = self.nms.keep(&self.survivors, Overlap::Smaller, NMS_STAGE);
        let mut detections: Vec<_> = kept
            .iter()
            .map(|&i| {
                let Proposal { bbox, score, .. } = self.survivors[i as usize];
                Detection { bbox, landmarks: self.landmarks[i as usize], score }
            })
            .collect();
        // Stable, so that the index, here the order of the suppression, is the last tie-break.
        detections.sort_by(final_order);
        Ok(detections)
    }

    /// Finds the pixels of each proposal, and drops those that lie outside the frame: the reference skips their crop
    /// but keeps their box, and so gives later boxes the wrong answer.
    fn find_windows(&mut self, frame: &Frame) {
        self.windows.clear();
        let windows = &mut self.windows;
        self.proposals.retain(|proposal| {
            let window = proposal::crop_window(&proposal.bbox, frame.width(), frame.height());
            windows.extend(window);
            window.is_some()
        });
    }
}

/// Resizes each window to `side x side x 3`, one after the other in `pixels`.
fn crop_batch(
    nets: &dyn StageNets,
    resizes: &[Mutex<AreaResize>],
    frame: &Frame,
    windows: &[Rect],
    side: usize,
    pixels: &mut Vec<f32>,
) {
    let len = side * side * 3;
    pixels.resize(windows.len() * len, 0.0);
    nets.each_chunk(pixels, len, &|i, thread, crop| {
        let size = (side, side);
        lock(&resizes[thread]).run(frame, windows[i], size, Grey::CASCADE, crop);
    });
}

fn lock(resize: &Mutex<AreaResize>) -> MutexGuard<'_, AreaResize> {
    // Its buffers are filled before they are read, so those of a part that panicked are as good as any.
    resize.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Box area descending, then score descending.
fn final_order(a: &Detection, b: &Detection) -> Ordering {
    let area = |bbox: &BBox| (bbox.x2 - bbox.x1) * (bbox.y2 - bbox.y1);
    area(&b.bbox).total_cmp(&area(&a.bbox)).then(b.score.total_cmp(&a.score))
}
