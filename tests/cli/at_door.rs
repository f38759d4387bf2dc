//! Enrolment at the door with both binaries: the person looks into the unit's camera, the tool says how it goes, and Ctrl-C leaves nothing.

use crate::binary::{Ran, Unit, run, stock, threshold};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest that any of it may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The face with its nose moved aside, as of a head that is turned: the picture's middle slides to the right by so much of its width.
fn turned(image: &RgbImage, middle: f32, by: f32) -> RgbImage {
    let width = image.width() as f32;
    RgbImage::from_fn(image.width(), image.height(), |x, y| {
        // Two straight pieces that meet at the middle, wherever that is now.
        let (x, to) = (x as f32 / width, middle + by);
        let from = match x < to {
            true => x / to * middle,
            false => middle + (x - to) / (1.0 - to) * (1.0 - middle),
        };
        let at = (from * width).clamp(0.0, width - 1.001);
        let (left, part) = (at as u32, at.fract());
        let mix = |channel: usize| {
            let value = |x| f32::from(image.get_pixel(x, y).0[channel]);
            (value(left) * (1.0 - part) + value(left + 1) * part) as u8
        };
        Rgb([mix(0), mix(1), mix(2)])
    })
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
    let whole = image::open(photos.join("obama.jpg")).unwrap().into_rgb8();
    let straight =
        imageops::resize(&whole, whole.width() * 480 / whole.height(), 480, FilterType::Triangle);
    let at = unit.folder.path().join("straight.png");
    straight.save(&at).unwrap();
    let found = unit.run(&["--json", "detect", at.to_str().unwrap()]).json();
    let points = &found["pictures"][0]["faces"][0]["landmarks"];
    let nose = points[2][0].as_f64().unwrap_or_else(|| panic!("{found}"));
    let eyes = |side: usize| points[side][0].as_f64().unwrap();
    let width = f64::from(straight.width());
    let (middle, between) = ((nose / width) as f32, ((eyes(1) - eyes(0)) / width) as f32);
    // A quarter of the distance of the eyes: some 25 degrees.
    let left = turned(&straight, middle, 0.25 * between);
    let right = turned(&straight, middle, -0.25 * between);

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
