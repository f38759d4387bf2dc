//! A gallery's bytes: written, read back, sealed, and changed in every way that must not pass.

use crate::golden::{from_hex, hex};
use std::path::Path;
use threshold_record::{KeyId, ModelId, Person, PersonId, Template};
use threshold_tests::lots::Lots;
use threshold_wire::gallery::content::{self, Content, Origin};
use threshold_wire::gallery::listing::{self, Listing};
use threshold_wire::gallery::{GalleryFault, MAX_PERSON, envelope};
use threshold_wire::session::SecretKey;

const ORIGIN: Origin = Origin { model: ModelId([7; 32]), store_id: [8; 16], generation: 41 };

fn template(person: u32, slot: u8, mark: u64) -> Template {
    let vector = Lots(mark).bytes(128).iter().map(|&byte| (byte as i8).max(-127)).collect();
    let (person, model) = (PersonId(person), ORIGIN.model.tag());
    Template { person, slot, quality: 90, model, scale: 0.01, vector }
}

type People = Vec<(Person, Vec<Template>)>;

/// Three people: one with the first and last slot, one without templates, one with one.
fn people() -> People {
    let person = |id, name| Person::new(PersonId(id), name).unwrap();
    vec![
        (person(2, "Ada"), vec![template(2, 0, 1), template(2, 7, 2)]),
        (person(5, "Grace Hopper"), vec![]),
        (person(900, "Zoë"), vec![template(900, 3, 3)]),
    ]
}

fn written(people: &People) -> Vec<u8> {
    content::write(&ORIGIN, people.iter().map(|(one, held)| (one, held.as_slice()))).unwrap()
}

fn key(byte: u8) -> SecretKey {
    SecretKey::of_bytes([byte; 32]).unwrap()
}

/// A content with its hash made right again.
fn mended(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - 32);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// The bytes of each form, as they are committed: what was written once is read for ever.
fn golden() -> Vec<(String, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("wire/golden/gallery.txt");
    if std::env::var_os("THRESHOLD_BLESS").is_some_and(|value| value == "1") {
        let people = people();
        let content = written(&people);
        let people = people.iter().map(|(one, held)| (one, held.as_slice()));
        let listing = listing::write(&ORIGIN, people);
        // An envelope is never written twice alike; the one that is there has to open.
        let sealed = std::fs::read_to_string(&path).ok().and_then(|text| {
            let line = text.lines().find_map(|line| line.strip_prefix("envelope "))?.to_owned();
            Some(from_hex(&line))
        });
        let sealed =
            sealed.unwrap_or_else(|| envelope::seal(&key(1), key(2).public(), &content).unwrap());
        let lines = [("content", content), ("listing", listing), ("envelope", sealed)];
        let text: String =
            lines.iter().map(|(name, bytes)| format!("{name} {}\n", hex(bytes))).collect();
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |line: &str| {
        let (name, bytes) = line.split_once(' ').unwrap();
        (name.to_owned(), from_hex(bytes))
    };
    text.lines().map(line).collect()
}

#[test]
fn contents_listings_and_envelopes_have_their_golden_bytes() {
    let golden = golden();
    let of = |name: &str| golden.iter().find(|(found, _)| found == name).unwrap().1.clone();
    let people = people();
    assert_eq!(of("content"), written(&people));
    let people = people.iter().map(|(one, held)| (one, held.as_slice()));
    assert_eq!(of("listing"), listing::write(&ORIGIN, people));
    assert_eq!(envelope::open(&key(2), &of("envelope")), Ok((*key(1).public(), of("content"))));
}

#[test]
fn a_content_is_read_as_it_was_written_and_its_listing_tells_the_templates_apart() {
    let people = people();
    let content = Content::read(written(&people)).unwrap();
    assert_eq!((content.people, content.templates, content.components), (3, 3, 128));
    assert_eq!(content.origin, ORIGIN);
    let read: People = content
        .people()
        .map(|held| (held.person.clone(), held.templates(ORIGIN.model.tag()).collect()))
        .collect();
    assert_eq!(read, people);
    let bytes = listing::write(&ORIGIN, people.iter().map(|(one, held)| (one, held.as_slice())));
    let listing = Listing::read(&bytes).unwrap();
    assert_eq!(listing, Listing::of(&content));
    let other = Origin { store_id: [1; 16], generation: 7, ..ORIGIN };
    assert_eq!(listing.digest(), Listing { origin: other, ..listing.clone() }.digest());
    for change in [
        |people: &mut People| people[0].1[1].quality = 91,
        |people: &mut People| people[0].1[1].slot = 6,
        |people: &mut People| people[2].1[0].vector[127] ^= 1,
        |people: &mut People| drop(people.remove(1)),
        |people: &mut People| people[1].0 = Person::new(PersonId(5), "Grace").unwrap(),
    ] {
        let mut changed = people.clone();
        change(&mut changed);
        let changed = Listing::of(&Content::read(written(&changed)).unwrap());
        assert_ne!(changed.digest(), listing.digest());
    }
    let empty = Content::read(written(&vec![])).unwrap();
    assert_eq!((empty.people, empty.components, empty.people().count()), (0, 0, 0));
}

#[test]
fn a_content_with_any_byte_changed_or_cut_off_is_refused() {
    let bytes = written(&people());
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(Content::read(flipped).is_err(), "byte {at}");
        assert!(Content::read(bytes[..at].to_vec()).is_err(), "cut at {at}");
    }
    assert!(Content::read([&bytes[..], &[0]].concat()).is_err());
}

