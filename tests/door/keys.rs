//! The unit and the host in a session: pairing at the button, roles, revocation, sealed repeats, the log in bulk.
//!
//! The host's real session speaks to the unit's real desk over a line that a test can make lose frames.

#![allow(clippy::print_stdout, reason = "figures are printed for whoever asks with --nocapture")]

use crate::rig::{Rig, Show, Terminal, template};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use threshold_edge::service::Desk;
use threshold_host::session::port::Transport;
use threshold_host::session::{Session, SessionError};
use threshold_record::{Administrator, EntryKind, LogEntry, Name, PersonId, Role};
use threshold_store::Store;
use threshold_wire::bulk::{BulkError, Window};
use threshold_wire::endpoints::{
    GetInfo, GetLogHead, ListGallery, PutPerson, PutPersonAs, PutTemplate, ReadLog, SayHello,
    SendEcho,
};
use threshold_wire::gallery::MAX_PERSON;
use threshold_wire::handshake::{HandshakeRefusal, Ration};
use threshold_wire::message::{
    Echo, GalleryPageRequest, IfThere, LogPageRequest, Nothing, PersonAs, PersonPut, TemplatePut,
    WantedId,
};
use threshold_wire::pairing::{PairingCode, WINDOW_MS};
use threshold_wire::session::{HandshakeError, SecretKey};
use threshold_wire::{HelloRequest, RequestError};

pub(crate) fn key(byte: u8) -> SecretKey {
    SecretKey::of_bytes([byte; 32]).unwrap()
}

/// An administrator with a key and a name of that number.
pub(crate) fn administrator(byte: u8, role: Role) -> Administrator {
    Administrator { key: *key(byte).public(), name: name(byte), role }
}

pub(crate) fn name(byte: u8) -> Name {
    Name::new(&format!("Ada {byte}")).unwrap()
}

/// The unit, and a line to it.
#[derive(Clone)]
pub(crate) struct Bench {
    pub(crate) rig: Rc<RefCell<Rig>>,
    /// Frames of the unit that are lost next.
    pub(crate) lose: Rc<RefCell<usize>>,
    /// Frames of the unit that pass before the line is dead.
    pub(crate) passes: Rc<RefCell<usize>>,
    /// The highest speed that the host's port has.
    pub(crate) speed: Rc<RefCell<u32>>,
    /// What the host wrote.
    written: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Bench {
    /// A unit whose line nobody trusts, with these administrators.
    pub(crate) fn new(administrators: &[Administrator]) -> Self {
        let mut rig = Rig::new();
        rig.desk = Desk::new(rig.shared.clone(), false);
        let bench = Self::of(rig);
        bench.store(|store| {
            for administrator in administrators {
                store.put_administrator(administrator.clone()).unwrap();
            }
        });
        if administrators.iter().any(|held| held.role == Role::Owner) {
            bench.rig.borrow().commission();
        }
        bench
    }

    pub(crate) fn of(rig: Rig) -> Self {
        Self {
            rig: Rc::new(RefCell::new(rig)),
            lose: Rc::default(),
            passes: Rc::new(RefCell::new(usize::MAX)),
            speed: Rc::new(RefCell::new(u32::MAX)),
            written: Rc::default(),
        }
    }

    pub(crate) fn store<T>(&self, with: impl FnOnce(&mut Store) -> T) -> T {
        let shared = self.rig.borrow().shared.clone();
        let mut state = shared.lock();
        with(state.journal_mut().unwrap().store_mut())
    }

    pub(crate) fn roster(&self) -> Vec<Administrator> {
        self.store(|store| store.roster().administrators().to_vec())
    }

    /// The unit's public key.
    pub(crate) fn unit_key(&self) -> [u8; 32] {
        *self.store(|store| SecretKey::of_bytes(**store.link_secret()).unwrap()).public()
    }

    /// The code on the unit's plate.
    pub(crate) fn code(&self) -> PairingCode {
        self.store(|store| PairingCode::of_bytes(*store.pairing_code()))
    }

    pub(crate) fn greet(&self) -> Session<BenchLine> {
        Session::greet(BenchLine { bench: self.clone(), arrived: VecDeque::new() }, "t").unwrap()
    }

    /// A session of the administrator with that key.
    pub(crate) fn session(&self, byte: u8) -> Session<BenchLine> {
        let mut session = self.greet();
        session.secure(&key(byte), &self.unit_key()).unwrap();
        session
    }
}

/// The host's end of the line.
pub(crate) struct BenchLine {
    bench: Bench,
    arrived: VecDeque<u8>,
}

impl BenchLine {
    fn arrive(&mut self, frames: Vec<Vec<u8>>) {
        for frame in frames {
            let (mut lose, mut passes) =
                (self.bench.lose.borrow_mut(), self.bench.passes.borrow_mut());
            if *lose > 0 {
                *lose -= 1;
            } else if *passes > 0 {
                *passes -= 1;
                self.arrived.extend(frame);
            }
        }
    }
}

impl Transport for BenchLine {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bench.written.borrow_mut().push(bytes.to_vec());
        let mut frames = Vec::new();
        self.bench
            .rig
            .borrow_mut()
            .desk
            .take(bytes, |frame| frames.push(frame.as_bytes().to_vec()));
        self.arrive(frames);
        Ok(())
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        let mut frames = Vec::new();
        self.bench.rig.borrow_mut().desk.poll(|frame| frames.push(frame.as_bytes().to_vec()));
        self.arrive(frames);
        if self.arrived.is_empty() {
            let ms = patience.as_millis().clamp(1, 20) as u64;
            self.bench.rig.borrow().clock.advance(ms);
        }
        let len = into.len().min(self.arrived.len());
        for (into, byte) in into.iter_mut().zip(self.arrived.drain(..len)) {
            *into = byte;
        }
        Ok(len)
    }

