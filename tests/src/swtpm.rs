//! A software TPM (Debian's `swtpm`) in a folder, and the few commands by which somebody else treats it badly.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

use crate::skipped;
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const OWNER: u32 = 0x4000_0001;
const LOCKOUT: u32 = 0x4000_000A;
const PLATFORM: u32 = 0x4000_000C;
/// The unit's counter.
const INDEX: u32 = 0x0180_7468;

const CLEAR: u32 = 0x126;
const HIERARCHY_CHANGE_AUTH: u32 = 0x129;
const NV_DEFINE: u32 = 0x12A;
const NV_UNDEFINE: u32 = 0x122;
const NV_INCREMENT: u32 = 0x134;
const NV_WRITE: u32 = 0x137;
const DA_PARAMETERS: u32 = 0x13A;
const NV_READ: u32 = 0x14E;

/// A running software TPM; it ends with this.
#[derive(Debug)]
pub struct Swtpm {
    child: Child,
    folder: TempDir,
}

impl Drop for Swtpm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Swtpm {
    /// A new one; `None`, and that said, where there is no such program.
    #[must_use]
    pub fn start(what: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        match spawn(folder.path()) {
            Ok(child) => Some(Self { child, folder }),
            Err(why) => {
                skipped(what, &format!("no swtpm: {why}; apt-get install swtpm"));
                None
            }
        }
    }

    /// Its socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Cuts its power and gives it back.
    pub fn power_cycle(&mut self) {
        self.power_off();
        self.power_on();
    }

    /// Gives the power back.
    pub fn power_on(&mut self) {
        self.child = spawn(self.folder.path()).unwrap();
    }

    /// Cuts its power.
    pub fn power_off(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let _ = std::fs::remove_file(self.socket());
    }

    /// Lets it answer nothing until it goes on.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets it answer again, what it was asked meanwhile first.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Clears it, as whoever stands before the machine can.
    pub fn clear(&self) {
        assert_eq!(self.say(CLEAR, &[PLATFORM], &[&[]], &[]), 0);
    }

    /// Gives the owner's hierarchy a password.
    pub fn own(&self) {
        assert_eq!(self.say(HIERARCHY_CHANGE_AUTH, &[OWNER], &[&[]], &sized(b"mine")), 0);
    }

    /// Takes the unit's counter away.
    pub fn undefine(&self) {
        assert_eq!(self.say(NV_UNDEFINE, &[OWNER, INDEX], &[&[]], &[]), 0);
    }

    /// Makes a counter as the unit's is, and steps it once.
    pub fn define_counter(&self) {
        self.define(INDEX, 0x0204_0014, &[]);
        assert_eq!(self.say(NV_INCREMENT, &[INDEX, INDEX], &[&[]], &[]), 0);
    }

    /// Puts what may be written at will at the counter's index, and a number into it.
    pub fn forge_counter(&self, at: u64) {
        self.define(INDEX, 0x0204_0004, &[]);
        let parameters = [&sized(&at.to_be_bytes())[..], &[0, 0]].concat();
        assert_eq!(self.say(NV_WRITE, &[INDEX, INDEX], &[&[]], &parameters), 0);
    }

    /// Guesses at a password until the TPM answers nobody who needs one.
    pub fn lock_out(&self) {
        let numbers = [1_u32, 1000, 1000].map(u32::to_be_bytes).concat();
        assert_eq!(self.say(DA_PARAMETERS, &[LOCKOUT], &[&[]], &numbers), 0);
        let index = INDEX + 1;
        self.define(index, 0x0004_0004, b"right");
        let written = [&sized(&[0; 8])[..], &[0, 0]].concat();
        assert_eq!(self.say(NV_WRITE, &[index, index], &[b"right"], &written), 0);
        let read = |password: &[u8]| self.say(NV_READ, &[index, index], &[password], &[0, 8, 0, 0]);
        let _ = read(b"wrong");
        assert_eq!(read(b"right"), 0x921, "TPM_RC_LOCKOUT");
    }

    fn define(&self, index: u32, attributes: u32, password: &[u8]) {
        let public =
            [&index.to_be_bytes()[..], &[0, 0x0B], &attributes.to_be_bytes(), &[0, 0], &[0, 8]];
        let parameters = [sized(password), sized(&public.concat())].concat();
        assert_eq!(self.say(NV_DEFINE, &[OWNER], &[&[]], &parameters), 0);
    }

    /// What it answers to a command with passwords.
    fn say(&self, code: u32, handles: &[u32], passwords: &[&[u8]], parameters: &[u8]) -> u32 {
        let mut body: Vec<u8> = handles.iter().flat_map(|handle| handle.to_be_bytes()).collect();
        let auths: Vec<u8> = passwords
            .iter()
            .flat_map(|password| {
                [&0x4000_0009_u32.to_be_bytes()[..], &[0, 0, 1], &sized(password)].concat()
            })
            .collect();
        body.extend((auths.len() as u32).to_be_bytes());
        body.extend(auths);
        body.extend(parameters);
        let mut frame = vec![0x80, 0x02];
        frame.extend((body.len() as u32 + 10).to_be_bytes());
        frame.extend(code.to_be_bytes());
        frame.extend(body);
        loop {
            let mut socket = UnixStream::connect(self.socket()).unwrap();
            socket.write_all(&frame).unwrap();
            let mut answer = [0; 4096];
            let len = socket.read(&mut answer).unwrap();
            assert!(len >= 10);
            // TPM_RC_RETRY: as when something has to be written down first.
            match u32::from_be_bytes(answer[6..10].try_into().unwrap()) {
                0x922 => {}
                code => return code,
            }
        }
    }

    /// A socket before it on which everything that passes either way is written down.
    #[must_use]
    pub fn overheard(&self) -> (PathBuf, Arc<Mutex<Vec<u8>>>) {
        let path = self.folder.path().join("overheard");
        let (listener, heard) = (UnixListener::bind(&path).unwrap(), Arc::new(Mutex::default()));
        let (socket, all) = (self.socket(), Arc::clone(&heard));
        std::thread::spawn(move || {
            for caller in listener.incoming().map_while(Result::ok) {
                let Ok(tpm) = UnixStream::connect(&socket) else { return };
                let (back, forth) = ((caller.try_clone(), tpm.try_clone()), (caller, tpm));
                let heard = Arc::clone(&all);
                std::thread::spawn(move || pass(back.1.unwrap(), back.0.unwrap(), &heard));
                pass(forth.0, forth.1, &all);
            }
        });
        (path, heard)
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        heard.lock().unwrap().extend_from_slice(&bytes[..len]);
        if to.write_all(&bytes[..len]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes(), bytes].concat()
}

fn spawn(folder: &Path) -> std::io::Result<Child> {
    let socket = folder.join("socket");
    let mut command = Command::new("swtpm");
    command.args(["socket", "--tpm2", "--flags", "not-need-init,startup-clear"]);
    command.args(["--tpmstate", &format!("dir={}", folder.display())]);
    command.args(["--server", &format!("type=unixio,path={}", socket.display())]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let begun = Instant::now();
    while UnixStream::connect(&socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20), "swtpm does not answer");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(child)
}
