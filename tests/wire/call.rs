//! Calls and answers: which outcome each frame is, and the words for it.

use crate::{Received, lone, samples};
use threshold_record::{PersonId, Role};
use threshold_tests::entry::full_entry;
use threshold_wire::administration::ADMINISTRATOR_PAGE;
use threshold_wire::call::{self, read_answer};
use threshold_wire::endpoints::{self, ERROR_KEY, TABLE};
use threshold_wire::frame::MAX_BODY_BYTES;
use threshold_wire::message::{Echo, Nothing, PersonRemove};
use threshold_wire::{Call, CallError, Caller, Endpoint, FrameKind, Refusal, RequestError};

/// A unit's answer to an echo.
fn echo(id: u32) -> Received {
    let echo = Echo { bytes: [1, 2, 3].into_iter().collect() };
    lone(call::answer::<endpoints::SendEcho>(id, &Ok(echo)).unwrap().as_bytes())
}

/// What the host makes of a frame while it waits for echo 7.
fn check(frame: &Received, expected: CallError, text: &str) {
    let found = read_answer::<endpoints::SendEcho>(7, &frame.frame());
    assert_eq!(found, Err(expected), "{frame:?}");
    assert_eq!(expected.to_string(), text);
}

#[test]
fn an_answer_of_another_request_is_no_answer_and_the_caller_reads_on() {
    let other = CallError::OtherRequest { wanted: 7, found: 6 };
    let text = "an answer to request 6 while waiting for 7; ask again";
    check(&echo(6), other, text);
    let error = Err(RequestError::InsecureLink);
    let error = lone(call::answer::<endpoints::SendEcho>(6, &error).unwrap().as_bytes());
    check(&error, other, text);
    let refusal = lone(call::refusal(6, Refusal::Malformed).unwrap().as_bytes());
    check(&refusal, other, text);
    assert!(read_answer::<endpoints::SendEcho>(7, &echo(7).frame()).unwrap().is_ok());
}

#[test]
fn a_refusal_says_what_the_unit_could_not_read() {
    let same_build = "install the same build on host and unit";
    for (refusal, text) in [
        (Refusal::UnknownEndpoint, format!("the unit does not know this request; {same_build}")),
        (Refusal::Malformed, format!("the unit could not read the request; {same_build}")),
        (
            Refusal::AnswerTooLong,
            "the unit's answer did not fit a frame; report this with the builds of host and unit"
                .to_owned(),
        ),
    ] {
        let frame = lone(call::refusal(7, refusal).unwrap().as_bytes());
        check(&frame, CallError::Refused(refusal), &text);
    }
}

#[test]
fn an_answer_under_another_key_is_of_another_version() {
    let expected = CallError::OtherVersion { path: "echo" };
    let text = "the unit answers echo in another version; install the same build on host and unit";
    check(&Received { key: [9; 8], ..echo(7) }, expected, text);
    check(&Received { key: endpoints::GetInfo::ANSWER_KEY, ..echo(7) }, expected, text);
    check(&Received { kind: FrameKind::Error, ..echo(7) }, expected, text);
    check(&Received { key: ERROR_KEY, ..echo(7) }, expected, text);
}

#[test]
fn a_body_that_is_not_exactly_the_answer_is_malformed() {
    let expected = CallError::Malformed { path: "echo" };
    let text = "the unit's answer to echo does not decode; install the same build on host and unit";
    let whole = echo(7);
    let with = |body: &[u8]| Received { body: body.to_vec(), ..whole.clone() };
    check(&with(&[]), expected, text);
    check(&with(&whole.body[..whole.body.len() - 1]), expected, text);
    check(&with(&[&whole.body[..], &[0]].concat()), expected, text);
    // 257 bytes, one more than the list holds.
    check(&with(&[&[0x81, 0x02][..], &[0; 257]].concat()), expected, text);
    // A length of which no end comes, and one of more bits than a length has.
    check(&with(&[0x80]), expected, text);
    check(&with(&[0xff; 12]), expected, text);

    let refusal = lone(call::refusal(7, Refusal::Malformed).unwrap().as_bytes());
    check(&Received { body: vec![3], ..refusal.clone() }, expected, text);
    check(&Received { body: vec![], ..refusal.clone() }, expected, text);
    check(&Received { body: vec![1, 0], ..refusal }, expected, text);

    let error = Err(RequestError::InsecureLink);
    let error = lone(call::answer::<endpoints::SendEcho>(7, &error).unwrap().as_bytes());
    check(&Received { body: vec![99], ..error.clone() }, expected, text);
    check(&Received { body: vec![0, 0], ..error }, expected, text);
}

