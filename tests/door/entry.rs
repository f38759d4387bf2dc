//! The log entry: its 64 golden bytes, its codes, and what is refused. Flash written by version 1 is read for ever.

use threshold_record::{
    Cause, ContextKind, EntryError, EntryKind, KeyId, KeyTag, LogEntry, Metric, ModelContext,
    ModelId, PersonId, Presentation, Reason, Score, WallTime,
};
use threshold_tests::entry::full_entry;
use threshold_tests::lots::Lots;

/// Written by hand from the offsets in the header of `entry.rs`; never to be changed.
const GOLDEN: [u8; 64] = [
    0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, // 0 sequence
    0x0c, 0x0b, 0x0a, 0x09, // 8 boot
    0x12, 0x11, 0x10, 0x0f, 0x0e, 0x0d, // 12 monotonic_ms
    0x18, 0x17, 0x16, 0x15, 0x14, 0x93, // 18 wall, trusted
    1, 3, 3, 7, // 24 version, kind, reason, cause
    2, 0x19, // 28 presentation, quality
    0x23, 0x22, // 30 detect
    0x1d, 0x1c, 0x1b, 0x1a, // 32 person
    0x21, 0x20, 0x1f, 0x1e, // 36 runner_up
    0x00, 0x30, // 40 best_score: 0.75 * 16384 = 12288
    0x00, 0xe0, // 42 runner_up_score: -8192
    0x00, 0x10, // 44 threshold: 4096
    0x25, 0x24, // 46 embed
    0x27, 0x26, // 48 total
    0x29, 0x28, // 50 context_model
    0x2b, 0x2a, // 52 context_policy
    0x2d, 0x2c, // 54 context_config
    0x2e, 0x2f, 0x30, 0x31, // 56 by
    0x32, 0x33, 0x34, 0x35, // 60 about
];

#[test]
fn an_entry_has_its_golden_bytes_and_comes_back() {
    assert_eq!(full_entry(0x0102_0304_0506_0708).to_bytes(), GOLDEN);
    assert_eq!(LogEntry::from_bytes(&GOLDEN), Ok(full_entry(0x0102_0304_0506_0708)));
    let bare = LogEntry::of(EntryKind::Boot);
    let mut bytes = [0; 64];
    bytes[24] = 1;
    assert_eq!(bare.to_bytes(), bytes);
    assert_eq!(LogEntry::from_bytes(&bytes), Ok(bare));
}

#[test]
fn an_entry_written_before_administrators_were_named_names_nobody() {
    let mut bytes = GOLDEN;
    bytes[56..].fill(0);
    let entry = LogEntry::from_bytes(&bytes).unwrap();
    assert!(entry.by.is_nobody() && entry.about.is_nobody());
    assert_eq!(KeyId([1, 2, 3, 0xa4, 5, 6, 7, 8]).tag().to_string(), "010203a4");
}

/// An entry that its 64 bytes can hold exactly.
fn any(lots: &mut Lots) -> LogEntry {
    let mut score = || Score::from_fixed(lots.bits() as i16);
    let (best_score, runner_up_score, threshold) = (score(), score(), score());
    LogEntry {
        sequence: lots.bits(),
        boot: lots.bits() as u32,
        monotonic_ms: lots.below(1 << 48),
        wall: WallTime { unix_ms: lots.below(1 << 47), trusted: lots.below(2) == 1 },
        kind: lots.one_of(EntryKind::ALL),
        reason: lots.one_of(Reason::ALL),
        cause: lots.one_of(Cause::ALL),
        presentation: lots.one_of(Presentation::ALL),
        quality: lots.bits() as u8,
        person: PersonId(lots.bits() as u32),
        runner_up: PersonId(lots.bits() as u32),
        best_score,
        runner_up_score,
        threshold,
        detect_dms: lots.bits() as u16,
        embed_dms: lots.bits() as u16,
        total_dms: lots.bits() as u16,
        context_model: lots.bits() as u16,
        context_policy: lots.bits() as u16,
        context_config: lots.bits() as u16,
        by: KeyTag((lots.bits() as u32).to_le_bytes()),
        about: KeyTag((lots.bits() as u32).to_le_bytes()),
    }
}

