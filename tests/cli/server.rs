//! A unit behind a terminal server: the same commands over Debian's ser2net, and servers that give no line.

use crate::binary::{Ran, Unit, fill_log, run, threshold};
use crate::pairing::{OPTIONS, paired};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Entries of the log: 260 KB, where 100 KB are worth a quicker line.
const ENTRIES: u32 = 4_000;

/// A ser2net that is killed with its value.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A port that nobody listens on now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The first folder in one.
fn only(folder: &Path) -> Option<PathBuf> {
    let inside = std::fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    inside.filter(|path| path.is_dir()).min()
}

/// The server: installed, or as `cargo xtask ci` unpacked it under the root that `THRESHOLD_SER2NET` names.
fn ser2net() -> Option<Command> {
    if let Some(root) = std::env::var_os("THRESHOLD_SER2NET").map(PathBuf::from) {
        let mut command = Command::new(root.join("usr/sbin/ser2net"));
        let plugins = only(&root.join("usr/libexec")).and_then(|arch| only(&arch.join("gensio")));
        command.env("LD_LIBRARY_PATH", only(&root.join("usr/lib"))?);
        command.env("GENSIO_LIBRARY_PATH", plugins?);
        return Some(command);
    }
    let installed = ["/usr/sbin/ser2net", "/usr/bin/ser2net"];
    installed.into_iter().find(|at| Path::new(at).exists()).map(Command::new)
}

/// A server that gives the unit's line out, on one port with RFC 2217 and on another as bare bytes; `None` if there is
/// no ser2net.
fn server(unit: &Unit) -> Option<(Server, u16, u16)> {
    let mut command = ser2net()?;
    let folder = unit.folder.path();
    let (telnet, bare) = (free_port(), free_port());
    let line = folder.join("door").display().to_string();
    let config = format!(
        "connection: &telnet\n  accepter: telnet(rfc2217),tcp,127.0.0.1,{telnet}\n  connector: serialdev,{line},115200n81,local\n\
         connection: &bare\n  accepter: tcp,127.0.0.1,{bare}\n  connector: serialdev,{line},115200n81,local\n"
    );
    std::fs::write(folder.join("ser2net.yaml"), config).unwrap();
    command.arg("-n").arg("-c").arg(folder.join("ser2net.yaml"));
    let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let server = Server(process.unwrap());
    let begun = Instant::now();
    for port in [telnet, bare] {
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(30), "ser2net does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Some((server, telnet, bare))
}

/// Runs `threshold` as the unit's owner at a port of this name.
fn over(unit: &Unit, port: &str, args: &[&str]) -> Ran {
    let mut command = threshold(&["--unit", port, "--wait=10"]);
    run(command.args(args).env("THRESHOLD_KEYS", "ada").current_dir(unit.folder.path()))
}

#[test]
fn a_unit_behind_a_terminal_server_is_administered_over_a_sealed_session() {
    if ser2net().is_none() {
        return threshold_tests::skipped(
            "a unit behind ser2net",
            "ser2net is not installed: apt-get install ser2net, which starts a service",
        );
    }
    let mut unit = paired(&OPTIONS);
    // More than a pull goes through at the first speed: the ladder runs over RFC 2217.
    unit.kill();
    fill_log(&unit, ENTRIES);
    unit.restart(&OPTIONS);
    let (server, telnet, bare) = server(&unit).unwrap();
    let port = format!("rfc2217:127.0.0.1:{telnet}");
    let listed = over(&unit, &port, &["--json", "administrators", "list"]);
    assert_eq!(listed.json()["administrators"][0]["name"], "Ada", "{listed:?}");
    // The log holds bytes of every value, those that telnet escapes among them.
    let pulled = over(&unit, &port, &["--json", "log", "pull", "--out", "log.jsonl"]);
    assert_eq!(pulled.status, 0, "{pulled:?}");
    assert!(pulled.json()["entries"].as_u64().unwrap() > ENTRIES.into(), "{pulled:?}");
    let verified = over(&unit, &format!("tcp:127.0.0.1:{bare}"), &["log", "verify"]);
    assert_eq!(verified.status, 0, "{verified:?}");

    // Whoever is on the network may answer under a name that was never paired; only a look goes there in the open.
    let stranger = |args: &[&str]| {
        // A server gives a port to one at a time, and takes a moment to notice that the last one has gone.
        let mut command = threshold(&["--unit", &port, "--wait=10"]);
        run(command.args(args).env("THRESHOLD_KEYS", "nobody").current_dir(unit.folder.path()))
    };
    let refused = stranger(&["gallery", "list"]);
    let (error, remedy) = refused.error();
    assert!(error.ends_with("would be believed at its word unsealed"), "{error}");
    assert!(remedy.starts_with("threshold pair over this port"), "{remedy}");
    assert_eq!(stranger(&["info"]).status, 0);

    let wrong = over(&unit, &format!("rfc2217:127.0.0.1:{bare}"), &["info"]);
    assert!(wrong.error().0.ends_with("it does not speak RFC 2217"), "{wrong:?}");
    drop(server);
    let mut gone = threshold(&["--unit", &port, "info"]);
    let gone = run(&mut gone);
    assert!(gone.error().0.contains("was not reached"), "{gone:?}");
}

#[test]
fn a_server_that_says_nothing_or_nonsense_ends_the_command_in_time() {
    for babble in [None, Some([255, 250, 44, 101, 0, 1, 194, 7, 255, 255].repeat(1000))] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = std::thread::spawn({
            let babble = babble.clone();
            move || {
                for _ in 0..2 {
                    let Ok((mut stream, _)) = listener.accept() else { return };
                    let _ = stream.write_all(babble.as_deref().unwrap_or_default());
                    // Until the host hangs up.
                    let _ = stream.read_to_end(&mut Vec::new());
                }
            }
        });
        for (kind, expected) in [("rfc2217", "does not speak RFC 2217"), ("tcp", "127.0.0.1")] {
            let begun = Instant::now();
            let ran = run(&mut threshold(&["--unit", &format!("{kind}:127.0.0.1:{port}"), "info"]));
            assert!(begun.elapsed() < Duration::from_secs(5), "{kind}: {:?}", begun.elapsed());
            assert!(ran.error().0.contains(expected), "{kind}: {ran:?}");
        }
        serving.join().unwrap();
    }
}

#[test]
fn a_servers_name_without_a_port_is_said() {
    let ran = run(&mut threshold(&["--unit", "rfc2217:localhost", "info"]));
    assert!(ran.error().0.contains("the terminal server of rfc2217:localhost"), "{ran:?}");
}
