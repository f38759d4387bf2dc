//! Pictures with their faces: what samples are drawn from, read once and kept decoded.
//!
//! Owns the kinds of sets (WIDER's list of boxes, CelebA's lists, a folder for each person), which pictures are held back, the
//! labels that the installed cascade gives where a set has none, and the windows that it took for faces. A picture that
//! cannot be read is counted and left out; a list that does not read is an error with its line.
//!
//! Held back are whole groups (a person's folder, a picture of a list), chosen by the hash of their name: a set that
//! grows moves nobody from one side to the other.

use crate::celeba;
use crate::sample::{NEGATIVE, overlap};
use crate::view::Window;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use threshold_models::cascade::{Cascade, CascadeOptions, proposal::crop_window};
use threshold_models::cpu::{CpuStages, Pool, Simd};
use threshold_models::engine::{BBox, Detection, Landmarks};
use threshold_models::eval::detection::parse_wider;
use threshold_models::eval::embeddings::PicturesDigest;
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;
use threshold_models::picture;

/// A face of a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Face {
    /// Its box, pixel edges.
    pub bbox: BBox,
    /// Its landmarks, where somebody knows them.
    pub landmarks: Option<Landmarks>,
    /// Whether it is learnt from; what a list calls invalid is only kept clear of.
    pub learnt: bool,
}

/// A decoded picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Path from its set's folder.
    pub name: String,
    /// Its pixels.
    pub frame: Frame,
    /// Its faces.
    pub faces: Vec<Face>,
}

/// Pictures of one side, training or held back.
#[derive(Clone, Debug, Default)]
pub struct Pictures {
    /// Them, in the order of their sets and names.
    pub pictures: Vec<Picture>,
    /// Windows without a face that the installed cascade passed on to the stage that is trained, by picture.
    pub mined: Vec<(usize, Window)>,
}

/// A set with a list of boxes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wider {
    /// WIDER FACE's text form.
    pub list: PathBuf,
    /// The folder that the list's paths start at.
    pub images: PathBuf,
}

/// A set with CelebA's lists of boxes and landmarks, a face a picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CelebA {
    /// `list_bbox_celeba.txt`.
    pub boxes: PathBuf,
    /// `list_landmarks_celeba.txt`: of the pictures as they were taken, as the boxes are.
    pub landmarks: PathBuf,
    /// `identity_CelebA.txt`, so that whole people are held back; whole pictures without it.
    pub identities: Option<PathBuf>,
    /// The folder of pictures.
    pub images: PathBuf,
    /// Only so many pictures, the first by name.
    pub limit: Option<usize>,
}

/// A set with a folder for each person, without boxes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct People {
    /// The folder of folders.
    pub images: PathBuf,
    /// Only so many people, the first by name.
    pub limit: Option<usize>,
}

/// All sets of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sets<'a> {
    /// With a list of boxes.
    pub wider: &'a [Wider],
    /// With CelebA's lists.
    pub celeba: &'a [CelebA],
    /// With a folder for each person.
    pub people: &'a [People],
}

/// What was read, both sides.
#[derive(Debug, Default)]
pub struct Loaded {
    /// To learn from.
    pub train: Pictures,
    /// To validate with.
    pub held: Pictures,
    /// Pictures that could not be read and people's folders without one, with the reason.
    pub skipped: Vec<String>,
}

impl Loaded {
    /// The digest of all that samples are drawn from: names, pixels, faces and mined windows, by side.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut digest = PicturesDigest::default();
        for side in [&self.train, &self.held] {
            let Pictures { pictures, mined } = side;
            digest.add("side", &[pictures.len(), mined.len()].map(usize::to_le_bytes).concat());
            for Picture { name, frame, faces } in pictures {
                digest.add(name, frame.rgb());
                digest
                    .add("size", &[frame.width(), frame.height()].map(usize::to_le_bytes).concat());
                for Face { bbox, landmarks, learnt } in faces {
                    let edges = [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
                    let points = landmarks.iter().flatten().flatten().copied();
                    let bytes = edges.into_iter().chain(points).flat_map(f32::to_le_bytes);
                    digest.add(if *learnt { "face" } else { "clear" }, &bytes.collect::<Vec<_>>());
                }
            }
            for (picture, Window { x, y, side }) in mined {
                let window = [*x, *y, *side].map(f32::to_le_bytes).concat();
                digest.add(&picture.to_string(), &window);
            }
        }
        digest.finish()
    }
}

/// A picture before it is read.
struct Listed {
    name: String,
    path: PathBuf,
    /// What is held back together.
    group: String,
    /// `None` where the cascade labels.
    faces: Option<Vec<Face>>,
    /// Whether the picture may have faces that nobody labelled: what the cascade finds beside them is kept clear of.
    others: bool,
}

