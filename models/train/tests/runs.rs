//! Whole runs on drawn pictures: they learn, repeat, go on, stop, and what they learnt runs on the CPU engine.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod drawn;

use drawn::{config, detector, drawn};
use std::io::Write as _;
use std::path::Path;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::Engine as _;
use threshold_models::frame::Frame;
use threshold_models::graph::Shape;
use threshold_models::pack::Pack;
use threshold_models::tensor::max_abs_diff;
use threshold_train::adam::{Adam, rate_at};
use threshold_train::batch::Batches;
use threshold_train::checkpoint::Checkpoint;
use threshold_train::config::Config;
use threshold_train::export;
use threshold_train::loss::Losses;
use threshold_train::pictures::Loaded;
use threshold_train::run::{Epoch, Outcome, Run, Watch};
use threshold_train::sample::Drawer;
use threshold_train::stage::Stage;
use threshold_train::start;
use threshold_train::trainable::Trainable;
use threshold_train::view::Window;

/// Nobody watches.
struct Nobody;

impl Watch for Nobody {
    fn step(&mut self, _: usize, _: &Losses) {}
    fn epoch(&mut self, _: &Epoch) {}
}

/// Takes so many epochs of a run in a folder, drawing on so many threads; gives its parameters' bits.
fn go(config: &Config, folder: &Path, epochs: usize, threads: usize) -> Vec<u32> {
    let (loaded, detector) = (drawn(60), detector());
    let mut run = Run::open(config, &loaded, &detector, folder, threads).unwrap();
    run.go(epochs, &mut Nobody).unwrap();
    run.parameters().values().flat_map(|t| t.data.iter().map(|v| v.to_bits())).collect()
}

fn losses(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("losses.csv")).unwrap()
}

fn outcome_of(folder: &Path) -> Outcome {
    serde_json::from_slice(&std::fs::read(folder.join("run.json")).unwrap()).unwrap()
}

#[test]
fn a_short_run_judges_held_back_windows_far_better_than_the_untrained_network() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { epochs: 3, steps: 100, batch: 64, ..config(Stage::PNet) };
    let (loaded, detector) = (drawn(60), detector());
    let mut run = Run::open(&config, &loaded, &detector, folder.path(), 2).unwrap();
    let outcome = run.go(usize::MAX, &mut Nobody).unwrap().clone();
    let (before, after) = (outcome.untrained.all, outcome.best);
    assert!(after > 0.85 && after > before + 0.2, "{before} before, {after} after");
    let told = losses(folder.path());
    assert_eq!(told.lines().count(), 301);
    let total = |line: &str| line.rsplit(',').next().unwrap().parse::<f32>().unwrap();
    let mean =
        |lines: &[&str]| lines.iter().map(|line| total(line)).sum::<f32>() / lines.len() as f32;
    let lines: Vec<&str> = told.lines().skip(1).collect();
    assert!(mean(&lines[280..]) < mean(&lines[..20]) / 2.0);
    let page = std::fs::read_to_string(folder.path().join("curves.html")).unwrap();
    assert_eq!(page.matches("<svg").count(), 2);
    assert!(!page.contains("landmarks"));
    for part in ["Training PNet", ">\nbox\n<", ">\nthis run\n<", ">\ninstalled\n<"] {
        assert!(page.contains(part), "{part}");
    }

    // What it learnt is a pack that the engine runs, and says there what it said here.
    let mut tensors = detector.tensors();
    tensors.extend(Checkpoint::read(&folder.path().join("best.checkpoint")).unwrap().parameters);
    let pack = export::of(&tensors, &detector, "a test", "mtcnn-trained", "none").unwrap();
    let mut engine = CpuEngine::new(&pack, None, &EngineOptions::default()).unwrap();
    engine.self_test().unwrap();
    engine.detect(&loaded.held.pictures[0].frame).unwrap();
    let from_runs =
        export::detector(&[folder.path().to_path_buf()], &detector, "mtcnn-trained", "none")
            .unwrap();
    assert_eq!(from_runs.tensors(), pack.tensors());
    for (stage, golden) in pack.meta.golden.iter().enumerate() {
        let graph = golden.graph(pack.meta.network);
        let trainable = Trainable::new(graph.clone());
        let Shape { h, w, c } = graph.shape(graph.input());
        let input = golden.input(&graph);
        let input =
            candle_core::Tensor::from_slice(&input, (1, h, w, c), &candle_core::Device::Cpu);
        let variables = trainable.variables(&pack.tensors()).unwrap();
        let values = trainable.forward(&variables, &input.unwrap()).unwrap();
        for (&(name, id), expected) in graph.outputs().iter().zip(&golden.outputs) {
            let found = values[id].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let far = max_abs_diff(&found, expected);
            assert!(far <= 1e-4, "stage {stage} {name}: {far}");
        }
    }
}

