//! The unit's start when something is wrong: it says what, and either ends at once or stays locked and answers.

use crate::binary::{Unit, binaries, run};
use serialport::{SerialPort as _, TTYPort};
use std::io::Read as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
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
fn the_clock_is_set_to_this_machines_and_is_untrusted_again_after_a_start() {
    let mut unit = Unit::start(&["--packs", "no-packs"]);
    let info = unit.run(&["info"]).stdout;
    assert!(info.contains("clock     not set since this start"), "{info}");
    let shown = unit.run(&["--json", "clock", "show"]).json();
    assert_eq!((&shown["wall"]["trusted"], &shown["latest_unix_ms"]), (&false.into(), &0.into()));
    let set = unit.run(&["--json", "clock", "set"]);
    let told = set.json();
    assert_eq!((set.status, &told["wall"]["trusted"]), (0, &true.into()), "{set:?}");
    assert_eq!(told["before"]["trusted"], false);
    assert!(told["ahead_ms"].as_i64().unwrap().abs() < 5_000, "{told}");
    let set_ms = told["wall"]["unix_ms"].as_u64().unwrap();
    let words = unit.run(&["clock", "show"]).stdout;
    assert!(words.contains("clock     20") && words.contains("this machine's"), "{words}");
    unit.kill();
    unit.restart(&["--packs", "no-packs"]);
    let shown = unit.run(&["--json", "clock", "show"]).json();
    assert_eq!(shown["wall"]["trusted"], false, "{shown}");
    // The log has seen the entry of the setting, which was written just before the answer.
    let latest_ms = shown["latest_unix_ms"].as_u64().unwrap();
    assert!((set_ms - 5_000..=set_ms).contains(&latest_ms), "{shown}, set {set_ms}");
    let pulled = unit.run(&["--json", "log", "pull"]).stdout;
    assert!(pulled.contains("clock_set"), "{pulled}");
}

#[test]
fn a_door_whose_chip_is_not_there_stays_locked_and_says_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("unit.toml");
    std::fs::write(&config, "[door]\nchip = \"/dev/gpiochip99\"\nrelay = { line = 0 }\n").unwrap();
    let unit = Unit::start(&["--packs", "no-packs", "--config", &config.to_string_lossy()]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &"lock".into()));
    let told = "fault: lock: /dev/gpiochip99 is not there; `ls /dev/gpiochip*` shows the chips";
    assert!(unit.said().contains(told), "{}", unit.said());
}

#[test]
fn a_door_that_is_configured_wrong_ends_the_unit_with_the_keys() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("camera")).unwrap();
    for (door, expected) in [
        (
            "relay = { line = 0 }\ncontact = { line = 0 }",
            "relay and contact in [door] both have line 0",
        ),
        ("relais = { line = 0 }", "[door] has no key `relais`; did you mean `relay`?"),
        ("relay_pulse_ms = 60000", "relay_pulse_ms in [door] is 60000: it may be 500 to 10000"),
    ] {
        let text = format!("[door]\nchip = \"/dev/gpiochip0\"\n{door}\n");
        std::fs::write(folder.path().join("unit.toml"), text).unwrap();
        let args = ["--camera", "camera", "--serial", "pty:door", "--data", "data"];
        let ran = run(edge(folder.path(), &args).args(["--config", "unit.toml"]));
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(expected), "{expected}: {ran:?}");
    }
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

#[test]
fn a_display_says_what_the_unit_makes_of_whoever_comes() {
    let (mut display, line) = TTYPort::pair().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("unit.toml");
    let text = format!("[display]\ndevice = \"{}\"\n", line.name().unwrap());
    std::fs::write(&config, text).unwrap();
    let mut unit = Unit::start(&["--packs", "no-packs", "--config", &config.to_string_lossy()]);
    let mut said = Vec::new();
    let mut until = |words: &str| {
        let (begun, mut buffer) = (Instant::now(), [0; 64]);
        while !said.ends_with(words.as_bytes()) {
            assert!(begun.elapsed() < Duration::from_secs(20), "{words}: {said:?}");
            if let Ok(len) = display.read(&mut buffer) {
                said.extend_from_slice(&buffer[..len]);
            }
        }
        String::from_utf8(std::mem::take(&mut said)).unwrap()
    };
    // Without packs the unit is at fault: nobody is invited, whoever comes.
    until("\x1b[2J\x1b[HOut of service");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures/rotated.jpg");
    unit.show(&picture, "1.jpg");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!unit.said().contains("display:"), "{}", unit.said());
    unit.kill();
    let mut rest = [0; 64];
    let len = display.read(&mut rest).unwrap_or(0);
    assert!(!String::from_utf8_lossy(&rest[..len]).contains("Please come in"));
}