/// What the reading of one picture gave.
struct Read {
    picture: Picture,
    mined: Vec<Window>,
}

/// Overlap above which the cascade's detection is a list's face, so that its landmarks count.
const SAME_FACE: f32 = 0.5;

/// Mined windows kept of one picture: a busy one must not be most of them.
const MINED_EACH: usize = 60;

/// How pictures are labelled and mined.
#[derive(Clone, Copy, Debug)]
pub struct Labels<'a> {
    /// The installed detector.
    pub detector: &'a Pack,
    /// Smallest face that it looks for, pixels.
    pub min_face_px: f32,
    /// The stage of the cascade whose passed windows are mined ([`crate::stage::Stage::depth`]).
    pub depth: usize,
    /// Threads in all.
    pub threads: usize,
}

/// Reads all sets; `held` is the part of each that is held back, 0 to 1.
///
/// # Errors
/// If a list or a folder does not read, or no picture at all does.
pub fn load(
    Sets { wider, celeba, people }: Sets<'_>,
    held: f32,
    labels: &Labels<'_>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Loaded> {
    let (mut listed, mut loaded) = (Vec::new(), Loaded::default());
    for set in wider {
        list_wider(set, &mut listed)?;
    }
    for set in celeba {
        list_celeba(set, &mut listed, &mut loaded.skipped)?;
    }
    for set in people {
        let Photos { photos, skipped } = photos_of(set)?;
        listed.extend(photos.into_iter().map(|Photo { person, name, path }| Listed {
            name,
            path,
            group: person,
            faces: None,
            others: false,
        }));
        loaded.skipped.extend(skipped);
    }
    if listed.is_empty() {
        bail!(
            "no set names a picture; add [[wider]], [[celeba]] or [[people]] to the configuration"
        );
    }
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        let work = || -> Result<()> {
            let mut labeller = Labeller::new(labels)?;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(one) = listed.get(at) else { return Ok(()) };
                let read = labeller.read(one)?;
                let mut results = results.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                results.push((at, read));
                progress(results.len(), listed.len());
            }
        };
        let threads: Vec<_> = (0..labels.threads.max(1)).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            thread.join().unwrap_or_else(|_| bail!("a reading thread panicked"))?;
        }
        anyhow::Ok(())
    })?;
    let mut results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    results.sort_by_key(|&(at, _)| at);
    for (at, read) in results {
        match read {
            Err(why) => loaded.skipped.push(why),
            Ok(Read { picture, mined }) => {
                let side = match is_held(&listed[at].group, held) {
                    true => &mut loaded.held,
                    false => &mut loaded.train,
                };
                let index = side.pictures.len();
                side.pictures.push(picture);
                side.mined.extend(mined.into_iter().map(|window| (index, window)));
            }
        }
    }
    if loaded.train.pictures.is_empty() {
        bail!("no picture to learn from could be read ({} failed)", loaded.skipped.len());
    }
    Ok(loaded)
}

/// Whether a group is on the held-back side.
pub(crate) fn is_held(group: &str, part: f32) -> bool {
    let hash = blake3::hash(group.as_bytes());
    let [a, b, ..] = *hash.as_bytes();
    f32::from(u16::from_le_bytes([a, b])) < part * 65_536.0
}

fn list_wider(set: &Wider, listed: &mut Vec<Listed>) -> Result<()> {
    let at = || set.list.display().to_string();
    let text = std::fs::read_to_string(&set.list).with_context(at)?;
    for picture in parse_wider(&text).with_context(at)? {
        let faces = picture.faces.iter().map(|face| Face {
            bbox: face.bbox,
            landmarks: None,
            learnt: !face.invalid,
        });
        listed.push(Listed {
            path: set.images.join(&picture.path),
            group: picture.path.clone(),
            faces: Some(faces.collect()),
            others: false,
            name: picture.path,
        });
    }
    Ok(())
}

fn list_celeba(set: &CelebA, listed: &mut Vec<Listed>, skipped: &mut Vec<String>) -> Result<()> {
    let read =
        |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let identities = set.identities.as_deref().map(read).transpose()?;
    let all = celeba::join(&read(&set.boxes)?, &read(&set.landmarks)?, identities.as_deref());
    let all = all.with_context(|| format!("CelebA's lists beside {}", set.boxes.display()))?;
    for one in all.into_iter().take(set.limit.unwrap_or(usize::MAX)) {
        let Some(bbox) = one.bbox else {
            skipped.push(format!("{}: its box has no area", one.name));
            continue;
        };
        listed.push(Listed {
            path: set.images.join(&one.name),
            group: one.person.unwrap_or_else(|| one.name.clone()),
            faces: Some(vec![Face { bbox, landmarks: Some(one.landmarks), learnt: true }]),
            others: true,
            name: one.name,
        });
    }
    Ok(())
}

