//! Small networks from scratch on made-up crops: whose crop it is shows in the colours of its halves, however bright it
//! is. They learn by whose photo it is, from a teacher and by triplets, and repeat and go on.

use super::{config, embedder, losses};
use crate::drawn::detector;
use std::path::Path;
use threshold_models::engine::Embedding;
use threshold_models::eval::embeddings::Subject;
use threshold_train::export;
use threshold_train::facenet::batch::Augment;
use threshold_train::facenet::config::{Config, Phase};
use threshold_train::facenet::network::Network;
use threshold_train::facenet::run::{Epoch, Outcome, People, Run};
use threshold_train::random::Random;

const SIDE: usize = 32;

fn whole() -> Config {
    Config {
        network: Network::Nn2,
        width: Some(8),
        side_px: Some(SIDE),
        length: Some(16),
        epochs: 2,
        steps: 25,
        batch_people: 10,
        batch_photos: 3,
        learning_rate: 3e-3,
        margin: 0.4,
        augment: Augment { mirror: false, shift_px: 2 },
        ..config()
    }
}

/// People with four crops each, and beside each crop features for a teacher, in which the colours stand by themselves.
fn people(from: usize, n: usize) -> Vec<Subject> {
    let subject = |person: usize| {
        let mut random = Random::of(&[7, person as u64]);
        let colours: Vec<f32> = (0..6).map(|_| random.between(-1.0, 1.0)).collect();
        let picture = |photo: usize| {
            let mut random = Random::of(&[8, person as u64, photo as u64]);
            let light = random.between(-3.0, 3.0);
            let place = (0..SIDE * SIDE * 3).map(|at| (at / 3 % SIDE / 16, at % 3));
            let colour = |(half, channel): (usize, usize)| colours[half * 3 + channel];
            let crop = place.map(|at| light + colour(at) + random.between(-0.2, 0.2)).collect();
            let mut features = vec![0.1; 1792];
            features[..600].iter_mut().enumerate().for_each(|(i, value)| *value = colours[i % 6]);
            (format!("p{person}/{photo}.jpg"), vec![Embedding(crop), Embedding(features)])
        };
        Subject { name: format!("p{person}"), pictures: (0..4).map(picture).collect() }
    };
    (from..from + n).map(subject).collect()
}

fn everybody() -> People {
    People { learn: people(0, 80), held: people(100, 20), check: people(200, 30), single: vec![] }
}

/// Takes so many epochs of a run in a folder; gives its parameters' bits and what it says.
fn go(config: &Config, folder: &Path, epochs: usize) -> (Vec<u32>, Outcome) {
    let (people, detector) = (everybody(), detector());
    let mut run = Run::open(config, &people, [&detector, embedder()], vec![], folder).unwrap();
    run.go(epochs, &mut |_: &Epoch| ()).unwrap();
    let values = run.parameters().values().flat_map(|tensor| &tensor.data);
    (values.map(|value| value.to_bits()).collect(), run.outcome().clone())
}

/// Mean losses of the first and of the last five of these steps, counted from 0.
fn ends(folder: &Path, steps: std::ops::Range<usize>) -> [f32; 2] {
    let text = losses(folder);
    let loss = |line: &str| line.split(',').nth(2).unwrap().parse::<f32>().unwrap();
    let all: Vec<f32> = text.lines().skip(1).map(loss).collect();
    let mean = |part: &[f32]| part.iter().sum::<f32>() / part.len() as f32;
    let all = &all[steps];
    [mean(&all[..5]), mean(&all[all.len() - 5..])]
}

#[test]
fn a_network_from_scratch_tells_unseen_people_apart_better_than_untrained_and_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { pretrain: Phase { epochs: 1 }, ..whole() };
    let (_, outcome) = go(&config, folder.path(), usize::MAX);
    let check = outcome.check.unwrap();
    let (trained, start) = (check.trained.accuracy, check.beside.start.accuracy);
    let pixels = check.beside.pixels.unwrap().accuracy;
    assert!(trained > start.max(pixels) + 0.1, "{trained}, {start} before, pixels {pixels}");
    let [first, last] = ends(folder.path(), 0..25);
    assert!(last < first * 0.98, "whose photo it is: {first} to {last}");
    let page = std::fs::read_to_string(folder.path().join("curves.html")).unwrap();
    assert!(page.contains(">\nraw pixels\n<") && page.contains("from scratch"));
    // No pack has such a network.
    let why = export::embedder(folder.path(), embedder(), "a", "none").err().unwrap().to_string();
    assert!(why.contains("packs hold networks that a door runs"), "{why}");
}

#[test]
fn a_teachers_embeddings_are_learnt() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { distil: Phase { epochs: 1 }, epochs: 1, ..whole() };
    go(&config, folder.path(), usize::MAX);
    let [first, last] = ends(folder.path(), 0..25);
    assert!(last < first * 0.8, "{first} to {last}");
}

#[test]
fn a_run_from_scratch_that_was_cut_goes_on_with_the_same_bits_through_all_its_kinds_of_epochs() {
    let phase = Phase { epochs: 1 };
    let config = Config {
        pretrain: phase,
        distil: phase,
        epochs: 3,
        steps: 2,
        accumulate: 2,
        average: 0.9,
        ..whole()
    };
    let [uncut, cut] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (expected, _) = go(&config, uncut.path(), 3);
    let mut last = Vec::new();
    for _ in 0..3 {
        (last, _) = go(&config, cut.path(), 1);
    }
    assert_eq!(last, expected);
    assert_eq!(losses(cut.path()), losses(uncut.path()));
    let mut untaught = everybody();
    untaught.learn[0].pictures[0].1.truncate(1);
    let (detector, folder) = (detector(), tempfile::tempdir().unwrap());
    let packs = [&detector, embedder()];
    let why = Run::open(&config, &untaught, packs, vec![], folder.path()).err().unwrap();
    assert!(why.to_string().contains("not every photo has the teacher's features"), "{why}");
}
