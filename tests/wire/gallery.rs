//! A gallery's bytes: written, read back, sealed, and changed in every way that must not pass.

use crate::golden::{from_hex, hex};
use crate::samples::{self, access};
use std::path::Path;
use threshold_record::{Access, KeyId, ModelId, Person, PersonId, Schedule, ScheduleId, Template};
use threshold_tests::lots::Lots;
use threshold_wire::gallery::content::{self, Content, Origin, PersonIn, Told};
use threshold_wire::gallery::listing::{self, Listing};
use threshold_wire::gallery::{GalleryFault, MAX_PERSON, envelope};
use threshold_wire::session::SecretKey;

const ORIGIN: Origin = Origin { model: ModelId([7; 32]), store_id: [8; 16], generation: 41 };

fn template(person: u32, slot: u8, mark: u64) -> Template {
    let vector = Lots(mark).bytes(128).iter().map(|&byte| (byte as i8).max(-127)).collect();
    let (person, model) = (PersonId(person), ORIGIN.model.tag());
    Template { person, slot, quality: 90, model, scale: 0.01, vector }
}

/// People with their templates, and of what holds of them the end of the validity.
type People = Vec<(Person, Vec<Template>, Option<Access>)>;

/// Three people: one with the first and last slot, one without templates, one with one.
fn people() -> People {
    let person = |id, name| Person::new(PersonId(id), name).unwrap();
    vec![
        (person(2, "Ada"), vec![template(2, 0, 1), template(2, 7, 2)], Some(access())),
        (person(5, "Grace Hopper"), vec![], None),
        (person(900, "Zoë"), vec![template(900, 3, 3)], None),
    ]
}

/// The same of whom nothing else holds.
fn bare() -> People {
    let mut people = people();
    people[0].2 = None;
    people
}

fn schedules() -> [Schedule; 2] {
    [3, 16].map(|number| samples::schedule(number, 2))
}

fn told(people: &People) -> impl Iterator<Item = Told<'_>> {
    people.iter().map(|(person, templates, access)| Told {
        person,
        access: access.as_ref(),
        templates,
    })
}

fn written(people: &People) -> Vec<u8> {
    content::write(&ORIGIN, schedules().iter(), told(people)).unwrap()
}

fn listed(people: &People) -> Vec<u8> {
    let schedules = schedules();
    listing::write(&ORIGIN, &schedules.each_ref(), told(people))
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
        let (content, listing) = (written(&people), listed(&people));
        // Those of the versions before stay as they are.
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        let before = before.lines().filter(|line| line.contains("-1 "));
        let before: String = before.map(|line| format!("{line}\n")).collect();
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
        std::fs::write(&path, before + &text).unwrap();
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
    assert_eq!(of("listing"), listed(&people));
    assert_eq!(envelope::open(&key(2), &of("envelope")), Ok((*key(1).public(), of("content-1"))));
    // Version 1 knew neither limits nor schedules, and is read for ever.
    let content = Content::read(of("content-1")).unwrap();
    assert!(content.schedules.is_empty());
    let read: People = content.people().map(taken).collect();
    assert_eq!(read, bare());
    assert_eq!(Listing::read(&of("listing-1")), Ok(Listing::of(&content)));
}

fn taken(held: PersonIn<'_>) -> (Person, Vec<Template>, Option<Access>) {
    let templates = held.templates(ORIGIN.model.tag()).collect();
    (held.person.clone(), templates, held.access)
}