#[test]
fn random_entries_come_back_and_random_bytes_that_are_one_too() {
    let mut lots = Lots(31);
    for _ in 0..50_000 {
        let entry = any(&mut lots);
        assert_eq!(LogEntry::from_bytes(&entry.to_bytes()), Ok(entry));
    }
    let mut read = 0;
    for _ in 0..50_000 {
        let mut bytes: [u8; 64] = lots.bytes(64).try_into().unwrap();
        bytes[24] = 1;
        bytes[25..29].iter_mut().for_each(|code| *code %= 12);
        if let Ok(entry) = LogEntry::from_bytes(&bytes) {
            assert_eq!(entry.to_bytes(), bytes);
            read += 1;
        }
    }
    assert!(read > 1000, "only {read} were entries");
}

#[test]
fn times_past_their_width_are_cut_to_it_and_touch_no_neighbour() {
    let entry = LogEntry {
        monotonic_ms: u64::MAX,
        wall: WallTime { unix_ms: u64::MAX, trusted: false },
        ..LogEntry::of(EntryKind::Boot)
    };
    let read = LogEntry::from_bytes(&entry.to_bytes()).unwrap();
    assert_eq!(read.monotonic_ms, (1 << 48) - 1);
    assert_eq!(read.wall, WallTime { unix_ms: (1 << 47) - 1, trusted: false });
    assert_eq!(read.kind, EntryKind::Boot);
    assert_eq!(read.boot, 0);
}

