//! The unit's port as the administrator finds it: not there, in use, silent, unplugged in the middle of a command.

use crate::binary::{Unit, run, threshold};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

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

#[test]
fn a_port_that_nobody_answers_on_ends_the_command_in_time() {
    let (_master, slave) = serialport::TTYPort::pair().unwrap();
    let name = serialport::SerialPort::name(&slave).unwrap();
    let begun = Instant::now();
    let ran = run(&mut threshold(&["--unit", &name, "info"]));
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let (error, remedy) = ran.error();
    assert!(error.contains("did not answer"), "{error}");
    assert!(remedy.contains("check that the unit is on"), "{remedy}");
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
