//! 12-Net, 24-Net and 48-Net: the detection networks of Cascade CNN (Li et al. 2015), which the paper times beside the
//! three of MTCNN.
//!
//! Each is the trunk over one resolution: in the original, the dense layer of 24-Net also reads that of 12-Net, and
//! 48-Net's that of 24-Net. The calibration networks are left out, as the comparison leaves them out.
//! What the original leaves open is read as follows: convolutions are unpadded and pools count a last window that
//! sticks out, as Caffe has it (so 12-Net's dense layer reads 5 x 5 positions); its ReLU behind a max pool stands at the
//! convolution, which is the same but for 48-Net's second norm; norms have [`LocalNorm::new`]'s numbers.

use crate::graph::{Act, Conv, Graph, LocalNorm, Pool, PoolKind, Shape, ValueId};

/// A network of the paper's Table 1 (Jin et al.), which sets Cascade CNN's beside MTCNN's.
#[derive(Clone, Copy, Debug)]
pub struct PaperNetwork {
    /// Those of one group have inputs of one size.
    pub group: u32,
    /// The graph's name.
    pub network: &'static str,
    /// What [`PAPER_PASSES`] forward passes take there, on a graphics card.
    pub seconds: f64,
    /// Its accuracy on the paper's validation set, percent.
    pub accuracy: f64,
}

/// Forward passes of Table 1.
pub const PAPER_PASSES: usize = 300;

/// Table 1, row by row.
pub const PAPER_NETWORKS: [PaperNetwork; 6] = [
    paper(1, "12-Net", 0.043, 93.10),
    paper(1, "P-Net", 0.040, 93.70),
    paper(2, "24-Net", 0.738, 93.80),
    paper(2, "R-Net", 0.466, 94.50),
    paper(3, "48-Net", 3.601, 92.10),
    paper(3, "O-Net", 1.411, 93.50),
];

const fn paper(group: u32, network: &'static str, seconds: f64, accuracy: f64) -> PaperNetwork {
    PaperNetwork { group, network, seconds, accuracy }
}

/// 12-Net, over 12 x 12 crops: output `prob` (2: no face, face).
#[must_use]
pub fn net12() -> Graph {
    let mut g = Graph::new("12-Net", Shape { h: 12, w: 12, c: 3 });
    let x = g.conv("12net.conv1", g.input(), relu(16, 3));
    let x = g.pool("12net.pool1", x, half());
    classify(g, ["12net.fc2", "12net.fc3", "12net.prob"], x, 16)
}

/// 24-Net, over 24 x 24 crops: output `prob` (2: no face, face).
#[must_use]
pub fn net24() -> Graph {
    let mut g = Graph::new("24-Net", Shape { h: 24, w: 24, c: 3 });
    let x = g.conv("24net.conv1", g.input(), relu(64, 5));
    let x = g.pool("24net.pool1", x, half());
    classify(g, ["24net.fc2", "24net.fc3", "24net.prob"], x, 128)
}

/// 48-Net, over 48 x 48 crops: output `prob` (2: no face, face).
#[must_use]
pub fn net48() -> Graph {
    let mut g = Graph::new("48-Net", Shape { h: 48, w: 48, c: 3 });
    let x = g.conv("48net.conv1", g.input(), relu(64, 5));
    let x = g.pool("48net.pool1", x, half());
    let x = g.local_norm("48net.norm1", x, LocalNorm::new());
    let x = g.conv("48net.conv2", x, relu(64, 5));
    let x = g.local_norm("48net.norm2", x, LocalNorm::new());
    let x = g.pool("48net.pool2", x, half());
    classify(g, ["48net.fc3", "48net.fc4", "48net.prob"], x, 256)
}

fn relu(cout: usize, kernel: usize) -> Conv {
    Conv::new(cout, kernel, kernel).act(Act::Relu)
}

fn half() -> Pool {
    Pool::new(PoolKind::Max, 3, 2).ceil()
}

/// The end of each: a dense layer of `width`, two classes and their softmax.
fn classify(mut g: Graph, [dense, score, prob]: [&str; 3], x: ValueId, width: usize) -> Graph {
    let x = g.dense(dense, x, width, true, Act::Relu);
    let score = g.dense(score, x, 2, true, Act::None);
    let prob = g.softmax(prob, score);
    g.output("prob", prob);
    g
}
