//! The networks, one file each: what is computed, in which order, under which weight names.
//!
//! Owns the definitions and the one reordering that foreign weights need. Refuses to hold weights or to compute.
//! Names are those of facenet-pytorch's modules (batch norm folded into the layer before it), or of dlib's blocks
//! counted from the input.

mod dlib_resnet29;
mod inception_resnet_v1;
mod onet;
mod pnet;
mod rnet;

pub use dlib_resnet29::dlib_resnet29;
pub use inception_resnet_v1::inception_resnet_v1;
pub use onet::onet;
pub use pnet::{PNET_CELL_PX, PNET_STRIDE_PX, pnet, pnet_cells};
pub use rnet::rnet;

/// Turns a convolution's weights from torch's order (`[cout, cin, kh, kw]`) into ours (`[cout, kh, kw, cin]`).
///
/// # Panics
/// If `weight` is not `cout * cin * kh * kw` long.
#[must_use]
pub fn ohwi_from_oihw(weight: &[f32], [cout, cin, kh, kw]: [usize; 4]) -> Vec<f32> {
    assert_eq!(weight.len(), cout * cin * kh * kw);
    let mut ours = Vec::with_capacity(weight.len());
    for o in 0..cout {
        for tap in 0..kh * kw {
            ours.extend((0..cin).map(|i| weight[(o * cin + i) * kh * kw + tap]));
        }
    }
    ours
}

/// Turns a dense layer's weights over an input flattened in (W, H, C) order, as the first dense layers of R-Net and
/// O-Net have it, into ours over (H, W, C); `weight` is `[out, w * h * c]`.
///
/// # Panics
/// If `weight` is not a multiple of `h * w * c` long.
#[must_use]
pub fn dense_hwc_from_whc(weight: &[f32], [h, w, c]: [usize; 3]) -> Vec<f32> {
    assert_eq!(weight.len() % (h * w * c), 0);
    let mut ours = Vec::with_capacity(weight.len());
    for row in weight.chunks_exact(h * w * c) {
        for y in 0..h {
            for x in 0..w {
                ours.extend_from_slice(&row[(x * h + y) * c..][..c]);
            }
        }
    }
    ours
}
