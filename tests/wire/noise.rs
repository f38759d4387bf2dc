//! A bad line: random bytes, and real frames with every kind of damage that a serial line does.
//!
//! The law: whatever arrives, the decoder does not panic, and each frame that it gives was sent, no later than it is
//! given and not twice.

use crate::{Received, decode, samples};
use threshold_tests::lots::Lots;
use threshold_wire::{Call, Decoder, Endpoint, FrameKind, call, endpoints};

/// Bytes of pure noise, and bytes of damaged frames.
const NOISE_BYTES: usize = 2_000_000;
const DAMAGED_BYTES: usize = 2_000_000;

/// Covers 2,000,000 bytes of three sorts in turn: all values alike, few zeros (long candidates), many zeros (many
/// candidates); 58,876 ends of frames among them. A wrong one among them would pass the checksum once in 2^32.
#[test]
fn random_bytes_never_panic_and_never_are_a_frame() {
    let mut lots = Lots(11);
    let mut decoder = Decoder::new();
    let (mut fed, mut refused) = (0, 0);
    while fed < NOISE_BYTES {
        let len = 1 + lots.below(4000) as usize;
        let mut bytes = lots.bytes(len);
        match lots.below(3) {
            0 => bytes.iter_mut().filter(|byte| **byte < 250).for_each(|byte| *byte |= 1),
            1 => bytes.iter_mut().filter(|byte| **byte < 25).for_each(|byte| *byte = 0),
            _ => {}
        }
        for frame in decode(&mut decoder, &bytes) {
            assert!(frame.is_err(), "noise was taken for {frame:?}");
            refused += 1;
        }
        fed += len;
    }
    assert_eq!(decoder.bad_frames(), refused);
    assert!(refused > 50_000, "only {refused} ends of frames were tried");
}

/// What a line does to the bytes of one frame.
fn damage(lots: &mut Lots, line: &mut Vec<u8>) {
    let at = lots.below(line.len() as u64) as usize;
    match lots.below(8) {
        0 => line[at] ^= 1 << lots.below(8),
        1 => line[at] = lots.bits() as u8,
        2 => line[at] = 0,
        // An overrun loses a byte, or many.
        3 => drop(line.remove(at)),
        4 => drop(line.drain(at..(at + 64).min(line.len()))),
        5 => line.insert(at, lots.bits() as u8),
        6 => {
            let byte = line[at];
            line.insert(at, byte);
        }
        // A burst.
        _ => {
            let end = (at + 1 + lots.below(32) as usize).min(line.len());
            let burst = lots.bytes(end - at);
            line[at..end].copy_from_slice(&burst);
        }
    }
}

/// Covers 2,000,000 bytes of frames that carry real messages, of which one in two is damaged one to three times; every
/// frame that arrives is read as a call and as an answer too, so that the decoding of messages sees what it would see.
#[test]
fn a_bad_line_never_gives_a_frame_that_was_not_sent() {
    let mut lots = Lots(12);
    let mut decoder = Decoder::new();
    let mut sent: Vec<Received> = vec![];
    let (mut next, mut fed, mut damaged, mut arrived) = (0, 0, 0, 0);
    while fed < DAMAGED_BYTES {
        let id = sent.len() as u32;
        let encoded = match lots.below(4) {
            0 => {
                let template = samples::template();
                let put = threshold_wire::message::TemplatePut {
                    model: threshold_record::ModelId(samples::counting(1)),
                    template,
                };
                call::request::<endpoints::PutTemplate>(id, &put)
            }
            1 => call::answer::<endpoints::ReadLog>(id, &Ok(samples::log_page(lots.below(33)))),
            2 => call::answer::<endpoints::GetInfo>(id, &Ok(samples::info())),
            _ => call::request::<endpoints::SayHello>(id, &samples::hello_request()),
        };
        let mut line = encoded.unwrap().as_bytes().to_vec();
        sent.push(crate::lone(&line));
        if lots.below(2) == 0 {
            damaged += 1;
            for _ in 0..1 + lots.below(3) {
                damage(&mut lots, &mut line);
                if line.is_empty() {
                    break;
                }
            }
        }
        fed += line.len();
        for frame in decode(&mut decoder, &line).into_iter().flatten() {
            // Ids are places in the list: no frame twice, none before its time, each equal to what was sent.
            assert!(frame.id >= next, "frame {} a second time", frame.id);
            assert_eq!(sent.get(frame.id as usize), Some(&frame));
            next = frame.id + 1;
            arrived += 1;
            match frame.kind {
                FrameKind::Call => {
                    let call = Call::read(&frame.frame()).unwrap();
                    assert_ne!(call.path(), endpoints::GetInfo::PATH);
                }
                _ => {
                    let page = call::read_answer::<endpoints::ReadLog>(frame.id, &frame.frame());
                    let info = call::read_answer::<endpoints::GetInfo>(frame.id, &frame.frame());
                    assert!(page.is_ok() != info.is_ok(), "an answer is of one endpoint");
                }
            }
        }
    }
    // Undamaged frames arrive but for those that a damaged neighbour without its 00 takes along.
    assert!(arrived * 10 > (sent.len() - damaged) * 8, "{arrived} of {} arrived", sent.len());
}

/// Covers what the checksum does not: bodies of random bytes behind the right key, as a faulty or hostile end of the line
/// would send them. Reading them never panics, and a message that comes out can be written again.
#[test]
fn random_bodies_behind_real_keys_never_panic() {
    let mut lots = Lots(13);
    let mut read = 0;
    for round in 0..150_000 {
        let (_, call_key, _) = lots.one_of(endpoints::TABLE);
        let len = lots.below(80) as usize;
        let mut body = lots.bytes(len);
        // Small numbers are lengths and variants that decode further than random bytes do.
        body.iter_mut().filter(|byte| **byte > 100).for_each(|byte| *byte %= 4);
        let frame = Received { kind: FrameKind::Call, id: round, key: call_key, body };
        if let Ok(call) = Call::read(&frame.frame()) {
            read += 1;
            if let Call::PutPerson(put) = &call {
                assert!(call::request::<endpoints::PutPerson>(round, put).is_ok());
            }
        }
        let answer =
            Received { kind: FrameKind::Answer, key: endpoints::GetInfo::ANSWER_KEY, ..frame };
        if let Ok(Ok(info)) = call::read_answer::<endpoints::GetInfo>(round, &answer.frame()) {
            assert!(call::answer::<endpoints::GetInfo>(round, &Ok(info)).is_ok());
        }
    }
    assert!(read > 1000, "only {read} bodies were messages");
}
