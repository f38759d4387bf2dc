//! Pictures judged through the real binary: the quality gate, presentation attacks, the detector and its landmarks, each as text,
//! JSON and a page.

use crate::binary::{run, stock, threshold};
use crate::evaluation::{has, paged};
use image::imageops::{self, FilterType};
use serde_json::{Value, json};
use std::path::Path;

/// A photo at 480 px of height.
fn small(photo: &Path) -> image::RgbImage {
    let photo = image::open(photo).unwrap().into_rgb8();
    let width = photo.width() * 480 / photo.height();
    imageops::resize(&photo, width, 480, FilterType::Triangle)
}

fn save(image: &image::RgbImage, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    image.save(to).unwrap();
}

#[test]
fn good_and_bad_pictures_are_counted_by_what_became_of_them() {
    let Some(photos) = stock("the quality gate's counts") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let good = small(&photos.join("obama.jpg"));
    save(&good, &folder.join("good/a.png"));
    save(&small(&photos.join("biden.jpg")), &folder.join("good/b.png"));
    save(&imageops::blur(&good, 6.0), &folder.join("bad/blurred/a.png"));
    // No face, where another cause is what the folder says; and a good picture among the bad ones.
    save(&image::RgbImage::new(90, 90), &folder.join("bad/too_dark/none.png"));
    save(&good, &folder.join("bad/whatever/a.png"));
    let args = ["eval", "quality", "--good", "good", "--bad", "bad", "--html", "out.html"];
    let (page, value) = paged(folder, &args);
    let row = |kind: &str| {
        let rows = value["rows"].as_array().unwrap();
        rows.iter().find(|row| row["kind"] == kind).unwrap().clone()
    };
    assert_eq!((&row("good")["pictures"], &row("good")["taken"]), (&json!(2), &json!(2)));
    assert_eq!(row("good")["named_right"], Value::Null);
    assert_eq!(row("blurred")["refused"], json!({"blurred": 1}));
    assert_eq!(row("blurred")["named_right"], 1);
    assert_eq!(row("too_dark")["wrong"], json!([["bad/too_dark/none.png", "no_face"]]));
    assert_eq!(row("bad")["wrong"], json!([["bad/whatever/a.png", "none"]]));
    has(&page, "2 (100.00 %)");
    assert!(page.contains("pictures of people"), "{page}");
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 2);
    let text = run(threshold(&args[..6]).current_dir(folder));
    assert!(text.stdout.contains("blurred   1        0 (0.00 %)"), "{}", text.stdout);

    let refused = run(threshold(&["eval", "quality", "--good", "nowhere"]).current_dir(folder));
    assert!(refused.error().0.contains("nowhere: No such file"), "{refused:?}");
    assert_eq!(run(&mut threshold(&["eval", "quality"])).status, 2);
}

#[test]
fn without_a_detector_every_attack_passes_and_it_is_said() {
    let Some(photos) = stock("rates of presentation attacks") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let face = small(&photos.join("obama.jpg"));
    save(&face, &folder.join("in/bona_fide/a.png"));
    save(&face, &folder.join("in/print/a.png"));
    save(&image::RgbImage::new(90, 90), &folder.join("in/print/none.png"));
    save(&face, &folder.join("in/replay/more/a.png"));
    let args = ["eval", "pad", "--dir", "in", "--html", "out.html"];
    let (page, value) = paged(folder, &args);
    assert_eq!(value["presentation_detector"], Value::Null);
    let print = json!({
        "presentations": 2, "no_response": 1, "live": 0, "spoof": 0, "not_assessed": 1, "apcer": 1.0,
    });
    assert_eq!(value["attacks"]["print"], print);
    assert_eq!(value["attacks"]["replay"]["apcer"], 1.0);
    assert_eq!((&value["bona_fide"]["bpcer"], &value["apcer_worst"]), (&json!(0.0), &json!(1.0)));
    has(&page, "100.00 %");
    let text = run(threshold(&args[..4]).current_dir(folder)).stdout;
    for part in ["no presentation-attack detector is installed", "every attack passes", "100.00 %"]
    {
        assert!(text.contains(part) && page.contains(part), "{part}: {text}");
    }

    let refused = |dir: &str, why: &str| {
        let ran = run(threshold(&["eval", "pad", "--dir", dir]).current_dir(folder));
        assert!(ran.status == 2 && ran.stderr.contains(why), "{ran:?}");
    };
    refused("in/print", "lies in no folder");
    refused("nowhere", "No such file");
    std::fs::create_dir_all(folder.join("live")).unwrap();
    std::fs::rename(folder.join("in/bona_fide"), folder.join("live/bona_fide")).unwrap();
    refused("live", "no kind of attack");
}

#[test]
fn pages_of_detection_and_landmarks_have_the_numbers_of_the_json() {
    let Some(photos) = stock("pages of detection") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    save(&small(&photos.join("obama.jpg")), &folder.join("in/a.png"));
    let seen = run(threshold(&["--json", "detect", "in/a.png"]).current_dir(folder)).json();
    let seen = &seen["pictures"][0];
    let found = &seen["faces"][0];
    let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|at| found["box"][at].as_f64().unwrap());
    let gt = format!("a.png\n1\n{x1} {y1} {} {} 0 0 0 0 0 0\n", x2 - x1, y2 - y1);
    std::fs::write(folder.join("gt.txt"), gt).unwrap();
    let reference = json!({"a.png": {
        "wh": [seen["width"], seen["height"]],
        "boxes": [found["box"]],
        "scores": [found["score"]],
        "landmarks": [found["landmarks"]],
    }});
    std::fs::write(folder.join("reference.json"), reference.to_string()).unwrap();
    let detection = ["eval", "detection", "--images", "in", "--gt", "gt.txt", "--html", "out.html"];
    let (page, value) = paged(folder, &detection);
    assert_eq!(value["sizes"][0]["recall"], 1.0);
    has(&page, "&gt;= 20 px");
    has(&page, "100.00 %");
    let landmarks = [
        "eval",
        "landmarks",
        "--images",
        "in",
        "--reference",
        "reference.json",
        "--html",
        "out.html",
    ];
    let (page, value) = paged(folder, &landmarks);
    assert_eq!((&value["faces"], &value["worst_picture"]), (&json!(1), &json!("a.png")));
    has(&page, &format!("{:.4} px", value["max_px"].as_f64().unwrap()));
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 1);
}
