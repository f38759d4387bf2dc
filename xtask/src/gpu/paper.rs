//! What the report says of frames a second, and of the paper's tables 1 and 2 measured again.
//!
//! Owns the words beside them; the paper's figures of Table 1 are `net::PAPER_NETWORKS`.

use super::report::{missing, table, told};
use super::results::{Results, list};
use serde_json::Value;
use threshold_models::net::{PAPER_NETWORKS, PAPER_PASSES};

/// Of the paper's Table 2, on a Titan Black.
const PAPER_FPS: f64 = 93.0;

/// Frames a second with the copy of each: one at a time, and two under way.
pub(super) fn in_a_second(results: &Results) -> String {
    let both = |of: &Value| {
        let of = &of["frames_a_second"];
        Some((of["one_at_a_time"].as_f64()?, of["two_under_way"].as_f64()?))
    };
    let rows = list(&results.detect["frames"]).iter().filter_map(|row| {
        let mut cells = vec![
            row["frame"].as_str().unwrap_or("?").to_owned(),
            row["min_face"].to_string(),
            row["faces"].to_string(),
        ];
        both(row)?;
        for (one, two) in [row, &row["dlib"], &row["facenet"]].into_iter().filter_map(both) {
            cells.extend([format!("{one:.0}"), format!("{two:.0}"), told(Some(two / one))]);
        }
        Some(cells)
    });
    let rows: Vec<_> = rows.collect();
    let head = "\n## Frames a second\n\n";
    if rows.is_empty() {
        return format!("{head}{} (`detect.json` frames[].frames_a_second).\n", missing());
    }
    let columns = [
        "frame",
        "min face",
        "faces",
        "detection, one",
        "two",
        "times",
        "with dlib, one",
        "two",
        "times",
        "with FaceNet, one",
        "two",
        "times",
    ];
    format!(
        "{head}Each frame copied from memory that is not pinned. *One*: a frame ends before the next is copied. *Two*: two are under way, so that one \
         is copied, and read over the bus, while the card works on the other.\n\n{}",
        table(&columns, rows)
    )
}

/// Both tables.
pub(super) fn tables(results: &Results) -> String {
    table_1(results) + &table_2(results)
}

fn table_1(results: &Results) -> String {
    let head = "\n## The paper's Table 1\n\n";
    let measured = list(&results.detect["table_1"]["networks"]);
    if measured.is_empty() {
        return format!("{head}{} (`detect.json` table_1).\n", missing());
    }
    let seconds = |value: &Value| value.as_f64().map_or_else(String::new, |s| format!("{s:.4}"));
    let of = |name: &str| measured.iter().find(|row| row["network"] == name);
    let rows = PAPER_NETWORKS.iter().map(|paper| {
        let row = of(paper.network).unwrap_or(&Value::Null);
        let macs = |key: &str| row[key].as_f64().map(|macs| macs / 1e6);
        vec![
            paper.group.to_string(),
            paper.network.to_owned(),
            format!("{:.3}", paper.seconds),
            seconds(&row["seconds"]),
            told(row["seconds"].as_f64().map(|here| paper.seconds / here)),
            seconds(&row["own_seconds"]),
            row["launches"].to_string(),
            told(macs("macs")),
            told(macs("run_macs")),
        ]
    });
    let columns = [
        "group",
        "network",
        "paper, s",
        "here, s",
        "times the paper's",
        "by its own kernels, s",
        "launches",
        "MMAC",
        "MMAC run",
    ];
    format!(
        "{head}{PAPER_PASSES} forward passes of one window, one after the other, each a graph that is waited for (from {} in a row, the median of {} turns). All six by the \
         embedders' kernels, with drawn weights, in half precision, without the softmax and with channels filled up to eights: *MMAC run* has what that adds. MTCNN's three \
         also by the cascade's own kernels, R-Net and O-Net with the crop and its resizing. With one window a pass is a few launches in a row, and what the layers compute \
         hardly matters. The paper's card is a Titan Black; it does not tell how many windows a pass has.\n\n{}",
        results.detect["table_1"]["passes"],
        results.detect["table_1"]["turns"],
        table(&columns, rows)
    )
}

fn table_2(results: &Results) -> String {
    let row = |what: &str, ms: Option<f64>| {
        let fps = ms.map(|ms| 1e3 / ms);
        vec![
            what.to_owned(),
            fps.map_or_else(missing, |fps| format!("{fps:.0}")),
            told(fps.map(|fps| fps / PAPER_FPS)),
        ]
    };
    let ms = |frame: &str, least: f64| results.frame(frame, least)["copied_p50_ms"].as_f64();
    let rows = vec![
        vec![
            "the paper, Titan Black (Table 2)".to_owned(),
            format!("{PAPER_FPS:.0}"),
            "1".to_owned(),
        ],
        row("ours, 640 x 480, min face 20, 1 face", ms("640x480-1", 20.0)),
        row("ours, 640 x 480, min face 20, 20 faces", ms("640x480-20", 20.0)),
        row("ours, 1280 x 720, min face 40, 1 face", ms("1280x720-1", 40.0)),
        row(
            "facenet-pytorch, 640 x 480, min face 20, 1 face",
            results.peer_frame("640x480-1", 20.0)["p50_ms"].as_f64(),
        ),
    ];
    format!(
        "\n## The paper's Table 2\n\nFrames a second, one after the other, the copy of the frame included. The paper does not tell its frame; \
         its card has 5.1 TFLOP/s of f32, so that the ratio is of cards as well.\n\n{}",
        table(&["what", "FPS", "times the paper's"], rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn results(detect: Value) -> Results {
        Results { detect, ..Results::default() }
    }

    #[test]
    fn what_no_card_has_measured_is_said_to_be_missing() {
        let none = results(json!({"frames": [{"frame": "640x480-1", "min_face": 20.0}]}));
        assert!(in_a_second(&none).contains("not measured yet"));
        assert!(table_1(&none).contains("not measured yet"));
    }

    #[test]
    fn two_under_way_stand_beside_one_and_a_network_beside_the_papers() {
        let a_second = |one: f64| json!({"one_at_a_time": one, "two_under_way": 1.5 * one});
        let row = json!({
            "frame": "1280x720-1", "min_face": 40.0, "faces": 1, "frames_a_second": a_second(4000.0),
            "dlib": {"frames_a_second": a_second(2000.0)}, "facenet": {"frames_a_second": a_second(1000.0)},
        });
        let network = json!({
            "network": "O-Net", "seconds": 0.0141, "own_seconds": 0.01, "launches": 9, "macs": 12_909_952, "run_macs": 13_000_000,
        });
        let table = json!({"passes": 300, "turns": 5, "networks": [network]});
        let measured = results(json!({"frames": [row], "table_1": table}));
        let line = "| 1280x720-1 | 40.0 | 1 | 4000 | 6000 | 1.50 | 2000 | 3000 | 1.50 | 1000 | 1500 | 1.50 |";
        assert!(in_a_second(&measured).contains(line), "{}", in_a_second(&measured));
        let line = "| 3 | O-Net | 1.411 | 0.0141 | 100 | 0.0100 | 9 | 12.9 | 13.0 |";
        assert!(table_1(&measured).contains(line), "{}", table_1(&measured));
    }
}
