//! What is typed at the administrator's tool: settings from the environment, one bad word among good ones, a reader who
//! has seen enough.

use crate::binary::{Unit, binaries, place_program, run, stock, threshold};
use std::process::{Command, Stdio};

#[test]
fn a_unit_named_by_the_environment_is_used_and_no_usage_line_asks_for_it() {
    let of_unit = |args: &[&str]| run(threshold(args).env("THRESHOLD_UNIT", "/dev/ttyNONE9"));
    let ran = of_unit(&["why"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("Usage: threshold why <SEQUENCE>\n"), "{ran:?}");
    let ran = of_unit(&["enrol", "--photo", "a.jpg", "Ada"]);
    assert!(ran.stderr.contains("Usage: threshold enrol [OPTIONS] <PERSON> --photo"), "{ran:?}");
    assert_eq!(of_unit(&["info"]).error().0, "there is no port /dev/ttyNONE9");
    let ran = of_unit(&["info", "--wait", "2"]);
    assert!(ran.stderr.contains("tip: the seconds follow an equals sign: '--wait=2'"), "{ran:?}");
}

#[test]
fn one_bad_picture_among_good_ones_is_said_and_the_others_are_done() {
    let Some(photos) = stock("a bad picture among good ones") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.jpg"), "hello").unwrap();
    let good = photos.join("biden.jpg").display().to_string();
    let detect = |pictures: &[&str]| {
        let mut command = threshold(&["--json", "--threads", "1", "--model", "dlib", "detect"]);
        run(command.args(pictures).current_dir(folder.path()))
    };
    let ran = detect(&[&good, "bad.jpg", "missing.jpg", &good]);
    assert_eq!(ran.status, 2);
    let found = ran.json();
    assert_eq!(found["pictures"].as_array().map(Vec::len), Some(2), "{found}");
    assert_eq!(found["faults"].as_array().map(Vec::len), Some(2), "{found}");
    for part in [
        "warning: --model is left out",
        "error: bad.jpg: ",
        "error: missing.jpg: ",
        "error: 2 of 4 pictures could not be worked on",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_error() {
    let unit = Unit::start(&["--packs", "no-packs"]);
    let mut command = unit.command(&["log", "pull"]);
    let mut pull = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(pull.stdout.take());
    let output = pull.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
fn training_is_done_by_the_program_beside_this_one_or_its_remedy_is_told() {
    // Copied, so that what lies beside it is this test's own.
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("threshold");
    place_program(&binaries().join("threshold"), &program);
    let train = |args: &[&str]| run(Command::new(&program).args(args).stdin(Stdio::null()));
    let beside = folder.path().join("threshold-train");
    let ran = train(&["train", "mtcnn", "--config", "run.toml"]);
    let (error, remedy) = ran.error();
    assert_eq!(error, format!("there is no {}", beside.display()));
    assert!(remedy.starts_with("cargo build --release -p threshold-train"), "{remedy}");
    let script = folder.path().join("script");
    std::fs::write(&script, "#!/bin/sh\necho \"$@\"\ntest \"$1\" != fail\n").unwrap();
    place_program(&script, &beside);
    let ran = train(&["train", "mtcnn", "--config", "run.toml", "--help"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "mtcnn --config run.toml --help\n"));
    let ran = train(&["--packs", "here", "train", "--help"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "--packs here --help\n"));
    let ran = train(&["train", "fail"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (2, "fail\n"));
    assert!(ran.stderr.starts_with("error: threshold-train ended with exit status: 1"), "{ran:?}");
}
