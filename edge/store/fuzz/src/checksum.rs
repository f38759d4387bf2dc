//! Makes the checksums of an object fit whatever bytes it has, so that a mutation reaches the reader behind them.
//!
//! A layout that is sealed with a key cannot be made to fit; then the bytes stay as they are.

use threshold_store::Object;

const SEGMENT_HEADER: usize = 64;
const SINGLE_LOG_HEADER: usize = 16;
/// Length, its complement, kind, reserved, behind, sequence.
const RECORD_PREFIX: usize = 16;

/// Writes the checksums of an object anew.
pub fn make_fit(object: Object, bytes: &mut [u8]) {
    match object {
        Object::Anchor | Object::Tombstones => crc(bytes),
        Object::Gallery => {
            if let Some((covered, hash)) = bytes.split_last_chunk_mut::<32>() {
                *hash = *blake3::hash(covered).as_bytes();
            }
        }
        Object::Segment(_) => records(bytes, SEGMENT_HEADER),
        Object::SingleLog => records(bytes, SINGLE_LOG_HEADER),
        Object::Keys
        | Object::Administrators
        | Object::Wiping
        | Object::Reserve
        | Object::GallerySegment(_)
        | Object::Commission => {}
    }
}

/// A CRC-32 over everything before the last four bytes.
fn crc(bytes: &mut [u8]) {
    if let Some((covered, crc)) = bytes.split_last_chunk_mut::<4>() {
        *crc = crc32fast::hash(covered).to_le_bytes();
    }
}

/// The header, and the records behind it for as long as their lengths lead on.
fn records(bytes: &mut [u8], header: usize) {
    let Some((front, mut rest)) = bytes.split_at_mut_checked(header) else { return };
    crc(front);
    while let Some(prefix) = rest.first_chunk_mut::<RECORD_PREFIX>() {
        let [low, high, ..] = *prefix;
        let len = usize::from(u16::from_le_bytes([low, high]));
        [prefix[2], prefix[3]] = [!low, !high];
        let Some((record, after)) = rest.split_at_mut_checked(RECORD_PREFIX + len + 4) else {
            return;
        };
        crc(record);
        rest = after;
    }
}
