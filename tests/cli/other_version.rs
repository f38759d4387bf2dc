//! A unit of another version, with both binaries: what the hello says is shown, and whoever changes the hello of a paired unit is found.
//!
//! The unit is of this version: what lies between the two changes what its hello says, as an attacker on the line could.

use crate::binary::{Ran, Unit, run, threshold};
use crate::pairing::{OPTIONS, paired};
use serialport::{SerialPort as _, TTYPort};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use threshold_wire::endpoints::{Endpoint, SayHello};
use threshold_wire::{Decoder, Hello, PROTOCOL, call};

/// What carries the unit's bytes to a port `newer` in its folder, where its hellos say the protocol after this one and build 10.0.0.
struct Between {
    stop: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

impl Between {
    fn lay(unit: &Unit) -> Self {
        let folder = unit.folder.path();
        let line = serialport::new(folder.join("door").to_str().unwrap(), 115_200);
        let mut line = line.timeout(Duration::from_millis(1)).open_native().unwrap();
        let (mut near, far) = TTYPort::pair().unwrap();
        near.set_timeout(Duration::from_millis(1)).unwrap();
        symlink(far.name().unwrap(), folder.join("newer")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let carrier = std::thread::spawn(move || {
            // Kept open, so that one host after another finds it.
            let _far = far;
            let mut frame = Vec::new();
            let mut bytes = [0; 4096];
            let mut read = |from: &mut TTYPort| match from.read(&mut bytes) {
                Ok(len) => bytes[..len].to_vec(),
                Err(error) if error.kind() == ErrorKind::TimedOut => vec![],
                Err(error) => panic!("{error}"),
            };
            while !stopped.load(Ordering::Relaxed) {
                for byte in read(&mut line) {
                    frame.push(byte);
                    if byte == 0 {
                        near.write_all(&changed(&frame)).unwrap();
                        frame.clear();
                    }
                }
                let up = read(&mut near);
                line.write_all(&up).unwrap();
            }
        });
        Self { stop, carrier: Some(carrier) }
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.carrier.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "it broke");
    }
}

/// A frame of the unit, with another version if it is a hello.
fn changed(bytes: &[u8]) -> Vec<u8> {
    let (mut decoder, mut rest) = (Decoder::new(), bytes);
    match decoder.feed(&mut rest) {
        Some(Ok(frame)) if frame.key == SayHello::ANSWER_KEY => {
            let hello = call::read_answer::<SayHello>(frame.id, &frame).unwrap().unwrap();
            let build = "10.0.0".try_into().unwrap();
            let newer = Hello { protocol: hello.protocol + 1, build, ..hello };
            call::answer::<SayHello>(frame.id, &Ok(newer)).unwrap().as_bytes().to_vec()
        }
        _ => bytes.to_vec(),
    }
}

fn at_newer(unit: &Unit, keys: &str, args: &[&str]) -> Ran {
    let mut command = threshold(&["--unit", "newer"]);
    run(command.args(args).env("THRESHOLD_KEYS", keys).current_dir(unit.folder.path()))
}

#[test]
fn a_unit_one_version_ahead_is_looked_at_and_a_hello_that_was_changed_opens_no_session() {
    let unit = paired(&OPTIONS);
    let _between = Between::lay(&unit);
    let remedy = "update this program to build 10.0.0";

    let looked = at_newer(&unit, "nobody", &["--json", "info"]);
    assert_eq!(looked.status, 1, "{looked:?}");
    let said = looked.json();
    assert_eq!(said["state"], "other_version", "{said}");
    assert_eq!((&said["protocol"], &said["build"]), (&(PROTOCOL + 1).into(), &"10.0.0".into()));
    assert_eq!(said["this_program"]["protocol"], PROTOCOL);
    assert_eq!((&said["remedy"], &said["older"]), (&remedy.into(), &"this_program".into()));
    assert_eq!((&said["sealed"], &said["slots"]), (&false.into(), &serde_json::Value::Null));
    let text = at_newer(&unit, "nobody", &["info"]);
    assert!(text.stdout.contains(remedy) && text.stdout.contains("in the open"), "{text:?}");

    let units = at_newer(&unit, "nobody", &["--json", "units", "--ask"]);
    let row = &units.json()["units"][0];
    assert_eq!((&row["state"], &row["error"]), (&"other_version".into(), &serde_json::Value::Null));
    assert_eq!(row["other_version"]["remedy"], remedy, "{units:?}");

    // Nothing else goes to a unit of another version, and who was paired with this one is not led to believe that it is one.
    let listed = at_newer(&unit, "nobody", &["gallery", "list"]);
    assert_eq!(listed.error().1, remedy);
    for looks in [&["info"][..], &["slots"]] {
        let fooled = at_newer(&unit, "ada", looks);
        assert!(fooled.error().0.contains("does not know this administrator's key"), "{fooled:?}");
    }
}
