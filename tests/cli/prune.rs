//! `threshold log prune` with both binaries: pulled, pruned, verified, and looked at on the unit's own medium.

use crate::binary::{Ran, Unit, binaries, fill_log, run};
use crate::pairing::{OPTIONS, paired, typed};
use std::process::Command;
use threshold_wire::message::LOG_PRUNE_LEAVES;

fn ada(unit: &Unit, args: &[&str]) -> Ran {
    typed(unit, "ada", args, "")
}

/// Looks at the medium of a unit that does not run.
fn store(unit: &Unit, what: &str) -> Ran {
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.args(["store", what, "data"]).current_dir(unit.folder.path());
    run(&mut command)
}

#[test]
fn a_log_is_pruned_and_nothing_of_it_is_missed() {
    let mut unit = paired(&OPTIONS);
    let nothing = ada(&unit, &["log", "prune"]);
    assert!(nothing.stdout.starts_with("nothing is there to prune: "), "{nothing:?}");
    unit.kill();
    fill_log(&unit, 105_000);
    unit.restart(&OPTIONS);
    // The unit's clock was never set: nothing is known to be old.
    let young = ada(&unit, &["--json", "log", "prune", "--keep-days", "1"]).json();
    assert_eq!((&young["entries"], &young["entry"]), (&0.into(), &serde_json::Value::Null));
    let pruned = ada(&unit, &["--json", "log", "prune"]);
    assert_eq!(pruned.status, 0, "{pruned:?}");
    let pruned = pruned.json();
    let number = |value: &serde_json::Value, key: &str| value[key].as_u64().unwrap();
    let (oldest, entry) = (number(&pruned, "oldest"), number(&pruned, "entry"));
    assert_eq!(number(&pruned, "entries"), oldest - 1);
    assert!(oldest > 1 && entry - oldest >= LOG_PRUNE_LEAVES, "{pruned}");
    let again = ada(&unit, &["--json", "log", "prune"]).json();
    assert_eq!((number(&again, "entries"), number(&again, "oldest")), (0, oldest));

    // What is kept is the whole history, and is verified across the prune with the unit and without it.
    let why = ada(&unit, &["--json", "why", &entry.to_string()]);
    assert!(why.stdout.contains("pruned"), "{why:?}");
    let verified = ada(&unit, &["--json", "log", "verify"]).json();
    assert_eq!((&verified["verdict"], &verified["first"]), (&"whole".into(), &1.into()));
    assert_eq!(verified["lost"], serde_json::json!([]));
    assert!(number(&verified, "last") >= entry);
    let pulled = ada(&unit, &["--json", "log", "pull", "--out", "log.csv"]).json();
    assert_eq!((&pulled["entries"], &pulled["last"]), (&pulled["kept_last"], &pulled["last"]));
    // Entries are shown from where the unit has them.
    let from = ada(&unit, &["log", "follow", "--from", "7", "--count", "1"]);
    assert!(from.stderr.contains("entries 7 to"), "{from:?}");
    assert!(from.stdout.contains(&oldest.to_string()), "{from:?}");

    unit.kill();
    for what in ["inspect", "verify"] {
        let looked = store(&unit, what);
        assert_eq!(looked.status, 0, "{looked:?}");
        let said = format!("the entries before {oldest} were pruned by an owner");
        assert!(format!("{}{}", looked.stdout, looked.stderr).contains(&said), "{looked:?}");
    }
    // A segment that still counts is a gap, and named.
    let data = unit.folder.path().join("data");
    let mut files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap()).collect();
    files.retain(|file| file.file_name().to_string_lossy().starts_with("events."));
    files.sort_by_key(std::fs::DirEntry::file_name);
    std::fs::remove_file(files[1].path()).unwrap();
    let gap = store(&unit, "verify");
    assert!(gap.status != 0 && gap.stderr.contains("is not as the unit wrote it"), "{gap:?}");
}
