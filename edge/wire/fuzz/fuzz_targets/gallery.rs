//! Arbitrary bytes as a gallery's content, its listing, and the envelope of one.
//!
//! The first byte chooses. A content gets the hash that it should have, which nobody guesses; one that is read is written as the
//! same bytes. Whatever lies in an envelope, it does not open without the key.
#![no_main]

use libfuzzer_sys::fuzz_target;
use threshold_wire::gallery::content::{self, Content, Told};
use threshold_wire::gallery::envelope;
use threshold_wire::gallery::listing::Listing;
use threshold_wire::session::SecretKey;

fuzz_target!(|data: &[u8]| {
    let Some((&which, bytes)) = data.split_first() else { return };
    match which % 3 {
        0 => {
            let whole = [bytes, blake3::hash(bytes).as_bytes()].concat();
            let Ok(content) = Content::read(whole.clone()) else { return };
            let tag = content.origin.model.tag();
            let people: Vec<_> = content
                .people()
                .map(|held| (held.person.clone(), held.access.clone(), held.templates(tag).collect::<Vec<_>>()))
                .collect();
            let people = people.iter().map(|(person, access, templates)| Told { person, access: access.as_ref(), templates });
            let again = content::write(&content.origin, content.schedules.iter(), people);
            // One of the version before is written as one of this.
            if whole[8] == 2 {
                assert_eq!(again, Ok(whole));
            }
            let _ = Listing::of(&content).digest();
        }
        1 => {
            if let Ok(listing) = Listing::read(bytes) {
                let _ = listing.digest();
            }
        }
        _ => {
            let [own, another] = [2, 3].map(|byte| SecretKey::of_bytes([byte; 32]).expect("a key of bytes"));
            let _ = envelope::open(&own, bytes);
            // Whomever it is for, it opens to nobody else, not even where it is addressed anew.
            let mut readdressed = bytes.to_vec();
            if let Some(id) = readdressed.get_mut(12..20) {
                id.copy_from_slice(&another.key_id().0);
            }
            assert!(envelope::open(&another, &readdressed).is_err());
        }
    }
});
