//! NN1: the network of Zeiler and Fergus with 1 x 1 convolutions between, as FaceNet has it (Schroff et al. 2015, Table
//! 1) and "Face Recognition Based on MTCNN and FaceNet" repeats in its Table 3: 220 x 220 crops, 128-D unit embeddings.
//!
//! Twenty-two layers by the table's count. What the table leaves open is read as follows:
//! - Paddings are those that give its sizes: half the kernel, for pools too, so that a side of n becomes (n + 1) / 2.
//! - ReLU follows every convolution (FaceNet, section 3.3); the dense layers have maxout instead, the last one nothing.
//! - "32 x 128, maxout p=2": 4,096 values come out, each the larger of two neighbouring sums. Both sums have weights of
//!   their own, which the table counts: 12,544 x 8,192 is its 103 M for fc1, 4,096 x 8,192 its 34 M for fc2. fc7128 reads
//!   all 4,096 values (524 K), so 32 x 128 is a way of writing, not a shape.
//! - rnorm is local response normalisation with [`LocalNorm::new`]'s numbers, since neither paper gives any.
//! - `concat` has one part and joins nothing, so there is no such value here.

use crate::graph::{Act, Conv, Graph, LocalNorm, Pool, PoolKind, Shape};

/// Sums of which a dense layer's value is the largest.
const MAXOUT_PIECES: usize = 2;
/// Values that a dense layer with maxout gives.
const DENSE: usize = 32 * 128;

/// NN1: output `embedding` (128).
#[must_use]
pub fn nn1() -> Graph {
    let mut g = Graph::new("NN1", Shape { h: 220, w: 220, c: 3 });
    let relu = |cout, k| Conv::new(cout, k, k).same().act(Act::Relu);
    let half = Pool { pad: 1, ..Pool::new(PoolKind::Max, 3, 2) };
    let rnorm = LocalNorm::new();
    let x = g.conv("conv1", g.input(), relu(64, 7).stride(2));
    let x = g.pool("pool1", x, half);
    let x = g.local_norm("rnorm1", x, rnorm);
    let x = g.conv("conv2a", x, relu(64, 1));
    let x = g.conv("conv2", x, relu(192, 3));
    let x = g.local_norm("rnorm2", x, rnorm);
    let x = g.pool("pool2", x, half);
    let x = g.conv("conv3a", x, relu(192, 1));
    let x = g.conv("conv3", x, relu(384, 3));
    let x = g.pool("pool3", x, half);
    let x = g.conv("conv4a", x, relu(384, 1));
    let x = g.conv("conv4", x, relu(256, 3));
    let x = g.conv("conv5a", x, relu(256, 1));
    let x = g.conv("conv5", x, relu(256, 3));
    let x = g.conv("conv6a", x, relu(256, 1));
    let x = g.conv("conv6", x, relu(256, 3));
    let x = g.pool("pool4", x, half);
    let x = g.dense("fc1", x, DENSE * MAXOUT_PIECES, true, Act::None);
    let x = g.maxout("fc1.maxout", x, MAXOUT_PIECES);
    let x = g.dense("fc2", x, DENSE * MAXOUT_PIECES, true, Act::None);
    let x = g.maxout("fc2.maxout", x, MAXOUT_PIECES);
    let x = g.dense("fc7128", x, 128, true, Act::None);
    let x = g.l2_norm("embedding", x);
    g.output("embedding", x);
    g
}

