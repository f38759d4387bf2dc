//! The folder of kernel images that `cargo xtask kernels` writes: which of them suit a device, and whether they are whole.
//!
//! Owns the reading of `manifest.json`, of which it takes the ops, each with its images by target (`sm_87`, `compute_80`),
//! and of an image its file, its hash and its kernels' names. Knows no driver, so that it is tested on any machine.
//! Refuses an image that is not what the manifest says, and a set that lacks an op: half an engine is none.

use crate::device::DeviceError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The manifest's name in the folder.
const MANIFEST: &str = "manifest.json";
/// The layout that is read here.
const FORMAT: u32 = 1;
/// The PTX that drivers assemble for devices that have no cubin, and the least that such a device must be.
const PTX: &str = "compute_80";
const PTX_CAPABILITY: u32 = 80;

#[derive(Deserialize)]
struct Manifest {
    format: u32,
    ops: BTreeMap<String, Op>,
}

#[derive(Deserialize)]
struct Op {
    images: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    file: String,
    hash: String,
    // Kept by name alone: what a kernel needs is the manifest's, what it gets is the driver's word.
    kernels: BTreeMap<String, serde::de::IgnoredAny>,
}

/// The images for one device, whole and of one target.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Images {
    /// `sm_90`, say.
    pub(super) target: String,
    pub(super) all: Vec<Image>,
}

/// What the driver loads; having one proves that its hash is the manifest's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Image {
    /// Its path, for messages.
    pub(super) file: String,
    /// A cubin, or PTX with the zero byte at its end that the driver looks for.
    pub(super) bytes: Vec<u8>,
    pub(super) kernels: Vec<String>,
}

impl Images {
    /// Whether they were compiled for the device's own compute capability, rather than PTX for one before.
    pub(super) fn are_of_the_device(&self) -> bool {
        self.target != PTX
    }

    /// The images of a folder for a device of that compute capability, 10 major + minor.
    ///
    /// # Errors
    /// [`DeviceError::Unreadable`], [`DeviceError::NoImage`] or [`DeviceError::Damaged`].
    pub(super) fn read(folder: &Path, capability: u32) -> Result<Self, DeviceError> {
        let path = folder.join(MANIFEST);
        let unreadable =
            |message: String| DeviceError::Unreadable { file: path.display().to_string(), message };
        let manifest: Manifest = serde_json::from_slice(&read(&path)?)
            .map_err(|error| unreadable(format!("no manifest of kernel images ({error})")))?;
        if manifest.format != FORMAT {
            let found = manifest.format;
            return Err(unreadable(format!(
                "its format is {found}, this program reads {FORMAT}: build both from the same sources"
            )));
        }
        let targets = manifest.targets();
        let target = chosen(&targets, capability).ok_or_else(|| DeviceError::NoImage {
            capability,
            folder: folder.display().to_string(),
            available: if targets.is_empty() { "none".to_owned() } else { targets.join(", ") },
        })?;
        let entries = manifest.ops.values().filter_map(|op| op.images.get(target));
        let all = entries.map(|entry| entry.image(folder)).collect::<Result<_, _>>()?;
        Ok(Self { target: target.to_owned(), all })
    }
}

impl Manifest {
    /// The targets that every op has an image for, in order of name.
    fn targets(&self) -> Vec<&str> {
        let mut ops = self.ops.values();
        let Some(first) = ops.next() else { return Vec::new() };
        let names = first.images.keys().map(String::as_str);
        names.filter(|name| ops.clone().all(|op| op.images.contains_key(*name))).collect()
    }
}

impl Entry {
    fn image(&self, folder: &Path) -> Result<Image, DeviceError> {
        let path = folder.join(&self.file);
        let file = path.display().to_string();
        let mut bytes = read(&path)?;
        // What was hashed is what is loaded: the file is read once.
        if blake3::hash(&bytes).to_hex().as_str() != self.hash {
            return Err(DeviceError::Damaged { file });
        }
        if path.extension().is_some_and(|kind| kind == "ptx") {
            bytes.push(0);
        }
        Ok(Image { file, bytes, kernels: self.kernels.keys().cloned().collect() })
    }
}

/// The device's own cubins, else the PTX for what is new enough. A cubin of another minor version would load on some devices
/// and not on others, so that none is tried.
fn chosen<'a>(targets: &[&'a str], capability: u32) -> Option<&'a str> {
    let exact = format!("sm_{capability}");
    let ptx = targets.iter().filter(|&&target| target == PTX && capability >= PTX_CAPABILITY);
    targets.iter().filter(|&&target| target == exact).chain(ptx).copied().next()
}

