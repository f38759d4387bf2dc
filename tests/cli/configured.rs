//! The unit's configuration file on the command line: what is wrong with it, what is in force, and that a wrong one starts nothing.

use crate::binary::{Ran, Unit, binaries, run};
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

#[test]
fn an_owner_reads_sets_and_compares_what_the_unit_runs_with() {
    let options = ["--packs", "no-packs"];
    let mut unit = Unit::start(&options);
    let got = unit.run(&["config", "get"]);
    assert_eq!(got.status, 0, "{got:?}");
    assert!(got.stdout.contains("\nheld_open_s = 30  # default\n"), "{got:?}");
    assert!(!got.stdout.contains("pty:") && !got.stdout.contains("no-packs"), "{got:?}");
    // What is told is a file that the unit's own program takes, and no different from itself.
    std::fs::write(unit.folder.path().join("told.toml"), &got.stdout).unwrap();
    let checked = edge(unit.folder.path(), &["config", "check", "told.toml"]);
    assert_eq!(checked.status, 0, "{checked:?}");
    let same = unit.run(&["config", "diff", "told.toml"]);
    assert_eq!(
        (same.status, same.stdout.as_str()),
        (0, "the unit runs with what the file says\n"),
        "{same:?}"
    );

    let set = unit.run(&["config", "set", "door.held_open_s=60", "unit.timezone=UTC0"]);
    let words = "from the unit's next start on (threshold reboot):\nunit.timezone = \"UTC0\"\ndoor.held_open_s = 60\n";
    assert_eq!((set.status, set.stdout.as_str()), (0, words), "{set:?}");
    assert_eq!(
        unit.run(&["config", "diff", "told.toml"]).status,
        0,
        "nothing changes in this start"
    );
    for (typed, error, remedy) in [
        (
            "camera.fps=1",
            "camera.fps cannot be that: fps in [camera] is 1: it may be 5 to 240",
            "give another value",
        ),
        (
            "door.relay=4",
            "\"door.relay\" is no key of the configuration that is set over the line",
            "door.held_open_s",
        ),
        (
            "engine.min_face_px=70",
            "engine.min_face_px is said by the command that starts the unit",
            "change it there",
        ),
        ("camera.fps", "\"camera.fps\": it has no = with a value behind", "threshold config set"),
    ] {
        let refused = match typed.starts_with("engine") {
            // Typed at the start, which goes before.
            true => {
                unit.kill();
                unit.restart(&["--packs", "no-packs", "--min-face", "40"]);
                unit.run(&["config", "set", typed])
            }
            false => unit.run(&["config", "set", typed]),
        };
        let (said, try_this) = refused.error();
        assert!(said.contains(error) && try_this.contains(remedy), "{typed}: {refused:?}");
    }

    unit.kill();
    unit.restart(&options);
    let differs = unit.run(&["config", "diff", "told.toml"]);
    let words = "- door.held_open_s = 60\n+ door.held_open_s = 30\n- unit.timezone = \"UTC0\"\n";
    assert_eq!((differs.status, differs.stdout.as_str()), (1, words), "{differs:?}");
    let value = unit.run(&["--json", "config", "get"]).json();
    assert_eq!(value["set"], serde_json::json!(["unit.timezone", "door.held_open_s"]));
    let log = unit.run(&["log", "pull"]).stdout;
    assert!(log.contains("set door.held_open_s for the next start"), "{log}");

    // What was set is damaged: the unit starts, says so, and goes on with what was set before, which was nothing.
    unit.kill();
    std::fs::write(unit.folder.path().join("data/config/set.toml"), "[door]\nrelay = 1\n").unwrap();
    unit.restart(&options);
    assert!(unit.said().contains("what was set over the line is left out"), "{}", unit.said());
    assert_eq!(unit.run(&["config", "diff", "told.toml"]).status, 0);
    let log = unit.run(&["log", "pull"]).stdout;
    assert!(log.contains("The unit started with what was set before"), "{log}");
}
