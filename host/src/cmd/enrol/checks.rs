//! Whether photos are one person's, and nobody else's who is enrolled: what is asked before anything of an enrolment is pushed.
//!
//! Owns the questions to the unit and their words; the threshold from which on somebody is enrolled again is the unit's. Refuses to name
//! whom a face resembles to anybody but an owner.

use super::{Enrolment, fill};
use crate::error::HostError;
use crate::people::People;
use crate::photo::Photo;
use crate::say::Say;
use crate::session::Session;
use crate::session::port::Transport;
use threshold_models::search::{Mean, distance, quantise};
use threshold_record::PersonId;
use threshold_wire::endpoints::{SearchAgain, SearchGallery};
use threshold_wire::message::{GalleryAgain, GallerySearch, PersonSummary};

/// Score from which two photos are one: the int8 template of a photo lies within 0.01 of the photo itself, two takes of
/// one person lie 0.1 apart and more.
const SAME_PHOTO: f32 = 0.97;

impl Enrolment {
    /// Looks for photos that do not look like one person, because two people's photos under one name open the door to both: an
    /// error unless it is forced. Warns of the same photo twice, because it takes a slot for nothing.
    pub(super) fn check_pairs(&self, say: Say) -> anyhow::Result<()> {
        let metric = self.model.metric;
        for (one, other, distance) in self.pairs() {
            let both = format!("{} and {}", one.path.display(), other.path.display());
            if self.unlike(distance) {
                let unit = metric.unit();
                let error = HostError::UnlikePhotos { photos: both, distance, unit };
                self.unless_forced(say, error)?;
            } else if metric.score(distance).0 >= SAME_PHOTO {
                say.warn(&format!(
                    "{both} are as good as one photo: the second takes a slot and adds nothing"
                ));
            }
        }
        Ok(())
    }

    /// An error, or a warning for whoever wants to go on all the same.
    fn unless_forced(&self, say: Say, error: HostError) -> Result<(), HostError> {
        if !self.force {
            return Err(error);
        }
        say.warn(&error.to_string());
        Ok(())
    }

    /// Every two photos with their distance.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Photo, &Photo, f32)> {
        let metric = self.model.metric;
        self.photos.iter().enumerate().flat_map(move |(place, one)| {
            let others = self.photos[place + 1..].iter();
            others
                .map(move |other| (one, other, distance(metric, &one.embedding, &other.embedding)))
        })
    }

    /// Whether a distance is beyond the threshold.
    pub(super) fn unlike(&self, distance: f32) -> bool {
        !self.model.threshold.accepts(self.model.metric.score(distance))
    }

    /// Asks the unit whom the photo resembles: somebody else is a warning, a photo unlike those that the person has is an error unless
    /// it is forced. True if it is as good as one that the person has already.
    pub(super) fn check_against_gallery<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        people: &People,
        there: Option<&PersonSummary>,
        photo: &Photo,
    ) -> anyhow::Result<bool> {
        let (scale, vector) = quantise(&photo.embedding);
        let mut search = GallerySearch { model: self.model.id, scale, vector: Default::default() };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        let found = session.call::<SearchGallery>(&search)?;
        let threshold = self.model.threshold;
        let own = |id: PersonId| there.is_some_and(|person| person.person == id);
        let resembled = || [found.best, found.runner_up].into_iter().flatten();
        let other = resembled().find(|one| !own(one.person) && threshold.accepts(one.score));
        if let Some(other) = other {
            let help = match session.is_owners() {
                true => "look whether they are one",
                false => "an owner who enrols the photo is told whom",
            };
            say.warn(&format!(
                "{} resembles {}: score {:.3}, and two photos of one person begin at {:.3}; {help}",
                photo.path.display(),
                told(session, people, other.person)
                    .unwrap_or("somebody who is enrolled".to_owned()),
                other.score.0,
                threshold.0.0
            ));
        }
        let enrolled = there.is_some_and(|person| person.slots != 0);
        let like_own = resembled().any(|one| own(one.person) && threshold.accepts(one.score));
        if enrolled && !like_own {
            let (photo, name) = (photo.path.display().to_string(), self.name.as_str().to_owned());
            self.unless_forced(say, HostError::UnlikeOwn { photo, name })?;
        }
        Ok(resembled().any(|one| own(one.person) && one.score.0 >= SAME_PHOTO))
    }

    /// Asks the unit whether all photos together are somebody's who is enrolled under another name: an error unless it is forced.
    pub(super) fn check_again<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        people: &People,
        there: Option<&PersonSummary>,
    ) -> anyhow::Result<()> {
        let Some(mean) = Mean::of(self.photos.iter().map(|photo| &photo.embedding)) else {
            return Ok(());
        };
        let (scale, vector) = quantise(mean.embedding());
        let mut search = GalleryAgain {
            model: self.model.id,
            pictures: u8::try_from(mean.pictures()).unwrap_or(u8::MAX),
            but: there.map(|person| person.person),
            scale,
            vector: Default::default(),
        };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        let found = session.call::<SearchAgain>(&search)?;
        let Some(other) = found.nearest.filter(|it| found.threshold.accepts(it.score)) else {
            return Ok(());
        };
        let photos = match &self.photos[..] {
            [photo] => photo.path.display().to_string(),
            photos => format!("{} photos", photos.len()),
        };
        let error = HostError::MatchesOther {
            photo: photos,
            other: told(session, people, other.person),
            score: other.score.0,
            threshold: found.threshold.0.0,
        };
        Ok(self.unless_forced(say, error)?)
    }
}

/// Whom a face resembles, as an owner is told; `None` for anybody else, as the unit does it where somebody is enrolled at the door.
fn told<T: Transport>(session: &Session<T>, people: &People, other: PersonId) -> Option<String> {
    let name = people.name_of(other).unwrap_or_default();
    session.is_owners().then(|| format!("{name} (#{})", other.0))
}
