//! The paper's tables as the tool makes them: every cell has a figure or says that there is none, and an accuracy comes from a run
//! alone.

use crate::binary::{run, stock, threshold};
use serde_json::{Value, json};

fn table(args: &[&str]) -> Value {
    run(&mut threshold(&[&["--json", "--threads", "1", "table"], args].concat())).json()
}

#[test]
fn the_networks_are_timed_and_only_a_run_says_how_right_one_is() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display().to_string();
    std::fs::write(folder.path().join("run.toml"), "stage = \"rnet\"\n").unwrap();
    let epochs = json!([{"epoch": 1, "accuracy": {"all": 0.9475}}]);
    let outcome = json!({"validation": [2000, 500], "over": true, "epochs": epochs});
    std::fs::write(folder.path().join("run.json"), outcome.to_string()).unwrap();
    let made = table(&["1", "--turns", "1", "--run", &at]);
    let rows = made["networks"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["network"].as_str().unwrap()).collect();
    assert_eq!(names, ["12net", "pnet", "24net", "rnet", "48net", "onet"]);
    for row in rows {
        assert!(row["seconds"].as_f64().unwrap() > 0.0 && row["macs"].as_u64().unwrap() > 0);
        let accuracy = if row["network"] == "rnet" { json!(94.75) } else { Value::Null };
        assert_eq!(row["accuracy"], accuracy, "{row}");
        let windows = if row["network"] == "rnet" { json!(2000) } else { Value::Null };
        assert_eq!(row["accuracy_windows"], windows, "{row}");
    }
    let ran = run(&mut threshold(&["table", "1", "--run", &at, "--run", &at]));
    assert!(ran.error().0.contains("second run of rnet"), "{ran:?}");
    let ran = run(&mut threshold(&["table", "1", "--run", "nowhere"]));
    assert!(ran.error().0.contains("nowhere/run.toml"), "{ran:?}");
}

#[test]
fn detection_is_timed_and_the_third_table_needs_no_pack() {
    let made = table(&["3"]);
    assert_eq!(made["layers"][4]["paper_flops"], "135M");
    assert_eq!(made["layers"][4]["flops"].as_u64().unwrap() / 1_000_000, 335);
    assert!(made["lfw"].as_array().unwrap().iter().all(|row| row["accuracy"].is_null()));
    let Some(photos) = stock("frames a second") else { return };
    let photo = photos.join("obama.jpg").display().to_string();
    let made = table(&["2", "--image", &photo, "--calls", "2", "--min-face", "60"]);
    assert!(made["fps"].as_f64().unwrap() > 0.0 && made["faces"].as_u64().unwrap() > 0, "{made}");
    assert_eq!(made["paper"][0]["fps"], 93.0);
}
