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
mod measured;
mod meta;

pub use dir::{PackDir, PackEntry, cache_dir};
pub use error::PackError;
pub use golden::{GOLDEN_TOLERANCE_F16, GOLDEN_TOLERANCE_F32, Golden};
pub use meta::{EmbedderMeta, Network, PACK_FORMAT, PackMeta, Preprocessing, ScoreStats, Source};

use crate::cpu::prefer_large;
use crate::engine::EngineError;
use crate::tensor::{Tensor, TensorSource, Tensors, Values};
use half::f16;
use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use std::collections::{BTreeMap, HashMap};
use std::io::{Read as _, Write as _};
use std::ops::Range;
use std::path::Path;
use threshold_record::ModelId;

/// Key of the description in the header's `__metadata__`.
const META_KEY: &str = "threshold.pack";

/// The longest file that is read at all; FaceNet's pack has 47 MB.
pub const PACK_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// A network's weights and their description. Holding one proves that its bytes are a pack's: the tensors are exactly the
/// network's and finite. The weights stay in those bytes until an engine takes them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pack {
    /// BLAKE3 of the pack's bytes.
    pub id: ModelId,
    /// The description, as the bytes hold it.
    pub meta: PackMeta,
    bytes: Vec<u8>,
    /// Where each tensor lies in `bytes`.
    places: BTreeMap<String, Place>,
}

#[derive(Clone, Debug, PartialEq)]
struct Place {
    dtype: Dtype,
    shape: Vec<usize>,
    range: Range<usize>,
}

impl Pack {
    /// A pack of these tensors, rounded as the file holds them.
    ///
    /// # Errors
    /// [`PackError`] if the description is wrong, a tensor is not the network's, or a value does not fit.
    pub fn new(meta: PackMeta, tensors: &Tensors) -> Result<Self, PackError> {
        check_meta(&meta)?;
        let bytes: Vec<(&str, Dtype, &[usize], Vec<u8>)> = tensors
            .iter()
            .map(|(name, tensor)| {
                let dtype = element_type(meta.network, name);
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
            let view = TensorView::new(*dtype, shape.to_vec(), data);
            views.push((*name, view.map_err(|_| wrong_size(meta.network, name, shape))?));
        }
        let text = HashMap::from([(META_KEY.to_owned(), serde_json::to_string(&meta)?)]);
        Self::from_bytes(safetensors::serialize(views, Some(text))?)
    }

    /// The pack's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All tensors by canonical name, FP16 ones widened.
    #[must_use]
    pub fn tensors(&self) -> Tensors {
        let tensor = |(name, place): (&String, &Place)| {
            let data = self.at(place).widened(&mut Vec::new()).to_vec();
            (name.clone(), Tensor { shape: place.shape.clone(), data })
        };
        self.places.iter().map(tensor).collect()
    }

    fn at(&self, place: &Place) -> Values<'_> {
        let bytes = self.bytes.get(place.range.clone()).unwrap_or(&[]);
        match place.dtype {
            Dtype::F16 => Values::F16Bytes(bytes.as_chunks().0),
            _ => Values::F32Bytes(bytes.as_chunks().0),
        }
    }

