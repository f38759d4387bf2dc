//! Packs: a network's weights with everything that gives its scores a meaning, in one file.
//!
//! Owns the byte form, its checks and the model id. Refuses a pack whose tensors are not exactly those of its network,
//! or whose description contradicts it: a unit that reads one knows what its embeddings mean.
//!
//! A pack is a safetensors file: length of the header (u64), header (JSON), tensors. The header's `__metadata__` has one
//! key, `threshold.pack`, whose value is the description ([`PackMeta`]) as JSON text; one key, because a map of several
//! would have no fixed order. Convolution and dense weights of embedders are FP16, everything else is FP32. The bytes
//! follow from the content alone, and their BLAKE3 hash is the model id.

mod dir;
mod error;
mod golden;
mod meta;

pub use dir::{PackDir, PackEntry, cache_dir};
pub use error::PackError;
pub use golden::{GOLDEN_TOLERANCE_F32, Golden, synthetic_input};
pub use meta::{
    Distribution, EmbedderMeta, Network, PACK_FORMAT, PackMeta, Preprocessing, ScoreStats, Source,
};

use crate::tensor::{Tensor, Tensors};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::path::Path;
use threshold_record::ModelId;

/// Key of the description in the header's `__metadata__`.
const META_KEY: &str = "threshold.pack";

/// The longest file that is read at all; FaceNet's pack has 47 MB.
pub const PACK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A network's weights and their description. Holding one proves that the tensors are exactly the network's, finite,
/// and rounded as its bytes are.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// BLAKE3 of the pack's bytes.
    pub id: ModelId,
    /// The description.
    pub meta: PackMeta,
    /// Tensors by canonical name, FP16 ones widened.
    pub tensors: Tensors,
}

impl Pack {
    /// A pack of these tensors, which are rounded as the file will hold them.
    ///
    /// # Errors
    /// [`PackError`] if the description is wrong, a tensor is not the network's, or a value does not fit.
    pub fn new(meta: PackMeta, tensors: Tensors) -> Result<Self, PackError> {
        let tensors = rounded(meta.network, tensors)?;
        let mut pack = Self { id: ModelId([0; 32]), meta, tensors };
        pack.id = model_id(&pack.to_bytes()?);
        Ok(pack)
    }

    /// The pack's bytes.
    ///
    /// # Errors
    /// [`PackError`] if the description or a tensor was changed into something that is no pack.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PackError> {
        check_meta(&self.meta)?;
        check_tensors(self.meta.network, &self.tensors)?;
        let bytes: Vec<(&str, Dtype, &[usize], Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let dtype = element_type(self.meta.network, name);
                let data = match dtype {
                    Dtype::F16 => {
                        let half = tensor.data.iter().map(|&value| f16::from_f32(value));
                        half.flat_map(f16::to_le_bytes).collect()
                    }
                    _ => tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect(),
                };
                (name.as_str(), dtype, tensor.shape.as_slice(), data)
            })
            .collect();
        let mut views = Vec::with_capacity(bytes.len());
        for (name, dtype, shape, data) in &bytes {
            views.push((*name, TensorView::new(*dtype, shape.to_vec(), data)?));
        }
        let meta = HashMap::from([(META_KEY.to_owned(), serde_json::to_string(&self.meta)?)]);
        Ok(safetensors::serialize(views, Some(meta))?)
    }

    /// Reads a pack from its bytes, trusting none of them.
    ///
    /// # Errors
    /// [`PackError`] for anything that [`Pack::to_bytes`] would not have written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PackError> {
        let (meta, file) = open(bytes)?;
        let network = meta.network;
        let mut tensors = Tensors::new();
        for spec in network.weights() {
            let missing = |found| PackError::Tensor {
                name: spec.name.clone(),
                expected: Some(spec.shape.clone()),
                found,
            };
            let view = file.tensor(&spec.name).map_err(|_| missing(None))?;
            if view.shape() != spec.shape {
                return Err(missing(Some(view.shape().to_vec())));
            }
            let expected = element_type(network, &spec.name);
            if view.dtype() != expected {
                return Err(PackError::ElementType {
                    name: spec.name,
                    expected: expected.to_string(),
                    found: view.dtype().to_string(),
                });
            }
            tensors.insert(spec.name, Tensor { shape: spec.shape, data: floats(&view) });
        }
        if let Some(extra) = file.names().into_iter().find(|name| !tensors.contains_key(*name)) {
            let found = file.tensor(extra).ok().map(|view| view.shape().to_vec());
            return Err(PackError::Tensor { name: extra.to_owned(), expected: None, found });
        }
        check_tensors(network, &tensors)?;
        Ok(Self { id: model_id(bytes), meta, tensors })
    }

    /// Reads a pack file.
    ///
    /// # Errors
    /// [`PackError`], naming the file.
    pub fn read(path: &Path) -> Result<Self, PackError> {
        let bytes = read_bounded(path, PACK_BYTES_MAX)?;
        Self::from_bytes(&bytes).map_err(|fault| in_file(path, fault))
    }

    /// Writes the pack, whole or not at all: beside its place first, then renamed.
    ///
    /// # Errors
    /// [`PackError::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PackError> {
        let bytes = self.to_bytes()?;
        let io = |source| PackError::Io { path: path.to_path_buf(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        file.write_all(&bytes).map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }

    /// The crop, metric and threshold of an embedder's pack.
    ///
    /// # Errors
    /// [`PackError::WrongNetwork`] for a detector's.
    pub fn embedder(&self) -> Result<&EmbedderMeta, PackError> {
        self.meta.embedder.as_ref().ok_or_else(|| PackError::WrongNetwork {
            name: self.meta.name.clone(),
            expected: "an embedder".to_owned(),
            found: self.meta.network.to_string(),
        })
    }

    /// Id and description of a pack file, without making its tensors.
    pub(crate) fn describe(path: &Path) -> Result<(ModelId, PackMeta), PackError> {
        let bytes = read_bounded(path, PACK_BYTES_MAX)?;
        let (meta, _) = open(&bytes).map_err(|fault| in_file(path, fault))?;
        Ok((model_id(&bytes), meta))
    }
}

