//! Enrolment at the door with both binaries: the person looks into the unit's camera, the tool says how it goes, and Ctrl-C leaves nothing.

use crate::binary::{Ran, Unit, run, stock, threshold};
use image::RgbImage;
use image::imageops::{self, FilterType};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that any of it may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A photo whose largest face stands in the middle of the picture, 150 px high: somebody who turns the head and stays in place.
fn placed(unit: &Unit, photo: &Path) -> RgbImage {
    let found = unit.run(&["--json", "detect", photo.to_str().unwrap()]).json();
    let edges = &found["pictures"][0]["faces"][0]["box"];
    let at = |edge: usize| edges[edge].as_f64().unwrap_or_else(|| panic!("{found}"));
    let scale = 150.0 / (at(3) - at(1));
    let whole = image::open(photo).unwrap().into_rgb8();
    let px = |of: f64| (of * scale) as u32;
    let whole = imageops::resize(
        &whole,
        px(whole.width().into()),
        px(whole.height().into()),
        FilterType::Triangle,
    );
    let aside = |low: f64, high: f64| 240 - ((low + high) / 2.0 * scale) as i64;
    let mut picture = RgbImage::new(480, 480);
    imageops::replace(&mut picture, &whole, aside(at(0), at(2)), aside(at(1), at(3)));
    picture
}

/// Starts the enrolment; its standard error is read line by line.
fn begin(unit: &Unit, args: &[&str]) -> Child {
    let mut command = unit.command(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ended(child: Child, said: String) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: said + &String::from_utf8(output.stderr).unwrap(),
    }
}

/// Kinds of the log with how they ended.
fn kinds(unit: &Unit) -> Vec<String> {
    unit.run(&["log", "pull", "--out", "log.jsonl"]);
    let log = std::fs::read_to_string(unit.folder.path().join("log.jsonl")).unwrap();
    let entry = |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap();
    log.lines().map(|line| entry(line)["kind"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn ctrl_c_gives_it_up_and_leaves_nothing() {
    if stock("Ctrl-C at the door").is_none() {
        return;
    }
    let unit = Unit::start(&[]);
    let mut child = begin(&unit, &["enrol", "Ada", "--at-door"]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    stderr.read_line(&mut said).unwrap();
    assert!(said.starts_with("straight 0/3, left 0/3, right 0/3"), "{said}");
    assert!(said.contains("look at the camera"), "{said}");
    let signal = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    stderr.read_to_string(&mut said).unwrap();
    let ran = ended(child, said);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.stderr.contains("error: the enrolment was given up: nothing is kept"), "{ran:?}");
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!(info["gallery"]["people"], 0, "{info}");
    let kinds = kinds(&unit);
    let count = |kind: &str| kinds.iter().filter(|found| *found == kind).count();
    assert_eq!((count("enrolment_begun"), count("enrolment_ended")), (1, 1), "{kinds:?}");
    assert_eq!((count("enrolled"), count("decision")), (0, 0), "{kinds:?}");
}

#[test]
fn what_cannot_be_typed_is_refused() {
    for args in [
        &["enrol", "Ada", "--at-door", "--photo", "a.jpg"][..],
        &["enrol", "Ada", "--at-door", "--min-face", "30"],
        &["enrol", "Ada", "--at-door", "--templates", "9"],
        &["enrol", "Ada", "--photo", "a.jpg", "--templates", "2"],
        &["enrol", "Ada"],
    ] {
        let ran = run(&mut threshold(args));
        assert_eq!(ran.status, 2, "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stdout.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_person_is_enrolled_by_the_units_own_camera_and_comes_in() {
    let Some(photos) = stock("an enrolment at the door") else { return };
    let unit = Unit::start(&["--model", "dlib"]);
    unit.acknowledge();
    // One person in three photos: straight, turned to the own left by some 14 degrees, and to the right by some 19.
    let [straight, left, right] =
        ["obama.jpg", "obama3.jpg", "obama2.jpg"].map(|name| placed(&unit, &photos.join(name)));

    let mut child = begin(&unit, &["--json", "enrol", "Ada", "--at-door"]);
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let first: serde_json::Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&first["stage"], &first["cause"]), (&"gathering".into(), &"no_face".into()));
    let begun = Instant::now();
    let mut shown = 0;
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < PATIENCE, "{}", unit.said());
        for picture in [&straight, &straight, &left, &left, &right, &right] {
            shown += 1;
            let arriving = unit.folder.path().join("arriving.png");
            picture.save(&arriving).unwrap();
            let name = format!("{shown:04}.png");
            std::fs::rename(&arriving, unit.folder.path().join("camera").join(name)).unwrap();
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let ran = ended(child, String::new());
    assert_eq!(ran.status, 0, "{ran:?} {rest}");
    // What is made at the door no vault has, and that is said when it happens.
    assert!(ran.stderr.contains("Ada is in no vault"), "{ran:?}");
    assert!(ran.stderr.contains("threshold enrol \"Ada\" --vault --photo"), "{ran:?}");
    let done: serde_json::Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    assert_eq!((&done["person"], &done["added"]), (&1.into(), &true.into()), "{done}");
    let poses: Vec<_> =
        done["templates"].as_array().unwrap().iter().map(|it| it["pose"].clone()).collect();
    assert_eq!(poses, ["frontal", "left", "right"], "{rest}");
    // What the camera has not shown yet goes, and what it shows becomes a visit of before.
    for shown in std::fs::read_dir(unit.folder.path().join("camera")).unwrap() {
        std::fs::remove_file(shown.unwrap().path()).unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    let admitted = unit.show(&photos.join("obama2.jpg"), "9999.jpg");
    assert_eq!((&admitted["decision"], &admitted["person_name"]), (&"admit".into(), &"Ada".into()));
    let kinds = kinds(&unit);
    let place = |kind: &str| kinds.iter().position(|found| found == kind).unwrap();
    assert!(place("enrolment_begun") < place("enrolled"), "{kinds:?}");
    assert!(place("enrolled") < place("enrolment_ended"), "{kinds:?}");
}
