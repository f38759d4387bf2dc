//! The kept log with both binaries: pulled, verified with and without the unit, changed, and the unit's own put back.

use crate::binary::{Ran, Unit, stock};
use crate::pairing::{OPTIONS, paired, typed};
use std::path::{Path, PathBuf};

fn ada(unit: &Unit, args: &[&str]) -> Ran {
    typed(unit, "ada", args, "")
}

/// The verdict and the first bad entry, with the status that goes with it.
fn verdict(ran: &Ran) -> (String, Option<u64>) {
    let value = ran.json();
    let verdict = value["verdict"].as_str().unwrap().to_owned();
    assert_eq!(ran.status, i32::from(verdict != "whole"), "{ran:?}");
    assert_eq!(value["remedy"].is_string(), verdict != "whole", "{ran:?}");
    (verdict, value["first_bad"].as_u64())
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for file in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

#[test]
fn a_kept_log_is_verified_and_what_was_done_to_it_or_the_unit_is_named() {
    let mut unit = paired(&OPTIONS);
    let pulled = ada(&unit, &["--json", "log", "pull", "--out", "log.jsonl"]);
    assert_eq!(pulled.status, 0, "{pulled:?}");
    let (value, folder) = (pulled.json(), unit.folder.path().to_path_buf());
    let path: PathBuf = folder.join(value["kept"].as_str().unwrap());
    let last = value["kept_last"].as_u64().unwrap();
    assert_eq!(value["last"].as_u64(), Some(last));
    let second = ada(&unit, &["--json", "log", "pull", "--out", "log.jsonl"]).json();
    assert_eq!((&second["entries"], &second["kept_last"]), (&0.into(), &last.into()));
    let lines = std::fs::read_to_string(folder.join("log.jsonl")).unwrap().lines().count();
    assert_eq!(lines as u64, last);
    let report = ada(&unit, &["--json", "log", "report", "log.jsonl", "--out", "log.html"]).json();
    assert_eq!((&report["entries"], &report["first"]), (&last.into(), &1.into()));
    assert!(folder.join("log.jsonl.contexts").is_file());
    assert!(report["forecast"].is_null(), "a log of minutes forecasts nothing: {report}");
    let page = std::fs::read_to_string(folder.join("log.html")).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("paired"), "{page}");

    let verified = ada(&unit, &["--json", "log", "verify"]);
    assert_eq!(verdict(&verified), ("whole".to_owned(), None));
    let value = verified.json();
    assert_eq!((&value["signed"], &value["unit_head"]), (&last.into(), &last.into()));
    let name = value["unit"].as_str().unwrap().to_owned();
    let said = ada(&unit, &["log", "verify"]);
    assert!(said.stdout.starts_with(&format!("entries 1 to {last} are as the unit signed them\n")));

    // A bit of entry 2, with the unit and without it.
    let whole = std::fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[96 + 97 + 40] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    for args in [&["--json", "log", "verify"][..], &["--json", "log", "verify", &name]] {
        assert_eq!(verdict(&ada(&unit, args)), ("bad".to_owned(), Some(2)));
    }
    let said = ada(&unit, &["log", "verify"]);
    assert!(said.stdout.contains("entry 2 is not as it was pulled\ntry: "), "{said:?}");
    let refused = ada(&unit, &["log", "pull"]);
    assert!(refused.error().0.contains("entry 2 is not as it was pulled"), "{refused:?}");
    // The signature under the last entry taken off.
    std::fs::write(&path, &whole[..whole.len() - 161]).unwrap();
    let unsigned = ada(&unit, &["--json", "log", "verify", &name]);
    assert_eq!(verdict(&unsigned), ("unsigned".to_owned(), Some(1)));
    assert_eq!(verdict(&ada(&unit, &["--json", "log", "verify"])), ("whole".to_owned(), None));
    std::fs::write(&path, &whole).unwrap();

    // The unit's folder as it once was, put back behind more entries that were pulled.
    unit.kill();
    copy_folder(&folder.join("data"), &folder.join("earlier"));
    unit.restart(&OPTIONS);
    for _ in 0..6 {
        assert_eq!(ada(&unit, &["why", "1"]).status, 0);
    }
    assert_eq!(ada(&unit, &["log", "pull", "--out", "log.jsonl"]).status, 0);
    assert_eq!(verdict(&ada(&unit, &["--json", "log", "verify"])), ("whole".to_owned(), None));
    // The first pull's entries taken out, as if the unit had overwritten them; it has them still.
    let whole = std::fs::read(&path).unwrap();
    let signature = 96 + 97 * last as usize;
    let cut = [&whole[..96], b"L", &whole[signature + 1..]].concat();
    std::fs::write(&path, cut).unwrap();
    let alone = ada(&unit, &["--json", "log", "verify", &name]);
    assert_eq!(verdict(&alone), ("whole".to_owned(), None));
    assert_eq!(alone.json()["lost"], serde_json::json!([[1, last]]));
    let (word, first) = verdict(&ada(&unit, &["--json", "log", "verify"]));
    assert_eq!((word.as_str(), first), ("bad", Some(1)));
    std::fs::write(&path, whole).unwrap();
    unit.kill();
    std::fs::remove_dir_all(folder.join("data")).unwrap();
    std::fs::rename(folder.join("earlier"), folder.join("data")).unwrap();
    unit.restart(&OPTIONS);
    let (word, first) = verdict(&ada(&unit, &["--json", "log", "verify"]));
    assert_eq!(word, "rolled_back");
    assert!(first > Some(last), "{first:?}");
    let refused = ada(&unit, &["log", "pull"]);
    assert!(
        refused.error().0.starts_with("the unit's log was put back: it ends with"),
        "{refused:?}"
    );
    for _ in 0..9 {
        assert_eq!(ada(&unit, &["why", "1"]).status, 0);
    }
    // Its start after that was the first entry that it wrote anew.
    let differs = ada(&unit, &["--json", "log", "verify"]);
    assert_eq!(verdict(&differs), ("differs".to_owned(), Some(last + 1)));
    // What is kept is whole all the same.
    assert_eq!(
        verdict(&ada(&unit, &["--json", "log", "verify", &name])),
        ("whole".to_owned(), None)
    );
}

