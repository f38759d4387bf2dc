//! Commissioning with both binaries: the key on paper, a wipe, a store that is gone, and what each command says of it.

use crate::binary::{Ran, Unit, binaries, run, stock};
use crate::pairing::{label, press_the_button, typed};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

const OPTIONS: [&str; 4] = ["--model", "dlib", "--dev-button", "button"];

fn commission(unit: &Unit) -> serde_json::Value {
    unit.run(&["--json", "info"]).json()["commission"].clone()
}

/// The key in a file that `commission --out` wrote.
fn kept(unit: &Unit, file: &str) -> String {
    let text = std::fs::read_to_string(unit.folder.path().join(file)).unwrap();
    text.lines().find(|line| !line.starts_with('#')).unwrap().to_owned()
}

/// Pairs with the unit as its first administrator.
fn pair(unit: &mut Unit, keys: &str) -> Ran {
    unit.kill();
    let code = label(unit);
    unit.restart(&OPTIONS);
    press_the_button(unit);
    let paired = typed(unit, keys, &["pair", "Ada"], &code);
    assert_eq!(paired.status, 0, "{paired:?}");
    paired
}

fn refused(ran: &Ran) -> (String, String) {
    let (error, remedy) = ran.error();
    (error.to_owned(), remedy.to_owned())
}

#[test]
fn a_wiped_unit_and_one_whose_folder_was_deleted_move_no_lock_before_the_paper_comes() {
    let Some(photos) = stock("the recovery key") else { return };
    let photo = photos.join("obama.jpg");
    let mut unit = Unit::start(&OPTIONS);
    let paired = pair(&mut unit, "ada");
    assert!(paired.stdout.contains("not commissioned: it moves no lock"), "{paired:?}");
    let info = typed(&unit, "ada", &["--json", "info"], "").json();
    assert_eq!(
        (&info["state"], &info["fault_cause"], &info["commission"]["state"]),
        (&"refuses".into(), &"not_commissioned".into(), &"never".into())
    );
    let text = typed(&unit, "ada", &["info"], "").stdout;
    assert!(text.contains("authority not commissioned"), "{text}");
    assert!(text.contains("helps     threshold commission"), "{text}");

    // A key that is made is seen, in text and as a picture, and kept nowhere but where that was asked for.
    let (error, remedy) = refused(&typed(&unit, "ada", &["--json", "commission"], ""));
    assert!(
        error.contains("is not printed as JSON") && remedy.contains("--out"),
        "{error} {remedy}"
    );
    assert_eq!(commission(&unit)["state"], "never");
    let done = typed(&unit, "ada", &["commission", "--out", "paper"], "");
    let key = kept(&unit, "paper");
    assert_eq!(done.status, 0, "{done:?}");
    for part in [&key, "\u{2588}", "Write it down twice", "commissioned with recovery key"] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    let mode = std::fs::metadata(unit.folder.path().join("paper")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for folder in ["ada", "data", "data.commission"] {
        for file in std::fs::read_dir(unit.folder.path().join(folder)).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
            let found = bytes.windows(key.len()).any(|window| window == key.as_bytes());
            assert!(!found, "{folder} has the key");
        }
    }
    let enrolled = ["enrol", "Ada", "--photo", photo.to_str().unwrap()];
    let acknowledge = ["policy", "acknowledge", "--photo-opens-this-door"];
    for args in [&enrolled[..], &acknowledge[..]] {
        let ran = typed(&unit, "ada", args, "");
        assert_eq!(ran.status, 0, "{ran:?}");
    }
    assert_eq!(typed(&unit, "ada", &["--json", "info"], "").json()["state"], "armed");
    // Again, without a key, is no change, and a file that is there is not written over.
    let again = typed(&unit, "ada", &["commission", "--out", "paper"], "");
    assert!(again.status == 0 && again.stdout.contains("commissioned with"), "{again:?}");
    let (error, _) = refused(&typed(
        &unit,
        "ada",
        &["commission", "--recovery-key", "paper", "--replace", "--out", "paper"],
        "",
    ));
    assert!(error.contains("paper"), "{error}");
    assert_eq!(kept(&unit, "paper"), key);

    // Wiped by its owner, then its folder deleted: each time whoever pairs waits for the paper.
    for deleted in [false, true] {
        match deleted {
            true => {
                unit.kill();
                std::fs::remove_dir_all(unit.folder.path().join("data")).unwrap();
            }
            false => {
                let name = typed(&unit, "ada", &["--json", "info"], "").json();
                let name = name["unit"].as_str().unwrap().to_owned();
                let wiped = typed(&unit, "ada", &["wipe", "--yes-wipe", &name], "");
                assert!(wiped.stdout.contains("moves no lock before that key"), "{wiped:?}");
                assert_eq!(unit.until_ended(), Some(75));
            }
        }
        unit.restart(&OPTIONS);
        let keys = format!("passer-by-{deleted}");
        let paired = pair(&mut unit, &keys);
        assert!(paired.stdout.contains("not commissioned"), "{paired:?}");
        for args in [&enrolled[..], &acknowledge[..]] {
            typed(&unit, &keys, args, "");
        }
        let locked = Shown(&unit, &keys).show(&photo, &format!("{deleted}.jpg"));
        assert_eq!(locked, ("refuse".to_owned(), "not_commissioned".to_owned()));
        let (error, remedy) = refused(&typed(&unit, &keys, &["commission"], ""));
        assert!(error.contains("moves no lock before recovery key"), "{error}");
        assert!(remedy.contains("--recovery-key"), "{remedy}");
        let (error, _) =
            refused(&typed(&unit, &keys, &["commission", "--recovery-key"], "314-1S6\n"));
        assert!(error.contains("a code has 27"), "{error}");
        let foreign = "314-1S6-ARV-FES-JQ4-Y90-DDJ-QJ8-91R";
        let (error, _) = refused(&typed(&unit, &keys, &["commission", "--recovery-key"], foreign));
        assert!(error.contains("this is another one"), "{error}");
        unit.kill();
        let code = label(&unit);
        unit.restart(&OPTIONS);
        let (error, remedy) =
            refused(&typed(&unit, &keys, &["commission", "--recovery-key"], &code));
        assert!(error.contains("a pairing code and no recovery key"), "{error} {remedy}");
        let done = typed(&unit, &keys, &["--json", "commission", "--recovery-key"], &key);
        assert_eq!(done.json()["commission"]["state"], "holds", "{done:?}");
        assert_eq!(typed(&unit, &keys, &["--json", "info"], "").json()["state"], "armed");
        std::fs::rename(
            unit.folder.path().join(&keys),
            unit.folder.path().join(format!("{keys}-")),
        )
        .unwrap();
        let _ = std::fs::remove_dir_all(unit.folder.path().join("ada"));
        std::fs::rename(
            unit.folder.path().join(format!("{keys}-")),
            unit.folder.path().join("ada"),
        )
        .unwrap();
    }
    // Another key in its place, and then the first one is none any more.
    let replaced =
        ["--json", "commission", "--recovery-key", "paper", "--replace", "--out", "next"];
    let replaced = typed(&unit, "ada", &replaced, "").json();
    assert_eq!(replaced["commission"]["state"], "holds", "{replaced}");
    let (error, _) = refused(&typed(&unit, "ada", &["commission", "--recovery-key", "paper"], ""));
    assert!(error.contains("this is another one"), "{error}");
    let next = typed(&unit, "ada", &["commission", "--recovery-key", "next"], "");
    assert_eq!(next.status, 0, "{next:?}");
    let log = typed(&unit, "ada", &["--json", "log", "pull"], "").stdout;
    assert_eq!(log.matches("\"recovery_key_set\"").count(), 1, "{log}");
    assert_eq!(log.matches("\"commissioned\"").count(), 2, "{log}");
}

