//! The handshakes' messages changed on the way: the two of a session, the four of a pairing, the hello that they are bound to, and the
//! first sealed frame.
//!
//! The first byte chooses what is changed, the rest are the changes. An end takes what the other one sent, and nothing else: a change is
//! refused with its reason, gives nobody a session, and costs an attempt where a code could have been tried.
//! The keys of a run are random, as in the product: a law that breaks does so with other keys as well.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use threshold_record::{Administrator, Name, Role};
use threshold_wire::handshake::{HandshakeRefusal, MAX_NOISE_BYTES, NoiseMessage, PairFinish, PairFinished, PairStart, PairStarted, SessionOpen, SessionOpened};
use threshold_wire::pairing::{PairingAtHost, PairingAtUnit, PairingCode, ProvingAtHost, WINDOW_ATTEMPTS};
use threshold_wire::session::{HandshakeError, Inside, Opening, SecretKey, Session, accept};
use threshold_wire::{Arrived, Decoder, Frame, FrameKind, Hello, HelloRequest, cut};

static HOST: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::of_bytes([0x72; 32]).expect("a key of bytes"));
static UNIT: LazyLock<SecretKey> = LazyLock::new(|| SecretKey::of_bytes([0x51; 32]).expect("a key of bytes"));
static HELLOS: LazyLock<(HelloRequest, Hello)> = LazyLock::new(|| (HelloRequest::of_build("0.1.0"), Hello::of_unit("north door", "0.1.1")));
static ROSTER: LazyLock<[Administrator; 1]> = LazyLock::new(|| [Administrator { key: *HOST.public(), name: name(), role: Role::Owner }]);
const CODE: PairingCode = PairingCode::of_bytes([0x2a; 16]);

fn name() -> Name {
    Name::new("Ada").expect("a name")
}

/// What comes of what was sent. A change is what to do, where, and with which byte.
fn changed(sent: &[u8], mut changes: &[u8]) -> Vec<u8> {
    let mut came = sent.to_vec();
    while let [what, at, byte, rest @ ..] = changes {
        let at = usize::from(*at) % (came.len() + 1);
        match what % 4 {
            0 if at < came.len() => came[at] ^= byte,
            0 => came.push(*byte),
            1 => came.truncate(at),
            2 => came.insert(at, *byte),
            _ => {
                // Everything from there on is the sender's own.
                came.truncate(at);
                came.push(*byte);
                came.extend(rest);
                break;
            }
        }
        changes = rest;
    }
    came
}

/// The same of a handshake's message, as long as one can be.
fn message(sent: &NoiseMessage, changes: &[u8]) -> NoiseMessage {
    changed(sent, changes).into_iter().take(MAX_NOISE_BYTES).collect()
}

fn open() -> (Opening, SessionOpen) {
    let (host, unit) = &*HELLOS;
    Opening::start(host, unit, &HOST, UNIT.public()).expect("random numbers")
}

fn sessions() -> (Session, Session) {
    let (host, unit) = &*HELLOS;
    let (opening, request) = open();
    let accepted = accept(&request, host, unit, &UNIT, &*ROSTER).expect("an honest host");
    (opening.finish(&accepted.answer).expect("an honest unit").0, accepted.session)
}

/// A unit at which somebody holds the button.
fn held() -> PairingAtUnit {
    let mut at_unit = PairingAtUnit::default();
    at_unit.window.button(0);
    at_unit
}

fn start() -> (PairingAtHost, PairStart) {
    let (host, unit) = &*HELLOS;
    PairingAtHost::start(host, unit, &HOST, &CODE, name()).expect("random numbers")
}

fn started(at_unit: &mut PairingAtUnit, request: &PairStart) -> Result<PairStarted, HandshakeRefusal> {
    let (host, unit) = &*HELLOS;
    at_unit.start(request, host, unit, &UNIT, &CODE, 0)
}

/// A pairing up to the host's last message.
fn proving(at_unit: &mut PairingAtUnit) -> (ProvingAtHost, PairFinish) {
    let (at_host, request) = start();
    at_host.go(&started(at_unit, &request).expect("an honest host")).expect("an honest unit")
}

/// A session's first message at the unit.
fn session_open(changes: &[u8]) {
    let (host, unit) = &*HELLOS;
    let (opening, sent) = open();
    let came = SessionOpen { key_id: sent.key_id, message: message(&sent.message, changes) };
    match accept(&came, host, unit, &UNIT, &*ROSTER) {
        Ok(accepted) => {
            assert_eq!(came, sent);
            assert!(opening.finish(&accepted.answer).is_ok());
        }
        Err(refusal) => assert!(came != sent && refusal == HandshakeRefusal::Forged),
    }
}

/// A session's second message at the host.
fn session_welcome(changes: &[u8]) {
    let (host, unit) = &*HELLOS;
    let (opening, request) = open();
    let accepted = accept(&request, host, unit, &UNIT, &*ROSTER).expect("an honest host");
    let SessionOpened::Welcome(sent) = &accepted.answer else { panic!("an honest unit refuses") };
    let came = message(sent, changes);
    match opening.finish(&SessionOpened::Welcome(came.clone())) {
        Ok((_, role)) => assert!(came == *sent && role == Role::Owner),
        Err(error) => assert!(came != *sent && error == HandshakeError::Forged),
    }
}

