//! Our store.

use crate::work::{Bench, Enrolment, MODEL, sum};
use anyhow::{Context as _, Result};
use std::path::Path;
use threshold_record::{LogEntry, Template};
use threshold_store::{FileKeys, Flash, KEY_FILE, KeyProvider, MockFlash, Object, Series, Store};

pub(crate) struct Ours(Store);

impl Ours {
    /// The one place where a store is opened in a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let (mut store, _) = Store::open_folder(folder)?;
        store.load_gallery(MODEL)?;
        Ok(Self(store))
    }

    /// Made in memory and laid out as files, since a change for each of 10,000 templates would write each time what there is.
    pub(crate) fn fill(folder: &Path, people: &[Enrolment]) -> Result<()> {
        let flash = MockFlash::new();
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys())?;
        store.load_gallery(MODEL)?;
        let mut store = Self(store);
        people.iter().try_for_each(|one| store.enrol(one))?;
        if let Some(secret) = flash.keys().secret()? {
            FileKeys::at(&folder.join(KEY_FILE)).keep(&secret)?;
        }
        let segments = Series::ALL.into_iter().flat_map(|series| {
            flash.segments(series).into_iter().map(move |number| series.segment(number))
        });
        for object in Object::FIXED.into_iter().chain(segments) {
            if let Some(bytes) = flash.bytes(object) {
                let path = folder.join(object.name());
                std::fs::write(&path, bytes).with_context(|| path.display().to_string())?;
            }
        }
        Ok(())
    }
}

impl Bench for Ours {
    fn enrol(&mut self, enrolment: &Enrolment) -> Result<()> {
        let person = self.0.add_person(enrolment.name.clone())?;
        for template in &enrolment.templates {
            self.0.put_template(Template { person, ..template.clone() })?;
        }
        Ok(())
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        if let [entry] = entries {
            self.0.commit(*entry)?;
            return Ok(());
        }
        for entry in entries {
            self.0.append(*entry)?;
        }
        Ok(self.0.sync()?)
    }

    fn load(&mut self) -> Result<(usize, i64)> {
        let gallery = self.0.gallery().context("a gallery")?;
        let sums = gallery.templates().map(|template| sum(&template.vector));
        Ok((gallery.n_templates(), sums.sum()))
    }
}
