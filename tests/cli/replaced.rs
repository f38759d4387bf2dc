//! `threshold enrol --replace` and `--restore` with both binaries: what the photos of somebody whose slots are full take the place of, that
//! it is kept first, and that the gallery is template by template what it was once it is put back.

use crate::binary::{Ran, stock};
use crate::pairing::{paired, typed};
use image::imageops::{self, FilterType};
use serde_json::{Value, json};

#[test]
fn photos_of_somebody_whose_slots_are_full_replace_the_most_redundant_which_can_be_put_back() {
    let Some(photos) = stock("templates that are replaced") else { return };
    let unit = paired(&["--dev-button", "button"]);
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
    let tool = |args: &[&str]| -> Ran { typed(&unit, "ada", args, "") };
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