#[test]
fn the_same_configuration_gives_the_same_bits_on_any_number_of_drawing_threads() {
    let config = Config { epochs: 1, steps: 12, batch: 32, ..config(Stage::RNet) };
    let folders: [_; 3] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let [a, b] = [(0, 1), (1, 3)].map(|(i, threads)| go(&config, folders[i].path(), 1, threads));
    assert_eq!(a, b);
    assert_eq!(losses(folders[0].path()), losses(folders[1].path()));
    let other = go(&Config { seed: 2, ..config }, folders[2].path(), 1, 1);
    assert_ne!(a, other);
}

#[test]
fn a_run_that_was_cut_goes_on_with_the_same_losses_bit_by_bit() {
    let config = Config { epochs: 4, steps: 6, batch: 32, ..config(Stage::PNet) };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = go(&config, whole.path(), 4, 1);
    go(&config, cut.path(), 1, 1);
    go(&config, cut.path(), 2, 1);
    // Killed between what an epoch tells and its checkpoint: the steps after the checkpoint are told once more.
    let told = losses(cut.path()) + "19,9,9,9,9\n20,9,9";
    std::fs::write(cut.path().join("losses.csv"), told).unwrap();
    assert_eq!(go(&config, cut.path(), 4, 1), expected);
    assert_eq!(losses(cut.path()), losses(whole.path()));
    // And tells all of its epochs; what was told of one after the checkpoint is told anew.
    let curve = |folder: &Path| {
        let epoch = |one: &Epoch| (one.epoch, one.step, one.accuracy, (one.loss * 1e9).round());
        outcome_of(folder).epochs.iter().map(epoch).collect::<Vec<_>>()
    };
    assert_eq!(curve(cut.path()), curve(whole.path()));
    assert_eq!((curve(cut.path()).len(), outcome_of(cut.path()).over), (4, true));
    // A run that is done stays as it is.
    let written = std::fs::read(cut.path().join("run.json")).unwrap();
    assert_eq!(go(&config, cut.path(), 4, 1), expected);
    assert_eq!(std::fs::read(cut.path().join("run.json")).unwrap(), written);
}

#[test]
fn a_run_whose_earlier_epochs_are_gone_is_refused_until_they_are_back() {
    let config = Config { epochs: 2, steps: 2, batch: 16, ..config(Stage::PNet) };
    let folder = tempfile::tempdir().unwrap();
    go(&config, folder.path(), 1, 1);
    let path = folder.path().join("run.json");
    let written = std::fs::read(&path).unwrap();
    let (loaded, detector) = (drawn(60), detector());
    let open = || Run::open(&config, &loaded, &detector, folder.path(), 1).map(drop);
    for harmed in [None, Some(&written[..written.len() / 2])] {
        match harmed {
            None => std::fs::remove_file(&path).unwrap(),
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
        }
        let why = open().unwrap_err().to_string();
        assert!(why.contains("run.json") && why.contains("put it back"), "{why}");
    }
    std::fs::write(&path, &written).unwrap();
    open().unwrap();
}

#[test]
fn a_run_with_an_average_goes_on_bit_by_bit_and_what_it_hands_out_is_the_average() {
    let config = Config {
        epochs: 4,
        steps: 6,
        batch: 32,
        average: 0.9,
        weight_decay: 0.01,
        ..config(Stage::PNet)
    };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = go(&config, whole.path(), 4, 1);
    go(&config, cut.path(), 2, 1);
    assert_eq!(go(&config, cut.path(), 4, 1), expected);
    let [last, again] = [whole.path(), cut.path()]
        .map(|folder| Checkpoint::read(&folder.join("last.checkpoint")).unwrap());
    assert_eq!(last, again);
    let best = Checkpoint::read(&whole.path().join("best.checkpoint")).unwrap();
    let mut tensors = detector().tensors();
    tensors.extend(best.average.clone());
    let pack = export::of(&tensors, &detector(), "a test", "mtcnn-trained", "none").unwrap();
    let folders = [whole.path().to_path_buf()];
    let exported = export::detector(&folders, &detector(), "mtcnn-trained", "none").unwrap();
    assert_eq!(exported.tensors(), pack.tensors());
    assert_ne!(best.average, best.parameters);
}

