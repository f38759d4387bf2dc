//! The program as a user runs it.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod references;

use references::references;
use std::path::Path;
use std::process::{Command, Output};
use threshold_models::pack::Pack;

fn train(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_threshold-train"));
    command.args(args).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_run_a_sheet_and_a_pack_come_from_one_configuration() {
    let Some((shared, installed)) = references("the training program") else { return };
    let folder = tempfile::tempdir().unwrap();
    let people = shared.join("lfw-dev/images");
    let config = format!(
        "stage = \"onet\"\nepochs = 2\nsteps = 2\nbatch = 32\nvalidation = 40\nmined = 0.0\nheld_back = 0.4\n\
         [augment]\nmirror = true\nturn_deg = 45.0\ncontrast = 0.3\nbrightness = 20.0\n\
         [[people]]\nimages = {people:?}\nlimit = 12\n"
    );
    std::fs::write(folder.path().join("run.toml"), &config).unwrap();
    let ran = train(folder.path(), &["preview", "--config", "run.toml", "--out", "sheet.png"]);
    assert!(ran.status.success(), "{}", said(&ran));
    let sheet = image::open(folder.path().join("sheet.png")).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (16 * 102, 2 * 102));

    let ran = train(folder.path(), &["mtcnn", "--config", "run.toml", "--run", "onet"]);
    assert!(ran.status.success(), "{}", said(&ran));
    let told = String::from_utf8(ran.stdout).unwrap();
    for part in ["untrained: held back", "installed: held back", "epoch 2: loss", "best: "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let args = ["pack", "onet", "--licence", "of a test", "--out", "trained.pack"];
    let ran = train(folder.path(), &args);
    assert!(ran.status.success(), "{}", said(&ran));
    let pack = Pack::read(&folder.path().join("trained.pack")).unwrap();
    let tensors = pack.tensors();
    let of_stage = |stage: &str| {
        let same = |name: &&String| {
            name.starts_with(stage) && tensors[*name] == installed.tensors()[*name]
        };
        tensors.keys().filter(same).count()
    };
    // Whose the other stages are stays said.
    let licence = &pack.meta.licence;
    let terms = &installed.meta.licence;
    assert!(licence.starts_with("of a test\n") && licence.contains("mtcnn"), "{licence}");
    assert!(terms.contains("MIT") && licence.ends_with(terms.as_str()), "{licence}");
    // O-Net is another one; the stages that were not trained are the installed ones.
    assert_eq!((of_stage("onet"), of_stage("pnet"), of_stage("rnet")), (0, 13, 16));

    let other = config.replace("epochs = 2", "epochs = 3");
    std::fs::write(folder.path().join("run.toml"), other).unwrap();
    let ran = train(folder.path(), &["mtcnn", "--config", "run.toml", "--run", "onet"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(said(&ran).contains("a run of another configuration"), "{}", said(&ran));
}

#[test]
fn a_configuration_that_does_not_read_is_an_error_that_names_it() {
    if references("a wrong configuration").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.toml"), "stage = \"qnet\"\n").unwrap();
    let ran = train(folder.path(), &["mtcnn", "--config", "run.toml", "--run", "a"]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(said(&ran).contains("run.toml") && said(&ran).contains("qnet"), "{}", said(&ran));
}
