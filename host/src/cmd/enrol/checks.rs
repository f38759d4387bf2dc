//! Whether photos are one person's, and nobody else's who is enrolled: what is asked before anything of an enrolment is pushed.
//!
//! Owns the questions to the unit and to the vault, and their words; the threshold from which on somebody is enrolled again is the unit's,
//! and of a vault's people the one that a unit with as many would have. Refuses to name whom a face resembles at the unit to anybody but an
//! owner; whom a vault has may be read by whoever opens it.

use super::vaulted::Keeping;
use super::{Enrolment, fill};
use crate::cmd::doubles;
use crate::error::HostError;
use crate::people::People;
use crate::photo::Photo;
use crate::say::Say;
use crate::session::Session;
use crate::session::port::Transport;
use threshold_models::pack::Pack;
use threshold_models::search::{Index, Mean, distance, quantise};
use threshold_record::{PersonId, Score};
use threshold_wire::endpoints::{SearchAgain, SearchGallery};
use threshold_wire::message::{
    GalleryAgain, GallerySearch, GallerySearchDone, PersonSummary, Resembled,
};

/// Score from which two photos are one: the int8 template of a photo lies within 0.01 of the photo itself, two takes of
/// one person lie 0.1 apart and more.
const SAME_PHOTO: f32 = 0.97;

/// How much a photo resembles whom.
#[derive(Default)]
struct Likeness {
    /// The person's own templates, if they are the nearest, or to an owner's knowledge the next.
    own: Option<Score>,
    /// The most alike of anybody else's.
    other: Option<Resembled>,
}

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
        let threshold = self.model.threshold;
        let found = self.likeness(session, there, photo)?;
        if let Some(other) = found.other.filter(|one| threshold.accepts(one.score)) {
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
        if enrolled && !found.own.is_some_and(|score| threshold.accepts(score)) {
            let (photo, name) = (photo.path.display().to_string(), self.name.as_str().to_owned());
            self.unless_forced(say, HostError::UnlikeOwn { photo, name })?;
        }
        Ok(found.own.is_some_and(|score| score.0 >= SAME_PHOTO))
    }

    /// How much a photo resembles the person's own templates, and who else's. A unit tells an owner alone whose the scores are. Anybody
    /// else asks it whether the nearest is another one without the own templates: if it is not, the best score is somebody else's.
    fn likeness<T: Transport>(
        &self,
        session: &mut Session<T>,
        there: Option<&PersonSummary>,
        photo: &Photo,
    ) -> anyhow::Result<Likeness> {
        let (scale, vector) = quantise(&photo.embedding);
        let mut search = GallerySearch { model: self.model.id, scale, vector: Default::default() };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        let GallerySearchDone { best, runner_up } = session.call::<SearchGallery>(&search)?;
        let own = there.filter(|person| person.slots != 0).map(|person| person.person);
        let is_own = match (own, best) {
            (Some(own), Some(best)) if session.is_owners() => best.person == own,
            (Some(own), Some(_)) => {
                let Some(mean) = Mean::of([&photo.embedding]) else {
                    return Ok(Likeness::default());
                };
                let mut score_but = |but| -> anyhow::Result<Option<f32>> {
                    let found = session.call::<SearchAgain>(&self.asked_again(&mean, but)?)?;
                    Ok(found.nearest.map(|nearest| nearest.score.0))
                };
                score_but(None)? != score_but(Some(own))?
            }
            _ => false,
        };
        if is_own {
            return Ok(Likeness { own: best.map(|one| one.score), other: runner_up });
        }
        let second = runner_up.filter(|one| session.is_owners() && Some(one.person) == own);
        Ok(Likeness { own: second.map(|one| one.score), other: best })
    }

    fn asked_again(&self, mean: &Mean, but: Option<PersonId>) -> anyhow::Result<GalleryAgain> {
        let (scale, vector) = quantise(mean.embedding());
        let mut search = GalleryAgain {
            model: self.model.id,
            pictures: u8::try_from(mean.pictures()).unwrap_or(u8::MAX),
            but,
            scale,
            vector: Default::default(),
        };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        Ok(search)
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
        let search = self.asked_again(&mean, there.map(|person| person.person))?;
        let found = session.call::<SearchAgain>(&search)?;
        let Some(other) = found.nearest.filter(|it| found.threshold.accepts(it.score)) else {
            return Ok(());
        };
        let error = HostError::MatchesOther {
            photo: self.photos_in_words(),
            other: told(session, people, other.person),
            score: other.score.0,
            threshold: found.threshold.0.0,
        };
        Ok(self.unless_forced(say, error)?)
    }

    /// Looks whether all photos together are somebody's whom the vault has under another name, at this unit or not: an error unless it is
    /// forced. Whose crops have no template by the unit's model cannot be asked, and that is said.
    pub(super) fn check_vault(
        &self,
        say: Say,
        keeping: &Keeping,
        pack: &Pack,
    ) -> anyhow::Result<()> {
        let held = keeping.held()?;
        if held.without_template > 0 {
            say.warn(&format!(
                "{} crops of the vault have no template by this model, so that nobody was compared with them (try: threshold vault \
                 re-embed)",
                held.without_template
            ));
        }
        let Some(mean) = Mean::of(self.photos.iter().map(|photo| &photo.embedding)) else {
            return Ok(());
        };
        if held.templates.is_empty() {
            return Ok(());
        }
        let embedder = pack.embedder()?;
        let known = pack.meta.scores().map(|scores| scores.distributions);
        let threshold = doubles::threshold(embedder, known.as_ref(), held.people);
        let index = Index::new(embedder.metric, &held.templates)?;
        let nearest = index.nearest_by_means(&mean, held.own)?;
        let Some(other) = nearest.filter(|it| threshold.accepts(it.score)) else { return Ok(()) };
        let name = keeping.name_of(other.person);
        let error = HostError::MatchesOther {
            photo: self.photos_in_words(),
            other: Some(format!("{name} (#{} in the vault)", other.person.0)),
            score: other.score.0,
            threshold: threshold.0.0,
        };
        Ok(self.unless_forced(say, error)?)
    }

    fn photos_in_words(&self) -> String {
        match &self.photos[..] {
            [photo] => photo.path.display().to_string(),
            photos => format!("{} photos", photos.len()),
        }
    }
}

/// Whom a face resembles, as an owner is told; `None` for anybody else, as the unit does it where somebody is enrolled at the door.
fn told<T: Transport>(session: &Session<T>, people: &People, other: PersonId) -> Option<String> {
    let name = people.name_of(other).unwrap_or_default();
    session.is_owners().then(|| format!("{name} (#{})", other.0))
}
