//! `threshold eval lfw`: the published protocol on pairs of pictures.
//!
//! Owns the running over pictures, the table and the page. The protocol is `threshold_models::eval::lfw`'s.

use super::{MIN_FACE_PX, in_file, named, over, page, percent, text_of, title};
use crate::args;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::pictures;
use crate::report;
use crate::report::plot::PlotError;
use crate::say::table;
use maud::{Markup, html};
use std::collections::BTreeMap;
use threshold_models::cpu::CpuEngine;
use threshold_models::engine::{Embedding, Engine, EngineError};
use threshold_models::eval::bootstrap::{Interval, N_RESAMPLES};
use threshold_models::eval::lfw::{self, Embedded, Flips, LfwError, LfwResult, Pairs};
use threshold_models::frame::Frame;

pub(super) fn run(meant: &Meant, typed: &args::Lfw) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let pairs = Pairs::parse(&text_of(&typed.pairs)?).map_err(in_file(&typed.pairs))?;
    let pairs = match typed.limit_pairs {
        Some(n) => pairs.limited(n),
        None => pairs,
    };
    let engines = Engines::open(meant)?;
    let model = engines.embedder(meant.model.as_ref())?;
    let metric = model.embedder()?.metric;
    let detector = engines.detector()?;
    let pictures: Vec<String> = pairs.pictures().into_iter().map(str::to_owned).collect();
    let embedded = over(
        meant,
        &detector,
        Some(&model),
        MIN_FACE_PX,
        &typed.images,
        &pictures,
        |engine, frame| whole_and_halves(engine, frame, typed.halves),
    )?;
    let (embedded, in_halves): (Vec<_>, Vec<_>) = embedded.into_iter().unzip();
    let by_picture = |embedded: Vec<Embedded>| -> BTreeMap<String, Embedded> {
        pictures.iter().cloned().zip(embedded).collect()
    };
    let embedded = by_picture(embedded);
    let in_halves: Option<Vec<Embedded>> = in_halves.into_iter().collect();
    let in_file = |error: LfwError| HostError::DataSet {
        path: typed.pairs.display().to_string(),
        line: 0,
        what: error.to_string(),
    };
    let result = lfw::evaluate(&pairs, metric, &embedded).map_err(in_file)?;
    let halves = match in_halves {
        Some(halves) => {
            let both = [&embedded, &by_picture(halves)];
            Some(lfw::flips(&pairs, metric, &result, both).map_err(in_file)?)
        }
        None => None,
    };
    let mut value = named(&result, &model)?;
    if let Some(halves) = &halves {
        value["halves"] = serde_json::to_value(halves)?;
    }
    let (rows, head) = (rows(&result, halves.as_ref()), ["figure", "value", "what it is"]);
    let title = title("LFW", &model);
    page::write(&typed.page, &mut value, &title, || body(typed, &result, &head, &rows))?;
    meant.say.result(&value, || text(&result, &title, &head, &rows))?;
    Ok(())
}

/// A picture's embedding, and that in half precision if it is asked for.
fn whole_and_halves(
    engine: &mut CpuEngine,
    frame: &Frame,
    halves: bool,
) -> Result<(Embedded, Option<Embedded>), EngineError> {
    let (face, face_found) = lfw::face_of(engine, frame)?;
    let one = |embeddings: Result<Vec<Embedding>, EngineError>| {
        let embedding = embeddings?.pop().ok_or(EngineError::NoEmbedder)?;
        Ok::<_, EngineError>(Embedded { embedding, face_found })
    };
    let whole = one(engine.embed(frame, &[face]))?;
    let halves = halves.then(|| one(engine.embed_in_halves(frame, &[face]))).transpose()?;
    Ok((whole, halves))
}

/// The figures, with what each is.
fn rows(result: &LfwResult, halves: Option<&Flips>) -> Vec<Vec<String>> {
    let unit = result.metric;
    let folds = result.folds.len();
    let mut rows = vec![
        [
            "accuracy".to_owned(),
            format!("{} +- {}", percent(result.accuracy), percent(result.sd)),
            format!("of pairs judged rightly; mean and sd of {folds} folds"),
        ],
        [
            "threshold".to_owned(),
            format!("{:.3} {unit}", result.threshold),
            "right most often over all pairs".to_owned(),
        ],
    ];
    rows.extend(result.tar_at_far.iter().map(|point| {
        [
            format!("TAR at FAR {}", percent(point.far)),
            percent(point.tar),
            format!(
                "of genuine pairs accepted (95 %: {} to {}), below {:.3} {unit}; FAR in impostor pairs",
                percent(point.low),
                percent(point.high),
                point.threshold
            ),
        ]
    }));
    let distances = [("genuine", result.genuine), ("impostor", result.impostor)];
    rows.extend(distances.map(|(kind, spread)| {
        let value = format!("{:.3} +- {:.3} {unit}", spread.mean, spread.sd);
        [format!("{kind} pairs"), value, "mean and sd of the distances".to_owned()]
    }));
    if let Some(halves) = halves {
        rows.push([
            "in half precision".to_owned(),
            percent(halves.accuracy),
            format!(
                "of pairs judged rightly; {} judged otherwise, the furthest {:.4} {unit} from the threshold; distances up to {:.4} apart",
                halves.flips, halves.furthest, halves.apart
            ),
        ]);
    }
    for (fold, one) in result.folds.iter().enumerate() {
        rows.push([
            format!("fold {}", fold + 1),
            percent(one.accuracy),
            format!("of its pairs, at {:.3} {unit} from the other folds", one.threshold),
        ]);
    }
    rows.into_iter().map(Vec::from).collect()
}

/// What the figures are of.
fn summary(result: &LfwResult) -> String {
    format!(
        "{} pairs (about {} of each kind), {} pictures, {} without a face",
        result.pairs,
        result.pairs / 2,
        result.pictures,
        result.without_face.len()
    )
}

fn text(result: &LfwResult, title: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("{title}\n{}\n{}", summary(result), table(head, rows));
    for picture in &result.without_face {
        text += &format!("\nno face: {picture}");
    }
    text
}

fn body(
    typed: &args::Lfw,
    result: &LfwResult,
    head: &[&str],
    rows: &[Vec<String>],
) -> Result<Markup, PlotError> {
    let missed = |point: &lfw::TarAtFar| {
        let [at, low, high] = [point.tar, point.high, point.low].map(|tar| 1.0 - tar);
        (point.far, Interval { at, low, high })
    };
    let resampled = format!("{N_RESAMPLES} bootstrap resamples of pairs");
    // Below one of the genuine pairs there is nothing to count.
    let least = 1.0 / result.pairs.max(1) as f64;
    Ok(html! {
        (page::origin(typed.page.html.as_deref(), &[summary(result)]))
        (report::table(head, rows))
        (page::histogram(&result.histogram, &[result.threshold], result.metric)?)
        (page::errors(result.det.iter().map(missed).collect(), least, &resampled)?)
        (page::worst(
            &result.nearest_impostors,
            &result.furthest_genuine,
            result.metric,
            Some(&typed.images),
        ))
        @if !result.without_face.is_empty() {
            h2 { "Pictures without a face" }
            @for picture in &result.without_face { p { (crate::say::plain(picture)) } }
        }
    })
}
