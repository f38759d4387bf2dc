//! Pairing: who stands at the unit and has the code becomes an administrator, and nobody else does.

use crate::ends::{host_hello, owner_key, unit_hello, unit_key};
use threshold_record::{Administrator, Name, Role};
use threshold_tests::lots::Lots;
use threshold_wire::Hello;
use threshold_wire::handshake::{
    HandshakeRefusal, PairFinish, PairFinished, PairStart, PairStarted, Paired, Ration,
};
use threshold_wire::pairing::{
    CodeError, Finished, PairingAtHost, PairingAtUnit, PairingCode, PairingWindow, ProvingAtHost,
    WINDOW_ATTEMPTS, WINDOW_MS,
};
use threshold_wire::session::{HandshakeError, Opening, SecretKey, accept};

fn code() -> PairingCode {
    PairingCode::of_bytes(std::array::from_fn(|i| 0x11 * i as u8))
}

fn name() -> Name {
    Name::new("Grace").unwrap()
}

/// A unit whose button was held at time 0.
fn unit() -> PairingAtUnit {
    let mut unit = PairingAtUnit::default();
    unit.window.button(0);
    unit
}

fn host_start(code: &PairingCode) -> (PairingAtHost, PairStart) {
    PairingAtHost::start(&host_hello(), &unit_hello(), &owner_key(), code, name()).unwrap()
}

fn unit_start(
    unit: &mut PairingAtUnit,
    request: &PairStart,
    now_ms: u64,
) -> Result<PairStarted, HandshakeRefusal> {
    unit.start(request, &host_hello(), &unit_hello(), &unit_key(), &code(), now_ms)
}

/// Both ends up to the host's last message.
fn until_finish(unit: &mut PairingAtUnit, typed: &PairingCode) -> (ProvingAtHost, PairFinish) {
    let (host, start) = host_start(typed);
    host.go(&unit_start(unit, &start, 0).unwrap()).unwrap()
}

#[test]
fn the_code_and_somebody_at_the_unit_make_an_administrator_who_opens_a_session() {
    let mut unit = unit();
    let (host, finish) = until_finish(&mut unit, &code());
    let Finished { administrator, answer } = unit.finish(&finish, |_| Role::Owner, 1000).unwrap();
    let expected = Administrator { key: *owner_key().public(), name: name(), role: Role::Owner };
    assert_eq!(administrator, expected);
    let (unit_public, paired) = host.finish(&answer).unwrap();
    assert_eq!(unit_public, *unit_key().public());
    assert_eq!(paired, Paired { role: Role::Owner });
    // One press, one administrator.
    assert_eq!(unit.window, PairingWindow::closed());
    let (opening, request) =
        Opening::start(&host_hello(), &unit_hello(), &owner_key(), &unit_public).unwrap();
    let roster = [administrator];
    let accepted = accept(&request, &host_hello(), &unit_hello(), &unit_key(), &roster).unwrap();
    assert!(opening.finish(&accepted.answer).is_ok());
}

#[test]
fn nobody_pairs_without_the_button() {
    let mut unit = PairingAtUnit::default();
    let (_, start) = host_start(&code());
    for now_ms in [0, 1, WINDOW_MS, u64::MAX] {
        let closed = HandshakeRefusal::WindowClosed;
        assert_eq!(unit_start(&mut unit, &start, now_ms).unwrap_err(), closed);
        let finish = PairFinish { message: start.message.clone() };
        assert_eq!(unit.finish(&finish, |_| Role::Owner, now_ms).unwrap_err(), closed);
    }
}

#[test]
fn a_window_closes_in_time_even_in_the_middle_of_a_pairing() {
    let mut unit = unit();
    assert_eq!(unit.window.check(WINDOW_MS - 1), Ok(1));
    let (_, finish) = until_finish(&mut unit, &code());
    let found = unit.finish(&finish, |_| Role::Owner, WINDOW_MS).unwrap_err();
    assert_eq!(found, HandshakeRefusal::WindowClosed);
    // Once closed it stays so, whatever the clock says.
    assert_eq!(unit.window.check(0), Err(HandshakeRefusal::WindowClosed));
    // A clock that went back opens nothing.
    let mut window = PairingWindow::closed();
    window.button(1000);
    assert_eq!(window.check(999), Err(HandshakeRefusal::WindowClosed));
}

