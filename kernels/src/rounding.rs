//! How a layer's f32 weights become the halves of its fragments: so that what rounding changes cancels out in a sum.
//!
//! Neighbouring values of a layer's input are alike, so that the errors of a window's weights add up, and in the cascade they
//! added up to more than all other rounding: 0.7 of the error of P-Net's scores came from its first layer's weights. What is
//! done against that costs the kernels nothing:
//!
//! - *Windows*: the error of each weight goes on to its neighbours, so that a window's sum is right to one weight's last place
//!   and what is left answers to differences of neighbouring values (as error diffusion does with grey levels).
//! - *First layers*: a step of their sum has four places for three pixels. The middle one takes two, and its weights in the second
//!   are what rounding took from the row's.
//! - *Heads*: a second run of fragments has what rounding took from the first. These take products of their own, and are tiny.

use half::f16;

/// Values of a pixel as first layers take it: green, what rounding took from green, red - green, blue - green.
const VALUES: usize = 4;
/// Rows of a first layer's window, and its pixels in a row.
const SIDE: usize = 3;
/// Weights of a first layer for one output: a step of 16 for each row.
pub const FIRST_LAYER: usize = SIDE * 4 * VALUES;

fn half(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

/// What rounding to half takes from a value.
pub(crate) fn rest(value: f32) -> f32 {
    value - half(value)
}

/// One output's window `[rows][columns][channels]`, rounded to halves in place. The errors of each channel cancel out over the
/// window but for the last weight's, at most half a unit in its last place.
pub fn window(weights: &mut [f32], [rows, columns]: [usize; 2], channels: usize) {
    let mut errors = vec![0.0; rows * columns];
    for channel in 0..channels {
        for y in 0..rows {
            for x in 0..columns {
                let at = |up: usize, left: usize| {
                    if up > y || left > x { 0.0 } else { errors[(y - up) * columns + x - left] }
                };
                // The corner's error is in both others' already.
                let carried = at(0, 1) + at(1, 0) - at(1, 1);
                let weight = &mut weights[(y * columns + x) * channels + channel];
                let wanted = *weight + carried;
                *weight = half(wanted);
                errors[y * columns + x] = wanted - *weight;
            }
        }
    }
}

/// One output's window of a first layer, `[3][3][red, green, blue]`, as halves for pixels of four values, `[3][4][4]`: for each row
/// its pixels 0, 1, 1 and 2.
#[must_use]
pub fn first_layer(weights: &[f32]) -> [f32; FIRST_LAYER] {
    let mut all = [0.0; FIRST_LAYER];
    let (rows, _) = weights.as_chunks::<{ 3 * SIDE }>();
    for (row, to) in rows.iter().zip(all.chunks_exact_mut(4 * VALUES)) {
        let mut rests = [0.0; VALUES];
        for (pixel, place) in row.chunks_exact(3).zip([0, 1, 3]) {
            let (red, blue) = (pixel[0], pixel[2]);
            let all_three = red + pixel[1] + blue;
            // red R + green G + blue B = (red + green + blue) G + red (R - G) + blue (B - G)
            let values = [all_three, all_three, red, blue];
            to[place * VALUES..][..VALUES].copy_from_slice(&values.map(half));
            rests = std::array::from_fn(|i| rests[i] + rest(values[i]));
        }
        to[2 * VALUES..][..VALUES].copy_from_slice(&rests.map(half));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights of which none is a half, of one size but for the sign.
    fn drawn(n: usize) -> Vec<f32> {
        let one = |i: usize| {
            let sign = if i * i % 7 < 3 { -1.0 } else { 1.0 };
            sign * (0.6 + 0.3 * ((i * 7919 % 1000) as f32 / 1000.0))
        };
        (0..n).map(one).collect()
    }

    /// Half a unit in the last place of halves below 1.
    const HALF_A_PLACE: f32 = 1.0 / 4096.0;

    #[test]
    fn a_windows_errors_cancel_out_in_each_channel() {
        for (size, channels) in [([3, 3], 5), ([2, 2], 4), ([1, 1], 3)] {
            let weights = drawn(size[0] * size[1] * channels);
            let mut rounded = weights.clone();
            window(&mut rounded, size, channels);
            assert_ne!(rounded, weights);
            for channel in 0..channels {
                let pairs = rounded.iter().zip(&weights).skip(channel).step_by(channels);
                let errors: Vec<f32> = pairs.map(|(rounded, weight)| rounded - weight).collect();
                assert!(errors.iter().all(|error| error.abs() <= 4.0 * HALF_A_PLACE), "{errors:?}");
                let sum: f32 = errors.iter().sum();
                assert!(sum.abs() <= 1.01 * HALF_A_PLACE, "{size:?} {channel}: {sum}");
            }
            assert!(rounded.iter().all(|&weight| weight == half(weight)));
        }
    }

    #[test]
    fn a_first_layers_rows_are_right_where_their_pixels_are_alike() {
        let weights = drawn(27);
        let halves = first_layer(&weights);
        assert!(halves.iter().all(|&weight| weight == half(weight)));
        let [red, green, blue] = [0.31, -0.62, 0.11f32];
        let values = [half(green), rest(green), half(red - green), half(blue - green)];
        let seen = [values[2] + green, green, values[3] + green];
        for (row, halves) in weights.chunks(9).zip(halves.chunks(16)) {
            let wanted: f32 = row.iter().zip(seen.iter().cycle()).map(|(w, x)| w * x).sum();
            let found: f32 = halves.iter().zip(values.iter().cycle()).map(|(w, x)| w * x).sum();
            assert!((found - wanted).abs() < 1e-6, "{found}, {wanted}");
        }
    }
}
