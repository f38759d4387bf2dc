//! The pseudo-terminal as the administrator's tools find it: one visitor after another, each with an exclusive claim.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_edge::notices::Notices;
use threshold_edge::service::{self, line};
use threshold_wire::endpoints::SendEcho;
use threshold_wire::message::Echo;
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

#[test]
fn visitors_come_one_after_another_and_the_link_goes_with_the_unit() {
    let folder = tempfile::tempdir().unwrap();
    let port = folder.path().join("door");
    let rig = Rig::new();
    let (line, pty) = line::open(&format!("pty:{}", port.display())).unwrap();
    assert!(pty);
    let stop = Arc::new(AtomicBool::new(false));
    let notices = Notices::to(Box::new(std::io::sink()));
    let served =
        service::spawn(line, rig.shared.clone(), true, notices, Arc::clone(&stop)).unwrap();
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
    assert!(std::fs::symlink_metadata(&port).is_err(), "the link points to nothing now");
}

#[test]
fn a_line_that_cannot_be_opened_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "mine").unwrap();
    for (typed, expected) in [
        (format!("pty:{}", file.display()), "is there and is no link; remove it"),
        (format!("pty:{}/no/door", folder.path().display()), "name a path in a folder"),
        (format!("{}/ttyNONE", folder.path().display()), "check that it is there"),
        (file.display().to_string(), "check that it is there"),
    ] {
        let error = line::open(&typed).err().unwrap().to_string();
        assert!(error.contains(expected), "{typed}: {error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
}
