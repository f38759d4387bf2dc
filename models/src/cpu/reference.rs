//! The reference executor: a graph by plain loops, one value at a time, for tests to compare engines with.
//!
//! Refuses to be quick and to share anything with the engine: no plan, no buffers, no packing. It sums in f64, so that
//! its own rounding does not hide an engine's.

use crate::engine::EngineError;
use crate::graph::{Act, Conv, Graph, LocalNorm, Op, Pool, PoolKind, Shape, ValueId};
use crate::tensor::{TensorSource as _, Tensors};

/// All values of a graph, in the graph's order, for one item (`input` is H, W, C).
///
/// # Errors
/// [`EngineError::Tensor`] if a weight is missing or has another shape.
pub fn evaluate(
    graph: &Graph,
    weights: &Tensors,
    input: &[f32],
) -> Result<Vec<Vec<f32>>, EngineError> {
    for spec in graph.weights() {
        weights.find(&spec.name, &spec.shape)?;
    }
    let mut values: Vec<Vec<f32>> = Vec::with_capacity(graph.nodes().len());
    for (id, node) in graph.nodes().iter().enumerate() {
        let inputs: Vec<&[f32]> = match node.op {
            Op::Input => vec![input],
            _ => node.inputs.iter().map(|&input| values[input].as_slice()).collect(),
        };
        let value = evaluate_one(graph, id, weights, &inputs);
        values.push(value);
    }
    Ok(values)
}

/// One value of a graph from the values that it is made of, for one item; the input's is itself.
///
/// # Panics
/// If an input is missing or too short, or a weight is.
#[must_use]
pub fn evaluate_one(graph: &Graph, id: ValueId, weights: &Tensors, inputs: &[&[f32]]) -> Vec<f32> {
    let node = &graph.nodes()[id];
    let x = |i: usize| inputs[i];
    let shape = |i: usize| graph.shape(node.inputs[i]);
    let layer = Layer { name: &node.name, weights };
    match node.op {
        Op::Input => x(0).to_vec(),
        Op::Conv { conv, scale } => {
            let residual = (node.inputs.len() == 2).then(|| x(1));
            layer.conv(conv, scale, (x(0), shape(0)), residual, node.shape)
        }
        Op::Dense { out, bias, act } => {
            let conv = Conv { bias, act, ..Conv::new(out, 1, 1) };
            let flat = Shape { h: 1, w: 1, c: shape(0).len() };
            layer.conv(conv, 1.0, (x(0), flat), None, node.shape)
        }
        Op::Pool(p) => pool(p, (x(0), shape(0)), node.shape),
        Op::GlobalAverage => {
            let pixels = shape(0).pixels();
            let mean = |c: usize| {
                let sum: f64 =
                    x(0).iter().skip(c).step_by(node.shape.c).map(|&v| f64::from(v)).sum();
                (sum / pixels as f64) as f32
            };
            (0..node.shape.c).map(mean).collect()
        }
        Op::Concat => {
            let pixel = |p: usize| {
                (0..node.inputs.len()).flat_map(move |i| {
                    let c = shape(i).c;
                    x(i)[p * c..][..c].iter().copied()
                })
            };
            (0..node.shape.pixels()).flat_map(pixel).collect()
        }
        Op::Add { act } => {
            let sum = |(y, xx, c)| {
                let at = |i: usize| cell(x(i), shape(i), y, xx, c).unwrap_or(0.0);
                activate(act, at(0) + at(1), 0.0)
            };
            cells(node.shape).map(sum).collect()
        }
        Op::LocalNorm(norm) => {
            x(0).chunks(node.shape.c).flat_map(|x| local_norm(norm, x)).collect()
        }
        Op::Maxout { pieces } => {
            let largest = |x: &[f32]| x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            x(0).chunks(pieces).map(largest).collect()
        }
        Op::Softmax => x(0).chunks(node.shape.c).flat_map(softmax).collect(),
        Op::L2Norm => x(0).chunks(node.shape.c).flat_map(l2_norm).collect(),
    }
}

/// All (y, x, c) of a shape in memory order.
fn cells(shape: Shape) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..shape.len()).map(move |i| {
        let (pixel, c) = (i / shape.c, i % shape.c);
        (pixel / shape.w, pixel % shape.w, c)
    })
}