fn read(path: &Path) -> Result<Vec<u8>, DeviceError> {
    fs::read(path).map_err(|error| DeviceError::Unreadable {
        file: path.display().to_string(),
        message: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::{Value, json};
    use tempfile::TempDir;

    const ALL: [&str; 4] = ["compute_80", "sm_110", "sm_87", "sm_90"];

    /// A folder with two ops for these targets, as the task writes it; an image's bytes are its file's name.
    fn folder(targets: &[&str]) -> (TempDir, Value) {
        let folder = tempfile::tempdir().unwrap();
        let op = |name: &str| {
            let mut images = serde_json::Map::new();
            for target in targets {
                let ending = if target.starts_with("sm_") { "cubin" } else { "ptx" };
                let file = format!("{target}/{name}.{ending}");
                fs::create_dir_all(folder.path().join(target)).unwrap();
                fs::write(folder.path().join(&file), &file).unwrap();
                let hash = blake3::hash(file.as_bytes()).to_hex().to_string();
                let figures = json!({ "registers": 40, "shared_bytes": 0, "local_bytes": 0,
                                      "spill_store_bytes": 0, "spill_load_bytes": 0 });
                let kernels = json!({ format!("{name}_a"): figures, format!("{name}_b"): figures });
                let image = json!({ "file": file, "hash": hash, "compiler": "NVRTC 12.6.85",
                                    "kernels": kernels });
                images.insert((*target).to_owned(), image);
            }
            json!({ "source": "00", "images": images })
        };
        let ops = json!({ "pnet": op("pnet"), "rnet": op("rnet") });
        let manifest = json!({ "format": 1, "recipe": "00", "headers": "00", "ops": ops });
        write(&folder, &manifest);
        (folder, manifest)
    }

    fn write(folder: &TempDir, manifest: &Value) {
        fs::write(folder.path().join(MANIFEST), manifest.to_string()).unwrap();
    }

    #[test]
    fn a_device_gets_its_own_cubins_else_the_ptx_else_nothing() {
        for (targets, capability, expected) in [
            (&ALL[..], 87, Some("sm_87")),
            (&ALL[..], 90, Some("sm_90")),
            (&ALL[..], 110, Some("sm_110")),
            (&ALL[..], 80, Some("compute_80")),
            (&ALL[..], 86, Some("compute_80")),
            (&ALL[..], 120, Some("compute_80")),
            (&ALL[..], 75, None),
            (&ALL[1..], 86, None),
            (&ALL[1..], 87, Some("sm_87")),
            (&[], 87, None),
        ] {
            assert_eq!(chosen(targets, capability), expected, "{targets:?}, {capability}");
        }
    }

    #[test]
    fn images_are_read_with_their_kernels_and_ptx_ends_with_a_zero() {
        let (folder, _) = folder(&ALL);
        let cubins = Images::read(folder.path(), 90).unwrap();
        assert_eq!((&cubins.target[..], cubins.are_of_the_device()), ("sm_90", true));
        let bytes: Vec<&[u8]> = cubins.all.iter().map(|image| &image.bytes[..]).collect();
        assert_eq!(bytes, [&b"sm_90/pnet.cubin"[..], b"sm_90/rnet.cubin"]);
        assert_eq!(cubins.all[1].kernels, ["rnet_a", "rnet_b"]);
        let ptx = Images::read(folder.path(), 86).unwrap();
        assert!(!ptx.are_of_the_device());
        assert_eq!(ptx.all[0].bytes, b"compute_80/pnet.ptx\0");
    }

    #[test]
    fn a_damaged_image_is_refused_by_name_and_others_do_not_matter() {
        let (folder, _) = folder(&ALL);
        fs::write(folder.path().join("sm_90/rnet.cubin"), "sm_90/rnet.cubiM").unwrap();
        let error = Images::read(folder.path(), 90).unwrap_err();
        assert!(
            matches!(&error, DeviceError::Damaged { file } if file.ends_with("sm_90/rnet.cubin"))
        );
        assert!(error.to_string().ends_with("build the kernels again with `cargo xtask kernels`"));
        assert!(Images::read(folder.path(), 87).is_ok());
    }

    #[test]
    fn a_missing_folder_manifest_or_image_is_named() {
        let (folder, _) = folder(&ALL);
        let missing = folder.path().join("missing");
        for (path, gone) in [(&missing, None), (&folder.path().into(), Some("sm_87/pnet.cubin"))] {
            if let Some(gone) = gone {
                fs::remove_file(path.join(gone)).unwrap();
            }
            let error = Images::read(path, 87).unwrap_err();
            let name = path.join(gone.unwrap_or(MANIFEST)).display().to_string();
            assert!(
                matches!(&error, DeviceError::Unreadable { file, .. } if *file == name),
                "{error}"
            );
        }
    }

    #[test]
    fn a_device_without_images_is_told_what_there_is() {
        let (folder, mut manifest) = folder(&ALL);
        let told = |capability| match Images::read(folder.path(), capability).unwrap_err() {
            DeviceError::NoImage { capability: told, available, .. } if told == capability => {
                available
            }
            other => other.to_string(),
        };
        assert_eq!(told(75), "compute_80, sm_110, sm_87, sm_90");
        // A target that an op lacks is no set.
        manifest["ops"]["rnet"]["images"].as_object_mut().unwrap().remove("compute_80");
        write(&folder, &manifest);
        assert_eq!(told(86), "sm_110, sm_87, sm_90");
        manifest["ops"] = json!({});
        write(&folder, &manifest);
        assert_eq!(told(87), "none");
    }

    #[test]
    fn a_manifest_of_another_form_is_refused() {
        let (folder, mut manifest) = folder(&ALL);
        manifest["format"] = json!(2);
        write(&folder, &manifest);
        let told = || Images::read(folder.path(), 87).unwrap_err().to_string();
        assert!(told().contains("its format is 2, this program reads 1"), "{}", told());
        fs::write(folder.path().join(MANIFEST), "{").unwrap();
        assert!(told().contains("no manifest of kernel images"), "{}", told());
    }
}
