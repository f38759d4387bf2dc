//! The paper's networks and the operations that only they need, on every instruction set, against the reference executor.
//!
//! NN1's run is left to the benchmark: its 560 MB of weights, twice, are too much for a test. Its layers are those that are
//! checked here and in `networks`.

use std::sync::Arc;

use threshold_models::cpu::{self, Network};
use threshold_models::graph::{Graph, LocalNorm, Shape, WeightSpec};
use threshold_models::net;
use threshold_models::tensor::{Tensor, Tensors};

use crate::fixtures::{difference, hash_tensor, on_every_engine};

/// Weights that keep values in range from layer to layer (uniform, variance 2 / inputs).
fn he_weights(graph: &Graph) -> Tensors {
    let tensor = |spec: &WeightSpec| {
        let inputs = spec.len() / spec.shape[0];
        let bound = (6.0 / inputs as f32).sqrt().min(0.25);
        Tensor { shape: spec.shape.clone(), data: hash_tensor(&spec.name, spec.len(), 0.0, bound) }
    };
    graph.weights().map(|spec| (spec.name.clone(), tensor(&spec))).collect()
}

/// Largest difference of an output from the reference executor's, of one item on every engine.
fn check_network(graph: &Graph) {
    let weights = he_weights(graph);
    let input = hash_tensor("input", graph.shape(0).len(), 0.0, 1.0);
    let values = cpu::evaluate(graph, &weights, &input).unwrap();
    on_every_engine(|simd, pool| {
        let mut network = Network::new(graph, &weights, simd, Arc::clone(pool)).unwrap();
        network.run(&input).unwrap();
        for &(name, id) in graph.outputs() {
            let found = difference(network.output(name).unwrap(), &values[id]);
            assert!(found < 2e-6, "{simd:?}: {}'s {name} differs by {found}", graph.name());
        }
    });
}

#[test]
fn every_instruction_set_agrees_with_the_reference_on_cascade_cnns_networks() {
    for graph in [net::net12(), net::net24(), net::net48()] {
        check_network(&graph);
    }
}

#[test]
fn every_instruction_set_agrees_with_the_reference_on_nn2() {
    // NN3 has the same layers, some of them more often.
    check_network(&net::nn2());
}

#[test]
fn local_norm_and_maxout_give_what_is_worked_out_by_hand() {
    let values = |graph: &Graph, input: &[f32]| {
        let nothing = Tensors::new();
        let reference = cpu::evaluate(graph, &nothing, input).unwrap().pop().unwrap();
        on_every_engine(|simd, pool| {
            let mut network = Network::new(graph, &nothing, simd, Arc::clone(pool)).unwrap();
            network.run(input).unwrap();
            assert!(difference(network.output("y").unwrap(), &reference) < 1e-6, "{simd:?}");
        });
        reference
    };
    // alpha / size is 1 and beta 1, so each divisor is k and the squares in sight: an even window sees one channel more
    // before than behind, as torch's does.
    for (size, k, expected) in [
        (3, 0.0, [1.0 / 5.0, 2.0 / 14.0, 3.0 / 13.0]),
        (2, 0.0, [1.0, 2.0 / 5.0, 3.0 / 13.0]),
        (1, 2.0, [1.0 / 3.0, 2.0 / 6.0, 3.0 / 11.0]),
        (7, 1.0, [1.0 / 15.0, 2.0 / 15.0, 3.0 / 15.0]),
    ] {
        let mut g = Graph::new("norm", Shape { h: 1, w: 2, c: 3 });
        let norm = LocalNorm { size, alpha: size as f32, beta: 1.0, k };
        let y = g.local_norm("y", g.input(), norm);
        g.output("y", y);
        let found = values(&g, &[1.0, 2.0, 3.0, -1.0, -2.0, -3.0]);
        let negative = expected.map(|value| -value);
        assert!(difference(&found, &[expected, negative].concat()) < 1e-6, "{size}: {found:?}");
    }
    let mut g = Graph::new("maxout", Shape { h: 1, w: 2, c: 4 });
    let y = g.maxout("y", g.input(), 2);
    g.output("y", y);
    let found = values(&g, &[1.0, 5.0, -3.0, -4.0, 0.0, -0.5, 7.0, 7.5]);
    assert_eq!(found, [5.0, -3.0, 0.0, 7.5]);
}

#[test]
fn maxout_hides_no_value_that_is_not_a_number() {
    let mut g = Graph::new("maxout", Shape { h: 1, w: 1, c: 4 });
    let y = g.maxout("y", g.input(), 2);
    g.output("y", y);
    on_every_engine(|simd, pool| {
        let mut network = Network::new(&g, &Tensors::new(), simd, Arc::clone(pool)).unwrap();
        for place in 0..4 {
            let mut input = [1.0; 4];
            input[place] = f32::NAN;
            assert!(network.run(&input).is_err(), "{simd:?}: place {place}");
        }
    });
}
