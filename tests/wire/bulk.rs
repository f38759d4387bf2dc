//! The bulk machines by themselves: golden packets, resume, hostile peers, and any order of losses against a plain model.

use crate::ends::content_of;
use threshold_tests::lots::Lots;
use threshold_wire::bulk::{
    BulkError, Content, MAX_CHUNK_BYTES, MAX_WINDOW_CHUNKS, Packet, Progress, Receiver, Resume,
    ResumeError, SILENCE_MS, STANDSTILL_MS, Send, Sender, Stage, Status, Window,
};

const WINDOW: Window = Window { chunk_bytes: 512, chunks: 8 };

fn bytes(len: usize) -> Vec<u8> {
    Lots(len as u64).bytes(len)
}

fn sender(content: Content, progress: Progress) -> Sender {
    Sender::new(1, content, WINDOW, progress, 115_200, 0).unwrap()
}

fn receiver(content: Content, kept: Option<&Resume>) -> Receiver {
    Receiver::new(1, content, WINDOW, kept, 0).unwrap()
}

/// Moves chunks until `stop` or until the sender is done; gives the numbers of the chunks that were sent.
fn transfer(
    sender: &mut Sender,
    receiver: &mut Receiver,
    staging: &mut [u8],
    whole: &[u8],
    mark: &mut u64,
    stop: usize,
) -> Vec<u32> {
    let mut sent = Vec::new();
    while !sender.is_done() && sent.len() < stop {
        if let Some(packet) = sender.poll(0, *mark).unwrap() {
            receiver.saw(*mark, 0);
            *mark += 1;
            let Send::Chunk { index, offset, len } = packet else { panic!("a query") };
            sent.push(index);
            let chunk = &whole[offset as usize..offset as usize + len];
            if let Some(write) = receiver.take(1, index, chunk).unwrap() {
                let start = write.offset as usize;
                staging[start..start + write.bytes.len()].copy_from_slice(write.bytes);
            }
        }
        if receiver.is_whole() {
            receiver.checked(content_of(staging).hash.as_ref().try_into().unwrap()).unwrap();
        }
        while let Some(status) = receiver.poll(0).unwrap() {
            sender.take(&status, 0).unwrap();
        }
    }
    sent
}

#[test]
fn packets_have_their_golden_bytes_and_random_ones_do_not_panic() {
    let status = Status {
        transfer: 9,
        stage: Stage::Done,
        progress: Progress { next: 300, map: 0b110 },
        seen: 70_000,
    };
    let golden: [(Packet<'_>, &[u8]); 3] = [
        (Packet::Chunk { transfer: 9, index: 300, bytes: b"ab" }, &[5, 9, 0xac, 2, b'a', b'b']),
        (Packet::Status(status), &[6, 9, 1, 0xac, 2, 0xf0, 0xa2, 4, 6]),
        (Packet::Query { transfer: 9 }, &[7, 9]),
    ];
    for (packet, bytes) in golden {
        assert_eq!(Packet::read(bytes), Some(packet));
        for len in 0..bytes.len() {
            let cut = Packet::read(&bytes[..len]);
            assert!(cut.is_none() || matches!(cut, Some(Packet::Chunk { .. })), "{packet:?} {len}");
        }
    }
    let long = [&[5, 9, 0][..], &[1; MAX_CHUNK_BYTES + 1]].concat();
    assert_eq!(Packet::read(&long), None);
    assert!(Packet::read(&long[..long.len() - 1]).is_some());
    for bad in [&[6, 9, 4, 0, 0, 0][..], &[6, 9, 0, 0, 0, 0, 0], &[7, 9, 0], &[8, 9], &[]] {
        assert_eq!(Packet::read(bad), None, "{bad:?}");
    }
}

#[test]
fn contents_around_a_chunks_size_arrive_chunk_by_chunk_without_repeats() {
    for len in [0, 1, 511, 512, 513, 5_000, 512 * 100] {
        let whole = bytes(len);
        let content = content_of(&whole);
        let (mut sender, mut receiver) =
            (sender(content, Progress::default()), receiver(content, None));
        let mut staging = vec![0; len];
        if len == 0 {
            assert!(receiver.is_whole());
            receiver.checked(&content.hash).unwrap();
            sender.take(&receiver.poll(0).unwrap().unwrap(), 0).unwrap();
        }
        let sent = transfer(&mut sender, &mut receiver, &mut staging, &whole, &mut 1, usize::MAX);
        assert!(sender.is_done() && receiver.is_done() && staging == whole);
        assert_eq!(sent, (0..len.div_ceil(512) as u32).collect::<Vec<_>>());
        assert_eq!(sender.arrived(), (len as u64, len as u64));
    }
}

#[test]
fn a_transfer_goes_on_after_a_reboot_and_sends_nothing_twice() {
    let whole = bytes(512 * 60 + 17);
    let content = content_of(&whole);
    let mut staging = vec![0; whole.len()];
    let mut all = Vec::new();
    let mut kept: Option<[u8; Resume::LEN]> = None;
    for stop in [5, 1, 17, 30, usize::MAX] {
        // Both ends are new each time: what is left is the staging file and 59 bytes.
        let resume = kept.map(|bytes| Resume::from_bytes(&bytes).unwrap());
        let mut receiver = receiver(content, resume.as_ref());
        let mut sender = sender(content, receiver.progress());
        all.extend(transfer(&mut sender, &mut receiver, &mut staging, &whole, &mut 1, stop));
        kept = Some(receiver.resume().to_bytes());
    }
    assert!(staging == whole);
    assert_eq!(all, (0..61).collect::<Vec<_>>());
}

#[test]
fn what_was_kept_of_another_content_or_is_damaged_counts_for_nothing() {
    let whole = bytes(512 * 20);
    let content = content_of(&whole);
    let progress = Progress { next: 7, map: 0b100 };
    let resume = Resume { content, chunk_bytes: 512, progress };
    assert_eq!(receiver(content, Some(&resume)).progress(), progress);
    let kept = resume.to_bytes();
    assert_eq!(Resume::from_bytes(&kept), Ok(resume));
    for bit in 0..kept.len() * 8 {
        let mut changed = kept;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Resume::from_bytes(&changed), Err(ResumeError), "bit {bit}");
    }
    for len in 0..kept.len() {
        assert_eq!(Resume::from_bytes(&kept[..len]), Err(ResumeError));
    }
    let other = Content { len: content.len - 1, ..content };
    assert_eq!(receiver(other, Some(&resume)).progress(), Progress::default());
    // More than the content has.
    for progress in
        [Progress { next: 21, map: 0 }, Progress { next: 19, map: 4 }, Progress { next: 3, map: 1 }]
    {
        let resume = Resume { progress, ..resume };
        assert_eq!(receiver(content, Some(&resume)).progress(), Progress::default());
    }
    // Another speed: whole chunks of what is there without a gap.
    let window = Window { chunk_bytes: 1024, chunks: 8 };
    let larger = Receiver::new(1, content, window, Some(&resume), 0).unwrap();
    assert_eq!(larger.progress(), Progress { next: 3, map: 0 });
}