/// A unit and the keychain that its log is followed with.
struct Shown<'a>(&'a Unit, &'a str);

impl Shown<'_> {
    /// Shows a picture; the decision and its cause.
    fn show(&self, picture: &Path, as_name: &str) -> (String, String) {
        let Self(unit, keys) = self;
        let head = typed(unit, keys, &["--json", "info"], "").json()["log_head"].as_u64().unwrap();
        std::fs::copy(picture, unit.folder.path().join("arriving")).unwrap();
        let place = unit.folder.path().join("camera").join(as_name);
        std::fs::rename(unit.folder.path().join("arriving"), place).unwrap();
        for from in head + 1.. {
            let from = from.to_string();
            let args = ["--json", "log", "follow", "--from", &from, "--count", "1"];
            let entry = typed(unit, keys, &args, "").json();
            if entry["kind"] == "decision" {
                let text = |key: &str| entry[key].as_str().unwrap().to_owned();
                return (text("decision"), text("cause"));
            }
        }
        unreachable!("entries have no end")
    }
}

#[test]
fn a_unit_without_a_model_is_not_commissioned_and_a_damaged_record_is_named() {
    let mut unit = Unit::start(&["--packs", "no-packs"]);
    let (error, remedy) = refused(&unit.run(&["commission", "--out", "paper"]));
    assert!(error.contains("its model is not working"), "{error}");
    assert!(remedy.contains("threshold info"), "{remedy}");
    unit.kill();
    let record = unit.folder.path().join("data.commission/store.commission");
    assert!(!record.exists());
    std::fs::write(&record, "no record").unwrap();
    unit.restart(&["--packs", "no-packs"]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!(
        (&info["state"], &info["fault_cause"], &info["commission"]["state"]),
        (&"fault".into(), &"not_commissioned".into(), &"unreadable".into())
    );
    let said = unit.said();
    assert!(said.contains("fault: not_commissioned: the record of the recovery key: "), "{said}");
    assert!(said.contains("store.commission is damaged"), "{said}");
    let (error, _) = refused(&unit.run(&["commission", "--recovery-key", "paper"]));
    assert!(error.contains("cannot be read or written"), "{error}");
}

#[test]
fn the_label_goes_to_stdout_with_a_picture_if_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let labelled = |args: &[&str]| {
        let mut command = Command::new(binaries().join("threshold-edge"));
        run(command.arg("label").args(args).current_dir(folder.path()))
    };
    let plain = labelled(&["data"]);
    assert!(plain.status == 0 && plain.stderr.is_empty(), "{plain:?}");
    let code = plain.stdout.trim().strip_prefix("pairing code: ").unwrap();
    assert_eq!(code.len(), 35);
    let drawn = labelled(&["data", "--qr"]).stdout;
    assert!(drawn.starts_with(&plain.stdout), "{drawn}");
    let rows: Vec<usize> = drawn.lines().skip(1).map(|line| line.chars().count()).collect();
    // Version 3 of the code at least, two rows to a line, with its margin.
    assert!(rows.len() >= 15 && rows.iter().all(|&width| width == rows[0]), "{drawn}");
    assert!(rows[0] >= 29, "{drawn}");
}

#[test]
fn a_record_in_the_data_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("camera")).unwrap();
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.args(["run", "--camera", "camera", "--serial", "pty:door", "--data", "data"]);
    let ran = run(command.args(["--commission", "data/record"]).current_dir(folder.path()));
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("with which it would be deleted"), "{ran:?}");
}
