//! Protocol 1, the version before this one, by the bytes that it sent (`previous/protocol-1.txt`): whatever of it comes is taken for what
//! it was, or refused by name, and never for something else.

use crate::golden::{committed, from_hex};
use crate::samples::ID;
use std::collections::BTreeSet;
use threshold_wire::call::{CallError, read_answer};
use threshold_wire::endpoints::{
    GetContext, GetInfo, GetLogHead, ListGallery, PutPerson, PutTemplate, ReadLog, RemovePerson,
    SayHello, SearchGallery, SendEcho,
};
use threshold_wire::hello::Older;
use threshold_wire::{
    Call, Decoder, Endpoint, Frame, FrameKind, Hello, HelloRequest, Refusal, RequestError,
};

const FILE: &str = include_str!("previous/protocol-1.txt");

/// BLAKE3 of the file. Never to be blessed anew.
const KEPT: &str = "34555f63f6719dc9c370b3a9356c7dc757aae6995b3854475828ff515a49a9b7";

/// Whose call or answer has another schema since, so that it has another key.
const CHANGED_CALLS: [&str; 0] = [];
const CHANGED_ANSWERS: [&str; 4] = ["gallery/page", "gallery/person/remove", "info", "log/context"];

/// Each golden line: its endpoint, its name, its bytes.
fn lines() -> impl Iterator<Item = (&'static str, &'static str, Vec<u8>)> {
    FILE.lines().map(|line| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name.split(':').next().unwrap(), name, from_hex(bytes))
    })
}

fn framed<T>(line: &[u8], with: impl FnOnce(&Frame<'_>) -> T) -> T {
    let mut decoder = Decoder::new();
    with(&decoder.feed(&mut &*line).unwrap().unwrap())
}

/// What this version makes of an answer of that endpoint; the answer itself, as far as it was read, is told by its words.
fn answer(path: &str, frame: &Frame<'_>) -> Result<String, CallError> {
    fn read<E: Endpoint>(frame: &Frame<'_>) -> Result<String, CallError>
    where
        E::Response: std::fmt::Debug,
    {
        read_answer::<E>(ID, frame)
            .map(|read: Result<E::Response, RequestError>| format!("{read:?}"))
    }
    match path {
        "hello" => read::<SayHello>(frame),
        "info" => read::<GetInfo>(frame),
        "echo" => read::<SendEcho>(frame),
        "gallery/person/put" => read::<PutPerson>(frame),
        "gallery/person/remove" => read::<RemovePerson>(frame),
        "gallery/page" => read::<ListGallery>(frame),
        "gallery/template/put" => read::<PutTemplate>(frame),
        "gallery/search" => read::<SearchGallery>(frame),
        "log/page" => read::<ReadLog>(frame),
        "log/head" => read::<GetLogHead>(frame),
        "log/context" => read::<GetContext>(frame),
        other => panic!("protocol 1 has no {other}"),
    }
}

#[test]
fn what_is_kept_of_protocol_1_is_as_it_was() {
    assert_eq!(blake3::hash(FILE.as_bytes()).to_hex().as_str(), KEPT);
}

#[test]
fn a_call_of_protocol_1_is_the_same_call_or_an_unknown_one() {
    let today = committed();
    let mut changed = BTreeSet::new();
    for (path, name, line) in lines().filter(|(_, name, _)| name.contains(":call")) {
        framed(&line, |frame| match Call::read(frame) {
            Ok(call) => {
                assert_eq!(call.path(), path, "{name}");
                assert_eq!(today.get(name), Some(&line), "{name}");
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::UnknownEndpoint, "{name}");
                changed.insert(path);
            }
        });
    }
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), CHANGED_CALLS);
}

#[test]
fn an_answer_of_protocol_1_is_the_same_answer_or_one_of_another_version() {
    let mut changed = BTreeSet::new();
    let is_answer =
        |(path, name, _): &(&str, &str, Vec<u8>)| *path != "refusal" && name.contains(":answer");
    for (path, name, line) in lines().filter(is_answer) {
        framed(&line, |frame| {
            assert_eq!(frame.kind, FrameKind::Answer, "{name}");
            match answer(path, frame) {
                Ok(read) => assert!(read.starts_with("Ok("), "{name}: {read}"),
                Err(error) => {
                    assert_eq!(error, CallError::OtherVersion { path: path_of(path) }, "{name}");
                    changed.insert(path);
                }
            }
        });
    }
    assert_eq!(changed.into_iter().collect::<Vec<_>>(), CHANGED_ANSWERS);
}

/// The endpoint's own path, which lives as long as the program.
fn path_of(path: &str) -> &'static str {
    threshold_wire::endpoints::TABLE.iter().find(|(found, ..)| *found == path).unwrap().0
}

#[test]
fn an_error_of_protocol_1_is_of_another_version_and_a_refusal_is_what_it_was() {
    let mut refused = 0;
    for (kind, name, line) in lines() {
        framed(&line, |frame| match kind {
            "error" => {
                let error = answer("echo", frame).unwrap_err();
                assert_eq!(error, CallError::OtherVersion { path: SendEcho::PATH }, "{name}");
            }
            "refusal" => {
                let error = answer("echo", frame).unwrap_err();
                assert!(matches!(error, CallError::Refused(_)), "{name}: {error}");
                refused += 1;
            }
            _ => {}
        });
    }
    assert_eq!(refused, 3);
}

#[test]
fn the_hellos_of_both_versions_tell_which_end_to_update() {
    let of = |wanted: &str| lines().find(|(_, name, _)| *name == wanted).unwrap().2;
    framed(&of("hello:call"), |frame| {
        let Ok(Call::SayHello(host)) = Call::read(frame) else { panic!("no hello") };
        // A golden line's numbers are made up.
        let host = HelloRequest { protocol: 1, ..host };
        let unit = Hello::of_unit("north door", "0.2.0");
        let older = unit.check(&host).unwrap_err();
        assert_eq!(older.older(), Older::Host);
        assert!(older.to_string().ends_with("update this program to build 0.2.0"), "{older}");
    });
    framed(&of("hello:answer"), |frame| {
        let unit = read_answer::<SayHello>(ID, frame).unwrap().unwrap();
        let unit = Hello { protocol: 1, ..unit };
        let older = unit.check(&HelloRequest::of_build("0.2.0")).unwrap_err();
        assert_eq!(older.older(), Older::Unit);
        assert!(older.to_string().ends_with("update the unit to build 0.2.0"), "{older}");
    });
}
