//! When somebody whom the face would admit may enter: validity, weekly hours, the time since the last admission, and that no clock,
//! restart or file opens a way round them.

use crate::keys::{Bench, administrator, refused};
use crate::rig::{Rig, Show};
use crate::{ADA, EMMY, GRACE, READY, accepts, closed, outcome, seen, settings, visit};
use threshold_edge::service::Desk;
use threshold_edge::unit::{Clock as _, Sign};
use threshold_host::cmd::gallery::push::{Source, push_into};
use threshold_host::say::Say;
use threshold_host::session::bulk::Part;
use threshold_policy::decide;
use threshold_record::{
    Access, Cause, Credential, Decision, EntryKind, Interval, KeyTag, LogEntry, MAX_SCHEDULES,
    Name, PersonId, Reason, Role, Schedule, ScheduleId,
};
use threshold_store::{FlashFault, MockFlash};
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::access::{
    AccessGet, AccessGot, AccessRefused, AccessSet, SchedulePageRequest, ScheduleRemove,
    ScheduleSet,
};
use threshold_wire::clock::ClockSet;
use threshold_wire::endpoints::{
    GetAccess, ListSchedules, PutSchedule, RemoveSchedule, SetAccess, SetClock, SetPassback,
};
use threshold_wire::gallery::Why;
use threshold_wire::gallery::content::Content;
use threshold_wire::message::PullWhat;
use threshold_wire::policy::PassbackSet;

/// Friday, 15 January 2027, 9:00 in Berlin.
const FRIDAY: u64 = 1_800_000_000;
const HOUR: u64 = 3600;
/// Changes of Berlin's daylight saving: to summer, to winter, and so on, from March 2027.
const TURNS: [u64; 5] = [1_806_195_600, 1_824_944_400, 1_837_645_200, 1_856_394_000, 1_869_094_800];

const BADGE: Credential = Credential::Wiegand26 { facility: 12, card: 345 };

fn interval(days: u8, from: u16, to: u16) -> Interval {
    Interval { days, from: from * 60, to: to * 60 }
}

fn set(rig: &mut Rig, person: PersonId, access: Access) -> Result<AccessGot, RequestError> {
    let was = rig.call::<GetAccess>(&AccessGet { person }).unwrap().access;
    rig.call::<SetAccess>(&AccessSet { person, was, access })
}

fn put(rig: &mut Rig, text: &str, intervals: &[Interval]) -> ScheduleId {
    let (name, intervals) = (Name::new(text).unwrap(), intervals.iter().copied().collect());
    rig.call::<PutSchedule>(&ScheduleSet { name, intervals }).unwrap().id
}

/// The decision of a visit of that face.
fn comes(rig: &mut Rig, face: usize) -> LogEntry {
    rig.visit(Show::Face(face), 3);
    *rig.decisions().last().unwrap()
}

#[track_caller]
fn check(rig: &mut Rig, face: usize, expected: (Reason, Cause)) {
    let pulses = rig.pulses();
    let entry = comes(rig, face);
    assert_eq!((entry.reason, entry.cause), expected);
    assert_eq!(rig.pulses() - pulses, usize::from(expected.0 == Reason::Matched));
}

const OPENS: (Reason, Cause) = (Reason::Matched, Cause::None);

const fn refuses(cause: Cause) -> (Reason, Cause) {
    (Reason::Schedule, cause)
}