#[test]
fn a_log_becomes_a_table_or_the_build_that_makes_one_is_named() {
    let unit = paired(&OPTIONS);
    let table = unit.folder.path().join("log.parquet");
    let pull = || ada(&unit, &["--json", "log", "pull", "--out", "log.parquet"]);
    let pulled = pull();
    if !cfg!(feature = "parquet") {
        let (error, remedy) = pulled.error();
        assert_eq!(error, "log.parquet: this build of threshold has no Parquet");
        assert!(remedy.contains("-p threshold-host --features parquet"), "{remedy}");
        return assert!(!table.exists());
    }
    let last = pulled.json()["last"].as_u64().unwrap();
    assert_eq!((pulled.status, pulled.json()["entries"].as_u64()), (0, Some(last)), "{pulled:?}");
    assert!(std::fs::read(&table).unwrap().starts_with(b"PAR1"));
    let again = pull().json();
    assert_eq!((&again["entries"], &again["last"]), (&0.into(), &last.into()));
    let args = ["--json", "log", "report", "log.parquet", "--out", "log.html"];
    let report = ada(&unit, &args).json();
    assert_eq!((&report["entries"], &report["first"]), (&last.into(), &1.into()), "{report}");
}

#[test]
fn the_receipt_of_a_removal_is_checked_and_kept() {
    let Some(photos) = stock("the receipt of a removal") else { return };
    let unit = paired(&["--dev-button", "button"]);
    let photo = photos.join("obama.jpg").display().to_string();
    let enrolled = ada(&unit, &["enrol", "Ada", "--photo", &photo]);
    assert_eq!(enrolled.status, 0, "{enrolled:?}");
    let removed = ada(&unit, &["--json", "gallery", "remove", "Ada"]).json();
    let path = unit.folder.path().join(removed["receipt_kept"].as_str().unwrap());
    let kept: String = std::fs::read(path).unwrap().iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(removed["receipt"].as_str().unwrap(), kept);
    // Removing is in the log that is kept, under the unit's signature.
    let pulled = ada(&unit, &["--json", "log", "pull"]);
    assert!(pulled.stdout.contains("\"kind\":\"removed\""), "{pulled:?}");
    assert_eq!(verdict(&ada(&unit, &["--json", "log", "verify"])), ("whole".to_owned(), None));
}

#[test]
fn nothing_is_kept_of_a_unit_that_was_not_paired() {
    let unit = Unit::start(&OPTIONS);
    let pulled = typed(&unit, "nobody", &["--json", "log", "pull", "--out", "log.jsonl"], "");
    assert_eq!((pulled.status, pulled.json()["kept"].is_null()), (0, true), "{pulled:?}");
    for args in [&["log", "verify"][..], &["log", "verify", "elsewhere"]] {
        let refused = typed(&unit, "nobody", args, "");
        let (error, remedy) = refused.error();
        assert!(error.starts_with("nothing of the log of ") && remedy.contains("threshold pair"));
    }
}
