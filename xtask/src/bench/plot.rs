//! The drawings of a run: SVG written by hand, since three charts need no library.

use super::figures::Line;
use super::peers::{Measured, Run, Side};
use super::workloads::{PLOTTED_FACES, PLOTTED_MIN_FACE, PLOTTED_SIZE, Picture, Workload};
use std::fmt::Write as _;

/// Blue, orange, grey: also apart in print and for those who see no red.
const COLOURS: [&str; 3] = ["#2b6cb0", "#dd6b20", "#718096"];
const NAMES: [&str; 3] = ["threshold", "onnxruntime", "facenet-pytorch"];

const INK: &str = "#1a202c";
const PALE: &str = "#e2e8f0";

/// One side's points.
pub(super) struct Series {
    pub(super) name: &'static str,
    colour: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Times in ms against something.
pub(super) struct Plot {
    pub(super) file: &'static str,
    pub(super) title: &'static str,
    /// What one unit of x is called.
    pub(super) unit: &'static str,
    axis: &'static str,
    pub(super) series: Vec<Series>,
}

/// What the tables and the drawing call a network.
pub(super) fn title(network: &str) -> &str {
    match network {
        "facenet" => "FaceNet",
        "dlib" => "dlib ResNet-29",
        "nn2" => "NN2",
        "nn3" => "NN3",
        "pnet" => "P-Net",
        "rnet" => "R-Net",
        "onet" => "O-Net",
        other => other,
    }
}

/// All drawings by file name.
pub(super) fn all(run: &Run) -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = growths(run).iter().map(|plot| (plot.file, lines(plot))).collect();
    all.push(("cpu-peers-networks.svg", bars(&ratios(run))));
    all
}

/// Cost against pixels, against faces, and of embeddings; one thread.
pub(super) fn growths(run: &Run) -> [Plot; 3] {
    let detection = |x: fn(Picture) -> Option<f64>| {
        series(run, move |workload| match workload {
            Workload::Detection { picture, min_face: PLOTTED_MIN_FACE, threads: 1 } => x(picture),
            _ => None,
        })
    };
    [
        Plot {
            file: "cpu-peers-pixels.svg",
            title: "Detection by size of the frame (4 equal faces, min face 40)",
            unit: "megapixel",
            axis: "frame, megapixels",
            series: detection(|picture| match picture {
                Picture::Faces(PLOTTED_FACES, [w, h]) => Some(f64::from(w * h) * 1e-6),
                _ => None,
            }),
        },
        Plot {
            file: "cpu-peers-faces.svg",
            title: "Detection by number of equal faces (1280x720, min face 40)",
            unit: "face",
            axis: "faces in the frame",
            series: detection(|picture| match picture {
                Picture::Faces(n, PLOTTED_SIZE) => Some(f64::from(n)),
                _ => None,
            }),
        },
        Plot {
            file: "cpu-peers-embeddings.svg",
            title: "FaceNet by number of faces embedded at a time",
            unit: "face",
            axis: "faces at a time",
            series: series(run, |workload| match workload {
                Workload::Network { network: "facenet", items, threads: 1, .. } => {
                    Some(f64::from(items))
                }
                _ => None,
            }),
        },
    ]
}

fn sides(one: &Measured) -> [Option<&Side>; 3] {
    [Some(&one.ours), one.onnxruntime.as_ref(), one.facenet_pytorch.as_ref()]
}

/// The points of each side that has any, by ascending x.
fn series(run: &Run, x: impl Fn(Workload) -> Option<f64>) -> Vec<Series> {
    let of = |side: usize| {
        let point = |one: &Measured| Some((x(one.workload)?, sides(one)[side]?.ms()));
        let mut points: Vec<(f64, f64)> = run.measured.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Series { name: NAMES[side], colour: COLOURS[side], points }
    };
    (0..3).map(of).filter(|series| !series.points.is_empty()).collect()
}

/// A group of bars: the ratios of ours to each peer.
struct Group {
    label: String,
    ratios: [Option<f64>; 2],
}