#[test]
fn each_limit_refuses_with_its_cause_and_the_log_names_the_person() {
    let mut rig = Rig::new();
    let (ada, grace) = (rig.enrol("Ada", 1), rig.enrol("Grace", 2));
    let until = |unix_s| Access { valid_until: Some(unix_s), ..Access::default() };
    set(&mut rig, ada, until(FRIDAY + HOUR)).unwrap();
    // Nobody set the clock: whom time limits stays out, whom it does not comes in.
    check(&mut rig, 1, refuses(Cause::ClockNotSet));
    check(&mut rig, 2, OPENS);
    rig.signs();
    rig.call::<SetClock>(&ClockSet { unix_ms: FRIDAY * 1000 }).unwrap();
    check(&mut rig, 1, OPENS);
    rig.clock.advance(HOUR * 1000);
    check(&mut rig, 1, refuses(Cause::Expired));
    assert!(rig.signs().contains(&Sign::Refused(Reason::Schedule, Cause::Expired)));
    assert_eq!(comes(&mut rig, 1).person, ada);
    let from = Access { valid_from: Some(FRIDAY + 2 * HOUR), ..Access::default() };
    set(&mut rig, ada, from).unwrap();
    check(&mut rig, 1, refuses(Cause::NotYetValid));
    rig.clock.advance(HOUR * 1000);
    check(&mut rig, 1, OPENS);
    // Friday at 11:00 in Berlin.
    let morning = put(&mut rig, "morning", &[interval(1 << 4, 7, 11)]);
    let bound = Access { schedule: Some(morning), ..Access::default() };
    set(&mut rig, ada, bound).unwrap();
    check(&mut rig, 1, refuses(Cause::OutsideSchedule));
    put(&mut rig, "morning", &[interval(1 << 4, 7, 11), interval(1 << 4, 11, 12)]);
    check(&mut rig, 1, OPENS);
    // A start forgets the time, and nobody gets in by pulling the plug.
    let flash = rig.flash.copy();
    flash.cut_power(1);
    flash.power_on();
    let mut rig = Rig::on(&flash);
    check(&mut rig, 1, refuses(Cause::ClockNotSet));
    set(&mut rig, ada, Access::default()).unwrap();
    check(&mut rig, 1, OPENS);
    let acts = rig.log().into_iter().filter(|entry| entry.kind == EntryKind::AccessSet);
    assert!(acts.clone().all(|entry| entry.person == ada) && acts.count() == 4);
    let sets = rig.log().into_iter().filter(|entry| entry.kind == EntryKind::ScheduleSet);
    assert_eq!(sets.map(|entry| entry.runner_up.0).collect::<Vec<_>>(), [1, 1]);
    assert_ne!(ada, grace);
}

#[test]
fn who_may_not_enter_resolves_no_ambiguity_in_favour_of_somebody_else() {
    let near = seen((ADA, 0.75), (GRACE, 0.7));
    for (frames, expected) in [
        // Too near each other in every frame; each accepted once; two against one.
        (vec![near, near, near], Reason::Ambiguous),
        (vec![accepts(ADA), accepts(GRACE)], Reason::Ambiguous),
        (vec![accepts(GRACE), accepts(ADA), accepts(GRACE)], Reason::Ambiguous),
        (vec![accepts(EMMY)], Reason::TooFewFrames),
    ] {
        for barred in [&[][..], &[ADA], &[GRACE], &[ADA, GRACE, EMMY]] {
            let may = |person| if barred.contains(&person) { Err(Cause::Expired) } else { Ok(()) };
            let found = outcome(decide(&settings(), &closed(&frames), &READY, may));
            assert_eq!(found.decision(), Decision::Refuse(expected), "{barred:?}");
        }
    }
    // Once it is one person alone, that person's limit decides, whoever else may enter.
    let only =
        |who: PersonId| move |person| if person == who { Ok(()) } else { Err(Cause::Expired) };
    let both = [accepts(ADA), accepts(ADA)];
    let mut found = outcome(decide(&settings(), &visit(&both), &READY, only(GRACE)));
    assert_eq!((found.reason(), found.cause()), (Reason::Schedule, Cause::Expired));
    assert_eq!((found.take_admission(), found.entry().person), (None, ADA));
    assert_eq!(found.frames_agreed(), 2);
    let found = outcome(decide(&settings(), &visit(&both), &READY, only(ADA)));
    assert_eq!(found.decision(), Decision::Admit(ADA));
    // At the door: halfway between somebody whose time is over and somebody whose is not.
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    rig.call::<SetClock>(&ClockSet { unix_ms: FRIDAY * 1000 }).unwrap();
    set(&mut rig, ada, Access { valid_until: Some(FRIDAY), ..Access::default() }).unwrap();
    rig.visit(Show::Between(1, 2), 5);
    let entry = *rig.decisions().last().unwrap();
    assert_ne!(entry.reason, Reason::Matched, "{entry:?}");
    assert_eq!(rig.pulses(), 0);
}

