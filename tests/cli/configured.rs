//! The unit's configuration file on the command line: what is wrong with it, what is in force, and that a wrong one starts nothing.

use crate::binary::{Ran, binaries, run};
use std::path::Path;
use std::process::Command;

fn edge(folder: &Path, args: &[&str]) -> Ran {
    run(Command::new(binaries().join("threshold-edge")).args(args).current_dir(folder))
}

#[test]
fn a_wrong_configuration_is_told_with_its_lines_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[unit]\ndata = \"data\"\n[camera]\nsource = \"camera\"\n[link]\nserial = \"pty:door\"\n\
                sereal = \"x\"\n[engine]\nkind = \"cudo\"\nthreads = 65\n";
    std::fs::create_dir(folder.path().join("camera")).unwrap();
    std::fs::write(folder.path().join("unit.toml"), text).unwrap();
    for args in [
        &["config", "check", "unit.toml"][..],
        &["config", "show", "--config", "unit.toml"],
        &["run", "--config", "unit.toml"],
    ] {
        let ran = edge(folder.path(), args);
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "{ran:?}");
        for expected in [
            "error: configuration unit.toml: nothing was started\n",
            "  line 7: [link] has no key `sereal`; did you mean `serial`?\n",
            "  line 9: engine.kind: unknown variant `cudo`",
            "did you mean `cuda`?\n",
            "`threshold-edge config check unit.toml`",
        ] {
            assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
        }
    }
    assert!(!folder.path().join("data").exists(), "a wrong configuration touches no unit");
    let ran = edge(folder.path(), &["config", "check", "nowhere.toml"]);
    assert!(ran.status == 2 && ran.stderr.contains("nowhere.toml"), "{ran:?}");
}

#[test]
fn what_is_in_force_is_told_as_a_file_that_is_right() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("unit.toml"), "[engine]\nmin_face_px = 40\n").unwrap();
    for (args, expected) in [
        (&["config", "show"][..], "min_face_px = 80\n"),
        (&["config", "show", "--config", "unit.toml"], "min_face_px = 40\n"),
    ] {
        let shown = edge(folder.path(), args);
        assert_eq!((shown.status, shown.stderr.as_str()), (0, ""), "{shown:?}");
        assert!(shown.stdout.contains(expected), "{shown:?}");
        std::fs::write(folder.path().join("shown.toml"), &shown.stdout).unwrap();
        let checked = edge(folder.path(), &["config", "check", "shown.toml"]);
        assert_eq!((checked.status, checked.stdout.as_str()), (0, ""), "{checked:?}");
        assert!(checked.stderr.contains("nothing is wrong"), "{checked:?}");
        // Whoever starts it must still say the rest.
        assert!(checked.stderr.contains("nothing says serial in [link]"), "{checked:?}");
    }
    let ran = edge(folder.path(), &["run", "--config", "unit.toml", "--data", "data"]);
    assert!(ran.status == 2 && ran.stderr.contains("nothing says source in [camera]"), "{ran:?}");
    assert!(!folder.path().join("data").exists());
}
