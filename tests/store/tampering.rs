//! Whatever is done to a log on flash, or to entries that a host pulled, is found and named by its first sequence.

use crate::entry;
use crate::forge::{Stolen, entries_of, pieces};
use std::ops::Range;
use threshold_record::{ContextKind, LogEntry, WallTime};
use threshold_store::{
    ChainError, Checkpoint, Flash, LogSize, MockFlash, Object, Series, Store, StoreError, Verified,
    verify, verify_entries,
};
use threshold_tests::lots::Lots;

/// Small, so that the log has a few segments.
const SIZE: LogSize = LogSize { segment_bytes: 1100, segments: 8 };

fn open(flash: &MockFlash) -> Result<Store, StoreError> {
    Ok(Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?.0)
}

/// Writes entries up to `last` in batches of one to three, with contexts and lock-outs between.
fn write(store: &mut Store, last: u64, mark: u32) {
    while store.log_head() < last {
        let head = store.log_head();
        let text = format!("a={}", head / 8);
        let number = store.context_number(ContextKind::Config, text.as_bytes()).unwrap();
        for _ in 0..=(head % 3) {
            store.append(LogEntry { context_config: number, ..entry(mark) }).unwrap();
        }
        store.sync().unwrap();
        if head % 4 == 1 {
            store.save_lockout([1, head as u8, 0, 0]).unwrap();
        }
    }
}

/// A log of a few segments, and the checkpoint that a host has of it.
fn written() -> (MockFlash, Checkpoint) {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    write(&mut store, 30, 7);
    store.commit(entry(7)).unwrap();
    (flash, store.checkpoint())
}

fn segment(flash: &MockFlash, number: u32) -> Vec<u8> {
    flash.bytes(Object::Segment(number)).unwrap()
}

fn check(flash: &MockFlash, known: &Checkpoint) -> Verified {
    verify(flash, &flash.keys(), Some(known)).unwrap()
}

/// Pieces of a segment with the sequence that is due at each, and the one that is due behind them.
fn due(flash: &MockFlash, number: u32) -> (Vec<(Range<usize>, u64)>, u64) {
    let bytes = segment(flash, number);
    let pieces = pieces(&bytes);
    let (mut first, _) = entries_of(&bytes[pieces[1].clone()]);
    let mut due = Vec::new();
    for (at, piece) in pieces.into_iter().enumerate() {
        due.push((piece.clone(), first));
        if at > 0 {
            first += u64::from(entries_of(&bytes[piece]).1);
        }
    }
    (due, first)
}

/// The flash with other bytes of a segment.
fn with(flash: &MockFlash, number: u32, bytes: Option<Vec<u8>>) -> MockFlash {
    let copy = flash.copy();
    copy.set_bytes(Object::Segment(number), bytes);
    copy
}

/// The first bad sequence must be that one.
fn named(flash: &MockFlash, known: &Checkpoint, sequence: u64, what: &str) {
    let verified = check(flash, known);
    let found = verified.first_bad.as_ref().map(|bad| bad.sequence);
    assert_eq!(found, Some(sequence), "{what}: {verified:?}");
    assert_eq!(verified.head, sequence - 1, "{what}: everything before it is sound");
}

#[test]
fn a_sound_log_is_sound_at_every_moment_of_its_life() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    let mut known = store.checkpoint();
    let (entries, sequences) = (|v: &Verified| v.entries, |v: &Verified| (v.oldest, v.head));
    for last in 1..=120 {
        write(&mut store, last, 7);
        let verified = check(&flash, &known);
        assert_eq!((&verified.first_bad, verified.torn_bytes), (&None, 0), "{last}");
        assert_eq!(sequences(&verified), (store.log_oldest(), store.log_head()));
        assert_eq!(entries(&verified), store.log_head() + 1 - store.log_oldest());
        if last % 5 == 0 {
            known = store.checkpoint();
        }
        if last % 7 == 0 {
            drop(store);
            store = open(&flash).unwrap();
        }
    }
    assert!(store.log_oldest() > 1);
}

#[test]
fn a_flipped_bit_anywhere_is_named() {
    let (flash, known) = written();
    let segments = flash.segments(Series::Log);
    assert!(segments.len() >= 4, "{segments:?}");
    let mut lots = Lots(1);
    for number in segments {
        let sound = segment(&flash, number);
        for (piece, sequence) in due(&flash, number).0 {
            for at in piece {
                let mut bytes = sound.clone();
                bytes[at] ^= 1 << lots.below(8);
                let spoilt = with(&flash, number, Some(bytes));
                named(&spoilt, &known, sequence, &format!("segment {number}, byte {at}"));
            }
        }
    }
}

