//! `threshold cluster` through the real binary: who is one person, whose folders hold one person, and what it refuses.

use crate::binary::{run, stock, threshold};
use image::imageops::{self, FilterType};
use serde_json::json;
use std::path::Path;

fn small(photo: &Path) -> image::RgbImage {
    let photo = image::open(photo).unwrap().into_rgb8();
    let width = photo.width() * 480 / photo.height();
    imageops::resize(&photo, width, 480, FilterType::Triangle)
}

#[test]
fn faces_are_grouped_and_folders_of_one_person_are_named() {
    let Some(photos) = stock("grouping of faces") else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for person in ["Ann", "Bob", "Carol"] {
        std::fs::create_dir_all(at("people").join(person)).unwrap();
    }
    for (from, to) in
        [("obama.jpg", "Ann/1.png"), ("obama2.jpg", "Bob/1.png"), ("biden.jpg", "Carol/1.png")]
    {
        small(&photos.join(from)).save(at("people").join(to)).unwrap();
    }
    image::RgbImage::new(90, 90).save(at("people/Carol/none.png")).unwrap();
    let cluster = |args: &[&str]| {
        let mut command = threshold(&["--model", "dlib"]);
        run(command.args(args).current_dir(folder.path()))
    };
    let ran = cluster(&["--json", "cluster", "people"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    let found = ran.json();
    assert_eq!((&found["pictures"], &found["faces"]), (&json!(4), &json!(3)));
    let groups = json!([
        [{"picture": "people/Ann/1.png", "face": 0}, {"picture": "people/Bob/1.png", "face": 0}],
        [{"picture": "people/Carol/1.png", "face": 0}],
    ]);
    assert_eq!(found["groups"], groups);
    assert_eq!(found["doubles"][0]["people"], json!(["Ann", "Bob"]));
    assert_eq!(found["doubles"].as_array().unwrap().len(), 1);
    assert!(found["doubles"][0]["distance"].as_f64() < found["distance_threshold"].as_f64());
    assert_eq!(found["without_face"], json!(["people/Carol/none.png"]));
    let text = cluster(&["cluster", "people"]).stdout;
    assert!(text.contains("group 1: people/Ann/1.png, people/Bob/1.png"), "{text}");
    assert!(text.contains("Ann and Bob may be one person: "), "{text}");

    let ran = cluster(&["--json", "cluster", "people", "--html", "out.html"]);
    assert_eq!((ran.status, &ran.json()["html"]), (1, &json!("out.html")));
    let page = std::fs::read_to_string(at("out.html")).unwrap();
    assert!(page.contains("Ann and Bob</td>") && page.contains("pictures of people"), "{page}");
    // The pair, and the group that both are in.
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 4);
    assert_eq!(std::fs::read_to_string(at("out.json")).unwrap(), ran.stdout);

    // Nobody twice; then a picture that is none beside a good one.
    std::fs::remove_dir_all(at("people/Bob")).unwrap();
    let ran = cluster(&["--json", "cluster", "people"]);
    assert_eq!((ran.status, &ran.json()["doubles"]), (0, &json!([])));
    std::fs::write(at("people/Ann/text.jpg"), "no picture").unwrap();
    let ran = cluster(&["--json", "cluster", "people"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("1 of 4 pictures could not be worked on"), "{}", ran.stderr);
    assert!(ran.json()["faults"][0].as_str().unwrap().contains("text.jpg: an unknown kind"));

    std::fs::create_dir(at("empty")).unwrap();
    for (folder, error, remedy) in [
        ("empty", "empty: no pictures here", "a folder that holds pictures"),
        ("nowhere", "nowhere: No such file", "check the path"),
        ("people/Ann/1.png", "people/Ann/1.png: not a directory", "the name of a folder"),
    ] {
        let ran = cluster(&["cluster", folder]);
        let (found, found_remedy) = ran.error();
        assert!(found.starts_with(error), "{found}");
        assert!(found_remedy.contains(remedy), "{found_remedy}");
    }
}