    /// A pack from its bytes, none of which is trusted.
    ///
    /// # Errors
    /// [`PackError`] for anything that [`Pack::new`] would not have made.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self, PackError> {
        let bytes = bytes.into();
        let (header_len, header) = SafeTensors::read_metadata(&bytes)?;
        let meta = description(&header)?;
        let network = meta.network;
        let found = header.tensors();
        let mut places = BTreeMap::new();
        for spec in network.weights() {
            let info = found.get(&spec.name);
            if info.is_none_or(|info| info.shape != spec.shape) {
                return Err(PackError::Tensor {
                    name: spec.name,
                    expected: Some(spec.shape),
                    found: info.map(|info| info.shape.clone()),
                });
            }
            let (dtype, offsets) = info.map_or((Dtype::F32, (0, 0)), |i| (i.dtype, i.data_offsets));
            let expected = element_type(network, &spec.name);
            if dtype != expected {
                return Err(PackError::ElementType {
                    name: spec.name,
                    expected: expected.to_string(),
                    found: dtype.to_string(),
                });
            }
            let data = size_of::<u64>() + header_len;
            let range = data + offsets.0..data + offsets.1;
            places.insert(spec.name, Place { dtype, shape: spec.shape, range });
        }
        if let Some((name, info)) = found.into_iter().find(|(name, _)| !places.contains_key(name)) {
            return Err(PackError::Tensor {
                name,
                expected: None,
                found: Some(info.shape.clone()),
            });
        }
        let pack = Self { id: model_id(&bytes), meta, bytes, places };
        match pack.places.iter().find(|(_, place)| !pack.at(place).all_finite()) {
            Some((name, _)) => Err(PackError::NotFinite { name: name.clone() }),
            None => Ok(pack),
        }
    }

    /// Reads a pack file.
    ///
    /// # Errors
    /// [`PackError`], naming the file.
    pub fn read(path: &Path) -> Result<Self, PackError> {
        let bytes = read_bounded(path, PACK_BYTES_MAX)?;
        Self::from_bytes(bytes).map_err(|fault| in_file(path, fault))
    }

    /// Writes the pack, whole or not at all: beside its place first, then renamed.
    ///
    /// # Errors
    /// [`PackError::Io`] if it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), PackError> {
        let io = |source| PackError::Io { path: path.to_path_buf(), source };
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(dir).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
        file.write_all(&self.bytes).map_err(io)?;
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

    /// Description of a pack file, from its header alone: a start must not read the weights that it does not run.
    pub(crate) fn describe(path: &Path) -> Result<PackMeta, PackError> {
        let io = |source| PackError::Io { path: path.to_path_buf(), source };
        let mut file = std::fs::File::open(path).map_err(io)?;
        let len = file.metadata().map_err(io)?.len();
        if len > PACK_BYTES_MAX {
            return Err(in_file(path, PackError::TooLong { len, max: PACK_BYTES_MAX }));
        }
        let fault = |fault: SafeTensorError| in_file(path, fault.into());
        let mut start = [0; size_of::<u64>()];
        if len < start.len() as u64 {
            return Err(fault(SafeTensorError::HeaderTooSmall));
        }
        file.read_exact(&mut start).map_err(io)?;
        let header_len = u64::from_le_bytes(start);
        if header_len > len - start.len() as u64 {
            return Err(fault(SafeTensorError::InvalidHeaderLength));
        }
        let header = read_to_end(&mut file, header_len).map_err(io)?;
        let header: Metadata = serde_json::from_slice(&header)
            .map_err(|error| fault(SafeTensorError::InvalidHeaderDeserialization(error)))?;
        let data_len = header.data_len() as u64;
        if (start.len() as u64).checked_add(header_len).and_then(|n| n.checked_add(data_len))
            != Some(len)
        {
            return Err(fault(SafeTensorError::MetadataIncompleteBuffer));
        }
        description(&header).map_err(|fault| in_file(path, fault))
    }
}

impl TensorSource for Pack {
    fn find(&self, name: &str, shape: &[usize]) -> Result<Values<'_>, EngineError> {
        match self.places.get(name) {
            Some(place) if place.shape == shape => Ok(self.at(place)),
            found => Err(EngineError::Tensor {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: found.map(|place| place.shape.clone()).unwrap_or_default(),
            }),
        }
    }
}

/// BLAKE3 of a file, which is the model id if it is a pack.
pub(crate) fn id_of(path: &Path) -> Result<ModelId, PackError> {
    Ok(model_id(&read_bounded(path, PACK_BYTES_MAX)?))
}

/// The whole file, if it is no longer than `max`.
pub(crate) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, PackError> {
    let io = |source| PackError::Io { path: path.to_path_buf(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let len = file.metadata().map_err(io)?.len();
    if len > max {
        return Err(in_file(path, PackError::TooLong { len, max }));
    }
    // A file that grows while it is read stays within the bound too.
    read_to_end(&mut { file }, len).map_err(io)
}

fn read_to_end(file: &mut std::fs::File, len: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
    prefer_large(&mut bytes);
    file.take(len).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn in_file(path: &Path, fault: PackError) -> PackError {
    PackError::In { path: path.to_path_buf(), fault: Box::new(fault) }
}

fn description(header: &Metadata) -> Result<PackMeta, PackError> {
    let text = header.metadata().as_ref().and_then(|map| map.get(META_KEY));
    let meta: PackMeta = serde_json::from_str(text.ok_or(PackError::NoMeta)?)?;
    check_meta(&meta)?;
    Ok(meta)
}

fn check_meta(meta: &PackMeta) -> Result<(), PackError> {
    meta.fault().map_or(Ok(()), |fault| Err(PackError::Meta { fault }))
}

/// A tensor whose values are not as many as its shape says.
fn wrong_size(network: Network, name: &str, shape: &[usize]) -> PackError {
    let spec = network.weights().into_iter().find(|spec| spec.name == name);
    PackError::Tensor {
        name: name.to_owned(),
        expected: spec.map(|spec| spec.shape),
        found: Some(shape.to_vec()),
    }
}

/// What the file holds a tensor as. Detection needs scores within 1e-4 of the reference, and its 2 MB are not worth
/// rounding; biases are too few to matter.
fn element_type(network: Network, name: &str) -> Dtype {
    if !network.is_detector() && name.ends_with(".weight") { Dtype::F16 } else { Dtype::F32 }
}

fn model_id(bytes: &[u8]) -> ModelId {
    ModelId(*blake3::hash(bytes).as_bytes())
}