#[test]
fn an_entry_of_another_version_is_refused() {
    for found in (0..=255).filter(|&version| version != 1) {
        let mut bytes = GOLDEN;
        bytes[24] = found;
        // The version is asked first: the codes may mean something else by then.
        bytes[25] = 99;
        let error = LogEntry::from_bytes(&bytes).unwrap_err();
        assert_eq!(error, EntryError::Version { found, supported: 1 });
        let text = format!("log entry of version {found}, this program reads up to 1");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_code_of_a_later_version_is_read_past_and_kept_bit_for_bit() {
    type Of = fn(&LogEntry) -> String;
    let places: [(usize, Vec<u8>, Of); 4] = [
        (25, EntryKind::ALL.iter().map(|value| value.code()).collect(), |entry| {
            entry.kind.to_string()
        }),
        (26, Reason::ALL.iter().map(|value| value.code()).collect(), |entry| {
            entry.reason.to_string()
        }),
        (27, Cause::ALL.iter().map(|value| value.code()).collect(), |entry| {
            entry.cause.to_string()
        }),
        (28, Presentation::ALL.iter().map(|value| value.code()).collect(), |entry| {
            entry.presentation.to_string()
        }),
    ];
    for (offset, known, of) in places {
        for code in 0..=255 {
            let mut bytes = GOLDEN;
            bytes[offset] = code;
            let entry = LogEntry::from_bytes(&bytes).unwrap();
            assert_eq!(entry.to_bytes(), bytes, "{code} at {offset}");
            let is_later = of(&entry) == format!("code_{code}");
            assert_eq!(is_later, !known.contains(&code), "{code} at {offset}: {}", of(&entry));
        }
    }
}

/// Number and text of each code, in the order of the list; both are for ever.
fn check<T: Copy + PartialEq + std::fmt::Debug>(
    all: &[T],
    code: fn(T) -> u8,
    text: fn(T) -> &'static str,
    from: fn(u8) -> Option<T>,
    expected: &[(u8, &str)],
) {
    let found: Vec<(u8, &str)> = all.iter().map(|&value| (code(value), text(value))).collect();
    assert_eq!(found, expected);
    for number in 0..=255 {
        let known = all.iter().copied().find(|&value| code(value) == number);
        assert_eq!(from(number), known, "{number}");
    }
}

#[test]
fn codes_and_texts_are_what_they_ever_were() {
    check(
        Reason::ALL,
        Reason::code,
        Reason::text,
        |code| Some(Reason::from_code(code)).filter(|found| Reason::ALL.contains(found)),
        &[
            (0, "matched"),
            (1, "empty_gallery"),
            (2, "unknown"),
            (3, "ambiguous"),
            (4, "too_few_frames"),
            (5, "quality"),
            (6, "spoof"),
            (7, "locked_out"),
            (8, "schedule"),
            (9, "fault"),
            (10, "not_armed"),
        ],
    );
    check(
        Cause::ALL,
        Cause::code,
        Cause::text,
        |code| Some(Cause::from_code(code)).filter(|found| Cause::ALL.contains(found)),
        &[
            (0, "none"),
            (1, "no_face"),
            (2, "too_far"),
            (3, "too_near"),
            (4, "too_dark"),
            (5, "too_bright"),
            (6, "blurred"),
            (7, "turned_away"),
            (8, "covered"),
            (9, "more_than_one"),
            (32, "camera"),
            (33, "store"),
            (34, "engine"),
            (35, "model"),
            (36, "gallery"),
            (37, "lock"),
            (38, "not_measured"),
            (39, "beyond_measurement"),
            (40, "too_many_refusals"),
            (41, "policy"),
            (42, "not_acknowledged"),
            (43, "not_yet_valid"),
            (44, "expired"),
            (45, "outside_schedule"),
            (46, "passback"),
            (47, "clock_not_set"),
            (48, "other_than_claimed"),
            (49, "unknown_credential"),
            (50, "no_credential"),
            (51, "not_commissioned"),
            (52, "reader"),
            (53, "config"),
            (54, "config_trial"),
            (55, "device_lost"),
            (56, "device_unusable"),
            (61, "near_twins"),
            (62, "same_face"),
            (63, "enrolling"),
            (64, "another_person"),
            (66, "reserve_used_up"),
            (68, "keys"),
            (70, "no_card"),
            (71, "controller"),
            (76, "spoofs"),
            (77, "heat"),
        ],
    );
    check(
        Presentation::ALL,
        Presentation::code,
        Presentation::text,
        |code| {
            Some(Presentation::from_code(code)).filter(|found| Presentation::ALL.contains(found))
        },
        &[(0, "not_assessed"), (1, "live"), (2, "spoof")],
    );
    check(
        EntryKind::ALL,
        EntryKind::code,
        EntryKind::text,
        |code| Some(EntryKind::from_code(code)).filter(|found| EntryKind::ALL.contains(found)),
        &[
            (0, "boot"),
            (1, "armed"),
            (2, "disarmed"),
            (3, "decision"),
            (4, "fault"),
            (5, "enrolled"),
            (6, "removed"),
            (7, "log_read"),
            (8, "tail_cut"),
            (9, "paired"),
            (10, "revoked"),
            (11, "made_viewer"),
            (12, "made_enroller"),
            (13, "made_owner"),
            (14, "policy_set"),
            (15, "gallery_read"),
            (16, "reboot"),
            (17, "photo_acknowledged"),
            (18, "photo_withdrawn"),
            (19, "clock_set"),
            (20, "door_forced"),
            (21, "door_held"),
            (22, "door_closed"),
            (23, "exit_requested"),
            (24, "tampered"),
            (25, "housing_closed"),
            (26, "button_pressed"),
            (27, "updated"),
            (28, "update_confirmed"),
            (29, "reverted"),
            (30, "access_set"),
            (31, "schedule_set"),
            (32, "schedule_removed"),
            (33, "commissioned"),
            (34, "recovery_key_set"),
            (35, "claim"),
            (36, "config_set"),
            (37, "config_reverted"),
            (38, "fell_back"),
            (39, "pruned"),
            (40, "gallery_staged"),
            (41, "calibrated"),
            (42, "enrolment_begun"),
            (43, "enrolment_ended"),
            (45, "reserve_opened"),
            (46, "reserve_whole"),
            (49, "not_sent"),
            (54, "unlocked"),
            (55, "throttled"),
            (56, "throttle_ended"),
        ],
    );
    check(
        ContextKind::ALL,
        ContextKind::code,
        ContextKind::text,
        ContextKind::from_code,
        &[(0, "model"), (1, "policy"), (2, "config"), (3, "clock")],
    );
}

#[test]
fn a_model_context_has_its_golden_bytes_and_comes_back() {
    let context = ModelContext {
        id: ModelId(std::array::from_fn(|i| i as u8)),
        name: "dlib".try_into().unwrap(),
        metric: Metric::L2,
    };
    let mut golden = vec![1];
    golden.extend(0..32);
    golden.extend(b"\x04dlib\x01");
    let bytes = context.to_bytes().unwrap();
    assert_eq!(&bytes[..], golden);
    assert_eq!(ModelContext::from_bytes(&bytes), Ok(context.clone()));
    for len in 0..golden.len() {
        assert!(ModelContext::from_bytes(&golden[..len]).is_err(), "cut to {len}");
    }
    golden[0] = 2;
    assert!(ModelContext::from_bytes(&golden).is_err());
    golden[0] = 1;
    golden.push(0);
    assert!(ModelContext::from_bytes(&golden).is_err());
    // The longest name still fits a context record.
    let long = ModelContext { name: "n".repeat(64).as_str().try_into().unwrap(), ..context };
    assert_eq!(ModelContext::from_bytes(&long.to_bytes().unwrap()), Ok(long));
}
