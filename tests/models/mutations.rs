//! Thousands of files with a few bytes changed: whatever it makes of them, no importer panics.

use crate::archives::{DLIB_MODEL, gzip, tar_entry, wheel};
use crate::torch_files::{Table, legacy_of, zip_of};
use crate::zip_files::Entry;
use crate::{detector, dlib};
use std::panic::{AssertUnwindSafe, catch_unwind};
use threshold_models::import::{StateDict, from_bytes};
use threshold_models::pack::Pack;
use threshold_tests::lots::Lots;

/// A copy with one to four changes: a bit, a byte, an extreme byte, a run copied elsewhere, bytes lost or put in.
fn mutated(lots: &mut Lots, whole: &[u8], within: usize) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for _ in 0..1 + lots.below(4) {
        let within = within.min(bytes.len());
        let at = lots.below(within as u64) as usize;
        match lots.below(7) {
            0 => bytes[at] ^= 1 << lots.below(8),
            1 => bytes[at] = lots.bits() as u8,
            2 => bytes[at] = lots.one_of(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => {
                let end = (at + 1 + lots.below(8) as usize).min(bytes.len());
                bytes[at..end].fill(0xff);
            }
            4 => {
                let from = lots.below(within as u64) as usize;
                let len = (1 + lots.below(16) as usize).min(bytes.len() - at.max(from));
                bytes.copy_within(from..from + len, at);
            }
            5 => drop(bytes.drain(at..(at + 1 + lots.below(8) as usize).min(bytes.len()))),
            _ => {
                let count = 1 + lots.below(8) as usize;
                let more = lots.bytes(count);
                bytes.splice(at..at, more);
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// Feeds mutations of a file to a reader. The share of the file that is changed can be its first bytes.
fn check(what: &str, rounds: u64, whole: &[u8], within: usize, read: impl Fn(&[u8]) -> bool) {
    let mut taken = 0;
    for seed in 0..rounds {
        let bytes = mutated(&mut Lots(seed), whole, within);
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&bytes)));
        taken += u64::from(outcome.unwrap_or_else(|_| panic!("{what}: seed {seed} panicked")));
    }
    assert!(taken < rounds, "{what}: no change was seen");
}

/// Reads a table with all its tensors, each by whatever shape it may have.
fn table(bytes: &[u8]) -> bool {
    let _ = from_bytes(bytes);
    let Ok(mut table) = StateDict::read(bytes) else { return false };
    let names: Vec<String> = table.names().map(str::to_owned).collect();
    let shapes: [&[usize]; 8] = [&[2, 3], &[2], &[6], &[3, 2], &[0], &[], &[1], &[2, 3, 1]];
    for name in names {
        for shape in shapes {
            if let Ok(values) = table.floats("a network", &name, shape) {
                assert_eq!(values.len(), shape.iter().product::<usize>());
            }
        }
    }
    true
}

#[test]
fn torch_files_with_changed_bytes_never_panic() {
    let small = Table::small();
    check("legacy", 15_000, &small.legacy(), usize::MAX, table);
    check("zip", 10_000, &small.zip(), usize::MAX, table);
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixtures");
    for name in ["legacy.pt", "zip.pt", "module.pt"] {
        let bytes = std::fs::read(fixtures.join(name)).unwrap();
        check(name, 4000, &bytes, usize::MAX, table);
    }
}

#[test]
fn pickles_of_random_opcodes_never_panic() {
    // Every opcode that the reader knows, with short arguments, so that many go on for long.
    let known = b"\x80(.NJKMX\x88\x89\x8a)\x85\x86\x87t]}aesuqrhjcQRb\0\x01\x02";
    let mut lots = Lots(61);
    for _ in 0..30_000 {
        let mut ops = vec![0x80, 2];
        for _ in 0..lots.below(60) {
            match lots.below(6) {
                0 => ops.extend(b"X\x01\0\0\0a"),
                1 => ops.extend(b"ccollections\nOrderedDict\n"),
                2 => ops.extend([b'K', lots.below(4) as u8]),
                3 => ops.extend([lots.one_of(b"qh"), lots.below(3) as u8]),
                _ => ops.push(lots.one_of(known)),
            }
        }
        ops.push(b'.');
        let _ = StateDict::read(&zip_of(&ops));
        let _ = StateDict::read(&legacy_of(&ops));
    }
}

#[test]
fn archives_with_changed_bytes_never_panic() {
    let wheel = wheel(Entry::deflated("", &Table::small().legacy()));
    check("wheel", 5000, &wheel, usize::MAX, |bytes| from_bytes(bytes).is_ok());
    let head = &dlib::file()[..2000];
    let sdist = gzip(&tar_entry(DLIB_MODEL, b'0', 2000, head));
    check("sdist", 5000, &sdist, usize::MAX, |bytes| from_bytes(bytes).is_ok());
    // Inside the gzip, where changes are not caught by its checksum.
    let tar = tar_entry(DLIB_MODEL, b'0', 2000, head);
    check("tar", 3000, &tar, usize::MAX, |bytes| from_bytes(&gzip(bytes)).is_ok());
}

#[test]
fn dlib_files_with_changed_bytes_never_panic() {
    check("dlib", 10_000, &dlib::file()[..24_000], 400, |bytes| from_bytes(bytes).is_ok());
}

#[test]
fn packs_with_changed_bytes_never_panic_and_never_keep_their_id() {
    let pack = detector();
    let bytes = pack.bytes().to_vec();
    let header = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let read = |changed: &[u8]| {
        let _ = from_bytes(&changed[..changed.len().min(header + 64)]);
        let Ok(found) = Pack::from_bytes(changed) else { return false };
        assert!(found.id != pack.id || changed == bytes, "other bytes, one id");
        assert!(
            Pack::new(found.meta.clone(), &found.tensors()).is_ok(),
            "what was read can be made"
        );
        true
    };
    check("pack's header", 700, &bytes, header, read);
    check("pack's tensors", 40, &bytes, usize::MAX, read);
    // The header alone, cheaply and often.
    check("header", 5000, &bytes[..header], header, |bytes| Pack::from_bytes(bytes).is_ok());
}
