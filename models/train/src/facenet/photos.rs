//! People's photos as rows: found and cropped, and for the last layer or block passed through the installed FaceNet up to it, once.
//!
//! Owns the order of photos and the file that keeps their features (the form of `eval::embeddings`, whose digest covers
//! photos and packs: it is made anew where one of them changed). A photo that cannot be read and a person's empty folder
//! are counted and left out. Crops are kept in memory alone, and made anew each time a run is started: a file of them would be
//! faces. Refuses two folders of one name in two sets: whose photos they are is what a run learns.

use super::network::Rows;
use crate::checkpoint::write_whole;
use crate::pictures::{self, People, Photo};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use threshold_models::cpu::{CpuEngine, EngineOptions, Network, Pool, Simd};
use threshold_models::crop::{CropRule, crop};
use threshold_models::engine::Embedding;
use threshold_models::eval::embeddings::{
    About, EMBEDDINGS_FORMAT, Embeddings, Picture, PicturesDigest,
};
use threshold_models::eval::lfw::face_of;
use threshold_models::pack::{self, EmbedderMeta, Pack, PackMeta, Preprocessing};
use threshold_models::picture;

/// Photos' rows, and which photos have none.
#[derive(Debug)]
pub struct Photos {
    /// The rows: features as embeddings of a network without its last layer, crops as those of one without any.
    pub features: Embeddings,
    /// Photos that could not be read, and people's folders without one.
    pub skipped: Vec<String>,
}

/// The rows of all sets' photos: features from the file `kept` if it is of these photos and packs, else made and kept there.
///
/// # Errors
/// If a set's folder does not read, no photo does, two sets have a person's folder of one name, the embedder is no FaceNet,
/// or the file cannot be written.
pub fn load(
    sets: &[People],
    [detector, embedder]: [&Pack; 2],
    (rows, kept): (Rows, &Path),
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Photos> {
    if embedder.meta.network != pack::Network::InceptionResnetV1 {
        bail!("{} is no FaceNet, whose last layer could be trained", embedder.meta.name);
    }
    let (mut listed, mut empty) = (Vec::new(), Vec::new());
    let mut set_of: BTreeMap<String, usize> = BTreeMap::new();
    for (at, set) in sets.iter().enumerate() {
        let pictures::Photos { photos, skipped } = pictures::photos_of(set)?;
        for Photo { person, .. } in &photos {
            let first = *set_of.entry(person.clone()).or_insert(at);
            if first != at {
                bail!(
                    "{person} stands in {} and in {}: people are told apart by their folder's name; lay both folders together \
                     if they are one person's, or rename one",
                    sets[first].images.display(),
                    set.images.display()
                );
            }
        }
        listed.extend(photos);
        empty.extend(skipped);
    }
    let mut digest = PicturesDigest::default();
    for photo in &listed {
        // What cannot be read is left out below, and another one once it can be.
        digest.add(&photo.name, &std::fs::read(&photo.path).unwrap_or_default());
    }
    let name = &embedder.meta.name;
    let model_name = match rows {
        Rows::Features => format!("{name} before its last layer"),
        Rows::BeforeBlock => format!("{name} before its last block"),
        Rows::Crops { side_px } => format!("{name}'s crops of {side_px} px"),
    };
    let mut about = About {
        format: EMBEDDINGS_FORMAT,
        model: embedder.id.to_string(),
        model_name,
        metric: embedder.embedder()?.metric,
        detector: detector.id.to_string(),
        pictures_digest: digest.finish(),
        frames: 1,
        pictures: Vec::new(),
    };
    if let Some(features) = std::fs::read(kept).ok().and_then(|b| Embeddings::from_bytes(&b).ok()) {
        let pictures = features.about.pictures.clone();
        if features.about == (About { pictures, ..about.clone() }) {
            let pictures = &features.about.pictures;
            let kept = |name: &String| pictures.binary_search_by(|one| one.path.cmp(name)).is_ok();
            let names = listed.into_iter().map(|photo| photo.name);
            let skipped = empty.into_iter().chain(names.filter(|name| !kept(name))).collect();
            return Ok(Photos { features, skipped });
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let (mut values, mut skipped) = (Vec::new(), empty);
    let packs = [detector, embedder];
    for (photo, passed) in listed.iter().zip(pass(&listed, packs, rows, threads, progress)?) {
        match passed {
            Some((face_found, row)) => {
                let (path, face_found) = (photo.name.clone(), vec![face_found]);
                about.pictures.push(Picture { path, face_found });
                values.push(row);
            }
            None => skipped.push(photo.name.clone()),
        }
    }
    if values.is_empty() {
        bail!("no photo could be read ({} failed)", skipped.len());
    }
    let features = Embeddings::new(about, &values)?;
    if rows.trunk().is_some() {
        write_whole(kept, &features.to_bytes()?).with_context(|| kept.display().to_string())?;
    }
    Ok(Photos { features, skipped })
}

/// Whether a face was found in a photo, and its row.
type Row = (bool, Embedding);

/// Makes rows of photos, each by one thread; `None` for one that cannot be read.
fn pass(
    photos: &[Photo],
    packs: [&Pack; 2],
    rows: Rows,
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Option<Row>>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut passage = Passage::new(packs, rows)?;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(photo) = photos.get(at) else { return Ok(()) };
                let passed = passage.row(&photo.path)?;
                let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                results.insert(at, passed);
                progress(results.len(), photos.len());
            }
        };
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|_| bail!("a reading thread panicked"))?;
        }
        anyhow::Ok(())
    })?;
    Ok(results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect())
}

/// The way of a photo to its row; one for each thread.
struct Passage<'a> {
    engine: CpuEngine,
    /// All before what is trained, where that is a part of the installed network.
    trunk: Option<Network>,
    meta: &'a PackMeta,
    rule: CropRule,
    crop: Vec<f32>,
}

impl<'a> Passage<'a> {
    fn new([detector, embedder]: [&'a Pack; 2], rows: Rows) -> Result<Self> {
        let options = EngineOptions { threads: 1, ..EngineOptions::default() };
        let EmbedderMeta { crop, .. } = embedder.embedder()?;
        let (rule, trunk) = match rows {
            Rows::Features | Rows::BeforeBlock => (*crop, rows.trunk()),
            Rows::Crops { side_px } => (crop.of_size(side_px), None),
        };
        let pool = Arc::new(Pool::new(1));
        let network = |graph| Network::new(&graph, embedder, Simd::detect(), pool);
        let trunk = trunk.map(network).transpose()?;
        Ok(Self {
            engine: CpuEngine::new(detector, None, &options)?,
            trunk,
            meta: &embedder.meta,
            rule,
            crop: Vec::new(),
        })
    }

    fn row(&mut self, path: &Path) -> Result<Option<Row>> {
        let Ok(frame) = picture::read(path) else { return Ok(None) };
        let (face, found) = face_of(&mut self.engine, &frame)?;
        self.crop.resize(self.rule.len(), 0.0);
        crop(&frame, &face, &self.rule, &mut self.crop);
        let Preprocessing { mean, scale } = self.meta.preprocessing;
        for pixel in self.crop.as_chunks_mut::<3>().0 {
            pixel.iter_mut().zip(mean).for_each(|(value, mean)| *value = (*value - mean) * scale);
        }
        let Some(trunk) = &mut self.trunk else {
            return Ok(Some((found, Embedding(self.crop.clone()))));
        };
        trunk.run(&self.crop)?;
        let values = trunk.output("features").unwrap_or(&[]);
        Ok(Some((found, Embedding(values.to_vec()))))
    }
}
