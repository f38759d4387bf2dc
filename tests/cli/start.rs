//! The unit's start when something is wrong: it says what, and either ends at once or stays locked and answers.

use crate::binary::{Unit, binaries, run};
use std::path::Path;
use std::process::Command;
use threshold_tests::{packs, skipped};

fn edge(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.arg("run").args(args).current_dir(folder);
    command
}

#[test]
fn what_is_typed_wrong_ends_the_unit_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("camera")).unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for (camera, serial, expected) in [
        ("nowhere", "pty:door", "error: camera: the folder nowhere cannot be read"),
        ("camera", "pty:file", "error: file is there and is no link of a unit's; remove it"),
        ("camera", "pty:no/door", "error: pty:no/door: No such file or directory"),
        ("camera", "/dev/ttyNONE9", "error: serial device /dev/ttyNONE9: "),
    ] {
        let args = ["--camera", camera, "--serial", serial, "--data", "data"];
        let ran = run(&mut edge(folder.path(), &args));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    }
}

#[test]
fn a_second_unit_on_the_same_data_or_path_is_refused_and_the_first_goes_on() {
    let unit = Unit::start(&["--packs", "no-packs"]);
    let args = ["--camera", "camera", "--serial", "pty:other", "--data", "data"];
    let ran = run(&mut edge(unit.folder.path(), &args));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("stop the other threshold-edge"), "{ran:?}");
    let args = ["--camera", "camera", "--serial", "pty:door", "--data", "other"];
    let ran = run(&mut edge(unit.folder.path(), &args));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("another unit serves door; stop it"), "{ran:?}");
    assert_eq!(unit.run(&["info"]).status, 0);
}

#[test]
fn a_unit_without_packs_stays_locked_and_says_how_to_get_them() {
    let unit = Unit::start(&["--packs", "no-packs"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &"model".into()));
    assert!(unit.said().contains("fault: model: no packs in no-packs"), "{}", unit.said());
    assert!(unit.said().contains("threshold model fetch"), "{}", unit.said());
    let text = unit.run(&["info"]).stdout;
    assert!(text.contains("a photo opens this door"), "{text}");
    // Whoever comes is refused, and that is written down.
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures/rotated.jpg");
    let refused = unit.show(&picture, "1.jpg");
    assert_eq!((&refused["reason"], &refused["cause"]), (&"fault".into(), &"model".into()));
}

#[test]
fn damaged_files_leave_a_unit_that_names_them_and_stays_locked() {
    for (file, at, cause) in [("events.00000001.log", 3, "store"), ("store.anchor", 20, "store")] {
        let mut unit = Unit::start(&["--packs", "no-packs"]);
        unit.kill();
        let path = unit.folder.path().join("data").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[at] ^= 0x55;
        std::fs::write(&path, bytes).unwrap();
        unit.restart(&["--packs", "no-packs"]);
        let info = unit.run(&["--json", "info"]).json();
        assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &cause.into()));
        assert!(unit.said().contains(&format!("{file} is damaged at byte")), "{}", unit.said());
        let (error, remedy) = {
            let ran = unit.run(&["log", "pull"]);
            let (error, remedy) = ran.error();
            (error.to_owned(), remedy.to_owned())
        };
        assert!(error.contains("its store is not working"), "{error}");
        assert!(remedy.contains("threshold info"), "{remedy}");
    }
}

#[test]
fn a_unit_told_to_use_a_gpu_that_it_has_not_got_stays_locked_and_says_so() {
    let Some(packs) = packs() else {
        return skipped("a unit on a GPU", "no packs: cargo xtask setup");
    };
    let unit = Unit::start(&["--packs", packs.path().to_str().unwrap(), "--engine", "cuda"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &"model".into()));
    // This build has none; one that has says which driver, card or file is missing.
    assert!(unit.said().contains("start with `--engine cpu`"), "{}", unit.said());
}

#[test]
fn a_unit_whose_camera_is_not_plugged_in_stays_locked_and_says_so() {
    let packs = packs();
    let folder =
        packs.as_ref().map_or("no-packs".into(), |packs| packs.path().display().to_string());
    let unit = Unit::start(&["--packs", &folder, "--camera", "/dev/video-none"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!(info["state"], "fault");
    let said = unit.said();
    assert!(
        said.contains("fault: camera: /dev/video-none is not there: plug the camera in"),
        "{said}"
    );
    assert!(!said.contains("armed"), "{said}");
    if packs.is_none() {
        return skipped("what info says of a camera", "no packs: cargo xtask setup");
    }
    assert_eq!(info["fault_cause"], "camera");
    let text = unit.run(&["info"]).stdout;
    assert!(text.contains("camera"), "{text}");
}
