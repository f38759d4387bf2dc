//! The embeddings of a data set, made once and kept in a file for every protocol that compares all with all.
//!
//! Owns the file's form and its checks. Refuses a file whose sizes do not agree, and keeps no pixels.
//!
//! The file is safetensors: one tensor `embeddings`, f32, of shape pictures x frames x components, and one key
//! `threshold.embeddings` in `__metadata__`, whose value is [`About`] as JSON text.
//! Frame 0 of a picture is the picture itself, the others were made of it (`augment`).

use super::split::Half;
use crate::engine::Embedding;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use threshold_record::Metric;

const META_KEY: &str = "threshold.embeddings";
const TENSOR: &str = "embeddings";

/// The version of the file's form.
pub const EMBEDDINGS_FORMAT: u32 = 1;

/// What a file of embeddings says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// [`EMBEDDINGS_FORMAT`].
    pub format: u32,
    /// Id of the embedder's pack, in hex.
    pub model: String,
    /// Its name.
    pub model_name: String,
    /// Its metric.
    pub metric: Metric,
    /// Id of the detector's pack, in hex.
    pub detector: String,
    /// BLAKE3 over the pictures' paths and bytes, in hex.
    pub pictures_digest: String,
    /// Frames of each picture.
    pub frames: usize,
    /// The pictures.
    pub pictures: Vec<Picture>,
}

/// A picture that was embedded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// Path below the folder of pictures, `Person/file`.
    pub path: String,
    /// For each frame whether a face was found in it; where none was, the usual place was taken.
    pub face_found: Vec<bool>,
}

impl Picture {
    /// Whose picture: the first folder of its path.
    #[must_use]
    pub fn person(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }
}

/// Why embeddings cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingsError {
    /// Not a safetensors file, or one cut off.
    #[error("no file of embeddings: {0}")]
    File(#[from] safetensors::SafeTensorError),
    /// The description does not read.
    #[error("the description of the embeddings does not read: {0}")]
    About(#[from] serde_json::Error),
    /// The description is missing or contradicts the tensor.
    #[error("{0}")]
    Shape(&'static str),
    /// Another version of the form.
    #[error("embeddings of format {found}, this build reads {EMBEDDINGS_FORMAT}")]
    Format {
        /// What the file says.
        found: u32,
    },
}

/// Embeddings of a data set with what they are of. Holding one proves that there are as many as it says.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// What they are of.
    pub about: About,
    /// Components of each.
    len: usize,
    values: Vec<f32>,
}

/// A person of a data set, with the frames of each picture in which there was something to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The name.
    pub name: String,
    /// For each picture its path and its frames' embeddings; the first is the picture's own, a further frame without a
    /// face is left out.
    pub pictures: Vec<(String, Vec<Embedding>)>,
}

impl Embeddings {
    /// Embeddings by picture and frame, in the order of `about`.
    ///
    /// # Errors
    /// [`EmbeddingsError::Shape`] if they are not as many or not of one length.
    pub fn new(about: About, embeddings: &[Embedding]) -> Result<Self, EmbeddingsError> {
        let len = embeddings.first().map_or(0, |first| first.0.len());
        if embeddings.iter().any(|embedding| embedding.0.len() != len) {
            return Err(EmbeddingsError::Shape("the embeddings differ in length"));
        }
        let values = embeddings.iter().flat_map(|embedding| embedding.0.iter().copied()).collect();
        Self::checked(about, len, values)
    }

    fn checked(about: About, len: usize, values: Vec<f32>) -> Result<Self, EmbeddingsError> {
        if about.format != EMBEDDINGS_FORMAT {
            return Err(EmbeddingsError::Format { found: about.format });
        }
        let frames = about.frames;
        if frames == 0 || about.pictures.iter().any(|one| one.face_found.len() != frames) {
            return Err(EmbeddingsError::Shape("a picture has another number of frames"));
        }
        if len == 0 || values.len() != about.pictures.len() * frames * len {
            return Err(EmbeddingsError::Shape("there are not as many embeddings as pictures"));
        }
        if values.iter().any(|value| !value.is_finite()) {
            return Err(EmbeddingsError::Shape("an embedding holds a value that is no number"));
        }
        Ok(Self { about, len, values })
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// [`EmbeddingsError`] if the library refuses them.
    pub fn to_bytes(&self) -> Result<Vec<u8>, EmbeddingsError> {
        let data: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let shape = vec![self.about.pictures.len(), self.about.frames, self.len];
        let view = TensorView::new(Dtype::F32, shape, &data)?;
        let text = HashMap::from([(META_KEY.to_owned(), serde_json::to_string(&self.about)?)]);
        Ok(safetensors::serialize([(TENSOR, view)], Some(text))?)
    }

    /// Embeddings from a file's bytes, none of which is trusted.
    ///
    /// # Errors
    /// [`EmbeddingsError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EmbeddingsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let text = header.metadata().as_ref().and_then(|map| map.get(META_KEY));
        let text = text.ok_or(EmbeddingsError::Shape("the file does not describe embeddings"))?;
        let about: About = serde_json::from_str(text)?;
        let file = SafeTensors::deserialize(bytes)?;
        let view = file.tensor(TENSOR)?;
        let &[pictures, frames, len] = view.shape() else {
            return Err(EmbeddingsError::Shape("the embeddings are not by picture and frame"));
        };
        if view.dtype() != Dtype::F32 || pictures != about.pictures.len() || frames != about.frames
        {
            return Err(EmbeddingsError::Shape("the embeddings are not those described"));
        }
        let (values, _) = view.data().as_chunks();
        Self::checked(about, len, values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
    }

    /// The people of a half with their pictures, in the order of their names.
    #[must_use]
    pub fn subjects(&self, half: Half) -> Vec<Subject> {
        let mut people: BTreeMap<&str, Vec<(String, Vec<Embedding>)>> = BTreeMap::new();
        let by_picture = self.values.chunks_exact(self.len * self.about.frames);
        for (picture, values) in self.about.pictures.iter().zip(by_picture) {
            if Half::of(picture.person()) != half {
                continue;
            }
            let frames = values.chunks_exact(self.len).zip(&picture.face_found).enumerate();
            // The picture itself counts without a face too, as in LFW's own protocol.
            let frames = frames.filter(|&(idx, (_, &found))| idx == 0 || found);
            let frames = frames.map(|(_, (values, _))| Embedding(values.to_vec())).collect();
            people.entry(picture.person()).or_default().push((picture.path.clone(), frames));
        }
        let subject = |(name, pictures): (&str, _)| Subject { name: name.to_owned(), pictures };
        people.into_iter().map(subject).collect()
    }
}

/// The digest of pictures, given one by one in order.
#[derive(Debug, Default)]
pub struct PicturesDigest(blake3::Hasher);

impl PicturesDigest {
    /// Takes in a picture.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        for part in [path.as_bytes(), bytes] {
            self.0.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }

    /// The digest in hex.
    #[must_use]
    pub fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}

/// People about their own directions, with so many pictures of each, seeded: for the tests of the protocols.
#[cfg(test)]
pub(super) fn made_up(people: usize, pictures: usize, noise: f32) -> Vec<Subject> {
    let mut random = super::bootstrap::SplitMix64(7);
    let mut normal =
        move || (0..8).map(|_| random.below(2001) as f32 / 1000.0 - 1.0).sum::<f32>() / 8.0;
    let mut of = |person: usize| {
        let mean: Vec<f32> = (0..16).map(|_| normal()).collect();
        let mut picture = |n: usize| {
            let values: Vec<f32> = mean.iter().map(|v| v + noise * normal()).collect();
            let norm = values.iter().map(|v| v * v).sum::<f32>().sqrt();
            let embedding = Embedding(values.iter().map(|v| v / norm).collect());
            (format!("{person}/{n}"), vec![embedding])
        };
        Subject { name: person.to_string(), pictures: (0..pictures).map(&mut picture).collect() }
    };
    (0..people).map(&mut of).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    fn about(pictures: &[(&str, [bool; 2])]) -> About {
        let picture = |&(path, found): &(&str, [bool; 2])| Picture {
            path: path.to_owned(),
            face_found: found.to_vec(),
        };
        About {
            format: EMBEDDINGS_FORMAT,
            model: "00".repeat(32),
            model_name: "net".to_owned(),
            metric: Metric::L2,
            detector: "11".repeat(32),
            pictures_digest: PicturesDigest::default().finish(),
            frames: 2,
            pictures: pictures.iter().map(picture).collect(),
        }
    }

    #[test]
    fn embeddings_come_back_from_their_bytes_by_person() {
        let pictures = [
            ("Ada_Lovelace/1.jpg", [true, true]),
            ("Ada_Lovelace/2.jpg", [false, false]),
            ("Grace_Hopper/1.jpg", [true, true]),
        ];
        let values: Vec<Embedding> = (0..6).map(|i| Embedding(vec![i as f32; 3])).collect();
        let made = Embeddings::new(about(&pictures), &values).unwrap();
        let read = Embeddings::from_bytes(&made.to_bytes().unwrap()).unwrap();
        assert_eq!(read, made);
        let check = read.subjects(Half::Check);
        assert_eq!(check.len(), 1);
        assert_eq!((check[0].name.as_str(), check[0].pictures.len()), ("Ada_Lovelace", 2));
        assert_eq!(check[0].pictures[0].1.len(), 2);
        assert_eq!(check[0].pictures[1].1, [values[2].clone()], "a frame without a face is out");
        assert_eq!(read.subjects(Half::Fit)[0].pictures[0].1[1], values[5]);
    }

    #[test]
    fn files_that_do_not_agree_with_themselves_are_refused() {
        let pictures = [("A/1.jpg", [true, true])];
        let two = [Embedding(vec![1.0]), Embedding(vec![2.0])];
        let refused = |about: About, values: &[Embedding]| Embeddings::new(about, values).is_err();
        assert!(!refused(about(&pictures), &two));
        assert!(refused(about(&pictures), &two[..1]));
        assert!(refused(about(&pictures), &[Embedding(vec![1.0]), Embedding(vec![1.0, 2.0])]));
        assert!(refused(about(&pictures), &[Embedding(vec![1.0]), Embedding(vec![f32::NAN])]));
        assert!(refused(About { format: 2, ..about(&pictures) }, &two));
        assert!(refused(About { frames: 1, ..about(&pictures) }, &two));
        let bytes = Embeddings::new(about(&pictures), &two).unwrap().to_bytes().unwrap();
        for cut in [0, 7, bytes.len() / 2, bytes.len() - 1] {
            assert!(Embeddings::from_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