    fn set_speed(&mut self, baud: u32) -> bool {
        self.bench.rig.borrow_mut().desk.speed_due();
        baud <= *self.bench.speed.borrow()
    }

    fn drain(&mut self) {
        self.arrived.clear();
    }

    fn now(&self) -> Duration {
        use threshold_edge::unit::Clock;
        Duration::from_millis(self.bench.rig.borrow().clock.monotonic_ms())
    }

    fn name(&self) -> &str {
        "bench"
    }
}

pub(crate) fn echo() -> Echo {
    Echo { bytes: [1, 2, 3].into_iter().collect() }
}

pub(crate) fn put_person(name: &str) -> PersonPut {
    PersonPut { name: Name::new(name).unwrap(), if_there: IfThere::Refuse }
}

#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(outcome: Result<T, SessionError>) -> RequestError {
    match outcome.unwrap_err() {
        SessionError::Refused(error) => error,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn no_handshake<T: std::fmt::Debug>(outcome: Result<T, SessionError>) -> HandshakeError {
    match outcome.unwrap_err() {
        SessionError::Handshake(error) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_at_the_button_owns_the_unit_and_the_next_looks() {
    let bench = Bench::new(&[]);
    let closed = HandshakeError::Refused(HandshakeRefusal::WindowClosed);
    // The right code, and nobody at the unit.
    assert_eq!(no_handshake(bench.greet().pair(&key(1), &bench.code(), name(1))), closed);
    for (byte, role) in [(1, Role::Owner), (2, Role::Viewer)] {
        bench.rig.borrow_mut().desk.button();
        let (unit_key, given) = bench.greet().pair(&key(byte), &bench.code(), name(byte)).unwrap();
        assert_eq!((unit_key, given), (bench.unit_key(), role));
        assert_eq!(bench.roster().last(), Some(&administrator(byte, role)));
        let mut session = bench.greet();
        assert_eq!(session.secure(&key(byte), &unit_key).unwrap(), role);
        assert_eq!(session.call::<SendEcho>(&echo()).unwrap(), echo());
        // One press, one administrator.
        assert_eq!(no_handshake(bench.greet().pair(&key(9), &bench.code(), name(9))), closed);
    }
    bench.rig.borrow_mut().desk.button();
    let wrong = PairingCode::of_bytes([0; 16]);
    let refusal = HandshakeRefusal::WrongCode { left: 4 };
    let found = no_handshake(bench.greet().pair(&key(3), &wrong, name(3)));
    assert_eq!(found, HandshakeError::Refused(refusal));
    bench.rig.borrow().clock.advance(WINDOW_MS);
    assert_eq!(no_handshake(bench.greet().pair(&key(3), &bench.code(), name(3))), closed);
    assert_eq!(bench.roster().len(), 2);
}

#[test]
fn whom_the_store_does_not_keep_is_not_paired() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Viewer)]);
    bench.store(|store| store.revoke_administrator(key(2).key_id()).unwrap());
    let roster = bench.roster();
    // A name that is taken, and a key that was revoked.
    for (byte, named) in [(3, name(1)), (2, name(2))] {
        bench.rig.borrow_mut().desk.button();
        let found = no_handshake(bench.greet().pair(&key(byte), &bench.code(), named));
        assert_eq!(found, HandshakeError::Refused(HandshakeRefusal::NotKept));
        assert_eq!(bench.roster(), roster);
    }
}

