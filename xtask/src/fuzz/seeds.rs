//! The first inputs of the fuzz targets, from golden files: a flash of each released format, and every message.

use super::Group;
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use threshold_wire::Decoder;
use threshold_wire::endpoints::TABLE;

/// Inputs by target; each is led by what its target reads first (`fuzz_targets/`).
type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Writes a group's seeds, one folder for each target.
pub(super) fn write(group: Group, out: &Path) -> Result<()> {
    let seeds = match group {
        Group::Store => store(&root().join("tests/store/golden"))?,
        Group::Wire => {
            let golden = |name| {
                let path = root().join("tests/wire/golden").join(name);
                fs::read_to_string(&path).with_context(|| path.display().to_string())
            };
            let session = handshake(&golden("session.txt")?);
            let gallery = gallery(&golden("gallery.txt")?);
            [wire(&golden("messages.txt")?), gallery, session, packets(), telnet()].concat()
        }
    };
    for target in group.targets() {
        let folder = out.join(target);
        // Those of golden files that are gone would stay.
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let of_target = seeds.iter().filter(|(name, _)| name == target);
        for ((_, bytes), number) in of_target.zip(0..) {
            let path = folder.join(format!("golden-{number:03}"));
            fs::write(&path, bytes).with_context(|| path.display().to_string())?;
        }
    }
    Ok(())
}

/// Each object of each flash, the segments of each in a row, and each flash whole.
fn store(golden: &Path) -> Result<Seeds> {
    let mut seeds = Seeds::new();
    let list = |folder: &Path| -> Result<Vec<std::path::PathBuf>> {
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    };
    for folder in list(golden)?.into_iter().filter(|path| path.is_dir()) {
        // Form 1: objects.
        let mut image = vec![1];
        let mut segments = Vec::new();
        for path in list(&folder)? {
            let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
            let length = (bytes.len() as u16).to_le_bytes();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let (target, code) = match name.as_str() {
                "store.anchor" => ("anchor", 0),
                "gallery.snapshot" => ("snapshot", 1),
                "gallery.tombstones" => ("tombstones", 2),
                "events.log" => ("single_log", 3),
                name => {
                    let number = name.strip_prefix("events.").and_then(|n| n.strip_suffix(".log"));
                    let Some(number) = number.and_then(|n| n.parse::<u8>().ok()) else { continue };
                    segments.extend([&length[..], &bytes].concat());
                    ("", 3 + number)
                }
            };
            image.extend([&[code][..], &length, &bytes].concat());
            seeds.extend((!target.is_empty()).then_some((target, bytes)));
        }
        seeds.extend([("segments", segments), ("mount", image)]);
    }
    // Form 0: one harm of each kind to each object.
    for kind in 0..9_u8 {
        for object in 0..8_u8 {
            seeds.push(("mount", vec![0, kind, object, 40, 0, 8, 1, 6, object, 0, 0, 0, 0]));
        }
    }
    // And to each page of some cells of a medium, with its checksum as it is and made to fit.
    for (kind, page) in (0..8_u8).flat_map(|kind| (0..8_u8).map(move |page| (kind, page))) {
        for (block, kind) in (0..12_u8).zip([kind, kind | 0x80].into_iter().cycle()) {
            seeds.push(("cells", vec![0, kind, block, page, 8 * page, 0, block, 0, 3, 0, 0, 0, 0]));
        }
    }
    // Harm behind the seals: one of each kind to each piece of a store, with what stands there made to fit and as it is; a content of
    // zeros for each, and a record of commission.
    for (kind, piece) in (0..12_u8).flat_map(|kind| (0..48_u8).map(move |piece| (kind, piece))) {
        let form = piece % 2;
        seeds.push(("resealed", vec![form, kind, piece, 5 * kind, 0, 4, kind + piece]));
        seeds.push(("resealed", vec![form, kind, piece, 40, 0, 8, 3, kind, piece / 2, 8, 0, 8, 1]));
    }
    seeds.extend((0..48_u8).map(|piece| ("resealed", [&[2, piece, 64, 0][..], &[0; 64]].concat())));
    let record = [&[3][..], b"THRCOM\r\n", &[1, 0, 0, 0], &[7; 48]].concat();
    seeds.push(("resealed", record));
    let image = golden.join("cells-1.img");
    let image = fs::read(&image).with_context(|| image.display().to_string())?;
    // Form 1: some of the pages of the golden medium, of 8 in a block.
    for (pages, first) in image.chunks(12 * 512).zip((0..).step_by(12)) {
        let mut seed = vec![1];
        for (page, at) in pages.chunks(512).zip(first..) {
            let [block, of] = [at / 8, at % 8].map(|at: u32| at as u8);
            seed.extend([&[block, of, 0, 2][..], page].concat());
        }
        seeds.push(("cells", seed));
    }
    Ok(seeds)
}

