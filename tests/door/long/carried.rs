//! What the link costs the processor: a push and pulls over a real pseudo-terminal, sealed, with both ends in this process.

use super::{figure, is_alone};
use crate::keys::{Bench, administrator, key};
use crate::rig::Terminal;
use threshold_record::{EntryKind, LogEntry, Role};
use threshold_tests::lots::Lots;
use threshold_wire::bulk::Window;

/// Bytes that are pushed; a thread's time is counted in parts of a microsecond.
const PUSHED: usize = 24 << 20;

/// Entries of the log that is pulled, and how often.
const PULLED: (u64, usize) = (20_000, 12);

/// Bytes that each end must carry in a second of its processor, more than USB 2.0 brings.
const LEAST: f64 = 20e6;

/// Seconds of a processor that a thread of this process has had.
fn spent_s(thread: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap();
    text.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The thread of that name.
fn named(name: &str) -> String {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap());
    let is_it = |task: &std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let found: Vec<_> = tasks.filter(is_it).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    format!("self/task/{}", found[0].file_name().display())
}

#[test]
fn each_end_carries_20_mb_in_a_second_of_its_processor() {
    if !is_alone("long::carried::each_end_carries_20_mb_in_a_second_of_its_processor") {
        return;
    }
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let shared = bench.rig.borrow().shared.clone();
    for _ in 0..PULLED.0 {
        shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    let terminal = Terminal::of(shared);
    let mut session = terminal.greet();
    session.secure(&key(1), &bench.unit_key()).unwrap();

    let unit = named("service");
    let ends = || [spent_s("thread-self"), spent_s(&unit)];
    let rates = |before: [f64; 2], bytes: usize| {
        let after = ends();
        [0, 1].map(|end| bytes as f64 / (after[end] - before[end]))
    };
    let (bytes, before) = (Lots(1).bytes(PUSHED), ends());
    session.push_gallery(&bytes, &mut |_, _| {}).unwrap();
    let up = rates(before, bytes.len());
    let (mut down_bytes, before) = (0, ends());
    for _ in 0..PULLED.1 {
        let mut pulled = Vec::new();
        session.pull_log(1, Window::USB, &mut pulled, &mut |_| {}).unwrap();
        down_bytes += pulled.len();
    }
    let down = rates(before, down_bytes);
    drop((session, terminal));
    let mb = |[host, unit]: [f64; 2]| {
        format!("{:.0} by the host, {:.0} by the unit", host / 1e6, unit / 1e6)
    };
    figure(&format!(
        "MB pushed over a sealed pseudo-terminal in a second of an end's processor: {}",
        mb(up)
    ));
    figure(&format!("MB of the log pulled so: {}", mb(down)));
    for rate in up.into_iter().chain(down) {
        assert!(rate >= LEAST, "{up:?} {down:?}");
    }
}
