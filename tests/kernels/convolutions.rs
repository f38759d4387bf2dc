//! Each layer of the cascade alone, convolutions and dense ones: two units in half's last place from a sum in f64 over the same halves.

use crate::rig::{alone, drawn, rounds, weights};
use half::f16;
use threshold_kernels::launch::{
    CONVS_ALONE, ConvAlone, ONET_ANSWERS, ONET_FEATURES, PNET_ALONE_CELLS, PNET_ALONE_CONV2,
    PNET_ALONE_PIXELS, PNET_ALONE_POOL, RNET_ANSWERS, RNET_FEATURES,
};
use threshold_kernels::rounding;
use threshold_models::tensor::Tensors;
use threshold_tests::lots::Lots;

/// What f32 sums may add, as a part of the sum of all products' sizes: 1,152 roundings of which most cancel.
const SUMMED: f64 = 1e-6;

fn half(value: f32) -> f64 {
    f64::from(f16::from_f32(value).to_f32())
}

/// A unit in the last place of the half that is nearest.
fn ulp(value: f64) -> f64 {
    // The least normal half is 2^-14, and its last place 2^-24.
    2f64.powf(value.abs().max(2f64.powi(-14)).log2().floor() - 10.0)
}

/// A term of an output's sum: row, column and channel of the window, and the weight there, a half.
type Term = ([usize; 3], f64);

/// One output's terms, of its window `[k][k][channels]`.
fn terms(window: &[f32], kernel: usize, channels: usize) -> Vec<Term> {
    if channels == 3 {
        // Three pixels of a row, the middle one twice, of four values each.
        let place = |i: usize| [i / 16, [0, 1, 1, 2][i / 4 % 4], i % 4];
        let weights = rounding::first_layer(window).into_iter().enumerate();
        return weights.map(|(i, weight)| (place(i), f64::from(weight))).collect();
    }
    let mut window = window.to_vec();
    rounding::window(&mut window, [kernel; 2], channels);
    let place = |i: usize| [i / channels / kernel, i / channels % kernel, i % channels];
    window.iter().enumerate().map(|(i, &weight)| (place(i), f64::from(weight))).collect()
}

fn check(lots: &mut Lots, tensors: &Tensors, which: usize) {
    let ConvAlone { name, input: [h, w, c], output: [oh, ow, oc], kernel } = CONVS_ALONE[which];
    let of = |kind: &str| &tensors[&format!("{name}.{kind}")];
    let (weight, bias, slope) = (of("weight"), of("bias"), of("slope"));
    let (outputs, channels) = (weight.shape[0], weight.shape[3]);
    // What lies beyond the network's channels is zero, as the layer before leaves it; a first layer's pixels have four values.
    let there = if channels == 3 { 4 } else { channels };
    let x: Vec<f32> =
        (0..h * w * c).map(|i| if i % c < there { lots.unit() * 4.0 - 2.0 } else { 0.0 }).collect();
    let windows = weight.data.chunks_exact(kernel * kernel * channels);
    let terms: Vec<_> = windows.map(|window| terms(window, kernel, channels)).collect();
    let found = alone(tensors, lots.below(99)).conv(which, &x).unwrap();
    for (i, &found) in found.iter().enumerate() {
        let (o, ox, oy) = (i % oc, i / oc % ow, i / oc / ow);
        assert!(oy < oh);
        if o >= outputs {
            assert_eq!(found, 0.0, "{name} {oy} {ox} {o}: beyond the last channel");
            continue;
        }
        let (mut sum, mut size) = (f64::from(bias.data[o]), 0.0);
        for &([ky, kx, ci], weight) in &terms[o] {
            let product = half(x[((oy + ky) * w + ox + kx) * c + ci]) * weight;
            sum += product;
            size += product.abs();
        }
        let expected = if sum > 0.0 { sum } else { sum * f64::from(slope.data[o]) };
        let allowed = 2.0 * ulp(expected) + SUMMED * size;
        let apart = (f64::from(found) - expected).abs();
        assert!(apart <= allowed, "{name} {oy} {ox} {o}: {found}, {expected}, {allowed:e} allowed");
    }
}

#[test]
fn every_convolution_is_two_units_in_the_last_place_from_f64() {
    for mut lots in rounds(451) {
        for tensors in [drawn(), weights()] {
            (0..CONVS_ALONE.len()).for_each(|which| check(&mut lots, &tensors, which));
        }
    }
}