#[test]
fn a_segment_cut_at_any_byte_is_named() {
    let (flash, known) = written();
    for number in flash.segments(Series::Log) {
        let sound = segment(&flash, number);
        for (piece, sequence) in due(&flash, number).0 {
            for len in piece {
                for rest in [Vec::new(), vec![0; sound.len() - len]] {
                    let bytes = [&sound[..len], &rest].concat();
                    if bytes != sound {
                        let spoilt = with(&flash, number, Some(bytes));
                        named(&spoilt, &known, sequence, &format!("segment {number} to {len}"));
                    }
                }
            }
        }
    }
}

#[test]
fn a_batch_left_out_doubled_or_swapped_is_named() {
    let (flash, known) = written();
    let last = *flash.segments(Series::Log).last().unwrap();
    for number in flash.segments(Series::Log) {
        let sound = segment(&flash, number);
        let (pieces, behind) = due(&flash, number);
        for at in 1..pieces.len() {
            let (batch, sequence) = pieces[at].clone();
            let next = pieces.get(at + 1).map_or(behind, |next| next.1);
            let what = format!("segment {number}, batch {at}");
            let (before, rest) = (&sound[..batch.start], &sound[batch.end..]);
            let without = with(&flash, number, Some([before, rest].concat()));
            named(&without, &known, sequence, &what);
            let doubled = [&sound[..batch.end], &sound[batch.clone()], rest].concat();
            let doubled = with(&flash, number, Some(doubled));
            match check(&doubled, &known).first_bad {
                Some(bad) => assert_eq!(bad.sequence, next, "{what}"),
                // Behind the end of a segment nothing is part of the log.
                None => assert_eq!(at, pieces.len() - 1, "{what}"),
            }
            if let Some((other, _)) = pieces.get(at + 1) {
                let rest = &sound[other.end..];
                let swapped = [before, &sound[other.clone()], &sound[batch.clone()], rest].concat();
                named(&with(&flash, number, Some(swapped)), &known, sequence, &what);
            }
            if number == last && at == pieces.len() - 1 {
                assert_eq!(sequence, known.sequence);
            }
        }
    }
}

#[test]
fn a_segment_left_out_doubled_or_swapped_is_named() {
    let (flash, known) = written();
    let segments = flash.segments(Series::Log);
    let first = |number| due(&flash, number).0[0].1;
    for &number in &segments {
        named(&with(&flash, number, None), &known, first(number), "left out");
        for &other in segments.iter().filter(|&&other| other > number) {
            let swapped = with(&flash, number, Some(segment(&flash, other)));
            let swapped = with(&swapped, other, Some(segment(&flash, number)));
            named(&swapped, &known, first(number), &format!("{number} and {other} swapped"));
            let doubled = with(&flash, other, Some(segment(&flash, number)));
            named(&doubled, &known, first(other), &format!("{number} also as {other}"));
        }
        let last = segments.last().unwrap();
        let added = with(&flash, last + 1, Some(segment(&flash, number)));
        named(&added, &known, known.sequence + 1, &format!("{number} added behind the last"));
    }
}