/// A person's photo.
#[derive(Debug)]
pub(crate) struct Photo {
    pub(crate) person: String,
    /// `Person/file`.
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// What a set of people names.
#[derive(Debug, Default)]
pub(crate) struct Photos {
    /// By people and names.
    pub(crate) photos: Vec<Photo>,
    /// People's folders that give nothing, with the reason.
    pub(crate) skipped: Vec<String>,
}

/// A set's photos, by people and names.
pub(crate) fn photos_of(set: &People) -> Result<Photos> {
    let people = sorted(&set.images)?;
    let folders = people.into_iter().filter(|path| path.is_dir());
    let mut found = Photos::default();
    for folder in folders.take(set.limit.unwrap_or(usize::MAX)) {
        let person = file_name(&folder);
        let paths = match sorted(&folder) {
            Ok(paths) if paths.is_empty() => {
                found.skipped.push(format!("{}: an empty folder", folder.display()));
                continue;
            }
            Ok(paths) => paths,
            Err(why) => {
                found.skipped.push(format!("{why:#}"));
                continue;
            }
        };
        for path in paths {
            let name = format!("{person}/{}", file_name(&path));
            found.photos.push(Photo { person: person.clone(), name, path });
        }
    }
    Ok(found)
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let at = || folder.display().to_string();
    let entries = std::fs::read_dir(folder).with_context(at)?;
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().with_context(at)?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Reads pictures and asks the installed cascade about them; one for each thread.
struct Labeller {
    cascade: Cascade,
    stages: CpuStages,
    depth: usize,
}

impl Labeller {
    fn new(labels: &Labels<'_>) -> Result<Self> {
        let pool = std::sync::Arc::new(Pool::new(1));
        let stages = CpuStages::new(labels.detector, Simd::detect(), pool)
            .context("the installed detector")?;
        let min_face_px = f64::from(labels.min_face_px);
        let options = CascadeOptions { min_face_px, ..CascadeOptions::default() };
        Ok(Self { cascade: Cascade::new(options), stages, depth: labels.depth })
    }

    /// The picture with its labels; the inner error is a picture that does not read.
    fn read(&mut self, one: &Listed) -> Result<Result<Read, String>> {
        let frame = match picture::read(&one.path) {
            Ok(frame) => frame,
            Err(why) => return Ok(Err(why.to_string())),
        };
        let found =
            self.cascade.detect(&mut self.stages, &frame).with_context(|| one.name.clone())?;
        let faces = match &one.faces {
            None => found.iter().map(labelled).collect(),
            Some(faces) => {
                let mut faces = faces.clone();
                for face in &mut faces {
                    face.landmarks = face.landmarks.or_else(|| landmarks_of(face, &found));
                }
                if one.others {
                    let labelled_too = |other: &&Detection| {
                        faces.iter().any(|face| overlap(&other.bbox, &face.bbox) >= NEGATIVE)
                    };
                    let others: Vec<Face> = found
                        .iter()
                        .filter(|other| !labelled_too(other))
                        .map(|other| Face { learnt: false, ..labelled(other) })
                        .collect();
                    faces.extend(others);
                }
                faces
            }
        };
        let mined = self.mine(&frame, &faces)?;
        Ok(Ok(Read { picture: Picture { name: one.name.clone(), frame, faces }, mined }))
    }

    /// Windows without a face that the cascade hands to the stage, its surest first.
    fn mine(&mut self, frame: &Frame, faces: &[Face]) -> Result<Vec<Window>> {
        // P-Net has nobody before it: it learns from what the installed one made of its mistakes, regressed and squared as R-Net gets them.
        let passed = self.cascade.proposals(&mut self.stages, frame, self.depth.max(1))?;
        let mut windows = Vec::new();
        for proposal in passed {
            let Some(rect) = crop_window(&proposal.bbox, frame.width(), frame.height()) else {
                continue;
            };
            // What the frame cut off is stretched at work; here windows are squares.
            let side = rect.width.min(rect.height) as f32;
            let window = Window { x: rect.x as f32, y: rect.y as f32, side };
            let clear = faces.iter().all(|face| overlap(&window.bbox(), &face.bbox) < NEGATIVE);
            if clear && side >= 12.0 {
                windows.push(window);
            }
        }
        windows.truncate(MINED_EACH);
        Ok(windows)
    }
}

fn labelled(found: &Detection) -> Face {
    Face { bbox: found.bbox, landmarks: Some(found.landmarks), learnt: true }
}

fn landmarks_of(face: &Face, found: &[Detection]) -> Option<Landmarks> {
    let overlap_of = |detection: &Detection| overlap(&detection.bbox, &face.bbox);
    let best = found.iter().max_by(|a, b| overlap_of(a).total_cmp(&overlap_of(b)))?;
    (overlap_of(best) >= SAME_FACE).then_some(best.landmarks)
}
