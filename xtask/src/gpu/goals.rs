//! What was wanted of a card and what it gave: the first table of a card's results.
//!
//! Owns the limits. Refuses to leave a goal out: one without a result stands there as not measured.

use super::report::{FRAME, missing, table, told};
use super::results::{Results, list, peer_ms};
use serde_json::Value;

/// A value that is wanted to be at most, or at least.
#[derive(Clone, Copy)]
enum Wanted {
    AtMost(f64),
    AtLeast(f64),
}

use Wanted::{AtLeast, AtMost};

const FACENET: &str = "Inception-ResNet-v1";

/// The section of one card's results.
pub(super) fn section(results: &Results) -> String {
    let mut rows: Vec<_> = whole_frames(results).into_iter().map(row).collect();
    rows.extend([1, 4, 8, 32].map(|batch| beside_the_best(results, batch)));
    rows.extend(networks(results).into_iter().map(row));
    format!("\n## Goals\n\n{}", table(&["figure", "wanted", "measured", "", "field"], rows))
}

type Goal = (&'static str, Wanted, Option<f64>, &'static str);

fn row((what, wanted, value, field): Goal) -> Vec<String> {
    let (told_wanted, kept) = match wanted {
        AtMost(limit) => (format!("<= {limit}"), value.map(|value| value <= limit)),
        AtLeast(limit) => (format!(">= {limit}"), value.map(|value| value >= limit)),
    };
    let kept = kept.map_or("", |kept| if kept { "kept" } else { "**missed**" });
    let measured = value.map_or_else(missing, |value| told(Some(value)));
    vec![what.to_owned(), told_wanted, measured, kept.to_owned(), format!("`{field}`")]
}

fn over(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

fn whole_frames(results: &Results) -> [Goal; 10] {
    let (name, least) = FRAME;
    let alone = |frame: &str| results.frame(frame, least)["p50_ms"].as_f64();
    let facenet =
        |frame: &str, least: f64, key: &str| results.frame(frame, least)["facenet"][key].as_f64();
    let to_candidates = |frame: &str| facenet(frame, least, "p50_ms");
    let peer = results.peer_frame(name, least)["embedded_p50_ms"].as_f64();
    let mut theirs = list(&results.detect_peer["networks"]).iter();
    let theirs = theirs.find(|row| row["frame"] == name).and_then(peer_ms);
    let in_a_second = &results.frame("640x480-1", least)["frames_a_second"]["one_at_a_time"];
    let candidates = "detect.json frames[].facenet.p50_ms";
    let detection = "detect.json frames[].p50_ms";
    [
        (
            "1280 x 720, min face 40, 1 face: frame to candidates (FaceNet, 1,000 people), ms",
            AtMost(0.35),
            to_candidates(name),
            candidates,
        ),
        (
            "of a hundred such frames the slowest but one, ms",
            AtMost(0.5),
            facenet(name, least, "p99_ms"),
            "detect.json frames[].facenet.p99_ms",
        ),
        (
            "the same with 6 faces / 1 face",
            AtMost(2.0),
            over(to_candidates("1280x720-6"), to_candidates(name)),
            candidates,
        ),
        (
            "with 20 faces, of which the 8 largest are embedded / 1 face",
            AtMost(4.0),
            over(to_candidates("1280x720-20"), to_candidates(name)),
            candidates,
        ),
        ("detection alone, ms", AtMost(0.15), alone(name), detection),
        (
            "detection, 20 faces / 1 face",
            AtMost(2.0),
            over(alone("1280x720-20"), alone(name)),
            detection,
        ),
        (
            "1920 x 1080, min face 20, 1 face: frame to candidates, ms",
            AtMost(0.8),
            facenet("1920x1080-1", 20.0, "p50_ms"),
            candidates,
        ),
        (
            "640 x 480, min face 40, 1 face: detections a second, each frame copied, one at a time",
            AtLeast(3000.0),
            in_a_second.as_f64(),
            "detect.json frames[].frames_a_second.one_at_a_time",
        ),
        (
            "facenet-pytorch end to end (without a search) / ours",
            AtLeast(20.0),
            over(peer, to_candidates(name)),
            "detect/peer.json frames[].embedded_p50_ms",
        ),
        (
            "the cascade's networks alone in PyTorch's CUDA graph / our whole detection",
            AtLeast(1.0),
            over(theirs, alone(name)),
            "detect/peer.json networks[].p50_ms",
        ),
    ]
}

/// FaceNet by the quickest way of PyTorch over ours.
fn beside_the_best(results: &Results, batch: usize) -> Vec<String> {
    let rows = list(&results.embed_peer["rows"]).iter();
    let same: Vec<&Value> =
        rows.filter(|row| row["batch"].as_u64() == Some(batch as u64)).collect();
    let best = same.iter().filter_map(|row| peer_ms(row)).min_by(f64::total_cmp);
    let is_compiled = |row: &&&Value| {
        row["network"].as_str().is_some_and(|name| name.contains("compile"))
            && peer_ms(row).is_some()
    };
    let ours = results.network_us(FACENET, batch, "p50_us").map(|us| us / 1e3);
    let field = "embed/peer.json rows[].p50_ms, embed.json networks[].p50_us";
    let mut cells = row(("", AtLeast(1.0), over(best, ours), field));
    cells[0] = format!("the best PyTorch variant of FaceNet / ours, batch {batch}");
    if best.is_some() && !same.iter().any(|row| is_compiled(&row)) {
        cells[2] += " (torch.compile not measured)";
        "open".clone_into(&mut cells[3]);
    }
    cells
}

fn networks(results: &Results) -> [Goal; 4] {
    let network = |batch| results.network_us(FACENET, batch, "p50_us").map(|us| us / 1e3);
    let mut searches = list(&results.embed["searches"]).iter();
    let search = searches.find(|row| {
        let is = |key: &str, n: u64| row[key].as_u64() == Some(n);
        row["element"] == "int8"
            && is("templates", 100_000)
            && is("components", 512)
            && is("probes", 1)
    });
    let mut models = results.accuracy.iter();
    let facenet = models.find(|of| {
        of["model_name"].as_str().is_some_and(|name| name.to_lowercase().contains("facenet"))
    });
    let lost = facenet.and_then(|of| {
        Some(100.0 * (of["accuracy"].as_f64()? - of["graph"]["accuracy"].as_f64()?))
    });
    [
        ("FaceNet, batch 1, ms", AtMost(0.2), network(1), "embed.json networks[].p50_us"),
        ("FaceNet, batch 8, ms", AtMost(0.35), network(8), "embed.json networks[].p50_us"),
        (
            "one probe among 100,000 x 512 int8, ms",
            AtMost(0.05),
            search.and_then(|row| Some(row["p50_us"].as_f64()? / 1e3)),
            "embed.json searches[].p50_us",
        ),
        (
            "LFW's dev folds, FaceNet: points that the graph is below f32",
            AtMost(0.05),
            lost,
            "detect/accuracy-MODEL.json accuracy, graph.accuracy",
        ),
    ]
}
