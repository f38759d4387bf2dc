//! Verification on Labeled Faces in the Wild: are two pictures of one person?
//!
//! Owns the standard form of `pairs.txt`, the k-fold protocol and the true-accept rates.
//! The protocol is the published one (Huang et al. 2007; facenet's `lfw.py`): for each fold, the threshold that is
//! right most often on the *other* folds is applied to it; accuracy is the folds' mean, and `sd` is the *population*
//! standard deviation over the folds, as numpy's default in that code.
//! Thresholds are tried in 400 even steps over the metric's range (0.01 for squared L2, as published).

use super::bootstrap::{N_RESAMPLES, SEED, SplitMix64};
use super::histogram::Histogram;
use super::{N_WORST, ParseError, WorstPair};
use crate::engine::{BBox, Detection, Embedding, Engine, EngineError};
use crate::frame::Frame;
use crate::search::distance;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::Metric;
use threshold_record::distribution::impostor_fmr;

/// Two pictures and whether they show one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Which fold, from 0.
    pub fold: usize,
    /// True if both show one person.
    pub genuine: bool,
    /// The pictures, relative to the folder of pictures: `Name/Name_0001.jpg`.
    pub pictures: [String; 2],
}

/// The pairs of a `pairs.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// Number of folds.
    pub n_folds: usize,
    /// All pairs, in the file's order.
    pub pairs: Vec<Pair>,
}

impl Pairs {
    /// Reads the standard form: a head `folds <tab> n` (or `n` alone for one fold), then for each fold n genuine lines
    /// `name a b` and n impostor lines `name a name b`.
    ///
    /// # Errors
    /// [`ParseError`] at the first line that is not of that form, or at the end if lines are missing.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let fail = |line: usize, expected, found: &str| ParseError {
            line: line + 1,
            expected,
            found: found.trim().to_owned(),
        };
        let head = "the head, `folds n`";
        let (at, first) = lines.next().ok_or_else(|| fail(0, head, ""))?;
        let numbers: Option<Vec<usize>> =
            first.split_whitespace().map(|field| field.parse().ok()).collect();
        let (n_folds, n_each) = match numbers.as_deref() {
            Some(&[n]) => (1, n),
            Some(&[folds, n]) if folds > 0 => (folds, n),
            _ => return Err(fail(at, head, first)),
        };
        let mut pairs = Vec::new();
        let mut last = at;
        for fold in 0..n_folds {
            for genuine in [true, false] {
                for _ in 0..n_each {
                    let expected = if genuine { "`name a b`" } else { "`name a name b`" };
                    let (at, line) = lines.next().ok_or_else(|| fail(last + 1, expected, ""))?;
                    last = at;
                    let pictures =
                        pair_of(line, genuine).ok_or_else(|| fail(at, expected, line))?;
                    pairs.push(Pair { fold, genuine, pictures });
                }
            }
        }
        match lines.next() {
            Some((at, line)) => Err(fail(at, "the end", line)),
            None => Ok(Self { n_folds, pairs }),
        }
    }

    /// Every picture once, in order.
    #[must_use]
    pub fn pictures(&self) -> BTreeSet<&str> {
        self.pairs.iter().flat_map(|pair| pair.pictures.iter().map(String::as_str)).collect()
    }

    /// About `n` pairs, as many of each fold and kind, from the front of each; all if there are no more.
    #[must_use]
    pub fn limited(mut self, n: usize) -> Self {
        let n_each = n.div_ceil(self.n_folds * 2);
        let mut taken = BTreeMap::new();
        self.pairs.retain(|pair| {
            let count = taken.entry((pair.fold, pair.genuine)).or_insert(0usize);
            *count += 1;
            *count <= n_each
        });
        self
    }
}

fn pair_of(line: &str, genuine: bool) -> Option<[String; 2]> {
    let picture = |name: &str, number: &str| {
        // A name is one folder of the data set, never a way out of it.
        let plain = !name.contains(['/', '\\']) && name != "..";
        let number: u32 = number.parse().ok()?;
        plain.then(|| format!("{name}/{name}_{number:04}.jpg"))
    };
    let fields: Vec<&str> = line.split_whitespace().collect();
    match (genuine, &fields[..]) {
        (true, &[name, a, b]) => Some([picture(name, a)?, picture(name, b)?]),
        (false, &[name_a, a, name_b, b]) => Some([picture(name_a, a)?, picture(name_b, b)?]),
        _ => None,
    }
}

