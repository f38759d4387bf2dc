//! The engine: what turns frames into detections and embeddings, whatever the arithmetic runs on.

use crate::frame::Frame;
use crate::quality::{self, Measures};
use crate::search::{Candidates, Index, SearchError};

/// A box in frame pixels: `x1 <= x2`, `y1 <= y2`; may stick out of the frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BBox {
    /// Left edge.
    pub x1: f32,
    /// Top edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Bottom edge.
    pub y2: f32,
}

/// Five points in frame pixels, as seen in the picture: left eye, right eye, nose, left and right corner of the
/// mouth (so the subject's right eye comes first).
pub type Landmarks = [[f32; 2]; 5];

/// A face: final box, landmarks, and O-Net's score in 0..1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection {
    /// Final box.
    pub bbox: BBox,
    /// Landmarks.
    pub landmarks: Landmarks,
    /// O-Net's probability that this is a face.
    pub score: f32,
}

/// What an embedder says of a crop: as long as the pack's `embedding_len`, unit or not as its metric says.
#[derive(Clone, Debug, PartialEq)]
pub struct Embedding(pub Vec<f32>);

/// A face's looks, and whom it is like.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// What it looks like, for `quality::grade`.
    pub measures: Measures,
    /// The best candidate of the gallery and the best of another person.
    pub candidates: Candidates,
}

/// What a frame shows, and who the largest faces on it may be.
#[derive(Clone, Debug, Default)]
pub struct Recognition {
    /// All faces, as [`Engine::detect`] finds them.
    pub faces: Vec<Detection>,
    /// Of the first of them, in that order.
    pub compared: Vec<Compared>,
}

/// Why an engine gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine was made without an embedder.
    #[error("this engine has no embedder; open it with a pack of an embedding network")]
    NoEmbedder,
    /// A pack lacks a tensor, or it has another shape.
    #[error("tensor {name}: expected shape {expected:?}, found {found:?}")]
    Tensor {
        /// The tensor's name.
        name: String,
        /// What the network needs.
        expected: Vec<usize>,
        /// What the pack has; empty if it has none.
        found: Vec<usize>,
    },
    /// A network gave a value that is not a number.
    #[error("{network} gave a value that is not finite")]
    NotFinite {
        /// The network's name.
        network: &'static str,
    },
    /// A gallery that the embedder's probes cannot be compared with.
    #[error(transparent)]
    Search(#[from] SearchError),
    /// The device that the engine runs on failed.
    #[error("{what}")]
    Device {
        /// What failed, and what to do.
        what: String,
    },
    /// An option of the cascade is out of range.
    #[error("cascade option {option} is {value}; it must be from {min} to {max}")]
    CascadeOption {
        /// The option's name.
        option: &'static str,
        /// What was asked for.
        value: f64,
        /// The least allowed.
        min: f64,
        /// The most allowed.
        max: f64,
    },
}

/// Detection and embedding, on whatever hardware. Deterministic: one frame, one answer.
pub trait Engine: Send {
    /// Faces of a frame, by box area descending, then score, then index.
    ///
    /// # Errors
    /// [`EngineError`] if the arithmetic failed; the caller refuses.
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError>;

    /// Proposals of the last frame for which the engine had no room. The best by score were kept, but a face may be missing.
    /// Engines without such a bound have none.
    fn overflow(&self) -> usize {
        0
    }

    /// One embedding for each face given, in that order.
    ///
    /// # Errors
    /// [`EngineError`] if there is no embedder or the arithmetic failed.
    fn embed(&mut self, frame: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError>;

    /// All faces of a frame, with looks and candidates of the `most` largest: detection, quality, embedding and the search of
    /// that very gallery, whatever the engine held before. It scores a probe of each of them, good or not.
    ///
    /// # Errors
    /// As [`Engine::detect`] and [`Engine::embed`]; [`EngineError::Search`] if the gallery is of another model's templates.
    fn recognise(
        &mut self,
        frame: &Frame,
        gallery: &Index,
        most: usize,
    ) -> Result<Recognition, EngineError> {
        let faces = self.detect(frame)?;
        let largest = faces.get(..most).unwrap_or(&faces);
        let embeddings = if largest.is_empty() { Vec::new() } else { self.embed(frame, largest)? };
        let compared = largest.iter().zip(&embeddings).map(|(face, embedding)| {
            let candidates = gallery.search(embedding)?;
            Ok(Compared { measures: quality::measure(frame, face), candidates })
        });
        let compared = compared.collect::<Result<_, SearchError>>()?;
        Ok(Recognition { faces, compared })
    }

    /// True if [`Engine::recognise`] is one go, and takes the engine no longer than detection and embedding by themselves.
    fn recognises_at_once(&self) -> bool {
        false
    }

    /// Brings a gallery to where [`Engine::recognise`] will search it, so that this need not wait then, and forgets the one
    /// before. An engine that searches where the gallery lies has nothing to do.
    ///
    /// # Errors
    /// [`EngineError`] if there is no room for it, or its templates are another model's; none is held then.
    fn hold(&mut self, _gallery: Option<&Index>) -> Result<(), EngineError> {
        Ok(())
    }
}