#[test]
fn who_did_not_hear_that_he_was_paired_pairs_again_and_is_what_he_was() {
    let bench = Bench::new(&[]);
    for (byte, role) in [(1, Role::Owner), (2, Role::Viewer)] {
        bench.rig.borrow_mut().desk.button();
        // Nothing of this reaches his keychain.
        bench.greet().pair(&key(byte), &bench.code(), name(byte)).unwrap();
        let roster = bench.roster();
        bench.rig.borrow().clock.advance(10_000);
        bench.rig.borrow_mut().desk.button();
        let (unit_key, told) =
            bench.greet().pair(&key(byte), &bench.code(), Name::new("Again").unwrap()).unwrap();
        assert_eq!((told, bench.roster()), (role, roster));
        assert_eq!(bench.greet().secure(&key(byte), &unit_key).unwrap(), role);
    }
    // The code is asked for as before.
    bench.rig.borrow_mut().desk.button();
    let wrong = PairingCode::of_bytes([0; 16]);
    let refusal = HandshakeRefusal::WrongCode { left: 4 };
    let found = no_handshake(bench.greet().pair(&key(1), &wrong, name(1)));
    assert_eq!(found, HandshakeError::Refused(refusal));
}

#[test]
fn who_was_paired_is_known_after_a_power_cut() {
    let bench = Bench::new(&[]);
    bench.rig.borrow_mut().desk.button();
    let (unit_key, _) = bench.greet().pair(&key(1), &bench.code(), name(1)).unwrap();
    let flash = bench.rig.borrow().flash.clone();
    let mut rig = Rig::on(&flash);
    rig.desk = Desk::new(rig.shared.clone(), false);
    let again = Bench::of(rig);
    assert_eq!(again.greet().secure(&key(1), &unit_key).unwrap(), Role::Owner);
}

#[test]
fn without_a_session_a_line_hears_hello_and_info_only() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut open = bench.greet();
    assert!(open.call::<GetInfo>(&Nothing {}).is_ok());
    assert_eq!(refused(open.call::<SendEcho>(&echo())), RequestError::InsecureLink);
    assert_eq!(refused(open.call::<GetLogHead>(&Nothing {})), RequestError::InsecureLink);
    // Nor does somebody else's session help him.
    let mut session = bench.session(1);
    assert!(session.call::<GetLogHead>(&Nothing {}).is_ok());
    assert_eq!(refused(open.call::<GetLogHead>(&Nothing {})), RequestError::InsecureLink);
    assert!(session.call::<GetLogHead>(&Nothing {}).is_ok());
}

#[test]
fn a_session_says_once_that_it_reads_the_log_whoever_says_hello() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Viewer)]);
    bench.rig.borrow_mut().visit(Show::Face(1), 3);
    let mut session = bench.session(2);
    for _ in 0..8 {
        session.call::<ReadLog>(&LogPageRequest { from: 1 }).unwrap();
        session.call::<SayHello>(&HelloRequest::of_build("t")).unwrap();
        // In the open, from somebody without a key.
        let _ = bench.greet();
    }
    let log = bench.rig.borrow().log();
    assert_eq!(log.iter().filter(|entry| entry.kind == EntryKind::LogRead).count(), 1);
}

