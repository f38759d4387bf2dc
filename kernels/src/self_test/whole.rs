//! The self-test of what lies between the networks and behind them: whole frames through the recorded graphs, beside the
//! processor's own code.
//!
//! Sorting, suppression, placing, measures, crops and search have no golden vectors, and a device that nobody here has seen may
//! run one of their kernels wrongly where the networks alone are right. So a frame of noise goes through the graph that the door
//! uses, and then its networks' answers, read from the device, go through `models::cascade`: the same faces must come out, bit for
//! bit. The answers themselves are those of the networks alone, which are no graph and overlap with nothing.
//! Thresholds lie where parts of the noise pass, first all of it, and never where no face is left: a frame without one would be
//! passed by whatever the kernels behind the detector do.
//! Owns the frames and thresholds. Refuses to compare networks with the processor's: their arithmetic differs in the last places,
//! and `self_test` has compared them before.

use crate::device::Device;
use crate::embed::Embedder;
use crate::engine::{KernelError, detection};
use crate::gallery::DeviceGallery;
use crate::launch::{Levels, ONET_ANSWERS, RNET_ANSWERS};
use crate::recognise::{Asked, Chains};
use crate::room::{Answers, Room};
use crate::self_test::probability;
use crate::stages::Stages;
use half::f16;
use threshold_models::cascade::proposal::crop_window;
use threshold_models::cascade::{
    self, Cascade, CascadeOptions, ONetOutput, PNetMap, RNetOutput, StageNets,
};
use threshold_models::engine::{Compared, Detection, Embedding, EngineError};
use threshold_models::frame::Frame;
use threshold_models::graph::Shape;
use threshold_models::net::pnet_cells;
use threshold_models::pack::GOLDEN_TOLERANCE_F16;
use threshold_models::quality::{self, Measures};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::search::{Index, quantise};
use threshold_models::synthetic;
use threshold_record::{PersonId, Template};

/// Pixels of the frame: some seventy cells of P-Net, and no multiple of a block in either direction.
const SIZE: [usize; 2] = [58, 46];
const FACE_PX: f64 = 24.0;
/// What a score may differ by: the processor's exponential function is another.
const SCORE: f32 = 1e-6;
/// Parts of a score that a threshold keeps from it at least.
const GAP: f32 = 1e-4;
/// What an angle may differ by, degrees, for the same reason.
const ANGLE_DEG: f32 = 1e-3;
/// What an embedding may differ by, of its largest value if that is above 1: a batch of another size sums in another order.
const EMBEDDING: f32 = GOLDEN_TOLERANCE_F16;
/// Templates of the gallery, of which a person has two: more than a tile.
const TEMPLATES: usize = 70;
/// Most faces of the second and the third frame that are recognised: the door asks for one, and a network is divided otherwise for
/// more than two. A frame may leave more.
const MOST: [usize; 2] = [4, 1];