/// Each golden line: the bytes on the line, and the body behind the row of its endpoint.
fn wire(golden: &str) -> Seeds {
    let mut seeds = Seeds::new();
    for (name, hex) in golden.lines().filter_map(|line| line.split_once(' ')) {
        let Some(bytes) = bytes_of(hex) else { continue };
        seeds.push(("frames", [&[128][..], &bytes].concat()));
        let path = name.split(':').next().unwrap_or_default();
        let row = TABLE.iter().position(|(of_row, ..)| *of_row == path).unwrap_or(0) as u8;
        let mut decoder = Decoder::new();
        if let Some(Ok(frame)) = decoder.feed(&mut bytes.as_slice()) {
            seeds.push(("messages", [&[row][..], frame.body].concat()));
        }
    }
    seeds
}

/// A packet of each kind, behind the row after the last one.
fn packets() -> Seeds {
    let packets: [&[u8]; 3] = [&[5, 1, 0, 7, 7, 7], &[6, 1, 0, 9, 0xac, 2, 5], &[7, 1]];
    let row = TABLE.len() as u8;
    packets.map(|packet| ("messages", [&[row][..], packet].concat())).into()
}

/// What a terminal server says: options, the settings of RFC 2217, a rest, and data with an escape in it.
fn telnet() -> Seeds {
    let said: [&[u8]; 4] = [
        &[255, 253, 44, 255, 251, 0, 255, 254, 0, 255, 253, 1, 255, 251, 1],
        &[255, 250, 44, 101, 0, 1, 194, 0, 255, 240, 255, 250, 44, 102, 8, 255, 240],
        &[255, 250, 44, 108, 255, 240, 255, 250, 44, 109, 255, 240, 255, 250, 44, 107, 0, 255, 240],
        b"data \xff\xff and \0 more",
    ];
    said.map(|bytes| ("telnet", [&[128][..], bytes].concat())).into()
}

/// A content without its hash, a listing and an envelope, behind what the target chooses by.
fn gallery(golden: &str) -> Seeds {
    let lines = golden.lines().filter_map(|line| line.split_once(' '));
    let seed = |(name, hex): (&str, &str)| {
        let bytes = bytes_of(hex)?;
        let (which, len) = match name.split('-').next().unwrap_or(name) {
            "content" => (0, bytes.len().checked_sub(32)?),
            "listing" => (1, bytes.len()),
            _ => (2, bytes.len()),
        };
        Some(("gallery", [&[which][..], bytes.get(..len)?].concat()))
    };
    lines.filter_map(seed).collect()
}

/// Each message as it was sent, with a bit changed, cut short, and in the place of another handshake's.
fn handshake(golden: &str) -> Seeds {
    // In the order of the target.
    const CHANGED: [&str; 8] = [
        "session:open",
        "session:welcome",
        "hello",
        "pair:start",
        "pair:go",
        "pair:finish",
        "pair:proof",
        "sealed:call",
    ];
    let mut seeds = Seeds::new();
    for (which, name) in (0..).zip(CHANGED) {
        let changes: [&[u8]; 4] = [&[], &[0, 40, 1], &[1, 9, 0], &[2, 3, 7, 0, 60, 128]];
        seeds.extend(changes.map(|change| ("handshake", [&[which], change].concat())));
        let line =
            golden.lines().filter_map(|line| line.split_once(' ')).find(|(of, _)| *of == name);
        if let Some(bytes) = line.and_then(|(_, hex)| bytes_of(hex)) {
            seeds.push(("handshake", [&[which, 3, 0][..], &bytes].concat()));
        }
    }
    seeds
}

/// The bytes of digits in pairs.
fn bytes_of(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.trim().as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn every_target_has_seeds_from_the_golden_files() {
        let golden = fs::read_to_string(root().join("tests/wire/golden/messages.txt")).unwrap();
        let galleries = fs::read_to_string(root().join("tests/wire/golden/gallery.txt")).unwrap();
        let session = fs::read_to_string(root().join("tests/wire/golden/session.txt")).unwrap();
        let store = store(&root().join("tests/store/golden")).unwrap();
        let seeds =
            [store, wire(&golden), gallery(&galleries), handshake(&session), telnet()].concat();
        for target in Group::ALL.iter().flat_map(|group| group.targets()) {
            assert!(
                seeds.iter().any(|(name, bytes)| name == target && bytes.len() > 9),
                "{target}"
            );
        }
        let of = |target: &str| seeds.iter().filter(|(name, _)| *name == target).count();
        // Eight that are changed in four ways each, and seven with a golden line.
        assert_eq!(of("handshake"), 8 * 4 + 7);
        let messages = of("messages");
        assert_eq!(messages, golden.lines().count(), "every golden message is a frame");
    }
}
