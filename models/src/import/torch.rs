//! Torch files: the legacy format (pickles, then storages) and the zip format, read as tables of named tensors.
//!
//! Owns both containers and the views into storages. Refuses anything but a table of tensors (a `state_dict`), and to
//! run a pickle: see [`super::pickle`].
//!
//! Legacy: pickle of a magic number, of the version 1001, of facts about the machine, of the table, of the storages'
//! keys in file order; then for each storage its number of elements (i64) and the elements.
//! Zip: `<name>/data.pkl` with the table, `<name>/data/<key>` with each storage, neither compressed.

use super::error::ImportError;
use super::pickle::{Element, PICKLE_BYTES_MAX, Pickle, Storage, TensorView, Value};
use half::{bf16, f16};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read as _};
use std::ops::Range;
use zip::{CompressionMethod, ZipArchive};

/// First bytes of a legacy file: protocol 2, then the magic number 0x1950a86a20f9469cfc6c as a long of ten bytes.
const LEGACY_START: [u8; 4] = [0x80, 0x02, 0x8a, 0x0a];
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The longest name of a tensor or storage; FaceNet's have up to 50 bytes.
const NAME_BYTES_MAX: usize = 256;

/// Whether a file starts as torch's legacy format does.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(&LEGACY_START)
}

/// A table of named tensors that were not decoded yet.
#[derive(Debug)]
pub struct StateDict<'a> {
    views: BTreeMap<String, View>,
    storages: Storages<'a>,
}

#[derive(Clone, Debug)]
struct View {
    key: String,
    element: Element,
    len: usize,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

#[derive(Debug)]
enum Storages<'a> {
    Legacy { bytes: &'a [u8], ranges: HashMap<String, Range<usize>> },
    Zip { archive: ZipArchive<Cursor<&'a [u8]>>, folder: String },
}

impl<'a> StateDict<'a> {
    /// Reads a file of either format.
    ///
    /// # Errors
    /// [`ImportError`] if it is neither, is damaged, or holds something else than named tensors.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        if is_legacy(bytes) { Self::read_legacy(bytes) } else { Self::read_zip(bytes) }
    }

    /// Names of the tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.views.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.views.contains_key(name)
    }

    /// The values of a tensor, row-major, if it has that shape.
    ///
    /// # Errors
    /// [`ImportError`] if it is missing, has another shape, is not of floats, or lies outside its storage.
    pub fn floats(
        &mut self,
        network: &'static str,
        name: &str,
        shape: &[usize],
    ) -> Result<Vec<f32>, ImportError> {
        let view = self.views.get(name);
        let view = view.ok_or_else(|| ImportError::NoTensor { network, name: name.to_owned() })?;
        if view.shape != shape {
            return Err(ImportError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: view.shape.clone(),
            });
        }
        view.check_bounds(name)?;
        let data = self.storages.bytes(&view.key, view.len, view.element)?;
        Ok(places(view).map(|place| number(&data, view.element, place)).collect())
    }

    fn read_legacy(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut at = 0;
        let mut next = || -> Result<Pickle<'a>, ImportError> {
            let pickle = Pickle::read(&bytes[at..]).map_err(|error| shifted(error, at))?;
            at += pickle.len;
            Ok(pickle)
        };
        let (magic, version, machine, table, keys) = (next()?, next()?, next()?, next()?, next()?);
        if *magic.root() != Value::Wide(&MAGIC) || *version.root() != Value::Int(1001) {
            return Err(torch("not of the legacy format's version 1001"));
        }
        if entry(&machine, "little_endian") != Some(&Value::Bool(true)) {
            return Err(torch("not written on a little-endian machine"));
        }
        let views = views(&table)?;
        let lens: HashMap<&str, usize> = views
            .values()
            .map(|view| (view.key.as_str(), view.len.saturating_mul(view.element.bytes())))
            .collect();
        let Value::List(keys_in_order) = keys.root() else {
            return Err(torch("there is no list of storages"));
        };
        let mut ranges = HashMap::new();
        for &key in keys_in_order {
            let Value::Text(key) = keys.value(key) else {
                return Err(torch("a storage's key is not text"));
            };
            let Some(&len) = lens.get(key) else {
                return Err(torch(&format!("no tensor looks into storage {}", shown(key))));
            };
            let start = at.checked_add(8).filter(|&start| start <= bytes.len());
            let end =
                start.and_then(|start| start.checked_add(len)).filter(|&end| end <= bytes.len());
            let (Some(start), Some(end)) = (start, end) else {
                return Err(torch(&format!("it ends inside storage {}", shown(key))));
            };
            ranges.insert((*key).to_owned(), start..end);
            at = end;
        }
        if at != bytes.len() {
            return Err(torch(&format!("{} bytes follow the last storage", bytes.len() - at)));
        }
        let storages = Storages::Legacy { bytes, ranges };
        Ok(Self { views, storages })
    }

    fn read_zip(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        let folder = archive
            .file_names()
            .filter_map(Result::ok)
            .find_map(|name| name.strip_suffix("/data.pkl").map(str::to_owned))
            .filter(|folder| !folder.contains('/'));
        let folder = folder.ok_or_else(|| torch("the archive has no data.pkl"))?;
        if let Ok(order) = stored(&mut archive, &format!("{folder}/byteorder"), 16)
            && order != b"little"
        {
            return Err(torch("not written on a little-endian machine"));
        }
        let pickle = stored(&mut archive, &format!("{folder}/data.pkl"), PICKLE_BYTES_MAX)?;
        let table = Pickle::read(&pickle)?;
        if table.len != pickle.len() {
            return Err(torch("bytes follow the table in data.pkl"));
        }
        let views = views(&table)?;
        Ok(Self { views, storages: Storages::Zip { archive, folder } })
    }
}