#[test]
fn no_call_uses_up_the_ids_of_a_unit() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Enroller)]);
    let mut session = bench.session(2);
    let ask = |id| PersonAs { name: Name::new("Ada").unwrap(), id };
    let beyond = PersonId(MAX_PERSON.0 + 1);
    for id in [WantedId::AtLeast(beyond), WantedId::Exactly(PersonId(u32::MAX))] {
        assert!(session.call::<PutPersonAs>(&ask(id)).is_err(), "{id:?}");
    }
    let done = session.call::<PutPersonAs>(&ask(WantedId::Exactly(MAX_PERSON))).unwrap();
    assert_eq!(done.person, MAX_PERSON);
    // The unit goes on from there, and what it gives out of itself is read.
    let next = session.call::<PutPerson>(&put_person("Grace")).unwrap();
    assert_eq!(next.person, beyond);
}

#[test]
fn each_role_may_what_its_row_says() {
    let roles = [(1, Role::Viewer), (2, Role::Enroller), (3, Role::Owner)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    for (byte, role) in roles {
        let mut session = bench.session(byte);
        let page = GalleryPageRequest { after: PersonId::NOBODY };
        assert!(session.call::<ListGallery>(&page).is_ok());
        let put = put_person(role.text());
        if role.reaches(Role::Enroller) {
            let person = session.call::<PutPerson>(&put).unwrap().person;
            let template = template(person, 0, usize::from(byte));
            let put = TemplatePut { model: crate::rig::MODEL, template };
            assert!(session.call::<PutTemplate>(&put).is_ok());
        } else {
            let too_low = RequestError::RoleTooLow { least: Role::Enroller, role };
            assert_eq!(refused(session.call::<PutPerson>(&put)), too_low);
        }
    }
}

#[test]
fn a_revoked_administrator_is_refused_in_the_middle_of_a_session_and_opens_no_other() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Owner)]);
    let mut session = bench.session(1);
    assert!(session.call::<SendEcho>(&echo()).is_ok());
    bench.store(|store| store.revoke_administrator(key(1).key_id()).unwrap());
    assert_eq!(refused(session.call::<SendEcho>(&echo())), RequestError::InsecureLink);
    let unknown = HandshakeError::Refused(HandshakeRefusal::UnknownKey);
    assert_eq!(no_handshake(bench.greet().secure(&key(1), &bench.unit_key())), unknown);
    let forged = HandshakeError::Forged;
    let other = bench.greet().secure(&key(2), key(0x52).public());
    assert_ne!(no_handshake(other), forged, "the unit notices first");
    assert!(bench.session(2).call::<SendEcho>(&echo()).is_ok());
}

#[test]
fn a_sealed_call_whose_answer_is_lost_is_obeyed_once_and_sent_in_other_bytes() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut session = bench.session(1);
    bench.written.borrow_mut().clear();
    *bench.lose.borrow_mut() = 2;
    let done = session.call::<PutPerson>(&put_person("Ann")).unwrap();
    // Done twice, the second time would say that the name is taken.
    assert!(done.added);
    let written = bench.written.borrow().clone();
    assert_eq!(written.len(), 3);
    assert!(written[0] != written[1] && written[1] != written[2] && written[0] != written[2]);
    // Recorded and sent again, no frame is obeyed and none is answered.
    for frame in &written {
        let mut answers = 0;
        bench.rig.borrow_mut().desk.take(frame, |_| answers += 1);
        assert_eq!(answers, 0);
    }
}

#[test]
fn a_replayed_handshake_leaves_the_session_in_use() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut session = bench.session(1);
    assert!(session.call::<SendEcho>(&echo()).is_ok());
    let recorded = bench.written.borrow().clone();
    for frame in &recorded {
        bench.rig.borrow_mut().desk.take(frame, |_| {});
    }
    assert!(session.call::<SendEcho>(&echo()).is_ok());
}

#[test]
fn a_flood_of_handshakes_is_rationed_and_leaves_the_session_in_use() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut session = bench.session(1);
    assert!(session.call::<SendEcho>(&echo()).is_ok());
    let now_ms = || bench.rig.borrow().shared.lock().clock().monotonic_ms();
    let begun_ms = now_ms();
    for _ in 0..100 {
        // The tool waits for its turn; who does not is refused.
        bench.greet().secure(&key(1), &bench.unit_key()).unwrap();
    }
    let least_ms = 93 * Ration::EVERY_MS;
    assert!(now_ms() - begun_ms >= least_ms, "{} ms for 100 handshakes", now_ms() - begun_ms);
    assert!(session.call::<SendEcho>(&echo()).is_ok());
    bench.rig.borrow().clock.advance(250);
    assert!(bench.session(1).call::<SendEcho>(&echo()).is_ok());
}

