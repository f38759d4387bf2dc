//! A photo with exactly one face: read, detected, judged and embedded.
//!
//! Owns the check that there is one face, and that it is good enough to enrol.
//! Refuses to choose among several faces: the administrator does, by cutting the photo down.

use crate::error::HostError;
use std::path::{Path, PathBuf};
use threshold_models::engine::{Detection, Embedding, Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_models::picture;
use threshold_models::quality::{Quality, QualityLimits, assess};

/// The one face of a photo.
#[derive(Clone, Debug)]
pub struct Photo {
    /// The file.
    pub path: PathBuf,
    /// Where the face is.
    pub face: Detection,
    /// How good it is.
    pub quality: Quality,
    /// What the embedder makes of it.
    pub embedding: Embedding,
}

/// Reads the one face of a photo; a poor one is read too, its quality says so.
///
/// # Errors
/// An unreadable picture, [`HostError::NoFace`], [`HostError::ManyFaces`], or what the engine failed with.
pub fn read_one_face(
    engine: &mut dyn Engine,
    path: &Path,
    min_face_px: u32,
    limits: &QualityLimits,
) -> anyhow::Result<Photo> {
    if path.is_dir() {
        return Err(HostError::FolderForPicture { path: path.display().to_string() }.into());
    }
    let frame = picture::read(path)?;
    let (face, quality) = one_face(engine, path, &frame, min_face_px, limits)?;
    let embedding = engine.embed(&frame, &[face])?.pop().ok_or(EngineError::NoEmbedder)?;
    Ok(Photo { path: path.to_path_buf(), face, quality, embedding })
}

/// The one face of a photo that was read, and how good it is.
///
/// # Errors
/// [`HostError::NoFace`], [`HostError::ManyFaces`], or what the engine failed with.
pub fn one_face(
    engine: &mut dyn Engine,
    path: &Path,
    frame: &Frame,
    min_face_px: u32,
    limits: &QualityLimits,
) -> anyhow::Result<(Detection, Quality)> {
    let photo = || path.display().to_string();
    let faces = engine.detect(frame)?;
    match faces[..] {
        [] => Err(HostError::NoFace { photo: photo(), min_face_px }.into()),
        [face] => Ok((face, assess(frame, &faces, limits))),
        _ => Err(HostError::ManyFaces { photo: photo(), count: faces.len() }.into()),
    }
}

/// Checks that a face is good enough to enrol.
///
/// # Errors
/// [`HostError::PoorFace`].
pub fn check(path: &Path, quality: Quality) -> Result<(), HostError> {
    if quality.is_good() {
        return Ok(());
    }
    let Quality { percent, cause } = quality;
    Err(HostError::PoorFace { photo: path.display().to_string(), cause, percent })
}

impl Photo {
    /// Checks that the face is good enough to enrol.
    ///
    /// # Errors
    /// [`HostError::PoorFace`].
    pub fn check(&self) -> Result<(), HostError> {
        check(&self.path, self.quality)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::engine::BBox;

    /// Finds so many faces of that size, whatever the frame shows.
    struct Finds(usize, f32);

    impl Engine for Finds {
        fn detect(&mut self, _: &Frame) -> Result<Vec<Detection>, EngineError> {
            let place = |[x, y]: [f32; 2]| [8.0 + x * self.1, 8.0 + y * self.1];
            let landmarks =
                [[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.75], [0.65, 0.75]].map(place);
            let bbox = BBox { x1: 8.0, y1: 8.0, x2: 8.0 + self.1, y2: 8.0 + self.1 };
            Ok(vec![Detection { bbox, landmarks, score: 0.999 }; self.0])
        }

        fn embed(&mut self, _: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
            Ok(vec![Embedding(vec![1.0; 128]); faces.len()])
        }
    }

    fn check(mut engine: Finds, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ann.png");
        let pixel = |x: u32, y: u32| image::Rgb([(x * 37 % 200) as u8, (y * 53 % 200) as u8, 90]);
        image::RgbImage::from_fn(160, 160, pixel).save(&path).unwrap();
        let read = read_one_face(&mut engine, &path, 40, &QualityLimits::default());
        let said = read.and_then(|photo| {
            photo.check()?;
            Ok(format!("{} values", photo.embedding.0.len()))
        });
        let said = said.unwrap_or_else(|error| error.to_string());
        assert_eq!(said.replace(&format!("{}: ", path.display()), ""), expected);
    }

    #[test]
    fn exactly_one_good_face_is_taken() {
        check(Finds(1, 120.0), "128 values");
        check(Finds(0, 120.0), "no face found (smallest looked for: 40 px)");
        check(Finds(2, 120.0), "2 faces found, exactly one is needed");
        check(
            Finds(1, 36.0),
            "the face is not good enough to enrol: the face is too small (quality 45 %)",
        );
    }

    #[test]
    fn a_file_that_is_no_picture_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "hello").unwrap();
        let limits = QualityLimits::default();
        let error = read_one_face(&mut Finds(1, 99.0), &path, 40, &limits).unwrap_err();
        assert!(error.to_string().contains("notes.txt"), "{error}");
        let error = read_one_face(&mut Finds(1, 99.0), folder.path(), 40, &limits).unwrap_err();
        assert!(error.to_string().ends_with("is a folder, not a picture"), "{error}");
    }
}