impl View {
    /// Every element lies inside the storage, and there are no more of them than it holds: a view that repeats
    /// elements could be made as large as one likes.
    fn check_bounds(&self, name: &str) -> Result<(), ImportError> {
        let wrong = || torch(&format!("tensor {} lies outside its storage", shown(name)));
        let mut count = 1_usize;
        let mut last = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            count = count.checked_mul(size).ok_or_else(wrong)?;
            let reach = size.saturating_sub(1).checked_mul(stride);
            last = reach.and_then(|reach| last.checked_add(reach)).ok_or_else(wrong)?;
        }
        if count > self.len || (count > 0 && last >= self.len) { Err(wrong()) } else { Ok(()) }
    }
}

/// Where a view's elements stand in its storage, row-major.
fn places(view: &View) -> impl Iterator<Item = usize> + '_ {
    let count: usize = view.shape.iter().product();
    (0..count).map(|i| {
        let mut rest = i;
        let mut place = view.offset;
        for (&size, &stride) in view.shape.iter().zip(&view.strides).rev() {
            place += rest % size * stride;
            rest /= size;
        }
        place
    })
}

fn number(data: &[u8], element: Element, place: usize) -> f32 {
    let b = &data[place * element.bytes()..][..element.bytes()];
    match element {
        Element::F64 => f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
        Element::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Element::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
        Element::BF16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
        // Refused before: no weight is an integer.
        Element::I64 | Element::I32 => f32::NAN,
    }
}

impl Storages<'_> {
    fn bytes(
        &mut self,
        key: &str,
        len: usize,
        element: Element,
    ) -> Result<Cow<'_, [u8]>, ImportError> {
        if matches!(element, Element::I64 | Element::I32) {
            return Err(torch(&format!("storage {} holds integers, not weights", shown(key))));
        }
        let len = len.saturating_mul(element.bytes());
        match self {
            Self::Legacy { bytes, ranges } => {
                let missing = || torch(&format!("storage {} is not in the file", shown(key)));
                let data = &bytes[ranges.get(key).ok_or_else(missing)?.clone()];
                // Another tensor of this storage may have claimed another length.
                if data.len() == len {
                    Ok(Cow::Borrowed(data))
                } else {
                    Err(of_len(key, data, len))
                }
            }
            Self::Zip { archive, folder } => {
                let data = stored(archive, &format!("{folder}/data/{key}"), len)?;
                if data.len() == len { Ok(Cow::Owned(data)) } else { Err(of_len(key, &data, len)) }
            }
        }
    }
}

/// An entry of at most `max` bytes; torch compresses none, so one that claims to be compressed is refused rather than
/// unpacked to any size.
fn stored(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    name: &str,
    max: usize,
) -> Result<Vec<u8>, ImportError> {
    let file = archive.by_name(name)?;
    if file.compression() != CompressionMethod::Stored || file.encrypted() {
        return Err(torch(&format!("{} is compressed", shown(name))));
    }
    let size = file.size();
    if size > max as u64 {
        return Err(torch(&format!("{} has {size} bytes, at most {max} fit", shown(name))));
    }
    let mut data = vec![];
    let read = file.take((max as u64).saturating_add(1)).read_to_end(&mut data);
    read.map_err(|error| torch(&format!("{}: {error}", shown(name))))?;
    Ok(data)
}

fn views(table: &Pickle<'_>) -> Result<BTreeMap<String, View>, ImportError> {
    let Value::Dict(entries) = table.root() else {
        return Err(torch("it holds no table of tensors (save the model's state_dict())"));
    };
    let mut views = BTreeMap::new();
    for &(name, value) in entries {
        let Value::Text(name) = table.value(name) else {
            return Err(torch("a tensor's name is not text"));
        };
        let Value::Tensor(TensorView { storage, offset, shape, strides }) = table.value(value)
        else {
            return Err(torch(&format!("{} is no tensor", shown(name))));
        };
        let Storage { key, element, len } = *storage;
        // A text is kept once in a pickle and can be named by every tensor; each view has a copy.
        for (what, text) in [("tensor", name), ("storage", &key)] {
            if text.len() > NAME_BYTES_MAX {
                return Err(torch(&format!("{what} {}.. has too long a name", shown(text))));
            }
        }
        let view = View {
            key: key.to_owned(),
            element,
            len,
            offset: *offset,
            shape: shape.clone(),
            strides: strides.clone(),
        };
        views.insert((*name).to_owned(), view);
    }
    Ok(views)
}

fn entry<'p, 'a>(pickle: &'p Pickle<'a>, key: &str) -> Option<&'p Value<'a>> {
    let Value::Dict(entries) = pickle.root() else { return None };
    let found = entries.iter().find(|(name, _)| *pickle.value(*name) == Value::Text(key));
    found.map(|&(_, value)| pickle.value(value))
}

fn shifted(error: ImportError, by: usize) -> ImportError {
    match error {
        ImportError::Pickle { offset, fault } => ImportError::Pickle { offset: offset + by, fault },
        other => other,
    }
}

fn torch(fault: &str) -> ImportError {
    ImportError::Torch { fault: fault.to_owned() }
}

fn of_len(key: &str, data: &[u8], len: usize) -> ImportError {
    torch(&format!("storage {} has {} of {len} bytes", shown(key), data.len()))
}

/// A name from the file as a message may show it: printable, and not of any length.
fn shown(name: &str) -> String {
    name.escape_default().take(80).collect()
}
