//! Inception-ResNet-v1 as FaceNet uses it: 160 x 160 crops, 512-D unit embeddings (Szegedy et al. 2016; David
//! Sandberg's FaceNet; layer names of facenet-pytorch's `InceptionResnetV1`).
//!
//! Batch norm (epsilon 1e-3) is folded into the layer before it, `last_bn` into `last_linear`.
//! A residual block's output is its last layer's (`repeat_1.0.conv2d`), a reduction's its join (`mixed_6a`).

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape, ValueId};

/// FaceNet's Inception-ResNet-v1: output `embedding` (512).
#[must_use]
pub fn inception_resnet_v1() -> Graph {
    to_embedding("Inception-ResNet-v1", 512)
}

/// The same with the 128 values that the paper has: output `embedding` (128).
#[must_use]
pub fn inception_resnet_v1_128() -> Graph {
    to_embedding("Inception-ResNet-v1, 128-D", 128)
}

/// All of it before the last layer: output `features` (1792). What its last layer is trained on.
#[must_use]
pub fn inception_resnet_v1_trunk() -> Graph {
    let mut g = Graph::new("Inception-ResNet-v1 before its last layer", INPUT);
    let x = trunk(&mut g);
    g.output("features", x);
    g
}

/// All of it before the last residual block: output `features` (3 x 3 x 1792).
#[must_use]
pub fn inception_resnet_v1_before_last_block() -> Graph {
    let mut g = Graph::new("Inception-ResNet-v1 before its last block", INPUT);
    let x = before_last_block(&mut g);
    g.output("features", x);
    g
}

/// The last residual block and the last layer, over those: output `embedding` (`len`).
#[must_use]
pub fn inception_resnet_v1_last_block(len: usize) -> Graph {
    let mut g = Graph::new("Inception-ResNet-v1's last block", Shape { h: 3, w: 3, c: 1792 });
    let x = g.input();
    let x = last_block(&mut g, x);
    head(&mut g, x, len);
    g
}

/// The last layer alone, over the features of all before it: output `embedding` (`len`).
#[must_use]
pub fn inception_resnet_v1_head(len: usize) -> Graph {
    let mut g = Graph::new("Inception-ResNet-v1's last layer", Shape { h: 1, w: 1, c: 1792 });
    let x = g.input();
    head(&mut g, x, len);
    g
}

const INPUT: Shape = Shape { h: 160, w: 160, c: 3 };

fn to_embedding(name: &'static str, len: usize) -> Graph {
    let mut g = Graph::new(name, INPUT);
    let x = trunk(&mut g);
    head(&mut g, x, len);
    g
}

fn head(g: &mut Graph, x: ValueId, len: usize) {
    let x = g.dense("last_linear", x, len, true, Act::None);
    let x = g.l2_norm("embedding", x);
    g.output("embedding", x);
}

fn trunk(g: &mut Graph) -> ValueId {
    let x = before_last_block(g);
    last_block(g, x)
}

fn last_block(g: &mut Graph, x: ValueId) -> ValueId {
    let x = block8(g, "block8", x, 1.0, Act::None);
    g.global_average("avgpool_1a", x)
}

fn before_last_block(g: &mut Graph) -> ValueId {
    let relu = |cout, kh, kw| Conv::new(cout, kh, kw).act(Act::Relu);
    let x = g.conv("conv2d_1a", g.input(), relu(32, 3, 3).stride(2));
    let x = g.conv("conv2d_2a", x, relu(32, 3, 3));
    let x = g.conv("conv2d_2b", x, relu(64, 3, 3).same());
    let x = g.pool("maxpool_3a", x, Pool::new(PoolKind::Max, 3, 2));
    let x = g.conv("conv2d_3b", x, relu(80, 1, 1));
    let x = g.conv("conv2d_4a", x, relu(192, 3, 3));
    let mut x = g.conv("conv2d_4b", x, relu(256, 3, 3).stride(2));
    for i in 0..5 {
        x = block35(g, &format!("repeat_1.{i}"), x);
    }
    x = mixed_6a(g, x);
    for i in 0..10 {
        x = block17(g, &format!("repeat_2.{i}"), x);
    }
    x = mixed_7a(g, x);
    for i in 0..5 {
        x = block8(g, &format!("repeat_3.{i}"), x, 0.20, Act::Relu);
    }
    x
}

/// One convolution after the other, each with ReLU.
fn branch(g: &mut Graph, name: &str, x: ValueId, convs: &[Conv]) -> ValueId {
    let mut x = x;
    for (i, conv) in convs.iter().enumerate() {
        // A branch of one convolution is that module itself, without an index.
        let name = if convs.len() == 1 { name.to_owned() } else { format!("{name}.{i}") };
        x = g.conv(name, x, conv.act(Act::Relu));
    }
    x
}

