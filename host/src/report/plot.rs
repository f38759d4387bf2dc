//! Plots, as SVG that stands in a page.
//!
//! Owns axes and marks; the page's style sheet owns the colours of text and lines, and those of the two kinds in the dark.
//! Refuses to count: it draws what it is given.

use plotters::coord::Shift;
use plotters::prelude::*;
use threshold_models::eval::bootstrap::Interval;

/// Size of a plot in pixels.
pub const WIDE: (u32, u32) = (760, 260);
/// What is right: admitted, genuine.
pub const GREEN: RGBColor = RGBColor(0x2a, 0x7f, 0x62);
/// What is not: refused, impostor.
pub const RED: RGBColor = RGBColor(0xc8, 0x55, 0x3d);
/// Thresholds.
pub const GREY: RGBColor = RGBColor(0x55, 0x55, 0x55);

/// Size of a plot of curves.
const TALL: (u32, u32) = (760, 420);

/// A drawing that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("a plot of the page could not be drawn: {0}")]
pub struct PlotError(String);

/// An error of the library, for `map_err`.
pub fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

/// What is drawn on.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A drawing of a size in pixels.
///
/// # Errors
/// [`PlotError`].
pub fn draw(
    size: (u32, u32),
    plot: impl FnOnce(&Area<'_>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        plot(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(svg)
}

/// Bars over even steps, one kind over the other, and lines where thresholds are.
pub struct Bars<'a> {
    /// Where the first bar begins.
    pub from: f64,
    /// Width of a bar.
    pub step: f64,
    /// Each kind's heights, the one behind first.
    pub kinds: &'a [(RGBColor, Vec<f64>)],
    /// Where a line stands.
    pub lines: &'a [f64],
    /// How a height is written.
    pub height: &'a dyn Fn(f64) -> String,
}

/// Draws bars.
///
/// # Errors
/// [`PlotError`].
pub fn bars(drawn: &Bars<'_>) -> Result<String, PlotError> {
    let Bars { from, step, kinds, lines, height } = *drawn;
    let count = kinds.iter().map(|(_, heights)| heights.len()).max().unwrap_or(0).max(1);
    let heights = kinds.iter().flat_map(|(_, heights)| heights.iter().copied());
    let most = heights.fold(0.0, f64::max);
    let most = if most > 0.0 { most * 1.05 } else { 1.0 };
    draw(WIDE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(48)
            .build_cartesian_2d(from..from + step * count as f64, 0f64..most)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_label_formatter(&|at| format!("{at:.2}"))
            .y_label_formatter(&|at| height(*at))
            .draw()
            .map_err(failed)?;
        for (colour, heights) in kinds {
            let marks = heights.iter().enumerate().filter(|&(_, &height)| height > 0.0);
            let bar = |(at, &height): (usize, &f64)| {
                let left = from + at as f64 * step;
                Rectangle::new([(left, 0.0), (left + step, height)], colour.mix(0.7).filled())
            };
            chart.draw_series(marks.map(bar)).map_err(failed)?;
        }
        let line = |&at: &f64| PathElement::new([(at, 0.0), (at, most)], GREY.stroke_width(2));
        chart.draw_series(lines.iter().map(line)).map_err(failed)?;
        Ok(())
    })
}

/// A line through points, with the band of their intervals.
pub struct Curve {
    /// Its colour.
    pub colour: RGBColor,
    /// Where, and how high; both above 0 to be drawn.
    pub points: Vec<(f64, Interval)>,
}

/// Both axes of a plot of curves, logarithmic.
pub struct Axes<'a> {
    /// What the horizontal one counts.
    pub x: &'a str,
    /// What the vertical one counts.
    pub y: &'a str,
    /// The lowest height that is drawn: what lies below, nothing too, is drawn there.
    pub y_least: f64,
}

