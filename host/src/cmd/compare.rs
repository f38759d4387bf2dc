//! `threshold compare`: how alike the faces of two pictures are, and what the model's threshold says of it.

use super::Answer;
use super::detect::face_value;
use crate::engines::Engines;
use crate::photo::{Photo, read_one_face};
use crate::{args, meant::Meant};
use serde_json::{Value, json};

/// Compares the one face of each picture; [`Answer::No`] if they are below the threshold.
///
/// # Errors
/// A picture without exactly one face, or a missing pack.
pub fn run(meant: &Meant, typed: &args::Compare) -> anyhow::Result<Answer> {
    let engines = Engines::open(meant)?;
    let embedder = engines.embedder(meant.model.as_ref())?;
    let detector = engines.detector()?;
    let mut engine = engines.engine(&detector, Some(&embedder), typed.min_face, meant.threads)?;
    let a = read_one_face(&mut engine, &typed.a, typed.min_face)?;
    let b = read_one_face(&mut engine, &typed.b, typed.min_face)?;
    let metric = embedder.meta.metric;
    let distance = distance(metric, &a.embedding.0, &b.embedding.0);
    let score = metric.score(distance);
    let limit = embedder.meta.threshold;
    let same = distance <= limit;
    let value = json!({
        "a": photo_value(&a),
        "b": photo_value(&b),
        "model": embedder.id.to_string(),
        "model_name": embedder.meta.name,
        "distance": round(distance),
        "distance_unit": metric.unit(),
        "distance_threshold": round(limit),
        "score": round(score.0),
        "score_threshold": round(metric.score(limit).0),
        "same_person": same,
    });
    meant.say.result(&value, || {
        let verdict = if same { "the same person" } else { "different people" };
        format!(
            "{verdict}\n  distance  {distance:.3} {unit} (threshold {limit:.3})\n  \
             score     {score} (threshold {limit_score})\n  \
             quality   {} %{} and {} %{}\n  model     {} (id {})",
            a.quality.percent,
            cause(&a),
            b.quality.percent,
            cause(&b),
            embedder.meta.name,
            crate::explain::short_id(&embedder.id.to_string()),
            unit = metric.unit(),
            limit_score = metric.score(limit),
        )
    })?;
    Ok(if same { Answer::Yes } else { Answer::No })
}

fn photo_value(photo: &Photo) -> Value {
    json!({
        "picture": photo.path.display().to_string(),
        "face": face_value(&photo.face),
        "quality": photo.quality.percent,
        "cause": photo.quality.cause.text(),
    })
}
