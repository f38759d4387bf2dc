//! People: which texts are names, which templates may be compared, how ids print.

use threshold_record::template::MAX_SLOTS;
use threshold_record::{
    MAX_EMBEDDING_LEN, MIN_EMBEDDING_LEN, ModelId, ModelTag, Name, NameError, Person, PersonId,
    Template, TemplateError,
};

fn check(text: &str, expected: Result<(), (NameError, &str)>) {
    match (Name::new(text), expected) {
        (Ok(name), Ok(())) => {
            assert_eq!(name.as_str(), text);
            assert_eq!(name.to_string(), text);
            assert_eq!(&*name, text);
        }
        (Err(found), Err((expected, message))) => {
            assert_eq!(found, expected, "{text:?}");
            assert_eq!(found.to_string(), message);
        }
        (found, _) => panic!("{text:?}: {found:?}"),
    }
}

#[test]
fn any_text_that_prints_as_itself_is_a_name() {
    for text in [
        "A",
        "Ada Lovelace",
        "O'Neill",
        "\"quoted\"",
        "../../etc/passwd",
        "; rm -rf /",
        "=HYPERLINK(1)",
        "-5",
        "李小龍",
        "Ōé",
        // As two characters: a letter and its accent.
        "Zoe\u{301}",
        "🦀",
        // Persian and Hindi need the joiners.
        "علی\u{200c}رضا",
        "न\u{94d}\u{200d}म",
        // Right-to-left letters turn nothing but themselves.
        "משה",
        "a  b",
        "a\u{a0}b",
    ] {
        check(text, Ok(()));
    }
    check(&"x".repeat(64), Ok(()));
    check(&"é".repeat(32), Ok(()));
}

#[test]
fn what_misleads_its_reader_is_no_name() {
    check("", Err((NameError::Empty, "the name is empty; give at least one letter")));
    for text in [" Ada", "Ada ", " ", "\u{a0}Ada", "Ada\u{3000}", "\u{2003}"] {
        let message = "the name begins or ends with a blank; remove the blank";
        check(text, Err((NameError::Padded, message)));
    }
    for (text, len) in [("x".repeat(65), 65), ("é".repeat(33), 66), ("x".repeat(70_000), 70_000)] {
        let message = format!("the name has {len} bytes of UTF-8; at most 64 fit, so shorten it");
        check(&text, Err((NameError::TooLong { len, max: 64 }, &message)));
    }
    let mut bad: Vec<char> =
        "\0\u{7}\t\n\r\u{1b}\u{7f}\u{80}\u{85}\u{9f}\u{61c}\u{115f}\u{1160}\u{180e}\u{200b}\
        \u{200e}\u{200f}\u{3164}\u{ffa0}\u{feff}\u{fff9}\u{fffa}\u{fffb}\u{e0001}\u{e0041}\u{e007f}"
            .chars()
            .collect();
    bad.extend('\u{2028}'..='\u{202e}');
    bad.extend('\u{2060}'..='\u{206f}');
    for character in bad {
        let code = u32::from(character);
        for (text, at) in [
            (format!("{character}"), 0),
            (format!("Zoë{character}B"), 4),
            (format!("A{character}"), 1),
        ] {
            let message = format!(
                "the name has U+{code:04X} at byte {at}, which is invisible or changes how the rest is shown; remove it"
            );
            check(&text, Err((NameError::Character { code, at }, &message)));
        }
    }
    // The neighbours of the ranges are characters like any other.
    for character in ['\u{2027}', '\u{205f}', '\u{2070}', '\u{fff8}', '\u{fffc}', '\u{e0080}'] {
        check(&format!("A{character}B"), Ok(()));
    }
}

#[test]
fn a_name_pads_and_orders_as_its_text() {
    let name = Name::new("Zoë").unwrap();
    assert_eq!(format!("[{name:5}]"), "[Zoë  ]");
    assert!(Name::new("Ada").unwrap() < name);
    assert_eq!(Person::new(PersonId(1), "Zoë").unwrap().name, name);
    assert_eq!(Person::new(PersonId(1), ""), Err(NameError::Empty));
}

fn template() -> Template {
    Template {
        person: PersonId(1),
        slot: 0,
        quality: 80,
        model: ModelTag([1; 8]),
        scale: 0.01,
        vector: [1; MIN_EMBEDDING_LEN].into_iter().collect(),
    }
}

#[test]
fn a_template_that_compares_is_fit() {
    let with = |vector: &[i8]| Template { vector: vector.iter().copied().collect(), ..template() };
    for good in [
        template(),
        Template { slot: MAX_SLOTS - 1, ..template() },
        Template { quality: 0, ..template() },
        Template { quality: 100, ..template() },
        Template { person: PersonId(u32::MAX), ..template() },
        Template { scale: f32::MIN_POSITIVE, ..template() },
        Template { scale: f32::MAX, ..template() },
        with(&[127; MAX_EMBEDDING_LEN]),
        with(&[-127; MIN_EMBEDDING_LEN]),
        with(&[&[0; 200][..], &[1]].concat()),
    ] {
        assert_eq!(good.check(), Ok(()), "{good:?}");
    }
}

#[test]
fn a_template_that_does_not_is_refused_with_the_first_thing_wrong() {
    let with = |vector: &[i8]| Template { vector: vector.iter().copied().collect(), ..template() };
    let check = |bad: &Template, expected: TemplateError, text: &str| {
        let found = bad.check().unwrap_err();
        assert_eq!(found, expected);
        assert_eq!(found.to_string(), text);
    };
    let nobody = Template { person: PersonId::NOBODY, slot: 9, quality: 200, ..with(&[]) };
    check(&nobody, TemplateError::Nobody, "the template belongs to nobody (person 0)");
    for slot in [8, 255] {
        let text = format!("slot {slot}: a person has slots 0 to 7");
        check(&Template { slot, quality: 200, ..template() }, TemplateError::Slot { slot }, &text);
    }
    for quality in [101, 255] {
        let bad = Template { quality, ..with(&[]) };
        let text = format!("quality {quality} is above 100 percent");
        check(&bad, TemplateError::Quality { quality }, &text);
    }
    for len in [0, 1, 127] {
        let bad = Template { scale: f32::NAN, ..with(&vec![1; len]) };
        let text = format!("an embedding of {len} components; 128 to 512 are read");
        check(&bad, TemplateError::Length { len: len as u16 }, &text);
    }
    for scale in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, -0.01] {
        let bad = Template { scale, ..template() };
        let text = "the template's scale is no finite number above zero";
        check(&bad, TemplateError::Scale, text);
    }
    for index in [0, 100, 511] {
        let mut vector = [0; 512];
        vector[index] = -128;
        let text = format!("component {index} is -128; components are -127 to 127");
        check(&with(&vector), TemplateError::Component { index: index as u16 }, &text);
    }
    check(&with(&[0; 512]), TemplateError::Zero, "every component of the template is zero");
}

#[test]
fn a_models_tag_is_its_ids_first_eight_bytes() {
    let id = ModelId(std::array::from_fn(|i| 0xf0 + (i as u8 & 0x0f)));
    assert_eq!(id.tag().to_string(), "f0f1f2f3f4f5f6f7");
    assert!(id.to_string().starts_with("f0f1f2f3f4f5f6f7f8") && id.to_string().len() == 64);
    assert_eq!(format!("{:?}", id.tag()), "ModelTag(f0f1f2f3f4f5f6f7)");
    assert!(PersonId(0).is_nobody() && !PersonId(1).is_nobody());
}
