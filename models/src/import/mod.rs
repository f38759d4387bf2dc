//! Importers: published weights files into packs.
//!
//! Owns the foreign formats, their names and layouts, and the list of weights whose meaning is known. Refuses to run
//! anything that a file holds, to take a size from a file without a bound, and weights that nobody measured.
//! The unit's binary is built without this module (feature `import`): a door reads packs and nothing else.

mod archive;
mod dlib;
mod error;
mod facenet;
mod fetch;
mod fold;
mod known;
mod mtcnn;
mod pickle;
mod torch;

pub use error::ImportError;
pub use fetch::{FetchError, FetchOptions, Fetched, FetchedPack, fetch};
pub use known::{description, digest, is_current, with_golden};
pub use torch::StateDict;

use crate::pack::{Network, Pack, PackError, read_bounded};
use crate::tensor::Tensors;
use safetensors::SafeTensors;
use std::path::Path;

/// The longest weights file read; FaceNet's torch file has 111 MB.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Makes a pack of a file of any supported kind, or of a folder with the detector's three stages.
///
/// A stage's file (`pnet.pt`) takes the other two from beside it. A pack is read and checked.
///
/// # Errors
/// [`ImportError`], naming the file.
pub fn any(path: &Path) -> Result<Pack, ImportError> {
    if path.is_dir() {
        return stages(path);
    }
    let bytes = read(path)?;
    let in_file = |fault| ImportError::In { path: path.to_path_buf(), fault: Box::new(fault) };
    if torch::is_legacy(&bytes) {
        let table = StateDict::read(&bytes).map_err(in_file)?;
        if mtcnn::STAGES.iter().any(|(_, mark)| table.contains(mark)) {
            return stages(path.parent().unwrap_or(Path::new(".")));
        }
    }
    from_bytes(&bytes).map_err(in_file)
}

/// Makes a pack of a file's bytes; the detector needs its wheel here, since a stage alone is not enough.
///
/// # Errors
/// [`ImportError`] for a file of another kind, a damaged one, or other weights than the published.
pub fn from_bytes(bytes: &[u8]) -> Result<Pack, ImportError> {
    if dlib::is_model(bytes) {
        return known::pack(Network::DlibResnet29, dlib::read(bytes)?);
    }
    if archive::is_gzip(bytes) {
        let model = archive::dlib_model(bytes)?;
        return known::pack(Network::DlibResnet29, dlib::read(&model)?);
    }
    if archive::is_zip(bytes) && archive::is_wheel(bytes)? {
        return detector(&archive::stages(bytes)?);
    }
    if archive::is_zip(bytes) || torch::is_legacy(bytes) {
        let mut table = StateDict::read(bytes)?;
        if let Some((stage, _)) = mtcnn::STAGES.iter().find(|(_, mark)| table.contains(mark)) {
            let path = format!("{stage}.pt and its two companions").into();
            return Err(ImportError::NoStage { path });
        }
        return known::pack(Network::InceptionResnetV1, facenet::from_torch(&mut table)?);
    }
    // A safetensors file starts with the length of a JSON object.
    if bytes.get(8) == Some(&b'{') {
        return match Pack::from_bytes(bytes) {
            Err(PackError::NoMeta) => {
                let file = SafeTensors::deserialize(bytes)?;
                known::pack(Network::InceptionResnetV1, facenet::from_tensorflow(&file)?)
            }
            pack => Ok(pack?),
        };
    }
    Err(ImportError::UnknownKind)
}

/// The detector's pack of the three stages' files.
fn stages(folder: &Path) -> Result<Pack, ImportError> {
    let mut files: [Vec<u8>; 3] = Default::default();
    for ((stage, _), file) in mtcnn::STAGES.iter().zip(&mut files) {
        let path = folder.join(format!("{stage}.pt"));
        if !path.is_file() {
            return Err(ImportError::NoStage { path });
        }
        *file = read(&path)?;
    }
    detector(&files)
        .map_err(|fault| ImportError::In { path: folder.to_path_buf(), fault: Box::new(fault) })
}

fn detector(files: &[Vec<u8>; 3]) -> Result<Pack, ImportError> {
    let mut tensors = Tensors::new();
    for (stage, file) in files.iter().enumerate() {
        mtcnn::add_stage(&mut tensors, stage, &mut StateDict::read(file)?)?;
    }
    known::pack(Network::Mtcnn, tensors)
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    read_bounded(path, FILE_BYTES_MAX).map_err(|error| match error {
        PackError::Io { path, source } => ImportError::Io { path, source },
        PackError::In { path, fault } => match *fault {
            PackError::TooLong { len, max } => {
                let fault = Box::new(ImportError::TooLong { len, max });
                ImportError::In { path, fault }
            }
            other => other.into(),
        },
        other => other.into(),
    })
}
