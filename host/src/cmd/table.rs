//! `threshold table`: the paper's three tables made again, each figure beside the paper's own.
//!
//! Owns the paper's figures (Jin et al., tables 2 and 3; 1 is `net::PAPER_NETWORKS`) and the words beside them. Refuses an accuracy that no trained network
//! gave, of a run that is not over, or of two runs of one network: without a run's folder such a cell says "not trained", and with
//! one it says which windows judged. Times are this machine's, with drawn weights, since how long a
//! network takes does not depend on them; the paper's are those of its graphics card.

use super::bench::{Running, Times, figure, machine, pass, running, tiled};
use super::{Answer, layers};
use crate::args::{self, NetworkName, Turns};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use clap::ValueEnum as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{EngineOptions, Pool, Simd};
use threshold_models::engine::EngineError;
use threshold_models::graph::Cost;
use threshold_models::net::{self, PAPER_NETWORKS, PAPER_PASSES, PNET_CELL_PX};
use threshold_models::picture;

const NOT_TRAINED: &str = "not trained";

/// The networks of the paper's Table 1, in the order of [`PAPER_NETWORKS`].
const NETWORKS: [NetworkName; PAPER_NETWORKS.len()] = [
    NetworkName::Net12,
    NetworkName::Pnet,
    NetworkName::Net24,
    NetworkName::Rnet,
    NetworkName::Net48,
    NetworkName::Onet,
];

/// The paper's Table 2: frames a second, and on what.
const DETECTORS: [(&str, f64, &str); 4] = [
    ("MTCNN, the paper's", 93.0, "Titan Black"),
    ("Cascade CNN", 100.0, "Titan Black"),
    ("Faceness", 20.0, "Titan Black"),
    ("DP2MFD", 0.285, "Tesla K20"),
];

/// LFW under Table 3: accuracy and its spread, percent.
const ON_LFW: [(&str, &str, [f64; 2]); 3] = [
    ("NN1", "Zeiler-Fergus", [89.52, 0.18]),
    ("NN2", "ResNet-50", [90.16, 0.15]),
    ("NN3", "ResNet-101", [92.86, 0.12]),
];

/// Makes a table.
///
/// # Errors
/// A picture or a run's folder that cannot be read, or a missing pack.
pub fn run(meant: &Meant, typed: &args::Table) -> anyhow::Result<Answer> {
    match typed {
        args::Table::Networks(typed) => networks(meant, typed)?,
        args::Table::Detection(typed) => detection(meant, typed)?,
        args::Table::Layers => nn1(meant)?,
    }
    Ok(Answer::Yes)
}

fn networks(meant: &Meant, typed: &args::TableNetworks) -> anyhow::Result<()> {
    let mut trained: BTreeMap<String, Trained> = BTreeMap::new();
    for run in &typed.runs {
        let (network, found) = of_run(run)?;
        if trained.insert(network.clone(), found).is_some() {
            let what = format!("it is the second run of {network} that is named; name one of them");
            return Err(refused(run, what).into());
        }
    }
    let (simd, pool) = (Simd::detect(), Arc::new(Pool::new(meant.threads)));
    let mut passes = Vec::new();
    for network in NETWORKS {
        let level = (PNET_CELL_PX, PNET_CELL_PX);
        passes.push(pass((network, level), 1, (simd, Arc::clone(&pool)))?);
    }
    // By turns, so that whatever else the machine does is everybody's.
    let once = Turns { calls: 1, warm_up: 0, simd: None };
    let mut seconds = vec![Vec::new(); NETWORKS.len()];
    for _ in 0..=typed.turns {
        for (pass, seconds) in passes.iter_mut().zip(&mut seconds) {
            let all = || (0..PAPER_PASSES).try_for_each(|_| pass());
            seconds.push(Times::of::<EngineError>(&once, all)?.median_ms() / 1e3);
        }
    }
    let median = |seconds: &Vec<f64>| {
        // The first turn warms up.
        let mut counted = seconds[1..].to_vec();
        counted.sort_by(f64::total_cmp);
        counted[counted.len() / 2]
    };
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for ((network, paper), seconds) in NETWORKS.into_iter().zip(&PAPER_NETWORKS).zip(&seconds) {
        let cost: Cost = layers::graph(network, (PNET_CELL_PX, PNET_CELL_PX)).costs().sum();
        let trained = trained.get(&name_of(network));
        let accuracy = trained.map(|trained| trained.all * 100.0);
        let windows = trained.map(|trained| trained.windows);
        let ours = median(seconds);
        rows.push(vec![
            paper.group.to_string(),
            paper.network.to_owned(),
            format!("{:.3}", paper.seconds),
            format!("{ours:.3}"),
            format!("{:.2} %", paper.accuracy),
            cell(trained),
            cost.parameters.to_string(),
            cost.macs.to_string(),
        ]);
        values.push(json!({
            "group": paper.group, "network": name_of(network), "paper_s": paper.seconds, "seconds": figure(ours),
            "paper_accuracy": paper.accuracy, "accuracy": accuracy,
            "accuracy_windows": windows, "parameters": cost.parameters, "macs": cost.macs,
        }));
    }
    let value = json!({
        "table": 1, "passes": PAPER_PASSES, "turns": typed.turns, "threads": meant.threads, "networks": values,
    });
    let head = [
        "group",
        "network",
        "300 passes, paper s",
        "here s",
        "accuracy, paper",
        "here",
        "parameters",
        "multiply-adds",
    ];
    meant.say.result(&value, || {
        format!(
            "Table 1: {PAPER_PASSES} forward passes of one window, median of {} turns on {}; the paper's on a graphics card\n{}",
            typed.turns,
            machine(meant.threads, simd),
            table(&head, &rows),
        )
    })?;
    Ok(())
}

