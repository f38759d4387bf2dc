//! Weights, inputs and comparisons that the parity tests share.

use std::path::Path;
use std::sync::Arc;

use threshold_models::cpu::{Pool, Simd};
use threshold_models::graph::{Graph, Op};
use threshold_models::net;
use threshold_models::tensor::{Tensor, Tensors, max_abs_diff};

/// C, H, W (or N of them) into N, H, W, C.
pub(crate) fn hwc(data: &[f32], [c, h, w]: [usize; 3]) -> Vec<f32> {
    let cell = |item: &[f32], i: usize| item[(i % c) * h * w + i / c];
    data.chunks(c * h * w).flat_map(|item| (0..item.len()).map(move |i| cell(item, i))).collect()
}

/// The largest difference of two arrays, which must be as long as each other.
pub(crate) fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    max_abs_diff(found, expected)
}

/// P-, R- and O-Net's weights under our names and in our order, from `golden/mtcnn.safetensors`.
pub(crate) fn mtcnn(golden: &Path) -> Tensors {
    let bytes = std::fs::read(golden.join("mtcnn.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut ours = Tensors::new();
    for (name, view) in file.tensors() {
        let data: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let (layer, kind) = name.rsplit_once('.').unwrap();
        let (name, tensor) = match *view.shape() {
            [o, i, h, w] => {
                let data = net::ohwi_from_oihw(&data, [o, i, h, w]);
                (name.clone(), Tensor { shape: vec![o, h, w, i], data })
            }
            [out, from] => {
                let data = match layer {
                    "rnet.dense4" => net::dense_hwc_from_whc(&data, [3, 3, 64]),
                    "onet.dense5" => net::dense_hwc_from_whc(&data, [3, 3, 128]),
                    _ => data,
                };
                (name.clone(), Tensor { shape: vec![out, from], data })
            }
            [len] => {
                let name = match layer.split_once(".prelu") {
                    Some((net, index)) if index < "4" || net == "onet" && index == "4" => {
                        format!("{net}.conv{index}.slope")
                    }
                    Some((net, index)) => format!("{net}.dense{index}.slope"),
                    None => format!("{layer}.{kind}"),
                };
                (name, Tensor { shape: vec![len], data })
            }
            _ => panic!("{name}: {:?}", view.shape()),
        };
        ours.insert(name, tensor);
    }
    ours
}

/// One value of the golden weights' rule, in -1..1: the `i`th of the tensor `name`.
pub(crate) fn hash_unit(name: &str, i: usize) -> f32 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut z = fnv.wrapping_add((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 40) as f32 / (1 << 23) as f32 - 1.0
}

pub(crate) fn hash_tensor(name: &str, len: usize, base: f32, scale: f32) -> Vec<f32> {
    (0..len).map(|i| base + scale * hash_unit(name, i)).collect()
}

/// Inception-ResNet-v1 with the golden hash weights, batch norm folded.
pub(crate) fn hash_facenet(graph: &Graph) -> Tensors {
    let mut ours = Tensors::new();
    for node in graph.nodes() {
        let (layer, cout) = (node.name.as_str(), node.shape.c);
        let cin = |i: usize| graph.shape(node.inputs[i]).c;
        let (kernel, theirs, norm) = match node.op {
            Op::Conv { conv, .. } if layer.ends_with("conv2d") => {
                (conv.kernel, layer.to_owned(), None)
            }
            Op::Conv { conv, .. } => {
                (conv.kernel, format!("{layer}.conv"), Some(format!("{layer}.bn")))
            }
            Op::Dense { .. } => ([1, 1], layer.to_owned(), Some("last_bn".to_owned())),
            _ => continue,
        };
        let [kh, kw] = kernel;
        let from = cin(0);
        let fan_in = from * kh * kw;
        let bound = (6.0 / fan_in as f64).sqrt() as f32;
        let raw = hash_tensor(&format!("{theirs}.weight"), cout * fan_in, 0.0, bound);
        let mut weight = net::ohwi_from_oihw(&raw, [cout, from, kh, kw]);
        let bias = match norm {
            None => hash_tensor(&format!("{theirs}.bias"), cout, 0.0, 0.1),
            Some(bn) => {
                let of = |kind: &str, base, scale| {
                    hash_tensor(&format!("{bn}.{kind}"), cout, base, scale)
                };
                let (gamma, var) = (of("weight", 1.0, 0.25), of("running_var", 1.0, 0.25));
                let (beta, mean) = (of("bias", 0.0, 0.1), of("running_mean", 0.0, 0.1));
                let factor = |o: usize| f64::from(gamma[o]) / (f64::from(var[o]) + 1e-3).sqrt();
                for (o, row) in weight.chunks_exact_mut(fan_in).enumerate() {
                    row.iter_mut().for_each(|w| *w = (f64::from(*w) * factor(o)) as f32);
                }
                (0..cout)
                    .map(|o| (f64::from(beta[o]) - f64::from(mean[o]) * factor(o)) as f32)
                    .collect()
            }
        };
        let shape = match node.op {
            Op::Dense { .. } => vec![cout, from],
            _ => vec![cout, kh, kw, from],
        };
        ours.insert(format!("{layer}.weight"), Tensor { shape, data: weight });
        ours.insert(format!("{layer}.bias"), Tensor { shape: vec![cout], data: bias });
    }
    ours
}

/// Runs `check` for each instruction set of this machine, on one thread and on two.
pub(crate) fn on_every_engine(check: impl Fn(Simd, &Arc<Pool>)) {
    for threads in [1, 2] {
        let pool = Arc::new(Pool::new(threads));
        Simd::available().into_iter().for_each(|simd| check(simd, &pool));
    }
}