fn ratios(run: &Run) -> Vec<Group> {
    let group = |one: &Measured| {
        let Workload::Network { network, size, items, threads } = one.workload else { return None };
        let size = size.map(|[w, h]| format!(" {w}x{h}")).unwrap_or_default();
        let items = if items == 1 { String::new() } else { format!(" x {items}") };
        let threads =
            if threads == 1 { "1 thread".to_owned() } else { format!("{threads} threads") };
        let ratio = |side: &Option<Side>| Some(side.as_ref()?.ratio_of(&one.ours));
        Some(Group {
            label: format!("{}{size}{items}, {threads}", title(network)),
            ratios: [ratio(&one.onnxruntime), ratio(&one.facenet_pytorch)],
        })
    };
    run.measured.iter().filter_map(group).collect()
}

fn head(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"13\" fill=\"{INK}\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"600\">{title}</text>\n"
    )
}

/// Round steps from 0 to at least the largest value: 4 to 8 of them.
fn ticks(largest: f64) -> Vec<f64> {
    let rough = (largest / 6.0).max(f64::MIN_POSITIVE);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(10.0 * power);
    let count = (largest / step).ceil() as u32;
    (0..=count).map(|i| f64::from(i) * step).collect()
}

/// A tick's text, without the noise of binary fractions.
fn tick_text(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Points with the straight line through them, one colour a side.
fn lines(plot: &Plot) -> String {
    let (width, height) = (720.0, 420.0);
    let (left, right, top, bottom) = (70.0, 560.0, 50.0, 365.0);
    let points = || plot.series.iter().flat_map(|series| &series.points);
    let right_most = points().map(|point| point.0).fold(0.0, f64::max);
    // A line may end above its last point.
    let ends = plot.series.iter().filter_map(|series| Line::through(&series.points));
    let ends = ends.map(|line| line.at(right_most));
    let highest = points().map(|point| point.1).chain(ends).fold(0.0, f64::max);
    let (xs, ys) = (ticks(right_most), ticks(highest));
    let last = |ticks: &[f64]| ticks.last().copied().unwrap_or(1.0).max(f64::MIN_POSITIVE);
    let x_of = |x: f64| left + (right - left) * x / last(&xs);
    let y_of = |y: f64| bottom - (bottom - top) * y / last(&ys);
    let mut svg = head(width, height, plot.title);
    for &y in &ys {
        let at = y_of(y);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {at:.1}H{right}\" stroke=\"{PALE}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            at + 4.0,
            tick_text(y)
        );
    }
    for &x in &xs {
        let at = x_of(x);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {bottom}v5\" stroke=\"{INK}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 20.0,
            tick_text(x)
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{left} {top}V{bottom}H{right}\" fill=\"none\" stroke=\"{INK}\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
         <text transform=\"translate(22 {:.1}) rotate(-90)\" text-anchor=\"middle\">median time, ms</text>",
        f64::midpoint(left, right),
        bottom + 42.0,
        plot.axis,
        f64::midpoint(top, bottom)
    );
    for (i, series) in plot.series.iter().enumerate() {
        let colour = series.colour;
        if let Some(line) = Line::through(&series.points) {
            // A line whose start lies below zero begins where it leaves the axis.
            let from = if line.start < 0.0 { -line.start / line.slope } else { 0.0 };
            let to = series.points.last().map_or(0.0, |point| point.0);
            let _ = writeln!(
                svg,
                "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
                x_of(from),
                y_of(line.at(from)),
                x_of(to),
                y_of(line.at(to))
            );
        }
        for (x, y) in &series.points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\" fill=\"{colour}\"/>",
                x_of(*x),
                y_of(*y)
            );
        }
        let y = top + 12.0 + 22.0 * i as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            right + 22.0,
            right + 34.0,
            y + 4.0,
            series.name
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\">line: least squares</text>\n</svg>",
        right + 18.0,
        top + 16.0 + 22.0 * plot.series.len() as f64
    );
    svg
}

