//! `threshold eval verify`: all pictures compared with all others.
//!
//! Owns the table and the page; the worst pairs are told in the page and under `--json` only. The protocol is
//! `threshold_models::eval::verify`'s.

use super::{embed, page};
use crate::args::{self, HalfName};
use crate::error::HostError;
use crate::meant::Meant;
use crate::report::plot::PlotError;
use crate::say::table;
use crate::{pictures, report};
use maud::{Markup, html};
use serde_json::{Value, json};
use threshold_models::eval::bootstrap::{Interval, N_RESAMPLES};
use threshold_models::eval::embeddings::About;
use threshold_models::eval::split::Half;
use threshold_models::eval::verify::{Point, VerifyResult, verify};

pub(super) fn run(meant: &Meant, typed: &args::Verify) -> anyhow::Result<()> {
    if let Some(images) = &typed.images {
        pictures::folder(images)?;
    }
    let embeddings = embed::read(&typed.of.embeddings)?;
    let half = half_of(typed.of.half);
    let subjects = embeddings.subjects(half);
    let about = &embeddings.about;
    let result = verify(about.metric, &subjects).ok_or_else(|| HostError::DataSet {
        path: typed.of.embeddings.display().to_string(),
        line: 0,
        what: format!("the {} half holds no two pictures of one person and of two", half.name()),
    })?;
    let mut value = with_origin(serde_json::to_value(&result)?, about, half);
    let told = Told { result: &result, about, half };
    page::write(&typed.page, &mut value, &told.title(), || told.body(typed))?;
    meant.say.result(&value, || told.text())?;
    Ok(())
}

/// The half of the people that is meant.
pub(super) fn half_of(name: HalfName) -> Half {
    match name {
        HalfName::Fit => Half::Fit,
        HalfName::Check => Half::Check,
    }
}

/// A result as JSON with the embeddings that it is of.
pub(super) fn with_origin(mut value: Value, about: &About, half: Half) -> Value {
    value["model"] = json!(about.model);
    value["model_name"] = json!(about.model_name);
    value["pictures_digest"] = json!(about.pictures_digest);
    value["half"] = json!(half);
    value
}

/// What a table of a file of embeddings is headed with.
pub(super) fn title_of(what: &str, about: &About) -> String {
    let tag = about.model.get(..16).unwrap_or(&about.model);
    format!("{what}: {} (id {tag})", about.model_name)
}

/// A share with its interval, in percent.
pub(super) fn share(rate: Interval) -> [String; 2] {
    let percent = |part: f64| format!("{:.2}", part * 100.0);
    [
        format!("{} %", percent(rate.at)),
        format!("{} to {} %", percent(rate.low), percent(rate.high)),
    ]
}

/// A result in words.
struct Told<'a> {
    result: &'a VerifyResult,
    about: &'a About,
    half: Half,
}

impl Told<'_> {
    fn title(&self) -> String {
        title_of("verification, all with all", self.about)
    }

    /// What was compared.
    fn lines(&self) -> [String; 2] {
        let VerifyResult { people, pictures, genuine, people_with_pairs, impostor, .. } =
            self.result;
        [
            format!(
                "{} half: {people} people, {pictures} pictures; {genuine} genuine comparisons of {people_with_pairs} people, \
                 {impostor} impostor comparisons",
                self.half.name()
            ),
            format!(
                "rates count comparisons (N = 1); intervals: {N_RESAMPLES} bootstrap resamples of people"
            ),
        ]
    }

    fn rows(&self) -> ([String; 6], Vec<Vec<String>>) {
        let row = |point: &Point| {
            let [fnmr, interval] = share(point.fnmr);
            let threshold = point.threshold;
            vec![
                format!("{:.0e}", point.fmr),
                point.accepted.to_string(),
                format!("{:.3} ({:.3} to {:.3})", threshold.at, threshold.low, threshold.high),
                fnmr,
                interval,
                if point.extrapolated { "extrapolated" } else { "measured" }.to_owned(),
            ]
        };
        let below = format!("T, {}", self.result.metric);
        let head = ["FMR", "impostors below T", &below, "FNMR", "95 %", ""].map(str::to_owned);
        (head, self.result.points.iter().map(row).collect())
    }

    fn text(&self) -> String {
        let (head, rows) = self.rows();
        let head = head.each_ref().map(String::as_str);
        format!("{}\n{}\n{}", self.title(), self.lines().join("\n"), table(&head, &rows))
    }

    fn body(&self, typed: &args::Verify) -> Result<Markup, PlotError> {
        let (head, rows) = self.rows();
        let head = head.each_ref().map(String::as_str);
        let result = self.result;
        let thresholds: Vec<f64> = result.points.iter().map(|point| point.threshold.at).collect();
        let curve = result.det.iter().map(|point| (point.fmr, point.fnmr)).collect();
        // Below one genuine comparison there is nothing to count.
        let least = 1.0 / result.genuine.max(1) as f64;
        let resampled = format!("{N_RESAMPLES} bootstrap resamples of people");
        Ok(html! {
            (page::origin(typed.page.html.as_deref(), &self.lines()))
            h2 { "Thresholds" }
            (report::table(&head, &rows))
            (page::histogram(&result.histogram, &thresholds, result.metric)?)
            (page::errors(curve, least, &resampled)?)
            (page::worst(
                &result.nearest_impostors,
                &result.furthest_genuine,
                result.metric,
                typed.images.as_deref(),
            ))
        })
    }
}
