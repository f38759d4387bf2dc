//! People's photos as features: found, cropped and passed through the installed FaceNet up to its last layer, once.
//!
//! Owns the order of photos and the file that keeps their features (the form of `eval::embeddings`, whose digest covers
//! photos and packs: it is made anew where one of them changed). A photo that cannot be read and a person's empty folder
//! are counted and left out. Refuses two folders of one name in two sets: whose photos they are is what a run learns.

use crate::checkpoint::write_whole;
use crate::pictures::{self, People, Photo};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use threshold_models::cpu::{CpuEngine, EngineOptions, Network, Pool, Simd};
use threshold_models::crop::crop;
use threshold_models::engine::Embedding;
use threshold_models::eval::embeddings::{
    About, EMBEDDINGS_FORMAT, Embeddings, Picture, PicturesDigest,
};
use threshold_models::eval::lfw::face_of;
use threshold_models::net;
use threshold_models::pack::{self, EmbedderMeta, Pack, PackMeta, Preprocessing};
use threshold_models::picture;

/// Photos' features, and which photos have none.
#[derive(Debug)]
pub struct Photos {
    /// The features, as embeddings of a network without its last layer.
    pub features: Embeddings,
    /// Photos that could not be read, and people's folders without one.
    pub skipped: Vec<String>,
}

/// The features of all sets' photos: from the file `kept` if it is of these photos and packs, else made and kept there.
///
/// # Errors
/// If a set's folder does not read, no photo does, two sets have a person's folder of one name, the embedder is no FaceNet,
/// or the file cannot be written.
pub fn load(
    sets: &[People],
    [detector, embedder]: [&Pack; 2],
    kept: &Path,
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
    let mut about = About {
        format: EMBEDDINGS_FORMAT,
        model: embedder.id.to_string(),
        model_name: format!("{} before its last layer", embedder.meta.name),
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
    for (photo, passed) in listed.iter().zip(pass(&listed, detector, embedder, threads, progress)?)
    {
        match passed {
            Some((face_found, features)) => {
                let (path, face_found) = (photo.name.clone(), vec![face_found]);
                about.pictures.push(Picture { path, face_found });
                values.push(features);
            }
            None => skipped.push(photo.name.clone()),
        }
    }
    if values.is_empty() {
        bail!("no photo could be read ({} failed)", skipped.len());
    }
    let features = Embeddings::new(about, &values)?;
    write_whole(kept, &features.to_bytes()?).with_context(|| kept.display().to_string())?;
    Ok(Photos { features, skipped })
}

/// Whether a face was found in a photo, and its features.
type Features = (bool, Embedding);

/// Passes photos through the network, each by one thread; `None` for one that cannot be read.
fn pass(
    photos: &[Photo],
    detector: &Pack,
    embedder: &Pack,
    threads: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Vec<Option<Features>>> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut passage = Passage::new(detector, embedder)?;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(photo) = photos.get(at) else { return Ok(()) };
                let passed = passage.features(&photo.path)?;
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

/// The way of a photo up to the last layer; one for each thread.
struct Passage<'a> {
    engine: CpuEngine,
    trunk: Network,
    meta: &'a PackMeta,
    embedder: &'a EmbedderMeta,
    crop: Vec<f32>,
}

impl<'a> Passage<'a> {
    fn new(detector: &Pack, embedder: &'a Pack) -> Result<Self> {
        let options = EngineOptions { threads: 1, ..EngineOptions::default() };
        let graph = net::inception_resnet_v1_trunk();
        Ok(Self {
            engine: CpuEngine::new(detector, None, &options)?,
            trunk: Network::new(&graph, embedder, Simd::detect(), Arc::new(Pool::new(1)))?,
            meta: &embedder.meta,
            embedder: embedder.embedder()?,
            crop: Vec::new(),
        })
    }

    fn features(&mut self, path: &Path) -> Result<Option<Features>> {
        let Ok(frame) = picture::read(path) else { return Ok(None) };
        let (face, found) = face_of(&mut self.engine, &frame)?;
        self.crop.resize(self.embedder.crop.len(), 0.0);
        crop(&frame, &face, &self.embedder.crop, &mut self.crop);
        let Preprocessing { mean, scale } = self.meta.preprocessing;
        for pixel in self.crop.as_chunks_mut::<3>().0 {
            pixel.iter_mut().zip(mean).for_each(|(value, mean)| *value = (*value - mean) * scale);
        }
        self.trunk.run(&self.crop)?;
        let values = self.trunk.output("features").unwrap_or(&[]);
        Ok(Some((found, Embedding(values.to_vec()))))
    }
}