/// A picture's embedding and whether a face was found in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedded {
    /// The embedding.
    pub embedding: Embedding,
    /// False if no face was found and the picture's centre was taken instead.
    pub face_found: bool,
}

/// The face that a picture is about, and whether one was found; without one, LFW's usual place of a face.
///
/// LFW names the person at the picture's centre, whoever else is in view and however large. Taken is what facenet's
/// alignment for LFW takes: the face of the greatest area less twice its squared distance from the centre. The largest
/// alone is somebody else's in some pictures out of a hundred.
///
/// # Errors
/// [`EngineError`] if the arithmetic failed.
pub fn face_of(engine: &mut dyn Engine, frame: &Frame) -> Result<(Detection, bool), EngineError> {
    let faces = engine.detect(frame)?;
    let face = in_the_middle(frame, &faces).map(|at| faces[at]);
    Ok((face.unwrap_or_else(|| usual_place(frame)), face.is_some()))
}

/// Detects and embeds the face that a picture is about.
///
/// # Errors
/// [`EngineError`] if the arithmetic failed.
pub fn embed_picture(engine: &mut dyn Engine, frame: &Frame) -> Result<Embedded, EngineError> {
    let (face, face_found) = face_of(engine, frame)?;
    // One face asked for is one embedding given.
    let embedding = engine.embed(frame, &[face])?.pop().ok_or(EngineError::NoEmbedder)?;
    Ok(Embedded { embedding, face_found })
}

/// Which of the faces a picture is about: that of the greatest area less twice the squared distance of its box's centre from
/// the frame's.
#[must_use]
pub fn in_the_middle(frame: &Frame, faces: &[Detection]) -> Option<usize> {
    let (x, y) = (frame.width() as f32 / 2.0, frame.height() as f32 / 2.0);
    let weight = |face: &Detection| {
        let BBox { x1, y1, x2, y2 } = face.bbox;
        let (dx, dy) = ((x1 + x2) / 2.0 - x, (y1 + y2) / 2.0 - y);
        (x2 - x1) * (y2 - y1) - 2.0 * (dx * dx + dy * dy)
    };
    // The first of equals.
    let weights = faces.iter().map(weight).enumerate().rev();
    weights.max_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(at, _)| at)
}

/// Where LFW's pictures have their face: about the centre, 0.37 of the width and 0.49 of the height, the landmarks at
/// their mean places in the box (means of the reference's detections on the dev folds).
#[must_use]
pub fn usual_place(frame: &Frame) -> Detection {
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let bbox = BBox { x1: 0.315 * width, y1: 0.26 * height, x2: 0.685 * width, y2: 0.755 * height };
    let places = [[0.29, 0.385], [0.74, 0.385], [0.515, 0.58], [0.32, 0.755], [0.72, 0.755]];
    let landmarks =
        places.map(|[x, y]| [bbox.x1 + x * (bbox.x2 - bbox.x1), bbox.y1 + y * (bbox.y2 - bbox.y1)]);
    Detection { bbox, landmarks, score: 0.0 }
}

/// Points of the curve: below 1e-3, LFW's 3,000 impostor pairs say nothing.
const N_DET: usize = 5;

/// What one fold gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fold {
    /// Part of the fold's pairs judged rightly, 0..1.
    pub accuracy: f64,
    /// The threshold chosen on the other folds, a distance.
    pub threshold: f64,
}

/// Part of the genuine pairs accepted where so many of the impostor pairs are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TarAtFar {
    /// Part of the impostor pairs accepted, at most.
    pub far: f64,
    /// Part of the genuine pairs accepted.
    pub tar: f64,
    /// Lower end of the 95 % interval of `tar`: bootstrap over pairs, threshold chosen anew in each resample.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Distance below which a pair is accepted.
    pub threshold: f64,
}

/// Mean and population standard deviation of distances.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub sd: f64,
}

