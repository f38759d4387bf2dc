//! Evaluations as pages through the real binary: the page says what the JSON beside it says, shows pictures only where it was
//! asked for with them, and takes no markup from a name.

use crate::binary::{Ran, run, stock, threshold};
use serde_json::Value;
use std::path::Path;
use threshold_models::engine::Embedding;
use threshold_models::eval::embeddings::{
    About, EMBEDDINGS_FORMAT, Embeddings, Picture, PicturesDigest,
};
use threshold_models::eval::split::Half;
use threshold_record::Metric;

/// A person's folder whose name is a script, in the half that is reported on.
fn hostile() -> String {
    let named = (0..).map(|n| format!("<script>alert({n})<script>\"'&"));
    let found = named.into_iter().find(|name| Half::of(name) == Half::Check);
    found.unwrap()
}

/// Numbers from -1 to 1, the same in every run.
struct Seeded(u64);

impl Seeded {
    fn next(&mut self) -> f32 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// Embeddings of made-up people, enough of them for galleries of 300, and enough with four pictures for three templates each.
fn made_up(path: &Path) {
    made_up_by(path, "ab".repeat(32), "made up".to_owned());
}

/// The same, said to be of a model.
fn made_up_by(path: &Path, model: String, model_name: String) {
    let mut random = Seeded(7);
    let mut names: Vec<String> = (0..760).map(|n| format!("Person_{n}")).collect();
    names.push(hostile());
    let (mut pictures, mut embeddings) = (Vec::new(), Vec::new());
    for (place, name) in names.iter().enumerate() {
        let mean: Vec<f32> = (0..24).map(|_| random.next()).collect();
        for n in 0..if place < 300 { 4 } else { 3 } {
            // The one with the odd name looks least like himself.
            let noise = if name.starts_with('<') { 30.0 } else { 0.8 };
            let values: Vec<f32> = mean.iter().map(|v| v + noise * random.next()).collect();
            let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
            embeddings.push(Embedding(values.iter().map(|v| v / norm).collect()));
            pictures.push(Picture { path: format!("{name}/{n}.png"), face_found: vec![true] });
        }
    }
    let about = About {
        format: EMBEDDINGS_FORMAT,
        model,
        model_name,
        metric: Metric::SquaredL2,
        detector: "cd".repeat(32),
        pictures_digest: PicturesDigest::default().finish(),
        frames: 1,
        pictures,
    };
    let made = Embeddings::new(about, &embeddings).unwrap();
    std::fs::write(path, made.to_bytes().unwrap()).unwrap();
}

/// Runs in a folder, and gives the page and the JSON, which is what was printed.
pub(crate) fn paged(folder: &Path, args: &[&str]) -> (String, Value) {
    let ran = run(threshold(&["--json"]).args(args).current_dir(folder));
    assert_eq!(ran.status, 0, "{ran:?}");
    let page = std::fs::read_to_string(folder.join("out.html")).unwrap();
    let beside = std::fs::read_to_string(folder.join("out.json")).unwrap();
    assert_eq!(beside, ran.stdout);
    needs_nothing(&page);
    (page, ran.json())
}

fn needs_nothing(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html>"), "{page}");
    for text in ["<script", "href=", "@import", "url(", "src=\"http", "NaN"] {
        assert!(!page.contains(text), "{text} in {page}");
    }
}

pub(crate) fn has(page: &str, text: &str) {
    assert!(page.contains(&format!(">{text}<")), "{text} is not in {page}");
}

fn at(of: &Value, key: &str) -> f64 {
    of[key].as_f64().unwrap()
}

#[test]
fn a_page_of_all_comparisons_has_the_numbers_of_the_json_and_pictures_only_if_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    made_up(&folder.join("made.embeddings"));
    let verify = ["eval", "verify", "--embeddings", "made.embeddings", "--html", "out.html"];
    let (page, value) = paged(folder, &verify);
    assert_eq!(value["html"], "out.html");
    for point in value["points"].as_array().unwrap() {
        let (threshold, fnmr) = (&point["threshold"], &point["fnmr"]);
        let [low, high] = ["low", "high"].map(|end| at(threshold, end));
        has(&page, &format!("{:.3} ({low:.3} to {high:.3})", at(threshold, "at")));
        has(&page, &format!("{:.2} %", at(fnmr, "at") * 100.0));
        let [low, high] = ["low", "high"].map(|end| at(fnmr, end) * 100.0);
        has(&page, &format!("{low:.2} to {high:.2} %"));
        has(&page, &point["accepted"].to_string());
    }
    for kind in ["nearest_impostors", "furthest_genuine"] {
        let pairs = value[kind].as_array().unwrap();
        assert_eq!(pairs.len(), 10);
        for pair in pairs {
            has(&page, &format!("{:.3}", pair[0].as_f64().unwrap()));
        }
    }
    let counted = |kind: &str| {
        let bars = value["histogram"][kind].as_array().unwrap();
        bars.iter().map(|bar| bar.as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(Value::from(counted("genuine")), value["genuine"]);
    assert_eq!(Value::from(counted("impostor")), value["impostor"]);
    assert_eq!(value["det"].as_array().unwrap().len(), 9);
    assert_eq!(page.matches("<svg").count(), 2);
    // The one with the odd name is among the worst, as text.
    assert!(
        page.contains("&lt;script&gt;alert(")
            && value["furthest_genuine"].to_string().contains("<script>")
    );
    assert!(!page.contains("data:image") && !page.contains("pictures of people"), "{page}");

    // With pictures: those that are there are in the page, and nowhere else.
    let worst = value["furthest_genuine"][0][1].as_str().unwrap();
    let shown = folder.join("images").join(worst);
    std::fs::create_dir_all(shown.parent().unwrap()).unwrap();
    image::RgbImage::from_pixel(300, 200, image::Rgb([200, 30, 90])).save(&shown).unwrap();
    let (page, with) = paged(folder, &[&verify[..], &["--images", "images"]].concat());
    assert!(page.contains("src=\"data:image/png;base64,"), "{page}");
    assert!(page.contains("This page holds pictures of people") && page.contains("not there"));
    assert_eq!(with, value, "the JSON has paths and no pictures");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.join("out.html")).unwrap().permissions().mode();
    assert_eq!(mode & 0o77, 0, "{mode:o}");
}

#[test]
fn a_page_of_identification_has_the_numbers_of_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    made_up(&folder.join("made.embeddings"));
    let identify = ["eval", "identify", "--embeddings", "made.embeddings", "--draws", "3"];
    let (page, value) = paged(folder, &[&identify[..], &["--html", "out.html"]].concat());
    for row in value["rows"].as_array().unwrap() {
        for point in row["points"].as_array().unwrap() {
            has(&page, &format!("{:.2} %", at(&point["fnir"], "at") * 100.0));
            has(&page, &format!("{} of {}", point["admitted"], row["stranger_searches"]));
        }
    }
    let growth = &value["fpir_by_people"];
    let people: Vec<_> = growth["points"].as_array().unwrap().iter().collect();
    assert_eq!(people.len(), 7);
    let fpir = |of: &Value| {
        let [at, low, high] = ["at", "low", "high"].map(|key| at(of, key));
        has(&page, &format!("{at:.5} ({low:.5} to {high:.5})"));
        at
    };
    let mut before = 0.0;
    for point in people {
        let forecast = fpir(&point["forecast"]);
        assert!(forecast > before, "{growth}");
        before = forecast;
        match point["people"].as_u64().unwrap() {
            1000.. => assert!(point["fpir"].is_null(), "{point}"),
            100 => {
                let at = fpir(&point["fpir"]);
                assert!(at <= 0.01 && at > 0.008, "the threshold is held there: {point}");
            }
            _ => drop(fpir(&point["fpir"])),
        }
    }
    assert_eq!(page.matches("<svg").count(), 1);
    // What each part is worth is told of rows that are there, with both figures.
    let parts = value["parts"].as_array().unwrap();
    assert!(parts.iter().any(|one| one["part"].as_str().unwrap().starts_with("margin ")));
    for one in parts {
        let [without, with] = [&one["without"], &one["with"]].map(|of| at(of, "at"));
        has(&page, &format!("{:.2} %", with * 100.0));
        let expected = match with {
            _ if with < at(&one["without"], "low") => "lower",
            _ if with > at(&one["without"], "high") => "higher",
            _ => "not told apart",
        };
        assert_eq!(one["fnir"], expected, "{without} {one}");
    }
    // Up to two pictures and two templates there are people for; of two, by both measures.
    let again = value["second_identities"].as_array().unwrap();
    let by: Vec<_> = again.iter().map(|row| row["by"].as_str().unwrap()).collect();
    assert_eq!(by, ["means", "means", "nearest"], "{again:?}");
    for row in again {
        assert_eq!(row["unit"].is_null(), row["by"] == "nearest", "{row}");
        assert!(at(row, "false_alarms") <= 0.005 * at(row, "enrolments"), "{row}");
        has(&page, &format!("{:.2} %", at(&row["caught"], "at") * 100.0));
    }
}

