//! Arbitrary bytes from a line: the first one cuts the stream in two, the others are fed to the receiver.
//!
//! Whatever comes, the same frames are found however the line cuts the bytes, and a frame that was found is found again
//! when it is sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threshold_wire::{Decoder, Frame, FrameError, FrameKind};

type Found = Vec<Result<(FrameKind, u32, [u8; 8], Vec<u8>), FrameError>>;

/// What a receiver finds in pieces of a stream, each frame given to a check.
fn found(pieces: [&[u8]; 2], check: fn(Frame<'_>)) -> Found {
    let mut decoder = Decoder::new();
    let mut found = Found::new();
    for mut piece in pieces {
        while let Some(frame) = decoder.feed(&mut piece) {
            found.push(frame.map(|frame| {
                check(frame);
                (frame.kind, frame.id, frame.key, frame.body.to_vec())
            }));
        }
    }
    found
}

/// A frame that is sent is found.
fn sent(frame: Frame<'_>) {
    let sent = frame.encode().expect("a frame that was found fits a frame");
    assert_eq!(Decoder::new().feed(&mut sent.as_bytes()), Some(Ok(frame)));
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let whole = found([stream, &[]], sent);
    // A cut at the front cuts nothing, and what is sent again of the same frames is the same.
    if cut > 0 {
        let (front, back) = stream.split_at(stream.len() * usize::from(cut) / 256);
        assert_eq!(whole, found([front, back], |_| ()));
    }
});
