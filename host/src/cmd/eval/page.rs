//! `--html`: an evaluation as one page for people, and its numbers as JSON beside it.
//!
//! Owns what the pages of all protocols, and that of `cluster`, have in common: histogram, error curves, the worst pairs. Every number in a page is of
//! the same result as the JSON. Refuses to copy a picture anywhere but into the page that was asked for: the JSON has paths.

use crate::args;
use crate::report;
use crate::report::plot::{self, Axes, Bars, Curve, PlotError};
use crate::say::plain;
use maud::{Markup, PreEscaped, html};
use serde_json::Value;
use std::path::Path;
use threshold_models::eval::WorstPair;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::histogram::Histogram;

/// What a page with pictures begins them with.
pub(in crate::cmd) const PICTURES_OF_PEOPLE: &str = "This page holds pictures of people. They were put into this file alone, since it was \
    asked for with them; give it to nobody who may not see them.";

/// Writes the page and the JSON beside it, if a page was asked for. `value` gets the page's path as `html`.
///
/// # Errors
/// A plot that cannot be drawn, and a disk that refuses.
pub(in crate::cmd) fn write(
    typed: &args::Page,
    value: &mut Value,
    title: &str,
    body: impl FnOnce() -> Result<Markup, PlotError>,
) -> anyhow::Result<()> {
    let Some(path) = &typed.html else { return Ok(()) };
    value["html"] = Value::from(path.display().to_string());
    report::write(path, &report::page(title, &body()?))?;
    // In the form that `--json` prints, beside the page and under its name.
    report::write(&beside(path), &format!("{value}\n"))?;
    Ok(())
}

/// The JSON's place.
fn beside(page: &Path) -> std::path::PathBuf {
    page.with_extension("json")
}

/// What a page says of the JSON beside it.
pub(in crate::cmd) fn origin(path: Option<&Path>, lines: &[String]) -> Markup {
    let name = path.map(|path| beside(path).file_name().unwrap_or_default().to_owned());
    html! {
        @for line in lines { p { (plain(line)) } }
        @if let Some(name) = name {
            p.note { "The same numbers as JSON: " code { (plain(&name.to_string_lossy())) } ", beside this page." }
        }
    }
}

/// A page of what its figures are of, and a table of them.
pub(super) fn tabled(
    typed: &args::Page,
    lines: &[String],
    head: &[&str],
    rows: &[Vec<String>],
) -> Markup {
    html! {
        (origin(typed.html.as_deref(), lines))
        (report::table(head, rows))
    }
}

/// How the distances of both kinds lie, each as part of its own kind, with the thresholds.
pub(super) fn histogram(
    found: &Histogram,
    thresholds: &[f64],
    unit: &str,
) -> Result<Markup, PlotError> {
    let parts = |counts: &[u64]| -> Vec<f64> {
        let all = counts.iter().sum::<u64>().max(1) as f64;
        counts.iter().map(|&count| count as f64 / all).collect()
    };
    let kinds = [(plot::RED, parts(&found.impostor)), (plot::GREEN, parts(&found.genuine))];
    let svg = plot::bars(&Bars {
        from: 0.0,
        step: found.step,
        kinds: &kinds,
        lines: thresholds,
        height: &|part| format!("{:.0} %", part * 100.0),
    })?;
    Ok(html! {
        h2 { "Distances" }
        p { "Comparisons of " span.a { "one person" } " (" (found.genuine.iter().sum::<u64>()) ") and of "
            span.r { "two people" } " (" (found.impostor.iter().sum::<u64>()) "), by distance (" (unit)
            "), each as part of its own kind; a comparison is accepted below a threshold (line)." }
        (PreEscaped(svg))
    })
}

/// Misses against false matches. `points` are FMR and FNMR; what is below `least` could not be told from nothing.
pub(super) fn errors(
    points: Vec<(f64, Interval)>,
    least: f64,
    resampled: &str,
) -> Result<Markup, PlotError> {
    let axes = Axes { x: "FMR of comparisons", y: "FNMR of comparisons", y_least: least };
    let svg = plot::curves(&axes, &[Curve { colour: plot::GREEN, points }])?;
    Ok(html! {
        h2 { "Errors (DET)" }
        @if let Some(svg) = svg {
            p { "Part of one person's comparisons that are missed (FNMR) where so many of two people's are accepted (FMR); both "
                "axes are logarithmic, the band is the 95 % interval (" (resampled) ")." }
            (PreEscaped(svg))
        } @else {
            p.note { "There are too few comparisons for a curve." }
        }
    })
}

/// The worst pairs of both kinds, as pictures where the folder of pictures is known.
pub(super) fn worst(
    nearest_impostors: &[WorstPair],
    furthest_genuine: &[WorstPair],
    unit: &str,
    images: Option<&Path>,
) -> Markup {
    html! {
        h2 { "Worst pairs" }
        @if images.is_some() {
            p.warn { (PICTURES_OF_PEOPLE) }
        } @else {
            p.note { "Without pictures: " code { "--images" } " with the folder of the data set shows them." }
        }
        h3 { "False matches: two people, and the least distance" }
        (pairs(nearest_impostors, unit, images))
        h3 { "False non-matches: one person, and the largest distance" }
        (pairs(furthest_genuine, unit, images))
    }
}

fn pairs(pairs: &[WorstPair], unit: &str, images: Option<&Path>) -> Markup {
    html! {
        div.wide {
            table {
                tr { th.n { "distance, " (unit) } th { "one" } th { "the other" } }
                @for (distance, one, other) in pairs {
                    tr {
                        td.n { (format!("{distance:.3}")) }
                        @for picture in [one, other] { td { (report::shown(picture, images)) } }
                    }
                }
            }
        }
    }
}
