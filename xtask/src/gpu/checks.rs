//! What the report says of whether a card is right: random shapes, sanitizers, a hundred thousand frames, people told apart.

use super::report::{missing, table};
use super::results::{Results, list};
use serde_json::Value;

/// The section of one card's results.
pub(super) fn section(results: &Results) -> String {
    let parts = [rounds(results), sanitized(results), soak(&results.soak), accuracy(results)];
    format!("\n## Checks\n{}", parts.concat())
}

fn rounds(results: &Results) -> String {
    if results.rounds.is_empty() {
        return format!("\nRandom shapes: {} (`rounds.json`).\n", missing());
    }
    let rows = results.rounds.iter().map(|row| {
        ["test", "done", "of"].map(|key| row[key].to_string().replace('"', "")).to_vec()
    });
    format!("\n{}", table(&["random shapes of", "rounds done", "of"], rows))
}

fn sanitized(results: &Results) -> String {
    if results.sanitize.is_empty() {
        return format!("\nSanitizers: {} (`sanitize.json`).\n", missing());
    }
    let mut tools: Vec<&str> =
        results.sanitize.iter().filter_map(|row| row["tool"].as_str()).collect();
    tools.sort_unstable();
    tools.dedup();
    let rows = tools.into_iter().map(|tool| {
        let rows: Vec<_> = results.sanitize.iter().filter(|row| row["tool"] == tool).collect();
        let clean = rows.iter().filter(|row| row["result"] == "ok").count();
        let others = rows.iter().filter(|row| row["result"] != "ok");
        let text = |row: &Value, key: &str| row[key].as_str().unwrap_or("?").to_owned();
        let others: Vec<String> =
            others.map(|row| format!("{} {}", text(row, "test"), text(row, "result"))).collect();
        vec![tool.to_owned(), rows.len().to_string(), clean.to_string(), others.join("; ")]
    });
    format!("\n{}", table(&["sanitizer", "tests", "clean", "others"], rows))
}

fn soak(soak: &Value) -> String {
    let number = |key: &str| soak[key].as_u64();
    let (Some(frames), Some(distinct), Some(other)) =
        (number("frames"), number("distinct"), number("other_bits"))
    else {
        return format!("\nA hundred thousand frames: {} (`soak.json`).\n", missing());
    };
    let faces = soak["frames_by_faces_embedded"].as_object();
    let without = faces.and_then(|faces| faces.get("0")).and_then(Value::as_u64).unwrap_or(0);
    let bytes = |key: &str| number(key).map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    format!(
        "\n{frames} drawn frames of two sizes through the graph with two galleries by turns (`run.sh soak`), {without} of them without a \
         face: {other} gave other bits than the same frame before ({distinct} different ones), the process grew by {} bytes, the device lost \
         {}, and a frame took {:.3} times as long in the last tenth as in the first.\n",
        bytes("grown_bytes"),
        bytes("device_taken_bytes"),
        soak["slower"].as_f64().unwrap_or(f64::NAN),
    )
}

fn accuracy(results: &Results) -> String {
    if results.accuracy.is_empty() {
        return format!("\nAccuracy: {} (`accuracy-*.json`).\n", missing());
    }
    let mut section = String::new();
    for of in &results.accuracy {
        let row = |what: &str, flips: &Value, moved: &Value| {
            let number = |key: &str| flips[key].as_f64();
            let told = |value: Option<f64>, digits: usize| {
                value.map_or_else(String::new, |value| format!("{value:.digits$}"))
            };
            let moved: Vec<String> =
                list(moved).iter().filter_map(Value::as_f64).map(|px| format!("{px:.2}")).collect();
            vec![
                what.to_owned(),
                told(number("accuracy").map(|part| part * 100.0), 2) + " %",
                flips["flips"].as_u64().map_or_else(String::new, |flips| flips.to_string()),
                told(number("apart"), 4),
                moved.join(", "),
            ]
        };
        let mut rows = vec![
            row("CPU engine, f32", of, &Value::Null),
            row("the same faces, embedded on the card", &of["same_faces"], &Value::Null),
            row("through the graph", &of["graph"], &of["graph_moved_px"]),
        ];
        for noisy in list(&of["noisy"]) {
            let what = "CPU engine, f32, each value a grey level up, down or as it was";
            rows.push(row(what, &noisy["pairs"], &noisy["moved_px"]));
        }
        let text = |key: &str| of[key].as_str().unwrap_or("?").to_owned();
        section += &format!(
            "\n{}, {} pairs of {} pictures (`run.sh accuracy`). Flips: pairs judged otherwise at the CPU engine's threshold. Apart: the most \
             that a pair's distance differs, {}. Moved: how far the face's box lies from the CPU engine's, pixels that 50, 90, 99 and 100 % \
             stay within.\n\n{}",
            text("model_name"),
            of["pairs"],
            of["pictures"],
            text("metric"),
            table(&["arithmetic", "accuracy", "flips", "apart", "moved"], rows)
        );
    }
    section
}
