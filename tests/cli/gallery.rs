//! The gallery in bulk with both binaries: into a file, back, compared, for another unit; and what a reboot and a wipe leave.

use crate::binary::{Ran, Unit, stock};
use crate::pairing::{OPTIONS, label, paired, press_the_button, typed};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;

fn ada(unit: &Unit, args: &[&str]) -> Ran {
    typed(unit, "ada", args, "")
}

#[test]
fn a_gallery_is_copied_put_back_after_a_wipe_and_whoever_was_removed_stays_removed() {
    let Some(photos) = stock("a gallery in a file") else { return };
    let options = ["--dev-button", "button"];
    let mut unit = paired(&options);
    let folder = unit.folder.path().to_path_buf();
    for (name, photo) in [("Ada", "obama.jpg"), ("Joe", "biden.jpg")] {
        let photo = photos.join(photo).display().to_string();
        let enrolled = ada(&unit, &["enrol", name, "--photo", &photo]);
        assert_eq!(enrolled.status, 0, "{enrolled:?}");
    }
    let pulled = ada(&unit, &["--json", "gallery", "pull", "--out", "file"]);
    let value = pulled.json();
    assert_eq!((&value["people"], &value["templates"]), (&2.into(), &2.into()), "{pulled:?}");
    let file = std::fs::read(folder.join("file")).unwrap();
    let mode = std::fs::metadata(folder.join("file")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!file.windows(3).any(|found| found == b"Joe"), "a name lies there in the clear");
    let verified = ada(&unit, &["gallery", "verify", "file"]);
    assert!(verified.stdout.contains("template by template: 2 people"), "{verified:?}");
    assert_eq!(ada(&unit, &["gallery", "diff", "file"]).stdout.trim(), "nothing differs");
    let pushed = ada(&unit, &["--json", "gallery", "push", "file"]);
    assert_eq!((pushed.status, &pushed.json()["sent_bytes"]), (0, &0.into()), "{pushed:?}");

    assert_eq!(ada(&unit, &["gallery", "remove", "Joe"]).status, 0);
    let differs = ada(&unit, &["gallery", "verify", "file"]);
    assert_eq!(differs.status, 1);
    assert!(differs.stdout.contains("the first difference: Joe (#2) is in the file only"));
    let differs = ada(&unit, &["--json", "gallery", "diff", "file"]);
    assert_eq!(differs.json()["differences"][0]["what"], "file_only");
    let pushed = ada(&unit, &["--json", "gallery", "push", "file"]);
    let left = json!([{"person": 2, "name": "Joe", "why": "removed", "holder": null}]);
    assert_eq!((pushed.status, &pushed.json()["left_out"]), (1, &left), "{pushed:?}");
    let said = ada(&unit, &["gallery", "push", "file"]).stdout;
    assert!(said.contains("Joe (#2) was left out: was removed from this unit and stays removed"));

    // A file for the unit itself; one that is cut off; one that is none.
    let name = ada(&unit, &["--json", "info"]).json()["unit"].as_str().unwrap().to_owned();
    let export = ["gallery", "export", "--for", &name, "--out", "for-it"];
    assert_eq!(ada(&unit, &export).status, 0);
    let own = ada(&unit, &["gallery", "verify", "for-it"]);
    assert!(own.error().0.contains("is sealed for key"), "{own:?}");
    let pushed = ada(&unit, &["--json", "gallery", "push", "for-it"]);
    assert_eq!((pushed.status, &pushed.json()["equal"]), (0, &1.into()), "{pushed:?}");
    let nobody = ada(&unit, &["gallery", "export", "--for", "nowhere", "--out", "x"]);
    assert!(nobody.error().0.contains("no unit named nowhere was paired"), "{nobody:?}");
    std::fs::write(folder.join("cut"), &file[..file.len() - 9]).unwrap();
    let cut = ada(&unit, &["gallery", "push", "cut"]);
    assert!(cut.error().0.contains("does not open"), "{cut:?}");
    std::fs::write(folder.join("letter"), "dear Ada").unwrap();
    for args in [["gallery", "push", "letter"].as_slice(), &["gallery", "pull", "--out", "letter"]]
    {
        let refused = ada(&unit, args);
        let (error, remedy) = refused.error();
        assert!(error.contains("gallery file") && !remedy.is_empty(), "{refused:?}");
    }
    assert_eq!(std::fs::read(folder.join("letter")).unwrap(), b"dear Ada");

    // Wiped, the unit is another one, and the file gives it its people back.
    let other = ada(&unit, &["wipe", "--yes-wipe", "elsewhere"]);
    assert!(
        other.error().0.contains("and elsewhere was to be wiped; nothing was done"),
        "{other:?}"
    );
    let wiped = ada(&unit, &["wipe", "--yes-wipe", &name]);
    assert_eq!(wiped.status, 0, "{wiped:?}");
    assert!(wiped.stdout.contains("no entry of this can tell of it"), "{wiped:?}");
    assert_eq!(unit.until_ended(), Some(75), "{}", unit.said());
    assert!(!folder.join("data/unit.key").exists());
    unit.restart(&options);
    let stranger = ada(&unit, &["gallery", "list"]);
    let (error, remedy) = stranger.error();
    assert!(error.contains("it was wiped"), "{stranger:?}");
    assert!(remedy.contains("hold its button and threshold pair again"), "{stranger:?}");
    unit.kill();
    let code = label(&unit);
    unit.restart(&options);
    press_the_button(&unit);
    let again = typed(&unit, "ada", &["pair", "Ada"], &code);
    assert!(again.stderr.contains("another unit of the name"), "{again:?}");
    let refused = ada(&unit, &["gallery", "push", "for-it"]);
    assert!(refused.error().0.contains("sealed for key"), "{refused:?}");
    let pushed = ada(&unit, &["--json", "gallery", "push", "file"]);
    assert_eq!((pushed.status, &pushed.json()["added"]), (0, &2.into()), "{pushed:?}");
    assert_eq!(ada(&unit, &["gallery", "verify", "file"]).status, 0);
    let admitted = unit.run(&["--json", "info"]).json();
    assert_eq!(admitted["gallery"]["people"], 2);
}

#[test]
fn a_reboot_is_written_down_and_ends_the_process_to_be_started_again() {
    let mut unit = paired(&OPTIONS);
    let unlocked = ada(&unit, &["unlock"]);
    assert_eq!(unlocked.status, 1, "nobody locked it out: {unlocked:?}");
    assert!(unlocked.stdout.contains("was not locked out; its counts begin anew"), "{unlocked:?}");
    let stranger = typed(&unit, "nobody", &["unlock"], "");
    assert!(stranger.error().0.contains("only for an administrator"), "{stranger:?}");
    let rebooted = ada(&unit, &["reboot"]);
    assert_eq!(rebooted.status, 0, "{rebooted:?}");
    assert_eq!(unit.until_ended(), Some(75), "{}", unit.said());
    assert!(unit.said().ends_with("stopped, to be started again\n"), "{}", unit.said());
    unit.restart(&OPTIONS);
    let log = ada(&unit, &["--json", "log", "pull"]);
    assert!(log.stdout.contains("\"kind\":\"reboot\""), "{log:?}");
    let stranger = typed(&unit, "nobody", &["reboot"], "");
    assert!(stranger.error().0.contains("only for an administrator"), "{stranger:?}");
}
