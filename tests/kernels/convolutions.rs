//! Each convolution of the cascade alone: two units in half's last place from a sum in f64 over the same halves.

use crate::rig::{alone, drawn, rounds, weights};
use half::f16;
use threshold_kernels::launch::{CONVS_ALONE, ConvAlone};
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
