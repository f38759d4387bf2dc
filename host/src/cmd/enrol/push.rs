//! The templates of an enrolment on their way into the unit's gallery: into the free slots first, then in place of others, if that was
//! asked for.
//!
//! Refuses a template that a unit names as redundant and that cannot be the person's.

use super::replaced::Replaced;
use super::{Enrolled, Enrolment, fill};
use crate::error::HostError;
use crate::people::People;
use crate::photo::Photo;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use threshold_models::search::quantise;
use threshold_record::{MAX_SLOTS, Name, Template};
use threshold_wire::endpoints::{FindRedundant, PutPerson, PutTemplate};
use threshold_wire::message::{
    IfThere, PersonPut, PersonPutDone, PersonSummary, TemplatePut, TemplateRedundant,
};

/// Asks the unit which template of somebody goes, and keeps it; its slot, or `None` if none goes.
pub(super) fn keep_what_goes<T: Transport>(
    session: &mut Session<T>,
    name: &Name,
    of: &TemplateRedundant,
    replaced: &mut Replaced,
) -> anyhow::Result<Option<u8>> {
    let Some(goes) = session.call::<FindRedundant>(of)?.template else { return Ok(None) };
    // A unit that names another's or an impossible one is not believed.
    if goes.person != of.person || goes.check().is_err() {
        return Err(HostError::BadReplaced { name: name.as_str().to_owned() }.into());
    }
    let slot = goes.slot;
    replaced.keep(name, goes)?;
    Ok(Some(slot))
}

impl Enrolment {
    /// Adds the person at the unit, or finds it there.
    pub(super) fn person<T: Transport>(
        &self,
        session: &mut Session<T>,
    ) -> Result<PersonPutDone, SessionError> {
        let put = PersonPut { name: self.name.clone(), if_there: IfThere::Use };
        session.call::<PutPerson>(&put)
    }

    /// Pushes a template for each photo: into the free slots first, then, if something may be replaced, into that of whichever template
    /// the unit calls the most redundant, once it is kept here.
    pub(super) fn push<T: Transport>(
        &self,
        session: &mut Session<T>,
        there: Option<&PersonSummary>,
        enrolled: &mut Enrolled,
        photos: &[&Photo],
        mut replaced: Option<&mut Replaced>,
    ) -> anyhow::Result<()> {
        let (person, added) = (enrolled.person, enrolled.added);
        // Somebody else may have added the person meanwhile.
        let now = match there {
            None if !added => Some(People::read(session)?),
            _ => None,
        };
        let there = now.as_ref().map_or(there, |people| people.named(&self.name));
        let wanted = if replaced.is_some() { 0 } else { photos.len() };
        let mut free = self.free_slots(there.filter(|_| !added), wanted)?.into_iter();
        for photo in photos {
            let (scale, vector) = quantise(&photo.embedding);
            let model = self.model.id.tag();
            let quality = photo.quality.percent;
            let mut template =
                Template { person, slot: 0, quality, model, scale, vector: Default::default() };
            fill(|| template.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
            let slot = match (free.next(), &mut replaced) {
                (Some(slot), _) => Some(slot),
                (None, Some(replaced)) => self.replace(session, &template, replaced)?,
                (None, None) => None,
            };
            let Some(slot) = slot else {
                enrolled.not_needed.push(photo.path.clone());
                continue;
            };
            template.slot = slot;
            let put = TemplatePut { model: self.model.id, template };
            enrolled.generation = session.call::<PutTemplate>(&put)?.generation;
            enrolled.slots.push(slot);
        }
        Ok(())
    }

    /// The slot whose template tells the least beside the others and this one, once that one is kept; `None` if it is this one.
    fn replace<T: Transport>(
        &self,
        session: &mut Session<T>,
        template: &Template,
        replaced: &mut Replaced,
    ) -> anyhow::Result<Option<u8>> {
        let &Template { person, quality, scale, ref vector, .. } = template;
        let (model, vector) = (self.model.id, vector.clone());
        let of = TemplateRedundant { model, person, quality, scale, vector };
        keep_what_goes(session, &self.name, &of, replaced)
    }

    /// The free slots, lowest first.
    pub(super) fn free_slots(
        &self,
        there: Option<&PersonSummary>,
        wanted: usize,
    ) -> Result<Vec<u8>, HostError> {
        let used = there.map_or(0, |person| person.slots);
        let free: Vec<u8> = (0..MAX_SLOTS).filter(|slot| used >> slot & 1 == 0).collect();
        if wanted > free.len() {
            return Err(HostError::SlotsFull {
                name: self.name.as_str().to_owned(),
                used: used.count_ones() as usize,
                wanted,
                max: MAX_SLOTS.into(),
            });
        }
        Ok(free)
    }
}