#[test]
fn a_step_of_several_batches_is_one_along_their_mean_gradient() {
    let config = Config { epochs: 1, steps: 2, batch: 16, accumulate: 3, ..config(Stage::PNet) };
    let folder = tempfile::tempdir().unwrap();
    let (loaded, detector) = (drawn(60), detector());
    let mut run = Run::open(&config, &loaded, &detector, folder.path(), 1).unwrap();
    run.go(1, &mut Nobody).unwrap();
    let Config { stage, augment, min_face_px, mined, ref mix, batch, seed, .. } = config;
    let drawer = Drawer { pictures: &loaded.train, stage, augment, min_face_px, mined };
    let batches = Batches::new(drawer, mix, batch, seed, 1).unwrap();
    let trainable = Trainable::new(stage.graph());
    let mut parameters = start::parameters(&stage.graph(), seed);
    let mut adam = Adam::new(&parameters);
    let mut totals = Vec::new();
    for step in 0..2 {
        let of = |part| {
            let batch = batches.draw(3 * step + part).unwrap();
            trainable.gradients(&parameters, &batch, &config.tasks, config.hard_share).unwrap()
        };
        let parts = [0, 1, 2].map(of);
        totals.push(parts.iter().map(|(losses, _)| losses.total).sum::<f32>() / 3.0);
        let mut mean = parts[0].1.clone();
        for (name, mean) in &mut mean {
            for (i, value) in mean.data.iter_mut().enumerate() {
                *value =
                    parts.iter().map(|(_, gradients)| gradients[name].data[i]).sum::<f32>() / 3.0;
            }
        }
        adam.step(&mut parameters, &mean, rate_at(config.learning_rate, step, 2));
    }
    for (name, expected) in &parameters {
        for (found, expected) in run.parameters()[name].data.iter().zip(&expected.data) {
            assert!((found - expected).abs() < 1e-5, "{name}: {found} for {expected}");
        }
    }
    let told = losses(folder.path());
    let told: Vec<f32> = told
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(told.len(), 2);
    assert!(told.iter().zip(&totals).all(|(a, b)| (a - b).abs() < 1e-5), "{told:?} {totals:?}");
}

#[test]
fn a_run_without_a_better_epoch_ends_when_its_patience_does() {
    // A rate at which nothing is learnt: every epoch judges as the first one did.
    let config = Config {
        epochs: 20,
        steps: 2,
        batch: 16,
        learning_rate: 1e-9,
        patience: 3,
        ..config(Stage::PNet)
    };
    let folder = tempfile::tempdir().unwrap();
    go(&config, folder.path(), 20, 1);
    assert_eq!(losses(folder.path()).lines().count(), 1 + 4 * 2);
    go(&config, folder.path(), 20, 1);
    assert_eq!(losses(folder.path()).lines().count(), 1 + 4 * 2, "it stays ended");
}

#[test]
fn a_folder_of_another_configuration_is_refused() {
    let config = Config { epochs: 1, steps: 2, batch: 16, ..config(Stage::PNet) };
    let folder = tempfile::tempdir().unwrap();
    go(&config, folder.path(), 1, 1);
    let other = Config { learning_rate: 0.5, ..config };
    let (loaded, detector) = (drawn(60), detector());
    let refused = Run::open(&other, &loaded, &detector, folder.path(), 1).err().unwrap();
    assert!(refused.to_string().contains("another configuration"), "{refused}");
}

#[test]
fn a_run_does_not_go_on_over_other_pictures_or_with_another_detector() {
    let config = Config { epochs: 2, steps: 2, batch: 16, ..config(Stage::PNet) };
    let folder = tempfile::tempdir().unwrap();
    go(&config, folder.path(), 1, 1);
    let json = std::fs::read(folder.path().join("run.json")).unwrap();
    let refused = |change: &dyn Fn(&mut Loaded), detector: &Pack| {
        let mut loaded = drawn(60);
        change(&mut loaded);
        let why = Run::open(&config, &loaded, detector, folder.path(), 1).err().unwrap();
        why.to_string()
    };
    let window = Window { x: 1.0, y: 1.0, side: 20.0 };
    let changes: [&dyn Fn(&mut Loaded); 5] = [
        &|loaded| drop(loaded.train.pictures.pop()),
        &|loaded| drop(loaded.held.pictures.pop()),
        &|loaded| loaded.train.pictures[3].faces[0].bbox.x1 += 1.0,
        &|loaded| loaded.train.mined.push((0, window)),
        &|loaded| {
            let frame = &mut loaded.held.pictures[0].frame;
            let mut rgb = frame.rgb().to_vec();
            rgb[0] ^= 1;
            *frame = Frame::from_rgb(frame.width(), frame.height(), rgb).unwrap();
        },
    ];
    for change in changes {
        let why = refused(change, &detector());
        assert!(why.contains("over other pictures") && why.contains("put the pictures"), "{why}");
    }
    let mut tensors = detector().tensors();
    tensors.get_mut("onet.conv1.weight").unwrap().data[0] += 1.0;
    let other = export::of(&tensors, &detector(), "another", "mtcnn", "none").unwrap();
    let why = refused(&|_| (), &other);
    assert!(why.contains("with other installed packs") && why.contains("install"), "{why}");
    assert_eq!(std::fs::read(folder.path().join("run.json")).unwrap(), json);
    go(&config, folder.path(), 2, 1);
}