/// The verification figures of one model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LfwResult {
    /// Unit of every threshold and distance here.
    pub metric: &'static str,
    /// Mean of the folds' accuracies, 0..1.
    pub accuracy: f64,
    /// Their population standard deviation.
    pub sd: f64,
    /// The threshold that is right most often over all pairs, a distance; the middle one of equals.
    pub threshold: f64,
    /// True-accept rates at FAR 1e-2 and 1e-3.
    pub tar_at_far: Vec<TarAtFar>,
    /// At each half decade of FAR from 0.1 to 1e-3, the loosest first: the curve.
    pub det: Vec<TarAtFar>,
    /// How the distances lie.
    pub histogram: Histogram,
    /// The nearest impostor pairs.
    pub nearest_impostors: Vec<WorstPair>,
    /// The furthest genuine pairs.
    pub furthest_genuine: Vec<WorstPair>,
    /// Each fold.
    pub folds: Vec<Fold>,
    /// Number of pairs.
    pub pairs: usize,
    /// Number of pictures.
    pub pictures: usize,
    /// Pictures in which no face was found and the usual place was taken; they count like the others.
    pub without_face: Vec<String>,
    /// Distances of the genuine pairs.
    pub genuine: Spread,
    /// Distances of the impostor pairs.
    pub impostor: Spread,
}

/// Why the protocol cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LfwError {
    /// A picture of the pairs was not embedded.
    #[error("no embedding for {picture}")]
    Missing {
        /// The picture.
        picture: String,
    },
    /// Genuine or impostor pairs are missing.
    #[error("{genuine} genuine and {impostor} impostor pairs; both kinds are needed")]
    TooFewPairs {
        /// Genuine pairs.
        genuine: usize,
        /// Impostor pairs.
        impostor: usize,
    },
}

/// What another arithmetic changes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Flips {
    /// Mean of the folds' accuracies with the other one, 0..1.
    pub accuracy: f64,
    /// Pairs that one accepts and the other does not, at the first one's threshold.
    pub flips: usize,
    /// The furthest of them from the threshold, in the first one's distances; 0 without any.
    pub furthest: f64,
    /// The largest difference of a pair's two distances.
    pub apart: f64,
}

/// Compares embeddings with those of another arithmetic, of which `result` is the first one's.
///
/// # Errors
/// As [`evaluate`].
pub fn flips(
    pairs: &Pairs,
    metric: Metric,
    result: &LfwResult,
    [one, other]: [&BTreeMap<String, Embedded>; 2],
) -> Result<Flips, LfwError> {
    let judged = [judged(pairs, metric, one)?, judged(pairs, metric, other)?];
    let mut all = Flips {
        accuracy: evaluate(pairs, metric, other)?.accuracy,
        flips: 0,
        furthest: 0.0,
        apart: 0.0,
    };
    for (one, other) in judged[0].iter().zip(&judged[1]) {
        let [a, b] = [one, other].map(|pair| pair.distance - result.threshold);
        all.apart = all.apart.max((a - b).abs());
        if (a < 0.0) != (b < 0.0) {
            all.flips += 1;
            all.furthest = all.furthest.max(a.abs());
        }
    }
    Ok(all)
}

/// Runs the protocol over embeddings by picture.
///
/// # Errors
/// [`LfwError`] if a picture has no embedding or one kind of pair is missing.
pub fn evaluate(
    pairs: &Pairs,
    metric: Metric,
    embedded: &BTreeMap<String, Embedded>,
) -> Result<LfwResult, LfwError> {
    let judged = judged(pairs, metric, embedded)?;
    let pictures = pairs.pictures();
    let without_face = pictures
        .iter()
        .filter(|picture| embedded.get(**picture).is_some_and(|found| !found.face_found))
        .map(|picture| (*picture).to_owned())
        .collect();
    let result = judge(&judged, pairs.n_folds, metric)?;
    let mut order: Vec<(&Judged, &Pair)> = judged.iter().zip(&pairs.pairs).collect();
    order.sort_by(|a, b| a.0.distance.total_cmp(&b.0.distance));
    let worst = |(judged, pair): &(&Judged, &Pair)| {
        let [one, other] = pair.pictures.clone();
        (judged.distance as f32, one, other)
    };
    let of_kind = |kind: bool| order.iter().filter(move |(judged, _)| judged.genuine == kind);
    Ok(LfwResult {
        pictures: pictures.len(),
        without_face,
        nearest_impostors: of_kind(false).take(N_WORST).map(worst).collect(),
        furthest_genuine: of_kind(true).rev().take(N_WORST).map(worst).collect(),
        ..result
    })
}

/// A pair with its distance.
#[derive(Clone, Copy, Debug)]
struct Judged {
    fold: usize,
    genuine: bool,
    distance: f64,
}