/// Runs frames and compares: how many faces each of the three left, none of them none.
///
/// # Errors
/// [`KernelError::SelfTest`] with what differs; [`KernelError::NothingCompared`] if a frame leaves no face; what the device failed
/// with.
pub(crate) fn check<D: Device>(
    stages: &Stages<'_, D>,
    mut embedder: Option<&mut Embedder<D>>,
) -> Result<[usize; 3], KernelError> {
    let device = stages.device;
    let format = PixelFormat::Yuyv;
    let stride = format.stride(SIZE[0]);
    let values = synthetic::input(5, Shape { h: SIZE[1], w: stride, c: 1 });
    let bytes: Vec<u8> = values.into_iter().map(|value| ((value + 1.0) * 127.5) as u8).collect();
    let raw = RawFrame::new(format, SIZE, stride, Colour::default(), &bytes)
        .unwrap_or_else(|_| unreachable!("as many bytes as the format has"));
    let frame = raw.to_frame();
    let factor = CascadeOptions::default().factor;
    let levels = Levels::new(SIZE[0], SIZE[1], FACE_PX, factor);
    let (mut thresholds, mut left) = ([0.0; 3], [0; 3]);
    for (most, left) in [None, Some(MOST[0]), Some(MOST[1])].into_iter().zip(&mut left) {
        let mut room = Room::new(device, &raw, &levels, thresholds, stages.packed)?;
        room.input().copy_from_slice(&bytes);
        let mut recognised = None;
        match (&mut embedder, most) {
            (Some(embedder), Some(most)) => {
                recognised = Some((recognise(device, &room, embedder, most)?, most));
            }
            _ => {
                room.begin(device)?;
                room.finish(device)?;
            }
        }
        let answers = room.answers(device)?;
        let options = CascadeOptions { min_face_px: FACE_PX, thresholds, factor };
        let found: Vec<Detection> = room.result().1.map(detection).collect();
        same_faces(&found, &Replay::of(&answers).detect(&frame, &options)?)?;
        same_answers(stages, (&raw, &frame), (&levels, &options), &answers)?;
        if found.is_empty() {
            return Err(KernelError::NothingCompared);
        }
        *left = found.len();
        if let (Some(embedder), Some((recognised, most))) = (&mut embedder, recognised) {
            recognised.check(device, &frame, &found[..most.min(found.len())], embedder)?;
        }
        match most {
            // Three quarters of the cells and of R-Net's crops pass from now on.
            None => {
                thresholds[0] = between(answers.pnet.iter().map(|cell| cell.1), |n| n * 3 / 4);
                let scores = answers.rnet.iter().map(|answer| probability(answer));
                thresholds[1] = between(scores, |n| n * 3 / 4);
            }
            // And the best face. What leads to it stays as it was: tightened too, the stages before might lose it.
            Some(_) => thresholds[2] = between(found.iter().map(|face| face.score), |_| 1),
        }
    }
    Ok(left)
}

/// A threshold that so many of these scores pass, in the middle between the last of them and the next; 0 where no more are there,
/// or the two are so near that a rounding could move one to the other side.
fn between(scores: impl Iterator<Item = f32>, passing: impl Fn(usize) -> usize) -> f32 {
    let mut scores: Vec<f32> = scores.filter(|score| score.is_finite()).collect();
    scores.sort_by(|a, b| b.total_cmp(a));
    let n = passing(scores.len());
    match scores.get(n.saturating_sub(1)..=n) {
        Some(&[above, below]) if n > 0 && above - below > GAP * above => {
            f32::midpoint(above, below)
        }
        _ => 0.0,
    }
}

/// What one frame's graph said of its faces.
struct Recognised {
    compared: Vec<Compared>,
    embeddings: Vec<Embedding>,
    index: Index,
}

/// Runs detection, measures, crops, embeddings and the search of a drawn gallery over the room's input.
fn recognise<D: Device>(
    device: &D,
    room: &Room<D>,
    embedder: &Embedder<D>,
    most: usize,
) -> Result<Recognised, KernelError> {
    let len = embedder.embedding_len();
    let template = |i: usize| {
        let values = synthetic::input(100 + i as u64, Shape { h: 1, w: 1, c: len });
        let (scale, vector) = quantise(&Embedding(values));
        Template {
            person: PersonId(i as u32 / 2 + 1),
            slot: (i % 2) as u8,
            quality: 100,
            model: embedder.model(),
            scale,
            vector: vector.into_iter().collect(),
        }
    };
    let templates: Vec<Template> = (0..TEMPLATES).map(template).collect();
    let index = Index::new(embedder.metric(), &templates)?;
    let gallery = DeviceGallery::of(device, &index)?;
    // Dropped before the gallery, into which it points.
    let mut chains = Chains::default();
    chains.begin(device, room, Asked { embedder, gallery: Some(&gallery), most })?;
    let mut compared = chains.finish(device, Some(&gallery))?;
    let faces = room.result().1.count().min(most);
    compared.truncate(faces);
    let embeddings = chains.embeddings(device, embedder, faces)?;
    Ok(Recognised { compared, embeddings, index })
}