/// The folder in which this test's own process, started anew without room on its disk, takes an epoch.
const NO_ROOM: &str = "THRESHOLD_TRAIN_NO_ROOM";

#[test]
fn a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before_and_the_run_goes_on_from_it() {
    // A rate at which nothing is learnt, so that the checkpoint with which a run goes on is the first large file.
    let config =
        Config { epochs: 2, steps: 2, batch: 16, learning_rate: 1e-9, ..config(Stage::PNet) };
    if let Some(folder) = std::env::var_os(NO_ROOM) {
        let (loaded, detector) = (drawn(60), detector());
        let mut run = Run::open(&config, &loaded, &detector, folder.as_ref(), 1).unwrap();
        let why = run.go(usize::MAX, &mut Nobody).err().unwrap();
        return std::io::stderr().write_all(format!("ended: {why:#}\n").as_bytes()).unwrap();
    }
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = go(&config, whole.path(), 2, 1);
    go(&config, cut.path(), 1, 1);
    let last = cut.path().join("last.checkpoint");
    let before = std::fs::read(&last).unwrap();
    // What is told fits into 16 blocks of 512 bytes, a checkpoint does not.
    assert!(before.len() > 4 * 16 * 512);
    let test =
        "a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before_and_the_run_goes_on_from_it";
    let mut full = std::process::Command::new("sh");
    full.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" --exact \"$1\" --nocapture"]);
    full.arg(std::env::current_exe().unwrap()).arg(test).env(NO_ROOM, cut.path());
    let ended = full.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("ended: writing ") && said.contains("last.checkpoint: "), "{said}");
    assert!(said.contains("File too large"), "{said}");
    assert_eq!(std::fs::read(&last).unwrap(), before);
    let names = std::fs::read_dir(cut.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    let all =
        ["best.checkpoint", "best.safetensors", "curves.html", "last.checkpoint", "losses.csv"];
    assert_eq!(names[..5], all, "nothing is left beside");
    assert_eq!(names[5..], ["run.json", "run.toml"]);
    assert_eq!(go(&config, cut.path(), 2, 1), expected);
    assert_eq!(losses(cut.path()), losses(whole.path()));
    assert_eq!(outcome_of(cut.path()).epochs.len(), 2);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_saves_the_batch() {
    let config = Config { epochs: 2, steps: 2, batch: 16, ..config(Stage::PNet) };
    let folder = tempfile::tempdir().unwrap();
    go(&config, folder.path(), 1, 1);
    let last = folder.path().join("last.checkpoint");
    let mut checkpoint = Checkpoint::read(&last).unwrap();
    checkpoint.parameters.get_mut("pnet.conv1.weight").unwrap().data[0] = f32::INFINITY;
    checkpoint.write(&last).unwrap();
    let before = std::fs::read(&last).unwrap();
    let (loaded, detector) = (drawn(60), detector());
    let mut run = match Run::open(&config, &loaded, &detector, folder.path(), 1) {
        Ok(run) => run,
        Err(why) => unreachable!("{why:#}"),
    };
    let stopped = run.go(usize::MAX, &mut Nobody).err().unwrap().to_string();
    assert!(stopped.starts_with("step 3: the loss is no number"), "{stopped}");
    for saved in ["bad-batch.safetensors", "bad.checkpoint"] {
        assert!(stopped.contains(saved) && folder.path().join(saved).is_file(), "{stopped}");
    }
    let told = losses(folder.path());
    let last_step = told.lines().last().unwrap();
    assert!(last_step.starts_with("3,") && last_step.contains("NaN"), "{last_step}");
    assert_eq!(std::fs::read(&last).unwrap(), before, "the checkpoint is as it was");
}

#[test]
fn pictures_without_a_kind_that_is_asked_for_are_refused() {
    let mut loaded = drawn(20);
    loaded.train.pictures.iter_mut().for_each(|picture| picture.faces.clear());
    let config = config(Stage::PNet);
    let folder = tempfile::tempdir().unwrap();
    let refused = Run::open(&config, &loaded, &detector(), folder.path(), 1).err().unwrap();
    assert!(refused.to_string().contains("no Positive sample"), "{refused}");
}