#[test]
fn a_piece_of_another_store_or_of_another_history_is_named() {
    let (flash, known) = written();
    // The same life on a flash with other keys.
    let strange = MockFlash::new();
    let mut bytes = [0; 99];
    strange.keys().random(&mut bytes).unwrap();
    let mut store = open(&strange).unwrap();
    write(&mut store, 30, 7);
    store.commit(entry(7)).unwrap();
    // The same store, led on from an older copy.
    let ours = MockFlash::new();
    let mut store = open(&ours).unwrap();
    write(&mut store, 5, 7);
    drop(store);
    let branch = ours.copy();
    // Other random bytes, as a keeper has.
    branch.keys().random(&mut bytes).unwrap();
    for (flash, mark) in [(&ours, 7), (&branch, 8)] {
        let mut store = open(flash).unwrap();
        write(&mut store, 30, mark);
        store.commit(entry(mark)).unwrap();
    }
    let known_ours = open(&ours).unwrap().checkpoint();
    for (flash, known, other) in [(&flash, known, &strange), (&ours, known_ours, &branch)] {
        let mut parted = std::ptr::eq(other, &strange);
        for number in flash.segments(Series::Log) {
            let (sound, theirs) = (segment(flash, number), segment(other, number));
            let (pieces, behind) = due(flash, number);
            for (at, (piece, sequence)) in pieces.iter().enumerate() {
                let piece = piece.clone();
                let Some(strange) = theirs.get(piece.clone()) else { continue };
                if *strange == sound[piece.clone()] {
                    continue;
                }
                let what = format!("segment {number}, piece {at}");
                let mut bytes = sound.clone();
                bytes[piece.clone()].copy_from_slice(strange);
                let one = check(&with(flash, number, Some(bytes)), &known).first_bad.unwrap();
                // And all of theirs from there on.
                let bytes = [&sound[..piece.start], &theirs[piece.start..]].concat();
                let all = check(&with(flash, number, Some(bytes)), &known).first_bad.unwrap();
                if parted {
                    assert_eq!((one.sequence, all.sequence), (*sequence, *sequence), "{what}");
                } else {
                    // Where the histories part the unit did write both; what comes behind it does not continue the other.
                    let next = pieces.get(at + 1).map_or(behind, |next| next.1);
                    assert_eq!(one.sequence, next, "{what}");
                    assert!(all.sequence >= *sequence, "{what}");
                    parted = true;
                }
            }
        }
    }
}

#[test]
fn an_older_last_segment_or_an_older_copy_of_everything_is_named() {
    let (flash, _) = written();
    let older = flash.copy();
    let mut store = open(&flash).unwrap();
    let last = *flash.segments(Series::Log).last().unwrap();
    let head = store.log_head();
    store.commit(entry(8)).unwrap();
    assert_eq!(flash.segments(Series::Log).last(), Some(&last));
    let known = store.checkpoint();
    drop(store);
    let put_back = with(&flash, last, Some(segment(&older, last)));
    named(&put_back, &known, head + 1, "the last segment");
    // The flash alone cannot tell that from a power cut, until a start has seen the newer one.
    assert_eq!(verify(&put_back, &flash.keys(), None).unwrap().first_bad, None);
    open(&flash).unwrap();
    let put_back = with(&flash, last, Some(segment(&older, last)));
    let bad = verify(&put_back, &flash.keys(), None).unwrap().first_bad.unwrap();
    assert_eq!(bad.sequence, head + 1);
    assert!(matches!(open(&put_back).err().unwrap(), StoreError::RolledBack { .. }));
    // Everything as it once was opens; the host's checkpoint tells.
    named(&older, &known, head + 1, "everything");
    let mut store = open(&older).unwrap();
    for _ in 0..5 {
        store.commit(entry(9)).unwrap();
    }
    let verified = check(&older, &known);
    let bad = verified.first_bad.unwrap();
    assert_eq!(bad.sequence, known.sequence);
    assert_eq!(
        bad.why.to_string(),
        format!("one of the entries 1 to {} is not the one that the unit wrote", known.sequence)
    );
}

#[test]
fn somebody_with_the_secret_cannot_change_what_a_host_has_seen() {
    let (flash, known) = written();
    let stolen = Stolen::from(&flash);
    for number in flash.segments(Series::Log) {
        let sound = segment(&flash, number);
        let (pieces, behind) = due(&flash, number);
        for at in 1..pieces.len() {
            let (batch, sequence) = pieces[at].clone();
            if entries_of(&sound[batch.clone()]).1 == 0 {
                continue;
            }
            let mut bytes = sound.clone();
            // The last byte of a batch is its last entry's, or its state's.
            stolen.change(number, &mut bytes, batch, |content| {
                content.iter_mut().for_each(|byte| *byte ^= u8::from(*byte == 7));
            });
            let next = pieces.get(at + 1).map_or(behind, |next| next.1);
            let bad = check(&with(&flash, number, Some(bytes)), &known).first_bad;
            let bad = bad.unwrap_or_else(|| panic!("segment {number}, batch {at}")).sequence;
            assert!([sequence, next, known.sequence].contains(&bad), "segment {number}: {bad}");
        }
    }
}

