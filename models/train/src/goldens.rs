//! Losses, gradients and the optimiser's steps beside PyTorch's (`goldens/gradients.json`, made by the script beside it).
//!
//! Every operation; the cascade's losses with online hard sample mining on P-Net, R-Net and O-Net; triplets on FaceNet's last
//! layer. Ours is what a run does, in f32; PyTorch's is in double precision. Weights, inputs and targets follow from seeds on
//! both sides, so that the file holds answers alone.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use crate::batch::Batch;
use crate::checkpoint::Origin;
use crate::config::Tasks;
use crate::facenet::start::LEN;
use crate::facenet::triplet::{self, Negatives, Triplet, select, squared_distances};
use crate::learner::{Descent, Learner};
use crate::random::Random;
use crate::stage::Stage;
use crate::trainable::{self, Trainable};
use candle_core::Tensor;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;
use threshold_models::graph::{Graph, Shape};
use threshold_models::tensor::{Tensor as Plain, Tensors};
use threshold_models::{net, synthetic};

/// Greatest difference of a loss, of itself: 4e-6 is the largest that was seen. The design allows all of these 1e-3.
const MAX_LOSS: f64 = 2e-5;
/// Greatest difference of a gradient's value, of the tensor's largest, and of its length and product, of its length: 5e-6 was seen.
const MAX_GRADIENT: f64 = 2e-5;
/// Greatest difference of how far a parameter came, of the way that Adam's steps can go at most: 1.2e-4 was seen, where a gradient
/// is nearly zero and f32's rounding decides part of a step.
const MAX_MOVED: f64 = 1e-3;

#[derive(Deserialize)]
struct Goldens {
    layers: Layers,
    pnet: Cascade,
    rnet: Cascade,
    onet: Cascade,
    semi_hard: Triplets,
    hardest: Triplets,
}

#[derive(Deserialize)]
struct Layers {
    samples: usize,
    parameters: Vec<(String, Vec<usize>)>,
    loss: f64,
    gradients: BTreeMap<String, Told>,
}

#[derive(Deserialize)]
struct Cascade {
    samples: usize,
    tasks: Tasks,
    hard_share: f32,
    steps: Vec<BTreeMap<String, f64>>,
    #[serde(flatten)]
    descended: Descended,
}

#[derive(Deserialize)]
struct Triplets {
    people: Vec<usize>,
    negatives: Negatives,
    margin: f32,
    steps: Vec<TripletStep>,
    #[serde(flatten)]
    descended: Descended,
}

#[derive(Deserialize)]
struct TripletStep {
    loss: f64,
    triplets: Vec<[usize; 3]>,
}

/// What a descent of either kind says.
#[derive(Deserialize)]
struct Descended {
    /// Of the first input.
    seed: u64,
    parameters: Vec<(String, Vec<usize>)>,
    descent: Rates,
    gradients: BTreeMap<String, Told>,
    moved: BTreeMap<String, Told>,
    average_moved: BTreeMap<String, Told>,
}

#[derive(Deserialize)]
struct Rates {
    learning_rate: f32,
    weight_decay: f32,
    average: f32,
    steps: usize,
}

/// What is kept of a tensor: its length, its product with values drawn from its size, and values at even distances.
#[derive(Deserialize)]
struct Told {
    norm: f64,
    dot: f64,
    values: Vec<f64>,
}

static GOLDENS: LazyLock<Goldens> =
    LazyLock::new(|| serde_json::from_str(include_str!("../goldens/gradients.json")).unwrap());

impl Told {
    /// Compares a tensor; `largest` is what differences of values are held against.
    fn check(&self, name: &str, found: &Plain, largest: f64, most: f64) {
        let values: Vec<f64> = found.data.iter().map(|&value| f64::from(value)).collect();
        let n = values.len();
        let probe = synthetic::input(n as u64, Shape { h: 1, w: 1, c: n });
        let dot: f64 = values.iter().zip(probe).map(|(a, b)| a * f64::from(b)).sum();
        let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
        let near = |what: &str, found: f64, expected: f64, of: f64| {
            let far = (found - expected).abs();
            assert!(far <= most * of, "{name}, {what}: {found} for {expected}, of {of}");
        };
        // Values apart by chance add up as the root of their number; all are at most this long together.
        let long = self.norm.max(largest * (n as f64).sqrt());
        near("length", norm, self.norm, long);
        near("product", dot, self.dot, long);
        let last = self.values.len().saturating_sub(1).max(1);
        for (i, &expected) in self.values.iter().enumerate() {
            near(&format!("value {i}"), values[i * (n - 1) / last], expected, largest);
        }
    }

    fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |most, value| most.max(value.abs()))
    }
}

/// Compares gradients, and that there are no others.
fn check_gradients(what: &str, found: &Tensors, expected: &BTreeMap<String, Told>) {
    assert!(found.keys().eq(expected.keys()), "{what}");
    for (name, told) in expected {
        told.check(
            &format!("{what}, gradient of {name}"),
            &found[name],
            told.largest(),
            MAX_GRADIENT,
        );
    }
}

/// The graph's parameters from their seeds, after making sure that both sides mean the same ones.
fn start(graph: &Graph, parameters: &[(String, Vec<usize>)]) -> Tensors {
    let ours: Vec<_> = graph.weights().map(|spec| (spec.name, spec.shape)).collect();
    assert_eq!(ours, parameters, "{}", graph.name());
    synthetic::weights([graph])
}

fn inputs(seed: u64, n: usize, shape: Shape) -> Vec<f32> {
    (0..n as u64).flat_map(|i| synthetic::input(seed + i, shape)).collect()
}

/// Takes the steps that PyTorch took, by what a run takes them with, and compares how far the parameters and their average came.
fn check_descent(
    graph: &Graph,
    expected: &Descended,
    mut step: impl FnMut(&Tensors, usize) -> Tensors,
) {
    let Rates { learning_rate, weight_decay, average, steps } = expected.descent;
    let descent =
        Descent { learning_rate, weight_decay, average, epochs: 1, steps, patience: 0, keep: 0 };
    let folder = tempfile::tempdir().unwrap();
    let of = Origin::new("text", &[], String::new());
    let begun = start(graph, &expected.parameters);
    let mut learner = Learner::open(folder.path(), "text", of, descent, begun.clone()).unwrap();
    for at in 0..steps {
        let gradients = step(learner.parameters(), at);
        if at == 0 {
            check_gradients(graph.name(), &gradients, &expected.gradients);
        }
        learner.step(&gradients);
    }
    let reach = f64::from(learning_rate) * steps as f64;
    let averaged = if average > 0.0 { learner.judged() } else { &begun };
    for (what, now, expected) in [
        ("moved", learner.parameters(), &expected.moved),
        ("average", averaged, &expected.average_moved),
    ] {
        for (name, told) in expected {
            if what == "average" && average == 0.0 {
                continue;
            }
            let pairs = now[name].data.iter().zip(&begun[name].data);
            let data = pairs.map(|(now, begun)| now - begun).collect();
            let moved = Plain { shape: now[name].shape.clone(), data };
            told.check(&format!("{} {what} {name}", graph.name()), &moved, reach, MAX_MOVED);
        }
    }
}

fn check_loss(what: &str, found: f32, expected: f64) {
    let far = (f64::from(found) - expected).abs();
    assert!(far <= MAX_LOSS * expected.abs(), "{what}: {found} for {expected}");
}

#[test]
fn every_operation_has_pytorchs_gradients() {
    let (graph, expected) = (trainable::testing::every_operation(), &GOLDENS.layers);
    let parameters = start(&graph, &expected.parameters);
    let trainable = Trainable::new(graph.clone());
    let input = inputs(0, expected.samples, graph.shape(graph.input()));
    let cubes = |values: &[Tensor]| {
        let outputs = graph.outputs().iter().map(|&(_, id)| values[id].powf(3.0)?.sum_all());
        let total = outputs.reduce(|a, b| a? + b?).unwrap()?;
        let said = total.to_scalar::<f32>()?;
        Ok((total, said))
    };
    let (loss, gradients) = trainable.gradients_of(&parameters, &input, cubes).unwrap();
    check_loss("every operation", loss, expected.loss);
    check_gradients("every operation", &gradients, &expected.gradients);
}

