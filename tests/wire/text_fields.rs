//! Every text field that a schema of the table has, found in the golden messages and given texts that mean harm.
//!
//! The law: a text that is no UTF-8 or longer than every field is no message; any other text arrives byte for byte, or its type
//! refuses it and the whole message with it. A new text field without a golden message fails; the limits of single fields are in `texts`.

use crate::golden::committed;
use crate::texts::{NOT_TEXT, TEXTS, length};
use crate::{Received, lone};
use postcard_schema::Schema as _;
use postcard_schema::schema::{DataModelType, DataModelVariant, NamedType};
use std::collections::BTreeMap;
use threshold_wire::call::{self, read_answer};
use threshold_wire::endpoints::{self as at, ERROR_KEY, TABLE};
use threshold_wire::frame::MAX_BODY_BYTES;
use threshold_wire::{Call, Endpoint, FrameKind, RequestError};

/// Text fields of all schemas.
const TEXT_FIELDS: usize = 44;

/// One row: its path, its schemas, and how a body of it is read and written again.
struct Row {
    path: &'static str,
    call: &'static NamedType,
    answer: &'static NamedType,
    again: fn(&Received) -> Option<Vec<u8>>,
}

/// The body as it is after it was read; `None` if it is no message.
fn again<E: Endpoint>(frame: &Received) -> Option<Vec<u8>> {
    let (id, wire) = (frame.id, frame.frame());
    let written = match frame.kind {
        FrameKind::Call => {
            // The unit's reader, and the same once more with the type at hand.
            Call::read(&wire).ok()?;
            let request: E::Request = postcard::from_bytes(&frame.body).unwrap();
            call::request::<E>(id, &request)
        }
        _ => call::answer::<E>(id, &read_answer::<E>(id, &wire).ok()?),
    };
    Some(lone(written.unwrap().as_bytes()).body)
}

macro_rules! rows {
    ($($name:ident)*) => {
        /// Every row; a new one makes this fail to compile.
        const ROWS: [Row; TABLE.len()] = [$(Row {
            path: at::$name::PATH,
            call: <at::$name as Endpoint>::Request::SCHEMA,
            answer: <at::$name as Endpoint>::Response::SCHEMA,
            again: again::<at::$name>,
        },)*];
    };
}

rows! {
    SayHello OpenSession StartPairing FinishPairing GetInfo SendEcho PutPerson PutTemplate RemovePerson SearchGallery ListGallery
    ReadLog GetLogHead GetContext GetIdentity GetCheckpoint ListAdministrators RevokeAdministrator SetRole GetPolicy SetPolicy SetMode
    AcknowledgePhoto WithdrawPhoto ChallengeCommission FinishCommission GetClock SetClock GetStats StartPull StartPush SetSpeed
    ApplyGallery Unlock Reboot WipeUnit GetSlots PushUpdate ApplyUpdate ConfirmUpdate RevertUpdate GetAccess SetAccess ListSchedules
    PutSchedule RemoveSchedule SetPassback GetConfig SetConfig StageGallery GetBeside PruneLog Calibrate BeginEnrolment GetEnrolment
    KeepEnrolment CancelEnrolment SetReserve SearchAgain FindRedundant PutPersonAs
}

/// The paths of all texts that a type has.
fn texts_of(named: &NamedType, path: &str, found: &mut BTreeMap<String, u32>) {
    let mut each = |part: &NamedType, name: &str| texts_of(part, &format!("{path}.{name}"), found);
    match named.ty {
        DataModelType::String => drop(found.entry(path.to_owned()).or_default()),
        DataModelType::Option(inner)
        | DataModelType::NewtypeStruct(inner)
        | DataModelType::Seq(inner) => each(inner, "-"),
        DataModelType::Tuple(parts) | DataModelType::TupleStruct(parts) => {
            parts.iter().zip(0..).for_each(|(part, at)| each(part, &at.to_string()));
        }
        DataModelType::Struct(parts) => parts.iter().for_each(|part| each(part.ty, part.name)),
        DataModelType::Enum(variants) => {
            for variant in *variants {
                match variant.ty {
                    DataModelVariant::UnitVariant => {}
                    DataModelVariant::NewtypeVariant(inner) => each(inner, variant.name),
                    DataModelVariant::TupleVariant(parts) => {
                        let name = |at: usize| format!("{}.{at}", variant.name);
                        parts.iter().enumerate().for_each(|(at, part)| each(part, &name(at)));
                    }
                    DataModelVariant::StructVariant(parts) => {
                        let name = |part| format!("{}.{part}", variant.name);
                        parts.iter().for_each(|part| each(part.ty, &name(part.name)));
                    }
                }
            }
        }
        DataModelType::Map { key, val } => {
            each(key, "key");
            each(val, "value");
        }
        _ => {}
    }
}

/// A walk through a body by its schema: where texts stand.
struct Walk<'a> {
    body: &'a [u8],
    at: usize,
    /// Path, first byte of the length, first byte behind the text.
    texts: Vec<(String, usize, usize)>,
}