fn judged(
    pairs: &Pairs,
    metric: Metric,
    embedded: &BTreeMap<String, Embedded>,
) -> Result<Vec<Judged>, LfwError> {
    let find = |picture: &String| {
        embedded.get(picture).ok_or_else(|| LfwError::Missing { picture: picture.clone() })
    };
    let judged = |pair: &Pair| {
        let [a, b] = &pair.pictures;
        let distance = f64::from(distance(metric, &find(a)?.embedding, &find(b)?.embedding));
        Ok(Judged { fold: pair.fold, genuine: pair.genuine, distance })
    };
    pairs.pairs.iter().map(judged).collect()
}

fn judge(judged: &[Judged], n_folds: usize, metric: Metric) -> Result<LfwResult, LfwError> {
    let of_kind = |kind: bool| -> Vec<f64> {
        judged.iter().filter(|pair| pair.genuine == kind).map(|pair| pair.distance).collect()
    };
    let (genuine, impostor) = (of_kind(true), of_kind(false));
    if genuine.is_empty() || impostor.is_empty() {
        let (genuine, impostor) = (genuine.len(), impostor.len());
        return Err(LfwError::TooFewPairs { genuine, impostor });
    }
    let steps = thresholds(metric);
    let folds: Vec<Fold> = (0..n_folds)
        .map(|fold| {
            // A single fold has no others and is judged by its own best threshold.
            let training = judged.iter().filter(|pair| pair.fold != fold || n_folds == 1);
            let counts = right_counts(training, &steps);
            // The first of equals, as numpy's argmax in the published code.
            let best = first_best(&counts);
            let own = || judged.iter().filter(|pair| pair.fold == fold);
            let right = right_counts(own(), &steps[best..=best])[0];
            Fold { accuracy: right as f64 / own().count() as f64, threshold: steps[best] }
        })
        .collect();
    let counts = right_counts(judged.iter(), &steps);
    let first = first_best(&counts);
    let last = counts.iter().rposition(|&count| count == counts[first]).unwrap_or(first);
    let accuracy = spread(&folds.iter().map(|fold| fold.accuracy).collect::<Vec<_>>());
    Ok(LfwResult {
        metric: metric.unit(),
        accuracy: accuracy.mean,
        sd: accuracy.sd,
        threshold: (steps[first] + steps[last]) / 2.0,
        tar_at_far: [1e-2, 1e-3].map(|far| tar_at_far(&genuine, &impostor, far)).to_vec(),
        det: (0..N_DET).map(|knot| tar_at_far(&genuine, &impostor, impostor_fmr(knot))).collect(),
        histogram: Histogram::of(&genuine, &impostor),
        nearest_impostors: Vec::new(),
        furthest_genuine: Vec::new(),
        folds,
        pairs: judged.len(),
        pictures: 0,
        without_face: Vec::new(),
        genuine: spread(&genuine),
        impostor: spread(&impostor),
    })
}

/// The thresholds that are tried.
fn thresholds(metric: Metric) -> Vec<f64> {
    let step = match metric {
        Metric::SquaredL2 => 0.01,
        // dlib's distances reach 1.2 or so.
        Metric::L2 => 0.005,
    };
    (0..400).map(|i| f64::from(i) * step).collect()
}

/// For each threshold, how many pairs it judges rightly: genuine below it, impostor at or above it.
fn right_counts<'a>(judged: impl Iterator<Item = &'a Judged>, thresholds: &[f64]) -> Vec<usize> {
    let mut counts = vec![0; thresholds.len()];
    for pair in judged {
        for (count, &threshold) in counts.iter_mut().zip(thresholds) {
            *count += usize::from((pair.distance < threshold) == pair.genuine);
        }
    }
    counts
}

fn first_best(counts: &[usize]) -> usize {
    let best = counts.iter().max().copied().unwrap_or(0);
    counts.iter().position(|&count| count == best).unwrap_or(0)
}

fn spread(values: &[f64]) -> Spread {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    Spread { mean, sd: variance.sqrt() }
}

fn tar_at_far(genuine: &[f64], impostor: &[f64], far: f64) -> TarAtFar {
    let (tar, threshold) = tar_and_threshold(genuine.to_vec(), impostor.to_vec(), far);
    let mut random = SplitMix64(SEED);
    let mut tars: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| {
            let genuine = random.resample(genuine);
            tar_and_threshold(genuine, random.resample(impostor), far).0
        })
        .collect();
    tars.sort_unstable_by(f64::total_cmp);
    let (low, high) = (tars[N_RESAMPLES / 40], tars[N_RESAMPLES - 1 - N_RESAMPLES / 40]);
    TarAtFar { far, tar, low, high, threshold }
}

