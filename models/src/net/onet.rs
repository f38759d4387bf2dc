//! O-Net: the cascade's last stage, over 48 x 48 crops.

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape};

/// O-Net: outputs `prob` (2: no face, face), `reg` (4) and `landmarks` (10: five x, then five y).
#[must_use]
pub fn onet() -> Graph {
    let mut g = Graph::new("O-Net", Shape { h: 48, w: 48, c: 3 });
    let x = g.conv("onet.conv1", g.input(), Conv::new(32, 3, 3).act(Act::PRelu));
    let x = g.pool("onet.pool1", x, Pool::new(PoolKind::Max, 3, 2).ceil());
    let x = g.conv("onet.conv2", x, Conv::new(64, 3, 3).act(Act::PRelu));
    let x = g.pool("onet.pool2", x, Pool::new(PoolKind::Max, 3, 2).ceil());
    let x = g.conv("onet.conv3", x, Conv::new(64, 3, 3).act(Act::PRelu));
    let x = g.pool("onet.pool3", x, Pool::new(PoolKind::Max, 2, 2).ceil());
    let x = g.conv("onet.conv4", x, Conv::new(128, 2, 2).act(Act::PRelu));
    let x = g.dense("onet.dense5", x, 256, true, Act::PRelu);
    let score = g.dense("onet.dense6_1", x, 2, true, Act::None);
    let reg = g.dense("onet.dense6_2", x, 4, true, Act::None);
    let landmarks = g.dense("onet.dense6_3", x, 10, true, Act::None);
    let prob = g.softmax("onet.prob", score);
    g.output("prob", prob);
    g.output("reg", reg);
    g.output("landmarks", landmarks);
    g
}
