//! Frames on a line: what was sent arrives, what was changed does not, and the next frame is found in any case.

use crate::{Received, decode, lone, samples};
use threshold_tests::lots::Lots;
use threshold_wire::frame::{
    BodyTooLong, HEADER_BYTES, MAX_BODY_BYTES, MAX_ENCODED_BYTES, MAX_FRAME_BYTES,
};
use threshold_wire::{Decoder, Frame, FrameError, FrameKind};

const KINDS: [FrameKind; 4] =
    [FrameKind::Call, FrameKind::Answer, FrameKind::Error, FrameKind::Refusal];

fn frame(kind: FrameKind, id: u32, body: &[u8]) -> Received {
    Received { kind, id, key: samples::counting(0xf9), body: body.to_vec() }
}

/// A short frame with zeros in every part.
fn small() -> Received {
    frame(FrameKind::Answer, 0x0001_0203, &[0, 7, 0, 0, 255, 1])
}

/// The bytes of a frame before COBS, its checksum made anew.
fn line_of(mut plain: Vec<u8>) -> Vec<u8> {
    plain.extend(crc32fast::hash(&plain).to_le_bytes());
    stuffed(&plain)
}

/// COBS of any bytes, and the 00: written here so that frames can be made that [`Frame::encode`] refuses to make.
fn stuffed(plain: &[u8]) -> Vec<u8> {
    let mut line = vec![];
    for (at, part) in plain.split(|&byte| byte == 0).enumerate() {
        let mut rest = part;
        while rest.len() >= 254 {
            line.push(255);
            line.extend_from_slice(&rest[..254]);
            rest = &rest[254..];
        }
        // A run of 254 that ends the frame needs no code behind it.
        let ends = at == plain.split(|&byte| byte == 0).count() - 1;
        if !(rest.is_empty() && !part.is_empty() && ends) {
            line.push(rest.len() as u8 + 1);
            line.extend_from_slice(rest);
        }
    }
    line.push(0);
    line
}

#[test]
fn frames_of_every_kind_and_length_come_back() {
    let mut lots = Lots(1);
    let mut decoder = Decoder::new();
    // Around the runs of 254 that COBS is made of, and every length in between now and then.
    for len in (0..600).chain((600..=MAX_BODY_BYTES).step_by(41)).chain([MAX_BODY_BYTES]) {
        let filled = [vec![0; len], vec![1; len], vec![255; len], lots.bytes(len)];
        for (kind, body) in KINDS.into_iter().zip(filled) {
            let sent = frame(kind, lots.bits() as u32, &body);
            let line = sent.line();
            assert!(line.len() <= MAX_ENCODED_BYTES, "{} bytes", line.len());
            assert_eq!(line.iter().position(|&byte| byte == 0), Some(line.len() - 1));
            assert_eq!(decode(&mut decoder, &line), [Ok(sent)]);
        }
    }
    assert_eq!(decoder.bad_frames(), 0);
}

#[test]
fn a_frame_is_laid_out_as_its_header_draws_it() {
    let sent = small();
    let mut plain = vec![2, 3, 2, 1, 0];
    plain.extend(sent.key);
    plain.extend(&sent.body);
    assert_eq!(plain.len(), HEADER_BYTES + sent.body.len());
    assert_eq!(sent.line(), line_of(plain));
}

#[test]
fn a_body_past_the_longest_is_not_sent() {
    let body = [0x5a; MAX_BODY_BYTES + 1];
    let sent = Frame { kind: FrameKind::Answer, id: 1, key: [1; 8], body: &body };
    let error = sent.encode().unwrap_err();
    assert_eq!(error, BodyTooLong);
    assert_eq!(error.to_string(), "a message of more than 2176 bytes does not fit a frame");
    assert!(Frame { body: &body[1..], ..sent }.encode().is_ok());
}

#[test]
fn a_body_past_the_longest_is_not_received() {
    let head = [&[1, 9, 9, 9, 9][..], &[0x33; 8]].concat();
    let fits = [&head[..], &[0x5a; MAX_BODY_BYTES]].concat();
    assert_eq!(lone(&line_of(fits)).body.len(), MAX_BODY_BYTES);
    for more in 1..12 {
        let long = [&head[..], &vec![0x5a; MAX_BODY_BYTES + more]].concat();
        let found = decode(&mut Decoder::new(), &line_of(long));
        assert_eq!(found, [Err(FrameError::TooLong)], "{more} bytes more");
    }
}