#[test]
fn a_unit_that_lost_its_session_is_opened_anew() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut session = bench.session(1);
    bench.rig.borrow_mut().desk.hung_up();
    assert!(matches!(session.call::<SendEcho>(&echo()), Err(SessionError::Line(_))));
    assert!(bench.session(1).call::<SendEcho>(&echo()).is_ok());
}

#[test]
fn the_log_comes_in_bulk_and_a_second_pull_moves_nothing() {
    let bench = Bench::new(&[administrator(1, Role::Viewer)]);
    for _ in 0..3000 {
        bench.rig.borrow().shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    for window in [Window::of_baud(115_200), Window::of_baud(3_000_000), Window::USB] {
        let mut session = bench.session(1);
        let mut kept = Vec::new();
        session.pull_log(0, window, &mut kept, &mut |_| {}).unwrap();
        let log: Vec<u8> = bench.rig.borrow().log().iter().flat_map(LogEntry::to_bytes).collect();
        assert!(kept == log);
        let head = session.call::<GetLogHead>(&Nothing {}).unwrap().head;
        assert_eq!(kept.len() as u64 / 64, head);
        session.pull_log(head + 1, window, &mut kept, &mut |_| {}).unwrap();
        assert!(kept == log);
        // Pages tell the same.
        let page = session.call::<ReadLog>(&LogPageRequest { from: head - 3 }).unwrap();
        assert!(log.ends_with(&page.entries));
    }
}

#[test]
fn lost_frames_of_a_pull_are_sent_again_and_a_dead_line_keeps_what_arrived() {
    let bench = Bench::new(&[administrator(1, Role::Viewer)]);
    for _ in 0..2000 {
        bench.rig.borrow().shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    let window = Window::of_baud(115_200);
    let mut whole = Vec::new();
    bench.session(1).pull_log(1, window, &mut whole, &mut |_| {}).unwrap();
    // Ten frames are lost on the way, then the line dies: what is there is whole entries, and the next pull goes on.
    let mut kept = Vec::new();
    let mut session = bench.session(1);
    *bench.lose.borrow_mut() = 10;
    session.pull_log(1, window, &mut kept, &mut |_| {}).unwrap();
    assert!(kept.starts_with(&whole));
    let mut kept = Vec::new();
    let mut session = bench.session(1);
    *bench.passes.borrow_mut() = 100;
    let found = session.pull_log(1, window, &mut kept, &mut |_| {});
    let dead = matches!(found, Err(SessionError::Bulk(BulkError::Dead { .. })));
    assert!(dead, "{found:?}");
    assert!(!kept.is_empty() && kept.len() % LogEntry::LEN == 0 && kept.len() < whole.len());
    *bench.passes.borrow_mut() = usize::MAX;
    let from = kept.len() as u64 / 64 + 1;
    bench.session(1).pull_log(from, window, &mut kept, &mut |_| {}).unwrap();
    assert!(kept.starts_with(&whole));
}

#[test]
fn the_log_comes_over_a_real_pseudo_terminal() {
    let bench = Bench::new(&[administrator(1, Role::Viewer)]);
    let shared = bench.rig.borrow().shared.clone();
    for _ in 0..20_000 {
        shared.lock().write(LogEntry::of(EntryKind::LogRead));
    }
    let terminal = Terminal::of(shared);
    let mut session = terminal.greet();
    session.secure(&key(1), &bench.unit_key()).unwrap();
    for window in [Window::of_baud(115_200), Window::USB] {
        let mut kept = Vec::new();
        let start = std::time::Instant::now();
        session.pull_log(1, window, &mut kept, &mut |_| {}).unwrap();
        let rate = kept.len() as f64 / start.elapsed().as_secs_f64() / 1e6;
        println!(
            "chunks of {} bytes: {rate:.1} MB/s, both ends on this machine",
            window.chunk_bytes
        );
        assert_eq!(kept.len() as u64 / 64, session.call::<GetLogHead>(&Nothing {}).unwrap().head);
        let sequences = kept
            .as_chunks::<64>()
            .0
            .iter()
            .map(|entry| LogEntry::from_bytes(entry).unwrap().sequence);
        assert!(sequences.eq(1..=kept.len() as u64 / 64));
    }
}
