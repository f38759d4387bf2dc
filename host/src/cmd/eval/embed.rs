//! `threshold eval embed`: the embeddings of a data set, made once, and the reading of such a file.
//!
//! Owns the running and the file. Its form is `threshold_models::eval::embeddings`'s.
//! Refuses pictures that lie in no person's folder: whose are they?

use super::{MIN_FACE_PX, over, title};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::{args, pictures};
use anyhow::Context;
use serde_json::json;
use std::path::Path;
use threshold_models::engine::{Embedding, Engine, EngineError};
use threshold_models::eval::augment;
use threshold_models::eval::embeddings::{
    About, EMBEDDINGS_FORMAT, Embeddings, Picture, PicturesDigest,
};
use threshold_models::eval::lfw;
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;

pub(super) fn run(meant: &Meant, typed: &args::EvalEmbed) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let engines = Engines::open(meant)?;
    let (detector, model) = (engines.detector()?, engines.embedder(meant.model.as_ref())?);
    let paths = of_people(&typed.images)?;
    let mut digest = PicturesDigest::default();
    for path in &paths {
        let file = typed.images.join(path);
        digest.add(path, &std::fs::read(&file).map_err(HostError::file(&file))?);
    }
    let n_frames = usize::from(typed.frames);
    let made = over(
        meant,
        &detector,
        Some(&model),
        MIN_FACE_PX,
        &typed.images,
        &paths,
        |engine, picture| frames_of(engine, picture, n_frames),
    )?;
    let mut embeddings = Vec::with_capacity(paths.len() * n_frames);
    let mut listed = Vec::with_capacity(paths.len());
    for (path, frames) in paths.into_iter().zip(made) {
        listed.push(Picture { path, face_found: frames.iter().map(|one| one.1).collect() });
        embeddings.extend(frames.into_iter().map(|one| one.0));
    }
    let about = About {
        format: EMBEDDINGS_FORMAT,
        model: model.id.to_string(),
        model_name: model.meta.name.clone(),
        metric: model.embedder()?.metric,
        detector: detector.id.to_string(),
        pictures_digest: digest.finish(),
        frames: n_frames,
        pictures: listed,
    };
    let all = Embeddings::new(about, &embeddings)?;
    std::fs::write(&typed.out, all.to_bytes()?).map_err(HostError::file(&typed.out))?;
    let without = |idx: usize| all.about.pictures.iter().filter(|one| !one.face_found[idx]).count();
    let without_face: Vec<usize> = (0..n_frames).map(without).collect();
    let value = json!({
        "model": all.about.model,
        "model_name": all.about.model_name,
        "pictures": all.about.pictures.len(),
        "frames": n_frames,
        "pictures_digest": all.about.pictures_digest,
        "without_face": without_face,
    });
    meant.say.result(&value, || text(&all, &model, &without_face, &typed.out))?;
    Ok(())
}

/// Detects and embeds every frame of a picture, with whether a face was found in it.
fn frames_of(
    engine: &mut dyn Engine,
    picture: &Frame,
    n_frames: usize,
) -> Result<Vec<(Embedding, bool)>, EngineError> {
    let mut made = Vec::with_capacity(n_frames);
    for idx in 0..n_frames {
        let Ok(Some(frame)) = augment::frame_of(picture, idx) else { break };
        let one = lfw::embed_picture(engine, &frame)?;
        made.push((one.embedding, one.face_found));
    }
    Ok(made)
}

/// The pictures of a folder of people, as paths below it, `Person/file`, in order.
fn of_people(folder: &Path) -> anyhow::Result<Vec<String>> {
    let pictures = pictures::named(&[folder.to_path_buf()])?;
    let below = |path: &std::path::PathBuf| {
        let parts = path.strip_prefix(folder).unwrap_or(path).components();
        let parts: Option<Vec<&str>> = parts.map(|part| part.as_os_str().to_str()).collect();
        parts.filter(|parts| parts.len() > 1).map(|parts| parts.join("/")).with_context(|| {
            let what = "a picture is in a folder named after its person, both in UTF-8";
            HostError::DataSet { path: path.display().to_string(), line: 0, what: what.to_owned() }
        })
    };
    pictures.iter().map(below).collect()
}

/// Reads what `eval embed` wrote.
pub(super) fn read(path: &Path) -> anyhow::Result<Embeddings> {
    let bytes = std::fs::read(path).map_err(HostError::file(path))?;
    Embeddings::from_bytes(&bytes).map_err(|error| {
        let (path, what) = (path.display().to_string(), error.to_string());
        HostError::DataSet { path, line: 0, what }.into()
    })
}

fn text(all: &Embeddings, model: &Pack, without_face: &[usize], out: &Path) -> String {
    format!(
        "{}\n{} pictures, {} frames of each, {} without a face (by frame)\nwritten: {}",
        title("embeddings", model),
        all.about.pictures.len(),
        all.about.frames,
        without_face.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
        out.display()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn pictures_are_known_by_the_folder_of_their_person() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("Ada")).unwrap();
        std::fs::write(folder.path().join("Ada/1.jpg"), "").unwrap();
        assert_eq!(of_people(folder.path()).unwrap(), ["Ada/1.jpg"]);
        std::fs::write(folder.path().join("lone.jpg"), "").unwrap();
        let error = of_people(folder.path()).unwrap_err();
        assert!(error.to_string().contains("lone.jpg"), "{error}");
    }

    #[test]
    fn a_file_that_holds_no_embeddings_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.embeddings");
        std::fs::write(&path, "no").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("a.embeddings"), "{error}");
    }
}