#[test]
fn a_host_finds_what_was_done_to_the_entries_that_it_pulled() {
    let (flash, end) = written();
    let store = open(&flash).unwrap();
    let identity = store.identity();
    let entries = store.log_page(1, usize::MAX).unwrap();
    let check = |entries: &[LogEntry]| verify_entries(&identity, None, entries.to_vec(), &end);
    assert_eq!(check(&entries), Ok(()));
    for at in 0..entries.len() {
        let sequence = at as u64 + 1;
        let mut without = entries.clone();
        without.remove(at);
        let mut doubled = entries.clone();
        doubled.insert(at, entries[at]);
        let mut changed = entries.clone();
        changed[at].quality ^= 1;
        let outcome = check(&without);
        match sequence == end.sequence {
            true => {
                assert_eq!(outcome, Err(ChainError::Missing { expected: sequence, end: sequence }))
            }
            false => assert!(
                matches!(outcome, Err(ChainError::OutOfOrder { expected, .. }) if expected == sequence)
            ),
        }
        let outcome = check(&doubled);
        assert!(
            matches!(outcome, Err(ChainError::OutOfOrder { expected, .. }) if expected == sequence + 1)
        );
        assert_eq!(check(&changed), Err(ChainError::Changed { first: 1, end: end.sequence }));
    }
    // From a checkpoint in the middle, as a host goes on with what it has.
    let mut store = store;
    let start = store.checkpoint();
    store.commit(entry(1)).unwrap();
    let end = store.checkpoint();
    let page = store.log_page(start.sequence + 1, 99).unwrap();
    assert_eq!(verify_entries(&identity, Some(&start), page.clone(), &end), Ok(()));
    let spoilt = Checkpoint { sequence: start.sequence - 1, ..start };
    let outcome = verify_entries(&identity, Some(&spoilt), page.clone(), &end);
    assert_eq!(outcome, Err(ChainError::NotSigned { sequence: spoilt.sequence }));
    let outcome = verify_entries(&[9; 32], Some(&start), page.clone(), &end);
    assert_eq!(outcome, Err(ChainError::NotSigned { sequence: end.sequence }));
    let outcome = verify_entries(&identity, Some(&end), page, &start);
    let expected = ChainError::NotOneLog { start: end.sequence, end: start.sequence };
    assert_eq!(outcome, Err(expected));
    let read = Checkpoint::from_bytes(&end.to_bytes()).unwrap();
    assert_eq!((read, read.verify(&identity)), (end, Ok(())));
    for at in 0..Checkpoint::LEN * 8 {
        let mut bytes = end.to_bytes();
        bytes[at / 8] ^= 1 << (at % 8);
        assert!(Checkpoint::from_bytes(&bytes).and_then(|read| read.verify(&identity)).is_err());
    }
}

#[test]
fn a_checkpoint_of_another_unit_is_refused() {
    let (flash, _) = written();
    let other = MockFlash::new();
    other.keys().random(&mut [0; 9]).unwrap();
    let known = open(&other).unwrap().checkpoint();
    let error = verify(&flash, &flash.keys(), Some(&known)).unwrap_err();
    assert_eq!(error, ChainError::NotSigned { sequence: 0 }.into());
    let plain = crate::golden::flash("format-2");
    assert_eq!(verify(&plain, &plain.keys(), None), Err(StoreError::NotSealedYet));
}

#[test]
fn an_unset_clock_and_its_steps_show_in_the_entries() {
    let flash = MockFlash::new();
    let mut store = open(&flash).unwrap();
    // Wall and monotonic milliseconds: never set, set, and put back by an hour.
    for (wall, monotonic_ms) in [
        (WallTime { unix_ms: 5, trusted: false }, 1_000),
        (WallTime { unix_ms: 1_700_000_000_000, trusted: true }, 2_000),
        (WallTime { unix_ms: 1_700_000_001_000, trusted: true }, 3_000),
        (WallTime { unix_ms: 1_699_996_402_000, trusted: true }, 4_000),
    ] {
        store.commit(LogEntry { wall, monotonic_ms, boot: 1, ..entry(1) }).unwrap();
    }
    drop(store);
    let page = open(&flash).unwrap().log_page(1, 9).unwrap();
    let trusted: Vec<bool> = page.iter().map(|entry| entry.wall.trusted).collect();
    assert_eq!(trusted, [false, true, true, true]);
    // The same start: what the wall clock moved beside the other one is a step.
    let offset = |entry: &LogEntry| entry.wall.unix_ms as i64 - entry.monotonic_ms as i64;
    let steps: Vec<i64> =
        page[1..].windows(2).map(|two| offset(&two[1]) - offset(&two[0])).collect();
    assert_eq!(steps, [0, -3_600_000]);
}