fn name_of(network: NetworkName) -> String {
    network.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

/// How a run that is over judged.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Trained {
    /// The part of the windows judged rightly after the last epoch, which nothing chose, 0 to 1.
    all: f64,
    /// Windows that judged, of the run's own held-back pictures.
    windows: u64,
}

/// An accuracy, with the set that it was measured on.
fn cell(trained: Option<&Trained>) -> String {
    trained.map_or(NOT_TRAINED.to_owned(), |Trained { all, windows }| {
        format!("{:.2} % (own set, {windows} windows)", all * 100.0)
    })
}

/// A run's network and how it judged.
fn of_run(run: &Path) -> Result<(String, Trained), HostError> {
    #[derive(Deserialize)]
    struct Config {
        stage: String,
    }
    #[derive(Deserialize)]
    struct Outcome {
        validation: [u64; 2],
        epochs: Vec<Epoch>,
        #[serde(default)]
        over: bool,
    }
    #[derive(Deserialize)]
    struct Epoch {
        accuracy: Accuracy,
    }
    #[derive(Deserialize)]
    struct Accuracy {
        all: f64,
    }
    let config: Config = read(&run.join("run.toml"), |text| toml::from_str(text).ok())?;
    let file = run.join("run.json");
    let outcome: Outcome = read(&file, |text| serde_json::from_str(text).ok())?;
    let last = outcome.epochs.last().ok_or_else(|| no_run(&file))?;
    if !outcome.over {
        let what = format!(
            "the run is not over ({} epochs, or a build of before that wrote no `over`); go on with it by `threshold train mtcnn`",
            outcome.epochs.len()
        );
        return Err(refused(&file, what));
    }
    // As `threshold-train` names Cascade CNN's stages and the table its networks.
    let network = match config.stage.as_str() {
        "net12" => "12net",
        "net24" => "24net",
        "net48" => "48net",
        other => other,
    };
    let Outcome { validation: [windows, _], .. } = outcome;
    Ok((network.to_owned(), Trained { all: last.accuracy.all, windows }))
}