/// The whole file, if it is no longer than `max`.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, PackError> {
    let io = |source| PackError::Io { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > max {
        return Err(in_file(path, PackError::TooLong { len, max }));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    // A file that grows while it is read stays within the bound too.
    file.take(max).read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn in_file(path: &Path, fault: PackError) -> PackError {
    PackError::In { path: path.to_path_buf(), fault: Box::new(fault) }
}

fn open(bytes: &[u8]) -> Result<(PackMeta, SafeTensors<'_>), PackError> {
    let (_, header) = SafeTensors::read_metadata(bytes)?;
    let text = header.metadata().as_ref().and_then(|map| map.get(META_KEY));
    let meta: PackMeta = serde_json::from_str(text.ok_or(PackError::NoMeta)?)?;
    check_meta(&meta)?;
    Ok((meta, SafeTensors::deserialize(bytes)?))
}

fn check_meta(meta: &PackMeta) -> Result<(), PackError> {
    meta.fault().map_or(Ok(()), |fault| Err(PackError::Meta { fault }))
}

/// Exactly the network's tensors, all finite.
fn check_tensors(network: Network, tensors: &Tensors) -> Result<(), PackError> {
    let specs = network.weights();
    for spec in &specs {
        let found = tensors.get(&spec.name);
        if !found.is_some_and(|t| t.shape == spec.shape && t.data.len() == spec.len()) {
            return Err(PackError::Tensor {
                name: spec.name.clone(),
                expected: Some(spec.shape.clone()),
                found: found.map(|tensor| tensor.shape.clone()),
            });
        }
    }
    for (name, tensor) in tensors {
        if !specs.iter().any(|spec| spec.name == *name) {
            let found = Some(tensor.shape.clone());
            return Err(PackError::Tensor { name: name.clone(), expected: None, found });
        }
        if !tensor.data.iter().all(|value| value.is_finite()) {
            return Err(PackError::NotFinite { name: name.clone() });
        }
    }
    Ok(())
}

/// What the file holds a tensor as. Detection needs scores within 1e-4 of the reference, and its 2 MB are not worth
/// rounding; biases are too few to matter.
fn element_type(network: Network, name: &str) -> Dtype {
    if !network.is_detector() && name.ends_with(".weight") { Dtype::F16 } else { Dtype::F32 }
}

fn rounded(network: Network, mut tensors: Tensors) -> Result<Tensors, PackError> {
    for (name, tensor) in &mut tensors {
        if element_type(network, name) == Dtype::F16 {
            for value in &mut tensor.data {
                *value = f16::from_f32(*value).to_f32();
            }
        }
    }
    check_tensors(network, &tensors)?;
    Ok(tensors)
}

fn floats(view: &TensorView<'_>) -> Vec<f32> {
    match view.dtype() {
        Dtype::F16 => {
            // All at once, since the processor converts eight at a time where a loop asks it for each.
            let halves = view.data().as_chunks::<2>().0.iter().map(|&b| f16::from_le_bytes(b));
            let mut floats = vec![0.0; view.data().len() / 2];
            halves.collect::<Vec<f16>>().convert_to_f32_slice(&mut floats);
            floats
        }
        _ => {
            let four = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
            view.data().chunks_exact(4).map(four).collect()
        }
    }
}

fn model_id(bytes: &[u8]) -> ModelId {
    ModelId(*blake3::hash(bytes).as_bytes())
}
