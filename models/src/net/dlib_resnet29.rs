//! dlib's face recognition ResNet with 29 convolutions (`dlib_face_recognition_resnet_model_v1`): 150 x 150 crops,
//! 128-D embeddings that are not unit.
//!
//! dlib's affine layers (batch norm at inference) are folded into the convolution before them. Blocks count from the
//! input. dlib pads a convolution by half its kernel at stride 1 and not at all at stride 2, so a down block's two
//! sides can differ by a row and a column; `add_prev` then extends the smaller with zeros, in channels too.

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape, ValueId};

/// Channels of the 14 blocks, and whether the block halves height and width.
const BLOCKS: [(usize, bool); 14] = [
    (32, false),
    (32, false),
    (32, false),
    (64, true),
    (64, false),
    (64, false),
    (64, false),
    (128, true),
    (128, false),
    (128, false),
    (256, true),
    (256, false),
    (256, false),
    (256, true),
];

/// dlib's ResNet-29: output `embedding` (128).
#[must_use]
pub fn dlib_resnet29() -> Graph {
    let mut g = Graph::new("dlib ResNet-29", Shape { h: 150, w: 150, c: 3 });
    let x = g.conv("conv1", g.input(), Conv::new(32, 7, 7).stride(2).act(Act::Relu));
    let mut x = g.pool("pool1", x, Pool::new(PoolKind::Max, 3, 2));
    for (i, &(cout, down)) in BLOCKS.iter().enumerate() {
        x = block(&mut g, &format!("block{}", i + 1), x, cout, down);
    }
    let x = g.global_average("pool2", x);
    let x = g.dense("fc", x, 128, false, Act::None);
    g.output("embedding", x);
    g
}

fn block(g: &mut Graph, name: &str, x: ValueId, cout: usize, down: bool) -> ValueId {
    let first = Conv::new(cout, 3, 3).act(Act::Relu);
    let second = Conv::new(cout, 3, 3).same();
    if down {
        let inner = g.conv(format!("{name}.conv1"), x, first.stride(2));
        let inner = g.conv(format!("{name}.conv2"), inner, second);
        let skip = g.pool(format!("{name}.skip"), x, Pool::new(PoolKind::Average, 2, 2));
        g.add(name, inner, skip, Act::Relu)
    } else {
        let inner = g.conv(format!("{name}.conv1"), x, first.same());
        g.conv_residual(format!("{name}.conv2"), inner, second.act(Act::Relu), 1.0, x)
    }
}
