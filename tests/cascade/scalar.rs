//! The three networks as plain loops: the arithmetic that the cascade's tests trust, because it can be read.
//!
//! Reads the reference's own weights (`golden/mtcnn.safetensors`) and shares nothing with the engine under test.
//! Refuses to be quick: one loop nest for a convolution, no SIMD, no threads.

use std::collections::HashMap;
use std::path::Path;
use threshold_models::cascade::{ONetOutput, PNetMap, RNetOutput, StageNets};
use threshold_models::engine::EngineError;

/// An activation, CHW.
struct Map {
    c: usize,
    h: usize,
    w: usize,
    data: Vec<f32>,
}

impl Map {
    fn from_hwc(pixels: &[f32], h: usize, w: usize) -> Self {
        let data = (0..3).flat_map(|c| pixels[c..].iter().step_by(3).copied()).collect();
        Self { c: 3, h, w, data }
    }
}

/// The networks with their weights, convolutions OIHW, dense layers `[out, in]` with `in` in (W, H, C) order.
pub(crate) struct ScalarNets {
    tensors: HashMap<String, (Vec<usize>, Vec<f32>)>,
}

impl ScalarNets {
    /// Reads a safetensors file of f32 tensors.
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let header_len = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header_len]).unwrap();
        let body = &bytes[8 + header_len..];
        let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
        let tensors = header
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "__metadata__")
            .map(|(name, entry)| {
                let shape = entry["shape"].as_array().unwrap().iter().map(number).collect();
                let offsets = &entry["data_offsets"];
                let data = body[number(&offsets[0])..number(&offsets[1])]
                    .chunks_exact(4)
                    .map(|part| f32::from_le_bytes(part.try_into().unwrap()))
                    .collect();
                (name.clone(), (shape, data))
            })
            .collect();
        Self { tensors }
    }

    fn tensor(&self, name: &str) -> &(Vec<usize>, Vec<f32>) {
        self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}"))
    }

    fn conv(&self, input: &Map, layer: &str) -> Map {
        let (shape, weight) = self.tensor(&format!("{layer}.weight"));
        let (_, bias) = self.tensor(&format!("{layer}.bias"));
        let [n_out, n_in, kh, kw] = shape[..] else { panic!("{layer}: {shape:?}") };
        assert_eq!(n_in, input.c);
        let (h, w) = (input.h + 1 - kh, input.w + 1 - kw);
        let mut data = vec![0.0; n_out * h * w];
        for (o, plane) in data.chunks_exact_mut(h * w).enumerate() {
            plane.fill(bias[o]);
            for (tap, &value) in weight[o * n_in * kh * kw..][..n_in * kh * kw].iter().enumerate() {
                let (c, ky, kx) = (tap / (kh * kw), tap / kw % kh, tap % kw);
                for (y, row) in plane.chunks_exact_mut(w).enumerate() {
                    let start = (c * input.h + y + ky) * input.w + kx;
                    for (out, &x) in row.iter_mut().zip(&input.data[start..start + w]) {
                        *out += value * x;
                    }
                }
            }
        }
        Map { c: n_out, h, w, data }
    }

    fn prelu(&self, mut map: Map, layer: &str) -> Map {
        let (_, slope) = self.tensor(&format!("{layer}.weight"));
        let plane = map.h * map.w;
        for (i, value) in map.data.iter_mut().enumerate() {
            if *value < 0.0 {
                *value *= slope[i / plane];
            }
        }
        map
    }

    /// Dense layer over a vector, or over a map flattened in (W, H, C) order.
    fn dense(&self, input: &Map, layer: &str) -> Map {
        let (shape, weight) = self.tensor(&format!("{layer}.weight"));
        let (_, bias) = self.tensor(&format!("{layer}.bias"));
        let Map { c, h, w, data } = input;
        let flat: Vec<f32> =
            (0..w * h * c).map(|i| data[(i % c) * h * w + (i / c % h) * w + i / (c * h)]).collect();
        let data = (0..shape[0])
            .map(|o| {
                let row = &weight[o * flat.len()..(o + 1) * flat.len()];
                bias[o] + row.iter().zip(&flat).map(|(a, b)| a * b).sum::<f32>()
            })
            .collect();
        Map { c: shape[0], h: 1, w: 1, data }
    }

    fn onet_trunk(&self, crop: &[f32]) -> Map {
        let x = Map::from_hwc(crop, 48, 48);
        let x = max_pool(&self.prelu(self.conv(&x, "onet.conv1"), "onet.prelu1"), 3);
        let x = max_pool(&self.prelu(self.conv(&x, "onet.conv2"), "onet.prelu2"), 3);
        let x = max_pool(&self.prelu(self.conv(&x, "onet.conv3"), "onet.prelu3"), 2);
        let x = self.prelu(self.conv(&x, "onet.conv4"), "onet.prelu4");
        self.prelu(self.dense(&x, "onet.dense5"), "onet.prelu5")
    }
}