/// Values as a layer before leaves them, halves of both signs.
fn values(lots: &mut Lots, n: usize) -> Vec<f32> {
    (0..n).map(|_| lots.unit() * 4.0 - 2.0).collect()
}

/// A sum in f64 with what f32 may be off it, from the sizes of what is summed.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    off: f64,
}

impl Sum {
    fn of(products: impl Iterator<Item = f64>, bias: f32) -> Self {
        let mut sum = Self { value: f64::from(bias), off: 0.0 };
        for product in products {
            sum.value += product;
            sum.off += SUMMED * product.abs();
        }
        sum
    }

    fn prelu(self, slope: f32) -> Self {
        match self.value > 0.0 {
            true => self,
            // Near zero either side's slope may be taken; no slope is steeper than what is positive.
            false => Self { value: self.value * f64::from(slope), ..self },
        }
    }

    fn check(self, found: f32, what: impl std::fmt::Display) {
        let Self { value, off } = self;
        let allowed = 2.0 * ulp(value) + off;
        let apart = (f64::from(found) - value).abs();
        assert!(apart <= allowed, "{what}: {found}, {value}, {allowed:e} allowed");
    }
}

/// A layer's weights `[outputs][inputs]`, biases and slopes: of several, one below the other.
struct Rows {
    weight: Vec<f32>,
    bias: Vec<f32>,
    slope: Vec<f32>,
}

fn rows(tensors: &Tensors, names: &[&str]) -> Rows {
    let of = |kind: &str| -> Vec<f32> {
        let all = names.iter().filter_map(|name| tensors.get(&format!("{name}.{kind}")));
        all.flat_map(|tensor| tensor.data.clone()).collect()
    };
    Rows { weight: of("weight"), bias: of("bias"), slope: of("slope") }
}

/// The answers of hidden values by weights that lose nothing of f32: with each hidden value what it may be off.
fn check_heads(heads: &Rows, hidden: &[Sum], found: &[f32], what: &str) {
    for (o, weights) in heads.weight.chunks_exact(hidden.len()).enumerate() {
        let pairs = || weights.iter().zip(hidden).map(|(&weight, h)| (f64::from(weight), h));
        let mut sum = Sum::of(pairs().map(|(weight, h)| weight * h.value), heads.bias[o]);
        sum.off += pairs().map(|(weight, h)| weight.abs() * h.off).sum::<f64>();
        sum.check(found[o], format_args!("{what} {o}"));
    }
}

fn check_pnet(lots: &mut Lots, tensors: &Tensors) {
    let side = PNET_ALONE_PIXELS;
    let pixels = values(lots, side * side * 4);
    // Up to the whole tile; of an odd size the last windows stick out.
    let size = [0; 2].map(|_| 21 + lots.below(20) as u32);
    let conv2_side = PNET_ALONE_CONV2;
    let conv2 = values(lots, conv2_side * conv2_side * 16);
    let kernels = alone(tensors, lots.below(99));
    let (pool, answers) = kernels.pnet_layers(&pixels, size, &conv2).unwrap();

    let conv1 = rows(tensors, &["pnet.conv1"]);
    let windows: Vec<_> = conv1.weight.chunks_exact(27).map(|window| terms(window, 3, 3)).collect();
    let at = |o: usize, y: usize, x: usize| {
        let pixel = |[ky, kx, c]: [usize; 3]| half(pixels[((y + ky) * side + x + kx) * 4 + c]);
        let products = windows[o].iter().map(|&(place, weight)| pixel(place) * weight);
        Sum::of(products, conv1.bias[o]).prelu(conv1.slope[o])
    };
    let [columns, lines] = size.map(|size| size as usize);
    for (i, &found) in pool.iter().enumerate() {
        let (o, px, py) = (i % 16, i / 16 % PNET_ALONE_POOL, i / 16 / PNET_ALONE_POOL);
        if o >= windows.len() || 2 * px >= columns || 2 * py >= lines {
            continue;
        }
        let inside = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(dy, dx)| (2 * py + dy, 2 * px + dx));
        let inside = inside.into_iter().filter(|&(y, x)| y < lines && x < columns);
        let most = |a: Sum, b: Sum| Sum { value: a.value.max(b.value), off: a.off.max(b.off) };
        let expected = inside.map(|(y, x)| at(o, y, x)).reduce(most).unwrap();
        expected
            .check(found, format_args!("pnet.conv1 and pool {py} {px} {o}, {columns} x {lines}"));
    }

    let conv3 = rows(tensors, &["pnet.conv3"]);
    let heads = rows(tensors, &["pnet.conv4_1", "pnet.conv4_2"]);
    let channels = conv3.weight.len() / conv3.bias.len() / 9;
    let windows: Vec<_> =
        conv3.weight.chunks_exact(9 * channels).map(|window| terms(window, 3, channels)).collect();
    for cell in 0..PNET_ALONE_CELLS.pow(2) {
        let (y, x) = (cell / PNET_ALONE_CELLS, cell % PNET_ALONE_CELLS);
        let value =
            |[ky, kx, c]: [usize; 3]| half(conv2[((y + ky) * conv2_side + x + kx) * 16 + c]);
        let hidden = windows.iter().enumerate().map(|(o, window)| {
            let products = window.iter().map(|&(place, weight)| value(place) * weight);
            Sum::of(products, conv3.bias[o]).prelu(conv3.slope[o])
        });
        let hidden: Vec<Sum> = hidden.collect();
        let found = &answers[8 * cell..8 * cell + 8];
        check_heads(&heads, &hidden, found, "pnet.conv3 and heads");
        assert_eq!(found[6..], [0.0; 2]);
    }
}