#[test]
fn noise_between_frames_costs_no_frame_when_a_zero_ends_it() {
    let mut lots = Lots(2);
    let mut decoder = Decoder::new();
    for round in 0..2000 {
        let sent = frame(lots.one_of(&KINDS), round, &lots.bytes((round % 40) as usize));
        let noise = lots.bytes(1 + lots.clone().below(60) as usize);
        let line = [&noise[..], &[0], &sent.line()].concat();
        let found = decode(&mut decoder, &line);
        let sound: Vec<&Received> = found.iter().flatten().collect();
        assert_eq!(sound, [&sent], "round {round}");
    }
    assert!(decoder.bad_frames() >= 2000);
}

#[test]
fn noise_without_a_zero_costs_the_frame_behind_it_and_no_other() {
    let (first, second) = (small(), frame(FrameKind::Call, 2, b"second"));
    let line = [&[0x31, 0x32][..], &first.line(), &second.line()].concat();
    let mut decoder = Decoder::new();
    let found = decode(&mut decoder, &line);
    assert!(matches!(found[..], [Err(_), Ok(_)]), "{found:?}");
    assert_eq!(found[1], Ok(second));
    assert_eq!(decoder.bad_frames(), 1);
}

#[test]
fn a_flipped_bit_anywhere_is_refused_and_the_next_frame_arrives() {
    let next = frame(FrameKind::Call, 77, b"next");
    // Short, and longer than one run of COBS.
    for sent in [small(), frame(FrameKind::Answer, 3, &samples::counting::<300>(1))] {
        let line = sent.line();
        for bit in 0..line.len() * 8 {
            let mut changed = line.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            // The sender's next frame starts with a 00, since the flip may have hit the last one's.
            let found = decode(&mut Decoder::new(), &[&changed[..], &[0], &next.line()].concat());
            let sound: Vec<&Received> = found.iter().flatten().collect();
            assert_eq!(sound, [&next], "bit {bit}");
            assert!(found.len() >= 2, "bit {bit} went unseen");
        }
    }
}

#[test]
fn two_and_three_flipped_bits_are_refused() {
    let line = small().line();
    let mut lots = Lots(3);
    for round in 0..60_000 {
        let mut changed = line.clone();
        for _ in 0..2 + round % 2 {
            let bit = lots.below(line.len() as u64 * 8) as usize;
            changed[bit / 8] ^= 1 << (bit % 8);
        }
        if changed != line {
            let found = decode(&mut Decoder::new(), &[&changed[..], &[0]].concat());
            assert!(found.iter().all(Result::is_err), "round {round}: {found:?}");
        }
    }
}

#[test]
fn a_truncated_frame_is_refused_and_the_next_one_arrives() {
    let next = frame(FrameKind::Call, 77, b"next");
    let line = frame(FrameKind::Answer, 3, &samples::counting::<300>(1)).line();
    for len in 1..line.len() - 1 {
        let cut = [&line[..len], &[0], &next.line()].concat();
        let found = decode(&mut Decoder::new(), &cut);
        assert_eq!(found.len(), 2, "cut to {len}");
        assert!(found[0].is_err(), "cut to {len}");
        assert_eq!(found[1], Ok(next.clone()), "cut to {len}");
    }
}

#[test]
fn each_fault_of_a_frame_has_its_name() {
    let check = |line: &[u8], expected: FrameError, text: &str| {
        assert_eq!(expected.to_string(), text);
        assert_eq!(decode(&mut Decoder::new(), line), [Err(expected)]);
    };
    let stuffing = "the frame's byte stuffing is broken";
    check(&[5, 1, 2, 0], FrameError::Stuffing, stuffing);
    for len in [0, 1, 4, 16] {
        let text = format!("a frame of {len} bytes is too short");
        check(&stuffed(&vec![7; len]), FrameError::TooShort { len }, &text);
    }
    let plain = [&[1, 0, 0, 0, 0][..], &[9; 8], b"body"].concat();
    let crc = crc32fast::hash(&plain);
    let wrong = [&plain[..], &(!crc).to_le_bytes()].concat();
    check(
        &stuffed(&wrong),
        FrameError::Checksum { found: !crc, computed: crc },
        &format!("the frame's checksum is {:08x}, its bytes give {crc:08x}", !crc),
    );
    for kind in [0, 5, 0x80, 255] {
        let mut plain = plain.clone();
        plain[0] = kind;
        let text = format!("a frame of unknown kind {kind}");
        check(&line_of(plain), FrameError::Kind { kind }, &text);
    }
    check(
        &[&[0x41; 5000][..], &[0]].concat(),
        FrameError::TooLong,
        "more than 4148 bytes without the end of a frame",
    );
}

