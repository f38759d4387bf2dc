//! NN2 and NN3: ResNet-50 and ResNet-101 (He et al. 2015) with an embedding instead of classes: 160 x 160 crops, 128-D
//! unit embeddings; narrower ones of smaller crops with the same layers, which training takes where there are few people.
//!
//! Layout and layer names are torchvision's ("v1.5"): a block that halves height and width does so in its 3 x 3
//! convolution. Batch norm (epsilon 1e-5) is folded into the layer before it. A block's output is its last layer's
//! (`layer1.0.conv3`), which adds the block's input, or that through `layer1.0.downsample`.

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape, ValueId};

/// Channels out of a block, of each channel that its 3 x 3 convolution has.
const EXPANSION: usize = 4;

/// What may differ from the paper's while the layers stay the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResnetSize {
    /// Side of the crop.
    pub side_px: usize,
    /// Channels of the first layer; all others follow from it.
    pub width: usize,
    /// Values of the embedding.
    pub len: usize,
}

impl ResnetSize {
    /// The paper's.
    pub const PAPER: Self = Self { side_px: 160, width: 64, len: 128 };
}

/// NN2, ResNet-50: output `embedding` (128).
#[must_use]
pub fn nn2() -> Graph {
    nn2_of(ResnetSize::PAPER)
}

/// NN3, ResNet-101: output `embedding` (128).
#[must_use]
pub fn nn3() -> Graph {
    nn3_of(ResnetSize::PAPER)
}

/// NN2 of another size: output `embedding`.
#[must_use]
pub fn nn2_of(size: ResnetSize) -> Graph {
    resnet("NN2", [3, 4, 6, 3], size)
}

/// NN3 of another size: output `embedding`.
#[must_use]
pub fn nn3_of(size: ResnetSize) -> Graph {
    resnet("NN3", [3, 4, 23, 3], size)
}

/// A ResNet with so many blocks in each of its four groups.
fn resnet(name: &'static str, blocks: [usize; 4], size: ResnetSize) -> Graph {
    let ResnetSize { side_px, width, len } = size;
    let mut g = Graph::new(name, Shape { h: side_px, w: side_px, c: 3 });
    let stem = Conv::new(width, 7, 7).same().stride(2).act(Act::Relu);
    let x = g.conv("conv1", g.input(), stem);
    let mut x = g.pool("maxpool", x, Pool { pad: 1, ..Pool::new(PoolKind::Max, 3, 2) });
    for (group, n) in blocks.into_iter().enumerate() {
        for i in 0..n {
            let stride = if group > 0 && i == 0 { 2 } else { 1 };
            x = bottleneck(&mut g, &format!("layer{}.{i}", group + 1), x, width << group, stride);
        }
    }
    let x = g.global_average("avgpool", x);
    let x = g.dense("fc", x, len, true, Act::None);
    let x = g.l2_norm("embedding", x);
    g.output("embedding", x);
    g
}

fn bottleneck(g: &mut Graph, name: &str, x: ValueId, channels: usize, stride: usize) -> ValueId {
    let relu = |k| Conv::new(channels, k, k).same().act(Act::Relu);
    let cout = channels * EXPANSION;
    let inner = g.conv(format!("{name}.conv1"), x, relu(1));
    let inner = g.conv(format!("{name}.conv2"), inner, relu(3).stride(stride));
    // Behind the convolutions before it, so that the two largest values of a block are not held longer than needed.
    let skip = if g.shape(x).c == cout {
        x
    } else {
        g.conv(format!("{name}.downsample"), x, Conv::new(cout, 1, 1).stride(stride))
    };
    let up = Conv::new(cout, 1, 1).act(Act::Relu);
    g.conv_residual(format!("{name}.conv3"), inner, up, 1.0, skip)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cost;

    #[test]
    fn the_trunks_have_torchvisions_parameters() {
        // torchvision's ResNet-50 and -101 have 25,557,032 and 44,549,160 parameters, 2,049,000 of them in `fc`. Their batch
        // norms have two for each channel, ours one, the bias that is left after folding.
        for (g, convs, theirs, channels) in [
            (nn2(), 53, 25_557_032 - 2_049_000, 26_560),
            (nn3(), 104, 44_549_160 - 2_049_000, 52_672),
        ] {
            let layers = || g.nodes().iter().zip(g.costs()).filter(|(_, cost)| cost.macs > 0);
            let trunk = || layers().filter(|(node, _)| node.name != "fc");
            assert_eq!(trunk().count(), convs, "{}", g.name());
            let biases: usize = trunk().map(|(node, _)| node.shape.c).sum();
            let ours: usize = trunk().map(|(_, cost)| cost.parameters).sum();
            assert_eq!((biases, ours + biases), (channels, theirs), "{}", g.name());
            let Cost { parameters, .. } = g.costs().sum();
            assert_eq!(parameters, ours + 2048 * 128 + 128, "{}", g.name());
        }
    }

    #[test]
    fn groups_halve_the_map_down_to_5_x_5() {
        let g = nn2();
        let size = |name: &str| g.shape(g.find(name).expect("a layer"));
        for (name, side, c) in [
            ("conv1", 80, 64),
            ("maxpool", 40, 64),
            ("layer1.2.conv3", 40, 256),
            ("layer2.0.conv1", 40, 128),
            ("layer2.0.conv2", 20, 128),
            ("layer3.5.conv3", 10, 1024),
            ("layer4.2.conv3", 5, 2048),
        ] {
            assert_eq!(size(name), Shape { h: side, w: side, c }, "{name}");
        }
    }

    #[test]
    fn a_narrower_one_has_the_same_layers() {
        let narrow = nn2_of(ResnetSize { side_px: 64, width: 16, len: 64 });
        let names = |g: &Graph| g.nodes().iter().map(|node| node.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&narrow), names(&nn2()));
        let size = |name: &str| narrow.shape(narrow.find(name).expect("a layer"));
        assert_eq!(size("layer4.2.conv3"), Shape { h: 2, w: 2, c: 512 });
        assert_eq!(size("embedding").c, 64);
    }
}