/// A session whose unit heard another hello than the host said.
fn session_hello(changes: &[u8]) {
    let (host, unit) = &*HELLOS;
    let (_, request) = open();
    let sent = [&host.protocol.to_le_bytes()[..], &host.schema.to_le_bytes(), host.build.as_bytes()].concat();
    let came = changed(&sent, changes);
    let Some((protocol, rest)) = came.split_first_chunk() else { return };
    let Some((schema, build)) = rest.split_first_chunk() else { return };
    let heard = HelloRequest {
        protocol: u16::from_le_bytes(*protocol),
        schema: u64::from_le_bytes(*schema),
        build: cut(&String::from_utf8_lossy(build)),
    };
    let accepted = accept(&request, &heard, unit, &UNIT, &*ROSTER);
    assert_eq!(accepted.is_ok(), heard == *host);
    if let Err(refusal) = accepted {
        assert_eq!(refusal, HandshakeRefusal::Forged);
    }
}

/// A pairing's first message at the unit.
fn pair_start(changes: &[u8]) {
    let (_, sent) = start();
    let came = PairStart { message: message(&sent.message, changes) };
    let mut at_unit = held();
    match started(&mut at_unit, &came) {
        Ok(_) => assert_eq!(came, sent),
        Err(refusal) => assert!(came != sent && refusal == HandshakeRefusal::Forged),
    }
    assert!(at_unit.window.check(0).is_ok());
}

/// A pairing's second message at the host.
fn pair_go(changes: &[u8]) {
    let (at_host, request) = start();
    let Ok(PairStarted::Go(sent)) = started(&mut held(), &request) else { panic!("an honest unit refuses") };
    let came = message(&sent, changes);
    match at_host.go(&PairStarted::Go(came.clone())) {
        Ok(_) => assert_eq!(came, sent),
        Err(error) => assert!(came != sent && error == HandshakeError::Forged),
    }
}

/// A pairing's third message at the unit, where a wrong code would come.
fn pair_finish(changes: &[u8]) {
    let mut at_unit = held();
    let (_, sent) = proving(&mut at_unit);
    let came = PairFinish { message: message(&sent.message, changes) };
    match at_unit.finish(&came, |_| Role::Owner, 0) {
        Ok(finished) => assert!(came == sent && finished.administrator == ROSTER[0]),
        Err(refusal) => {
            assert!(came != sent && refusal == HandshakeRefusal::WrongCode { left: WINDOW_ATTEMPTS - 1 });
            // The exchange is over: the honest message behind it is no second attempt.
            assert_eq!(at_unit.finish(&sent, |_| Role::Owner, 0).err(), Some(HandshakeRefusal::Forged));
        }
    }
}

/// The unit's proof at the host.
fn pair_proof(changes: &[u8]) {
    let mut at_unit = held();
    let (at_host, request) = proving(&mut at_unit);
    let finished = at_unit.finish(&request, |_| Role::Owner, 0).expect("an honest host");
    let PairFinished::Paired(sent) = finished.answer else { panic!("an honest unit refuses") };
    let came = message(&sent, changes);
    match at_host.finish(&PairFinished::Paired(came.clone())) {
        Ok((key, _)) => assert!(came == sent && key == *UNIT.public()),
        Err(error) => assert!(came != sent && error == HandshakeError::Forged),
    }
}

/// A sealed frame on the line.
fn sealed_frame(changes: &[u8]) {
    let (mut host, mut unit) = sessions();
    let call = Inside::Message(Frame { kind: FrameKind::Call, id: 7, key: [9; 8], body: b"open the door" });
    let first = host.seal(&call).expect("a short frame");
    let mut taken = 0;
    let mut decoder = Decoder::new();
    let came = changed(first.as_bytes(), changes);
    let mut bytes = came.as_slice();
    while let Some(arrived) = decoder.feed_any(&mut bytes) {
        let Ok(Arrived::Sealed(sealed)) = arrived else { continue };
        if let Ok(inside) = unit.open(&sealed) {
            assert_eq!(inside, call);
            taken += 1;
        }
    }
    assert!(taken <= 1, "a frame was taken twice");
    // Nothing that came keeps the session from going on.
    let next = host.seal(&call).expect("a short frame");
    decoder.reset();
    let Some(Ok(Arrived::Sealed(sealed))) = decoder.feed_any(&mut next.as_bytes()) else { panic!("a frame that was sealed is none") };
    assert_eq!(unit.open(&sealed), Ok(call));
}

/// What may be changed; the seeds go by their order (`xtask/src/fuzz/seeds.rs`).
const CHANGED: [fn(&[u8]); 8] = [session_open, session_welcome, session_hello, pair_start, pair_go, pair_finish, pair_proof, sealed_frame];

fuzz_target!(|data: &[u8]| {
    let Some((&which, changes)) = data.split_first() else { return };
    CHANGED[usize::from(which) % CHANGED.len()](changes);
});
