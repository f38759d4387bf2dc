//! The unit's port as the administrator finds it: not there, in use, silent, unplugged in the middle of a command.

use crate::binary::{Ran, Unit, fill_log, run, stock, threshold};
use crate::pairing::{OPTIONS, paired};
use clap::CommandFactory as _;
use serialport::{SerialPort as _, TTYPort};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use threshold_host::args::Typed;
use threshold_host::gallery_file;
use threshold_host::keychain::{Keychain, KnownUnit};
use threshold_record::{ModelId, Person, PersonId, Role, Template};
use threshold_tests::cable::Cable;
use threshold_tests::lots::Lots;
use threshold_wire::gallery::content::{self, Origin, Told};

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

/// Every command that speaks to a unit, but for those of [`ELSEWHERE`]; each once at least.
const COMMANDS: [&str; 51] = [
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
    "gallery export --for other --out sealed",
    "log pull",
    "log pull --from 1",
    "log pull --out log.jsonl",
    "log follow",
    "log follow --from 1 --count 1",
    "log verify",
    "log prune",
    "log prune --keep-days 30",
    "slots",
    "confirm",
    "revert",
    "unlock",
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
    "config diff config.toml",
    "access show Ada",
    "access set Ada --from 2026-01-31 --badge w26:1:2",
    "access set Ada --clear-credentials",
    "schedule list",
    "schedule set Night mon-fri 22:00-06:00",
    "schedule remove Night",
    "enrol Ada --at-door",
];

/// Commands that are not among them: they speak to no unit (`units` shows of each why it does not answer), or need a bundle or a
/// vault first, and then begin as `slots` and `gallery pull` do.
const ELSEWHERE: [&str; 41] = [
    "bench detect",
    "bench embed",
    "bench network",
    "bench start",
    "cluster",
    "compare",
    "detect",
    "eval calibrate",
    "eval cluster",
    "eval detection",
    "eval embed",
    "eval forecast",
    "eval identify",
    "eval landmarks",
    "eval lfw",
    "eval pad",
    "eval quality",
    "eval verify",
    "flash",
    "log report",
    "model fetch",
    "model import",
    "model info",
    "model layers",
    "model list",
    "policy forecast",
    "table 1",
    "table 2",
    "table 3",
    "train",
    "units",
    "vault audit",
    "vault backup",
    "vault consent",
    "vault export",
    "vault import",
    "vault init",
    "vault list",
    "vault re-embed",
    "vault remove",
    "vault restore",
];

/// A file that somebody with the keychain `keys` can open.
fn write_gallery_file(folder: &Path) {
    let keychain = Keychain::meant(Some(&folder.join("keys")));
    let key = keychain.secret_or_new().unwrap();
    keychain.keep("other", Some(KnownUnit::of(&[1; 32], Role::Owner))).unwrap();
    let origin = Origin { model: ModelId([7; 32]), store_id: [9; 16], generation: 1 };
    let content = content::write(&origin, [].iter(), std::iter::empty()).unwrap();
    gallery_file::write(&folder.join("file"), &key, key.public(), &content).unwrap();
    std::fs::write(folder.join("config.toml"), "[engine]\nmin_face_px = 60\n").unwrap();
}

/// The commands that have none below them, as they are typed.
fn leaves(command: &clap::Command, path: &str, leaves: &mut BTreeSet<String>) {
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        match below.has_subcommands() {
            true => self::leaves(below, &path, leaves),
            false => drop(leaves.insert(path)),
        }
    }
}

#[test]
fn every_command_there_is_is_tried_on_a_dead_line_or_named_as_one_that_is_not() {
    let mut all = BTreeSet::new();
    leaves(&Typed::command(), "", &mut all);
    let tried = |leaf: &str| {
        COMMANDS.iter().any(|typed| {
            typed.strip_prefix(leaf).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })
    };
    let untried: Vec<&str> = all.iter().map(String::as_str).filter(|leaf| !tried(leaf)).collect();
    assert_eq!(untried, ELSEWHERE);
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
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("the unit on door was unplugged or its program ended"), "{said}");
    assert!(said.contains("try: plug it in again and repeat the command"), "{said}");
}

/// A unit whose owner is Ada, with so many entries in its log, on a cable to the port `cable`.
fn with_a_log(entries: u32, cuts: &[u64]) -> (Unit, Cable) {
    let mut unit = paired(&OPTIONS);
    unit.kill();
    fill_log(&unit, entries);
    unit.restart(&OPTIONS);
    let folder = unit.folder.path();
    let cable = Cable::lay(&folder.join("door"), &folder.join("cable"), cuts);
    (unit, cable)
}

/// Runs a command as Ada over the cable; gives how long it went on once the cable was broken, too.
fn over_the_cable(unit: &Unit, cable: &Cable, args: &[&str]) -> (Ran, Duration) {
    let mut command = threshold(&["--unit", "cable"]);
    command.args(args).env("THRESHOLD_KEYS", "ada").current_dir(unit.folder.path());
    let started = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ran = std::thread::spawn(move || Ran::of(started.wait_with_output().unwrap()));
    let mut broken = None;
    while !ran.is_finished() {
        broken = broken.or_else(|| cable.is_broken().then(Instant::now));
        std::thread::sleep(Duration::from_millis(2));
    }
    let went_on = broken.map_or(Duration::ZERO, |broken| broken.elapsed());
    (ran.join().unwrap(), went_on)
}

