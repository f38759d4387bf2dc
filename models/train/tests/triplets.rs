//! Whole runs of FaceNet's last layer on made-up features, and in `block` and `scratch` of what else is trained: they learn, repeat, go on, stop, and what they learnt runs on
//! the CPU engine and on the emulated kernels; on photos, where references are, a photo's features are what the engine has
//! before its last layer.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod block;
mod drawn;
mod references;
mod scratch;

use drawn::{detector, drawn};
use references::{references, skipped};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use threshold_kernels::Embedder;
use threshold_kernels::device::emulator::Emulator;
use threshold_models::cpu::{CpuEngine, EngineOptions, Network, Pool, Simd};
use threshold_models::engine::{Embedding, Engine as _};
use threshold_models::eval::embeddings::Subject;
use threshold_models::eval::lfw::face_of;
use threshold_models::import::description;
use threshold_models::net;
use threshold_models::pack::{self, Pack, PackDir};
use threshold_models::raw::RawFrame;
use threshold_models::tensor::max_abs_diff;
use threshold_models::{picture, synthetic};
use threshold_train::checkpoint::Checkpoint;
use threshold_train::export;
use threshold_train::facenet::batch::Augment;
use threshold_train::facenet::config::{Config, Phase, Stage};
use threshold_train::facenet::network::{Network as Trained, Rows};
use threshold_train::facenet::photos;
use threshold_train::facenet::run::{Epoch, Outcome, People, Run};
use threshold_train::facenet::start::LEN;
use threshold_train::facenet::triplet::Negatives;
use threshold_train::pictures;
use threshold_train::random::Random;

/// A FaceNet of synthetic weights.
fn embedder() -> &'static Pack {
    static PACK: OnceLock<Pack> = OnceLock::new();
    PACK.get_or_init(|| {
        let tensors = synthetic::weights([&net::inception_resnet_v1()]);
        Pack::new(description(pack::Network::InceptionResnetV1), &tensors).unwrap()
    })
}

fn config() -> Config {
    Config {
        stage: Stage::FaceNet,
        network: Trained::LastLayer,
        width: None,
        side_px: None,
        length: None,
        accumulate: 1,
        pretrain: Phase::default(),
        distil: Phase::default(),
        augment: Augment::default(),
        seed: 1,
        epochs: 3,
        steps: 80,
        batch_people: 20,
        batch_photos: 3,
        learning_rate: 5e-3,
        weight_decay: 0.0,
        average: 0.0,
        patience: 0,
        keep: 0,
        margin: 0.2,
        negatives: Negatives::SemiHard,
        mine_every: 0,
        held_back: 0.2,
        features: None,
        pairs: None,
        people: vec![],
    }
}

/// People whose features differ in 60 values and whose photos differ, twice as widely, in 100 others.
fn people(from: usize, n: usize) -> Vec<Subject> {
    let subject = |person: usize| {
        let mut random = Random::of(&[5, person as u64]);
        let face: Vec<f32> = (0..60).map(|_| random.between(-1.0, 1.0)).collect();
        let picture = |photo: usize| {
            let mut random = Random::of(&[6, person as u64, photo as u64]);
            let mut values = vec![0.1; 1792];
            values[..60].copy_from_slice(&face);
            values[60..160].iter_mut().for_each(|value| *value = random.between(-2.0, 2.0));
            (format!("p{person}/p{person}_{:04}.jpg", photo + 1), vec![Embedding(values)])
        };
        Subject { name: format!("p{person}"), pictures: (0..4).map(picture).collect() }
    };
    (from..from + n).map(subject).collect()
}

fn everybody() -> People {
    People { learn: people(0, 150), held: people(200, 20), check: people(300, 40), single: vec![] }
}

/// Takes so many epochs of a run in a folder; gives its parameters' bits.
fn go(config: &Config, folder: &Path, epochs: usize) -> Vec<u32> {
    go_of(config, &everybody(), folder, epochs)
}

fn go_of(config: &Config, people: &People, folder: &Path, epochs: usize) -> Vec<u32> {
    let detector = detector();
    let mut run = Run::open(config, people, [&detector, embedder()], vec![], folder).unwrap();
    run.go(epochs, &mut |_: &Epoch| ()).unwrap();
    run.parameters().values().flat_map(|t| t.data.iter().map(|v| v.to_bits())).collect()
}

fn outcome_of(folder: &Path) -> Outcome {
    serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap()
}

fn losses(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("losses.csv")).unwrap()
}