#[test]
fn a_flood_without_an_end_takes_no_memory_and_the_frame_after_it_arrives() {
    let sent = small();
    let mut decoder = Decoder::new();
    // The buffer is part of the decoder and cannot grow.
    assert!(size_of::<Decoder>() < MAX_ENCODED_BYTES + 64);
    for _ in 0..200 {
        assert_eq!(decode(&mut decoder, &[0x41; 10_000]), []);
    }
    let found = decode(&mut decoder, &[&[0][..], &sent.line()].concat());
    assert_eq!(found, [Err(FrameError::TooLong), Ok(sent)]);
    assert_eq!(decoder.bad_frames(), 1);
}

#[test]
fn a_flood_just_past_the_longest_frame_is_named_so() {
    for len in [MAX_ENCODED_BYTES, MAX_ENCODED_BYTES + 1] {
        let found = decode(&mut Decoder::new(), &[&vec![0x41; len][..], &[0]].concat());
        assert_eq!(found.len(), 1);
        assert!(found[0].is_err());
        assert_eq!(found[0] == Err(FrameError::TooLong), len > MAX_ENCODED_BYTES, "{len}");
    }
}

#[test]
fn empty_frames_are_skipped_and_are_not_bad() {
    let sent = small();
    let mut decoder = Decoder::new();
    let line = [&[0, 0, 0][..], &sent.line(), &[0, 0], &sent.line(), &[0; 100]].concat();
    assert_eq!(decode(&mut decoder, &line), [Ok(sent.clone()), Ok(sent)]);
    assert_eq!(decoder.bad_frames(), 0);
}

#[test]
fn bytes_that_arrive_one_by_one_give_the_same_as_all_at_once() {
    let mut lots = Lots(4);
    let mut line = vec![];
    for id in 0..300 {
        match lots.below(6) {
            0 => line.extend(lots.bytes(7)),
            1 => line.extend([0; 3]),
            2 => line.extend([0x55; 2500]),
            _ => {}
        }
        let len = lots.below(400) as usize;
        line.extend(frame(lots.one_of(&KINDS), id, &lots.bytes(len)).line());
    }
    let whole = decode(&mut Decoder::new(), &line);
    assert!(whole.iter().flatten().count() > 100 && whole.iter().any(Result::is_err));
    let mut decoder = Decoder::new();
    let single: Vec<_> = line.iter().flat_map(|&byte| decode(&mut decoder, &[byte])).collect();
    assert_eq!(single, whole);
    let mut decoder = Decoder::new();
    let mut pieces = vec![];
    let mut rest = &line[..];
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + lots.below(900) as usize));
        pieces.extend(decode(&mut decoder, piece));
        rest = after;
    }
    assert_eq!(pieces, whole);
}

#[test]
fn a_line_that_was_opened_anew_forgets_the_half_frame() {
    let sent = small();
    let line = sent.line();
    let mut decoder = Decoder::new();
    for len in 0..line.len() - 1 {
        assert_eq!(decode(&mut decoder, &line[..len]), []);
        decoder.reset();
        assert_eq!(decode(&mut decoder, &line), [Ok(sent.clone())], "after {len} bytes");
    }
    assert_eq!(decode(&mut decoder, &[0x41; 5000]), []);
    decoder.reset();
    assert_eq!(decode(&mut decoder, &line), [Ok(sent)]);
    assert_eq!(decoder.bad_frames(), 0);
}

#[test]
fn the_longest_frame_has_room_for_the_worst_stuffing() {
    assert_eq!(MAX_FRAME_BYTES, HEADER_BYTES + MAX_BODY_BYTES + 4);
    // No zero anywhere: COBS adds the most.
    let sent = Received {
        kind: FrameKind::Refusal,
        id: u32::MAX,
        key: [255; 8],
        body: vec![255; MAX_BODY_BYTES],
    };
    let line = sent.line();
    assert!(line.len() <= MAX_ENCODED_BYTES);
    assert_eq!(lone(&line), sent);
}