impl Recognised {
    /// All of these faces beside the processor's.
    fn check<D: Device>(
        &self,
        device: &D,
        frame: &Frame,
        faces: &[Detection],
        embedder: &mut Embedder<D>,
    ) -> Result<(), KernelError> {
        if [self.compared.len(), self.embeddings.len()] != [faces.len(); 2] {
            return Err(other("the number of faces that are compared"));
        }
        for ((compared, embedding), face) in self.compared.iter().zip(&self.embeddings).zip(faces) {
            let measures = quality::measure(frame, face);
            let angles = |m: &Measures| [m.yaw_deg, m.pitch_deg, m.roll_deg];
            let near = |(a, b): (f32, f32)| (a - b).abs() <= ANGLE_DEG || a.is_nan() && b.is_nan();
            let [yaw_deg, pitch_deg, roll_deg] = angles(&measures);
            let rest = Measures { yaw_deg, pitch_deg, roll_deg, ..compared.measures };
            let all_near = angles(&compared.measures).into_iter().zip(angles(&measures)).all(near);
            if !all_near || !same_measures(&rest, &measures) {
                return Err(other("what a face is like"));
            }
            if self.index.search(embedding)? != compared.candidates {
                return Err(other("who is most like a face"));
            }
        }
        // Of several the last: a crop at the wrong place is another's.
        if let Some((embedding, face)) = self.embeddings.iter().zip(faces).next_back() {
            let cut = embedder.embed_cut(device, frame, face)?;
            let largest = cut.0.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
            let far = |(a, b): (&f32, &f32)| (a - b).abs() > EMBEDDING * largest;
            if embedding.0.len() != cut.0.len() || embedding.0.iter().zip(&cut.0).any(far) {
                return Err(other("a face's crop or its embedding"));
            }
        }
        Ok(())
    }
}

/// Bit for bit, but that no number is another no number.
fn same_measures(a: &Measures, b: &Measures) -> bool {
    let bits = |m: &Measures| {
        let all = [m.face_px, m.visible, m.brightness, m.dark, m.bright, m.sharpness, m.score];
        let rest = [m.texture, m.band, m.yaw_deg, m.pitch_deg, m.roll_deg];
        let bits = |value: f32| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() };
        (all.map(bits), rest.map(bits))
    };
    bits(a) == bits(b)
}

fn same_faces(found: &[Detection], expected: &[Detection]) -> Result<(), KernelError> {
    let same = |(a, b): (&Detection, &Detection)| {
        a.bbox == b.bbox && a.landmarks == b.landmarks && (a.score - b.score).abs() <= SCORE
    };
    if found.len() == expected.len() && found.iter().zip(expected).all(same) {
        return Ok(());
    }
    Err(other("the faces that are left of the proposals"))
}

/// The graph's networks answered what they answer alone, over pixels that are the processor's.
fn same_answers<D: Device>(
    stages: &Stages<'_, D>,
    (raw, frame): (&RawFrame<'_>, &Frame),
    (levels, options): (&Levels, &CascadeOptions),
    answers: &Answers,
) -> Result<(), KernelError> {
    let pixels = stages.pyramid(raw, levels)?;
    let mut replay = Replay::of(answers);
    let mut cascade = Cascade::new(*options);
    let mut boxes = |replay: &mut Replay<'_>, n| -> Result<Vec<[f32; 4]>, KernelError> {
        let proposals = cascade.proposals(replay, frame, n)?.iter();
        let inside = proposals.filter(|p| crop_window(&p.bbox, SIZE[0], SIZE[1]).is_some());
        Ok(inside.map(|p| [p.bbox.x1, p.bbox.y1, p.bbox.x2, p.bbox.y2]).collect())
    };
    let first = boxes(&mut replay, 1)?;
    if pixels != replay.seen {
        return Err(other("the levels"));
    }
    let (_, mut cells) = stages.pnet(levels, &pixels, options.thresholds[0])?;
    cells.sort_by_key(|cell| cell.cell);
    if !cells
        .into_iter()
        .map(|cell| (cell.cell, cell.score, cell.reg))
        .eq(answers.pnet.iter().copied())
    {
        return Err(other("what P-Net says"));
    }
    if stages.rnet(raw, &first)? != answers.rnet {
        return Err(other("what R-Net says"));
    }
    let second = boxes(&mut Replay::of(answers), 2)?;
    if stages.onet(raw, &second)? != answers.onet {
        return Err(other("what O-Net says"));
    }
    Ok(())
}

