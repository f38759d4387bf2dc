//! Pairing with both binaries: the label, the button, the code, and that what follows is sealed.

use crate::binary::{Ran, Unit, binaries, run};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Options of a unit with a button that a test can hold, and no packs: pairing needs none.
pub(crate) const OPTIONS: [&str; 4] = ["--packs", "no-packs", "--dev-button", "button"];

/// The code on the label of a unit that does not run.
pub(crate) fn label(unit: &Unit) -> String {
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.args(["label", "data"]).current_dir(unit.folder.path());
    let ran = run(&mut command);
    assert_eq!(ran.status, 0, "{ran:?}");
    ran.stdout.trim().strip_prefix("pairing code: ").unwrap().to_owned()
}

/// Runs `threshold` with a keychain of its own and something typed.
pub(crate) fn typed(unit: &Unit, keys: &str, args: &[&str], input: &str) -> Ran {
    let mut command = unit.command(args);
    command.env("THRESHOLD_KEYS", keys).stdin(Stdio::piped());
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A command that ends before it reads has no ears for this.
    let _ = process.stdin.take().unwrap().write_all(input.as_bytes());
    Ran::of(process.wait_with_output().unwrap())
}

/// A unit with a button among its options, whose owner has the keychain `ada`.
pub(crate) fn paired(options: &[&str]) -> Unit {
    let mut unit = Unit::start(options);
    unit.kill();
    let code = label(&unit);
    unit.restart(options);
    press_the_button(&unit);
    let paired = typed(&unit, "ada", &["--json", "pair", "Ada"], &code);
    assert_eq!(paired.json()["role"], "owner", "{paired:?}");
    assert_eq!(paired.json()["identity"].as_str().unwrap().len(), 64, "{paired:?}");
    unit
}

