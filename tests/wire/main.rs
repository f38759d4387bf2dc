//! Tests of the area `wire`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod bulk;
mod call;
mod ends;
mod frames;
mod gallery;
mod golden;
mod hello;
mod line_figures;
mod noise;
mod pairing;
mod previous;
mod recovery;
mod repeat;
mod samples;
mod session;
mod text_fields;
mod texts;
mod threats;

use threshold_wire::{Decoder, Frame, FrameError, FrameKind};

/// A frame that outlives its decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Received {
    kind: FrameKind,
    id: u32,
    key: [u8; 8],
    body: Vec<u8>,
}

impl Received {
    fn of(frame: &Frame<'_>) -> Self {
        let Frame { kind, id, key, body } = *frame;
        Self { kind, id, key, body: body.to_vec() }
    }

    fn frame(&self) -> Frame<'_> {
        Frame { kind: self.kind, id: self.id, key: self.key, body: &self.body }
    }

    fn line(&self) -> Vec<u8> {
        self.frame().encode().unwrap().as_bytes().to_vec()
    }
}

/// What a decoder makes of bytes that arrive at once.
fn decode(decoder: &mut Decoder, mut bytes: &[u8]) -> Vec<Result<Received, FrameError>> {
    let mut found = Vec::new();
    while let Some(frame) = decoder.feed(&mut bytes) {
        found.push(frame.map(|frame| Received::of(&frame)));
    }
    found
}

/// The one frame that these bytes are.
fn lone(bytes: &[u8]) -> Received {
    let [Ok(frame)] = &decode(&mut Decoder::new(), bytes)[..] else {
        panic!("{bytes:02x?} is not one frame")
    };
    frame.clone()
}
