//! `threshold enrol --vault` with both binaries: one command for the unit and the vault, what is there already, and what is refused
//! before either has anything.

use crate::binary::{Ran, Unit, run, stock, threshold};
use image::imageops::{self, FilterType};
use serde_json::{Value, json};

#[test]
fn one_command_enrols_at_the_unit_and_keeps_in_the_vault() {
    let Some(photos) = stock("enrolment into the vault") else { return };
    let unit = Unit::start(&["--model", "dlib"]);
    for (from, to) in [("obama.jpg", "a1.png"), ("obama2.jpg", "a2.png"), ("biden.jpg", "b1.png")] {
        let photo = image::open(photos.join(from)).unwrap().into_rgb8();
        let width = photo.width() * 480 / photo.height();
        let small = imageops::resize(&photo, width, 480, FilterType::Triangle);
        small.save(unit.folder.path().join(to)).unwrap();
    }
    let tool = |args: &[&str]| -> Ran {
        let mut command = threshold(&["--unit", "door", "--keys", "keys", "--model", "dlib"]);
        run(command.args(args).current_dir(unit.folder.path()))
    };
    let json_of = |args: &[&str]| -> Value {
        let ran = tool(&[&["--json"], args].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    };
    let at_unit = || json_of(&["info"])["gallery"]["templates"].as_u64().unwrap();
    let in_vault = || json_of(&["vault", "list"])["crops"].as_u64().unwrap();
    let refused = |args: &[&str], error: &str, remedy: &str| {
        let ran = tool(&[&["enrol"], args].concat());
        let (found, found_remedy) = ran.error();
        assert!(found.contains(error) && found_remedy.contains(remedy), "{found} {found_remedy}");
    };

    // Without a vault neither half.
    refused(&["Ann", "--vault", "--photo", "a1.png"], "there is no vault", "threshold vault init");
    assert_eq!(at_unit(), 0);
    json_of(&["vault", "init"]);
    let days = |consent, keep_until| {
        ["Ann", "--vault", "--photo", "a1.png", "--consent", consent, "--keep-until", keep_until]
    };
    refused(&days("2100-01-01", "2101-01-01"), "is in the future", "the day on which");
    refused(&days("2020-01-01", "2020-12-31"), "kept until 2020-12-31, which is over", "--expired");
    assert_eq!((at_unit(), in_vault()), (0, 0));

    let args = [&["enrol"], &days("2026-01-02", "2100-01-31")[..]].concat();
    let done = json_of(&args);
    assert_eq!(done["templates"].as_array().unwrap().len(), 1);
    let vault = json!({"file": "keys/vault.db", "person": 1, "crops_added": 1, "there_already": 0});
    assert_eq!(done["vault"], vault);
    let ann = &json_of(&["vault", "list"])["people"][0];
    assert_eq!((&ann["consent"], &ann["keep_until"]), (&json!("2026-01-02"), &json!("2100-01-31")));
    assert_eq!((at_unit(), in_vault()), (1, 1));

    // Repeated, it changes nothing; with another photo, that one alone is new.
    let again = json_of(&args);
    assert_eq!((&again["templates"], &again["there_already"]), (&json!([]), &json!(["a1.png"])));
    assert_eq!((at_unit(), in_vault()), (1, 1));
    let more = json_of(&["enrol", "Ann", "--vault", "--photo", "a1.png", "a2.png"]);
    assert_eq!(
        (&more["templates"][0]["photo"], &more["templates"][0]["slot"]),
        (&json!("a2.png"), &json!(1))
    );
    assert_eq!(
        (&more["vault"]["crops_added"], &more["vault"]["there_already"]),
        (&json!(1), &json!(1))
    );
    assert_eq!((at_unit(), in_vault()), (2, 2));

    // The unit lost its half: the same command brings it back, and the vault keeps what it has.
    assert_eq!(tool(&["gallery", "remove", "Ann"]).status, 0);
    let mended = json_of(&["enrol", "Ann", "--vault", "--photo", "a1.png", "a2.png"]);
    assert_eq!(mended["templates"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&mended["vault"]["crops_added"], &mended["vault"]["there_already"]),
        (&json!(0), &json!(2))
    );
    // And the vault its own.
    assert_eq!(tool(&["vault", "remove", "Ann"]).status, 0);
    let mended = json_of(&["enrol", "Ann", "--vault", "--photo", "a1.png", "a2.png"]);
    assert_eq!((&mended["templates"], &mended["vault"]["crops_added"]), (&json!([]), &json!(2)));
    assert_eq!((at_unit(), in_vault()), (2, 2));

    // Somebody else's face under that name: neither half.
    refused(&["Bob", "--vault", "--photo", "a1.png"], "matches Ann", "");
    assert_eq!((at_unit(), in_vault()), (2, 2));
    let said = tool(&["enrol", "Bob", "--vault=other.db", "--photo", "b1.png"]);
    assert!(said.error().0.contains("there is no vault other.db"), "{said:?}");

    // What the entries of a pulled log refer to is kept beside them.
    json_of(&["log", "pull", "--out", "log.jsonl"]);
    let kept = std::fs::read_to_string(unit.folder.path().join("log.jsonl.contexts")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    let enrolled = &kept["gallery"][0];
    assert_eq!((&enrolled["people"], &enrolled["templates"]), (&json!(1), &json!(2)));
    let kinds: Vec<_> =
        kept["contexts"].as_array().unwrap().iter().map(|one| &one["kind"]).collect();
    assert!(kinds.contains(&&json!("model")) && kinds.contains(&&json!("policy")), "{kinds:?}");
}

#[test]
fn photos_of_somebody_whose_slots_are_full_replace_the_most_redundant_which_can_be_put_back() {
    let Some(photos) = stock("templates that are replaced") else { return };
    let unit = Unit::start(&["--model", "dlib"]);
    let save = |from: &str, height: u32, to: &str| {
        let photo = image::open(photos.join(from)).unwrap().into_rgb8();
        let width = photo.width() * height / photo.height();
        let small = imageops::resize(&photo, width, height, FilterType::Triangle);
        small.save(unit.folder.path().join(to)).unwrap();
    };
    // Eight takes that are hardly two: seven of one photo, one of another.
    let names: Vec<String> = (0..8).map(|at| format!("a{at}.png")).collect();
    for (at, name) in names.iter().enumerate() {
        let from = if at == 4 { "obama2.jpg" } else { "obama.jpg" };
        save(from, 400 + 20 * at as u32, name);
    }
    save("obama3.jpg", 480, "fresh.png");
    save("biden.jpg", 480, "b.png");
    let tool = |args: &[&str]| -> Ran {
        let mut command = threshold(&["--unit", "door", "--keys", "keys", "--model", "dlib"]);
        run(command.args(args).current_dir(unit.folder.path()))
    };
    let json_of = |args: &[&str]| -> Value {
        let ran = tool(&[&["--json"], args].concat());
        assert_eq!(ran.status, 0, "{ran:?}");
        ran.json()
    };
    let refused = |args: &[&str], error: &str, remedy: &str| {
        let ran = tool(&[&["enrol"], args].concat());
        let (found, found_remedy) = ran.error();
        assert!(found.contains(error) && found_remedy.contains(remedy), "{found} {found_remedy}");
    };
    // A file is sealed for the administrator's own key.
    json_of(&["vault", "init"]);
    json_of(&["gallery", "list"]);
    let all: Vec<&str> =
        ["enrol", "Ann", "--photo"].into_iter().chain(names.iter().map(String::as_str)).collect();
    assert_eq!(json_of(&all)["templates"].as_array().unwrap().len(), 8);
    refused(&["Ann", "--photo", "fresh.png"], "1 more do not fit", "--replace FILE");
    let whole = |name: &str| {
        json_of(&["gallery", "pull", "--out", name]);
        let same = tool(&["gallery", "verify", name]);
        assert_eq!(same.status, 0, "{same:?}");
    };
    whole("before.gallery");

    let done = json_of(&["enrol", "Ann", "--photo", "fresh.png", "--replace", "out.gallery"]);
    let slot = &done["templates"][0]["slot"];
    assert_eq!(done["replaced"], json!({"file": "out.gallery", "slots": [slot]}));
    assert_ne!(slot, &json!(4), "the photo like no other stays");
    let gone = tool(&["gallery", "verify", "before.gallery"]);
    assert_eq!(gone.status, 1, "{gone:?}");
    refused(&["Ann", "--photo", "a0.png", "--replace", "out.gallery"], "is there already", "");
    // One that tells nothing new is none of the eight.
    let none = json_of(&["enrol", "Ann", "--photo", "fresh.png", "--replace", "none.gallery"]);
    let replaced = json!({"file": null, "slots": []});
    assert_eq!((&none["not_needed"], &none["replaced"]), (&json!(["fresh.png"]), &replaced));
    assert!(!unit.folder.path().join("none.gallery").exists());

    refused(&["Bob", "--restore", "out.gallery"], "they are of Ann", "--replace");
    refused(&["Ann", "--restore", "before.png"], "before.png", "");
    let back = json_of(&["enrol", "Ann", "--restore", "out.gallery"]);
    assert_eq!(back["restored"], json!([slot]));
    let same = tool(&["gallery", "verify", "before.gallery"]);
    assert_eq!(same.status, 0, "{same:?}");
    // Whoever was removed is not brought back.
    assert_eq!(tool(&["gallery", "remove", "Ann"]).status, 0);
    refused(&["Ann", "--restore", "out.gallery"], "who is not enrolled now", "photos");
}
