//! R-Net: the cascade's second stage, over 24 x 24 crops.

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape};

/// R-Net: outputs `prob` (2: no face, face) and `reg` (4).
#[must_use]
pub fn rnet() -> Graph {
    let mut g = Graph::new("R-Net", Shape { h: 24, w: 24, c: 3 });
    let x = g.conv("rnet.conv1", g.input(), Conv::new(28, 3, 3).act(Act::PRelu));
    let x = g.pool("rnet.pool1", x, Pool::new(PoolKind::Max, 3, 2).ceil());
    let x = g.conv("rnet.conv2", x, Conv::new(48, 3, 3).act(Act::PRelu));
    let x = g.pool("rnet.pool2", x, Pool::new(PoolKind::Max, 3, 2).ceil());
    let x = g.conv("rnet.conv3", x, Conv::new(64, 2, 2).act(Act::PRelu));
    let x = g.dense("rnet.dense4", x, 128, true, Act::PRelu);
    let score = g.dense("rnet.dense5_1", x, 2, true, Act::None);
    let reg = g.dense("rnet.dense5_2", x, 4, true, Act::None);
    let prob = g.softmax("rnet.prob", score);
    g.output("prob", prob);
    g.output("reg", reg);
    g
}