#[test]
fn a_pull_whose_cable_breaks_in_the_middle_ends_in_time_and_the_next_one_goes_on() {
    const ENTRIES: u32 = 20_000;
    let pull = ["log", "pull", "--out", "log.jsonl"];
    // Pulled out: whoever does not wait is told at once, and nothing that came is lost.
    let (unit, cable) = with_a_log(ENTRIES, &[300_000]);
    let begun = Instant::now();
    let (ran, _) = over_the_cable(&unit, &cable, &pull);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(ran.error().0.contains("was unplugged or its program ended"), "{ran:?}");
    let plugged_in = unit.folder.path().join("cable");
    while !plugged_in.exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "it is plugged in again by itself");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Broken: it is still plugged in, and nothing comes any more.
    cable.breaks_after(300_000);
    let (ran, went_on) = over_the_cable(&unit, &cable, &pull);
    assert!(cable.is_broken() && went_on < Duration::from_secs(5), "{went_on:?}");
    let (error, remedy) = ran.error();
    assert!(error.contains("was silent for") && !remedy.is_empty(), "{ran:?}");
    cable.breaks_after(u64::MAX);
    let (ran, _) = over_the_cable(&unit, &cable, &[&["--json"], &pull[..]].concat());
    assert_eq!(ran.status, 0, "{ran:?}");
    let rows = std::fs::read_to_string(unit.folder.path().join("log.jsonl")).unwrap();
    let sequence =
        |row: &str| serde_json::from_str::<serde_json::Value>(row).unwrap()["sequence"].as_u64();
    let sequences: Vec<u64> = rows.lines().filter_map(sequence).collect();
    assert!(
        sequences.len() > ENTRIES as usize
            && sequences.iter().copied().eq(1..=sequences.len() as u64)
    );
}

#[test]
fn a_push_whose_cable_breaks_in_the_middle_ends_in_time_and_changes_nobody() {
    let Some(_) = stock("a push over a cable that breaks") else { return };
    let unit = paired(&["--dev-button", "button"]);
    let folder = unit.folder.path();
    let info = unit.run(&["--json", "info"]).json();
    let (model, len) = (&info["model"]["id"], info["model"]["embedding_len"].as_u64().unwrap());
    let digits = model.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    let model = ModelId(std::array::from_fn(byte));
    let key = Keychain::meant(Some(&folder.join("ada"))).secret_or_new().unwrap();
    let mut lots = Lots(3);
    let people: Vec<(Person, Vec<Template>)> = (1..=600)
        .map(|id| {
            let person = Person::new(PersonId(id), &format!("Person {id}")).unwrap();
            let bytes = lots.bytes(len as usize);
            let vector = bytes.into_iter().map(|byte| (byte as i8).max(-127)).collect();
            let template = Template {
                person: PersonId(id),
                slot: 0,
                quality: 90,
                model: model.tag(),
                scale: 0.004,
                vector,
            };
            (person, vec![template])
        })
        .collect();
    let told = people.iter().map(|(person, templates)| Told { person, access: None, templates });
    let origin = Origin { model, store_id: [9; 16], generation: 1 };
    let content = content::write(&origin, [].iter(), told).unwrap();
    gallery_file::write(&folder.join("file"), &key, key.public(), &content).unwrap();

    let cable = Cable::lay(&folder.join("door"), &folder.join("cable"), &[]);
    cable.breaks_after(content.len() as u64 / 2);
    let (ran, went_on) = over_the_cable(&unit, &cable, &["gallery", "push", "file"]);
    assert!(cable.is_broken() && went_on < Duration::from_secs(5), "{went_on:?}");
    let (error, remedy) = ran.error();
    assert!(error.contains("was silent for") && !remedy.is_empty(), "{ran:?}");
    cable.breaks_after(u64::MAX);
    let (ran, _) = over_the_cable(&unit, &cable, &["--json", "info"]);
    assert_eq!(ran.json()["gallery"]["people"], 0, "nothing of a part counts: {ran:?}");
    let (ran, _) = over_the_cable(&unit, &cable, &["--json", "gallery", "push", "file"]);
    assert_eq!((ran.status, &ran.json()["added"]), (0, &600.into()), "{ran:?}");
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
    let mut number = 0;
    let mut through_a_cut = || {
        cable.pull_out();
        comes(&format!("{}.jpg", number + 1));
        std::thread::sleep(Duration::from_millis(400));
        // It is back by now.
        let back = Instant::now();
        comes(&format!("{}.jpg", number + 2));
        number += 2;
        until_decisions(2);
        back.elapsed()
    };
    for cut in 1..=2 {
        let mut took = through_a_cut();
        if took > Duration::from_secs(3) {
            // The machine's other work may reach one; a follower that is slow is slow again.
            took = through_a_cut();
        }
        assert!(took <= Duration::from_secs(3), "cut {cut}: {took:?}");
    }
    let _ = follow.kill();
    follow.wait().unwrap();
    let _ = reader.join();
    let _ = cable.end();
    let seen = until_decisions(0);
    let all: Vec<u64> = (1..=seen.len() as u64).collect();
    assert_eq!(seen, all, "every entry once, in order");
}
