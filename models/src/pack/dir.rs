//! The folder of packs: which there are, which one is asked for.
//!
//! Owns the lookup rule that both binaries share. Refuses to choose silently among faults: a pack that cannot be read
//! is named when one of its kind is asked for and no other is there.

use super::{Network, Pack, PackError, PackMeta, id_of};
use std::path::{Path, PathBuf};
use threshold_record::ModelId;

/// A readable pack of the folder.
#[derive(Clone, Debug)]
pub struct PackEntry {
    /// The file.
    pub path: PathBuf,
    /// Its description.
    pub meta: PackMeta,
}

impl PackEntry {
    /// Its model id, for which the whole file is read.
    ///
    /// # Errors
    /// [`PackError::Io`] if it cannot be read.
    pub fn id(&self) -> Result<ModelId, PackError> {
        id_of(&self.path)
    }
}

/// A folder of `*.pack` files, in name order.
#[derive(Debug)]
pub struct PackDir {
    dir: PathBuf,
    entries: Vec<PackEntry>,
    faults: Vec<PackError>,
}

impl PackDir {
    /// Reads the descriptions of all packs of a folder, no weights; one that cannot be read is kept as a fault.
    ///
    /// # Errors
    /// [`PackError::Io`] if the folder cannot be listed; [`PackError::NotFound`] if it does not exist.
    pub fn open(dir: &Path) -> Result<Self, PackError> {
        let io = |source| PackError::Io { path: dir.to_path_buf(), source };
        if !dir.exists() {
            return Err(PackError::NotFound {
                what: "packs".to_owned(),
                dir: dir.to_path_buf(),
                broken: vec![],
            });
        }
        let mut paths = vec![];
        for entry in std::fs::read_dir(dir).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path.extension().is_some_and(|extension| extension == "pack") {
                paths.push(path);
            }
        }
        paths.sort();
        let (mut entries, mut faults) = (vec![], vec![]);
        for path in paths {
            match Pack::describe(&path) {
                Ok(meta) => entries.push(PackEntry { path, meta }),
                Err(fault) => faults.push(fault),
            }
        }
        Ok(Self { dir: dir.to_path_buf(), entries, faults })
    }

    /// The folder that the arguments and the environment name: `flag`, else `THRESHOLD_PACKS`, else `packs` in
    /// [`cache_dir`].
    ///
    /// # Errors
    /// [`PackError::NoFolder`] if none of them is set.
    pub fn locate(flag: Option<&Path>) -> Result<PathBuf, PackError> {
        if let Some(dir) = flag {
            return Ok(dir.to_path_buf());
        }
        match non_empty("THRESHOLD_PACKS") {
            Some(dir) => Ok(dir),
            None => Ok(cache_dir()?.join("packs")),
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Every readable pack, in name order.
    #[must_use]
    pub fn entries(&self) -> &[PackEntry] {
        &self.entries
    }

    /// Packs that could not be read.
    #[must_use]
    pub fn faults(&self) -> &[PackError] {
        &self.faults
    }

    /// Every embedder, in name order.
    pub fn embedders(&self) -> impl Iterator<Item = &PackEntry> {
        self.entries.iter().filter(|entry| !entry.meta.network.is_detector())
    }

    /// The detector; the first in name order.
    ///
    /// # Errors
    /// [`PackError`] if there is none or its weights cannot be read.
    pub fn detector(&self) -> Result<Pack, PackError> {
        self.load("detector pack", |entry| entry.meta.network.is_detector())
    }

    /// FaceNet if it is there, else dlib's ResNet-29.
    ///
    /// # Errors
    /// [`PackError`] if there is neither or its weights cannot be read.
    pub fn default_embedder(&self) -> Result<Pack, PackError> {
        let is = |network| move |entry: &PackEntry| entry.meta.network == network;
        if self.entries.iter().any(is(Network::InceptionResnetV1)) {
            return self.load("embedder pack", is(Network::InceptionResnetV1));
        }
        self.load("embedder pack", is(Network::DlibResnet29))
    }

    /// The pack with that model id.
    ///
    /// # Errors
    /// [`PackError`] if it is not there or its weights cannot be read.
    pub fn find(&self, id: ModelId) -> Result<Pack, PackError> {
        // Each is read once, whole, since only that gives its id; one that cannot be read is not the one asked for.
        let mut packs = self.entries.iter().filter_map(|entry| Pack::read(&entry.path).ok());
        packs
            .find(|pack| pack.id == id)
            .ok_or_else(|| self.missing(&format!("pack with model id {id}")))
    }

    /// The pack of that name (`facenet` and `dlib` are short for the two embedders).
    ///
    /// # Errors
    /// [`PackError`] if it is not there or its weights cannot be read.
    pub fn named(&self, name: &str) -> Result<Pack, PackError> {
        let network = match name {
            "facenet" => Some(Network::InceptionResnetV1),
            "dlib" => Some(Network::DlibResnet29),
            _ => None,
        };
        self.load(&format!("pack named {name}"), |entry| {
            entry.meta.name == name || Some(entry.meta.network) == network
        })
    }

    fn load(&self, what: &str, wanted: impl Fn(&PackEntry) -> bool) -> Result<Pack, PackError> {
        match self.entries.iter().find(|entry| wanted(entry)) {
            Some(entry) => Pack::read(&entry.path),
            None => Err(self.missing(what)),
        }
    }

    fn missing(&self, what: &str) -> PackError {
        PackError::NotFound {
            what: what.to_owned(),
            dir: self.dir.clone(),
            broken: self.faults.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The cache folder: `THRESHOLD_CACHE`, else `threshold` in `XDG_CACHE_HOME`, else `~/.cache/threshold`.
///
/// # Errors
/// [`PackError::NoFolder`] if none of them is set.
pub fn cache_dir() -> Result<PathBuf, PackError> {
    non_empty("THRESHOLD_CACHE")
        .or_else(|| Some(non_empty("XDG_CACHE_HOME")?.join("threshold")))
        .or_else(|| Some(non_empty("HOME")?.join(".cache/threshold")))
        .ok_or(PackError::NoFolder)
}

fn non_empty(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}