impl Walk<'_> {
    fn number(&mut self) -> usize {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let byte = self.body[self.at];
            self.at += 1;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }

    fn go(&mut self, named: &NamedType, path: &str) {
        let below = |name: &str| format!("{path}.{name}");
        match named.ty {
            DataModelType::Bool | DataModelType::I8 | DataModelType::U8 => self.at += 1,
            DataModelType::F32 => self.at += 4,
            DataModelType::F64 => self.at += 8,
            DataModelType::Unit | DataModelType::UnitStruct => {}
            DataModelType::String => {
                let start = self.at;
                let len = self.number();
                self.at += len;
                self.texts.push((path.to_owned(), start, self.at));
            }
            DataModelType::ByteArray => {
                let len = self.number();
                self.at += len;
            }
            DataModelType::Option(inner) => {
                if self.number() == 1 {
                    self.go(inner, &below("-"));
                }
            }
            DataModelType::NewtypeStruct(inner) => self.go(inner, &below("-")),
            DataModelType::Seq(inner) => {
                (0..self.number()).for_each(|_| self.go(inner, &below("-")));
            }
            DataModelType::Tuple(parts) | DataModelType::TupleStruct(parts) => {
                parts.iter().zip(0..).for_each(|(part, at)| self.go(part, &below(&at.to_string())));
            }
            DataModelType::Struct(parts) => {
                parts.iter().for_each(|part| self.go(part.ty, &below(part.name)));
            }
            DataModelType::Enum(variants) => {
                let variant = variants[self.number()];
                let below = |name: &str| format!("{path}.{}.{name}", variant.name);
                match variant.ty {
                    DataModelVariant::UnitVariant => {}
                    DataModelVariant::NewtypeVariant(inner) => {
                        self.go(inner, &format!("{path}.{}", variant.name));
                    }
                    DataModelVariant::TupleVariant(parts) => {
                        let parts = parts.iter().enumerate();
                        parts.for_each(|(at, part)| self.go(part, &below(&at.to_string())));
                    }
                    DataModelVariant::StructVariant(parts) => {
                        parts.iter().for_each(|part| self.go(part.ty, &below(part.name)));
                    }
                }
            }
            DataModelType::Map { .. } | DataModelType::Schema => {
                panic!("{path}: no message has it")
            }
            // Numbers of more than one byte are varints.
            _ => drop(self.number()),
        }
    }
}

#[test]
fn every_text_field_of_every_message_takes_a_text_as_it_is_or_not_at_all() {
    let mut fields = BTreeMap::new();
    for row in &ROWS {
        texts_of(row.call, &format!("{}:call", row.path), &mut fields);
        texts_of(row.answer, &format!("{}:answer", row.path), &mut fields);
    }
    texts_of(RequestError::SCHEMA, "error", &mut fields);
    for (name, line) in committed() {
        let mut bytes = &line[..];
        let mut decoder = threshold_wire::Decoder::new();
        let Some(Ok(frame)) = decoder.feed(&mut bytes) else { continue };
        let sample = Received::of(&frame);
        let of_row = |row: &&Row| name.split(':').next() == Some(row.path);
        let (row, schema, path) = match (sample.kind, ROWS.iter().find(of_row)) {
            (FrameKind::Call, Some(row)) => (row, row.call, format!("{}:call", row.path)),
            (FrameKind::Answer, Some(row)) => (row, row.answer, format!("{}:answer", row.path)),
            (FrameKind::Error, _) => {
                assert_eq!(sample.key, ERROR_KEY);
                (&ROWS[0], RequestError::SCHEMA, "error".to_owned())
            }
            _ => continue,
        };
        let mut walk = Walk { body: &sample.body, at: 0, texts: vec![] };
        walk.go(schema, &path);
        assert_eq!(walk.at, sample.body.len(), "{name}: the walk goes by the schema");
        for (path, start, end) in walk.texts {
            *fields.get_mut(&path).unwrap_or_else(|| panic!("{path} is in no schema")) += 1;
            let with = |text: &[u8]| {
                let (front, back) = (&sample.body[..start], &sample.body[end..]);
                let body = [front, &length(text.len())[..], text, back].concat();
                ((row.again)(&Received { body: body.clone(), ..sample.clone() }), body)
            };
            let mut taken = 0;
            for (text, _) in TEXTS {
                let (read, body) = with(text.as_bytes());
                taken += usize::from(read.is_some());
                assert!(read.is_none_or(|read| read == body), "{name}, {path}: {text:?}");
            }
            assert!(taken > 0, "{name}, {path}: takes no text at all");
            for text in NOT_TEXT {
                assert_eq!(with(text).0, None, "{name}, {path}: {text:02x?}");
            }
            // Its own limit, behind which nothing is a message.
            let takes = |len: usize| with("x".repeat(len).as_bytes()).0.is_some();
            let limit = (1..MAX_BODY_BYTES).filter(|len| len.is_power_of_two() || len % 16 == 0);
            let limit = limit.filter(|len| takes(*len)).max().unwrap_or_default();
            assert!(limit >= 8 && !takes(limit + 16), "{name}, {path}: {limit}");
            assert!(!takes(MAX_BODY_BYTES + 1) && !takes(65_536), "{name}, {path}");
        }
    }
    let without: Vec<&String> =
        fields.iter().filter(|(_, found)| **found == 0).map(|(path, _)| path).collect();
    assert!(without.is_empty(), "no golden message has a text in {without:#?}");
    // A walk that misses some would find fewer.
    assert_eq!(fields.len(), TEXT_FIELDS, "{:#?}", fields.keys());
}
