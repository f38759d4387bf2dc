//! Memory: files that ask for gigabytes get an error from a process that may not have them.
//!
//! The test starts itself again in a process of its own, under `ulimit -v`, where an allocation past the limit aborts;
//! one that std turns into an error shows in the most memory that the process ever had. What is tried there is every
//! file of this area that holds, or claims to hold, far more than its own bytes.

use crate::archives::{DLIB_MODEL, gzip_bomb, tar_entry, wheel};
use crate::fault;
use crate::torch_files::{Pickle, Table, View, legacy_of, zip_of};
use crate::zip_files::{Entry, zip};
use std::process::Command;
use threshold_models::import::{StateDict, from_bytes};

/// Address space of the child, code and stacks among it.
const LIMIT_KB: u64 = 600_000;

/// Resident memory of the child: an entry of 64 MB that is growing (twice), the file that it came from (70 MB).
const PEAK_KB: u64 = 250_000;

const CHILD: &str = "THRESHOLD_TESTS_MEMORY";

#[test]
fn hostile_files_are_refused_within_250_megabytes() {
    if std::env::var_os(CHILD).is_some() {
        hostile_files();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak_kb: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        return assert!(peak_kb < PEAK_KB, "{peak_kb} KB were in use");
    }
    let name = "memory::hostile_files_are_refused_within_250_megabytes";
    let script = format!("ulimit -v {LIMIT_KB} && exec \"$0\" --exact {name} --test-threads 1");
    let child = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

fn hostile_files() {
    // Four million values.
    let many = Pickle::new().op(&vec![b'N'; 4_000_000]).end();
    fault(StateDict::read(&zip_of(&many)));
    fault(StateDict::read(&legacy_of(&many)));
    // As many marks, as many references, as many things kept.
    for ops in [vec![b'('; 4_000_000], [&b"Nq\0"[..], &b"h\0".repeat(2_000_000)].concat()] {
        fault(StateDict::read(&zip_of(&Pickle::new().op(&ops).end())));
    }
    let kept = (0..800_000_u32).flat_map(|key| [&b"r"[..], &key.to_le_bytes()].concat());
    let kept: Vec<u8> = b"N".iter().copied().chain(kept).collect();
    fault(StateDict::read(&zip_of(&Pickle::new().op(&kept).end())));

    // One long key or name, kept once and named by tens of thousands of tensors.
    for (key, name) in
        [("k".repeat(1 << 20), "n".to_owned()), ("0".to_owned(), "n".repeat(1 << 20))]
    {
        let long = View::new(&name, &key, &[1]);
        let mut pickle = Pickle::new().op(b"}(").text(&long.name).op(b"q\x01");
        pickle = pickle.tensor(&long, false).op(b"q\x02");
        for i in 0..50_000 {
            pickle = if key.len() > 9 { pickle.text(&i.to_string()) } else { pickle.op(b"h\x01") };
            pickle = pickle.op(b"h\x02");
        }
        fault(StateDict::read(&zip_of(&pickle.op(b"u").end())));
    }

    // Views and storages that claim to be huge.
    for len in [1 << 32, 1 << 40, i64::MAX] {
        let mut table = Table::small();
        table.views[0].storage.len = len;
        table.views[0].shape = vec![len];
        table.views[0].strides = vec![1];
        fault(StateDict::read(&table.legacy()));
        let bytes = table.zip();
        fault(StateDict::read(&bytes).and_then(|mut t| t.floats("n", "a", &[len as usize])));
        table.views[0].strides = vec![0];
        let bytes = table.zip();
        fault(StateDict::read(&bytes).and_then(|mut t| t.floats("n", "a", &[len as usize])));
    }
    let mut entries = Table::small().entries();
    entries.iter_mut().for_each(|entry| entry.claimed = Some(u32::MAX - 1));
    fault(StateDict::read(&zip(&entries)));

    // Bombs: an entry of the wheel, the model in the sdist, an entry nobody asked for, names of a gigabyte.
    let zeros = Entry::deflated("", &vec![0; 70 << 20]);
    fault(from_bytes(&wheel(zeros)));
    let gigabytes = 2 << 30;
    for (name, kind) in
        [(DLIB_MODEL, b'0'), ("other", b'0'), ("././@LongLink", b'L'), ("pax", b'x')]
    {
        let head = tar_entry(name, kind, gigabytes, b"");
        fault(from_bytes(&gzip_bomb(&head, 1100)));
    }

    // Headers of safetensors that claim to be long.
    for len in [99_999_999_u64, 1 << 40, u64::MAX] {
        fault(from_bytes(&[&len.to_le_bytes()[..], b"{}"].concat()));
    }
}
