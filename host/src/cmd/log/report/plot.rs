//! The plots of a log's page.
//!
//! Owns what stands on which axis; drawing is `crate::report::plot`'s. Refuses to count: it draws what `tally` counted.

use super::tally::{DAY_MS, LAST_DAY, Point, SCORE_BARS, Tally, Visits};
use crate::report::plot::{
    self, Bars, GREEN as ADMITTED, GREY as LINE, PlotError, RED as REFUSED, WIDE, draw, failed,
};
use plotters::prelude::*;
use std::time::{Duration, SystemTime};

const SPARK: (u32, u32) = (160, 28);

/// Bars of the plot over time, at most; more days are drawn as weeks, and more weeks as longer times.
const BARS: u64 = 120;

/// A day as people write it, UTC; the last one that can be written for those after it, at which an axis may end.
#[must_use]
pub(super) fn date(day: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(day.min(LAST_DAY) * DAY_MS);
    let mut text = humantime::format_rfc3339_seconds(time).to_string();
    text.truncate(10);
    text
}

/// Visits a day, or a week where there are many days; `None` if no day is known.
///
/// # Errors
/// [`PlotError`].
pub(super) fn over_time(tally: &Tally) -> Result<Option<(String, String)>, PlotError> {
    let (Some((&first, _)), Some((&last, _))) =
        (tally.days.first_key_value(), tally.days.last_key_value())
    else {
        return Ok(None);
    };
    let days = last - first + 1;
    let (step, word) = match days.div_ceil(BARS) {
        1 => (1, "a day".to_owned()),
        2..=7 => (7, "a week".to_owned()),
        step => (step, format!("for {step} days")),
    };
    let mut bars = vec![Visits::default(); ((last - first) / step + 1) as usize];
    for (&day, visits) in &tally.days {
        let bar = &mut bars[((day - first) / step) as usize];
        bar.admitted += visits.admitted;
        bar.refused += visits.refused;
    }
    let name = |at: u64| date(first + at * step);
    Ok(Some((stacked(&bars, &name)?, word)))
}

/// Visits by the hour of the day.
///
/// # Errors
/// [`PlotError`].
pub(super) fn by_hour(tally: &Tally) -> Result<String, PlotError> {
    stacked(&tally.hours, &|hour| format!("{hour:02}:00"))
}

/// Admitted below, refused above.
fn stacked(bars: &[Visits], name: &dyn Fn(u64) -> String) -> Result<String, PlotError> {
    let most = bars.iter().map(|bar| bar.admitted + bar.refused).max().unwrap_or(0).max(1);
    draw(WIDE, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(8)
            .x_label_area_size(28)
            .y_label_area_size(48)
            .build_cartesian_2d(0f64..bars.len() as f64, 0f64..most as f64 * 1.05)
            .map_err(failed)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(8.min(bars.len()))
            .x_label_formatter(&|at| name(at.floor() as u64))
            .y_label_formatter(&|count| format!("{count:.0}"))
            .draw()
            .map_err(failed)?;
        let bar = |at: usize, from: u64, to: u64, colour: RGBColor| {
            let (left, right) = (at as f64 + 0.1, at as f64 + 0.9);
            Rectangle::new([(left, from as f64), (right, to as f64)], colour.filled())
        };
        let each = || bars.iter().enumerate();
        chart
            .draw_series(each().map(|(at, visits)| bar(at, 0, visits.admitted, ADMITTED)))
            .map_err(failed)?;
        let above = |(at, visits): (usize, &Visits)| {
            bar(at, visits.admitted, visits.admitted + visits.refused, REFUSED)
        };
        chart.draw_series(each().map(above)).map_err(failed)?;
        Ok(())
    })
}

/// How the best scores of the admitted and of the unknown lie, with the newest threshold; `None` if nobody was compared.
///
/// # Errors
/// [`PlotError`].
pub(super) fn scores(tally: &Tally) -> Result<Option<String>, PlotError> {
    let all =
        || tally.admitted_scores.iter().chain(&tally.unknown_scores).map(|&score| f64::from(score));
    let (low, high) =
        all().fold((f64::MAX, f64::MIN), |(low, high), at| (low.min(at), high.max(at)));
    let (low, high) = tally.threshold.map_or((low, high), |at| (low.min(at), high.max(at)));
    if all().next().is_none() || !(low.is_finite() && high.is_finite()) {
        return Ok(None);
    }
    let room = (high - low).max(1e-3) * 0.03;
    let (low, high) = (low - room, high + room);
    let width = (high - low) / SCORE_BARS as f64;
    let bars = |scores: &[f32]| {
        let mut bars = [0u64; SCORE_BARS];
        for &score in scores {
            bars[(((f64::from(score) - low) / width) as usize).min(SCORE_BARS - 1)] += 1;
        }
        bars
    };
    let heights = |scores: &[f32]| bars(scores).map(|count| count as f64).to_vec();
    let kinds =
        [(REFUSED, heights(&tally.unknown_scores)), (ADMITTED, heights(&tally.admitted_scores))];
    let lines: Vec<f64> = tally.threshold.into_iter().collect();
    let height = &|count: f64| format!("{count:.0}");
    plot::bars(&Bars { from: low, step: width, kinds: &kinds, lines: &lines, height }).map(Some)
}

/// A person's scores over time with the threshold below them, small.
///
/// # Errors
/// [`PlotError`].
pub(super) fn spark(points: &[Point]) -> Result<Option<String>, PlotError> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return Ok(None) };
    if points.len() < 2 || last.day <= first.day {
        return Ok(None);
    }
    let low = points.iter().map(|point| point.threshold.min(point.score)).fold(f64::MAX, f64::min);
    let high = points.iter().map(|point| point.score).fold(f64::MIN, f64::max).max(low + 1e-3);
    // More than these would lie on each other.
    let step = points.len().div_ceil(SPARK.0 as usize);
    let drawn = || points.iter().step_by(step);
    draw(SPARK, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin(2)
            .build_cartesian_2d(first.day..last.day, low..high)
            .map_err(failed)?;
        let threshold = drawn().map(|point| (point.day, point.threshold));
        chart.draw_series(LineSeries::new(threshold, LINE)).map_err(failed)?;
        let dot = |point: &Point| Circle::new((point.day, point.score), 1, ADMITTED.filled());
        chart.draw_series(drawn().map(dot)).map_err(failed)?;
        Ok(())
    })
    .map(Some)
}