#[test]
fn the_same_person_waits_also_over_a_start_and_somebody_else_does_not() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    check(&mut rig, 1, OPENS);
    check(&mut rig, 1, OPENS);
    let most = RequestError::BadPassback { most: 1440 };
    assert_eq!(rig.call::<SetPassback>(&PassbackSet { minutes: 1441 }), Err(most));
    let policy = rig.call::<SetPassback>(&PassbackSet { minutes: 10 }).unwrap();
    assert_eq!(policy.passback_min, 10);
    // Of who was admitted before it was settled, too.
    check(&mut rig, 1, refuses(Cause::Passback));
    check(&mut rig, 2, OPENS);
    rig.clock.advance(9 * 60_000);
    check(&mut rig, 1, refuses(Cause::Passback));
    let mut flash = rig.flash.copy();
    // Each start brings what passed in it, and none more: a minute is left, then none.
    for expected in [refuses(Cause::Passback), OPENS, refuses(Cause::Passback)] {
        flash.cut_power(1);
        flash.power_on();
        let mut rig = Rig::on(&flash);
        if expected == OPENS {
            rig.clock.advance(60_000);
        }
        check(&mut rig, 1, expected);
        flash = rig.flash.copy();
    }
    let mut rig = Rig::on(&flash);
    rig.call::<SetPassback>(&PassbackSet { minutes: 0 }).unwrap();
    check(&mut rig, 1, OPENS);
}

#[test]
fn who_may_not_enter_now_locks_nobody_out_and_clears_no_count() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    rig.enrol("Grace", 2);
    check(&mut rig, 5, (Reason::Unknown, Cause::None));
    check(&mut rig, 5, (Reason::Unknown, Cause::None));
    set(&mut rig, ada, Access { valid_until: Some(FRIDAY), ..Access::default() }).unwrap();
    for _ in 0..2 * settings().attempts {
        check(&mut rig, 1, refuses(Cause::ClockNotSet));
    }
    let failures = rig.shared.lock().journal().unwrap().store().lockout()[1];
    assert_eq!(failures, 2, "the strangers' count stays");
    check(&mut rig, 2, OPENS);
}

#[test]
fn guesses_before_somebody_who_may_not_enter_now_stay_counted() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    set(&mut rig, ada, Access { valid_until: Some(FRIDAY), ..Access::default() }).unwrap();
    let failures = |rig: &Rig| rig.shared.lock().journal().unwrap().store().lockout()[1];
    // One screen in one place: other faces, and then hers.
    let guesses = |rig: &mut Rig, of_others: usize| {
        rig.show(&[Show::Arrival]);
        rig.show(&vec![Show::Face(9); of_others]);
        rig.show(&[Show::Face(1); 3]);
        rig.show(&[Show::Departure]);
        let entry = *rig.decisions().last().unwrap();
        assert_eq!((entry.reason, entry.cause), refuses(Cause::ClockNotSet));
    };
    // A frame or two that were not like her are no guess: of two nobody else is admitted.
    guesses(&mut rig, 2);
    assert_eq!(failures(&rig), 0);
    let attempts = rig.shared.lock().policy().attempts;
    for counted in 1..=attempts {
        guesses(&mut rig, 5);
        assert_eq!(failures(&rig), counted);
    }
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.decisions().last().unwrap().reason, Reason::LockedOut);
}

#[test]
fn a_limit_that_holds_has_its_entry_before_the_door_opens_again() {
    let mut owed = 0;
    for failing in 1..=6 {
        let mut rig = Rig::new();
        let ada = rig.enrol("Ada", 1);
        rig.flash.fail_at(rig.flash.writes() + failing, FlashFault::Io);
        let answer = set(&mut rig, ada, badge());
        let told = |rig: &Rig| rig.log().iter().any(|entry| entry.kind == EntryKind::AccessSet);
        owed += usize::from(answer.is_err() && !told(&rig));
        (0..3).for_each(|_| rig.visit(Show::Face(1), 3));
        let holds = {
            let state = rig.shared.lock();
            let gallery = state.journal().unwrap().store().gallery().unwrap();
            gallery.member(ada).unwrap().access() == badge()
        };
        assert!(holds || answer.is_err(), "write {failing}");
        assert!(!holds || told(&rig) || rig.pulses() == 0, "write {failing}");
    }
    assert!(owed > 0, "no write that failed was one of these");
}

