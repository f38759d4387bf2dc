//! The pseudo-terminal as the administrator's tools find it: one visitor after another, each with an exclusive claim.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_edge::notices::Notices;
use threshold_edge::service::line::{Line, Received};
use threshold_edge::service::{self, Access, Button, line};
use threshold_record::{Cause, EntryKind};
use threshold_wire::endpoints::SendEcho;

use threshold_wire::message::{Armed, Echo};
use threshold_wire::{Decoder, call};

use crate::rig::Rig;

/// Opens the port as a host does, calls echo, and hangs up.
fn visit(port: &Path, id: u32) -> bool {
    let opened = serialport::new(port.to_string_lossy(), 115_200)
        .timeout(Duration::from_secs(5))
        .open_native();
    let mut tty = opened.unwrap_or_else(|error| panic!("visit {id}: {error}"));
    let echo = Echo { bytes: heapless::Vec::from_slice(&id.to_le_bytes()).unwrap() };
    tty.write_all(call::request::<SendEcho>(id, &echo).unwrap().as_bytes()).unwrap();
    let mut decoder = Decoder::new();
    let mut buffer = [0; 256];
    loop {
        let count = tty.read(&mut buffer).unwrap_or_else(|error| panic!("visit {id}: {error}"));
        let mut bytes = &buffer[..count];
        if let Some(frame) = decoder.feed(&mut bytes) {
            return call::read_answer::<SendEcho>(id, &frame.unwrap()).unwrap().unwrap() == echo;
        }
    }
}

/// A button whose driver panics at the first look.
#[derive(Debug, Default)]
struct Broken {
    looked: bool,
}

impl Button for Broken {
    fn pressed(&mut self) -> bool {
        assert!(std::mem::replace(&mut self.looked, true), "the button's driver panics");
        false
    }
}

#[test]
fn a_panic_beside_the_calls_is_a_fault_over_a_real_pseudo_terminal_that_answers_on() {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("door");
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    assert_eq!(rig.shared.lock().armed(), Armed::Armed);
    let (line, _) = line::open(&format!("pty:{}", port.display())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let notices = Notices::to(Box::new(std::io::sink()));
    let access = Access { trusted: true, buttons: vec![Box::new(Broken::default())] };
    let served =
        service::spawn(line, rig.shared.clone(), access, notices, Arc::clone(&stop)).unwrap();
    assert!(visit(&port, 1));
    assert_eq!(rig.shared.lock().armed(), Armed::Fault(Cause::Engine));
    let disarmed = rig
        .log()
        .iter()
        .any(|entry| entry.kind == EntryKind::Disarmed && entry.cause == Cause::Engine);
    assert!(disarmed, "the log says so: {:?}", rig.log());
    stop.store(true, Ordering::Relaxed);
    served.join().unwrap();
}

#[test]
fn visitors_come_one_after_another_and_the_link_goes_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("door");
    let rig = Rig::new();
    let (line, pty) = line::open(&format!("pty:{}", port.display())).unwrap();
    assert!(pty);
    let stop = Arc::new(AtomicBool::new(false));
    let notices = Notices::to(Box::new(std::io::sink()));
    let served = service::spawn(
        line,
        rig.shared.clone(),
        Access { trusted: true, buttons: vec![] },
        notices,
        Arc::clone(&stop),
    )
    .unwrap();
    // At once after one another: the link never points to an end that is going away.
    for id in 1..=20 {
        assert!(visit(&port, id));
    }
    // The unit's own handle on a terminal that nobody uses shuts nobody out, however long it waits.
    for id in 21..=23 {
        std::thread::sleep(Duration::from_millis(250));
        assert!(visit(&port, id));
    }
    // One who opens and says nothing does not shut the next one out.
    drop(serialport::new(port.to_string_lossy(), 115_200).open_native().unwrap());
    assert!(visit(&port, 24));
    stop.store(true, Ordering::Relaxed);
    served.join().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "link and lock are gone");
}

/// A pseudo-terminal in a folder, and what it was typed as.
fn open(folder: &Path) -> Result<Box<dyn Line>, String> {
    let typed = format!("pty:{}", folder.join("door").display());
    line::open(&typed).map(|(line, _)| line).map_err(|error| error.to_string())
}

#[test]
fn a_second_unit_on_the_same_path_is_refused_and_the_first_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let leads_to = std::fs::read_link(folder.path().join("door")).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(error.contains("another unit serves"), "{error}");
    assert!(error.contains("; stop it, or name another path after pty:"), "{error}");
    assert_eq!(std::fs::read_link(folder.path().join("door")).unwrap(), leads_to);
    drop(first);
    open(folder.path()).unwrap();
}

#[test]
fn a_link_that_a_killed_unit_left_is_replaced_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (door, lock) = (folder.path().join("door"), folder.path().join(".door.lock"));
    let (_master, slave) = serialport::TTYPort::pair().unwrap();
    let alive = PathBuf::from(serialport::SerialPort::name(&slave).unwrap());
    // Target of the link, what the lock says, and whether a unit may take the path.
    for (target, said, taken) in [
        (Path::new("/dev/pts/999999"), None, true),
        (&alive, alive.to_str(), true),
        (&alive, None, false),
        (&alive, Some("/dev/pts/999999"), false),
        (Path::new("/dev/ttyNONE"), None, false),
    ] {
        std::os::unix::fs::symlink(target, &door).unwrap();
        if let Some(said) = said {
            std::fs::write(&lock, said).unwrap();
        }
        let opened = open(folder.path());
        assert_eq!(opened.is_ok(), taken, "{}, {said:?}", target.display());
        if let Err(error) = &opened {
            assert!(error.contains("is there and is no link of a unit's; remove it"), "{error}");
            assert_eq!(std::fs::read_link(&door).unwrap(), target);
            std::fs::remove_file(&door).unwrap();
        }
        drop(opened);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn files_beside_the_link_and_what_others_put_in_its_place_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let door = folder.path().join("door");
    let own = folder.path().join(format!(".door.{}", std::process::id()));
    std::fs::write(door.with_extension("new"), "mine").unwrap();
    std::fs::write(&own, "mine").unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(error.starts_with(&own.display().to_string()), "{error}");
    std::fs::remove_file(&own).unwrap();
    let line = open(folder.path()).unwrap();
    std::fs::remove_file(&door).unwrap();
    std::fs::write(&door, "mine").unwrap();
    drop(line);
    for file in [door.clone(), door.with_extension("new")] {
        assert_eq!(std::fs::read(&file).unwrap(), b"mine", "{}", file.display());
    }
}

#[test]
fn a_link_that_somebody_removed_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut line = open(folder.path()).unwrap();
    let door = folder.path().join("door");
    let leads_to = std::fs::read_link(&door).unwrap();
    std::fs::remove_file(&door).unwrap();
    let received = line.receive(&mut [0; 8], Duration::from_millis(1));
    assert!(matches!(received, Received::Nothing), "{received:?}");
    assert_eq!(std::fs::read_link(&door).unwrap(), leads_to);
}

#[test]
fn a_line_that_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for (typed, expected) in [
        (format!("pty:{}", file.display()), "is there and is no link of a unit's; remove it"),
        (format!("pty:{}/no/door", folder.path().display()), "name a path in a folder"),
        ("pty:".to_owned(), "names no file"),
        ("pty:/..".to_owned(), "names no file"),
        (format!("{}/ttyNONE", folder.path().display()), "check that it is there"),
        (file.display().to_string(), "check that it is there"),
    ] {
        let error = line::open(&typed).err().unwrap().to_string();
        assert!(error.contains(expected), "{typed}: {error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
