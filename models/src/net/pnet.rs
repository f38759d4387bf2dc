//! P-Net: the cascade's first stage, fully convolutional, so it takes a level of any size.
//!
//! Output cell (y, x) looks at the 12 x 12 pixels from (2 y, 2 x) on.

use crate::graph::{Act, Conv, Graph, Pool, PoolKind, Shape};

/// Side of the window that one output cell looks at.
pub const PNET_CELL_PX: usize = 12;
/// Distance of neighbouring cells' windows.
pub const PNET_STRIDE_PX: usize = 2;

/// Cells of P-Net's map along a side of `n` pixels, at least 12. An odd pixel at the end gets a cell too, which looks one
/// pixel past the end (the pool's ceiling).
#[must_use]
pub const fn pnet_cells(n: usize) -> usize {
    (n - PNET_CELL_PX).div_ceil(PNET_STRIDE_PX) + 1
}

/// P-Net for a level of `h` x `w` pixels, each at least 12: outputs `prob` (2: no face, face) and `reg` (4).
#[must_use]
pub fn pnet(h: usize, w: usize) -> Graph {
    let mut g = Graph::new("P-Net", Shape { h, w, c: 3 });
    let x = g.conv("pnet.conv1", g.input(), Conv::new(10, 3, 3).act(Act::PRelu));
    let x = g.pool("pnet.pool1", x, Pool::new(PoolKind::Max, 2, 2).ceil());
    let x = g.conv("pnet.conv2", x, Conv::new(16, 3, 3).act(Act::PRelu));
    let x = g.conv("pnet.conv3", x, Conv::new(32, 3, 3).act(Act::PRelu));
    let score = g.conv("pnet.conv4_1", x, Conv::new(2, 1, 1));
    let reg = g.conv("pnet.conv4_2", x, Conv::new(4, 1, 1));
    let prob = g.softmax("pnet.prob", score);
    g.output("prob", prob);
    g.output("reg", reg);
    g
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_as_many_cells_as_the_graph_says() {
        for n in 12..80 {
            let g = pnet(n, 91 - n);
            let (_, prob) = g.outputs()[0];
            let Shape { h, w, .. } = g.shape(prob);
            assert_eq!((h, w), (pnet_cells(n), pnet_cells(91 - n)), "a level of {n} x {}", 91 - n);
        }
    }
}