/// A unit with an owner (1), an enroller (2) and a viewer (3), drawing from a place of its own.
fn unit(number: u8) -> Bench {
    let flash = MockFlash::new();
    flash.keys().random(&mut vec![0; usize::from(number)]).unwrap();
    let mut rig = Rig::on(&flash);
    rig.desk = Desk::new(rig.shared.clone(), false);
    let bench = Bench::of(rig);
    bench.store(|store| {
        for (byte, role) in [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)] {
            store.put_administrator(administrator(byte, role)).unwrap();
        }
    });
    bench
}

fn person(bench: &Bench, text: &str) -> PersonId {
    let put = crate::keys::put_person(text);
    let mut session = bench.session(2);
    session.call::<threshold_wire::endpoints::PutPerson>(&put).unwrap().person
}

fn access_of(bench: &Bench, person: PersonId) -> Access {
    bench.session(2).call::<GetAccess>(&AccessGet { person }).unwrap().access
}

fn settle(bench: &Bench, person: PersonId, access: Access) {
    let was = access_of(bench, person);
    bench.session(2).call::<SetAccess>(&AccessSet { person, was, access }).unwrap();
}

fn hours(bench: &Bench, text: &str, intervals: &[Interval]) -> ScheduleId {
    let (name, intervals) = (Name::new(text).unwrap(), intervals.iter().copied().collect());
    let set = ScheduleSet { name, intervals };
    bench.session(1).call::<PutSchedule>(&set).unwrap().id
}

fn badge() -> Access {
    Access { credentials: [BADGE].into_iter().collect(), ..Access::default() }
}