#[test]
fn a_whole_with_another_hash_is_a_mismatch_at_both_ends() {
    let whole = bytes(3_000);
    let content = Content { hash: [1; 32], ..content_of(&whole) };
    let (mut sender, mut receiver) =
        (sender(content, Progress::default()), receiver(content, None));
    for mark in 1..=6 {
        let Some(Send::Chunk { index, offset, len }) = sender.poll(0, mark).unwrap() else {
            panic!()
        };
        receiver.saw(mark, 0);
        receiver.take(1, index, &whole[offset as usize..offset as usize + len]).unwrap();
    }
    assert!(receiver.is_whole());
    let hash = content_of(&whole).hash;
    assert_eq!(receiver.checked(&hash), Err(BulkError::Mismatch));
    let status = receiver.poll(0).unwrap().unwrap();
    assert_eq!(sender.take(&status, 0), Err(BulkError::Mismatch));
    assert!(!receiver.is_done() && !sender.is_done());
}

#[test]
fn a_silent_line_is_dead_and_a_line_on_which_nothing_moves_is_too_noisy() {
    let content = content_of(&bytes(20_000));
    let mut sender = sender(content, Progress::default());
    let mut now_ms = 0;
    let dead = loop {
        match sender.poll(now_ms, 1) {
            Ok(Some(_)) => {}
            Ok(None) => now_ms = sender.due_ms(),
            Err(error) => break error,
        }
    };
    assert_eq!(dead, BulkError::Dead { silent_ms: SILENCE_MS });
    let mut receiver = receiver(content, None);
    assert_eq!(receiver.poll(receiver.due_ms()), Err(BulkError::Dead { silent_ms: SILENCE_MS }));
    let mut sender = Sender::new(1, content, WINDOW, Progress::default(), 115_200, 0).unwrap();
    let mut queries = 0;
    let noisy = (0..).step_by(10).find_map(|now_ms| {
        if now_ms % 3000 == 0 {
            sender.heard(now_ms);
        }
        match sender.poll(now_ms, 1) {
            Ok(Some(Send::Query)) => queries += 1,
            Ok(_) => {}
            Err(error) => return Some(error),
        }
        None
    });
    assert_eq!(noisy, Some(BulkError::TooNoisy { still_ms: STANDSTILL_MS }));
    assert!((200..300).contains(&queries), "{queries} queries a minute");
}