#[test]
fn wrong_codes_use_up_the_attempts_and_then_the_right_one_is_refused_too() {
    let mut unit = unit();
    let mut lots = Lots(1);
    for left in (0..WINDOW_ATTEMPTS).rev() {
        let guess = PairingCode::of_bytes(std::array::from_fn(|_| lots.bits() as u8));
        let (_, finish) = until_finish(&mut unit, &guess);
        let found = unit.finish(&finish, |_| Role::Owner, 1).unwrap_err();
        assert_eq!(found, HandshakeRefusal::WrongCode { left });
        // The same message again meets no exchange: it is no second attempt and no way in.
        let again = unit.finish(&finish, |_| Role::Owner, 1).unwrap_err();
        let expected =
            if left == 0 { HandshakeRefusal::WindowClosed } else { HandshakeRefusal::Forged };
        assert_eq!(again, expected);
    }
    let (_, start) = host_start(&code());
    let found = unit_start(&mut unit, &start, 1).unwrap_err();
    assert_eq!(found, HandshakeRefusal::WindowClosed);
    unit.window.button(0);
    let (_, finish) = until_finish(&mut unit, &code());
    assert!(unit.finish(&finish, |_| Role::Viewer, 3).is_ok());
}

#[test]
fn a_flood_of_handshakes_gets_its_ration() {
    let mut ration = Ration::full();
    let taken =
        |ration: &mut Ration, now_ms| (0..1000).filter(|_| ration.take(now_ms).is_ok()).count();
    assert_eq!(taken(&mut ration, 0), 8);
    assert_eq!(taken(&mut ration, 249), 0);
    assert_eq!(taken(&mut ration, 250), 1);
    assert_eq!(taken(&mut ration, 1_100), 3);
    assert_eq!(taken(&mut ration, 1_249), 0);
    assert_eq!(taken(&mut ration, 1_250), 1);
    assert_eq!(taken(&mut ration, u64::MAX), 8);
    // A clock that went back gives nothing.
    assert_eq!(taken(&mut ration, 0), 0);
    let mut a_minute = Ration::full();
    let computed: usize =
        (0..60_000).map(|now_ms| usize::from(a_minute.take(now_ms).is_ok())).sum();
    assert_eq!(computed, 8 + 239);
}

#[test]
fn starts_without_end_hold_one_exchange_and_cost_no_attempt() {
    let mut unit = unit();
    for _ in 0..50 {
        let (_, start) = host_start(&code());
        assert!(unit_start(&mut unit, &start, 0).is_ok());
    }
    let (host, finish) = until_finish(&mut unit, &code());
    let Finished { answer, .. } = unit.finish(&finish, |_| Role::Owner, 0).unwrap();
    assert!(host.finish(&answer).is_ok());
}

#[test]
fn a_host_keeps_no_key_of_a_unit_that_does_not_know_the_code() {
    // Somebody in the middle answers with his own key and a guess.
    let mut false_unit = PairingAtUnit::default();
    false_unit.window.button(0);
    let thief = SecretKey::random().unwrap();
    let (host, start) = host_start(&code());
    let guess = PairingCode::of_bytes([3; 16]);
    let started =
        false_unit.start(&start, &host_hello(), &unit_hello(), &thief, &guess, 0).unwrap();
    let (proving, finish) = host.go(&started).unwrap();
    assert!(false_unit.finish(&finish, |_| Role::Owner, 0).is_err());
    for proof in [vec![], vec![0; 16], vec![0x40; 17], finish.message[..17].to_vec()] {
        let (host, start) = host_start(&code());
        let mut unit = PairingAtUnit::default();
        unit.window.button(0);
        let started = unit.start(&start, &host_hello(), &unit_hello(), &thief, &guess, 0).unwrap();
        let (proving, _) = host.go(&started).unwrap();
        let answer = PairFinished::Paired(proof.into_iter().collect());
        assert_eq!(proving.finish(&answer).unwrap_err(), HandshakeError::Forged);
    }
    let refused = PairFinished::Refused(HandshakeRefusal::NotKept);
    let found = proving.finish(&refused).unwrap_err();
    assert_eq!(found, HandshakeError::Refused(HandshakeRefusal::NotKept));
}