/// Largest of `side x side` at stride 2; the last window may stick out (ceil mode).
fn max_pool(input: &Map, side: usize) -> Map {
    let size = |n: usize| (n - side).div_ceil(2) + 1;
    let (h, w) = (size(input.h), size(input.w));
    let mut data = Vec::with_capacity(input.c * h * w);
    for i in 0..input.c * h * w {
        let (c, y, x) = (i / (h * w), i / w % h * 2, i % w * 2);
        let mut best = f32::NEG_INFINITY;
        for row in y..(y + side).min(input.h) {
            for column in x..(x + side).min(input.w) {
                best = best.max(input.data[(c * input.h + row) * input.w + column]);
            }
        }
        data.push(best);
    }
    Map { c: input.c, h, w, data }
}

fn softmax_face(not: f32, face: f32) -> f32 {
    let top = not.max(face);
    let (not, face) = ((not - top).exp(), (face - top).exp());
    face / (not + face)
}

impl StageNets for ScalarNets {
    fn pnet(
        &mut self,
        level: &[f32],
        height: usize,
        width: usize,
        out: &mut PNetMap,
    ) -> Result<(), EngineError> {
        let x = Map::from_hwc(level, height, width);
        let x = max_pool(&self.prelu(self.conv(&x, "pnet.conv1"), "pnet.prelu1"), 2);
        let x = self.prelu(self.conv(&x, "pnet.conv2"), "pnet.prelu2");
        let x = self.prelu(self.conv(&x, "pnet.conv3"), "pnet.prelu3");
        let score = self.conv(&x, "pnet.conv4_1");
        let reg = self.conv(&x, "pnet.conv4_2");
        let plane = score.h * score.w;
        (out.height, out.width) = (score.h, score.w);
        out.prob.clear();
        out.prob.extend((0..plane).map(|i| softmax_face(score.data[i], score.data[plane + i])));
        out.reg.clear();
        out.reg.extend((0..plane * 4).map(|i| reg.data[i % 4 * plane + i / 4]));
        Ok(())
    }

    fn rnet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<RNetOutput>,
    ) -> Result<(), EngineError> {
        out.clear();
        for crop in crops.chunks_exact(24 * 24 * 3).take(n) {
            let x = Map::from_hwc(crop, 24, 24);
            let x = max_pool(&self.prelu(self.conv(&x, "rnet.conv1"), "rnet.prelu1"), 3);
            let x = max_pool(&self.prelu(self.conv(&x, "rnet.conv2"), "rnet.prelu2"), 3);
            let x = self.prelu(self.conv(&x, "rnet.conv3"), "rnet.prelu3");
            let x = self.prelu(self.dense(&x, "rnet.dense4"), "rnet.prelu4");
            let score = self.dense(&x, "rnet.dense5_1").data;
            let reg = self.dense(&x, "rnet.dense5_2").data;
            let score = softmax_face(score[0], score[1]);
            out.push(RNetOutput { score, reg: reg.try_into().unwrap() });
        }
        Ok(())
    }

    fn onet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<ONetOutput>,
    ) -> Result<(), EngineError> {
        out.clear();
        for crop in crops.chunks_exact(48 * 48 * 3).take(n) {
            let x = self.onet_trunk(crop);
            let score = self.dense(&x, "onet.dense6_1").data;
            let reg = self.dense(&x, "onet.dense6_2").data;
            let landmarks = self.dense(&x, "onet.dense6_3").data;
            out.push(ONetOutput {
                score: softmax_face(score[0], score[1]),
                reg: reg.try_into().unwrap(),
                landmarks: landmarks.try_into().unwrap(),
            });
        }
        Ok(())
    }
}
