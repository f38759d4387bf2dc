//! `threshold flash --gallery`: the people's templates by the bundle's model, beside the unit's gallery before the bundle is sent.
//!
//! Owns that whom the version would not know is counted and named before a byte of the bundle goes. Refuses a gallery of a model that
//! the bundle does not bring. Unlike the rest of an update it takes a unit of this program's version: the unit that runs must know
//! what it is given.

use super::super::gallery::copy::own_key;
use super::super::gallery::push::{left_value, left_words};
use super::FlashError;
use super::file::BundleFile;
use crate::gallery_file;
use crate::meant::Meant;
use crate::session::port::Transport;
use crate::session::wait::{Machine, through_cuts};
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use std::path::Path;
use threshold_bundle::FileKind;
use threshold_record::ModelId;
use threshold_wire::bulk::BulkError;
use threshold_wire::endpoints::StageGallery;
use threshold_wire::gallery::beside::{GalleryStage, GalleryStageTold, GalleryStaged};
use threshold_wire::gallery::content::{self, Content, Told};
use threshold_wire::gallery::{LeftOut, MAX_GALLERY};

/// A gallery that goes with a bundle.
pub struct WithBundle {
    path: String,
    /// What is sent: a content, or an envelope for the unit.
    bytes: Vec<u8>,
}

/// What the unit has of it.
#[derive(Debug)]
pub struct StagedThere {
    /// Of which model it is.
    pub model: ModelId,
    /// People who have templates there.
    pub people: u32,
    /// The templates.
    pub templates: u32,
    /// People of the unit's gallery whom the version will not know.
    pub without: u32,
    /// Who was left out.
    pub left_out: Vec<LeftOut>,
}

impl WithBundle {
    /// Reads the file, and checks it against the bundle as far as it opens here.
    ///
    /// # Errors
    /// A file that is none, [`FlashError::OtherGallery`].
    pub fn read(meant: &Meant, path: &Path, bundle: &BundleFile) -> anyhow::Result<Self> {
        let (bytes, recipient) = gallery_file::read(path)?;
        let secret = own_key(meant)?;
        let path = path.display().to_string();
        if recipient != secret.key_id() {
            return Ok(Self { path, bytes });
        }
        let content = gallery_file::open(&secret, &bytes)?;
        let with = Self { path, bytes: templates_of(&content)? };
        with.check(content.origin.model, bundle)?;
        Ok(with)
    }

    fn check(&self, model: ModelId, bundle: &BundleFile) -> Result<(), FlashError> {
        let is_it = |file: &threshold_bundle::FileEntry| {
            file.kind == FileKind::Pack && file.hash() == model.0
        };
        match bundle.manifest.files.iter().any(is_it) {
            true => Ok(()),
            false => Err(FlashError::OtherGallery { path: self.path.clone(), model }),
        }
    }

    /// Puts it beside the unit's gallery.
    ///
    /// # Errors
    /// A unit that says no, [`FlashError::OtherGallery`] of one that only the unit could open.
    pub fn stage(&self, meant: &Meant, bundle: &BundleFile) -> anyhow::Result<StagedThere> {
        let bar = meant.say.transfer(self.bytes.len() as u64, "sending the gallery");
        let staged = through_cuts(
            meant.wait,
            &mut Machine::new(),
            || Session::open_started(meant),
            |session| {
                let transfer =
                    session.push_gallery(&self.bytes, &mut |there, _| bar.set_position(there))?;
                stage(session, transfer)
            },
        );
        bar.finish_and_clear();
        let (_, staged) = staged?;
        self.check(staged.model, bundle)?;
        Ok(staged)
    }
}

/// A gallery without what is the unit's to say: names, ids and templates.
fn templates_of(content: &Content) -> anyhow::Result<Vec<u8>> {
    let tag = content.origin.model.tag();
    let people: Vec<_> = content
        .people()
        .map(|held| (held.person.clone(), held.templates(tag).collect::<Vec<_>>()))
        .collect();
    let told = people.iter().map(|(person, templates)| Told { person, access: None, templates });
    Ok(content::write(&content.origin, std::iter::empty(), told)?)
}

/// Has the unit take a push, batch by batch.
///
/// # Errors
/// [`SessionError`].
pub fn stage<T: Transport>(
    session: &mut Session<T>,
    transfer: u8,
) -> Result<StagedThere, SessionError> {
    let mut all = Vec::new();
    // Each call takes one person at least.
    for _ in 0..=MAX_GALLERY {
        let staged = match session.call::<StageGallery>(&GalleryStage { transfer })? {
            GalleryStageTold::Staged(staged) => staged,
            GalleryStageTold::Refused(refusal) => return Err(refusal.into()),
        };
        let GalleryStaged { model, people, templates, left_out, without, done } = staged;
        all.extend(left_out);
        if all.len() > MAX_GALLERY as usize {
            break;
        }
        if done {
            return Ok(StagedThere { model, people, templates, without, left_out: all });
        }
    }
    Err(BulkError::BadPeer.into())
}

impl StagedThere {
    /// What a script is told.
    #[must_use]
    pub fn value(&self) -> Value {
        json!({
            "model": self.model.to_string(),
            "people": self.people,
            "templates": self.templates,
            "without": self.without,
            "left_out": self.left_out.iter().map(left_value).collect::<Vec<Value>>(),
        })
    }

    /// The same in words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!(
            "beside the unit's gallery lie {} templates of {} people by the bundle's model; {} people have none there and must be \
             enrolled again. Whoever is enrolled once the new version runs is unknown to the one before, should the unit go back \
             (threshold info counts them): enrol or push these again then",
            self.templates, self.people, self.without
        );
        self.left_out.iter().for_each(|left| text += &format!("\n{}", left_words(left)));
        text
    }
}