#[test]
fn a_content_whose_hash_is_right_and_whose_people_are_not_is_refused() {
    let refused = |bytes: Vec<u8>| Content::read(mended(bytes)).unwrap_err();
    let bytes = written(&people());
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    assert_eq!(refused(with(0, b"TXTGAL")), GalleryFault::NotAGallery);
    assert_eq!(refused(with(8, &[2])), GalleryFault::Version { found: 2, supported: 1 });
    // More people than there are, than fit; other components than there are, none, too many.
    for (at, new) in
        [(68, &4u32.to_le_bytes()[..]), (68, &[255; 4]), (72, &[0; 4]), (72, &[255; 4])]
    {
        assert!(matches!(refused(with(at, new)), GalleryFault::Damaged { .. }));
    }
    for components in [0u16, 127, 129, 513, u16::MAX] {
        assert!(matches!(
            refused(with(10, &components.to_le_bytes())),
            GalleryFault::Damaged { .. }
        ));
    }
    // The first person is nobody, comes after the second, is beyond what may be; a name that misleads, or is none.
    for id in [0, 5, MAX_PERSON.0 + 1, u32::MAX] {
        assert_eq!(
            refused(with(76, &id.to_le_bytes())),
            GalleryFault::Damaged { at: 76 + if id == 5 { 8 + 2 * 133 + 1 } else { 0 } }
        );
    }
    for name in [b"A\nb", b"\xff\xff\xff", b" da"] {
        assert!(matches!(refused(with(81, name)), GalleryFault::Damaged { .. }));
    }
    // A quality of 101, a scale of none, a component of -128.
    let first = 76 + 4 + 1 + 3 + 1;
    for (at, new) in [(0, &[101][..]), (1, &[0; 4]), (1, &f32::NAN.to_le_bytes()), (5, &[0x80])] {
        assert_eq!(refused(with(first + at, new)), GalleryFault::Damaged { at: 76 });
    }
    assert_eq!(refused(with(first + 5, &[0; 128])), GalleryFault::Damaged { at: 76 });
    let mut twice = people();
    twice[2].0 = Person::new(PersonId(900), "Ada").unwrap();
    assert!(matches!(Content::read(written(&twice)), Err(GalleryFault::Damaged { .. })));
    let mut two_lengths = people();
    two_lengths[2].1[0].vector.push(1).unwrap();
    let people = two_lengths.iter().map(|(one, held)| (one, held.as_slice()));
    assert!(content::write(&ORIGIN, people).is_err());
}

#[test]
fn a_listing_with_any_length_cut_or_count_wrong_is_refused() {
    let people = people();
    let bytes = listing::write(&ORIGIN, people.iter().map(|(one, held)| (one, held.as_slice())));
    for at in 0..bytes.len() {
        assert!(Listing::read(&bytes[..at]).is_err(), "cut at {at}");
    }
    for count in [0u32, 2, 4, u32::MAX] {
        let mut bytes = bytes.clone();
        bytes[68..72].copy_from_slice(&count.to_le_bytes());
        assert!(Listing::read(&bytes).is_err(), "{count} people");
    }
}

#[test]
fn an_envelope_opens_for_its_recipient_alone_and_names_its_sender() {
    // Less than a piece, just one, and more than one.
    for len in [0, 1, 5000, 65_519, 65_520, 140_000] {
        let content = Lots(len as u64).bytes(len);
        let sealed = envelope::seal(&key(1), key(2).public(), &content).unwrap();
        assert!(envelope::is_sealed(&sealed));
        assert_eq!(envelope::recipient(&sealed), Ok(key(2).key_id()));
        assert_eq!(envelope::open(&key(2), &sealed), Ok((*key(1).public(), content.clone())));
        let (sealed_for, own) = (key(2).key_id(), key(3).key_id());
        let refused = GalleryFault::ForAnother { sealed_for, own };
        assert_eq!(envelope::open(&key(3), &sealed), Err(refused));
        if len >= 16 {
            let shows = |needle: &[u8]| sealed.windows(needle.len()).any(|found| found == needle);
            assert!(!shows(&content[..16]), "a content lies in its envelope in the clear");
        }
        let again = envelope::seal(&key(1), key(2).public(), &content).unwrap();
        assert_ne!(again, sealed, "two envelopes of one content are not alike");
    }
    assert!(
        envelope::seal(&key(1), &[0; 32], b"x").is_err(),
        "a key to which every secret is alike"
    );
}

#[test]
fn an_envelope_that_was_changed_anywhere_does_not_open() {
    let content = Lots(9).bytes(70_000);
    let sealed = envelope::seal(&key(1), key(2).public(), &content).unwrap();
    let places = (0..200).chain((200..sealed.len()).step_by(997)).chain([sealed.len() - 1]);
    for at in places {
        let mut flipped = sealed.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(envelope::open(&key(2), &flipped).is_err(), "byte {at}");
    }
    let piece = 65_535;
    for cut in [0, 7, 19, 20, 155, 156, 157, 156 + piece, sealed.len() - 1] {
        assert!(envelope::open(&key(2), &sealed[..cut]).is_err(), "cut at {cut}");
    }
    let swapped = [&sealed[..156], &sealed[156 + piece..], &sealed[156..156 + piece]].concat();
    assert_eq!(envelope::open(&key(2), &swapped), Err(GalleryFault::Forged));
    let longer = [&sealed[..], &[0; 17]].concat();
    assert_eq!(envelope::open(&key(2), &longer), Err(GalleryFault::Forged));
    // Its recipient's name written over by another one's.
    let mut renamed = sealed;
    renamed[12..20].copy_from_slice(&KeyId::of(key(3).public()).0);
    assert_eq!(envelope::open(&key(3), &renamed), Err(GalleryFault::Forged));
}