/// Sample i is a negative, a positive, a part face or a face for its landmarks, in turns.
fn batch(seed: u64, step: usize, n: usize, shape: Shape) -> Batch {
    let on = |kinds: &[usize]| (0..n).map(|i| f32::from(kinds.contains(&(i % 4)))).collect();
    let target = |seed: u64, values: usize, scale: f32| {
        let drawn = synthetic::input(seed + step as u64, Shape { h: 1, w: 1, c: n * values });
        drawn.into_iter().map(|value| value * scale).collect()
    };
    Batch {
        n,
        pixels: inputs(seed + 1000 * step as u64, n, shape),
        face: on(&[1]),
        face_on: on(&[0, 1]),
        reg: target(7000, 4, 0.3),
        reg_on: on(&[1, 2]),
        landmarks: target(8000, 10, 0.5),
        landmarks_on: on(&[3]),
    }
}

fn check_cascade(stage: Stage, expected: &Cascade) {
    let graph = stage.graph();
    let trainable = Trainable::new(graph.clone());
    let seed = expected.descended.seed;
    assert_eq!(expected.steps.len(), expected.descended.descent.steps);
    check_descent(&graph, &expected.descended, |parameters, step| {
        let batch = batch(seed, step, expected.samples, graph.shape(graph.input()));
        let Cascade { tasks, hard_share, .. } = expected;
        let (losses, gradients) =
            trainable.gradients(parameters, &batch, tasks, *hard_share).unwrap();
        let found = [
            ("class", losses.class),
            ("bbox", losses.bbox),
            ("landmarks", losses.landmarks),
            ("total", losses.total),
        ];
        for (name, found) in found {
            // P-Net and R-Net have no landmarks.
            match expected.steps[step].get(name) {
                Some(&loss) => check_loss(&format!("{stage:?}, step {step}, {name}"), found, loss),
                None => assert_eq!((name, found), ("landmarks", 0.0)),
            }
        }
        gradients
    });
}

#[test]
fn the_cascades_losses_gradients_and_steps_are_pytorchs() {
    check_cascade(Stage::PNet, &GOLDENS.pnet);
    check_cascade(Stage::RNet, &GOLDENS.rnet);
    check_cascade(Stage::ONet, &GOLDENS.onet);
}

#[test]
fn the_triplets_losses_gradients_and_steps_are_pytorchs() {
    for expected in [&GOLDENS.semi_hard, &GOLDENS.hardest] {
        let graph = net::inception_resnet_v1_head(LEN);
        let trainable = Trainable::new(graph.clone());
        let Triplets { people, negatives, margin, steps, .. } = expected;
        let seed = expected.descended.seed;
        check_descent(&graph, &expected.descended, |parameters, step| {
            let features =
                inputs(seed + 1000 * step as u64, people.len(), graph.shape(graph.input()));
            let mut random = Random::of(&[0]);
            let ((loss, triplets), gradients) = trainable
                .gradients_of(parameters, &features, |values| {
                    let embedding = trainable.output("embedding").unwrap();
                    let embeddings = values[embedding].reshape((people.len(), LEN))?;
                    let plain: Vec<f32> = embeddings.flatten_all()?.to_vec1()?;
                    let distances = squared_distances(&plain, LEN);
                    let triplets = select(&distances, people, *negatives, *margin, &mut random);
                    let total = triplet::loss(&embeddings, &triplets, *margin)?;
                    let loss = total.to_scalar::<f32>()?;
                    Ok((total, (loss, triplets)))
                })
                .unwrap();
            let of = |t: &Triplet| [t.anchor, t.positive, t.negative];
            let triplets: Vec<_> = triplets.iter().map(of).collect();
            assert!(triplets.len() > 3, "{triplets:?}");
            assert_eq!(triplets, steps[step].triplets, "{negatives:?}, step {step}");
            check_loss(&format!("{negatives:?}, step {step}"), loss, steps[step].loss);
            gradients
        });
    }
}
