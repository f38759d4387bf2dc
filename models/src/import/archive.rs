//! The published archives: facenet-pytorch's wheel (zip) and face_recognition's sdists (tar, gzip).
//!
//! Owns which entry is taken and how long it may be. Refuses to unpack a folder: single entries are read into memory,
//! their names never become paths.

use super::error::ImportError;
use super::mtcnn;
use flate2::read::GzDecoder;
use std::io::{Cursor, Read};
use tar::Archive;
use zip::ZipArchive;

/// The longest entry taken: dlib's model has 22 MB.
const ENTRY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The most that is unpacked on the way to an entry: the sdist has 132 MB.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// The longest path of an entry; the model's has 102 bytes.
const PATH_BYTES_MAX: u64 = 4096;
/// dlib's model in its sdist.
const DLIB_MODEL: &str = "dlib_face_recognition_resnet_model_v1.dat";

/// Whether these are the first bytes of a zip archive.
pub(super) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Whether these are the first bytes of a gzip stream.
pub(super) fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b])
}

/// Whether a zip archive is facenet-pytorch's wheel.
pub(super) fn is_wheel(bytes: &[u8]) -> Result<bool, ImportError> {
    let archive = ZipArchive::new(Cursor::new(bytes))?;
    Ok(archive.index_for_name("facenet_pytorch/__init__.py").is_some())
}

/// The detector's three stages in facenet-pytorch's wheel.
pub(super) fn stages(wheel: &[u8]) -> Result<[Vec<u8>; 3], ImportError> {
    let mut archive = ZipArchive::new(Cursor::new(wheel))?;
    let mut files: [Vec<u8>; 3] = Default::default();
    for ((stage, _), file) in mtcnn::STAGES.iter().zip(&mut files) {
        let entry = archive.by_name(&format!("facenet_pytorch/data/{stage}.pt"))?;
        *file = bounded(entry, &format!("{stage}.pt"))?;
    }
    Ok(files)
}

/// dlib's model in face_recognition_models' sdist.
pub(super) fn dlib_model(sdist: &[u8]) -> Result<Vec<u8>, ImportError> {
    let mut found = None;
    sdist_entries(sdist, |name| (name == DLIB_MODEL).then_some(()), |(), data| found = Some(data))?;
    found.ok_or(ImportError::NoEntry { entry: DLIB_MODEL })
}

/// Hands over the entries of an sdist whose file name (without folders) is wanted.
pub(super) fn sdist_entries<K>(
    sdist: &[u8],
    wanted: impl Fn(&str) -> Option<K>,
    mut take: impl FnMut(K, Vec<u8>),
) -> Result<(), ImportError> {
    let io = |source: std::io::Error| ImportError::Archive { fault: source.to_string() };
    let unpacked = GzDecoder::new(sdist).take(UNPACKED_BYTES_MAX);
    let mut archive = Archive::new(unpacked);
    // GNU's long names are read here and bounded; the crate would read one whole, however long it claims to be.
    let mut long_path = None;
    for entry in archive.entries().map_err(io)?.raw(true) {
        let entry = entry.map_err(io)?;
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            let mut path = vec![];
            entry.take(PATH_BYTES_MAX).read_to_end(&mut path).map_err(io)?;
            long_path = Some(path);
            continue;
        }
        let path = long_path.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        if !kind.is_file() {
            continue;
        }
        let path = str::from_utf8(&path).unwrap_or("").trim_end_matches('\0');
        let name = path.rsplit('/').next().unwrap_or("").to_owned();
        if let Some(key) = wanted(&name) {
            take(key, bounded(entry, &name)?);
        }
    }
    Ok(())
}

fn bounded(entry: impl Read, name: &str) -> Result<Vec<u8>, ImportError> {
    let mut data = vec![];
    let read = entry.take(ENTRY_BYTES_MAX + 1).read_to_end(&mut data);
    let fault = match read {
        Ok(_) if data.len() as u64 <= ENTRY_BYTES_MAX => return Ok(data),
        Ok(_) => format!("{name} has more than {ENTRY_BYTES_MAX} bytes"),
        Err(error) => format!("{name}: {error}"),
    };
    Err(ImportError::Archive { fault })
}
