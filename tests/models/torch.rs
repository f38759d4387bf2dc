//! Torch's two containers: files that torch wrote, files by hand, and what is wrong with damaged ones.

use crate::torch_files::{Pickle, Table, View, f32_bytes, legacy_head, legacy_of, zip_of};
use crate::zip_files::{Entry, zip};
use crate::{check_fault, fault};
use std::path::Path;
use threshold_models::import::{ImportError, StateDict, from_bytes};

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fixtures").join(name)).unwrap()
}

/// `make_fixtures.py`'s values: i / 8 - 1.
fn ramp(count: usize) -> Vec<f32> {
    (0..count).map(|i| i as f32 / 8.0 - 1.0).collect()
}

fn floats(table: &mut StateDict<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
    table.floats("a network", name, shape)
}

#[test]
fn files_that_torch_wrote_are_read_to_the_last_value() {
    for name in ["zip.pt", "legacy.pt"] {
        let bytes = fixture(name);
        let mut table = StateDict::read(&bytes).unwrap();
        let names: Vec<&str> = table.names().collect();
        let expected = [
            "bfloat16",
            "bn.bias",
            "bn.num_batches_tracked",
            "bn.running_mean",
            "bn.running_var",
            "bn.weight",
            "conv.bias",
            "conv.weight",
            "double",
            "half",
            "scalar",
            "view.empty",
            "view.rows",
            "view.steps",
            "view.transposed",
        ];
        assert_eq!(names, expected, "{name}");
        let base = ramp(24);
        let transposed: Vec<f32> = (0..24).map(|i| base[i % 4 * 6 + i / 4]).collect();
        let steps = base.iter().copied().step_by(2).collect();
        let cases: [(&str, &[usize], Vec<f32>); 13] = [
            ("conv.weight", &[2, 3, 2, 1], ramp(12)),
            ("conv.bias", &[2], ramp(2)),
            ("bn.weight", &[2], vec![1.0, 1.0]),
            ("bn.bias", &[2], vec![0.0, 0.0]),
            ("bn.running_var", &[2], vec![1.0, 1.125]),
            ("view.transposed", &[6, 4], transposed),
            ("view.rows", &[2, 6], base[6..18].to_vec()),
            ("view.steps", &[4, 3], steps),
            ("view.empty", &[0, 6], vec![]),
            ("scalar", &[], vec![2.5]),
            ("double", &[3], ramp(3)),
            ("half", &[3], ramp(3)),
            ("bfloat16", &[3], ramp(3)),
        ];
        for (tensor, shape, values) in cases {
            assert_eq!(floats(&mut table, tensor, shape).unwrap(), values, "{name}: {tensor}");
        }
        check_fault(
            floats(&mut table, "bn.num_batches_tracked", &[]),
            "holds integers, not weights",
        );
        assert_eq!(
            fault(floats(&mut table, "conv.weight", &[2, 3, 1, 2])),
            "tensor conv.weight: expected shape [2, 3, 1, 2], found [2, 3, 2, 1]; name another file"
        );
        assert_eq!(
            fault(floats(&mut table, "conv2.weight", &[1])),
            "tensor conv2.weight is missing, so these are no weights of a network; name another file"
        );
        check_fault(from_bytes(&bytes), "these are no weights of Inception-ResNet-v1");
    }
}

#[test]
fn what_else_torch_saves_is_refused_and_not_run() {
    // A whole module names its own class, which would be imported and called.
    assert_eq!(
        fault(StateDict::read(&fixture("module.pt"))),
        "the pickle names __main__.Net, which no table of weights needs; nothing of it was run; do not trust this file, \
         get the published one"
    );
    check_fault(
        StateDict::read(&fixture("tensor.pt")),
        "holds no table of tensors (save the model's",
    );
}

