//! `threshold detect`: the faces of pictures, as text or JSON, and drawn into copies.

use super::Answer;
use crate::engines::Engines;
use crate::error::HostError;
use crate::{args, draw, meant::Meant, parallel, pictures, remedy};
use anyhow::Context;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use threshold_models::engine::{Detection, Engine};
use threshold_models::frame::Frame;
use threshold_models::picture;

/// What was found in one picture.
struct Found {
    width: usize,
    height: usize,
    faces: Vec<Detection>,
    drawn: Option<PathBuf>,
}

/// Detects faces in every picture; one that cannot be read is said to be, and the others are done all the same.
///
/// # Errors
/// [`HostError::PicturesLeft`] at the end if pictures could not be read; a missing detector pack, or a folder for `--draw`
/// that cannot be written, before.
pub fn run(meant: &Meant, typed: &args::Detect) -> anyhow::Result<Answer> {
    let pictures = pictures::named(&typed.pictures)?;
    let detector = Engines::open(meant)?.detector()?;
    if let Some(folder) = &typed.draw {
        if !folder.exists() {
            std::fs::create_dir_all(folder).map_err(HostError::file(folder))?;
        }
        pictures::folder(folder)?;
    }
    let bar = meant.say.bar(pictures.len() as u64, "detecting");
    let (workers, threads_each) = Engines::shares(meant.threads, pictures.len());
    let targets = typed.draw.as_deref().map(|folder| targets(folder, &pictures));
    let places: Vec<usize> = (0..pictures.len()).collect();
    let found = parallel::over(
        &places,
        workers,
        || anyhow::Ok(Engines::engine(&detector, None, typed.min_face, threads_each)?),
        |engine, &place| {
            let path = &pictures[place];
            let seen = picture::read(path).map_err(anyhow::Error::new).and_then(|frame| {
                let faces = engine.detect(&frame).with_context(|| path.display().to_string())?;
                Ok((frame, faces))
            });
            let (frame, faces) = match seen {
                Ok(seen) => seen,
                Err(error) => {
                    bar.inc(1);
                    return Ok(Err(error));
                }
            };
            let drawn = targets.as_ref().map(|targets| write(&targets[place], &frame, &faces));
            bar.inc(1);
            let (width, height) = (frame.width(), frame.height());
            anyhow::Ok(Ok(Found { width, height, faces, drawn: drawn.transpose()? }))
        },
    )?;
    bar.finish_and_clear();
    let (mut rows, mut faults) = (Vec::new(), Vec::new());
    for (path, found) in pictures.iter().zip(found) {
        match found {
            Ok(found) => rows.push((path, found)),
            // Where nothing else was asked for, the picture's error is the run's.
            Err(error) if pictures.len() == 1 => return Err(error),
            Err(error) => {
                meant.say.error(&error);
                faults.push(remedy::without(&error));
            }
        }
    }
    let values: Vec<Value> = rows.iter().map(|(path, found)| value(path, found)).collect();
    let value = json!({ "min_face_px": typed.min_face, "pictures": values, "faults": faults });
    meant.say.result(&value, || {
        rows.iter().map(|(path, found)| text(path, found)).collect::<Vec<_>>().join("\n")
    })?;
    match faults.len() {
        0 => Ok(Answer::Yes),
        failed => Err(HostError::PicturesLeft { failed, all: pictures.len() }.into()),
    }
}

/// Where each picture's annotated copy goes: `<name>.faces.png`, numbered where two pictures have one name.
fn targets(folder: &Path, pictures: &[PathBuf]) -> Vec<PathBuf> {
    let mut uses = std::collections::BTreeMap::new();
    let name_of = |path: &PathBuf| {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let uses = uses.entry(name.clone()).and_modify(|uses| *uses += 1).or_insert(1);
        let number = if *uses == 1 { String::new() } else { format!("-{uses}") };
        folder.join(format!("{name}{number}.faces.png"))
    };
    pictures.iter().map(name_of).collect()
}

fn write(target: &Path, frame: &Frame, faces: &[Detection]) -> anyhow::Result<PathBuf> {
    let file = std::fs::File::create(target).map_err(HostError::file(target))?;
    let mut out = std::io::BufWriter::new(file);
    draw::annotated(frame, faces).write_to(&mut out, image::ImageFormat::Png).map_err(|error| {
        match error {
            image::ImageError::IoError(error) => HostError::file(target)(error).into(),
            other => anyhow::Error::new(other).context(target.display().to_string()),
        }
    })?;
    out.into_inner().map_err(|error| HostError::file(target)(error.into_error()))?;
    Ok(target.to_path_buf())
}

/// A detection as every command prints it.
#[must_use]
pub fn face_value(face: &Detection) -> Value {
    let px = |value: f32| (f64::from(value) * 1e3).round() / 1e3;
    json!({
        "box": [px(face.bbox.x1), px(face.bbox.y1), px(face.bbox.x2), px(face.bbox.y2)],
        "landmarks": face.landmarks.map(|[x, y]| [px(x), px(y)]),
        "score": (f64::from(face.score) * 1e6).round() / 1e6,
    })
}

fn value(path: &Path, found: &Found) -> Value {
    let faces: Vec<Value> = found.faces.iter().map(face_value).collect();
    let mut value = json!({
        "picture": path.display().to_string(),
        "width": found.width,
        "height": found.height,
        "faces": faces,
    });
    if let Some(drawn) = &found.drawn {
        value["drawn"] = json!(drawn.display().to_string());
    }
    value
}

fn text(path: &Path, found: &Found) -> String {
    let mut lines = vec![format!(
        "{}: {} x {}, {} face{}",
        path.display(),
        found.width,
        found.height,
        found.faces.len(),
        if found.faces.len() == 1 { "" } else { "s" }
    )];
    lines.extend(found.faces.iter().map(|face| {
        let bbox = face.bbox;
        format!(
            "  box {:.1} {:.1} {:.1} {:.1}  score {:.4}  eyes {:.0},{:.0} {:.0},{:.0}",
            bbox.x1,
            bbox.y1,
            bbox.x2,
            bbox.y2,
            face.score,
            face.landmarks[0][0],
            face.landmarks[0][1],
            face.landmarks[1][0],
            face.landmarks[1][1]
        )
    }));
    if let Some(drawn) = &found.drawn {
        lines.push(format!("  drawn into {}", drawn.display()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_pictures_of_one_name_are_drawn_into_two_files() {
        let pictures = ["a/x.jpg", "b/x.png", "b/y.png"].map(PathBuf::from);
        let expected = ["out/x.faces.png", "out/x-2.faces.png", "out/y.faces.png"];
        assert_eq!(targets(Path::new("out"), &pictures), expected.map(PathBuf::from));
    }
}
