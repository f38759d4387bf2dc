//! `threshold compare`: how alike the faces of two pictures are, and what the model's threshold says of it.
//!
//! The verdict is that of the model's own threshold, at which it errs least on LFW's pairs; a door is stricter, so its
//! floor stands beside it.

use super::detect::face_value;
use super::{Answer, door_distance, round};
use crate::causes::cause_words;
use crate::engines::Engines;
use crate::explain::short_id;
use crate::photo::{Photo, read_one_face};
use crate::{args, meant::Meant};
use serde_json::{Value, json};
use threshold_models::quality::QualityLimits;
use threshold_models::search::distance;

/// Compares the one face of each picture; [`Answer::No`] if they are below the threshold.
///
/// # Errors
/// A picture without exactly one face, or a missing pack.
pub fn run(meant: &Meant, typed: &args::Compare) -> anyhow::Result<Answer> {
    let engines = Engines::open(meant)?;
    let pack = engines.embedder(meant.model.as_ref())?;
    let detector = engines.detector()?;
    let mut engine = Engines::engine(&detector, Some(&pack), typed.min_face, meant.threads)?;
    let limits = QualityLimits::default();
    let mut read = |path| read_one_face(&mut engine, path, typed.min_face, &limits);
    let (a, b) = (read(&typed.a)?, read(&typed.b)?);
    let embedder = pack.embedder()?;
    let metric = embedder.metric;
    let distance = distance(metric, &a.embedding, &b.embedding);
    let score = metric.score(distance);
    let limit = embedder.threshold_distance;
    let same = distance <= limit;
    let door = door_distance(embedder);
    let value = json!({
        "a": photo_value(&a),
        "b": photo_value(&b),
        "model": pack.id.to_string(),
        "model_name": pack.meta.name,
        "distance": round(distance),
        "distance_unit": metric.unit(),
        "distance_threshold": round(limit),
        "score": round(score.0),
        "score_threshold": round(metric.score(limit).0),
        "door_distance_threshold": round(door),
        "door_score_threshold": round(metric.score(door).0),
        "same_person": same,
    });
    meant.say.result(&value, || {
        let verdict = if same { "the same person" } else { "different people" };
        let unit = metric.unit();
        format!(
            "{verdict}\n  distance  {distance:.3} {unit} (the model's threshold {limit:.3}, a unit's at most \
             {door:.3})\n  \
             score     {score} (the model's threshold {}, a unit's at least {})\n  \
             quality   {} and {}\n  model     {} (id {})",
            metric.score(limit),
            metric.score(door),
            quality_text(&a),
            quality_text(&b),
            pack.meta.name,
            short_id(&pack.id.to_string()),
        )
    })?;
    Ok(if same { Answer::Yes } else { Answer::No })
}

/// A poor face is compared all the same: the verdict is the reader's to doubt.
fn quality_text(photo: &Photo) -> String {
    let quality = photo.quality;
    if quality.is_good() {
        return format!("{} %", quality.percent);
    }
    format!("{} % ({})", quality.percent, cause_words(quality.cause))
}

fn photo_value(photo: &Photo) -> Value {
    json!({
        "picture": photo.path.display().to_string(),
        "face": face_value(&photo.face),
        "quality": photo.quality.percent,
        "cause": photo.quality.cause.text(),
    })
}