/// The loosest threshold that accepts no more than `far` of the impostors, and what it accepts of the genuine.
fn tar_and_threshold(genuine: Vec<f64>, mut impostor: Vec<f64>, far: f64) -> (f64, f64) {
    // A pair is accepted below the threshold, so the nearest impostor that must stay out is the threshold.
    let n_accepted = ((impostor.len() as f64 * far).floor() as usize).min(impostor.len() - 1);
    let (_, threshold, _) = impostor.select_nth_unstable_by(n_accepted, f64::total_cmp);
    let accepted = genuine.iter().filter(|&&distance| distance < *threshold).count();
    (accepted as f64 / genuine.len() as f64, *threshold)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn the_person_in_the_middle_is_meant_and_not_a_larger_one_beside() {
        let frame = Frame::from_rgb(250, 250, vec![0; 250 * 250 * 3]).unwrap();
        let face = |x1: f32, y1: f32, side: f32| {
            let bbox = BBox { x1, y1, x2: x1 + side, y2: y1 + side };
            Detection { bbox, landmarks: [[0.0; 2]; 5], score: 1.0 }
        };
        let (beside, middle, inside) =
            (face(-60.0, 40.0, 130.0), face(80.0, 70.0, 100.0), face(115.0, 115.0, 22.0));
        let taken = |faces: &[Detection]| in_the_middle(&frame, faces);
        assert_eq!(taken(&[beside, middle, inside]), Some(1));
        assert_eq!(taken(&[middle, middle, beside]), Some(0));
        assert_eq!(taken(&[beside]), Some(0));
        assert_eq!(taken(&[]), None);
    }

    const TEXT: &str = "2\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nBob\t3\t10\nBob\t3\tCy\t1\n";

    #[test]
    fn pairs_read_in_the_standard_form() {
        let pairs = Pairs::parse(TEXT).unwrap();
        assert_eq!((pairs.n_folds, pairs.pairs.len()), (2, 4));
        assert_eq!(pairs.pairs[1].pictures, ["Ann/Ann_0001.jpg", "Bob/Bob_0003.jpg"]);
        assert_eq!(pairs.pairs[2].pictures[1], "Bob/Bob_0010.jpg");
        assert_eq!(pairs.pairs[3].fold, 1);
        assert_eq!(pairs.pictures().len(), 5);
        assert_eq!(Pairs::parse("1\nAnn 1 2\nAnn 1 Bob 3\n").unwrap().n_folds, 1);
    }

    #[test]
    fn odd_pairs_are_refused_with_their_line() {
        let check = |text: &str, line: usize| {
            assert_eq!(Pairs::parse(text).unwrap_err().line, line, "{text:?}");
        };
        check("", 1);
        check("two\t1\n", 1);
        check("1\t1\nAnn\t1\n", 2);
        check("1\t1\nAnn\t1\t2\nAnn\t1\t2\n", 3);
        check("1\t1\nAnn\t1\t2\n", 3);
        check("1\t1\n../../x\t1\t2\nAnn\t1\tBob\t3\n", 2);
        check("1\t1\nAnn\t1\t2\nAnn\t1\tBob\t3\nmore\n", 4);
    }

    #[test]
    fn limits_are_spread_over_folds_and_kinds() {
        let text =
            "2\t3\n".to_owned() + &("Ann 1 2\n".repeat(3) + &"Ann 1 Bob 1\n".repeat(3)).repeat(2);
        let pairs = Pairs::parse(&text).unwrap().limited(8);
        let count = |fold, genuine| {
            pairs.pairs.iter().filter(|p| p.fold == fold && p.genuine == genuine).count()
        };
        assert_eq!([count(0, true), count(0, false), count(1, true), count(1, false)], [2; 4]);
    }

    fn fold(fold: usize, genuine: &[f64], impostor: &[f64]) -> Vec<Judged> {
        let judged = |genuine: bool| move |&distance: &f64| Judged { fold, genuine, distance };
        genuine.iter().map(judged(true)).chain(impostor.iter().map(judged(false))).collect()
    }

    #[test]
    fn each_fold_is_judged_by_the_threshold_of_the_others() {
        // Fold 0 separates at 0.5, fold 1 at 1.5; each judges the other's genuine or impostor pairs wrongly.
        let mut judged = fold(0, &[0.405, 0.405], &[0.6, 0.6]);
        judged.extend(fold(1, &[1.405, 1.405], &[1.6, 1.6]));
        let result = judge(&judged, 2, Metric::SquaredL2).unwrap();
        // The first threshold above the genuine pairs: 1.41 for fold 0, 0.41 for fold 1.
        assert!((result.folds[0].threshold - 1.41).abs() < 1e-9);
        assert!((result.folds[1].threshold - 0.41).abs() < 1e-9);
        assert_eq!(result.folds.iter().map(|f| f.accuracy).collect::<Vec<_>>(), [0.5, 0.5]);
        assert_eq!((result.accuracy, result.sd), (0.5, 0.0));
    }

    #[test]
    fn separated_pairs_give_a_full_score_and_a_threshold_in_the_middle() {
        let mut judged = fold(0, &[0.2, 0.3], &[0.9, 1.0]);
        judged.extend(fold(1, &[0.1, 0.3], &[0.9, 1.2]));
        let result = judge(&judged, 2, Metric::SquaredL2).unwrap();
        assert_eq!((result.accuracy, result.sd), (1.0, 0.0));
        // All thresholds above 0.3 and up to 0.9 are right.
        assert!((result.threshold - 0.605).abs() < 1e-9, "{}", result.threshold);
        assert_eq!(result.tar_at_far[0].tar, 1.0);
        assert!((result.genuine.mean - 0.225).abs() < 1e-9);
    }

    #[test]
    fn true_accepts_are_counted_where_the_false_ones_are_few_enough() {
        let impostor: Vec<f64> = (0..100).map(|i| 1.0 + f64::from(i) / 100.0).collect();
        let genuine = [0.5, 0.6, 1.005, 1.015, 1.5];
        // One of 100 may pass: the threshold is the second nearest impostor, 1.01.
        assert_eq!(tar_and_threshold(genuine.to_vec(), impostor.clone(), 1e-2), (0.6, 1.01));
        // None of 100 may pass at 1e-3.
        assert_eq!(tar_and_threshold(genuine.to_vec(), impostor.clone(), 1e-3), (0.4, 1.0));
        let rate = tar_at_far(&genuine, &impostor, 1e-2);
        assert!(rate.low < 0.6 && rate.high > 0.6, "{rate:?}");
    }

    #[test]
    fn missing_pictures_and_kinds_are_said() {
        let pairs = Pairs::parse(TEXT).unwrap();
        let missing = evaluate(&pairs, Metric::L2, &BTreeMap::new()).unwrap_err();
        assert_eq!(missing, LfwError::Missing { picture: "Ann/Ann_0001.jpg".to_owned() });
        let lone = judge(&fold(0, &[0.1], &[]), 1, Metric::L2).unwrap_err();
        assert_eq!(lone, LfwError::TooFewPairs { genuine: 1, impostor: 0 });
    }

    #[test]
    fn pictures_without_a_face_are_listed_and_count() {
        let pairs = Pairs::parse(TEXT).unwrap();
        let embedded = pairs
            .pictures()
            .into_iter()
            .enumerate()
            .map(|(i, picture)| {
                let embedding = Embedding(vec![i as f32, 0.0]);
                (picture.to_owned(), Embedded { embedding, face_found: i != 3 })
            })
            .collect();
        let result = evaluate(&pairs, Metric::L2, &embedded).unwrap();
        assert_eq!((result.pictures, result.pairs), (5, 4));
        assert_eq!(result.without_face, ["Bob/Bob_0010.jpg"]);
        // The embeddings are 0 to 4, in the order of the names: Ann 0 and 1, Bob 2 and 3, Cy 4.
        let worst = |distance, one: &str, other: &str| (distance, one.to_owned(), other.to_owned());
        assert_eq!(
            result.nearest_impostors,
            [
                worst(2.0, "Ann/Ann_0001.jpg", "Bob/Bob_0003.jpg"),
                worst(2.0, "Bob/Bob_0003.jpg", "Cy/Cy_0001.jpg"),
            ]
        );
        // Of equals the last one first.
        assert_eq!(result.furthest_genuine[0].1, "Bob/Bob_0003.jpg");
        assert_eq!(result.det.len(), N_DET);
    }
}
