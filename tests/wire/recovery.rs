//! The recovery key: its spelling, and what it signs.

use crate::golden::hex;
use threshold_wire::commission::Signed;
use threshold_wire::pairing::{CodeError, PairingCode};
use threshold_wire::recovery::{Asked, RecoveryKey, nonce};

const CODE: [u8; 16] = *b"a recovery key!!";

fn asked() -> Asked {
    Asked {
        unit: [1; 32],
        administrator: Some([2; 32]),
        nonce: [3; 32],
        key: RecoveryKey::of_bytes(CODE).public(),
        successor: Some([5; 32]),
    }
}

const GOLDEN: [&str; 4] = [
    "314-1S6-ARV-FES-JQ4-Y90-DDJ-QJ8-91R",
    "5c6f24ba4c06ef53",
    "2ee43822bc961f40b7b773c73d8638eb71e14477cb8eeaf6d4194d997bb17dd7",
    "cbf5baa214d3838bf508c5c69ae290afa7dc9fe3b90bc9de8c1c45fed4792b542d98c242ebb043b8e57c39dd459579a7c3671cbbbf83ba85ec9d23e7ec00000b",
];

/// What stands on papers, and is signed by them, is read for ever.
#[test]
fn a_key_has_its_golden_text_public_half_and_signature() {
    let key = RecoveryKey::of_bytes(CODE);
    let found = [
        key.text().to_string(),
        key.key_id().to_string(),
        hex(&key.public()),
        hex(&key.sign(&asked()).signature),
    ];
    assert_eq!(found, GOLDEN);
    assert_eq!(RecoveryKey::parse(&key.text()), Ok(key));
}

#[test]
fn a_key_is_read_as_people_type_it_and_never_taken_for_a_pairing_code() {
    let key = RecoveryKey::of_bytes(CODE);
    let typed = format!("  {}\n", key.text().to_lowercase().replace('-', " "));
    assert_eq!(RecoveryKey::parse(&typed).as_ref(), Ok(&key));
    for number in 0..200u8 {
        let bytes: [u8; 16] = std::array::from_fn(|at| number.wrapping_mul(31 + at as u8));
        let (key, code) = (RecoveryKey::of_bytes(bytes), PairingCode::of_bytes(bytes));
        assert_eq!(RecoveryKey::parse(&code.text()), Err(CodeError::PairingCode));
        assert_eq!(PairingCode::parse(&key.text()), Err(CodeError::RecoveryKey));
        assert_eq!(RecoveryKey::parse(&key.text()), Ok(key));
    }
    for text in ["", "nonsense", &key.text()[1..]] {
        assert!(matches!(RecoveryKey::parse(text), Err(CodeError::Length { .. })), "{text}");
    }
}

#[test]
fn any_one_wrong_symbol_and_any_two_that_changed_places_are_found() {
    let text = RecoveryKey::of_bytes(CODE).text();
    let symbols: Vec<char> = text.chars().filter(|symbol| *symbol != '-').collect();
    for at in 0..symbols.len() {
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ".chars() {
            let mut wrong = symbols.clone();
            wrong[at] = other;
            let changed = wrong != symbols;
            let read = RecoveryKey::parse(&wrong.into_iter().collect::<String>());
            assert_eq!(read.is_err(), changed, "{at} {other}");
        }
        for with in 0..at {
            let mut wrong = symbols.clone();
            wrong.swap(at, with);
            let changed = wrong != symbols;
            let read = RecoveryKey::parse(&wrong.into_iter().collect::<String>());
            assert_eq!(read.is_err(), changed, "{at} {with}");
        }
    }
}

#[test]
fn a_signature_proves_the_key_for_exactly_what_was_asked() {
    let key = RecoveryKey::of_bytes(CODE);
    let signed = key.sign(&asked());
    assert_eq!(asked().proven(&signed).map(|proven| *proven.key()), Some(key.public()));
    let others = [
        Asked { unit: [9; 32], ..asked() },
        Asked { administrator: None, ..asked() },
        Asked { administrator: Some([9; 32]), ..asked() },
        Asked { nonce: [9; 32], ..asked() },
        Asked { key: [9; 32], ..asked() },
        Asked { successor: None, ..asked() },
        Asked { successor: Some([9; 32]), ..asked() },
    ];
    for other in others {
        assert_eq!(other.proven(&signed), None, "{other:?}");
    }
    let of_another = Signed { key: RecoveryKey::of_bytes([0; 16]).public(), ..signed };
    assert_eq!(asked().proven(&of_another), None);
}

#[test]
fn no_two_keys_and_no_two_challenges_are_alike() {
    let (first, second) = (RecoveryKey::random().unwrap(), RecoveryKey::random().unwrap());
    assert_ne!(first.public(), second.public());
    assert_ne!(nonce().unwrap(), nonce().unwrap());
    assert!(!format!("{first:?}").contains(&first.text()[..7]), "a debug text shows no key");
}
