//! The engine: what turns frames into detections and embeddings, whatever the arithmetic runs on.

use crate::frame::Frame;

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
}