fn read<T: DeserializeOwned>(
    file: &Path,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<T, HostError> {
    let text = std::fs::read_to_string(file).map_err(HostError::file(file))?;
    parse(&text).ok_or_else(|| no_run(file))
}

fn no_run(file: &Path) -> HostError {
    refused(file, "no run of `threshold train mtcnn` that ended an epoch wrote this".to_owned())
}

fn refused(file: &Path, what: String) -> HostError {
    HostError::DataSet { path: file.display().to_string(), line: 0, what }
}

fn detection(meant: &Meant, typed: &args::TableDetection) -> anyhow::Result<()> {
    let frame = tiled(&picture::read(&typed.image)?, typed.size)?;
    let cascade =
        CascadeOptions { min_face_px: f64::from(typed.min_face), ..CascadeOptions::default() };
    let options = EngineOptions { threads: meant.threads, cascade, simd: Simd::detect() };
    let detector = Engines::open(meant)?.detector()?;
    let Running { mut engine, words, value } = running(&typed.on, &detector, None, &options)?;
    let faces = engine.detect(&frame)?.len();
    let turns = Turns { calls: typed.calls, warm_up: 2, simd: None };
    let fps = 1e3 / Times::of(&turns, || engine.detect(&frame).map(drop))?.median_ms();
    let ours = format!("MTCNN, {} of {} px and more", detector.meta.name, typed.min_face);
    let on_paper =
        DETECTORS.map(|(called, fps, on)| [called.to_owned(), fps.to_string(), on.to_owned()]);
    let rows: Vec<Vec<String>> = std::iter::once([ours, format!("{fps:.1}"), words])
        .chain(on_paper)
        .map(Vec::from)
        .collect();
    let paper =
        DETECTORS.map(|(called, fps, on)| json!({"detector": called, "fps": fps, "on": on}));
    let value = json!({
        "table": 2, "size": [typed.size.0, typed.size.1], "min_face": typed.min_face, "faces": faces,
        "engine": value["engine"], "threads": value["threads"], "fps": figure(fps), "paper": paper,
    });
    meant.say.result(&value, || {
        format!(
            "Table 2: frames a second; here {} x {} with {faces} faces, the paper does not tell its frames\n{}",
            typed.size.0,
            typed.size.1,
            table(&["detector", "frames a second", "on"], &rows),
        )
    })?;
    Ok(())
}

fn nn1(meant: &Meant) -> anyhow::Result<()> {
    let graph = net::nn1();
    let costs: Vec<Cost> = graph.costs().collect();
    let total: Cost = costs.iter().copied().sum();
    let row = |name: &str, size: String, [parameters, flops]: [&str; 2], cost: Cost| {
        let here = [cost.parameters, cost.flops].map(layers::grouped);
        let [of_parameters, of_flops] = here;
        vec![
            name.to_owned(),
            size,
            parameters.to_owned(),
            of_parameters,
            flops.to_owned(),
            of_flops,
        ]
    };
    let (mut rows, mut values) = (Vec::new(), Vec::new());
    for (name, [h, w, c], parameters, flops) in net::PAPER_LAYERS {
        let cost = graph.find(name).map_or(Cost::default(), |id| costs[id]);
        rows.push(row(name, format!("{h}x{w}x{c}"), [parameters, flops], cost));
        values.push(json!({
            "layer": name, "size": [h, w, c], "paper_parameters": parameters, "parameters": cost.parameters,
            "paper_flops": flops, "flops": cost.flops,
        }));
    }
    rows.push(row("total", String::new(), ["140M", "1.6B"], total));
    let lfw = ON_LFW.map(|(name, kind, [accuracy, sd])| {
        json!({"network": name, "kind": kind, "paper_accuracy": accuracy, "paper_sd": sd, "accuracy": null})
    });
    let on_lfw: Vec<Vec<String>> = ON_LFW
        .iter()
        .map(|(name, kind, [accuracy, sd])| {
            let paper = format!("{accuracy:.2} +- {sd:.2} %");
            vec![(*name).to_owned(), (*kind).to_owned(), paper, NOT_TRAINED.to_owned()]
        })
        .collect();
    let value = json!({"table": 3, "layers": values, "lfw": lfw});
    let head = ["layer", "size out", "parameters, paper", "here", "FLOPs, paper", "here"];
    meant.say.result(&value, || {
        format!(
            "Table 3: NN1 layer by layer; FLOPs as the paper counts them, a multiply-accumulate is one\n\
             (conv2's 135M is a misprint there: its sizes give 335M, and its total needs them)\n{}\n\n\
             LFW, all ten folds in the paper; none of these networks was trained here\n{}",
            table(&head, &rows),
            table(&["network", "kind", "accuracy, paper", "here"], &on_lfw),
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_networks_are_those_of_the_papers_rows() {
        for (network, paper) in NETWORKS.into_iter().zip(&PAPER_NETWORKS) {
            let graph = layers::graph(network, (PNET_CELL_PX, PNET_CELL_PX));
            assert_eq!(graph.name(), paper.network);
        }
    }

    #[test]
    fn an_accuracy_is_the_last_epochs_of_a_run_that_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let missing = of_run(folder.path()).unwrap_err().to_string();
        assert!(missing.contains("run.toml"), "{missing}");
        write("run.toml", "stage = \"net24\"\nepochs = 2\n");
        write("run.json", "{\"validation\": [40, 10], \"epochs\": []}");
        let none = of_run(folder.path()).unwrap_err().to_string();
        assert!(none.contains("ended an epoch"), "{none}");
        let epoch = |all: f64| json!({"epoch": 1, "accuracy": {"all": all, "faces": 1.0}});
        let mut outcome =
            json!({"best": 0.9, "validation": [40, 10], "epochs": [epoch(0.9), epoch(0.875)]});
        for over in [None, Some(false)] {
            if let Some(over) = over {
                outcome["over"] = json!(over);
            }
            write("run.json", &outcome.to_string());
            let cut = of_run(folder.path()).unwrap_err().to_string();
            assert!(cut.contains("not over") && cut.contains("go on with it"), "{cut}");
        }
        outcome["over"] = json!(true);
        write("run.json", &outcome.to_string());
        let trained = Trained { all: 0.875, windows: 40 };
        assert_eq!(of_run(folder.path()).unwrap(), ("24net".to_owned(), trained));
        assert_eq!(cell(Some(&trained)), "87.50 % (own set, 40 windows)");
        assert_eq!(cell(None), "not trained");
    }
}
