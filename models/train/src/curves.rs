//! The page with a run's curves: `curves.html` in its folder, which needs nothing but itself and is made anew after each epoch.
//!
//! Owns how losses and validations are drawn. Refuses to count: it draws what `losses.csv` and `run.json` say, many steps as their
//! mean where a plot has no room for each.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use std::fmt::Write as _;

/// The page's name.
pub const PAGE: &str = "curves.html";

const SIZE: (u32, u32) = (760, 320);
/// Most points of a line; a point is the mean of as many neighbouring steps as it takes.
const POINTS: usize = 250;

const COLOURS: [RGBColor; 4] = [
    RGBColor(0x2a, 0x7f, 0x62),
    RGBColor(0xc8, 0x55, 0x3d),
    RGBColor(0x2b, 0x6c, 0xb0),
    RGBColor(0x80, 0x5a, 0xd5),
];

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:800px;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
svg{max-width:100%;height:auto}";

/// A line of a plot: its name, its points.
pub struct Line<'a> {
    /// As the legend calls it.
    pub name: &'a str,
    /// Step and value; what is no number is left out.
    pub points: Vec<(f64, f64)>,
}

/// The lines of a `losses.csv`: step by step, a line for each of these columns.
#[must_use]
pub fn of_losses<'a>(text: &str, columns: &[(&'a str, usize)]) -> Vec<Line<'a>> {
    let line = |&(name, column): &(&'a str, usize)| {
        let point = |line: &str| {
            let number = |at: usize| line.split(',').nth(at)?.parse::<f64>().ok();
            Some((number(0)?, number(column)?))
        };
        Line { name, points: text.lines().skip(1).filter_map(point).collect() }
    };
    columns.iter().map(line).collect()
}

/// A page: what the run is, and a plot for each title.
///
/// # Errors
/// If a plot could not be drawn.
pub fn page(run: &str, plots: &[(&str, Vec<Line<'_>>)]) -> Result<String> {
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{run}</title><style>{STYLE}</style></head>\n\
         <body><h1>{run}</h1>\n"
    );
    for (title, lines) in plots {
        let _ = writeln!(page, "<h2>{title}</h2>");
        page.push_str(&plot(lines).map_err(|why| anyhow!("a plot could not be drawn: {why}"))?);
    }
    page.push_str("</body></html>\n");
    Ok(page)
}

/// A plot over steps; a sentence where there is nothing to draw.
fn plot(lines: &[Line<'_>]) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let lines: Vec<(&str, Vec<(f64, f64)>)> =
        lines.iter().map(|line| (line.name, thinned(&line.points))).collect();
    let all = || lines.iter().flat_map(|(_, points)| points);
    let ends = |of: fn(&(f64, f64)) -> f64| {
        all().map(of).fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)))
    };
    let ((left, right), (low, high)) = (ends(|at| at.0), ends(|at| at.1));
    if all().next().is_none() {
        return Ok("<p>Nothing yet.</p>\n".to_owned());
    }
    // A single point has room about it too.
    let (right, room) = (right.max(left + 1.0), ((high - low) * 0.05).max(1e-6));
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(60)
            .build_cartesian_2d(left..right, low - room..high + room)
            .map_err(said)?;
        let mut mesh = chart.configure_mesh();
        mesh.x_desc("step").x_label_formatter(&|at| format!("{at:.0}")).max_light_lines(0);
        mesh.draw().map_err(said)?;
        for ((name, points), colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let marks = if points.len() < 40 { 3 } else { 0 };
            let drawn = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
            let drawn = chart.draw_series(drawn.point_size(marks)).map_err(said)?;
            let colour = *colour;
            drawn.label(*name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(3))
            });
        }
        // Where the first line does not end.
        let end = lines.first().and_then(|(_, points)| points.last());
        let position = match end.is_some_and(|at| at.1 > f64::midpoint(low, high)) {
            true => SeriesLabelPosition::MiddleRight,
            false => SeriesLabelPosition::UpperRight,
        };
        let mut legend = chart.configure_series_labels();
        legend.position(position).border_style(BLACK.mix(0.2));
        legend.background_style(WHITE.mix(0.8)).draw().map_err(said)?;
        area.present().map_err(said)?;
    }
    svg.push('\n');
    Ok(svg)
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// As many points as there is room for, each the mean of its neighbours.
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let finite: Vec<_> = points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()).collect();
    let mean = |part: &[&(f64, f64)]| {
        let n = part.len() as f64;
        (part.iter().map(|at| at.0).sum::<f64>() / n, part.iter().map(|at| at.1).sum::<f64>() / n)
    };
    finite.chunks(finite.len().div_ceil(POINTS).max(1)).map(mean).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn a_page_has_a_line_and_a_name_for_each_series() {
        let text = "step,class,box\n1,0.5,0.25\n2,0.25,NaN\n3,0.125,0.5\n";
        let losses = of_losses(text, &[("class", 1), ("box", 2)]);
        assert_eq!(losses[0].points, [(1.0, 0.5), (2.0, 0.25), (3.0, 0.125)]);
        let judged = vec![Line { name: "judged", points: vec![(3.0, 0.9)] }];
        let page = page("a run", &[("losses", losses), ("validation", judged)]).unwrap();
        assert_eq!(page.matches("<svg").count(), 2);
        for part in [">\nclass\n<", ">\nbox\n<", ">\njudged\n<", "<h1>a run</h1>", "<polyline"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn many_steps_are_drawn_as_their_means_and_none_as_a_sentence() {
        let points: Vec<(f64, f64)> = (0..1000).map(|i| (f64::from(i), f64::from(i % 4))).collect();
        let thinned = thinned(&points);
        assert_eq!((thinned.len(), thinned[0]), (250, (1.5, 1.5)));
        let empty = vec![Line { name: "nothing", points: vec![] }];
        assert!(page("a", &[("none", empty)]).unwrap().contains("Nothing yet."));
    }
}