/// The sums of a dense layer over one crop's features, with weights rounded as its fragments are.
fn dense(layer: &Rows, features: &[f32]) -> Vec<Sum> {
    let each = layer.weight.chunks_exact(features.len()).enumerate();
    let sum = |(o, weights): (usize, &[f32])| {
        let products = weights.iter().zip(features).map(|(&w, &x)| half(w) * half(x));
        Sum::of(products, layer.bias[o]).prelu(layer.slope[o])
    };
    each.map(sum).collect()
}

fn check_dense(lots: &mut Lots, tensors: &Tensors) {
    // More than a block's sixteen, and no multiple of them.
    let n = 17 + lots.below(4) as usize;
    let kernels = alone(tensors, lots.below(99));
    let features = values(lots, n * RNET_FEATURES);
    let hidden = rows(tensors, &["rnet.dense4"]);
    let heads = rows(tensors, &["rnet.dense5_1", "rnet.dense5_2"]);
    let found = kernels.rnet_dense(&features).unwrap();
    assert_eq!(found.len(), n);
    for (features, found) in features.chunks_exact(RNET_FEATURES).zip(&found) {
        let found: &[f32; RNET_ANSWERS] = found;
        check_heads(&heads, &dense(&hidden, features), found, "rnet's dense layers");
    }

    let features = values(lots, n * ONET_FEATURES);
    let hidden = rows(tensors, &["onet.dense5"]);
    let mut heads = rows(tensors, &["onet.dense6_1", "onet.dense6_2", "onet.dense6_3"]);
    heads.weight.iter_mut().for_each(|weight| *weight = f16::from_f32(*weight).to_f32());
    let (found_hidden, found) = kernels.onet_dense(&features).unwrap();
    assert_eq!(found.len(), n);
    for (i, features) in features.chunks_exact(ONET_FEATURES).enumerate() {
        let kept = &found_hidden[i * 256..(i + 1) * 256];
        for (o, (sum, &found)) in dense(&hidden, features).into_iter().zip(kept).enumerate() {
            sum.check(found, format_args!("onet.dense5 {i} {o}"));
        }
        // The heads' own error, from the hidden values as they are kept.
        let kept: Vec<Sum> =
            kept.iter().map(|&value| Sum { value: f64::from(value), off: 0.0 }).collect();
        let found: &[f32; ONET_ANSWERS] = &found[i];
        check_heads(&heads, &kept, found, "onet's heads");
    }
}

#[test]
fn p_nets_own_layers_and_all_dense_ones_are_two_units_in_the_last_place_from_f64() {
    for mut lots in rounds(452) {
        for tensors in [drawn(), weights()] {
            check_pnet(&mut lots, &tensors);
            check_dense(&mut lots, &tensors);
        }
    }
}