#[test]
fn a_short_run_tells_unseen_people_apart_far_better_than_random_directions() {
    let folder = tempfile::tempdir().unwrap();
    let (config, people, detector) = (config(), everybody(), detector());
    let packs = [&detector, embedder()];
    let mut run = Run::open(&config, &people, packs, vec![], folder.path()).unwrap();
    let early = export::embedder(folder.path(), embedder(), "a", "none").err().unwrap();
    assert!(early.to_string().contains("run.json"), "{early}");
    let mut epochs = 0;
    let outcome = run.go(usize::MAX, &mut |_: &Epoch| epochs += 1).unwrap().clone();
    let check = outcome.check.unwrap();
    let (before, after) = (check.beside.random.unwrap().accuracy, check.trained.accuracy);
    assert!(after > 0.95 && after > before + 0.1, "{before} before, {after} after");
    assert_eq!((epochs, losses(folder.path()).lines().count()), (3, 241));
    let page = std::fs::read_to_string(folder.path().join("curves.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 3);
    for part in [">\nthis run\n<", ">\nits start\n<", ">\ninstalled\n<"] {
        assert!(page.contains(part), "{part}");
    }

    // What it learnt is a pack that the engine runs, and says there what it said here.
    assert!(export::is_facenet(folder.path()));
    let pack = export::embedder(folder.path(), embedder(), "facenet-128", "none").unwrap();
    let meta = pack.embedder().unwrap();
    assert_eq!(meta.embedding_len, LEN);
    // All but its last layer is the installed FaceNet, under its terms.
    let licence = &pack.meta.licence;
    assert!(licence.starts_with("none\n") && licence.contains("VGGFace2"), "{licence}");
    assert_eq!(meta.threshold_distance, outcome.done.unwrap().threshold as f32);
    let again = Pack::from_bytes(pack.bytes().to_vec()).unwrap();
    let mut engine = CpuEngine::new(&detector, Some(&again), &EngineOptions::default()).unwrap();
    engine.self_test().unwrap();
    let picture = &drawn(1).held.pictures[0];
    let face = threshold_models::eval::lfw::usual_place(&picture.frame);
    let found = engine.embed(&picture.frame, &[face]).unwrap().remove(0);
    let best = Checkpoint::read(&folder.path().join("best.checkpoint")).unwrap().parameters;
    let mut crop = vec![0.0; meta.crop.len()];
    threshold_models::crop::crop(&picture.frame, &face, &meta.crop, &mut crop);
    crop.iter_mut().for_each(|value| *value = (*value - 127.5) / 128.0);
    let features = run_network(&net::inception_resnet_v1_trunk(), embedder(), &crop, "features");
    let expected = run_network(&net::inception_resnet_v1_head(LEN), &best, &features, "embedding");
    // The pack rounds the weights to half precision.
    let far = max_abs_diff(&found.0, &expected);
    assert!(far < 1e-3, "{far}");

    // And on the kernels, which run in half precision: the emulator runs their sources.
    let machine = Emulator::new(6).unwrap();
    let mut kernels = Embedder::new(&machine, &again).unwrap();
    let raw = RawFrame::of(&picture.frame);
    let there = kernels.embed(&machine, &raw, &[face]).unwrap().remove(0);
    let cosine = cosine(&there.0, &found.0);
    assert!(cosine >= LEAST_COSINE, "{cosine}");
}

/// Least cosine of a half-precision embedding with an f32 one, as `kernels/README.md` has it.
const LEAST_COSINE: f64 = 0.999_99;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn run_network(
    graph: &threshold_models::graph::Graph,
    weights: &dyn threshold_models::tensor::TensorSource,
    input: &[f32],
    output: &str,
) -> Vec<f32> {
    let mut network = Network::new(graph, weights, Simd::detect(), Arc::new(Pool::new(1))).unwrap();
    network.run(input).unwrap();
    network.output(output).unwrap().to_vec()
}

#[test]
fn the_same_seed_gives_the_same_bits_and_a_run_that_was_cut_goes_on_with_them() {
    let config = Config { steps: 5, ..config() };
    let [whole, cut, other] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let expected = go(&config, whole.path(), 3);
    go(&config, cut.path(), 1);
    // Killed between what an epoch tells and its checkpoint: the steps after the checkpoint are told once more.
    std::fs::write(cut.path().join("losses.csv"), losses(cut.path()) + "6,9,9,9\n7,9").unwrap();
    assert_eq!(go(&config, cut.path(), 3), expected);
    assert_eq!(losses(cut.path()), losses(whole.path()));
    let curve = |folder: &Path| {
        let epoch = |one: &Epoch| (one.epoch, one.step, (one.held.accuracy * 1e9).round());
        outcome_of(folder).epochs.iter().map(epoch).collect::<Vec<_>>()
    };
    assert_eq!(curve(cut.path()), curve(whole.path()));
    assert_eq!(curve(cut.path()).len(), 3);
    // A run that is done stays as it is.
    let written = std::fs::read(cut.path().join("run.json")).unwrap();
    assert_eq!(go(&config, cut.path(), 3), expected);
    assert_eq!(std::fs::read(cut.path().join("run.json")).unwrap(), written);
    assert!(outcome_of(cut.path()).check.is_some());
    assert_ne!(go(&Config { seed: 2, ..config.clone() }, other.path(), 3), expected);
    for negatives in [Negatives::Hardest, Negatives::Random] {
        let folder = tempfile::tempdir().unwrap();
        assert_ne!(go(&Config { negatives, ..config.clone() }, folder.path(), 3), expected);
    }
}

#[test]
fn mined_people_lie_nearer_than_drawn_ones_and_a_run_that_was_cut_mines_what_an_uncut_one_does() {
    let config = Config { steps: 6, epochs: 2, batch_people: 5, margin: 2.0, ..config() };
    let mined = Config { mine_every: 3, ..config.clone() };
    let [whole, cut, drawn] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let mut people = everybody();
    for (_, frames) in people.learn.iter_mut().flat_map(|subject| &mut subject.pictures) {
        // Faces in twelve values and hardly anything else: some are alike.
        frames[0].0[..12].iter_mut().for_each(|value| *value *= 4.0);
        frames[0].0[12..60].fill(0.1);
        frames[0].0[60..160].iter_mut().for_each(|value| *value *= 0.1);
    }
    let go = |config: &Config, folder: &Path, epochs| go_of(config, &people, folder, epochs);
    let expected = go(&mined, whole.path(), 2);
    go(&mined, cut.path(), 1);
    assert!(go(&mined, cut.path(), 1) == expected, "the same bits");
    assert_eq!(losses(cut.path()), losses(whole.path()));
    assert!(go(&config, drawn.path(), 2) != expected, "other people, other parameters");
    // How far photos of different people of a batch lie apart, in the steps before either has learnt much.
    let spread = |folder: &Path| {
        let text = losses(folder);
        let spread = |line: &str| line.rsplit(',').next().unwrap().parse::<f32>().unwrap();
        text.lines().skip(1).take(3).map(spread).sum::<f32>() / 3.0
    };
    let [mined, drawn] = [whole.path(), drawn.path()].map(spread);
    assert!(mined < drawn * 0.8, "{mined} mined, {drawn} drawn");
}

#[test]
fn with_a_list_the_check_half_is_judged_by_its_pairs_and_by_drawn_ones() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("pairs.txt");
    let text = "2\t1\np300\t1\t2\np300\t1\tp301\t1\np302\t1\t2\np302\t1\tp303\t1\n";
    std::fs::write(&list, text).unwrap();
    let config = Config { steps: 1, epochs: 1, pairs: Some(list), ..config() };
    let run = folder.path().join("run");
    // The second time the run is over, and says what it said.
    for _ in 0..2 {
        go(&config, &run, 1);
        let Outcome { check, drawn, .. } = outcome_of(&run);
        assert_eq!(check.unwrap().counts, [4, 6, 4]);
        assert_eq!(drawn.unwrap().counts, [40, 160, 480]);
    }
}

#[test]
fn one_point_for_everybody_or_a_loss_that_is_no_number_stops_the_run_and_saves_the_batch() {
    let config = Config { steps: 2, ..config() };
    for (name, value, expected) in [
        ("last_linear.weight", 0.0, "step 3: all embeddings have become one point"),
        ("last_linear.bias", f32::INFINITY, "step 3: the loss is no number"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        go(&config, folder.path(), 1);
        let last = folder.path().join("last.checkpoint");
        let mut checkpoint = Checkpoint::read(&last).unwrap();
        checkpoint.parameters.get_mut(name).unwrap().data.fill(value);
        checkpoint.write(&last).unwrap();
        let before = std::fs::read(&last).unwrap();
        let (people, detector) = (everybody(), detector());
        let packs = [&detector, embedder()];
        let mut run = Run::open(&config, &people, packs, vec![], folder.path()).unwrap();
        let stopped = run.go(usize::MAX, &mut |_: &Epoch| ()).err().unwrap().to_string();
        assert!(stopped.starts_with(expected), "{stopped}");
        for saved in ["bad-batch.safetensors", "bad.checkpoint"] {
            assert!(stopped.contains(saved) && folder.path().join(saved).is_file(), "{stopped}");
        }
        assert!(losses(folder.path()).lines().last().unwrap().starts_with("3,"));
        assert_eq!(std::fs::read(&last).unwrap(), before, "the checkpoint is as it was");
    }
}

#[test]
fn too_few_people_and_a_folder_of_another_configuration_are_refused() {
    let config = Config { steps: 2, ..config() };
    let folder = tempfile::tempdir().unwrap();
    let (mut people, detector) = (everybody(), detector());
    let packs = [&detector, embedder()];
    let refused = |config: &Config, people: &People| {
        Run::open(config, people, packs, vec![], folder.path()).err().unwrap().to_string()
    };
    let few = Config { batch_people: 151, ..config.clone() };
    let why = refused(&few, &people);
    assert!(
        why.contains("150 people with two photos or more") && why.contains("batch_people"),
        "{why}"
    );
    go(&config, folder.path(), 1);
    let why = refused(&Config { margin: 0.3, ..config.clone() }, &people);
    assert!(why.contains("another configuration"), "{why}");
    let mut others = everybody();
    others.learn[3].pictures[1].1[0].0[7] += 1.0;
    let why = refused(&config, &others);
    assert!(why.contains("over other pictures"), "{why}");
    let mut tensors = embedder().tensors();
    tensors.get_mut("conv2d_1a.weight").unwrap().data[0] += 1.0;
    let other = Pack::new(embedder().meta.clone(), &tensors).unwrap();
    let packs = [&detector, &other];
    let why = Run::open(&config, &people, packs, vec![], folder.path()).err().unwrap().to_string();
    assert!(why.contains("with other installed packs"), "{why}");
    people.held.clear();
    let new = tempfile::tempdir().unwrap();
    let packs = [&detector, embedder()];
    let why = Run::open(&config, &people, packs, vec![], new.path()).err().unwrap();
    assert!(why.to_string().contains("held_back"), "{why}");
}

#[test]
fn a_list_of_pairs_that_does_not_read_is_told_before_the_first_step() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("pairs.txt");
    let config = Config { pairs: Some(list.clone()), ..config() };
    let (people, detector) = (everybody(), detector());
    for (text, expected) in [
        ("1\np300\t1\tthree\n", "line 2"),
        ("1\nAnn\t1\t2\nAnn\t1\tBob\t1\n", "fold 1 has no pair left"),
    ] {
        std::fs::write(&list, text).unwrap();
        let packs = [&detector, embedder()];
        let opened = Run::open(&config, &people, packs, vec![], &folder.path().join("run"));
        let why = format!("{:#}", opened.err().unwrap());
        assert!(why.contains("pairs.txt") && why.contains(expected), "{why}");
    }
}

/// A set's folder of drawn photos, so many for each person.
fn drawn_photos(images: &Path, photos: &[(&str, usize)]) -> pictures::People {
    let frame = &drawn(1).held.pictures[0].frame;
    let (width, height) = (frame.width() as u32, frame.height() as u32);
    let image = image::RgbImage::from_raw(width, height, frame.rgb().to_vec()).unwrap();
    for &(person, n) in photos {
        let folder = images.join(person);
        std::fs::create_dir_all(&folder).unwrap();
        (0..n).for_each(|i| image.save(folder.join(format!("{i}.png"))).unwrap());
    }
    pictures::People { images: images.to_path_buf(), limit: None }
}

#[test]
fn what_cannot_be_read_and_an_empty_folder_are_counted_and_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("a");
    let set = drawn_photos(&images, &[("Ann", 1), ("Bob", 0)]);
    std::fs::create_dir(images.join("Ann/folder.png")).unwrap();
    let (kept, detector) = (folder.path().join("features"), detector());
    for _ in 0..2 {
        let packs = [&detector, embedder()];
        let sets = std::slice::from_ref(&set);
        let photos = photos::load(sets, packs, (Rows::Features, &kept), 1, &|_, _| ()).unwrap();
        assert_eq!(photos.features.about.pictures.len(), 1);
        let skipped = photos.skipped.join("; ");
        assert!(skipped.contains("Bob: an empty folder"), "{skipped}");
        assert!(skipped.ends_with("; Ann/folder.png"), "{skipped}");
    }
}