#[test]
fn messages_cut_short_changed_or_of_another_greeting_pair_nobody() {
    let (_, start) = host_start(&code());
    for len in 0..start.message.len() {
        let message = start.message[..len].iter().copied().collect();
        let cut = PairStart { message };
        assert_eq!(unit_start(&mut unit(), &cut, 0).unwrap_err(), HandshakeRefusal::Forged);
    }
    let wrong = HandshakeRefusal::WrongCode { left: WINDOW_ATTEMPTS - 1 };
    for at in 0..64 {
        let mut cut_unit = unit();
        let (_, mut finish) = until_finish(&mut cut_unit, &code());
        finish.message.truncate(at);
        assert_eq!(cut_unit.finish(&finish, |_| Role::Owner, 0).unwrap_err(), wrong);
        let mut changed_unit = unit();
        let (_, mut finish) = until_finish(&mut changed_unit, &code());
        finish.message[at] ^= 0x10;
        assert_eq!(changed_unit.finish(&finish, |_| Role::Owner, 0).unwrap_err(), wrong);
    }
    // The unit heard another hello than the host sent, or the other way round.
    let other = Hello { protocol: 1, ..unit_hello() };
    let (_, start) =
        PairingAtHost::start(&host_hello(), &other, &owner_key(), &code(), name()).unwrap();
    let mut at_unit = unit();
    // The first message is encrypted under the greeting already.
    assert_eq!(unit_start(&mut at_unit, &start, 0).unwrap_err(), HandshakeRefusal::Forged);
    // A pairing's message opens no session, and a session's no pairing.
    let key = *unit_key().public();
    let (_, session) = Opening::start(&host_hello(), &unit_hello(), &owner_key(), &key).unwrap();
    let as_pairing = PairStart { message: session.message.clone() };
    assert_eq!(unit_start(&mut unit(), &as_pairing, 0).unwrap_err(), HandshakeRefusal::Forged);
    let (_, start) = host_start(&code());
    let as_session = threshold_wire::handshake::SessionOpen { message: start.message, ..session };
    let roster = [crate::ends::owner()];
    let found = accept(&as_session, &host_hello(), &unit_hello(), &unit_key(), &roster);
    assert_eq!(found.unwrap_err(), HandshakeRefusal::Forged);
}

#[test]
fn a_code_is_printed_in_groups_and_read_back_however_it_is_typed() {
    let check = |code: &PairingCode, text: &str| {
        assert_eq!(PairingCode::parse(text).as_ref(), Ok(code), "{text}");
    };
    let mut lots = Lots(2);
    for round in 0..2000 {
        let bytes: [u8; 16] = std::array::from_fn(|_| match round {
            0 => 0,
            1 => 255,
            _ => lots.bits() as u8,
        });
        let code = PairingCode::of_bytes(bytes);
        let text = code.text();
        assert_eq!(text.len(), 35);
        check(&code, &text);
        check(&code, &text.to_lowercase());
        check(&code, &text.replace('-', ""));
        check(&code, &format!("  {} ", text.replace('-', " ")));
        check(&code, &text.replace('-', "\u{2013}"));
        check(&code, &text.replace('0', "O").replace('1', "I"));
        check(&code, &text.replace('0', "o").replace('1', "l"));
    }
    assert_eq!(code().text(), CODE);
    assert!(!format!("{:?}", code()).contains("011"));
}

#[test]
fn a_code_with_one_wrong_symbol_or_two_that_changed_places_is_found() {
    let text = code().text().replace('-', "");
    let symbols: Vec<char> = text.chars().collect();
    for at in 0..symbols.len() {
        for other in "0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U".chars().filter(|&c| c != symbols[at]) {
            let mut wrong = symbols.clone();
            wrong[at] = other;
            let wrong: String = wrong.into_iter().collect();
            assert!(PairingCode::parse(&wrong).is_err(), "{wrong}");
        }
        if at > 0 && symbols[at] != symbols[at - 1] {
            let mut wrong = symbols.clone();
            wrong.swap(at, at - 1);
            let wrong: String = wrong.into_iter().collect();
            assert!(PairingCode::parse(&wrong).is_err(), "{wrong}");
        }
    }
    let found = |text: &str| PairingCode::parse(text).unwrap_err();
    assert_eq!(found(""), CodeError::Length { found: 0 });
    assert_eq!(found(&text[1..]), CodeError::Length { found: 26 });
    assert_eq!(found(&format!("!{}", &text[1..])), CodeError::Symbol { character: '!', place: 1 });
    assert_eq!(found(&format!("8{}", &text[1..])), CodeError::First);
    assert_eq!(found(&text.replacen('4', "5", 1)), CodeError::Check);
    for error in [found(""), found("!"), CodeError::First, CodeError::Check] {
        assert!(error.to_string().contains("; "), "{error} has no remedy");
    }
}

#[test]
fn random_texts_are_no_codes_and_no_panics() {
    let mut lots = Lots(3);
    let letters: Vec<char> = "0Oo1IlL-  *~$=uU8zZ\u{0}\u{202e}\u{e9}\u{1f600}".chars().collect();
    for _ in 0..50_000 {
        let len = lots.below(60);
        let text: String = (0..len).map(|_| lots.one_of(&letters)).collect();
        if let Ok(code) = PairingCode::parse(&text) {
            assert_eq!(PairingCode::parse(&code.text()), Ok(code));
        }
    }
}

/// The text of [`code`].
const CODE: &str = "002-4H3-6H2-NCS-VRH-6DA-QF6-DVV-QZW";