/// Draws curves; `None` if there is no point.
///
/// # Errors
/// [`PlotError`].
pub fn curves(axes: &Axes<'_>, curves: &[Curve]) -> Result<Option<String>, PlotError> {
    let all = || curves.iter().flat_map(|curve| &curve.points).filter(|(x, _)| *x > 0.0);
    let at_least = |value: f64| value.max(axes.y_least);
    let ends = |of: &dyn Fn(&(f64, Interval)) -> [f64; 2]| {
        all().map(of).fold((f64::MAX, f64::MIN), |(low, high), [a, b]| (low.min(a), high.max(b)))
    };
    let (left, right) = ends(&|(x, _)| [*x, *x]);
    let (low, high) = ends(&|(_, one)| [at_least(one.low), at_least(one.high)]);
    if all().next().is_none() || ![left, right, low, high].iter().all(|end| end.is_finite()) {
        return Ok(None);
    }
    let (right, high) = (right.max(left * 1.01), high.max(low * 1.01));
    let svg = draw(TALL, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((left..right).log_scale(), (low / 1.2..high * 1.2).log_scale())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(axes.x)
            .y_desc(axes.y)
            .x_label_formatter(&|at| short(*at))
            .y_label_formatter(&|at| short(*at))
            .max_light_lines(0)
            .draw()
            .map_err(failed)?;
        for Curve { colour, points } in curves {
            let points: Vec<_> = points.iter().filter(|(x, _)| *x > 0.0).collect();
            let low = points.iter().map(|(x, one)| (*x, at_least(one.low)));
            let high = points.iter().rev().map(|(x, one)| (*x, at_least(one.high)));
            let band: Vec<(f64, f64)> = low.chain(high).collect();
            chart.draw_series([Polygon::new(band, colour.mix(0.2).filled())]).map_err(failed)?;
            let line = points.iter().map(|(x, one)| (*x, at_least(one.at)));
            let line = LineSeries::new(line, colour.stroke_width(2)).point_size(3);
            chart.draw_series(line).map_err(failed)?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// A number of an axis in few digits.
fn short(at: f64) -> String {
    match at {
        at if at >= 0.01 => {
            let text = format!("{at:.3}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        at => format!("{at:.0e}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn curve(points: &[(f64, f64)]) -> Curve {
        let point = |&(x, at): &(f64, f64)| (x, Interval { at, low: at / 2.0, high: at * 2.0 });
        Curve { colour: GREEN, points: points.iter().map(point).collect() }
    }

    #[test]
    fn curves_have_a_band_a_line_and_axes_that_say_what_they_count() {
        let axes = Axes { x: "FMR", y: "FNMR", y_least: 1e-4 };
        let drawn = curves(&axes, &[curve(&[(1e-5, 0.1), (1e-3, 0.01), (0.1, 0.0)])]).unwrap();
        let svg = drawn.unwrap();
        for part in ["<polygon", "<polyline", ">\nFMR\n<", ">\nFNMR\n<"] {
            assert!(svg.contains(part), "{part}: {svg}");
        }
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }

    #[test]
    fn one_point_is_drawn_and_none_is_not() {
        let axes = Axes { x: "N", y: "FPIR", y_least: 1e-4 };
        assert!(curves(&axes, &[curve(&[(10.0, 0.0)])]).unwrap().is_some());
        assert_eq!(curves(&axes, &[curve(&[])]).unwrap(), None);
        assert_eq!(curves(&axes, &[curve(&[(f64::NAN, 0.1)])]).unwrap(), None);
    }

    #[test]
    fn bars_of_nothing_are_an_empty_plot() {
        let kinds = [(GREEN, vec![0.0; 3]), (RED, vec![])];
        let drawn = Bars {
            from: 0.0,
            step: 0.1,
            kinds: &kinds,
            lines: &[0.2],
            height: &|at| at.to_string(),
        };
        let svg = bars(&drawn).unwrap();
        assert!(svg.contains("<polyline") && !svg.contains("NaN"), "{svg}");
    }

    #[test]
    fn axes_are_written_shortly() {
        for (at, text) in [(1000.0, "1000"), (0.1, "0.1"), (0.025, "0.025"), (1e-3, "1e-3")] {
            assert_eq!(short(at), text);
        }
    }
}
