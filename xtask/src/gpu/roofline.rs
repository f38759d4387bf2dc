//! The roofline of a card: each kernel of a frame and each level of FaceNet by its products a byte and its rate.
//!
//! Owns the drawing, SVG written by hand as the other pages' are. Refuses kernels without a product: they have no place on it.

use super::prediction::asked;
use super::results::{Results, list};
use crate::kernels::count::{self, Work};
use anyhow::Result;
use std::fmt::Write as _;
use threshold_models::net;

const SIZE: [f64; 2] = [760.0, 470.0];
const LEFT: f64 = 70.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 420.0;
/// Powers of ten: FLOP a byte, TFLOP a second.
const X: [f64; 2] = [-1.0, 4.0];
const Y: [f64; 2] = [-4.0, 3.0];

/// Points of one kind.
struct Series {
    name: &'static str,
    colour: &'static str,
    points: Vec<[f64; 2]>,
}

/// FLOP a byte, and TFLOP a second.
fn point(work: Work, us: f64) -> Option<[f64; 2]> {
    let flop = 2.0 * work.macs as f64;
    (flop > 0.0 && work.bytes() > 0).then(|| [flop / work.bytes() as f64, flop / us / 1e6])
}

/// Draws it; empty axes where nothing was measured.
///
/// # Errors
/// If the work cannot be counted.
pub(super) fn drawing(results: &Results) -> Result<String> {
    let multiprocessors = results.detect["multiprocessors"].as_u64().unwrap_or(132) as u32;
    let mut all = Vec::new();
    for (frame, name, colour) in [
        ("1280x720-1", "cascade, 1 face", "#2b6cb0"),
        ("1280x720-20", "cascade, 20 faces", "#63b3ed"),
    ] {
        let row = results.frame(frame, 40.0);
        let Some(asked) = asked(row) else { continue };
        let counted = count::frame(asked, multiprocessors)?;
        let points =
            counted.iter().filter_map(|one| point(one.work, row["stages_us"][&one.name].as_f64()?));
        all.push(Series { name, colour, points: points.collect() });
    }
    let graph = net::inception_resnet_v1();
    for (batch, name, colour) in
        [(1, "FaceNet's levels, 1 face", "#dd6b20"), (32, "FaceNet's levels, 32 faces", "#f6ad55")]
    {
        let rows = list(&results.embed["networks"]).iter();
        let mut rows = rows.filter(|row| row["network"] == graph.name() && row["batch"] == batch);
        let Some(row) = rows.next() else { continue };
        let counted = count::network(&graph, batch, multiprocessors)?;
        let levels = counted.iter().zip(list(&row["levels"]));
        let points = levels
            .filter(|(one, level)| level[0] == one.name)
            .filter_map(|(one, level)| point(one.work, level[1].as_f64()?));
        all.push(Series { name, colour, points: points.collect() });
    }
    let ceilings = ["copy_gb_a_second", "tensor_tflops"].map(|key| results.of_card(key).as_f64());
    Ok(svg(&results.card(), &all, ceilings))
}

fn x_of(flop_a_byte: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * (flop_a_byte.log10() - X[0]) / (X[1] - X[0])
}

fn y_of(tflops: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * (tflops.log10() - Y[0]) / (Y[1] - Y[0])
}

fn svg(card: &str, all: &[Series], ceilings: [Option<f64>; 2]) -> String {
    let [width, height] = SIZE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"28\" font-size=\"16\">Roofline of {card}: measured ceilings, each launch alone</text>\n"
    );
    let power = |power: f64| match power {
        p if p < 0.0 => format!("{:.*}", -p as usize, 10f64.powf(p)),
        p => format!("{:.0}", 10f64.powf(p)),
    };
    for p in X[0] as i32..=X[1] as i32 {
        let (p, x) = (f64::from(p), x_of(10f64.powi(p)));
        let _ = writeln!(
            svg,
            "<path d=\"M{x:.1} {TOP}V{BOTTOM}\" stroke=\"#e2e8f0\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            BOTTOM + 18.0,
            power(p)
        );
    }
    for p in Y[0] as i32..=Y[1] as i32 {
        let (p, y) = (f64::from(p), y_of(10f64.powi(p)));
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {y:.1}H{RIGHT}\" stroke=\"#e2e8f0\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            y + 4.0,
            power(p)
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">FLOP a byte that must move</text>\
         <text x=\"18\" y=\"{}\" transform=\"rotate(-90 18 {1})\" text-anchor=\"middle\">TFLOP/s</text>",
        f64::midpoint(LEFT, RIGHT),
        BOTTOM + 40.0,
        f64::midpoint(TOP, BOTTOM)
    );
    if let [Some(copy), Some(tflops)] = ceilings {
        // The copy's TFLOP/s at so many FLOP a byte.
        let [first, last] = X.map(|p| 10f64.powf(p));
        let knee = tflops / copy * 1e3;
        let _ = writeln!(
            svg,
            "<path d=\"M{:.1} {:.1}L{:.1} {y:.1}H{:.1}\" fill=\"none\" stroke=\"#1a202c\" stroke-width=\"1.5\"/>",
            x_of(first),
            y_of(first * copy / 1e3),
            x_of(knee),
            x_of(last),
            y = y_of(tflops)
        );
    }
    for (i, series) in all.iter().enumerate() {
        for [x, y] in &series.points {
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\" fill-opacity=\"0.75\"/>",
                x_of(*x),
                y_of(*y),
                series.colour
            );
        }
        let y = TOP + 12.0 + 22.0 * i as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{}\" cy=\"{y}\" r=\"4\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            RIGHT + 16.0,
            series.colour,
            RIGHT + 26.0,
            y + 4.0,
            series.name
        );
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_launch_without_a_product_or_without_bytes_has_no_place() {
        let work = |macs, read| Work { macs, read, written: 0 };
        assert_eq!(point(work(0, 100), 1.0), None);
        assert_eq!(point(work(100, 0), 1.0), None);
        // 2,000,000 FLOP in 2 us are 1 TFLOP/s.
        assert_eq!(point(work(1_000_000, 1000), 2.0), Some([2000.0, 1.0]));
    }

    #[test]
    fn every_point_a_legend_and_the_roof_are_drawn() {
        let series =
            Series { name: "one", colour: "#000000", points: vec![[1.0, 1.0], [10.0, 2.0]] };
        let drawn = svg("a card", &[series], [Some(1000.0), Some(100.0)]);
        assert_eq!(drawn.matches("<circle").count(), 2 + 1);
        assert_eq!(drawn.matches("stroke-width=\"1.5\"").count(), 1);
        assert!(drawn.contains("a card") && drawn.contains(">one<"));
        assert!(!svg("a card", &[], [None, None]).contains("stroke-width"));
    }
}
