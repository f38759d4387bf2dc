//! Harm behind the seals: a sound flash whose pieces are changed and sealed again, so that what reads them is reached.
//!
//! ```text
//! 0 form u8     its lowest two bits: 0 and 1 harm, with what stands behind the seals made to fit and as it is; 2 contents; 3 a record of
//!               commission, with its hash made to fit
//! harm:         kind u8 | piece u8 | offset u16 | length u8 | value u8, again and again
//! contents:     piece u8 | length u16 | bytes, again and again
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::{MockFlash, Object, commission, verify};
use threshold_store_fuzz::live;
use threshold_store_fuzz::reseal::{Apart, Piece, sound};

static SOUND: LazyLock<[Apart; 3]> = LazyLock::new(|| sound().map(|flash| Apart::of(&flash)));

/// Where a store counts to, at the most.
const MOST: u64 = u64::MAX / 4;

/// What a number becomes.
const FIELDS: [u64; 14] = [
    0,
    1,
    u64::MAX,
    u64::MAX - 1,
    u64::MAX / 2,
    1 << 32,
    1 << 31,
    MOST - 3,
    MOST - 2,
    MOST - 1,
    MOST,
    MOST + 1,
    u64::MAX - 0xff_ffff,
    1 << 16,
];

/// Does one harm.
fn harm(pieces: &mut Vec<Piece>, [kind, of, low, high, length, value]: [u8; 6]) {
    if pieces.is_empty() {
        return;
    }
    let index = usize::from(of) % pieces.len();
    let offset = usize::from(u16::from_le_bytes([low, high]));
    // The ring's own bytes are few beside the others' and stay the first.
    if kind % 12 == 10 && index > 0 {
        pieces.remove(index);
        return;
    }
    if kind % 12 == 11 && index > 0 {
        let again = pieces[index].clone();
        pieces.insert(index, again);
        return;
    }
    let Piece { object, front, content, .. } = &mut pieces[index];
    let at = offset % (content.len() + 1);
    let until = content.len().min(at + usize::from(length));
    let field = FIELDS.get(usize::from(value)).copied().unwrap_or(u64::from(value)).to_le_bytes();
    match kind % 12 {
        0 => content[at..until].iter_mut().take(1).for_each(|byte| *byte ^= value),
        1 => content[at..until].fill(value),
        2 => content.truncate(at),
        3 => content.extend(std::iter::repeat_n(value, usize::from(length))),
        4 => drop(content.drain(at..until)),
        5 => content.extend_from_within(at..until),
        6 | 7 => {
            let until = content.len().min(at + if kind % 12 == 6 { 4 } else { 8 });
            content[at..until].copy_from_slice(&field[..until - at]);
        }
        8 => {
            let at = offset % front.len().max(1);
            front.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value);
        }
        _ => {
            // As a piece of the same object was at another time of the same store.
            let earlier = &SOUND[usize::from(value) % 3].pieces;
            let same: Vec<&Piece> =
                earlier.iter().filter(|piece| piece.object == *object).collect();
            if let Some(piece) = same.get(offset % same.len().max(1)) {
                content.clone_from(&piece.content);
            }
        }
    }
}

/// A record of commission is refused, or is what it says.
fn commissioned(data: &[u8]) {
    let mut fit = data.to_vec();
    if let Some(key) = data.get(12..).and_then(|bytes| bytes.first_chunk()) {
        let whole = commission::bytes(key);
        fit.truncate(44);
        fit.extend_from_slice(&whole[44..]);
    }
    for bytes in [data.to_vec(), fit] {
        let mut flash = MockFlash::new();
        flash.set_bytes(Object::Commission, Some(bytes.clone()));
        if let Ok(Some(key)) = commission::read(&flash) {
            commission::write(&mut flash, &key).expect("room");
            assert_eq!(flash.bytes(Object::Commission), Some(bytes), "another record");
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((form, mut rest)) = data.split_first() else { return };
    let mut apart = SOUND[2].clone();
    // A flash is a handle: the one that is changed is a copy.
    apart.flash = apart.flash.copy();
    match form % 4 {
        3 => return commissioned(rest),
        2 => {
            while let Some((&[of, low, high], behind)) = rest.split_first_chunk::<3>() {
                let len = behind.len().min(usize::from(u16::from_le_bytes([low, high])));
                let (bytes, behind) = behind.split_at(len);
                let index = usize::from(of) % apart.pieces.len();
                apart.pieces[index].content = bytes.to_vec();
                rest = behind;
            }
        }
        _ => rest.as_chunks::<6>().0.iter().take(16).for_each(|&one| harm(&mut apart.pieces, one)),
    }
    let flash = apart.together(form % 4 != 1);
    live(&flash);
    // Whoever looks at a damaged log is told where, and no more.
    let _ = verify(&flash, &flash.keys(), None);
});