#[test]
fn a_peer_that_tells_what_cannot_be_is_named_so() {
    let content = content_of(&bytes(512 * 30));
    let status = |next, map, stage| Status {
        transfer: 1,
        stage,
        progress: Progress { next, map },
        seen: 99,
    };
    let started = || {
        let mut sender = sender(content, Progress::default());
        for mark in 1..=8 {
            assert!(matches!(sender.poll(0, mark), Ok(Some(Send::Chunk { .. }))));
        }
        assert_eq!(sender.poll(0, 9), Ok(None), "the window is full");
        sender
    };
    for bad in [
        status(9, 0, Stage::Receiving),
        status(u32::MAX, u64::MAX, Stage::Receiving),
        status(0, 1, Stage::Receiving),
        status(0, 1 << 8, Stage::Receiving),
        status(5, 1 << 63, Stage::Receiving),
        status(8, 0, Stage::Done),
    ] {
        assert_eq!(started().take(&bad, 0), Err(BulkError::BadPeer), "{bad:?}");
    }
    assert_eq!(started().take(&status(0, 0, Stage::Unknown), 0), Err(BulkError::Forgotten));
    // Of another transfer, or older than one before.
    let mut sender = started();
    sender.take(&Status { transfer: 2, ..status(99, 0, Stage::Done) }, 0).unwrap();
    sender.take(&status(4, 0, Stage::Receiving), 0).unwrap();
    sender.take(&status(2, 0, Stage::Receiving), 0).unwrap();
    assert_eq!(sender.arrived().0, 4 * 512);
    let mut receiver = receiver(content, None);
    let chunk = [0; 512];
    assert_eq!(receiver.take(1, 30, &chunk), Err(BulkError::BadPeer));
    assert_eq!(receiver.take(1, u32::MAX, &chunk), Err(BulkError::BadPeer));
    assert_eq!(receiver.take(1, 0, &chunk[1..]), Err(BulkError::BadPeer));
    assert_eq!(receiver.take(1, 0, &[]), Err(BulkError::BadPeer));
    assert_eq!(receiver.take(2, 0, &chunk), Ok(None));
    let far = Content { len: 512 * 1000, ..content };
    let mut receiver = Receiver::new(1, far, WINDOW, None, 0).unwrap();
    assert_eq!(receiver.take(1, MAX_WINDOW_CHUNKS.into(), &chunk), Err(BulkError::BadPeer));
    assert!(receiver.take(1, u32::from(MAX_WINDOW_CHUNKS) - 1, &chunk).unwrap().is_some());
    for (chunk_bytes, chunks) in [(0, 8), (511, 8), (8192, 8), (512, 0), (512, 65)] {
        let other = Window { chunk_bytes, chunks };
        let found = WINDOW.agreed(other).unwrap_err();
        assert_eq!(found, BulkError::BadWindow { chunk_bytes, chunks });
    }
    assert_eq!(Window::USB.agreed(WINDOW), Ok(WINDOW));
    let endless = Content { len: u64::MAX, ..content };
    let found = Receiver::new(1, endless, WINDOW, None, 0).unwrap_err();
    assert_eq!(found, BulkError::TooLong { len: u64::MAX });
    let told = Progress { next: 31, map: 0 };
    let found = Sender::new(1, content, WINDOW, told, 115_200, 0).unwrap_err();
    assert_eq!(found, BulkError::BadPeer);
}

#[test]
fn machines_have_a_fixed_size_whatever_they_carry() {
    assert!(size_of::<Sender>() < 1400, "{}", size_of::<Sender>());
    assert!(size_of::<Receiver>() < 160, "{}", size_of::<Receiver>());
}

/// Any packet may be lost, come twice, or come late; windows and sizes vary. The whole arrives, and a chunk goes out again only
/// if it was lost or overtaken.
#[test]
fn any_losses_end_in_the_whole() {
    for seed in 0..300 {
        let mut lots = Lots(seed);
        let len = lots.below(40_000) as usize;
        let whole = bytes(len);
        let content = content_of(&whole);
        let window = Window {
            chunk_bytes: lots.one_of(&[512, 1024, 2048, 4096]),
            chunks: lots.one_of(&[1, 2, 8, 16, 64]),
        };
        let none = Progress::default();
        let mut sender = Sender::new(1, content, window, none, 0, 0).unwrap();
        let mut receiver = Receiver::new(1, content, window, None, 0).unwrap();
        let mut staging = vec![0; len];
        let loss = lots.below(40);
        let (mut now_ms, mut mark) = (0, 0);
        let mut last: Option<Status> = None;
        while !sender.is_done() {
            now_ms += 3;
            if receiver.is_whole() {
                receiver.checked(blake3::hash(&staging).as_bytes()).unwrap();
            }
            if let Some(packet) = sender.poll(now_ms, mark + 1).unwrap() {
                mark += 1;
                if lots.below(100) >= loss {
                    receiver.saw(mark, now_ms);
                    match packet {
                        Send::Query => receiver.take_query(),
                        Send::Chunk { index, offset, len } => {
                            let chunk = &whole[offset as usize..offset as usize + len];
                            for _ in 0..1 + lots.below(2) {
                                let Some(write) = receiver.take(1, index, chunk).unwrap() else {
                                    continue;
                                };
                                let start = write.offset as usize;
                                staging[start..start + write.bytes.len()]
                                    .copy_from_slice(write.bytes);
                            }
                        }
                    }
                }
            }
            if let Some(status) = receiver.poll(now_ms).unwrap() {
                // An old one may come after it.
                if lots.below(100) >= loss {
                    sender.take(&status, now_ms).unwrap();
                    if let Some(old) =
                        last.filter(|_| lots.below(4) == 0 && status.stage == Stage::Receiving)
                    {
                        sender.take(&old, now_ms).unwrap();
                    }
                }
                last = Some(status);
            }
        }
        assert!(staging == whole, "seed {seed}");
    }
}
