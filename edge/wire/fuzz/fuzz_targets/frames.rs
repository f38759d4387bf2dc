//! Arbitrary bytes from a line: the first one cuts the stream in two, the others are fed to the receiver.
//!
//! Whatever comes, the same frames are found however the line cuts the bytes, and a frame that was found, sealed or not, is found
//! again when it is sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threshold_wire::{Arrived, Decoder, FrameError, FrameKind};

/// A frame that outlives its receiver.
#[derive(PartialEq, Debug)]
enum Frame {
    Open(FrameKind, u32, [u8; 8], Vec<u8>),
    Sealed(u64, Vec<u8>),
}

type Found = Vec<Result<Frame, FrameError>>;

/// What a receiver finds in pieces of a stream, each frame given to a check.
fn found(pieces: [&[u8]; 2], check: fn(Arrived<'_>)) -> Found {
    let mut decoder = Decoder::new();
    let mut found = Found::new();
    for mut piece in pieces {
        while let Some(arrived) = decoder.feed_any(&mut piece) {
            found.push(arrived.map(|arrived| {
                check(arrived);
                match arrived {
                    Arrived::Open(frame) => Frame::Open(frame.kind, frame.id, frame.key, frame.body.to_vec()),
                    Arrived::Sealed(sealed) => Frame::Sealed(sealed.nonce, sealed.cipher.to_vec()),
                }
            }));
        }
    }
    found
}

/// A frame that is sent is found.
fn sent(arrived: Arrived<'_>) {
    let sent = match arrived {
        Arrived::Open(frame) => frame.encode(),
        Arrived::Sealed(sealed) => sealed.encode(),
    };
    let sent = sent.expect("a frame that was found fits a frame");
    assert_eq!(Decoder::new().feed_any(&mut sent.as_bytes()), Some(Ok(arrived)));
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
