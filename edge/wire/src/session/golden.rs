//! Golden bytes of handshakes and sealed frames: `tests/wire/golden/session.txt` has one line for each, its name and hex.
//!
//! Stands in the crate because the ephemeral keys must be fixed for it, which no caller of the crate can do.
//! `THRESHOLD_BLESS=1 cargo test -p threshold-wire --features session` writes the file anew; `cargo xtask tidy` then asks
//! for a line in the changelog that says what the change means.

use super::key::check_public;
use super::{Inside, Opening, SealError, SecretKey, Session, WORN_AT, accept};
use crate::bulk::{Packet, Progress, Stage, Status};
use crate::handshake::{PairFinished, PairStarted, SessionOpened};
use crate::pairing::{PairingAtHost, PairingAtUnit, PairingCode};
use crate::{Frame, FrameKind, Hello, HelloRequest};
use std::boxed::Box;
use std::cell::Cell;
use std::format;
use std::path::Path;
use std::string::String;
use std::vec::Vec;
use threshold_record::{Administrator, Name, Role};

std::thread_local! {
    static EPHEMERAL: Cell<Option<[u8; 32]>> = const { Cell::new(None) };
}

/// The builder with the ephemeral key that the test has laid down, if it has.
pub(super) fn fix(builder: snow::Builder<'_>) -> snow::Builder<'_> {
    match EPHEMERAL.take() {
        // Leaked: a builder borrows its keys, and a test is short.
        Some(key) => builder.fixed_ephemeral_key_for_testing_only(Box::leak(Box::new(key))),
        None => builder,
    }
}

fn with_ephemeral<T>(byte: u8, make: impl FnOnce() -> T) -> T {
    EPHEMERAL.set(Some([byte; 32]));
    make()
}

fn hellos() -> (HelloRequest, Hello) {
    // Not of this build: the golden lines must not change with the table.
    let host = HelloRequest {
        protocol: 2,
        schema: 0x0102_0304_0506_0708,
        build: "0.1.0".try_into().unwrap(),
    };
    let unit = Hello {
        protocol: 2,
        schema: 0x0102_0304_0506_0708,
        build: "0.1.1".try_into().unwrap(),
        unit: "north door".try_into().unwrap(),
    };
    (host, unit)
}

fn keys() -> (SecretKey, SecretKey) {
    (SecretKey::of_bytes([0x72; 32]).unwrap(), SecretKey::of_bytes([0x51; 32]).unwrap())
}

fn owner() -> Administrator {
    let (host, _) = keys();
    Administrator { key: *host.public(), name: Name::new("Ada").unwrap(), role: Role::Owner }
}

/// Host and unit, and the handshake's two messages.
fn session() -> (Session, Session, [Vec<u8>; 2]) {
    let ((host, unit), (secret, unit_secret)) = (hellos(), keys());
    let (opening, request) =
        with_ephemeral(0xe1, || Opening::start(&host, &unit, &secret, unit_secret.public()))
            .unwrap();
    let roster = [owner()];
    let accepted =
        with_ephemeral(0xe2, || accept(&request, &host, &unit, &unit_secret, &roster)).unwrap();
    let SessionOpened::Welcome(welcome) = &accepted.answer else { panic!("no welcome") };
    let messages = [request.message.to_vec(), welcome.to_vec()];
    (opening.finish(&accepted.answer).unwrap().0, accepted.session, messages)
}

fn sheet() -> Vec<(&'static str, Vec<u8>)> {
    let mut sheet = Vec::new();
    let (mut host, mut unit, [open, welcome]) = session();
    sheet.extend([("session:open", open), ("session:welcome", welcome)]);
    let frame = |kind, body| Inside::Message(Frame { kind, id: 0xa1b2_c3d4, key: [9; 8], body });
    let progress = Progress { next: 300, map: 0b110 };
    let status = Status { transfer: 9, stage: Stage::Receiving, progress, seen: 70_000 };
    let up = [
        ("sealed:call", frame(FrameKind::Call, b"body")),
        ("sealed:chunk", Inside::Bulk(Packet::Chunk { transfer: 9, index: 300, bytes: b"chunk" })),
        ("sealed:query", Inside::Bulk(Packet::Query { transfer: 9 })),
    ];
    for (name, inside) in up {
        sheet.push((name, host.seal(&inside).unwrap().as_bytes().to_vec()));
    }
    let down = [
        ("sealed:answer", frame(FrameKind::Answer, b"body")),
        ("sealed:error", frame(FrameKind::Error, b"")),
        ("sealed:refusal", frame(FrameKind::Refusal, b"\x01")),
        ("sealed:status", Inside::Bulk(Packet::Status(status))),
    ];
    for (name, inside) in down {
        sheet.push((name, unit.seal(&inside).unwrap().as_bytes().to_vec()));
    }
    host.sealed = 0x1234_5678;
    sheet.push(("sealed:call:late", host.seal(&up[0].1).unwrap().as_bytes().to_vec()));
    sheet.extend(pairing());
    sheet
}

fn pairing() -> [(&'static str, Vec<u8>); 4] {
    let ((host, unit), (secret, unit_secret)) = (hellos(), keys());
    let code = PairingCode::of_bytes(core::array::from_fn(|i| i as u8));
    let name = Name::new("Ada").unwrap();
    let (at_host, start) =
        with_ephemeral(0xe3, || PairingAtHost::start(&host, &unit, &secret, &code, name)).unwrap();
    let mut at_unit = PairingAtUnit::default();
    at_unit.window.button(0);
    let started =
        with_ephemeral(0xe4, || at_unit.start(&start, &host, &unit, &unit_secret, &code, 0))
            .unwrap();
    let PairStarted::Go(go) = &started else { panic!("refused") };
    let (proving, finish) = at_host.go(&started).unwrap();
    let finished = at_unit.finish(&finish, |_| Role::Owner, 0).unwrap();
    let PairFinished::Paired(proof) = &finished.answer else { panic!("refused") };
    let lines = [
        ("pair:start", start.message.to_vec()),
        ("pair:go", go.to_vec()),
        ("pair:finish", finish.message.to_vec()),
        ("pair:proof", proof.to_vec()),
    ];
    assert_eq!(proving.finish(&finished.answer).unwrap().0, *unit_secret.public());
    lines
}

#[test]
fn handshakes_and_sealed_frames_have_their_golden_bytes() {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let text: String =
        sheet().iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/wire/golden/session.txt");
    if std::env::var_os("THRESHOLD_BLESS").is_some_and(|value| value == "1") {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    for (made, golden) in text.lines().zip(committed.lines()) {
        assert_eq!(made, golden, "THRESHOLD_BLESS=1 accepts it");
    }
    assert_eq!(text.lines().count(), committed.lines().count());
}

#[test]
fn a_session_ends_long_before_its_numbers_do() {
    let (mut host, mut unit, _) = session();
    host.sealed = WORN_AT - 1;
    let query = Inside::Bulk(Packet::Query { transfer: 1 });
    let last = host.seal(&query).unwrap();
    let mut bytes = last.as_bytes();
    let mut decoder = crate::Decoder::new();
    let Some(Ok(crate::Arrived::Sealed(sealed))) = decoder.feed_any(&mut bytes) else {
        panic!("no sealed frame")
    };
    assert_eq!((sealed.nonce, unit.open(&sealed)), (WORN_AT, Ok(query)));
    for _ in 0..3 {
        assert_eq!(host.seal(&query), Err(SealError::Worn));
        assert_eq!(host.sealed, WORN_AT);
    }
}

#[test]
fn points_of_small_order_are_no_keys() {
    let order_8 = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ];
    let one = core::array::from_fn(|i| u8::from(i == 0));
    let minus_one =
        core::array::from_fn(|i| [0xec, 0xff, 0x7f][(i > 0) as usize + (i == 31) as usize]);
    for weak in [[0; 32], one, minus_one, order_8] {
        assert!(check_public(&weak).is_err(), "{weak:02x?}");
    }
    assert!(check_public(keys().0.public()).is_ok());
}