#[test]
fn a_content_is_read_as_it_was_written_and_its_listing_tells_the_templates_apart() {
    let people = people();
    let content = Content::read(written(&people)).unwrap();
    assert_eq!((content.people, content.templates, content.components), (3, 3, 128));
    assert_eq!(content.origin, ORIGIN);
    let read: People = content.people().map(taken).collect();
    assert_eq!((read, &content.schedules[..]), (people.clone(), &schedules()[..]));
    let listing = Listing::read(&listed(&people)).unwrap();
    assert_eq!(listing, Listing::of(&content));
    let other = Origin { store_id: [1; 16], generation: 7, ..ORIGIN };
    assert_eq!(listing.digest(), Listing { origin: other, ..listing.clone() }.digest());
    for change in [
        |people: &mut People| people[0].1[1].quality = 91,
        |people: &mut People| people[0].1[1].slot = 6,
        |people: &mut People| people[2].1[0].vector[127] ^= 1,
        |people: &mut People| drop(people.remove(1)),
        |people: &mut People| people[1].0 = Person::new(PersonId(5), "Grace").unwrap(),
        |people: &mut People| people[0].2 = None,
        |people: &mut People| people[0].2.as_mut().unwrap().valid_until = None,
        |people: &mut People| people[0].2.as_mut().unwrap().schedule = Some(ScheduleId(3)),
        |people: &mut People| people[0].2.as_mut().unwrap().credentials.truncate(2),
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
    let bytes = content::write(&ORIGIN, [].iter(), told(&bare())).unwrap();
    let with = |at: usize, new: &[u8]| {
        let mut bytes = bytes.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        bytes
    };
    assert_eq!(refused(with(0, b"TXTGAL")), GalleryFault::NotAGallery);
    assert_eq!(refused(with(8, &[3])), GalleryFault::Version { found: 3, supported: 2 });
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
    // The first person is nobody, or comes after the second; a name that misleads, or is none.
    for id in [0, 5, u32::MAX] {
        assert_eq!(
            refused(with(77, &id.to_le_bytes())),
            GalleryFault::Damaged { at: 77 + if id == 0 { 0 } else { 9 + 2 * 133 + 1 } }
        );
    }
    // A unit may have come beyond what may be brought in; nobody brings it in.
    for (id, checked) in [(MAX_PERSON.0, true), (MAX_PERSON.0 + 1, false), (u32::MAX, false)] {
        let mut high = people();
        high[2].0.id = PersonId(id);
        let read = Content::read(written(&high)).unwrap();
        assert_eq!(read.check_ids().is_ok(), checked, "{id}");
    }
    for name in [b"A\nb", b"\xff\xff\xff", b" da"] {
        assert!(matches!(refused(with(82, name)), GalleryFault::Damaged { .. }));
    }
    // A quality of 101, a scale of none, a component of -128.
    let first = 77 + 4 + 1 + 3 + 1 + 1;
    for (at, new) in [(0, &[101][..]), (1, &[0; 4]), (1, &f32::NAN.to_le_bytes()), (5, &[0x80])] {
        assert_eq!(refused(with(first + at, new)), GalleryFault::Damaged { at: 77 });
    }
    assert_eq!(refused(with(first + 5, &[0; 128])), GalleryFault::Damaged { at: 77 });
    let mut twice = people();
    twice[2].0 = Person::new(PersonId(900), "Ada").unwrap();
    assert!(matches!(Content::read(written(&twice)), Err(GalleryFault::Damaged { .. })));
    let mut two_lengths = people();
    two_lengths[2].1[0].vector.push(1).unwrap();
    assert!(content::write(&ORIGIN, [].iter(), told(&two_lengths)).is_err());
}

#[test]
fn a_content_whose_limits_or_schedules_are_not_whole_is_refused() {
    let refused = |schedules: &[Schedule], change: fn(&mut People)| {
        let mut people = people();
        change(&mut people);
        let bytes = content::write(&ORIGIN, schedules.iter(), told(&people)).unwrap();
        matches!(Content::read(bytes), Err(GalleryFault::Damaged { .. }))
    };
    let own = schedules();
    assert!(!refused(&own, |_| {}));
    // A schedule that is not there, or nobody could have.
    assert!(refused(&own[..1], |_| {}));
    assert!(refused(&[own[1].clone(), own[1].clone()], |_| {}));
    let named = Schedule { name: own[1].name.clone(), ..own[0].clone() };
    assert!(refused(&[named, own[1].clone()], |_| {}));
    let never = Schedule { intervals: heapless::Vec::new(), ..own[0].clone() };
    assert!(refused(&[never, own[1].clone()], |_| {}));
    // A validity that never holds; a credential of two people.
    assert!(refused(&own, |people| people[0].2.as_mut().unwrap().valid_until = Some(1)));
    assert!(refused(&own, |people| people[1].2 = people[0].2.clone()));
    // A time in a byte more than it needs: there is one form alone.
    let bytes = written(&people());
    let mut at = 77;
    for _ in &own {
        at += 1 + usize::from(bytes[at]);
    }
    // Behind id, name and slots.
    at += 9;
    let from = at + 2..at + 7;
    assert_eq!(&bytes[from.clone()], [0x80, 0xa4, 0xa7, 0xda, 0x06]);
    let longer = [0x80, 0xa4, 0xa7, 0xda, 0x86, 0];
    let longer = [&bytes[..at], &[bytes[at] + 1, 1], &longer, &bytes[from.end..]].concat();
    assert!(matches!(Content::read(mended(longer)), Err(GalleryFault::Damaged { .. })));
}

#[test]
fn a_listing_with_any_length_cut_or_count_wrong_is_refused() {
    let bytes = listed(&people());
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