#[test]
fn a_line_that_echoes_is_told_from_a_unit() {
    let request = Echo { bytes: [1, 2, 3].into_iter().collect() };
    let text =
        "the line sends back what is written to it; is this port a unit, and is its echo off?";
    for id in [7, 8] {
        let own = lone(call::request::<endpoints::SendEcho>(id, &request).unwrap().as_bytes());
        check(&own, CallError::NotAnAnswer, text);
    }
}

#[test]
fn a_units_no_is_the_result_of_the_request_and_no_fault_of_the_line() {
    let no = RequestError::UnknownPerson { person: PersonId(3) };
    let sent = call::answer::<endpoints::RemovePerson>(7, &Err(no.clone())).unwrap();
    let frame = lone(sent.as_bytes());
    assert_eq!(frame.kind, FrameKind::Error);
    assert_eq!(read_answer::<endpoints::RemovePerson>(7, &frame.frame()), Ok(Err(no)));
}

#[test]
fn a_call_of_an_unknown_key_is_refused() {
    let call = lone(call::request::<endpoints::GetInfo>(1, &Nothing {}).unwrap().as_bytes());
    assert_eq!(Call::read(&call.frame()), Ok(Call::GetInfo(Nothing {})));
    // Request and answer of an echo, a speed and a reboot are of one shape, so they have one key; the frame's kind tells them apart.
    let of_two_types =
        TABLE.iter().filter(|&&(path, ..)| !["echo", "line/speed", "reboot"].contains(&path));
    let answers = of_two_types.map(|&(_, _, answer)| answer);
    let mut unknown: Vec<[u8; 8]> = answers.collect();
    unknown.extend([ERROR_KEY, [0; 8], [0xff; 8]]);
    let mut near = endpoints::GetInfo::CALL_KEY;
    near[7] ^= 1;
    unknown.push(near);
    for key in unknown {
        let other = Received { key, ..call.clone() };
        assert_eq!(Call::read(&other.frame()), Err(Refusal::UnknownEndpoint), "{key:02x?}");
    }
}

#[test]
fn a_call_with_too_few_or_too_many_bytes_is_refused() {
    let request = PersonRemove { person: PersonId(70_000) };
    let call = lone(call::request::<endpoints::RemovePerson>(1, &request).unwrap().as_bytes());
    assert_eq!(Call::read(&call.frame()), Ok(Call::RemovePerson(request)));
    for len in 0..call.body.len() {
        let cut = Received { body: call.body[..len].to_vec(), ..call.clone() };
        assert_eq!(Call::read(&cut.frame()), Err(Refusal::Malformed), "cut to {len}");
    }
    for more in [&[0][..], &[255], &[0; 2000]] {
        let long = Received { body: [&call.body, more].concat(), ..call.clone() };
        assert_eq!(Call::read(&long.frame()), Err(Refusal::Malformed), "{} more", more.len());
    }
    let bare = Received { key: endpoints::GetInfo::CALL_KEY, body: vec![0], ..call };
    assert_eq!(Call::read(&bare.frame()), Err(Refusal::Malformed));
}

