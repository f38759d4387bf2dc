//! The unit's port as the administrator finds it: not there, in use, silent, unplugged in the middle of a command.

use crate::binary::{Unit, run, threshold};
use serialport::{SerialPort as _, TTYPort};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use threshold_host::gallery_file;
use threshold_host::keychain::Keychain;
use threshold_record::ModelId;
use threshold_tests::cable::Cable;
use threshold_wire::gallery::content::{self, Origin};

/// A unit without packs: it answers, and that is all that is asked of it here.
fn bare_unit() -> Unit {
    Unit::start(&["--packs", "no-packs"])
}

/// A follower of the log that is in the middle of its work: its first line has come.
fn following(unit: &Unit) -> (Child, BufReader<ChildStdout>) {
    let mut command = unit.command(&["log", "follow", "--from", "1"]);
    let mut follow = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(follow.stdout.take().unwrap());
    let mut first = String::new();
    out.read_line(&mut first).unwrap();
    assert!(first.contains("The unit started"), "{first}");
    (follow, out)
}

#[test]
fn a_port_that_is_not_named_or_not_there_is_said_with_what_to_do() {
    let ran = run(&mut threshold(&["info"]));
    let (error, remedy) = ran.error();
    assert_eq!(error, "no unit is named");
    assert!(remedy.starts_with("--unit <port> or THRESHOLD_UNIT; "), "{remedy}");
    let ran = run(&mut threshold(&["--unit", "/dev/ttyNONE9", "info"]));
    let (error, remedy) = ran.error();
    assert_eq!(error, "there is no port /dev/ttyNONE9");
    assert!(remedy.starts_with("plug the unit in, or --wait; "), "{remedy}");
    let ran = run(&mut threshold(&["--unit", "/dev/null", "info"]));
    assert!(ran.error().1.contains("name a serial port"), "{ran:?}");
}

/// Every command that speaks to a unit, but for those that need a bundle, photos or a vault first.
const COMMANDS: [&str; 42] = [
    "info",
    "stats",
    "pair Ada",
    "unpair",
    "commission",
    "administrators list",
    "administrators revoke Ada",
    "administrators role Ada owner",
    "gallery list",
    "gallery show Ada",
    "gallery remove Ada",
    "gallery pull --out pulled",
    "gallery push file",
    "gallery diff file",
    "gallery verify file",
    "log pull",
    "log pull --out log.jsonl",
    "log follow",
    "log verify",
    "log prune",
    "slots",
    "confirm",
    "revert",
    "reboot",
    "wipe --yes-wipe door",
    "why 1",
    "policy show",
    "policy set --target 1e-3",
    "policy mode verify",
    "policy acknowledge --photo-opens-this-door",
    "policy withdraw",
    "policy passback 5",
    "policy reserve 3",
    "calibrate",
    "clock show",
    "clock set",
    "config get",
    "config set engine.min_face_px=90",
    "access show Ada",
    "schedule list",
    "schedule remove Night",
    "enrol Ada --at-door",
];

/// A file that somebody with the keychain `keys` can open.
fn write_gallery_file(folder: &Path) {
    let keychain = Keychain::meant(Some(&folder.join("keys")));
    let key = keychain.secret_or_new().unwrap();
    let origin = Origin { model: ModelId([7; 32]), store_id: [9; 16], generation: 1 };
    let content = content::write(&origin, [].iter(), std::iter::empty()).unwrap();
    gallery_file::write(&folder.join("file"), &key, key.public(), &content).unwrap();
}

#[test]
fn every_command_ends_in_time_at_a_port_that_nobody_answers_on() {
    let folder = tempfile::tempdir().unwrap();
    write_gallery_file(folder.path());
    let start = |typed: &&'static str| {
        let (master, slave) = TTYPort::pair().unwrap();
        let name = slave.name().unwrap();
        let typed: Vec<&str> = typed.split(' ').collect();
        let mut command = threshold(&[&["--unit", &name, "--keys", "keys"], &typed[..]].concat());
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        (command.spawn().unwrap(), master, slave)
    };
    // All at once: each waits for most of its time.
    let started: Vec<_> = COMMANDS.iter().map(start).collect();
    let begun = Instant::now();
    for (typed, (process, _master, _slave)) in COMMANDS.iter().zip(started) {
        let output = process.wait_with_output().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(5), "{typed}: {:?}", begun.elapsed());
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{typed}: {said}");
        assert!(said.contains("did not answer"), "{typed}: {said}");
        assert!(said.contains("try: check that the unit is on"), "{typed}: {said}");
    }
}

#[test]
fn a_port_in_use_is_said_to_be() {
    let unit = bare_unit();
    let (mut follow, _out) = following(&unit);
    let ran = unit.run(&["info"]);
    let _ = follow.kill();
    follow.wait().unwrap();
    let (error, remedy) = ran.error();
    assert_eq!(error, "port door is in use by another program");
    assert!(remedy.contains("close the other program"), "{remedy}");
    // And it is free again once the follower is gone, even by force.
    assert_eq!(unit.run(&["--wait=10", "info"]).status, 0);
}

#[test]
fn a_unit_that_goes_away_in_the_middle_ends_the_command_with_a_reason() {
    let mut unit = bare_unit();
    let (follow, _out) = following(&unit);
    unit.kill();
    let begun = Instant::now();
    let output = follow.wait_with_output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("the unit on door was unplugged or its program ended"), "{said}");
    assert!(said.contains("try: plug it in again and repeat the command"), "{said}");
}

#[test]
fn a_follower_that_waits_goes_on_once_the_cable_is_back_and_misses_nothing() {
    let unit = bare_unit();
    let folder = unit.folder.path();
    let cable = Cable::lay(&folder.join("door"), &folder.join("cable"), &[]);
    let mut follow = threshold(&["--json", "--wait=60", "--unit", "cable", "log", "follow"]);
    follow.args(["--from", "1"]).current_dir(folder);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (lines, rows) = mpsc::channel();
    let out = BufReader::new(follow.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        out.lines().map_while(Result::ok).all(|line| lines.send(line).is_ok())
    });
    let mut sequences = Vec::new();
    let mut until_decisions = |count: usize| {
        let mut decisions = 0;
        while decisions < count {
            let row = rows.recv_timeout(Duration::from_secs(30)).expect("the follower goes on");
            let row: serde_json::Value = serde_json::from_str(&row).unwrap();
            sequences.push(row["sequence"].as_u64().unwrap());
            decisions += usize::from(row["kind"] == "decision");
        }
        sequences.clone()
    };
    // Whoever comes is refused, since the unit has no packs, and that is written down.
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures/rotated.jpg");
    let comes = |name: &str| {
        std::fs::copy(&picture, folder.join("arriving")).unwrap();
        std::fs::rename(folder.join("arriving"), folder.join("camera").join(name)).unwrap();
    };
    comes("0.jpg");
    until_decisions(1);
    for (during, after) in [("1.jpg", "2.jpg"), ("3.jpg", "4.jpg")] {
        cable.pull_out();
        comes(during);
        std::thread::sleep(Duration::from_millis(400));
        comes(after);
        until_decisions(2);
    }
    let _ = follow.kill();
    follow.wait().unwrap();
    let _ = reader.join();
    let _ = cable.end();
    let seen = until_decisions(0);
    let all: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, all, "every entry once, in order");
}
