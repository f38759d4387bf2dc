//! Times a training step of each stage, and O-Net's convolutions beside candle's own: medians in milliseconds, one JSON
//! object a line.
//!
//! `cargo test -p threshold-train --bench step`, in the profile of tests, whose dependencies are optimised.
//! Both kinds of convolution take turns in one process, so that whatever else the machine does meets both.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first fault")]

use candle_core::{Device, Tensor, Var};
use serde_json::json;
use std::io::Write as _;
use std::time::Instant;
use threshold_models::graph::{Conv, Op, Shape};
use threshold_models::{net, synthetic};
use threshold_train::layers;
use threshold_train::pace::{self, Learning};
use threshold_train::stage::Stage;
use threshold_train::trainable::Trainable;

/// Samples of a batch.
const N: usize = 64;
/// Turns of each measurement.
const TURNS: usize = 5;

fn main() {
    for stage in Stage::ALL {
        let ms = pace::median_ms(Learning::Cascade(stage), N, TURNS).unwrap();
        tell(json!({ "step": format!("{stage:?}"), "samples": N, "ms": ms }));
    }
    for node in net::onet().nodes() {
        let Op::Conv { conv, .. } = node.op else { continue };
        let from = net::onet().shape(node.inputs[0]);
        let [ours, candles] = convolutions(&conv, from);
        tell(
            json!({ "convolution": node.name, "samples": N, "ours_ms": ours, "candles_ms": candles }),
        );
    }
    let graph = net::inception_resnet_v1();
    let (trainable, weights) = (Trainable::new(graph.clone()), synthetic::weights([&graph]));
    let x = tensor(4, graph.shape(graph.input()));
    let step = || {
        let variables = trainable.variables(&weights).unwrap();
        let values = trainable.forward(&variables, &x).unwrap();
        drop(values[graph.outputs()[0].1].sum_all().unwrap().backward().unwrap());
    };
    tell(json!({ "step": graph.name(), "samples": 4, "ms": median(&mut [&mut { step }])[0] }));
}

/// Forward and backward of one convolution, ours and candle's.
fn convolutions(conv: &Conv, from: Shape) -> [f64; 2] {
    let [kh, kw] = conv.kernel;
    let variable = |shape: [usize; 4]| Var::randn(0.0f32, 0.1, &shape, &Device::Cpu).unwrap();
    let Shape { h, w, c } = from;
    let (x, weight) = (variable([N, h, w, c]), variable([conv.cout, kh, kw, c]));
    let (planes, oihw) = (variable([N, c, h, w]), variable([conv.cout, c, kh, kw]));
    let mut ours = || {
        let out = layers::conv(&x, &weight, conv).unwrap();
        drop(out.sum_all().unwrap().backward().unwrap());
    };
    let mut candles = || {
        let out = planes.conv2d(&oihw, 0, conv.stride, 1, 1).unwrap();
        drop(out.sum_all().unwrap().backward().unwrap());
    };
    let medians = median(&mut [&mut ours, &mut candles]);
    [medians[0], medians[1]]
}

/// Medians of several things in turns, the first turn not counted.
fn median(things: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut times = vec![Vec::new(); things.len()];
    for turn in 0..=TURNS {
        for (thing, times) in things.iter_mut().zip(&mut times) {
            let start = Instant::now();
            thing();
            if turn > 0 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    times
        .iter_mut()
        .map(|times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}

fn tensor(n: usize, shape: Shape) -> Tensor {
    let values: Vec<f32> = (0..n as u64).flat_map(|i| synthetic::input(i, shape)).collect();
    Tensor::from_vec(values, (n, shape.h, shape.w, shape.c), &Device::Cpu).unwrap()
}

fn tell(line: serde_json::Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
}
