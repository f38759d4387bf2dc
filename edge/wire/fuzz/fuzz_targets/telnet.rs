//! Arbitrary bytes of a terminal server, as the host's reader of RFC 2217 takes them: the first one cuts the stream in two.
//!
//! Whatever comes, the same data, answers and settings are found however the connection cuts the bytes; nothing grows beyond what
//! came; and any bytes that are sent as data arrive as these.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code, reason = "the host's own file, of which only the reader is called here")]
#[path = "../../../../host/src/session/telnet.rs"]
mod telnet;

use telnet::{Setting, Telnet};

/// What a reader makes of pieces: data, answers, and how it stands.
fn taken(pieces: [&[u8]; 2]) -> (Vec<u8>, Vec<u8>, String) {
    let (mut telnet, mut data, mut answer) = (Telnet::default(), Vec::new(), Vec::new());
    for piece in pieces {
        telnet.take(piece, &mut data, &mut answer);
    }
    for setting in Setting::of_line(115_200) {
        let _ = telnet.holds(setting);
    }
    let stands = format!("{telnet:?}");
    (data, answer, stands)
}

fuzz_target!(|data: &[u8]| {
    let Some((&cut, stream)) = data.split_first() else { return };
    let (front, back) = stream.split_at(stream.len() * usize::from(cut) / 256);
    let whole = taken([stream, &[]]);
    assert_eq!(whole, taken([front, back]));
    assert!(whole.0.len() + whole.1.len() <= stream.len());
    let sent = Telnet::escaped(stream);
    let (arrived, answer, _) = taken([&sent, &[]]);
    assert!(arrived == stream && answer.is_empty());
});