#[test]
fn a_message_past_the_longest_body_is_an_error_and_not_cut() {
    // No message of the table grows so long: the longest are the pages, and they fit whole.
    let page = samples::log_page(32);
    let sent = call::answer::<endpoints::ReadLog>(1, &Ok(page.clone())).unwrap();
    let body = lone(sent.as_bytes()).body;
    assert!(body.len() <= MAX_BODY_BYTES && body.len() > 32 * 64);
    let people = call::answer::<endpoints::ListGallery>(1, &Ok(samples::gallery_page(16)));
    assert!(people.is_ok());
    let administrators = call::answer::<endpoints::ListAdministrators>(
        1,
        &Ok(samples::administrator_page(ADMINISTRATOR_PAGE as u8)),
    );
    assert!(administrators.is_ok());
    // A page takes 32 entries, and a 33rd is left for the next.
    let entries: Vec<_> = (1..=33).map(full_entry).collect();
    assert_eq!(threshold_wire::message::LogPage::of(33, &entries), page);
}

#[test]
fn every_row_asks_for_the_least_role_that_it_needs() {
    use Caller::{Anyone, Enroller, Owner, Viewer};
    let rules = [
        (endpoints::SayHello::PATH, endpoints::SayHello::CALLER, Anyone),
        (endpoints::OpenSession::PATH, endpoints::OpenSession::CALLER, Anyone),
        (endpoints::StartPairing::PATH, endpoints::StartPairing::CALLER, Anyone),
        (endpoints::FinishPairing::PATH, endpoints::FinishPairing::CALLER, Anyone),
        (endpoints::GetInfo::PATH, endpoints::GetInfo::CALLER, Anyone),
        (endpoints::SendEcho::PATH, endpoints::SendEcho::CALLER, Viewer),
        (endpoints::PutPerson::PATH, endpoints::PutPerson::CALLER, Enroller),
        (endpoints::PutTemplate::PATH, endpoints::PutTemplate::CALLER, Enroller),
        (endpoints::RemovePerson::PATH, endpoints::RemovePerson::CALLER, Enroller),
        (endpoints::SearchGallery::PATH, endpoints::SearchGallery::CALLER, Enroller),
        (endpoints::ListGallery::PATH, endpoints::ListGallery::CALLER, Viewer),
        (endpoints::ReadLog::PATH, endpoints::ReadLog::CALLER, Viewer),
        (endpoints::GetLogHead::PATH, endpoints::GetLogHead::CALLER, Viewer),
        (endpoints::GetContext::PATH, endpoints::GetContext::CALLER, Viewer),
        (endpoints::GetIdentity::PATH, endpoints::GetIdentity::CALLER, Viewer),
        (endpoints::GetCheckpoint::PATH, endpoints::GetCheckpoint::CALLER, Viewer),
        (endpoints::ListAdministrators::PATH, endpoints::ListAdministrators::CALLER, Viewer),
        (endpoints::RevokeAdministrator::PATH, endpoints::RevokeAdministrator::CALLER, Viewer),
        (endpoints::SetRole::PATH, endpoints::SetRole::CALLER, Owner),
        (endpoints::GetPolicy::PATH, endpoints::GetPolicy::CALLER, Viewer),
        (endpoints::SetPolicy::PATH, endpoints::SetPolicy::CALLER, Owner),
        (endpoints::SetMode::PATH, endpoints::SetMode::CALLER, Owner),
        (endpoints::AcknowledgePhoto::PATH, endpoints::AcknowledgePhoto::CALLER, Owner),
        (endpoints::WithdrawPhoto::PATH, endpoints::WithdrawPhoto::CALLER, Owner),
        (endpoints::ChallengeCommission::PATH, endpoints::ChallengeCommission::CALLER, Owner),
        (endpoints::FinishCommission::PATH, endpoints::FinishCommission::CALLER, Owner),
        (endpoints::GetClock::PATH, endpoints::GetClock::CALLER, Viewer),
        (endpoints::SetClock::PATH, endpoints::SetClock::CALLER, Owner),
        (endpoints::GetStats::PATH, endpoints::GetStats::CALLER, Viewer),
        (endpoints::StartPull::PATH, endpoints::StartPull::CALLER, Viewer),
        (endpoints::StartPush::PATH, endpoints::StartPush::CALLER, Enroller),
        (endpoints::SetSpeed::PATH, endpoints::SetSpeed::CALLER, Viewer),
        (endpoints::ApplyGallery::PATH, endpoints::ApplyGallery::CALLER, Enroller),
        (endpoints::Unlock::PATH, endpoints::Unlock::CALLER, Enroller),
        (endpoints::Reboot::PATH, endpoints::Reboot::CALLER, Owner),
        (endpoints::WipeUnit::PATH, endpoints::WipeUnit::CALLER, Owner),
        (endpoints::GetSlots::PATH, endpoints::GetSlots::CALLER, Viewer),
        (endpoints::PushUpdate::PATH, endpoints::PushUpdate::CALLER, Owner),
        (endpoints::ApplyUpdate::PATH, endpoints::ApplyUpdate::CALLER, Owner),
        (endpoints::ConfirmUpdate::PATH, endpoints::ConfirmUpdate::CALLER, Owner),
        (endpoints::RevertUpdate::PATH, endpoints::RevertUpdate::CALLER, Owner),
        (endpoints::GetAccess::PATH, endpoints::GetAccess::CALLER, Enroller),
        (endpoints::SetAccess::PATH, endpoints::SetAccess::CALLER, Enroller),
        (endpoints::ListSchedules::PATH, endpoints::ListSchedules::CALLER, Viewer),
        (endpoints::PutSchedule::PATH, endpoints::PutSchedule::CALLER, Owner),
        (endpoints::RemoveSchedule::PATH, endpoints::RemoveSchedule::CALLER, Owner),
        (endpoints::SetPassback::PATH, endpoints::SetPassback::CALLER, Owner),
        (endpoints::GetConfig::PATH, endpoints::GetConfig::CALLER, Owner),
        (endpoints::SetConfig::PATH, endpoints::SetConfig::CALLER, Owner),
        (endpoints::StageGallery::PATH, endpoints::StageGallery::CALLER, Owner),
        (endpoints::GetBeside::PATH, endpoints::GetBeside::CALLER, Viewer),
        (endpoints::PruneLog::PATH, endpoints::PruneLog::CALLER, Owner),
        (endpoints::Calibrate::PATH, endpoints::Calibrate::CALLER, Owner),
        (endpoints::BeginEnrolment::PATH, endpoints::BeginEnrolment::CALLER, Enroller),
        (endpoints::GetEnrolment::PATH, endpoints::GetEnrolment::CALLER, Enroller),
        (endpoints::KeepEnrolment::PATH, endpoints::KeepEnrolment::CALLER, Enroller),
        (endpoints::CancelEnrolment::PATH, endpoints::CancelEnrolment::CALLER, Enroller),
        (endpoints::SetReserve::PATH, endpoints::SetReserve::CALLER, Owner),
        (endpoints::SearchAgain::PATH, endpoints::SearchAgain::CALLER, Enroller),
        (endpoints::FindRedundant::PATH, endpoints::FindRedundant::CALLER, Enroller),
        (endpoints::PutPersonAs::PATH, endpoints::PutPersonAs::CALLER, Enroller),
    ];
    let paths: Vec<&str> = rules.iter().map(|&(path, ..)| path).collect();
    assert_eq!(paths, TABLE.iter().map(|&(path, ..)| path).collect::<Vec<_>>());
    for (path, caller, expected) in rules {
        assert_eq!(caller, expected, "{path}");
    }
}

#[test]
fn a_role_may_all_that_the_roles_below_it_may() {
    let roles = [None, Some(Role::Viewer), Some(Role::Enroller), Some(Role::Owner)];
    let callers = [Caller::Anyone, Caller::Viewer, Caller::Enroller, Caller::Owner];
    for (rank, role) in roles.into_iter().enumerate() {
        for (least, caller) in callers.into_iter().enumerate() {
            assert_eq!(caller.admits(role), rank >= least, "{role:?} {caller:?}");
        }
    }
}