#[test]
fn two_sets_with_a_persons_folder_of_one_name_are_refused_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let photos = [("Ann", 1), ("Bob", 1)];
    let sets = ["a", "b"].map(|name| drawn_photos(&folder.path().join(name), &photos[..]));
    let (kept, detector) = (folder.path().join("features"), detector());
    let why = photos::load(&sets, [&detector, embedder()], (Rows::Features, &kept), 1, &|_, _| ());
    let why = why.unwrap_err();
    let why = why.to_string();
    assert!(why.starts_with("Ann stands in ") && why.contains("rename one"), "{why}");
}

#[test]
fn features_are_what_the_engine_has_before_its_last_layer_and_are_kept() {
    let Some((shared, detector)) = references("features of photos") else { return };
    let facenet = PackDir::locate(None).and_then(|dir| PackDir::open(&dir)?.named("facenet"));
    let Ok(facenet) = facenet else {
        return skipped("features of photos", "no FaceNet among the packs: cargo xtask setup");
    };
    let folder = tempfile::tempdir().unwrap();
    let images = folder.path().join("people");
    let mut named: Vec<_> = std::fs::read_dir(shared.join("lfw-dev/images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    named.sort();
    for person in &named[..3] {
        let to = images.join(person.file_name().unwrap());
        std::fs::create_dir_all(&to).unwrap();
        for photo in std::fs::read_dir(person).unwrap() {
            let photo = photo.unwrap().path();
            std::fs::copy(&photo, to.join(photo.file_name().unwrap())).unwrap();
        }
        std::fs::write(to.join("broken.jpg"), "no picture").unwrap();
    }
    let sets = [pictures::People { images: images.clone(), limit: None }];
    let kept = folder.path().join("features");
    let packs = [&detector, &facenet];
    let load =
        |threads| photos::load(&sets, packs, (Rows::Features, &kept), threads, &|_, _| ()).unwrap();
    let made = load(2);
    assert_eq!(made.skipped.len(), 3, "{:?}", made.skipped);
    let written = std::fs::metadata(&kept).unwrap().modified().unwrap();
    let again = load(1);
    assert_eq!((&again.features, &again.skipped), (&made.features, &made.skipped));
    assert_eq!(std::fs::metadata(&kept).unwrap().modified().unwrap(), written, "taken as kept");

    let options = EngineOptions::default();
    let mut engine = CpuEngine::new(&detector, Some(&facenet), &options).unwrap();
    let People { learn, held, check, .. } = People::of(&made, 0.0);
    assert!(held.is_empty());
    let subject = learn.iter().chain(&check).next().unwrap();
    let (name, frames) = &subject.pictures[0];
    let frame = picture::read(&images.join(name)).unwrap();
    let (face, _) = face_of(&mut engine, &frame).unwrap();
    let expected = engine.embed(&frame, &[face]).unwrap().remove(0);
    let head = net::inception_resnet_v1_head(512);
    let found = run_network(&head, &facenet, &frames[0].0, "embedding");
    let far = max_abs_diff(&found, &expected.0);
    assert!(far < 1e-5, "{far}");

    // So are rows of the last block, under that block.
    let other = folder.path().join("rows");
    let rows = (Rows::BeforeBlock, other.as_path());
    let rows = People::of(&photos::load(&sets, packs, rows, 2, &|_, _| ()).unwrap(), 0.0);
    let mut pictures = rows.learn.iter().chain(&rows.check).flat_map(|one| &one.pictures);
    let (_, frames) = pictures.find(|(path, _)| path == name).unwrap();
    let block = net::inception_resnet_v1_last_block(512);
    let far = max_abs_diff(&run_network(&block, &facenet, &frames[0].0, "embedding"), &expected.0);
    assert!(far < 1e-5 && other.is_file(), "{far}");

    // The crops of a whole network are the same patches, smaller, and no file keeps them.
    let (side_px, none) = (64, folder.path().join("crops"));
    let crops =
        photos::load(&sets, packs, (Rows::Crops { side_px }, &none), 1, &|_, _| ()).unwrap();
    assert!(!none.exists());
    let crops = People::of(&crops, 0.0);
    let crop = crops.learn.iter().chain(&crops.check).flat_map(|one| &one.pictures);
    let crop = &crop.clone().find(|(path, _)| path == name).unwrap().1[0].0;
    let rule = facenet.embedder().unwrap().crop;
    let mut larger = vec![0.0; rule.len()];
    threshold_models::crop::crop(&frame, &face, &rule, &mut larger);
    let mean = |values: &[f32]| values.iter().sum::<f32>() / values.len() as f32;
    assert_eq!(crop.len(), Rows::Crops { side_px }.len());
    assert!((mean(crop) - (mean(&larger) - 127.5) / 128.0).abs() < 0.02);

    // Another photo, and they are made anew.
    std::fs::write(images.join(named[0].file_name().unwrap()).join("broken.jpg"), "none").unwrap();
    assert_ne!(load(1).features.about.pictures_digest, made.features.about.pictures_digest);
}