/// Horizontal bars of ratios, with a line at 1.
fn bars(groups: &[Group]) -> String {
    let (row, left, right, top) = (34.0, 215.0, 690.0, 76.0);
    let bottom = top + row * groups.len() as f64;
    let largest = groups.iter().flat_map(|group| group.ratios).flatten().fold(1.0, f64::max);
    let ticks = ticks(largest);
    let last = ticks.last().copied().unwrap_or(1.0);
    let x_of = |ratio: f64| left + (right - left) * ratio / last;
    let title = "Time of ours over the peer's: left of 1, ours is quicker";
    let mut svg = head(760.0, bottom + 55.0, title);
    for (i, name) in NAMES.iter().enumerate().skip(1) {
        let x = left + 170.0 * (i - 1) as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"44\" width=\"12\" height=\"12\" fill=\"{}\"/>\
             <text x=\"{:.1}\" y=\"55\">over {name}</text>",
            COLOURS[i],
            x + 18.0
        );
    }
    for &tick in &ticks {
        let x = x_of(tick);
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"{PALE}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 18.0,
            tick_text(tick)
        );
    }
    for (i, group) in groups.iter().enumerate() {
        let y = top + row * i as f64;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            left - 8.0,
            y + 20.0,
            group.label
        );
        for (side, ratio) in group.ratios.iter().enumerate() {
            let Some(ratio) = ratio else { continue };
            let at = y + 4.0 + 14.0 * side as f64;
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{at:.1}\" width=\"{:.1}\" height=\"12\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"11\">{ratio:.2}</text>",
                x_of(*ratio) - left,
                COLOURS[side + 1],
                x_of(*ratio) + 5.0,
                at + 10.0
            );
        }
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{one:.1} {top}V{bottom}\" stroke=\"{INK}\" stroke-dasharray=\"5 4\"/>\n\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">ratio of times, no unit</text>\n</svg>",
        f64::midpoint(left, right),
        bottom + 40.0,
        one = x_of(1.0),
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_reach_the_largest_value() {
        for (largest, step) in [(1.0, 0.2), (7.9, 2.0), (16.0, 5.0), (2.07, 0.5), (660.0, 200.0)] {
            let ticks = ticks(largest);
            let [second, last] =
                [ticks.get(1), ticks.last()].map(|tick| tick.copied().unwrap_or(0.0));
            assert!((second - step).abs() < 1e-9, "{largest}: {ticks:?}");
            assert!(last >= largest && ticks.len() < 10, "{largest}: {ticks:?}");
        }
        assert_eq!(tick_text(3.0 * 0.1), "0.3");
        assert_eq!(tick_text(200.0), "200");
    }

    #[test]
    fn a_plot_shows_every_point_a_line_and_a_legend() {
        let series = |name, points: &[(f64, f64)]| Series {
            name,
            colour: "#000000",
            points: points.to_vec(),
        };
        let plot = Plot {
            file: "a.svg",
            title: "A title",
            unit: "face",
            axis: "faces",
            series: vec![series("one", &[(1.0, 2.0), (2.0, 4.0)]), series("two", &[(1.0, 3.0)])],
        };
        let svg = lines(&plot);
        // Three points, and a mark for each name.
        assert_eq!(svg.matches("<circle").count(), 3 + 2);
        assert_eq!(svg.matches("stroke-width=\"1.5\"").count(), 1);
        for text in ["A title", "faces", "median time, ms", ">one<", ">two<"] {
            assert!(svg.contains(text), "{text}");
        }
    }

    #[test]
    fn a_peer_without_the_network_has_no_bar() {
        let group = |label: &str, ratios| Group { label: label.to_owned(), ratios };
        let svg = bars(&[group("a", [Some(0.5), Some(0.25)]), group("b", [Some(1.5), None])]);
        assert_eq!(svg.matches("height=\"12\"").count(), 2 + 3);
    }
}
