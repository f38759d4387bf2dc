//! The hello: frozen bytes, the version check, and the words for two versions that do not fit.

use crate::golden::hex;
use crate::samples::{self, ID};
use threshold_wire::hello::Older;
use threshold_wire::{Endpoint, Hello, HelloRequest, Mismatch, PROTOCOL, call, endpoints};

/// The hello of any version must read these, and say what it is in them. Never to be blessed anew.
const FROZEN_CALL: &str =
    "2701d4c3b2a1b40309d94d98bf8382028a92a0b8e0a081820309302e312e302b6162633109ab7a00";
const FROZEN_ANSWER: &str = "2e02d4c3b2a1ad1c7a9f721212e88c1694a6c88881e283870d05302e312e310a6e6f72746820646f6f72d17b908800";

#[test]
fn the_hello_is_frozen() {
    let call = call::request::<endpoints::SayHello>(ID, &samples::hello_request()).unwrap();
    assert_eq!(hex(call.as_bytes()), FROZEN_CALL);
    let answer = call::answer::<endpoints::SayHello>(ID, &Ok(samples::hello())).unwrap();
    assert_eq!(hex(answer.as_bytes()), FROZEN_ANSWER);
    assert_eq!(endpoints::SayHello::PATH, "hello");
}

/// A host of any version opens a session by these, so that an owner can update a unit of any other.
#[test]
fn the_handshakes_rows_are_frozen() {
    let keys = |path: &str| {
        let row = endpoints::TABLE.iter().find(|(found, ..)| *found == path).unwrap();
        (hex(&row.1), hex(&row.2))
    };
    let frozen = [
        ("session/open", "1f2d284a7885973a", "d5575527d1174c56"),
        ("pair/start", "46f6f20a727eb264", "f37ac9c3c13167b7"),
        ("pair/finish", "55aca6bc51df4ae5", "75832a84303043ec"),
    ];
    for (path, call, answer) in frozen {
        assert_eq!(keys(path), (call.to_owned(), answer.to_owned()), "{path}");
    }
}

/// A host of any version looks at a unit and updates it by these, and by the packets and frames below them.
#[test]
fn the_updates_rows_are_frozen() {
    let rows = endpoints::TABLE.iter().filter(|(path, ..)| path.starts_with("update/"));
    let found: Vec<_> = rows.map(|(path, call, answer)| (*path, hex(call), hex(answer))).collect();
    let frozen = [
        ("update/slots", "07abf020a1624806", "f8ba04197177bb09"),
        ("update/push", "a977046f97ae5413", "c871300dc9e2d8c2"),
        ("update/apply", "8f894597a5e71447", "c3b154c3e9aa8b90"),
        ("update/confirm", "2443e0c17f444ade", "11508c95d970d9ac"),
        ("update/revert", "70a107c084f242e2", "dd4a4778e46fbd59"),
    ];
    let frozen = frozen.map(|(path, call, answer)| (path, call.to_owned(), answer.to_owned()));
    assert_eq!(found, frozen);
}

/// BLAKE3 over names and frames of the golden lines. Never to be blessed anew.
const FROZEN_UPDATE: &str = "b56f529432496b1d9d041693b9bda41880d949a48cc2d95e2eb1753ffbb262b3";

#[test]
fn the_updates_messages_are_frozen() {
    let golden = crate::golden::committed();
    let all: Vec<u8> = golden
        .iter()
        .filter(|(name, _)| name.starts_with("update/"))
        .flat_map(|(name, line)| [name.as_bytes(), line].concat())
        .collect();
    assert_eq!(blake3::hash(&all).to_hex().as_str(), FROZEN_UPDATE);
}

fn host(protocol: u16, schema: u64) -> HelloRequest {
    HelloRequest { protocol, schema, build: "0.3.0+host".try_into().unwrap() }
}

fn unit(protocol: u16, schema: u64) -> Hello {
    Hello {
        protocol,
        schema,
        build: "0.2.0+unit".try_into().unwrap(),
        unit: "north door".try_into().unwrap(),
    }
}

fn check(host: HelloRequest, unit: Hello, older: Older, text: &str) {
    let found = unit.check(&host).unwrap_err();
    assert_eq!(found, Mismatch { host, unit });
    assert_eq!(found.older(), older);
    assert_eq!(found.to_string(), text);
}

#[test]
fn a_mismatch_names_both_versions_and_what_to_update() {
    let said = |host: u16, unit: u16, schemas: [&str; 2]| {
        format!(
            "this program (build 0.3.0+host) speaks protocol {host} with schema {}, \
             unit north door (build 0.2.0+unit) speaks protocol {unit} with schema {}; ",
            schemas[0], schemas[1]
        )
    };
    let schemas = ["00000000000000aa", "0123456789abcdef"];
    check(
        host(1, 0xaa),
        unit(2, 0x0123_4567_89ab_cdef),
        Older::Host,
        &(said(1, 2, schemas) + "update this program to build 0.2.0+unit"),
    );
    check(
        host(2, 0xaa),
        unit(1, 0x0123_4567_89ab_cdef),
        Older::Unit,
        &(said(2, 1, schemas) + "update the unit to build 0.3.0+host"),
    );
    check(
        host(1, 0xaa),
        unit(1, 0x0123_4567_89ab_cdef),
        Older::Neither,
        &(said(1, 1, schemas)
            + "install the same build on both: build 0.2.0+unit here or build 0.3.0+host there"),
    );
    // One schema under two protocols: a meaning changed.
    let same = ["00000000000000aa"; 2];
    check(
        host(u16::MAX, 0xaa),
        unit(0, 0xaa),
        Older::Unit,
        &(said(u16::MAX, 0, same) + "update the unit to build 0.3.0+host"),
    );
}

#[test]
fn equal_versions_pass_whatever_their_builds_are_called() {
    assert_eq!(unit(3, 9).check(&host(3, 9)), Ok(()));
    let (ours, theirs) = (HelloRequest::of_build("a"), Hello::of_unit("door", "b"));
    assert_eq!(theirs.check(&ours), Ok(()));
    assert_eq!((ours.protocol, ours.schema), (PROTOCOL, endpoints::DIGEST));
    assert_eq!((theirs.protocol, theirs.schema), (PROTOCOL, endpoints::DIGEST));
    assert_eq!((&theirs.build[..], &theirs.unit[..]), ("b", "door"));
}

#[test]
fn a_long_build_or_name_is_cut_between_characters() {
    for (text, expected) in [
        ("", ""),
        ("0.1.0", "0.1.0"),
        (&"x".repeat(32), &"x".repeat(32)),
        (&"x".repeat(40), &"x".repeat(32)),
        (&"é".repeat(20), &"é".repeat(16)),
        // 31 bytes and a character of three: it does not fit and nothing of it stays.
        (&("x".repeat(31) + "€y"), &"x".repeat(31)),
    ] {
        assert_eq!(&HelloRequest::of_build(text).build[..], expected);
        assert_eq!(&Hello::of_unit("", text).build[..], expected);
    }
    assert_eq!(&Hello::of_unit(&"é".repeat(100), "").unit[..], "é".repeat(32));
}