#[test]
fn each_act_takes_its_role_names_who_did_it_and_says_what_is_against_it() {
    let unit = unit(0);
    let (ada, grace) = (person(&unit, "Ada"), person(&unit, "Grace"));
    let no = |error: AccessRefused| RequestError::BadAccess(error);
    let set = |byte: u8, person, was: Access, access: Access| {
        unit.session(byte).call::<SetAccess>(&AccessSet { person, was, access })
    };
    let too_low = RequestError::RoleTooLow { least: Role::Enroller, role: Role::Viewer };
    // Badges are for whoever enrols people.
    assert_eq!(refused(unit.session(3).call::<GetAccess>(&AccessGet { person: ada })), too_low);
    assert_eq!(refused(set(3, ada, Access::default(), badge())), too_low);
    let name = Name::new("office").unwrap();
    let intervals = [interval(Interval::EVERY_DAY, 7, 19)].into_iter().collect();
    let schedule = ScheduleSet { name, intervals };
    let too_low = RequestError::RoleTooLow { least: Role::Owner, role: Role::Enroller };
    assert_eq!(refused(unit.session(2).call::<PutSchedule>(&schedule)), too_low);
    assert_eq!(refused(unit.session(2).call::<SetPassback>(&PassbackSet { minutes: 5 })), too_low);
    let id = unit.session(1).call::<PutSchedule>(&schedule).unwrap().id;
    // Once more, and nothing happens.
    assert_eq!(unit.session(1).call::<PutSchedule>(&schedule).unwrap().id, id);
    let bound = Access { schedule: Some(id), ..badge() };
    let got = set(2, ada, Access::default(), bound.clone()).unwrap();
    assert_eq!((&got.access, got.schedule.unwrap().id), (&bound, id));
    assert_eq!(got.zone.as_str(), "CET-1CEST,M3.5.0,M10.5.0/3");
    assert_eq!(set(2, ada, Access::default(), bound.clone()).unwrap().access, bound);
    let log = unit.rig.borrow().log();
    let by = |byte, role| administrator(byte, role).key_id().tag();
    let acts: Vec<(EntryKind, PersonId, KeyTag)> = log
        .iter()
        .filter(|entry| (30..33).contains(&entry.kind.code()))
        .map(|entry| (entry.kind, entry.person, entry.by))
        .collect();
    assert_eq!(
        acts,
        [
            (EntryKind::ScheduleSet, PersonId::NOBODY, by(1, Role::Owner)),
            (EntryKind::AccessSet, ada, by(2, Role::Enroller)),
        ]
    );
    // Somebody else changed it; somebody else has the badge; somebody has the schedule; there is none.
    let free = Access::default();
    assert_eq!(refused(set(2, ada, free.clone(), badge())), no(AccessRefused::Changed));
    let (person, name) = (ada, Name::new("Ada").unwrap());
    let taken = AccessRefused::CredentialTaken { credential: BADGE, person, name: name.clone() };
    assert_eq!(refused(set(2, grace, free.clone(), badge())), no(taken));
    let gone = |id| unit.session(1).call::<RemoveSchedule>(&ScheduleRemove { id });
    assert_eq!(refused(gone(id)), no(AccessRefused::ScheduleInUse { person, name }));
    let other = ScheduleId(9);
    let nine = Access { schedule: Some(other), ..Access::default() };
    let unknown = no(AccessRefused::UnknownSchedule { id: other });
    assert_eq!(refused(gone(other)), unknown);
    assert_eq!(refused(set(2, grace, free.clone(), nine)), unknown);
    let never = Access { valid_until: Some(0), ..Access::default() };
    let not_whole = refused(set(2, grace, free.clone(), never));
    assert!(matches!(not_whole, RequestError::BadAccess(AccessRefused::NotWhole(_))));
    let nobody = PersonId(77);
    let unknown = RequestError::UnknownPerson { person: nobody };
    assert_eq!(refused(set(2, nobody, free.clone(), badge())), unknown);
    // As many schedules as there are numbers, each page of them.
    for number in 2..=MAX_SCHEDULES {
        hours(&unit, &format!("hours {number}"), &[interval(1, 1, 2)]);
    }
    let one_more = ScheduleSet { name: Name::new("one more").unwrap(), ..schedule };
    let full = refused(unit.session(1).call::<PutSchedule>(&one_more));
    assert_eq!(full, no(AccessRefused::SchedulesFull));
    let mut found: Vec<Schedule> = vec![];
    loop {
        let after = found.last().map(|last| last.id);
        let page = unit.session(3).call::<ListSchedules>(&SchedulePageRequest { after }).unwrap();
        found.extend(page.schedules);
        if !page.more {
            break;
        }
    }
    let numbers: Vec<u8> = found.iter().map(|schedule| schedule.id.0).collect();
    assert_eq!(numbers, (1..=MAX_SCHEDULES).collect::<Vec<_>>());
    set(2, ada, bound, free).unwrap();
    assert_eq!(gone(id).unwrap().id, id);
    assert_eq!(unit.rig.borrow().log().last().unwrap().kind, EntryKind::ScheduleRemoved);
    let mut session = unit.session(2);
    assert_eq!(unit.store(|store| store.gallery().unwrap().claimed(BADGE)), None);
    session.call::<GetAccess>(&AccessGet { person: grace }).unwrap();
}

fn pulled(bench: &Bench) -> Content {
    let mut session = bench.session(1);
    let bytes = session.pull_gallery(PullWhat::Gallery, &mut Part::default(), &mut |_, _| {});
    Content::read(bytes.unwrap()).unwrap()
}

/// Who is left out of a push, and why; how many are added.
fn push(bench: &Bench, file: &Content) -> (Vec<(u32, Why)>, u32) {
    let path = std::path::Path::new("file");
    let pushed =
        push_into(&mut bench.session(2), Say::new(true), path, Source::Open(file)).unwrap();
    let left = pushed.left_out.iter().map(|left| (left.person.0, left.why));
    (left.collect(), pushed.added)
}

