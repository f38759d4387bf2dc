//! `threshold eval pad`: attacks that pass and people who do not, by whatever presentation-attack detector is installed.
//!
//! Owns the folder's form and the table. The rates are `threshold_models::eval::presentation`'s (ISO/IEC 30107-3), the verdicts those
//! of the detector that the unit has. Refuses to be silent about a unit without one: every attack passes there.
//! Terms: *bona fide* is a live person before the camera; a *kind* of attack is what the standard calls a species.

use super::{named, over, page, percent, title};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use crate::vault::source::person_of;
use crate::{args, pictures};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use threshold_models::engine::{Detection, Engine};
use threshold_models::eval::presentation::Counts;
use threshold_models::frame::Frame;
use threshold_models::presentation::{assess, installed};

/// The folder of live people.
const BONA_FIDE: &str = "bona_fide";

pub(super) fn run(meant: &Meant, typed: &args::EvalPad) -> anyhow::Result<()> {
    pictures::folder(&typed.dir)?;
    let pictures = pictures::named(std::slice::from_ref(&typed.dir))?;
    let kinds: Vec<Option<&str>> =
        pictures.iter().map(|path| person_of(&typed.dir, path)).collect::<Result<_, _>>()?;
    let wrong = |what: &str| HostError::DataSet {
        path: typed.dir.display().to_string(),
        line: 0,
        what: what.to_owned(),
    };
    let kinds: Option<Vec<&str>> = kinds.into_iter().collect();
    let kinds = kinds.ok_or_else(|| {
        wrong("a picture lies in no folder: bona_fide, or one named after a kind of attack")
    })?;
    if kinds.iter().all(|&kind| kind == BONA_FIDE) {
        return Err(wrong("no kind of attack has a folder beside bona_fide").into());
    }
    if !kinds.contains(&BONA_FIDE) {
        return Err(wrong("no picture lies in bona_fide, the folder of live people; whoever else is there counts as an attack").into());
    }
    let engine = Engines::open(meant)?.detector()?;
    let detector = installed();
    let name = detector.as_ref().map(|detector| detector.name().to_owned());
    let detector = Mutex::new(detector);
    let judge = |frame: &Frame, face: &Detection| {
        assess(&mut detector.lock().unwrap_or_else(PoisonError::into_inner), frame, face)
    };
    let verdicts =
        over(meant, &engine, None, typed.min_face, Path::new(""), &pictures, |engine, frame| {
            Ok(engine.detect(frame)?.first().map(|face| judge(frame, face)))
        })?;
    let (mut bona_fide, mut attacks) = (Counts::default(), BTreeMap::<&str, Counts>::new());
    for (kind, verdict) in kinds.into_iter().zip(verdicts) {
        match kind {
            BONA_FIDE => bona_fide.add(verdict),
            kind => attacks.entry(kind).or_default().add(verdict),
        }
    }
    let worst = attacks.values().filter_map(Counts::apcer).max_by(f64::total_cmp);
    let value = json!({
        "presentation_detector": name,
        "bona_fide": counted(&bona_fide, "bpcer", bona_fide.bpcer())?,
        "attacks": attacks
            .iter()
            .map(|(kind, counts)| Ok((*kind, counted(counts, "apcer", counts.apcer())?)))
            .collect::<serde_json::Result<BTreeMap<_, _>>>()?,
        "apcer_worst": worst,
    });
    let mut value = named(&value, &engine)?;
    let title = title("presentation attacks, faces by", &engine);
    let lines = lines(name.as_deref(), worst);
    let mut rows = vec![row(BONA_FIDE, &bona_fide, ["", &rate(bona_fide.bpcer())])];
    rows.extend(attacks.iter().map(|(kind, one)| row(kind, one, [&rate(one.apcer()), ""])));
    page::write(&typed.page, &mut value, &title, || {
        Ok(page::tabled(&typed.page, &lines, &HEAD, &rows))
    })?;
    meant
        .say
        .result(&value, || format!("{title}\n{}\n{}", lines.join("\n"), table(&HEAD, &rows)))?;
    Ok(())
}

fn counted(counts: &Counts, rate: &str, of: Option<f64>) -> serde_json::Result<Value> {
    let mut value = serde_json::to_value(counts)?;
    value[rate] = json!(of);
    Ok(value)
}

/// What the rates are of, and what they come to.
fn lines(detector: Option<&str>, worst: Option<f64>) -> [String; 3] {
    let detector = match detector {
        Some(name) => format!("detector: {name}"),
        None => "no presentation-attack detector is installed: nothing is assessed, every attack passes, and a photo opens a \
            door that its owner let do without one"
            .to_owned(),
    };
    let worst = worst.map_or("no attack showed a face".to_owned(), |worst| {
        format!("APCER of the kind that passes most often: {}", percent(worst))
    });
    let counted = "APCER is the part of the attacks that pass, BPCER the part of the live people judged an attack, both of those \
        with a face that was found (ISO/IEC 30107-3); rates count pictures";
    [detector, worst, counted.to_owned()]
}

const HEAD: [&str; 8] = [
    "kind",
    "presentations",
    "no face found",
    "judged live",
    "judged an attack",
    "not assessed",
    "APCER",
    "BPCER",
];

fn rate(of: Option<f64>) -> String {
    of.map_or("none".to_owned(), percent)
}

fn row(kind: &str, counts: &Counts, [apcer, bpcer]: [&str; 2]) -> Vec<String> {
    let Counts { presentations, no_response, live, spoof, not_assessed } = *counts;
    let mut cells = vec![kind.to_owned()];
    cells.extend([presentations, no_response, live, spoof, not_assessed].map(|n| n.to_string()));
    cells.extend([apcer, bpcer].map(str::to_owned));
    cells
}
