//! Arbitrary bytes from a line: the first one cuts the stream in two, the others are fed to the receiver.
//!
//! Whatever comes, the same frames are found however the line cuts the bytes, and a frame that was found is found again
//! when it is sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threshold_wire::{Decoder, FrameKind};

type Found = Vec<Result<(FrameKind, u32, [u8; 8], Vec<u8>), threshold_wire::FrameError>>;

/// What a receiver finds in pieces of a stream.
fn found(pieces: &[&[u8]]) -> Found {
    let mut decoder = Decoder::new();
    let mut found = Found::new();
    for mut piece in pieces.iter().copied() {
        while let Some(frame) = decoder.feed(&mut piece) {
            found.push(frame.map(|frame| {
                let mut again = Decoder::new();
                let sent = frame.encode();
                let sent = sent.as_ref().map_or(&[][..], |sent| sent.as_bytes());
                assert_eq!(again.feed(&mut &*sent), Some(Ok(frame)));
                (frame.kind, frame.id, frame.key, frame.body.to_vec())
            }));
        }
    }
    found
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (front, back) = stream.split_at(stream.len() * usize::from(cut) / 256);
    assert_eq!(found(&[stream]), found(&[front, back]));
});
