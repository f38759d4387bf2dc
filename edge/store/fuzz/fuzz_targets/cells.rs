//! Cells of a medium whose pages hold anything: a sound one with harm done to it, or with pages of arbitrary bytes.
//!
//! ```text
//! 0 form u8     even: harm; odd: pages
//! harm:         kind u8 (its highest bit: the checksum is made to fit) | block u8 | page u8 | offset u16 | value u8, again and again
//! pages:        block u8 | page u8 | length u16 | bytes, again and again; as they are, and with their checksums made to fit
//! ```
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_store::cells::Nand;
use threshold_store_fuzz::cells::{Harm, SHAPE, live, make_fit, sound};

static SOUND: LazyLock<[Nand; 3]> = LazyLock::new(sound);

fn page(nand: &Nand, block: u32, page: u32) -> Vec<u8> {
    let held = nand.pages().into_iter().find(|(at, of, _)| (*at, *of) == (block, page));
    held.map_or_else(|| vec![0xff; SHAPE.page_bytes as usize], |(.., bytes)| bytes)
}

/// Does one harm.
fn harm(nand: &Nand, [kind, block, of, low, high, value]: [u8; 6]) -> Harm {
    let (block, of) = (u32::from(block) % SHAPE.blocks, u32::from(of) % SHAPE.block_pages);
    let mut bytes = page(nand, block, of);
    let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
    match kind % 8 {
        0 => bytes[at] ^= value,
        1 => bytes[at..].fill(value),
        2 => bytes.fill(0xff),
        3 => bytes = page(nand, u32::from(value) % SHAPE.blocks, of),
        // As it was in an earlier state of the same medium.
        4 => bytes = page(&SOUND[usize::from(value) % 3], block, of),
        5 => nand.spoil(block, of),
        kind => {
            let field = [0, 1, u64::MAX, u64::MAX / 2, u64::MAX / 2 - 1, 1 << 32, 511, 98_304];
            let field = field[usize::from(value) % field.len()].to_le_bytes();
            // A word of four bytes or of eight, where the fields of a page stand.
            let (at, len) = (at % 64 / 4 * 4, if kind == 6 { 4 } else { 8 });
            bytes[at..at + len].copy_from_slice(&field[..len]);
        }
    }
    if kind & 0x80 != 0 {
        make_fit(block, &mut bytes);
    }
    nand.set_page(block, of, Some(&bytes));
    if kind & 0x80 != 0 || kind % 8 == 4 { Harm::Forgery } else { Harm::Damage }
}

fuzz_target!(|data: &[u8]| {
    let Some((form, mut rest)) = data.split_first() else { return };
    if form % 2 == 0 {
        let nand = SOUND[2].copy();
        let harms = rest.as_chunks::<6>().0.iter().take(16).map(|&one| harm(&nand, one));
        let harms: Vec<Harm> = harms.collect();
        let is_forged = harms.contains(&Harm::Forgery);
        live(&nand, if is_forged { Harm::Forgery } else { Harm::Damage });
        return;
    }
    let (plain, fit) = (SOUND[1].copy(), SOUND[1].copy());
    while let Some((&[block, of, low, high], behind)) = rest.split_first_chunk::<4>() {
        let len = behind.len().min(usize::from(u16::from_le_bytes([low, high])));
        let (bytes, behind) = behind.split_at(len);
        let (block, of) = (u32::from(block) % SHAPE.blocks, u32::from(of) % SHAPE.block_pages);
        plain.set_page(block, of, Some(bytes));
        let mut bytes = bytes.to_vec();
        bytes.resize(SHAPE.page_bytes as usize, 0xff);
        make_fit(block, &mut bytes);
        fit.set_page(block, of, Some(&bytes));
        rest = behind;
    }
    live(&plain, Harm::Forgery);
    live(&fit, Harm::Forgery);
});