/// A layer of the paper's Table 3 as printed: name, size out, parameters, FLOPs. The size of fc1 and fc2 is that before
/// maxout.
pub type PaperLayer = (&'static str, [usize; 3], &'static str, &'static str);

/// The paper's Table 3, with its misprint: conv2's FLOPs are 335M.
pub const PAPER_LAYERS: [PaperLayer; 20] = [
    ("conv1", [110, 110, 64], "9K", "115M"),
    ("pool1", [55, 55, 64], "0", "0"),
    ("rnorm1", [55, 55, 64], "0", "0"),
    ("conv2a", [55, 55, 64], "4K", "13M"),
    ("conv2", [55, 55, 192], "111K", "135M"),
    ("rnorm2", [55, 55, 192], "0", "0"),
    ("pool2", [28, 28, 192], "0", "0"),
    ("conv3a", [28, 28, 192], "37K", "29M"),
    ("conv3", [28, 28, 384], "664K", "521M"),
    ("pool3", [14, 14, 384], "0", "0"),
    ("conv4a", [14, 14, 384], "148K", "29M"),
    ("conv4", [14, 14, 256], "885K", "173M"),
    ("conv5a", [14, 14, 256], "66K", "13M"),
    ("conv5", [14, 14, 256], "590K", "116M"),
    ("conv6a", [14, 14, 256], "66K", "13M"),
    ("conv6", [14, 14, 256], "590K", "116M"),
    ("pool4", [7, 7, 256], "0", "0"),
    ("fc1", [1, 1, 8192], "103M", "103M"),
    ("fc2", [1, 1, 8192], "34M", "34M"),
    ("fc7128", [1, 1, 128], "524K", "0.5M"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Cost;

    /// What conv2's FLOPs are meant to be: FaceNet's own table has them, its size and kernel give them, and only with them the
    /// column sums to the 1.6 B that are printed below it.
    const CONV2_PRINTED: &str = "135M";
    const CONV2_MEANT: &str = "335M";

    fn thousands(n: usize) -> String {
        if n < 10_000_000 { format!("{:.0}K", n as f64 / 1e3) } else { millions(n) }
    }

    fn millions(n: usize) -> String {
        let digits = usize::from(n < 1_000_000);
        format!("{:.digits$}M", n as f64 / 1e6)
    }

    fn printed(count: usize, write: fn(usize) -> String) -> String {
        if count == 0 { "0".to_owned() } else { write(count) }
    }

    #[test]
    fn every_layer_has_the_papers_size_parameters_and_flops() {
        let g = nn1();
        let costs: Vec<Cost> = g.costs().collect();
        for (name, size, parameters, flops) in PAPER_LAYERS {
            let id = g.find(name).expect("a layer of the table");
            let Shape { h, w, c } = g.shape(id);
            assert_eq!([h, w, c], size, "{name}");
            assert_eq!(printed(costs[id].parameters, thousands), parameters, "{name}");
            let flops = if flops == CONV2_PRINTED { CONV2_MEANT } else { flops };
            assert_eq!(printed(costs[id].flops, millions), flops, "{name}");
        }
        for maxout in ["fc1.maxout", "fc2.maxout"] {
            assert_eq!(g.shape(g.find(maxout).expect("a maxout")).c, DENSE);
        }
        // The table's 22 rows, less the concatenation of one part; maxout has no row there, and the input is no layer.
        assert_eq!(g.nodes().len(), PAPER_LAYERS.len() + 1 + 2 + 1);
    }

    #[test]
    fn the_totals_are_the_papers_and_give_its_misprint_away() {
        let Cost { parameters, macs, flops } = nn1().costs().sum();
        assert_eq!((parameters, macs, flops), (140_025_664, 1_605_944_064, 1_608_287_104));
        let billions = |flops: f64| format!("{:.1}B", flops / 1e9);
        assert_eq!((millions(parameters), billions(flops as f64)), ("140M".into(), "1.6B".into()));
        let number =
            |text: &str| text.trim_end_matches('M').parse::<f64>().expect("a number") * 1e6;
        let column: f64 = PAPER_LAYERS.iter().map(|row| number(row.3)).sum();
        assert_eq!(billions(column), "1.4B");
        assert_eq!(billions(column - number(CONV2_PRINTED) + number(CONV2_MEANT)), "1.6B");
    }

    #[test]
    fn the_papers_text_names_another_input_than_its_table() {
        // Erratum: the text says 160 x 160, the table 220 x 220. From 160 fc1 would read 5 x 5 positions, and its 103 M
        // would be 52 M.
        let last = |n: usize| (0..5).fold(n, |n, _| n.div_ceil(2));
        assert_eq!((last(220), last(160)), (7, 5));
        let fc1 = |side: usize| millions(side * side * 256 * DENSE * MAXOUT_PIECES);
        assert_eq!((fc1(7), fc1(5)), ("103M".into(), "52M".into()));
    }
}
