//! Text fields of messages with texts that mean harm, written as raw bytes of a body: those that a person types or reads, each with its
//! limit. Every other one is in `text_fields`.
//!
//! The law: a text that is no UTF-8 or longer than its field is no message; a person's name is a [`Name`] or no message;
//! any other text arrives byte for byte, and whoever prints it escapes it.

use crate::{Received, lone, samples};
use threshold_record::{Administrator, Metric, ModelContext, ModelId, Name, NameError, Role};
use threshold_wire::administration::{
    AdministratorPage, AdministratorRevoked, AdministratorRoleSet,
};
use threshold_wire::call::{self, read_answer};
use threshold_wire::message::{
    GalleryPage, IfThere, Info, ModelInfo, PersonPut, PersonRemoveDone, PersonSummary,
};
use threshold_wire::{Call, Encoded, Endpoint, Hello, HelloRequest, Refusal, endpoints};

/// Stands in a sample where the text goes; of a length that no other number of the samples is.
const MARK: &str = "mark-mark-mark-mark-mark";

/// What a field holds after the message was read.
type Read = fn(&Received) -> Option<Vec<u8>>;

/// A text field: where, how many bytes, whether it is a person's name, a message with the mark, how it is read.
struct Field {
    path: &'static str,
    max: usize,
    is_name: bool,
    sample: Received,
    read: Read,
}

fn sent(encoded: Encoded) -> Received {
    lone(encoded.as_bytes())
}

fn answered<E: Endpoint>(response: E::Response) -> Received {
    sent(call::answer::<E>(1, &Ok(response)).unwrap())
}

fn answer<E: Endpoint>(frame: &Received) -> Option<E::Response> {
    read_answer::<E>(1, &frame.frame()).ok()?.ok()
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    Some(text.as_bytes().to_vec())
}

fn fields() -> Vec<Field> {
    let marked = || samples::name(MARK);
    let request = HelloRequest { build: MARK.try_into().unwrap(), ..samples::hello_request() };
    let hello = |build: &str, unit: &str| {
        let (build, unit) = (build.try_into().unwrap(), unit.try_into().unwrap());
        answered::<endpoints::SayHello>(Hello { build, unit, ..samples::hello() })
    };
    let put = PersonPut { name: marked(), if_there: IfThere::Use };
    let model = samples::info().model.unwrap();
    let with_model = |model: ModelInfo| {
        answered::<endpoints::GetInfo>(Info { model: Some(model), ..samples::info() })
    };
    let removed = PersonRemoveDone { name: marked(), templates: 1, generation: 2, receipt: None };
    let held = Administrator { key: [0; 32], name: marked(), role: Role::Owner };
    let administrators =
        AdministratorPage { administrators: [held].into_iter().collect(), more: false, you: None };
    let revoked = AdministratorRevoked { name: marked() };
    let role_set = AdministratorRoleSet { name: marked() };
    let summary = PersonSummary { name: marked(), ..samples::gallery_page(1).people[0].clone() };
    let page = GalleryPage { generation: 1, people: [summary].into_iter().collect(), more: false };
    let field = |path, max, is_name, sample, read: Read| Field { path, max, is_name, sample, read };
    vec![
        field(
            "hello request, build",
            32,
            false,
            sent(call::request::<endpoints::SayHello>(1, &request).unwrap()),
            |frame| match Call::read(&frame.frame()) {
                Ok(Call::SayHello(hello)) => bytes(&hello.build),
                _ => None,
            },
        ),
        field("hello, build", 32, false, hello(MARK, "u"), |frame| {
            bytes(&answer::<endpoints::SayHello>(frame)?.build)
        }),
        field("hello, unit", 64, false, hello("b", MARK), |frame| {
            bytes(&answer::<endpoints::SayHello>(frame)?.unit)
        }),
        field(
            "info, unit",
            64,
            false,
            answered::<endpoints::GetInfo>(Info {
                unit: MARK.try_into().unwrap(),
                ..samples::info()
            }),
            |frame| bytes(&answer::<endpoints::GetInfo>(frame)?.unit),
        ),
        field(
            "info, build",
            32,
            false,
            answered::<endpoints::GetInfo>(Info {
                build: MARK.try_into().unwrap(),
                ..samples::info()
            }),
            |frame| bytes(&answer::<endpoints::GetInfo>(frame)?.build),
        ),
        field(
            "info, model's name",
            64,
            false,
            with_model(ModelInfo { name: MARK.try_into().unwrap(), ..model.clone() }),
            |frame| bytes(&answer::<endpoints::GetInfo>(frame)?.model?.name),
        ),
        field(
            "info, crop",
            96,
            false,
            with_model(ModelInfo { crop: MARK.try_into().unwrap(), ..model }),
            |frame| bytes(&answer::<endpoints::GetInfo>(frame)?.model?.crop),
        ),
        field(
            "person to put",
            64,
            true,
            sent(call::request::<endpoints::PutPerson>(1, &put).unwrap()),
            |frame| match Call::read(&frame.frame()) {
                Ok(Call::PutPerson(put)) => bytes(&put.name),
                _ => None,
            },
        ),
        field("person removed", 64, true, answered::<endpoints::RemovePerson>(removed), |frame| {
            bytes(&answer::<endpoints::RemovePerson>(frame)?.name)
        }),
        field("page of people", 64, true, answered::<endpoints::ListGallery>(page), |frame| {
            bytes(&answer::<endpoints::ListGallery>(frame)?.people.first()?.name)
        }),
        field(
            "page of administrators",
            64,
            true,
            answered::<endpoints::ListAdministrators>(administrators),
            |frame| {
                let page = answer::<endpoints::ListAdministrators>(frame)?;
                bytes(&page.administrators.first()?.name)
            },
        ),
        field(
            "administrator revoked",
            64,
            true,
            answered::<endpoints::RevokeAdministrator>(revoked),
            |frame| bytes(&answer::<endpoints::RevokeAdministrator>(frame)?.name),
        ),
        field("role set", 64, true, answered::<endpoints::SetRole>(role_set), |frame| {
            bytes(&answer::<endpoints::SetRole>(frame)?.name)
        }),
    ]
}

