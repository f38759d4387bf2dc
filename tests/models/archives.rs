//! Archives that mean harm: bombs, sizes that lie, entries with paths. Single entries are read into memory, bounded; no
//! name of one is ever a path.

use crate::torch_files::Table;
use crate::zip_files::{Entry, zip};
use crate::{check_fault, fault, stages};
use flate2::{Compress, Compression, FlushCompress};
use std::io::Write as _;
use threshold_models::import::{StateDict, from_bytes};

pub(crate) const DLIB_MODEL: &str = "dlib_face_recognition_resnet_model_v1.dat";

/// One entry of a tar archive: its header's block, and its bytes up to a whole block.
pub(crate) fn tar_entry(name: &str, kind: u8, claimed: u64, data: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    if claimed < 1 << 33 {
        block[124..135].copy_from_slice(format!("{claimed:011o}").as_bytes());
    } else {
        // GNU's binary form for sizes that eleven octal digits do not hold.
        block[124] = 0x80;
        block[128..136].copy_from_slice(&claimed.to_be_bytes());
    }
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar  \0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend(data);
    block.resize(block.len().div_ceil(512) * 512, 0);
    block
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(vec![], Compression::best());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

/// A gzip stream of these bytes and then `megabytes` of zeros, made without packing them all: a block that is flushed
/// in full stands for itself, so it can be repeated.
pub(crate) fn gzip_bomb(head: &[u8], megabytes: usize) -> Vec<u8> {
    let mut packer = Compress::new(Compression::best(), false);
    let mut pack = |plain: &[u8]| {
        let mut packed = Vec::with_capacity(plain.len() + 1024);
        packer.compress_vec(plain, &mut packed, FlushCompress::Full).unwrap();
        packed
    };
    let head = pack(head);
    // The first block after a flush may still be special; the second stands for all.
    let zeros = vec![0; 1 << 20];
    let (first, rest) = (pack(&zeros), pack(&zeros));
    let mut bomb = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    bomb.extend(head);
    bomb.extend(first);
    (1..megabytes).for_each(|_| bomb.extend(&rest));
    bomb
}

/// A wheel whose P-Net is this entry.
pub(crate) fn wheel(pnet: Entry) -> Vec<u8> {
    let mark = Entry::new("facenet_pytorch/__init__.py", b"");
    zip(&[mark, Entry { name: "facenet_pytorch/data/pnet.pt".to_owned(), ..pnet }])
}

#[test]
fn an_entry_that_unpacks_to_too_much_is_cut_off() {
    let bomb = wheel(Entry::deflated("", &vec![0; 65 << 20]));
    assert!(bomb.len() < 200_000);
    assert_eq!(
        fault(from_bytes(&bomb)),
        "archive: pnet.pt has more than 67108864 bytes; get the published file again"
    );
    // One that claims to be small all the same.
    let lie = wheel(Entry { unpacked: Some(10), ..Entry::deflated("", &vec![0; 65 << 20]) });
    fault(from_bytes(&lie));
    let model = tar_entry(DLIB_MODEL, b'0', 65 << 20, &vec![0; 65 << 20]);
    assert_eq!(
        fault(from_bytes(&gzip(&model))),
        format!("archive: {DLIB_MODEL} has more than 67108864 bytes; get the published file again")
    );
}

#[test]
fn a_compressed_part_of_a_torch_file_is_refused_unread() {
    for place in [0, 4] {
        let mut entries = Table::small().entries();
        let name = entries[place].name.clone();
        entries[place] = Entry::deflated(&name, &vec![0; 100 << 20]);
        let bytes = zip(&entries);
        let outcome = StateDict::read(&bytes).and_then(|mut table| table.floats("n", "a", &[2, 3]));
        assert_eq!(
            fault(outcome),
            format!("torch file: {name} is compressed; get the published file again")
        );
    }
}

#[test]
fn sizes_that_lie_are_an_error() {
    let bare = |change: &dyn Fn(&mut Entry)| {
        let mut entries = Table::small().entries();
        change(&mut entries[0]);
        change(&mut entries[4]);
        let bytes = zip(&entries);
        fault(StateDict::read(&bytes).and_then(|mut table| table.floats("n", "a", &[2, 3])))
    };
    for claimed in [0, 1, 100, 4 << 20, u32::MAX - 1, u32::MAX] {
        bare(&|entry| entry.claimed = Some(claimed));
        bare(&|entry| (entry.claimed, entry.unpacked) = (Some(claimed), Some(24)));
    }
    bare(&|entry| entry.crc = Some(7));
    bare(&|entry| entry.flags |= 1);
    for method in [1, 12, 14, 93, 95, 99, u16::MAX] {
        bare(&|entry| entry.method = method);
        fault(from_bytes(&wheel(Entry { method, ..Entry::new("", b"x") })));
    }
    // A pickle longer than any table's.
    let mut entries = Table::small().entries();
    entries[0] = Entry::new("archive/data.pkl", &vec![b'N'; 5 << 20]);
    check_fault(StateDict::read(&zip(&entries)), "has 5242880 bytes, at most 4194304 fit");
}

#[test]
fn names_that_are_paths_leave_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("a/b/c");
    std::fs::create_dir_all(&inside).unwrap();
    let absolute = folder.path().join("absolute");
    let prefixes = ["..", "../..", "../../..", "", "C:\\", &absolute.display().to_string()];
    for prefix in prefixes {
        // A torch file in such a folder, with such a key, and a wheel beside such entries.
        let entries: Vec<Entry> = Table::small()
            .entries()
            .into_iter()
            .map(|entry| Entry { name: entry.name.replace("archive", prefix), ..entry })
            .collect();
        let bytes = zip(&entries);
        if let Ok(mut table) = StateDict::read(&bytes) {
            assert_eq!(table.floats("n", "b", &[2]).unwrap(), [-1.0, 0.5]);
        }
        let mut table = Table::small();
        let key = format!("{prefix}/evil");
        table.views[1].storage.key.clone_from(&key);
        table.storages[1].0 = key;
        if let Ok(mut table) = StateDict::read(&table.zip()) {
            let _ = table.floats("n", "b", &[2]);
        }
        let evil = Entry::new(&format!("{prefix}/evil.pt"), b"evil");
        fault(from_bytes(&zip(&[Entry::new("facenet_pytorch/__init__.py", b""), evil])));
        let name = format!("{prefix}/{DLIB_MODEL}");
        let path = inside.join("evil.tar.gz");
        let name = &name[..name.len().min(99)];
        std::fs::write(&path, gzip(&tar_entry(name, b'0', 4, b"evil"))).unwrap();
        fault(threshold_models::import::any(&path));
        std::fs::remove_file(path).unwrap();
    }
    assert!(!absolute.exists());
    let left: Vec<_> = std::fs::read_dir(&inside).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_wheel_without_a_stage_and_an_sdist_without_the_model_say_so() {
    let [(_, pnet), ..] = stages::tables();
    check_fault(from_bytes(&wheel(Entry::deflated("", &pnet.legacy()))), "zip archive: ");
    let other = tar_entry("face_recognition_models-0.3.0/setup.py", b'0', 5, b"hello");
    for sdist in [gzip(&other), gzip(b""), gzip(&[0; 1024])] {
        assert_eq!(
            fault(from_bytes(&sdist)),
            format!("no {DLIB_MODEL} in the archive; name another file")
        );
    }
}

#[test]
fn an_sdist_that_is_damaged_or_cut_off_is_an_error() {
    let model = tar_entry(DLIB_MODEL, b'0', 3000, &[1; 3000]);
    let whole = gzip(&[tar_entry("a/b/setup.py", b'0', 5, b"hello"), model.clone()].concat());
    fault(from_bytes(&whole));
    for len in 0..whole.len() {
        fault(from_bytes(&whole[..len]));
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fault(from_bytes(&bytes));
    }
    for claimed in [3001, 1 << 30, 1 << 40, u64::MAX] {
        let lie = tar_entry(DLIB_MODEL, b'0', claimed, &[1; 3000]);
        fault(from_bytes(&gzip(&lie)));
    }
    // Long paths come in an entry of their own before the file, whose header has the beginning; the real sdist is so.
    let path = format!("{}/{DLIB_MODEL}\0", "long".repeat(30));
    let long = [
        tar_entry("././@LongLink", b'L', path.len() as u64, path.as_bytes()),
        tar_entry(&path[..99], b'0', 3, b"abc"),
    ];
    check_fault(from_bytes(&gzip(&long.concat())), "dlib file at byte 1: ");
    check_fault(from_bytes(&gzip(&long[1])), "in the archive; name another file");
    // A link, a folder, a device of that name is no file.
    for kind in *b"123456" {
        let entry = tar_entry(DLIB_MODEL, kind, 0, b"");
        check_fault(from_bytes(&gzip(&entry)), "in the archive; name another file");
    }
    let mut sum = model;
    sum[148] ^= 1;
    check_fault(from_bytes(&gzip(&sum)), "archive: ");
}