fn other(what: &'static str) -> KernelError {
    KernelError::SelfTest { what }
}

/// Networks that answer what a device's answered before, in that order.
struct Replay<'a> {
    /// Score and regression of each cell of each level that is still to come.
    pnet: std::slice::Iter<'a, (u32, f32, [f32; 4])>,
    rnet: std::slice::Iter<'a, [f32; RNET_ANSWERS]>,
    onet: std::slice::Iter<'a, [f32; ONET_ANSWERS]>,
    /// Cells of the levels before.
    cells: u32,
    /// The levels that the processor made, as `pyramid` writes them.
    seen: Vec<f32>,
}

impl<'a> Replay<'a> {
    fn of(answers: &'a Answers) -> Self {
        let Answers { pnet, rnet, onet } = answers;
        Self { pnet: pnet.iter(), rnet: rnet.iter(), onet: onet.iter(), cells: 0, seen: Vec::new() }
    }

    /// The processor's cascade over them. More crops than the device had end it, which the number of faces then shows.
    fn detect(
        mut self,
        frame: &Frame,
        options: &CascadeOptions,
    ) -> Result<Vec<Detection>, KernelError> {
        let found = cascade::detect(&mut self, frame, options)?;
        if self.pnet.next().is_some() || self.rnet.next().is_some() || self.onet.next().is_some() {
            return Err(other("the number of proposals"));
        }
        Ok(found)
    }
}

/// What the networks say where the device was not asked.
fn unasked() -> EngineError {
    EngineError::Device { what: other("the number of proposals").to_string() }
}