pub(crate) fn press_the_button(unit: &Unit) {
    let presses = || unit.said().matches("the button was pressed").count();
    let before = presses();
    std::fs::write(unit.folder.path().join("button"), "").unwrap();
    let begun = Instant::now();
    while presses() == before {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", unit.said());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_administrator_pairs_with_button_and_code_and_nobody_without() {
    let mut unit = Unit::start(&OPTIONS);
    unit.kill();
    let code = label(&unit);
    unit.restart(&OPTIONS);
    let refused = typed(&unit, "ada", &["pair", "Ada"], &code);
    let (error, remedy) = refused.error();
    assert_eq!(error, "the unit does not pair now");
    assert!(remedy.starts_with("hold the button"), "{remedy}");

    press_the_button(&unit);
    let none = typed(&unit, "ada", &["pair", "Ada"], "no code\n");
    assert!(none.error().0.starts_with("a code has 27 letters"), "{none:?}");
    let mut wrong: Vec<char> = code.chars().collect();
    let at = wrong.iter().position(|symbol| symbol.is_ascii_digit() && *symbol < '7').unwrap();
    wrong[at] = char::from(wrong[at] as u8 + 1);
    let wrong = typed(&unit, "ada", &["pair", "Ada"], &wrong.into_iter().collect::<String>());
    assert!(wrong.error().0.contains("has a wrong letter"), "{wrong:?}");
    // As a person types it.
    let spelt = format!("  {}\n", code.to_lowercase().replace('-', " "));
    let paired = typed(&unit, "ada", &["--json", "pair", "Ada"], &spelt);
    assert_eq!(paired.status, 0, "{paired:?}");
    assert_eq!(paired.json()["role"], "owner");

    // One press, one administrator; and what is said from here on is sealed.
    let second = typed(&unit, "eve", &["pair", "Eve"], &code);
    assert_eq!(second.error().0, "the unit does not pair now");
    let pulled = typed(&unit, "ada", &["--json", "log", "pull", "--out", "log.jsonl"], "");
    assert_eq!(pulled.status, 0, "{pulled:?}");

    // The next one looks, and has no more to say.
    press_the_button(&unit);
    let viewer = typed(&unit, "eve", &["--json", "pair", "Eve"], &code);
    assert_eq!(viewer.json()["role"], "viewer", "{viewer:?}");

    // Nobody else is obeyed any more, however trusted the line was.
    let stranger = typed(&unit, "nobody", &["gallery", "list"], "");
    assert!(stranger.error().0.contains("only for an administrator whom it knows"), "{stranger:?}");
    let refused = typed(&unit, "eve", &["administrators", "role", "Eve", "owner"], "");
    assert!(refused.error().0.contains("owner"), "{refused:?}");
    let done = typed(&unit, "ada", &["administrators", "role", "Eve", "enroller"], "");
    assert_eq!((done.status, done.stdout.trim()), (0, "Eve is enroller now"), "{done:?}");
    let listed = typed(&unit, "eve", &["--json", "administrators", "list"], "").json();
    let listed: Vec<(&str, &str, bool)> = listed["administrators"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |key: &str| one[key].as_str().unwrap();
            (text("name"), text("role"), one["you"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(listed, [("Ada", "owner", false), ("Eve", "enroller", true)]);
    let last = typed(&unit, "ada", &["administrators", "revoke", "Ada"], "");
    assert!(last.error().0.contains("last owner"), "{last:?}");
    let gone = typed(&unit, "ada", &["administrators", "revoke", "Eve"], "");
    assert_eq!(gone.status, 0, "{gone:?}");
    let shut_out = typed(&unit, "eve", &["gallery", "list"], "");
    assert!(shut_out.error().0.contains("does not know this administrator's key"), "{shut_out:?}");
    let info = typed(&unit, "ada", &["--json", "info"], "").json();
    assert_eq!(
        (&info["store"]["administrators"], &info["store"]["secret_keeper"]),
        (&1.into(), &"file".into())
    );

    // A restart changes nothing of it; another unit's name with another key does.
    unit.kill();
    unit.restart(&OPTIONS);
    assert_eq!(typed(&unit, "ada", &["log", "pull", "--out", "log.jsonl"], "").status, 0);
    std::fs::remove_dir_all(unit.folder.path().join("data")).unwrap();
    unit.kill();
    unit.restart(&OPTIONS);
    let foreign = typed(&unit, "ada", &["log", "pull", "--out", "log.jsonl"], "");
    let (error, _) = foreign.error();
    assert!(error.contains("does not know this administrator's key"), "{foreign:?}");
}

#[test]
fn an_administrator_gives_up_the_own_key_for_ever_and_the_last_owner_does_not() {
    let mut unit = paired(&OPTIONS);
    let last = typed(&unit, "ada", &["unpair"], "");
    assert!(last.error().0.contains("last owner"), "{last:?}");
    let never = typed(&unit, "nobody", &["unpair"], "");
    assert!(never.error().0.ends_with("was paired from here"), "{never:?}");
    unit.kill();
    let code = label(&unit);
    unit.restart(&OPTIONS);
    press_the_button(&unit);
    let max = typed(&unit, "max", &["pair", "Max"], &code);
    assert_eq!(max.status, 0, "{max:?}");
    let gone = typed(&unit, "max", &["--json", "unpair"], "");
    assert_eq!((&gone.json()["name"], &gone.json()["own"]), (&"Max".into(), &true.into()));
    // Forgotten at both ends, and known for what it is if it comes back.
    let stranger = typed(&unit, "max", &["gallery", "list"], "");
    assert!(stranger.error().0.contains("only for an administrator whom it knows"), "{stranger:?}");
    press_the_button(&unit);
    let again = typed(&unit, "max", &["pair", "Max"], &code);
    assert!(
        again.error().1.contains("another key (--keys) if this one was revoked there"),
        "{again:?}"
    );
    assert_eq!(typed(&unit, "ada", &["log", "pull", "--out", "log.jsonl"], "").status, 0);
}
