//! Sessions under attack: replay, reflection, downgrade, truncation, foreign keys, floods. Each is refused by name.

use crate::ends::{host_hello, owner, owner_key, unit_hello, unit_key};
use threshold_record::{Administrator, KeyId, Name, Role};
use threshold_tests::lots::Lots;
use threshold_wire::bulk::{MAX_CHUNK_BYTES, Packet};
use threshold_wire::frame::{MAX_BODY_BYTES, MAX_ENCODED_BYTES};
use threshold_wire::handshake::{HandshakeRefusal, SessionOpen, SessionOpened};
use threshold_wire::session::{
    Accepted, HandshakeError, Held, Inside, OpenError, Opening, SealError, SecretKey, Session,
    accept,
};
use threshold_wire::{
    Arrived, Decoder, Encoded, Frame, FrameError, FrameKind, Hello, HelloRequest, Sealed,
};

/// A sealed frame that outlives its line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Caught {
    nonce: u64,
    cipher: Vec<u8>,
}

impl Caught {
    fn of(line: &Encoded) -> Self {
        let mut bytes = line.as_bytes();
        match Decoder::new().feed_any(&mut bytes) {
            Some(Ok(Arrived::Sealed(Sealed { nonce, cipher }))) => {
                Self { nonce, cipher: cipher.to_vec() }
            }
            other => panic!("{other:?}"),
        }
    }

    fn sealed(&self) -> Sealed<'_> {
        Sealed { nonce: self.nonce, cipher: &self.cipher }
    }
}

/// A call of any body.
fn call(body: &[u8]) -> Inside<'_> {
    Inside::Message(Frame { kind: FrameKind::Call, id: 7, key: [9; 8], body })
}

/// Host and unit in a session.
fn sessions() -> (Session, Session) {
    let (opening, request) = open();
    let roster = [owner()];
    let accepted = accepted(&request, &roster).unwrap();
    let (host, role) = opening.finish(&accepted.answer).unwrap();
    assert_eq!(role, Role::Owner);
    (host, accepted.session)
}

fn open() -> (Opening, SessionOpen) {
    let key = *unit_key().public();
    Opening::start(&host_hello(), &unit_hello(), &owner_key(), &key).unwrap()
}

fn accepted<'a>(
    request: &SessionOpen,
    roster: &'a [Administrator],
) -> Result<Accepted<'a>, HandshakeRefusal> {
    accept(request, &host_hello(), &unit_hello(), &unit_key(), roster)
}

#[test]
fn what_is_sealed_at_one_end_is_opened_at_the_other() {
    let (mut host, mut unit) = sessions();
    for body in [&[][..], b"hello", &[0; MAX_BODY_BYTES]] {
        let line = Caught::of(&host.seal(&call(body)).unwrap());
        assert_eq!(unit.open(&line.sealed()), Ok(call(body)));
        let line = Caught::of(&unit.seal(&call(body)).unwrap());
        assert_eq!(host.open(&line.sealed()), Ok(call(body)));
    }
    let bytes = [0xa5; MAX_CHUNK_BYTES];
    let chunk = Inside::Bulk(Packet::Chunk { transfer: 255, index: u32::MAX, bytes: &bytes });
    let line = host.seal(&chunk).unwrap();
    assert!(line.as_bytes().len() <= MAX_ENCODED_BYTES);
    assert_eq!(unit.open(&Caught::of(&line).sealed()), Ok(chunk));
}

#[test]
fn a_session_knows_its_administrator_and_gives_the_role_of_the_roster() {
    for role in [Role::Viewer, Role::Enroller, Role::Owner] {
        let (opening, request) = open();
        let stranger = Administrator { key: *SecretKey::random().unwrap().public(), ..owner() };
        let roster = [stranger, Administrator { role, ..owner() }];
        let accepted = accepted(&request, &roster).unwrap();
        assert_eq!(accepted.administrator, &roster[1]);
        assert_eq!(opening.finish(&accepted.answer).unwrap().1, role);
    }
}