impl StageNets for Replay<'_> {
    fn pnet(
        &mut self,
        level: &[f32],
        height: usize,
        width: usize,
        out: &mut PNetMap,
    ) -> Result<(), EngineError> {
        let half = |value: f32| f16::from_f32(value).to_f32();
        for &[red, green, blue] in level.as_chunks().0 {
            let four = [green, green - half(green), red - green, blue - green];
            self.seen.extend(four.map(half));
        }
        (out.height, out.width) = (pnet_cells(height), pnet_cells(width));
        let n = out.height * out.width;
        // Cells that the device did not pass are far below any threshold.
        (out.prob, out.reg) = (vec![-1.0; n], vec![0.0; 4 * n]);
        let end = self.cells + n as u32;
        while let Some(&(cell, score, reg)) = self.pnet.as_slice().first().filter(|c| c.0 < end) {
            let at = (cell - self.cells) as usize;
            out.prob[at] = score;
            out.reg[4 * at..][..4].copy_from_slice(&reg);
            self.pnet.next();
        }
        self.cells = end;
        Ok(())
    }

    fn rnet(&mut self, _: &[f32], n: usize, out: &mut Vec<RNetOutput>) -> Result<(), EngineError> {
        out.clear();
        for _ in 0..n {
            let answer = self.rnet.next().ok_or_else(unasked)?;
            let reg = [answer[2], answer[3], answer[4], answer[5]];
            out.push(RNetOutput { score: probability(answer), reg });
        }
        Ok(())
    }

    fn onet(&mut self, _: &[f32], n: usize, out: &mut Vec<ONetOutput>) -> Result<(), EngineError> {
        out.clear();
        for _ in 0..n {
            let answer = self.onet.next().ok_or_else(unasked)?;
            let reg = [answer[2], answer[3], answer[4], answer[5]];
            let landmarks = std::array::from_fn(|i| answer[6 + i]);
            out.push(ONetOutput { score: probability(answer), reg, landmarks });
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "emulator"))]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::device::emulator::Emulator;
    use crate::device::failing::Failing;
    use crate::weights::Packed;
    use threshold_models::import::description;
    use threshold_models::net;
    use threshold_models::pack::{Network, Pack};
    use threshold_models::tensor::Tensors;

    /// dlib's network with drawn weights.
    pub(crate) fn drawn_embedder() -> Pack {
        let meta = description(Network::DlibResnet29);
        let weights = synthetic::weights(&meta.network.graphs());
        Pack::new(meta, &weights).unwrap()
    }

    /// A detector with drawn weights: with a seed other ones where P-Net and R-Net make their scores.
    fn drawn_detector(seed: Option<u64>) -> Tensors {
        let mut weights = synthetic::weights(&[net::pnet(12, 12), net::rnet(), net::onet()]);
        for name in ["pnet.conv4_1.weight", "rnet.dense5_1.weight"] {
            let (Some(seed), values) = (seed, &mut weights.get_mut(name).unwrap().data) else {
                break;
            };
            let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
            let drawn = synthetic::input(seed, Shape { h: 1, w: 1, c: values.len() });
            *values = drawn.into_iter().map(|value| value * largest).collect();
        }
        weights
    }

    fn whole(
        device: &Failing,
        weights: &Tensors,
        pack: Option<&Pack>,
    ) -> Result<[usize; 3], String> {
        let (packed, _weights) = Packed::of(weights).unwrap().upload(&device).unwrap();
        let mut embedder = pack.map(|pack| Embedder::new(&device, pack).unwrap());
        check(&Stages { device: &device, packed: &packed }, embedder.as_mut())
            .map_err(|fault| fault.to_string())
    }

    /// The frames leave so many faces, and without one of these kernels the fault names what that spoils.
    fn finds(
        (device, weights): (&Failing, &Tensors),
        pack: Option<&Pack>,
        left: [usize; 3],
        kernels: &[(&'static str, &str)],
    ) {
        device.left_out.set(None);
        assert_eq!(whole(device, weights, pack), Ok(left));
        for &(kernel, what) in kernels {
            device.left_out.set(Some(kernel));
            let fault = whole(device, weights, pack).unwrap_err();
            assert!(fault.contains(what), "{kernel}: {fault}");
        }
    }

    #[test]
    fn a_kernel_of_a_frame_that_does_nothing_is_found_by_what_it_spoils() {
        let (device, detector) = (Failing::new(Emulator::new(3).unwrap()), drawn_detector(None));
        let left = [14, 10, 1];
        let kernels = [
            ("columns", "what P-Net says"),
            ("proposals", "the number of proposals"),
            ("overlap", "the number of proposals"),
            ("propose", "the number of proposals"),
            ("rnet", "what R-Net says"),
            ("refine", "the number of proposals"),
            ("onet_pool2", "what O-Net says"),
            ("place", "what P-Net says"),
        ];
        finds((&device, &detector), None, left, &kernels);
        let pack = drawn_embedder();
        let kernels = [
            ("quality", "what a face is like"),
            ("cut", "a face's crop or its embedding"),
            ("rank", "who is most like a face"),
        ];
        finds((&device, &detector), Some(&pack), left, &kernels);
    }

    #[test]
    fn a_kernel_of_one_graph_alone_is_found_whatever_detector_there_is() {
        // With the first of these detectors the third frame had no face while P-Net's and R-Net's thresholds rose for it once more;
        // with the other the second had none while O-Net's came from the first.
        let (device, pack) = (Failing::new(Emulator::new(3).unwrap()), drawn_embedder());
        for (seed, left, kernel) in
            [(1044, [13, 10, 1], "scan_int8_1"), (1268, [14, 7, 1], "scan_int8_4")]
        {
            let (detector, kernels) =
                (drawn_detector(Some(seed)), [(kernel, "who is most like a face")]);
            finds((&device, &detector), Some(&pack), left, &kernels);
        }
    }

    #[test]
    fn a_detector_that_leaves_no_face_is_not_passed() {
        // Every proposal of it lies beyond the frame.
        let (device, mut detector) =
            (Failing::new(Emulator::new(3).unwrap()), drawn_detector(None));
        detector.get_mut("pnet.conv4_2.bias").unwrap().data.fill(1000.0);
        let fault = whole(&device, &detector, None).unwrap_err();
        assert_eq!(fault, KernelError::NothingCompared.to_string());
    }
}
