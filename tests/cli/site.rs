//! One command at the units of a site: each is asked, each tells how it went, and a cable in the wrong socket is found.

use crate::binary::{Ran, Unit, run, threshold};
use std::path::Path;

/// A unit of that name without packs.
fn unit(name: &str) -> Unit {
    Unit::start(&["--packs", "no-packs", "--name", name])
}

/// A site of units and ports, in a folder of its own.
fn site(units: &[(&str, &Path)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines: Vec<String> =
        units.iter().map(|(name, port)| format!("{name} = '{}'\n", port.display())).collect();
    std::fs::write(folder.path().join("site.toml"), format!("[units]\n{}", lines.concat()))
        .unwrap();
    folder
}

fn at(site: &tempfile::TempDir, args: &[&str]) -> Ran {
    let mut command = threshold(&["--site", "site.toml"]);
    run(command.args(args).env("THRESHOLD_KEYS", "keys").current_dir(site.path()))
}

fn lines(ran: &Ran) -> Vec<serde_json::Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_command_goes_to_every_unit_and_says_of_each_how_it_went() {
    let (front, gate) = (unit("front"), unit("gate"));
    let port = |unit: &Unit| unit.folder.path().join("door");
    let site = site(&[("front", &port(&front)), ("gate", &port(&gate))]);
    let asked = at(&site, &["--json", "--unit", "all", "info"]);
    let said = lines(&asked);
    assert_eq!(asked.status, 0, "{asked:?}");
    assert_eq!((&said[0]["at"], &said[1]["unit"]), (&"front".into(), &"front".into()));
    assert_eq!((&said[2]["at"], &said[3]["unit"]), (&"gate".into(), &"gate".into()));
    assert_eq!(said[4]["units"][1]["result"], "done", "{said:?}");

    let one_file = at(&site, &["--unit", "front,gate", "log", "pull", "--out", "log.jsonl"]);
    assert_eq!(one_file.status, 2);
    assert!(
        one_file.stderr.contains("log.jsonl would take what several units say"),
        "{one_file:?}"
    );
    assert!(!site.path().join("log.jsonl").exists());
    let pulled = at(&site, &["--unit", "front,gate", "log", "pull", "--out", "log-{unit}.jsonl"]);
    assert_eq!(pulled.status, 0, "{pulled:?}");
    for name in ["front", "gate"] {
        let log = std::fs::read_to_string(site.path().join(format!("log-{name}.jsonl"))).unwrap();
        assert!(log.lines().count() >= 2, "{name}: {log}");
    }

    let follow = ["--json", "--unit", "all", "log", "follow", "--from", "1"];
    let for_ever = at(&site, &follow);
    let (error, remedy) = for_ever.error();
    assert_eq!(error, "log follow at several units would never come to the second one");
    assert!(remedy.starts_with("--count"), "{remedy}");
    let counted = at(&site, &[&follow[..], &["--count", "1"]].concat());
    assert_eq!(counted.status, 0, "{counted:?}");

    let listed = at(&site, &["--json", "--unit", "all", "units"]).json();
    let states: Vec<_> =
        listed["units"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert_eq!(states, ["fault", "fault"], "{listed}");

    // The other one still answers.
    drop(gate);
    let half = at(&site, &["--json", "--unit", "all", "info"]);
    let said = lines(&half);
    let table = &said.last().unwrap()["units"];
    assert_eq!((&table[0]["result"], &table[1]["result"]), (&"done".into(), &"failed".into()));
    assert!(half.stderr.contains("the command failed at 1 of 2 units"), "{half:?}");
    assert_eq!(half.status, 2);
}

#[test]
fn a_unit_that_is_not_the_one_that_the_site_names_is_refused() {
    let front = unit("front");
    let site = site(&[("gate", &front.folder.path().join("door"))]);
    let refused = at(&site, &["--unit", "gate", "gallery", "list"]);
    let (error, remedy) = refused.error();
    assert!(error.ends_with("calls itself front, and the site calls it gate"), "{error}");
    assert!(remedy.starts_with("plug the cables in as the site file says"), "{remedy}");
    let none = run(&mut threshold(&["--site", "none.toml", "info"]));
    assert!(none.error().0.starts_with("site file none.toml: "), "{none:?}");
}