/// A number as postcard writes a length.
pub(crate) fn length(mut n: usize) -> Vec<u8> {
    let mut bytes = vec![];
    while n >= 0x80 {
        bytes.push(n as u8 | 0x80);
        n >>= 7;
    }
    bytes.push(n as u8);
    bytes
}

/// Bytes with the one place where the mark stands, length in front, replaced.
fn replaced(sample: &[u8], by: &[u8]) -> Vec<u8> {
    let mark = [&length(MARK.len())[..], MARK.as_bytes()].concat();
    let at = sample.windows(mark.len()).position(|part| part == mark).unwrap();
    [&sample[..at], by, &sample[at + mark.len()..]].concat()
}

/// Replaces the mark of a field by a text of these bytes and reads the message.
fn read_with(field: &Field, text: &[u8]) -> Option<Vec<u8>> {
    let body = replaced(&field.sample.body, &[&length(text.len())[..], text].concat());
    (field.read)(&Received { body, ..field.sample.clone() })
}

/// Texts that are UTF-8; true if one is a name.
pub(crate) const TEXTS: [(&str, bool); 24] = [
    ("Ada", true),
    ("O'Neill \"Tip\" `x` $(id)", true),
    ("'; DROP TABLE people; --", true),
    ("../../etc/passwd", true),
    ("C:\\con", true),
    ("=1+1", true),
    ("<b>&amp;", true),
    ("%s%n{}", true),
    ("Zoë Ōé 李 🦀", true),
    ("ना\u{200d}म", true),
    ("", false),
    (" Ada", false),
    ("Ada\u{a0}", false),
    ("A\0da", false),
    ("\0", false),
    ("A\nB", false),
    ("\u{1b}[2J", false),
    ("A\u{7f}", false),
    ("A\u{85}B", false),
    ("\u{202e}adA", false),
    ("A\u{2066}B\u{2069}", false),
    ("A\u{200b}B", false),
    ("\u{feff}Ada", false),
    ("A\u{e0041}", false),
];