#[test]
fn a_frame_is_taken_once_and_never_after_a_later_one() {
    let (mut host, mut unit) = sessions();
    let mut lots = Lots(1);
    let mut sent: Vec<Caught> = Vec::new();
    let mut taken = 0;
    for round in 0..500u32 {
        sent.push(Caught::of(&host.seal(&call(&round.to_le_bytes())).unwrap()));
        // Anything sent so far, in any order and again.
        let line = &sent[lots.below(sent.len() as u64) as usize];
        let expected = match line.nonce > taken {
            true => Ok(line.nonce),
            false => Err(OpenError::Replayed { nonce: line.nonce, taken }),
        };
        let found = unit.open(&line.sealed()).map(|_| line.nonce);
        assert_eq!(found, expected, "round {round}");
        taken = found.unwrap_or(taken);
    }
    for line in &sent {
        if line.nonce <= taken {
            assert!(matches!(unit.open(&line.sealed()), Err(OpenError::Replayed { .. })));
        }
    }
}

#[test]
fn no_number_is_used_twice_and_a_repeated_message_has_other_bytes() {
    let (mut host, mut unit) = sessions();
    let mut before: Vec<Caught> = Vec::new();
    for number in 1..=300 {
        assert_eq!(host.next_mark(), number);
        // What does not fit uses up its number or none, but never one twice.
        let long = [0; MAX_BODY_BYTES + 1];
        assert!(matches!(host.seal(&call(&long)), Err(SealError::TooLong(_))));
        let line = Caught::of(&host.seal(&call(b"again")).unwrap());
        assert_eq!(line.nonce, number);
        assert!(before.iter().all(|old| old.cipher != line.cipher));
        // The other direction has its own key: the same number and words, other bytes.
        let other = Caught::of(&unit.seal(&call(b"again")).unwrap());
        assert_eq!(other.nonce, number);
        assert_ne!(other.cipher, line.cipher);
        before.push(line);
    }
}

#[test]
fn a_frame_sent_back_to_its_sender_is_forged() {
    let (mut host, mut unit) = sessions();
    let up = Caught::of(&host.seal(&call(b"up")).unwrap());
    assert_eq!(host.open(&up.sealed()), Err(OpenError::Forged));
    assert!(unit.open(&up.sealed()).is_ok());
    let down = Caught::of(&unit.seal(&call(b"down")).unwrap());
    assert_eq!(unit.open(&Sealed { nonce: 9, ..down.sealed() }), Err(OpenError::Forged));
    assert!(host.open(&down.sealed()).is_ok());
}