#[test]
fn pages_of_forecast_and_grouping_have_the_numbers_of_the_json() {
    let Some(packs) = threshold_tests::packs() else {
        return threshold_tests::skipped("pages of forecast and grouping", "no packs");
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pack = packs.embedders().find(|pack| pack.meta.name.starts_with("facenet")).unwrap();
    let (id, name) = (pack.id().unwrap().to_string(), pack.meta.name.clone());
    made_up_by(&folder.join("made.embeddings"), id, name);
    let with = |what: &[&str]| {
        let args = ["--embeddings", "made.embeddings", "--html", "out.html"];
        paged(folder, &[&["eval"], what, &args].concat())
    };
    let (page, value) = with(&["forecast", "--attempts", "2000"]);
    let rows = value["rows"].as_array().unwrap();
    // Four galleries and the one of three templates, at three rates each.
    assert_eq!(rows.len(), 15);
    for row in rows {
        let [at, low, high] = ["forecast", "forecast_low", "forecast_high"].map(|key| at(row, key));
        has(&page, &format!("{at:.4} ({low:.4} to {high:.4})"));
        let [at, low, high] = ["at", "low", "high"].map(|key| self::at(&row["fpir"], key));
        has(&page, &format!("{at:.4} ({low:.4} to {high:.4})"));
    }
    assert_eq!(page.matches("<svg").count(), 5);
    assert!(page.contains(&format!("refuses above N = {}", value["refusal"]["people_at_most"])));
    // What shipped was not measured on people who were made up.
    assert!(at(&value, "shipped_apart") > 0.01, "{value}");
    let (page, value) = with(&["cluster"]);
    for key in ["precision", "recall", "f_measure"] {
        has(&page, &format!("{:.2} %", at(&value[key], "at") * 100.0));
    }
}

#[test]
fn a_page_of_lfw_shows_its_worst_pairs() {
    let Some(photos) = stock("a page of LFW's protocol") else { return };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (from, to) in
        [("obama", "Ann/Ann_0001"), ("obama2", "Ann/Ann_0002"), ("biden", "Bob/Bob_0001")]
    {
        let to = folder.join(format!("images/{to}.jpg"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(photos.join(format!("{from}.jpg")), to).unwrap();
    }
    std::fs::write(folder.join("pairs.txt"), "1\nAnn 1 2\nAnn 1 Bob 1\n").unwrap();
    let lfw = ["--model", "dlib", "eval", "lfw", "--images", "images", "--pairs", "pairs.txt"];
    let (page, value) = paged(folder, &[&lfw[..], &["--html", "out.html"]].concat());
    for (kind, other) in
        [("nearest_impostors", "Bob/Bob_0001.jpg"), ("furthest_genuine", "Ann/Ann_0002.jpg")]
    {
        let pair = &value[kind][0];
        assert_eq!((value[kind].as_array().unwrap().len(), &pair[2]), (1, &other.into()));
        has(&page, &format!("{:.3}", pair[0].as_f64().unwrap()));
    }
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), 4);
    has(&page, &format!("{:.3} L2", at(&value, "threshold")));
}

#[test]
fn a_page_that_is_none_and_pictures_without_a_page_are_refused() {
    let said = |ran: Ran, text: &str| {
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    };
    let verify = ["eval", "verify", "--embeddings", "none"];
    let with = |more: &[&str]| run(threshold(&[]).args(verify).args(more));
    said(with(&["--html", "out.json"]), "a page's name ends in .html");
    said(with(&["--images", "."]), "--html");
    said(with(&["--html", "out.html", "--images", "nowhere"]), "nowhere: No such file");
    said(with(&["--html", "out.html"]), "none: No such file");
}