/// Bytes that are no UTF-8.
pub(crate) const NOT_TEXT: [&[u8]; 7] = [
    b"\xff\xfe",
    b"Ada\x80",
    // Overlong slash, surrogate, past U+10FFFF, cut off, cut off in the middle.
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"Ad\xe2\x82",
    b"\xe2A\x82",
];

#[test]
fn texts_arrive_byte_for_byte_or_not_at_all() {
    for field in fields() {
        assert_eq!((field.read)(&field.sample), bytes(MARK), "{}", field.path);
        for (text, is_name) in TEXTS {
            let expected = if field.is_name && !is_name { None } else { bytes(text) };
            assert_eq!(read_with(&field, text.as_bytes()), expected, "{}: {text:?}", field.path);
        }
        for text in NOT_TEXT {
            assert_eq!(read_with(&field, text), None, "{}: {text:02x?}", field.path);
        }
    }
}

#[test]
fn a_text_longer_than_its_field_is_no_message() {
    for field in fields() {
        let full = "x".repeat(field.max);
        assert_eq!(read_with(&field, full.as_bytes()), bytes(&full), "{}", field.path);
        for len in [field.max + 1, 200, 65_536] {
            let text = "x".repeat(len);
            assert_eq!(read_with(&field, text.as_bytes()), None, "{}: {len}", field.path);
        }
        // Whole characters that end one byte late.
        let late = "x".repeat(field.max - 1) + "é";
        assert_eq!(read_with(&field, late.as_bytes()), None, "{}", field.path);
    }
}

#[test]
fn a_length_that_lies_is_no_message() {
    for field in fields() {
        let with = |by: &[u8]| {
            let body = replaced(&field.sample.body, by);
            (field.read)(&Received { body, ..field.sample.clone() })
        };
        for lie in [65_536, u32::MAX as usize, usize::MAX] {
            assert_eq!(with(&length(lie)), None, "{}: {lie}", field.path);
        }
        // Lengths of eleven bytes, and one that never ends.
        assert_eq!(with(&[0xff; 11]), None, "{}", field.path);
        assert_eq!(with(&[[0x80; 10].as_slice(), &[1]].concat()), None, "{}", field.path);
    }
}

#[test]
fn a_call_with_a_bad_text_is_refused_as_malformed() {
    for field in fields().into_iter().filter(|field| field.path == "person to put") {
        let text = [&length(4)[..], b"A\0da"].concat();
        let body = replaced(&field.sample.body, &text);
        let call = Received { body, ..field.sample };
        assert_eq!(Call::read(&call.frame()), Err(Refusal::Malformed));
    }
}

#[test]
fn the_name_of_a_model_context_is_text_of_64_bytes() {
    let context = ModelContext {
        id: ModelId(samples::counting(1)),
        name: MARK.try_into().unwrap(),
        metric: Metric::L2,
    };
    let sample = context.to_bytes().unwrap();
    let read = |text: &[u8]| {
        let bytes = replaced(&sample, &[&length(text.len())[..], text].concat());
        ModelContext::from_bytes(&bytes).ok().map(|context| context.name.as_bytes().to_vec())
    };
    for (text, _) in TEXTS {
        assert_eq!(read(text.as_bytes()), bytes(text), "{text:?}");
    }
    for text in NOT_TEXT {
        assert_eq!(read(text), None, "{text:02x?}");
    }
    assert_eq!(read(&[b'x'; 64]), Some(vec![b'x'; 64]));
    assert_eq!(read(&[b'x'; 65]), None);
    assert_eq!(read(&vec![b'x'; 65_536]), None);
}

#[test]
fn a_name_of_64_kilobytes_is_refused_with_its_length() {
    assert_eq!(Name::new(&"x".repeat(65_536)), Err(NameError::TooLong { len: 65_536, max: 64 }));
    for (text, is_name) in TEXTS {
        assert_eq!(Name::new(text).is_ok(), is_name, "{text:?}");
    }
}
