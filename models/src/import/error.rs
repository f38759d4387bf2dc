//! Why a weights file was not imported; every message ends with what to do.

use crate::pack::PackError;
use safetensors::SafeTensorError;
use std::path::PathBuf;

/// A weights file that is not turned into a pack.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file could not be read.
    #[error("{}: {source}; check the path and its permissions", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A fault with the file that it is in.
    #[error("{}: {fault}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// The fault.
        fault: Box<ImportError>,
    },
    /// The file is longer than any weights file of these networks.
    #[error("{len} bytes, the weights files read here have at most {max}; name another file")]
    TooLong {
        /// Bytes found.
        len: u64,
        /// The most that is read.
        max: u64,
    },
    /// The first bytes are of no known kind.
    #[error(
        "of no kind that is read here; name {{p,r,o}}net.pt of facenet-pytorch 2.5.3 or its wheel, \
         20180402-114759-vggface2.pt, FaceNet's safetensors file, dlib_face_recognition_resnet_model_v1.dat or the \
         face_recognition_models sdist, or a pack"
    )]
    UnknownKind,
    /// A pickle names a class that no table of weights needs.
    #[error(
        "the pickle names {class}, which no table of weights needs; nothing of it was run; do not trust this file, \
         get the published one"
    )]
    ForeignClass {
        /// Module and name.
        class: String,
    },
    /// A pickle that is damaged or no table of weights.
    #[error("pickle at byte {offset}: {fault}; get the published file again")]
    Pickle {
        /// Where in the pickle.
        offset: usize,
        /// What is wrong there.
        fault: String,
    },
    /// A torch file whose parts do not fit together.
    #[error("torch file: {fault}; get the published file again")]
    Torch {
        /// What does not fit.
        fault: String,
    },
    /// A zip archive that cannot be read.
    #[error("zip archive: {0}; get the published file again")]
    Zip(#[from] zip::result::ZipError),
    /// A published archive that cannot be unpacked.
    #[error("archive: {fault}; get the published file again")]
    Archive {
        /// What is wrong.
        fault: String,
    },
    /// A dlib file that is not the face recognition model.
    #[error(
        "dlib file at byte {offset}: {fault}; get dlib_face_recognition_resnet_model_v1.dat of \
         face_recognition_models 0.3.0 again"
    )]
    Dlib {
        /// Where in the file.
        offset: usize,
        /// What was expected, what was found.
        fault: String,
    },
    /// A safetensors file that cannot be read.
    #[error("safetensors file: {0}; get the published file again")]
    Safetensors(#[from] SafeTensorError),
    /// An archive without the weights file that it should hold.
    #[error("no {entry} in the archive; name another file")]
    NoEntry {
        /// The file looked for.
        entry: &'static str,
    },
    /// A stage of the detector is missing beside the one named.
    #[error("{} is not there; put pnet.pt, rnet.pt and onet.pt in one folder", path.display())]
    NoStage {
        /// The missing file.
        path: PathBuf,
    },
    /// The tensors are those of another network.
    #[error("tensor {name} is missing, so these are no weights of {network}; name another file")]
    NoTensor {
        /// The network that the file seemed to be for.
        network: &'static str,
        /// The missing tensor.
        name: String,
    },
    /// A tensor has another shape than the network's.
    #[error("tensor {name}: expected shape {expected:?}, found {found:?}; name another file")]
    Shape {
        /// The tensor's name in the file.
        name: String,
        /// What the network needs.
        expected: Vec<usize>,
        /// What the file has.
        found: Vec<usize>,
    },
    /// A tensor is of another element type than the published file's.
    #[error("tensor {name} is {found}, expected F32; name another file")]
    ElementType {
        /// The tensor's name in the file.
        name: String,
        /// What the file has.
        found: String,
    },
    /// A batch norm's variance is not positive, or a weight not a number.
    #[error(
        "tensor {name} holds a value that is no weight ({value}); get the published file again"
    )]
    Value {
        /// The tensor's name in the file.
        name: String,
        /// The value.
        value: f32,
    },
    /// The right network, but not the weights whose threshold was measured.
    #[error(
        "these are weights of {network}, but not the published ones (digest {found}, expected {expected}): no threshold \
         was measured with them, so no door should open by them; get the published file with `threshold model fetch`"
    )]
    OtherWeights {
        /// The network.
        network: &'static str,
        /// Digest of the published tensors, first 16 hex digits.
        expected: String,
        /// Digest of these.
        found: String,
    },
    /// The pack itself is wrong.
    #[error(transparent)]
    Pack(#[from] PackError),
}
