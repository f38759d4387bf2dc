//! From the snapshot of formats 1 and 2 to segments, once, at the first start of a program that seals.
//!
//! The key ring decides: as long as it says that objects are being converted, the snapshot is the gallery, and segments beside it
//! are what an earlier try left. Once it says that all are sealed, the segments are the gallery, and a snapshot is a
//! leftover or was put there by somebody else; nobody reads it, and it is removed. There is no state between.

use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::gallery::digest::{Digest, SetKey};
use crate::gallery::durable::sealed;
use crate::gallery::record::{self, OfModel, Part, Side, Statement};
use crate::gallery::segment::{AROUND, Header};
use crate::keyring::Keyring;
use crate::snapshot;

/// Makes segments of the snapshot, which had reached a generation; durable on return. The snapshot stays, to be removed once the
/// key ring says that all is sealed.
///
/// # Errors
/// [`StoreError`] if the snapshot is damaged, of a later format or older than it was; then the flash is as before.
pub(crate) fn convert(
    flash: &mut dyn Flash,
    keyring: &Keyring,
    segment_bytes: u32,
    anchored: u64,
) -> Result<(), StoreError> {
    let gallery = flash.read_all(Object::Gallery, snapshot::MAX_BYTES)?;
    let gallery = gallery.map(|bytes| snapshot::from_bytes(&bytes)).transpose()?;
    let found = gallery.as_ref().map_or(0, |gallery| gallery.generation());
    if found < anchored {
        return Err(StoreError::RolledBack { object: Object::Gallery, found, expected: anchored });
    }
    for number in flash.segments(Series::Gallery) {
        flash.remove(Object::GallerySegment(number))?;
    }
    let Some(gallery) = gallery else { return Ok(()) };
    let (set, generation) = (SetKey::of(keyring.store_id()), gallery.generation());
    let mut digest = Digest::default();
    let mut batches = vec![Vec::new()];
    let mut push = |push: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        push(&mut bytes);
        let full = |batch: &Vec<u8>| AROUND + batch.len() + bytes.len() > segment_bytes as usize;
        match batches.last_mut().filter(|batch| batch.is_empty() || !full(batch)) {
            Some(batch) => batch.extend_from_slice(&bytes),
            None => batches.push(bytes),
        }
    };
    for member in gallery.members() {
        let person = &member.person;
        let mut records = vec![(Part::name_of(person.id), generation)];
        push(&|out| record::push_person(out, generation, person));
        for template in &member.templates {
            records.push((Part::template(Side::First, person.id, template.slot), generation));
            push(&|out| record::push_template(out, generation, Side::First, template));
        }
        digest.add(set.of_person(person.id, &records));
    }
    let first = OfModel { model: gallery.model(), rebased: 0 };
    let statement = Statement { generation, first, second: OfModel::NEVER, digest };
    for (batch, number) in batches.into_iter().zip(1..) {
        let header = Header::of(number, number, &statement);
        let bytes = sealed(keyring, header, batch, statement)?;
        flash.replace(Object::GallerySegment(number), &bytes)?;
    }
    Ok(())
}
