//! The networks, one file for each or for one family: what is computed, in which order, under which weight names.
//!
//! Owns the definitions and the one reordering that foreign weights need. Refuses to hold weights or to compute.
//! Names are those of facenet-pytorch's modules (batch norm folded into the layer before it), of dlib's blocks counted
//! from the input, of torchvision's modules, or those of the paper's Table 3.

mod cascade_cnn;
mod dlib_resnet29;
mod inception_resnet_v1;
mod nn1;
mod onet;
mod pnet;
mod resnet;
mod rnet;

pub use cascade_cnn::{PAPER_NETWORKS, PAPER_PASSES, PaperNetwork, net12, net24, net48};
pub use dlib_resnet29::dlib_resnet29;
pub use inception_resnet_v1::{
    inception_resnet_v1, inception_resnet_v1_128, inception_resnet_v1_before_last_block,
    inception_resnet_v1_head, inception_resnet_v1_last_block, inception_resnet_v1_trunk,
};
pub use nn1::{PAPER_LAYERS, PaperLayer, nn1};
pub use onet::onet;
pub use pnet::{PNET_CELL_PX, PNET_STRIDE_PX, pnet, pnet_cells};
pub use resnet::{ResnetSize, nn2, nn2_of, nn3, nn3_of};
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cost;

    #[test]
    fn every_network_has_its_known_parameters_and_multiply_accumulates() {
        for (graph, parameters, macs) in [
            (pnet(12, 12), 6_632, 44_760),
            (rnet(), 100_178, 1_530_768),
            (onet(), 389_040, 12_909_952),
            (net12(), 6_898, 49_632),
            (net24(), 824_450, 2_739_456),
            (net48(), 1_435_202, 43_798_016),
            (inception_resnet_v1(), 23_467_824, 1_417_662_304),
            (inception_resnet_v1_trunk(), 22_549_808, 1_416_744_800),
            (inception_resnet_v1_head(128), 229_504, 229_376),
            (inception_resnet_v1_before_last_block(), 20_949_808, 1_402_367_840),
            (inception_resnet_v1_last_block(128), 1_829_504, 14_606_336),
            (inception_resnet_v1_128(), 22_779_312, 1_416_974_176),
            (dlib_resnet29(), 5_607_488, 270_854_144),
            (nn1(), 140_025_664, 1_605_944_064),
            (nn2(), 23_743_744, 2_085_535_744),
            (nn3(), 42_709_760, 3_979_526_144),
        ] {
            let total: Cost = graph.costs().sum();
            assert_eq!((total.parameters, total.macs), (parameters, macs), "{}", graph.name());
        }
    }
}