#[test]
fn a_push_carries_every_limit_or_leaves_the_person_out_and_lengthens_nothing() {
    let (a, b) = (unit(0), unit(1));
    let (ada, grace, emmy) = (person(&a, "Ada"), person(&a, "Grace"), person(&a, "Emmy"));
    let office = [interval(0b1_1111, 7, 19)];
    let id = hours(&a, "office", &office);
    settle(&a, ada, Access { valid_until: Some(FRIDAY), ..Access::default() });
    settle(&a, grace, Access { schedule: Some(id), ..Access::default() });
    settle(&a, emmy, badge());
    let longer = pulled(&a);
    // Nothing limits anybody on the other unit, whose schedules have other hours and numbers, and somebody has the badge.
    hours(&b, "other", &office);
    hours(&b, "office", &[interval(0b1_1111, 0, 24)]);
    for text in ["one", "two", "three", "four"] {
        person(&b, text);
    }
    let four = PersonId(4);
    settle(&b, four, badge());
    for id in 1..=3 {
        b.store(|store| store.remove_person(PersonId(id)).unwrap());
    }
    let removed = |id| (id, Why::Removed);
    let (left, added) = push(&b, &longer);
    assert_eq!((left, added), (vec![removed(1), removed(2), removed(3)], 0));
    // A third one, where nobody of them ever was.
    let c = unit(2);
    hours(&c, "other", &office);
    hours(&c, "office", &[interval(0b1_1111, 0, 24)]);
    let (left, added) = push(&c, &longer);
    assert_eq!((left, added), (vec![(grace.0, Why::NoSchedule)], 2));
    let here = hours(&c, "office", &office);
    assert_ne!(here, id);
    assert_eq!(push(&c, &longer), (vec![], 1));
    assert_eq!(access_of(&c, ada).valid_until, Some(FRIDAY));
    assert_eq!(access_of(&c, grace).schedule, Some(here));
    assert_eq!(access_of(&c, emmy), badge());
    assert_eq!(push(&c, &longer), (vec![], 0));
    // Shortened here: the file from before says so, and lengthens nothing.
    let shorter = Access { valid_until: Some(FRIDAY - HOUR), ..Access::default() };
    settle(&c, ada, shorter.clone());
    assert_eq!(push(&c, &longer), (vec![(ada.0, Why::OtherAccess)], 0));
    assert_eq!(access_of(&c, ada), shorter);
    settle(&a, ada, shorter.clone());
    assert_eq!(push(&a, &longer), (vec![(ada.0, Why::OtherAccess)], 0));
    assert_eq!(access_of(&a, ada), shorter);
    // Somebody else has the badge.
    let d = unit(3);
    for text in ["x", "y", "z", "somebody"] {
        person(&d, text);
    }
    for id in 1..=3 {
        d.store(|store| store.remove_person(PersonId(id)).unwrap());
    }
    let fresh = unit(4);
    for text in ["x", "y", "z", "u", "v"] {
        person(&fresh, text);
    }
    settle(&fresh, PersonId(5), badge());
    let file = pulled(&fresh);
    settle(&d, four, badge());
    let holder = four;
    let (left, _) = push(&d, &file);
    assert!(left.contains(&(5, Why::OtherClaim { holder })), "{left:?}");
}

/// Whether a person may enter at a time, as plainly as can be said; the local week by the year's turns.
fn plainly(access: &Access, intervals: &[Interval], unix_s: u64) -> bool {
    if access.valid_from.is_some_and(|from| unix_s < from) {
        return false;
    }
    if access.valid_until.is_some_and(|until| unix_s >= until) {
        return false;
    }
    if access.schedule.is_none() {
        return true;
    }
    let summer = TURNS.iter().filter(|&&turn| turn <= unix_s).count() % 2 == 1;
    let local = unix_s + HOUR + if summer { HOUR } else { 0 };
    // 1970 began on a Thursday.
    let minutes = local / 60 + 3 * 1440;
    let (day, minute) = (minutes / 1440 % 7, (minutes % 1440) as u16);
    let mut covered = false;
    for interval in intervals {
        // Minute by minute from its begin, over as many days as it takes.
        for first in 0..7 {
            if interval.days >> first & 1 == 0 {
                continue;
            }
            let (mut at_day, mut at) = (first, interval.from);
            while at != interval.to {
                covered |= (at_day, at) == (day, minute);
                at += 1;
                if at == 1440 && interval.to != 1440 {
                    (at_day, at) = ((at_day + 1) % 7, 0);
                }
            }
        }
    }
    covered
}

/// What has truly passed, over all starts.
#[derive(Default)]
struct Passed {
    passed_ms: u64,
    /// This start's clock when it was last looked at.
    counted_ms: u64,
}

impl Passed {
    fn now_ms(&mut self, rig: &Rig) -> u64 {
        let at_ms = rig.clock.monotonic_ms();
        self.passed_ms += at_ms - self.counted_ms;
        self.counted_ms = at_ms;
        self.passed_ms
    }
}