fn cell(x: &[f32], shape: Shape, y: usize, xx: usize, c: usize) -> Option<f32> {
    let inside = y < shape.h && xx < shape.w && c < shape.c;
    inside.then(|| x[(y * shape.w + xx) * shape.c + c])
}

struct Layer<'a> {
    name: &'a str,
    weights: &'a Tensors,
}

impl<'a> Layer<'a> {
    fn tensor(&self, kind: &str) -> &'a [f32] {
        self.weights.get(&format!("{}.{kind}", self.name)).map_or(&[], |t| &t.data)
    }

    fn conv(
        &self,
        conv: Conv,
        scale: f32,
        (x, from): (&[f32], Shape),
        residual: Option<&[f32]>,
        to: Shape,
    ) -> Vec<f32> {
        let [weight, bias, slope] = ["weight", "bias", "slope"].map(|kind| self.tensor(kind));
        let [kh, kw] = conv.kernel;
        let one = |(i, (oy, ox, o)): (usize, (usize, usize, usize))| {
            let mut sum = if conv.bias { f64::from(bias[o]) } else { 0.0 };
            for (ky, kx) in (0..kh).flat_map(|ky| (0..kw).map(move |kx| (ky, kx))) {
                // Padding: a position before the first row or column wraps to a huge one, outside like any other.
                let y = (oy * conv.stride + ky).wrapping_sub(conv.pad[0]);
                let xx = (ox * conv.stride + kx).wrapping_sub(conv.pad[1]);
                if y < from.h && xx < from.w {
                    let pixel = &x[(y * from.w + xx) * from.c..][..from.c];
                    let tap = &weight[((o * kh + ky) * kw + kx) * from.c..][..from.c];
                    sum += pixel
                        .iter()
                        .zip(tap)
                        .map(|(&a, &b)| f64::from(a) * f64::from(b))
                        .sum::<f64>();
                }
            }
            let sum = f64::from(scale) * sum + residual.map_or(0.0, |r| f64::from(r[i]));
            let slope = if conv.act == Act::PRelu { slope[o] } else { 0.0 };
            activate(conv.act, sum as f32, slope)
        };
        cells(to).enumerate().map(one).collect()
    }
}

fn activate(act: Act, x: f32, slope: f32) -> f32 {
    match act {
        Act::None => x,
        Act::Relu => x.max(0.0),
        Act::PRelu => x.max(0.0) + slope * x.min(0.0),
    }
}

fn pool(p: Pool, (x, from): (&[f32], Shape), to: Shape) -> Vec<f32> {
    let one = |(oy, ox, c): (usize, usize, usize)| {
        let mut window = Vec::new();
        for (ky, kx, _) in cells(Shape { h: p.kernel, w: p.kernel, c: 1 }) {
            let y = (oy * p.stride + ky).wrapping_sub(p.pad);
            let xx = (ox * p.stride + kx).wrapping_sub(p.pad);
            window.extend(cell(x, from, y, xx, c));
        }
        match p.kind {
            PoolKind::Max => window.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            PoolKind::Average => {
                let sum: f64 = window.iter().map(|&v| f64::from(v)).sum();
                (sum / window.len() as f64) as f32
            }
        }
    };
    cells(to).map(one).collect()
}

fn local_norm(norm: LocalNorm, x: &[f32]) -> Vec<f32> {
    let [alpha, beta, k] = [norm.alpha, norm.beta, norm.k].map(f64::from);
    let one = |c: usize| {
        let end = x.len().min(c + (norm.size - 1) / 2 + 1);
        let neighbours = &x[c.saturating_sub(norm.size / 2)..end];
        let squares: f64 = neighbours.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        (f64::from(x[c]) / (k + alpha / norm.size as f64 * squares).powf(beta)) as f32
    };
    (0..x.len()).map(one).collect()
}

fn softmax(x: &[f32]) -> Vec<f32> {
    let top = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exp: Vec<f32> = x.iter().map(|&v| (v - top).exp()).collect();
    let sum: f32 = exp.iter().sum();
    exp.iter().map(|&e| e / sum).collect()
}

fn l2_norm(x: &[f32]) -> Vec<f32> {
    let len = x.iter().map(|&v| f64::from(v) * f64::from(v)).sum::<f64>().sqrt().max(1e-12) as f32;
    x.iter().map(|&v| v / len).collect()
}
