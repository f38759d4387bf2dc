//! Short runs of FaceNet's last block on made-up rows of 3 x 3 positions: they learn, go on after a cut with the same bits, and what
//! they learnt runs on the CPU engine under the installed network's other layers.

use super::{config, embedder, run_network};
use crate::drawn::{detector, drawn};
use std::path::Path;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Embedding, Engine as _};
use threshold_models::eval::embeddings::Subject;
use threshold_models::net;
use threshold_models::tensor::max_abs_diff;
use threshold_train::checkpoint::Checkpoint;
use threshold_train::export;
use threshold_train::facenet::config::Config;
use threshold_train::facenet::network::{Network, Rows};
use threshold_train::facenet::run::{Epoch, Outcome, People, Run};
use threshold_train::facenet::start::LEN;
use threshold_train::random::Random;

fn block() -> Config {
    Config {
        network: Network::LastBlock,
        epochs: 2,
        steps: 10,
        batch_people: 8,
        batch_photos: 3,
        learning_rate: 1e-3,
        margin: 1.0,
        ..config()
    }
}

/// People whose rows differ in 60 channels and whose photos differ, more widely, in 100 others, alike at all positions.
fn people(from: usize, n: usize) -> Vec<Subject> {
    let subject = |person: usize| {
        let mut random = Random::of(&[9, person as u64]);
        let face: Vec<f32> = (0..60).map(|_| random.between(-1.0, 1.0)).collect();
        let picture = |photo: usize| {
            let mut random = Random::of(&[10, person as u64, photo as u64]);
            let mut channels = vec![0.1; 1792];
            channels[..60].copy_from_slice(&face);
            channels[60..160].iter_mut().for_each(|value| *value = random.between(-1.5, 1.5));
            let rows = channels.repeat(9);
            assert_eq!(rows.len(), Rows::BeforeBlock.len());
            (format!("p{person}/{photo}.jpg"), vec![Embedding(rows)])
        };
        Subject { name: format!("p{person}"), pictures: (0..3).map(picture).collect() }
    };
    (from..from + n).map(subject).collect()
}

/// Takes so many epochs of a run in a folder; gives its parameters' bits and what it says.
fn go(folder: &Path, epochs: usize) -> (Vec<u32>, Outcome) {
    let (config, detector) = (block(), detector());
    let (learn, held, check) = (people(0, 40), people(100, 16), people(200, 20));
    let people = People { learn, held, check, single: vec![] };
    let packs = [&detector, embedder()];
    let mut run = Run::open(&config, &people, packs, vec![], folder).unwrap();
    run.go(epochs, &mut |_: &Epoch| ()).unwrap();
    let values = run.parameters().values().flat_map(|tensor| &tensor.data);
    (values.map(|value| value.to_bits()).collect(), run.outcome().clone())
}

#[test]
fn the_last_block_learns_goes_on_after_a_cut_and_makes_a_pack() {
    let [whole, cut] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (expected, outcome) = go(whole.path(), usize::MAX);
    let check = outcome.check.unwrap();
    let (before, after) = (check.beside.start.accuracy, check.trained.accuracy);
    assert!(after > before + 0.05, "{before} before, {after} after");
    assert!(check.beside.installed.is_some() && check.beside.pixels.is_none());
    go(cut.path(), 1);
    assert!(go(cut.path(), 1).0 == expected, "the same bits");

    // All before the block is as installed, and the block is what was learnt.
    let folder = whole.path();
    let pack = export::embedder(folder, embedder(), "facenet-128", "none").unwrap();
    let best = Checkpoint::read(&folder.join("best.checkpoint")).unwrap().parameters;
    let [here, there] = [pack.tensors(), embedder().tensors()];
    assert!(here.keys().eq(there.keys()));
    for (name, tensor) in &here {
        let learnt = best.contains_key(name);
        assert_eq!(learnt, name.starts_with("block8.") || name.starts_with("last_linear."));
        let expected = best.get(name).unwrap_or(&there[name]);
        let largest = expected.data.iter().fold(1e-3f32, |a, b| a.max(b.abs()));
        // The pack rounds to half precision.
        assert!(max_abs_diff(&tensor.data, &expected.data) < 1e-3 * largest, "{name}");
        assert_ne!(learnt, tensor == &there[name], "{name} is learnt or as it was");
    }
    assert!(pack.meta.source.title.contains("its last block trained"));

    let detector = detector();
    let mut engine = CpuEngine::new(&detector, Some(&pack), &EngineOptions::default()).unwrap();
    let picture = &drawn(1).held.pictures[0];
    let face = threshold_models::eval::lfw::usual_place(&picture.frame);
    let found = engine.embed(&picture.frame, &[face]).unwrap().remove(0);
    let meta = pack.embedder().unwrap();
    let mut crop = vec![0.0; meta.crop.len()];
    threshold_models::crop::crop(&picture.frame, &face, &meta.crop, &mut crop);
    crop.iter_mut().for_each(|value| *value = (*value - 127.5) / 128.0);
    let before = net::inception_resnet_v1_before_last_block();
    let rows = run_network(&before, embedder(), &crop, "features");
    let block = net::inception_resnet_v1_last_block(LEN);
    let far = max_abs_diff(&found.0, &run_network(&block, &best, &rows, "embedding"));
    assert!(far < 1e-3, "{far}");
}