/// The join of a residual block: 1 x 1 convolution with bias over the branches, scaled, added, activated.
fn join(
    g: &mut Graph,
    name: &str,
    x: ValueId,
    branches: &[ValueId],
    scale: f32,
    act: Act,
) -> ValueId {
    let cat = g.concat(format!("{name}.cat"), branches);
    let up = Conv::new(g.shape(x).c, 1, 1).act(act);
    g.conv_residual(format!("{name}.conv2d"), cat, up, scale, x)
}

/// 17 x 17 x 256 at 160 x 160 input.
fn block35(g: &mut Graph, name: &str, x: ValueId) -> ValueId {
    let one = Conv::new(32, 1, 1);
    let three = Conv::new(32, 3, 3).same();
    let b0 = branch(g, &format!("{name}.branch0"), x, &[one]);
    let b1 = branch(g, &format!("{name}.branch1"), x, &[one, three]);
    let b2 = branch(g, &format!("{name}.branch2"), x, &[one, three, three]);
    join(g, name, x, &[b0, b1, b2], 0.17, Act::Relu)
}

/// 8 x 8 x 896.
fn block17(g: &mut Graph, name: &str, x: ValueId) -> ValueId {
    let one = Conv::new(128, 1, 1);
    let (row, column) = (Conv::new(128, 1, 7).same(), Conv::new(128, 7, 1).same());
    let b0 = branch(g, &format!("{name}.branch0"), x, &[one]);
    let b1 = branch(g, &format!("{name}.branch1"), x, &[one, row, column]);
    join(g, name, x, &[b0, b1], 0.10, Act::Relu)
}

/// 3 x 3 x 1792.
fn block8(g: &mut Graph, name: &str, x: ValueId, scale: f32, act: Act) -> ValueId {
    let one = Conv::new(192, 1, 1);
    let (row, column) = (Conv::new(192, 1, 3).same(), Conv::new(192, 3, 1).same());
    let b0 = branch(g, &format!("{name}.branch0"), x, &[one]);
    let b1 = branch(g, &format!("{name}.branch1"), x, &[one, row, column]);
    join(g, name, x, &[b0, b1], scale, act)
}

/// 17 x 17 x 256 to 8 x 8 x 896.
fn mixed_6a(g: &mut Graph, x: ValueId) -> ValueId {
    let b0 = branch(g, "mixed_6a.branch0", x, &[Conv::new(384, 3, 3).stride(2)]);
    let convs = [Conv::new(192, 1, 1), Conv::new(192, 3, 3).same(), Conv::new(256, 3, 3).stride(2)];
    let b1 = branch(g, "mixed_6a.branch1", x, &convs);
    let b2 = g.pool("mixed_6a.branch2", x, Pool::new(PoolKind::Max, 3, 2));
    g.concat("mixed_6a", &[b0, b1, b2])
}

/// 8 x 8 x 896 to 3 x 3 x 1792.
fn mixed_7a(g: &mut Graph, x: ValueId) -> ValueId {
    let one = Conv::new(256, 1, 1);
    let down = |cout| Conv::new(cout, 3, 3).stride(2);
    let b0 = branch(g, "mixed_7a.branch0", x, &[one, down(384)]);
    let b1 = branch(g, "mixed_7a.branch1", x, &[one, down(256)]);
    let b2 = branch(g, "mixed_7a.branch2", x, &[one, Conv::new(256, 3, 3).same(), down(256)]);
    let b3 = g.pool("mixed_7a.branch3", x, Pool::new(PoolKind::Max, 3, 2));
    g.concat("mixed_7a", &[b0, b1, b2, b3])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::cpu::{Network, Pool as Threads, Simd};
    use crate::synthetic;
    use crate::tensor::max_abs_diff;
    use std::sync::Arc;

    #[test]
    fn the_last_block_over_what_is_before_it_is_the_whole_network() {
        let whole = inception_resnet_v1_128();
        let weights = synthetic::weights([&whole]);
        let run = |graph: &Graph, input: &[f32], output: &str| {
            let pool = Arc::new(Threads::new(1));
            let mut network = Network::new(graph, &weights, Simd::detect(), pool).unwrap();
            network.run(input).unwrap();
            network.output(output).unwrap().to_vec()
        };
        let crop = synthetic::input(1, INPUT);
        let expected = run(&whole, &crop, "embedding");
        let rows = run(&inception_resnet_v1_before_last_block(), &crop, "features");
        let found = run(&inception_resnet_v1_last_block(128), &rows, "embedding");
        assert_eq!((rows.len(), found.len()), (3 * 3 * 1792, 128));
        assert!(max_abs_diff(&found, &expected) < 1e-6);
    }
}