#[test]
fn files_by_hand_are_read_as_torchs_own() {
    for bytes in [Table::small().legacy(), Table::small().zip()] {
        let mut table = StateDict::read(&bytes).unwrap();
        assert!(table.contains("a") && table.contains("b") && !table.contains("c"));
        assert_eq!(floats(&mut table, "a", &[2, 3]).unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(floats(&mut table, "b", &[2]).unwrap(), [-1.0, 0.5]);
    }
}

#[test]
fn a_file_cut_off_anywhere_is_an_error() {
    for (name, whole) in [("legacy", Table::small().legacy()), ("zip", Table::small().zip())]
        .into_iter()
        .chain(["zip.pt", "legacy.pt"].map(|name| (name, fixture(name))))
    {
        for len in 0..whole.len() {
            fault(StateDict::read(&whole[..len]).map(|_| format!("{name}, {len} bytes")));
        }
    }
}

#[test]
fn bytes_behind_the_last_storage_are_an_error() {
    let legacy = [&Table::small().legacy()[..], b"more"].concat();
    check_fault(StateDict::read(&legacy), "4 bytes follow the last storage");
    let pickle = [&Table::small().pickle(false)[..], b"."].concat();
    check_fault(StateDict::read(&zip_of(&pickle)), "bytes follow the table in data.pkl");
}

/// Reads tensor `a` of the small table after a change to it.
fn changed(change: impl Fn(&mut View)) -> [Result<Vec<f32>, ImportError>; 2] {
    let mut table = Table::small();
    change(&mut table.views[0]);
    let shape: Vec<usize> = table.views[0].shape.iter().map(|&size| size as usize).collect();
    [table.legacy(), table.zip()].map(|bytes| {
        let mut table = StateDict::read(&bytes)?;
        floats(&mut table, "a", &shape)
    })
}

#[test]
fn a_view_that_leaves_its_storage_is_an_error() {
    let check = |change: fn(&mut View)| {
        for outcome in changed(change) {
            check_fault(outcome, "tensor a lies outside its storage");
        }
    };
    check(|view| view.offset = 1);
    check(|view| view.offset = i64::MAX);
    check(|view| (view.shape, view.strides) = (vec![7], vec![1]));
    check(|view| view.shape = vec![3, 3]);
    check(|view| view.strides = vec![3, 2]);
    check(|view| view.strides = vec![i64::MAX, i64::MAX]);
    check(|view| view.shape = vec![i64::MAX, 2]);
    check(|view| view.shape = vec![1 << 32, 1 << 32]);
    // A view that repeats one element could be made as large as one likes.
    check(|view| {
        view.shape = vec![1 << 40, 1];
        view.strides = vec![0, 0];
    });
}

#[test]
fn sizes_below_zero_are_an_error() {
    let check = |change: fn(&mut View)| {
        for outcome in changed(change) {
            check_fault(outcome, "is not described as torch does");
        }
    };
    check(|view| view.offset = -1);
    check(|view| view.shape = vec![-2, -3]);
    check(|view| view.strides = vec![-3, 1]);
    check(|view| view.storage.len = -6);
    check(|view| view.strides = vec![1]);
    check(|view| {
        view.shape = vec![1; 9];
        view.strides = vec![1; 9];
    });
}

#[test]
fn a_storage_of_another_length_than_its_tensor_says_is_an_error() {
    let mut table = Table::small();
    table.views[0].storage.len = 1 << 40;
    check_fault(StateDict::read(&table.legacy()), "it ends inside storage 0");
    let bytes = table.zip();
    let mut read = StateDict::read(&bytes).unwrap();
    check_fault(floats(&mut read, "a", &[2, 3]), "storage 0 has 24 of 4398046511104 bytes");
    table.views[0].storage.len = 5;
    table.views[0].shape = vec![5];
    table.views[0].strides = vec![1];
    let bytes = table.zip();
    let mut read = StateDict::read(&bytes).unwrap();
    check_fault(floats(&mut read, "a", &[5]), "archive/data/0 has 24 bytes, at most 20 fit");
}

#[test]
fn two_tensors_that_disagree_about_their_storage_are_an_error() {
    // `b` says that storage 0 has two elements, `a` that it has a thousand: the file holds what the last one says.
    for (a, b) in [(1000, 2), (2, 1000), (1 << 50, 6), (6, 6)] {
        let mut table = Table::small();
        table.views[1].storage.key = "0".to_owned();
        for (view, len) in table.views.iter_mut().zip([a, b]) {
            view.storage.len = len;
            view.shape = vec![len];
            view.strides = vec![1];
        }
        table.storages = vec![("0".to_owned(), f32_bytes(&vec![1.0; b.min(1000) as usize]))];
        for bytes in [table.legacy(), table.zip()] {
            let mut read = StateDict::read(&bytes).unwrap();
            let sizes = [("a", a), ("b", b)].map(|(name, len)| (name, [len as usize]));
            for (name, shape) in sizes {
                let found = floats(&mut read, name, &shape);
                if a == b || (name == "b" && b <= 1000) {
                    assert_eq!(found.unwrap().len(), shape[0]);
                } else {
                    fault(found);
                }
            }
        }
    }
}

#[test]
fn a_storage_that_is_missing_unnamed_or_nobodys_is_an_error() {
    let mut table = Table::small();
    table.storages.remove(0);
    let bytes = table.legacy();
    let mut read = StateDict::read(&bytes).unwrap();
    check_fault(floats(&mut read, "a", &[2, 3]), "storage 0 is not in the file");
    let bytes = table.zip();
    let mut read = StateDict::read(&bytes).unwrap();
    check_fault(floats(&mut read, "a", &[2, 3]), "zip archive: ");
    let mut table = Table::small();
    table.storages.push(("evil".to_owned(), vec![0; 4]));
    check_fault(StateDict::read(&table.legacy()), "no tensor looks into storage evil");
    let keys = Pickle::new().op(b"](").int(7).op(b"e").end();
    let file = [&legacy_head()[..], &Table::default().pickle(true), &keys].concat();
    check_fault(StateDict::read(&file), "a storage's key is not text");
    let keys = Pickle::new().op(b"}").end();
    let file = [&legacy_head()[..], &Table::default().pickle(true), &keys].concat();
    check_fault(StateDict::read(&file), "there is no list of storages");
}

#[test]
fn a_legacy_file_of_another_version_or_machine_is_an_error() {
    let table = Table::small().legacy();
    let after = |from: &[u8], to: &[u8]| {
        let at = table.windows(from.len()).position(|part| part == from).unwrap();
        [&table[..at], to, &table[at + from.len()..]].concat()
    };
    check_fault(StateDict::read(&after(b"M\xe9\x03.", b"M\xea\x03.")), "version 1001");
    let magic: &[u8] = b"\x6c\xfc\x9c\x46";
    check_fault(StateDict::read(&after(magic, b"\x6c\xfc\x9c\x47")), "not of the legacy format's");
    let little = b"little_endian\x88";
    let big = after(little, b"little_endian\x89");
    check_fault(StateDict::read(&big), "not written on a little-endian machine");
    let mut entries = Table::small().entries();
    entries[3] = Entry::new("archive/byteorder", b"big");
    check_fault(StateDict::read(&zip(&entries)), "not written on a little-endian machine");
    // torch 1 wrote no byte order.
    entries.remove(3);
    assert!(StateDict::read(&zip(&entries)).is_ok());
}

#[test]
fn a_table_of_something_else_is_an_error() {
    let check = |pickle: Vec<u8>, part: &str| {
        check_fault(StateDict::read(&zip_of(&pickle)), part);
        check_fault(StateDict::read(&legacy_of(&pickle)), part);
    };
    check(Pickle::new().op(b"N").end(), "holds no table of tensors");
    check(Pickle::new().op(b"]").end(), "holds no table of tensors");
    check(Pickle::new().op(b"}").int(1).int(2).op(b"s").end(), "a tensor's name is not text");
    check(Pickle::new().op(b"}").text("a").int(2).op(b"s").end(), "a is no tensor");
    // A name from the file is shown printable and not at any length.
    let name = "\u{1b}[2J\u{202e}".repeat(5000);
    let text = fault(StateDict::read(&zip_of(&Pickle::new().op(b"}").text(&name).op(b"Ns").end())));
    assert!(text.len() < 300 && !text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
}

#[test]
fn other_containers_are_named_as_what_they_are_not() {
    for bytes in [&b""[..], b"hello", &[0x80, 3, 0x8a, 0x0a], &[0; 4096], b"\x89PNG\r\n\x1a\n"] {
        check_fault(from_bytes(bytes), "of no kind that is read here; name {p,r,o}net.pt");
    }
    check_fault(StateDict::read(b"PK\x03\x04"), "zip archive: ");
    let archive = zip(&[Entry::new("readme.txt", b"hello")]);
    check_fault(from_bytes(&archive), "the archive has no data.pkl");
}