#[test]
fn a_changed_bit_anywhere_is_forged_and_changes_nothing() {
    let (mut host, mut unit) = sessions();
    let line = Caught::of(&host.seal(&call(b"open the door")).unwrap());
    for bit in 0..line.cipher.len() * 8 {
        let mut changed = line.clone();
        changed.cipher[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(unit.open(&changed.sealed()), Err(OpenError::Forged), "bit {bit}");
    }
    for nonce in [2, 3, 1 << 40, u64::MAX - 1, u64::MAX] {
        let changed = Caught { nonce, ..line.clone() };
        assert_eq!(unit.open(&changed.sealed()), Err(OpenError::Forged), "nonce {nonce}");
    }
    for len in 0..line.cipher.len() {
        let cut = Sealed { cipher: &line.cipher[..len], ..line.sealed() };
        assert_eq!(unit.open(&cut), Err(OpenError::Forged), "cut to {len}");
    }
    assert_eq!(unit.open(&line.sealed()), Ok(call(b"open the door")));
}

#[test]
fn a_frame_of_another_session_of_the_same_two_is_forged() {
    let (mut host, _) = sessions();
    let (_, mut unit) = sessions();
    let line = Caught::of(&host.seal(&call(b"yesterday")).unwrap());
    assert_eq!(unit.open(&line.sealed()), Err(OpenError::Forged));
}

#[test]
fn a_hello_changed_on_the_way_fails_the_handshake() {
    let roster = [owner()];
    let key = *unit_key().public();
    let true_host = host_hello();
    let true_unit = unit_hello();
    let hosts = [
        HelloRequest { protocol: 1, ..true_host.clone() },
        HelloRequest { schema: 1, ..true_host.clone() },
        HelloRequest { build: "0.0.9".try_into().unwrap(), ..true_host.clone() },
    ];
    let units = [
        Hello { protocol: 1, ..true_unit.clone() },
        Hello { schema: 1, ..true_unit.clone() },
        Hello { build: "0.0.9".try_into().unwrap(), ..true_unit.clone() },
        Hello { unit: "south door".try_into().unwrap(), ..true_unit.clone() },
    ];
    // What the host said and the unit heard differ, or what the unit said and the host heard.
    for heard in &hosts {
        let (_, request) = open();
        let found = accept(&request, heard, &true_unit, &unit_key(), &roster);
        assert_eq!(found.unwrap_err(), HandshakeRefusal::Forged);
    }
    for heard in &units {
        let (_, request) = Opening::start(&true_host, heard, &owner_key(), &key).unwrap();
        let found = accept(&request, &true_host, &true_unit, &unit_key(), &roster);
        assert_eq!(found.unwrap_err(), HandshakeRefusal::Forged);
    }
}

#[test]
fn a_handshake_passed_on_to_another_unit_is_refused_there() {
    let (opening, request) = open();
    let other = SecretKey::of_bytes([0x52; 32]).unwrap();
    let roster = [owner()];
    // The other unit knows the administrator, and even bears the name.
    let found = accept(&request, &host_hello(), &unit_hello(), &other, &roster);
    assert_eq!(found.unwrap_err(), HandshakeRefusal::Forged);
    // And what another unit answers is no answer to the host.
    let key = *other.public();
    let (_, other_request) =
        Opening::start(&host_hello(), &unit_hello(), &owner_key(), &key).unwrap();
    let answer = accept(&other_request, &host_hello(), &unit_hello(), &other, &roster);
    assert_eq!(opening.finish(&answer.unwrap().answer).unwrap_err(), HandshakeError::Forged);
}

#[test]
fn keys_that_are_foreign_revoked_or_merely_named_open_nothing() {
    let (_, request) = open();
    assert_eq!(accepted(&request, &[]).unwrap_err(), HandshakeRefusal::UnknownKey);
    let stranger = SecretKey::random().unwrap();
    let other = Administrator { key: *stranger.public(), ..owner() };
    let roster = [other];
    assert_eq!(accepted(&request, &roster).unwrap_err(), HandshakeRefusal::UnknownKey);
    // A stranger who names the owner's key.
    let key = *unit_key().public();
    let (_, foreign) = Opening::start(&host_hello(), &unit_hello(), &stranger, &key).unwrap();
    let named = SessionOpen { key_id: owner_key().key_id(), ..foreign };
    assert_eq!(accepted(&named, &[owner()]).unwrap_err(), HandshakeRefusal::Forged);
    // Keys that everybody knows.
    for sample in [[0; 32], [1; 32], [0xff; 32], std::array::from_fn(|i| i as u8)] {
        let sample = SecretKey::of_bytes(sample).unwrap();
        let (_, request) = Opening::start(&host_hello(), &unit_hello(), &sample, &key).unwrap();
        let found = accepted(&request, &[owner()]).unwrap_err();
        assert_eq!(found, HandshakeRefusal::UnknownKey);
    }
}

#[test]
fn a_handshake_cut_short_or_changed_is_refused_at_either_end() {
    let roster = [owner()];
    let (_, request) = open();
    for len in 0..request.message.len() {
        let message = request.message[..len].iter().copied().collect();
        let cut = SessionOpen { message, ..request.clone() };
        assert_eq!(accepted(&cut, &roster).unwrap_err(), HandshakeRefusal::Forged, "{len}");
    }
    for at in 0..request.message.len() {
        let mut changed = request.clone();
        changed.message[at] ^= 4;
        assert_eq!(accepted(&changed, &roster).unwrap_err(), HandshakeRefusal::Forged, "{at}");
    }
    let answer = |change: &dyn Fn(&mut Vec<u8>)| {
        let (opening, request) = open();
        let SessionOpened::Welcome(message) = accepted(&request, &roster).unwrap().answer else {
            panic!("no welcome")
        };
        let mut bytes = message.to_vec();
        change(&mut bytes);
        let message = bytes.into_iter().collect();
        opening.finish(&SessionOpened::Welcome(message)).map(|_| ()).unwrap_err()
    };
    for len in 0..49 {
        assert_eq!(answer(&|bytes| bytes.truncate(len)), HandshakeError::Forged, "{len}");
        assert_eq!(answer(&|bytes| bytes[len] ^= 1), HandshakeError::Forged, "{len}");
    }
    let (opening, _) = open();
    let refused = SessionOpened::Refused(HandshakeRefusal::UnknownKey);
    let found = opening.finish(&refused).unwrap_err();
    assert_eq!(found, HandshakeError::Refused(HandshakeRefusal::UnknownKey));
}

#[test]
fn random_handshakes_open_nothing() {
    let roster = [owner()];
    let key_id = owner_key().key_id();
    let mut lots = Lots(5);
    for _ in 0..500 {
        let len = lots.below(161) as usize;
        let message: Vec<u8> = lots.bytes(len);
        let message: threshold_wire::handshake::NoiseMessage = message.into_iter().collect();
        let request = SessionOpen { key_id, message: message.clone() };
        assert_eq!(accepted(&request, &roster).unwrap_err(), HandshakeRefusal::Forged);
        let (opening, _) = open();
        let found = opening.finish(&SessionOpened::Welcome(message)).map(|_| ());
        assert_eq!(found.unwrap_err(), HandshakeError::Forged);
    }
}

#[test]
fn a_replayed_handshake_leaves_the_present_session_in_use() {
    let roster = [owner()];
    let mut held = Held::default();
    let (opening, request) = open();
    let first = accepted(&request, &roster).unwrap();
    held.accepted(first.session, 1);
    let (mut host, _) = opening.finish(&first.answer).unwrap();
    assert_eq!(held.who(), None, "nothing came yet");
    let line = Caught::of(&host.seal(&call(b"1")).unwrap());
    assert_eq!(held.open(&line.sealed()), Ok(call(b"1")));
    assert_eq!(held.who(), Some(&1));
    for _ in 0..5 {
        // The recorded first message again: the unit answers, and nobody can use it.
        held.accepted(accepted(&request, &roster).unwrap().session, 2);
        assert!(held.open(&line.sealed()).is_err());
        let next = Caught::of(&host.seal(&call(b"2")).unwrap());
        assert_eq!(held.open(&next.sealed()), Ok(call(b"2")));
        assert_eq!(held.who(), Some(&1));
    }
    // A true new session takes over with its first frame, and the old one is over.
    let (opening, request) = open();
    let second = accepted(&request, &roster).unwrap();
    held.accepted(second.session, 3);
    let (mut renewed, _) = opening.finish(&second.answer).unwrap();
    let line = Caught::of(&renewed.seal(&call(b"3")).unwrap());
    assert_eq!(held.open(&line.sealed()), Ok(call(b"3")));
    assert_eq!(held.who(), Some(&3));
    let old = Caught::of(&host.seal(&call(b"4")).unwrap());
    assert!(held.open(&old.sealed()).is_err());
    held.forget(|who| *who == 3);
    assert_eq!(held.who(), None);
    let line = Caught::of(&renewed.seal(&call(b"5")).unwrap());
    assert_eq!(held.open(&line.sealed()), Err(OpenError::Forged));
    assert_eq!(held.seal(&call(b"6")), Err(SealError::Worn));
}

#[test]
fn a_flood_of_sealed_noise_takes_no_memory_and_changes_nothing() {
    let (mut host, mut unit) = sessions();
    let mut lots = Lots(3);
    let mut decoder = Decoder::new();
    assert!(size_of::<Decoder>() < MAX_ENCODED_BYTES + 64);
    let mut refused = 0;
    for _ in 0..20_000 {
        let len = 17 + lots.below(120) as usize;
        let cipher = lots.bytes(len);
        let line = Sealed { nonce: lots.bits(), cipher: &cipher }.encode().unwrap();
        let mut bytes = line.as_bytes();
        if let Some(Ok(Arrived::Sealed(sealed))) = decoder.feed_any(&mut bytes) {
            assert_eq!(unit.open(&sealed), Err(OpenError::Forged));
            refused += 1;
        }
    }
    assert_eq!(refused, 20_000);
    assert_eq!(unit.last_mark(), 0);
    let line = Caught::of(&host.seal(&call(b"still here")).unwrap());
    assert_eq!(unit.open(&line.sealed()), Ok(call(b"still here")));
}

#[test]
fn random_bytes_are_no_frame_and_no_packet_that_panics() {
    let mut lots = Lots(4);
    let mut decoder = Decoder::new();
    let (mut sealed, mut packets) = (0, 0);
    for round in 0..100_000u32 {
        let len = lots.below(60) as usize;
        let mut bytes = lots.bytes(len);
        if let Some(first) = bytes.first_mut() {
            *first = [16, 5, 6, 7][round as usize % 4];
        }
        if Packet::read(&bytes).is_some() {
            packets += 1;
        }
        // COBS of a frame that begins as a sealed one does.
        let line = [&[(bytes.len() + 1) as u8][..], &bytes, &[0]].concat();
        let mut rest = &line[..];
        while let Some(found) = decoder.feed_any(&mut rest) {
            match found {
                Ok(Arrived::Sealed(_)) => sealed += 1,
                Ok(Arrived::Open(frame)) => assert!(frame.body.len() <= MAX_BODY_BYTES),
                Err(_) => {}
            }
        }
    }
    assert!(sealed > 1000 && packets > 1000, "{sealed} {packets}");
}

#[test]
fn a_sealed_frame_where_no_session_is_read_is_named_so() {
    let (mut host, _) = sessions();
    let line = host.seal(&call(b"x")).unwrap();
    let mut bytes = line.as_bytes();
    assert_eq!(Decoder::new().feed(&mut bytes), Some(Err(FrameError::NoSession)));
}

#[test]
fn secrets_are_random_and_are_printed_nowhere() {
    let (a, b) = (SecretKey::random().unwrap(), SecretKey::random().unwrap());
    assert_ne!(a.secret(), b.secret());
    assert_eq!(SecretKey::of_bytes(*a.secret()).unwrap(), a);
    let hex: String = a.secret()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let (host, _) = sessions();
    let text = format!("{a:?} {host:?} {:?}", open().0);
    assert!(!text.contains(&hex) && text.contains(&a.key_id().to_string()), "{text}");
}

#[test]
fn a_key_id_and_a_roles_code_are_as_they_were() {
    assert_eq!(KeyId::of(&[0; 32]).to_string(), KEY_ID_OF_ZEROS);
    let codes = [Role::Viewer, Role::Enroller, Role::Owner].map(|role| (role.code(), role.text()));
    assert_eq!(codes, [(0, "viewer"), (1, "enroller"), (2, "owner")]);
    assert!(Role::Owner.reaches(Role::Viewer) && !Role::Viewer.reaches(Role::Enroller));
    assert_eq!(owner().key_id(), owner_key().key_id());
    assert_eq!(Name::new("Ada").unwrap(), owner().name);
}

/// BLAKE3's key derivation over 32 zeros, its first 8 bytes.
const KEY_ID_OF_ZEROS: &str = "199a23db65e0d29c";