/// Covers 600 visits over two years with both turns of daylight saving, changed limits and hours, starts and power cuts.
#[test]
fn no_way_leads_to_the_lock_for_somebody_out_of_validity() {
    let mut lots = Lots(8);
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    // What holds, as acknowledged; the true time; whether the unit was told it since its start; when the door last opened.
    let mut access = Access::default();
    let mut intervals: Vec<Interval> = vec![];
    let mut passback_min = 0;
    let mut passed = Passed::default();
    let mut clock_set = false;
    let mut opened_ms: Option<u64> = None;
    let (mut opened, mut kept_out) = (0, 0);
    let begin_s = FRIDAY;
    for _ in 0..600 {
        match lots.below(12) {
            0 => {
                let at = begin_s + passed.now_ms(&rig) / 1000;
                let around = |lots: &mut Lots| at + lots.below(20 * 24 * HOUR) - 3 * 24 * HOUR;
                let from = (lots.below(3) == 0).then(|| around(&mut lots));
                let until = (lots.below(2) == 0).then(|| around(&mut lots));
                let schedule =
                    (lots.below(2) == 0 && !intervals.is_empty()).then_some(ScheduleId(1));
                let wanted =
                    Access { valid_from: from, valid_until: until, schedule, ..Access::default() };
                if set(&mut rig, ada, wanted.clone()).is_ok() {
                    access = wanted;
                }
            }
            1 => {
                intervals = (0..=lots.below(3))
                    .map(|_| {
                        let (from, to) = (lots.below(1440) as u16, 1 + lots.below(1440) as u16);
                        let to = if from == to { to % 1440 + 1 } else { to };
                        Interval { days: 1 + lots.below(127) as u8, from, to }
                    })
                    .collect();
                assert_eq!(put(&mut rig, "hours", &intervals), ScheduleId(1));
            }
            2 => {
                passback_min = lots.one_of(&[0, 1, 30]);
                rig.call::<SetPassback>(&PassbackSet { minutes: passback_min }).unwrap();
            }
            3 => {
                let flash = rig.flash.copy();
                flash.cut_power(lots.below(5));
                flash.power_on();
                passed.now_ms(&rig);
                rig = Rig::on(&flash);
                passed.counted_ms = 0;
                clock_set = false;
            }
            4..=6 => {
                let unix_ms = begin_s * 1000 + passed.now_ms(&rig);
                rig.call::<SetClock>(&ClockSet { unix_ms }).unwrap();
                clock_set = true;
            }
            _ => {
                let most = lots.one_of(&[60_000, 3_600_000, 5 * 86_400_000, 20 * 86_400_000]);
                rig.clock.advance(61_000 + lots.below(most));
            }
        }
        let before_ms = passed.now_ms(&rig);
        let entry = comes(&mut rig, 1);
        let after_ms = passed.now_ms(&rig);
        let allowed = |ms: u64| {
            let unix_s = begin_s + ms / 1000;
            !access.is_limited() || clock_set && plainly(&access, &intervals, unix_s)
        };
        if entry.reason == Reason::Matched {
            assert!(allowed(before_ms) || allowed(after_ms), "{access:?} {intervals:?} {entry:?}");
            let since = opened_ms.map(|at| after_ms - at);
            let rest_ms = u64::from(passback_min) * 60_000;
            assert!(since.is_none_or(|since| since >= rest_ms), "{since:?} of {rest_ms}");
            opened_ms = Some(before_ms);
            opened += 1;
        } else {
            let known = [Reason::Schedule, Reason::LockedOut].contains(&entry.reason);
            assert!(known, "{entry:?}");
            let time = !matches!(entry.cause, Cause::Passback | Cause::None);
            if entry.reason == Reason::Schedule && time {
                assert!(!allowed(before_ms) || !allowed(after_ms), "{access:?} {entry:?}");
            }
            kept_out += 1;
        }
    }
    assert!(rig.told.lock().unwrap().not_durable.is_empty());
    assert!(opened >= 100 && kept_out >= 100, "{opened} opened, {kept_out} kept out");
    assert!(begin_s + passed.passed_ms / 1000 > TURNS[1], "both turns were passed");
}
