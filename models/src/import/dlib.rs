//! dlib's `dlib_face_recognition_resnet_model_v1.dat`: its serialization, and the one network written in it.
//!
//! Owns the byte form and the exact sequence of layers. Refuses any other network: every version, name, size and stride
//! is compared with what ResNet-29 has, so nothing of the file chooses what is read next or how much.
//!
//! An integer is a byte (sign in bit 7, number of bytes in the low four bits) and that many bytes, least first. A float
//! is two of them, `mantissa * 2^exponent`. Text is a length and its bytes; a truth value the character 0 or 1. A tensor
//! is a version 2, four sizes (samples, channels, rows, columns) and plain f32, least byte first.
//! The file holds the loss layer, then the versions of all layers from the output to the input, then the layers from the
//! input to the output: name, parameters, three flags, three empty tensors of training.

use super::error::ImportError;
use super::fold::{self, Layer, Norm};
use crate::graph::{Graph, Op};
use crate::net;
use crate::tensor::Tensors;
use std::collections::HashMap;

/// First bytes of the file: version 1 and the name of the loss layer.
const START: &[u8] = b"\x01\x01\x01\x0dloss_metric_2";

/// Whether a file starts as dlib's face recognition model does.
pub(super) fn is_model(bytes: &[u8]) -> bool {
    bytes.starts_with(START)
}

/// Tensors of the file, affine layers folded.
pub(super) fn read(bytes: &[u8]) -> Result<Tensors, ImportError> {
    let graph = net::dlib_resnet29();
    let mut layers = Reader { bytes, at: 0 }.network(&graph)?;
    fold::tensors(&graph, |name, _, _| {
        let missing = || ImportError::NoTensor { network: "dlib ResNet-29", name: name.to_owned() };
        layers.remove(name).ok_or_else(missing)
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn network(&mut self, graph: &Graph) -> Result<HashMap<String, Layer>, ImportError> {
        self.integer_is(1, "version of the loss layer")?;
        self.text_is("loss_metric_2")?;
        self.float()?;
        self.float()?;
        // From the output: fully connected, average of everything, 14 blocks, pool, ReLU, affine, convolution.
        let downs: Vec<bool> =
            (1..=14).map(|i| graph.find(&format!("block{i}.skip")).is_some()).collect();
        let mut versions = vec![2, 2];
        for &down in downs.iter().rev() {
            // ReLU, sum, [average pool, skip, tag,] affine, convolution, ReLU, affine, convolution, tag.
            let block: &[i64] =
                if down { &[2, 2, 2, 1, 1, 2, 2, 2, 2, 2, 1] } else { &[2, 2, 2, 2, 2, 2, 2, 1] };
            versions.extend(block);
        }
        versions.extend([2, 2, 2, 3]);
        for version in versions {
            self.integer_is(version, "version of a layer")?;
        }
        self.text_is("input_rgb_image_sized")?;
        for mean in [122.782_f32, 117.001, 104.298] {
            let found = self.float()?;
            if found as f32 != mean {
                return Err(self.fault(format!("expected a mean of {mean}, found {found}")));
            }
        }
        self.integers_are(&[150, 150], "size of the input")?;

        let mut layers = HashMap::new();
        self.convolution(graph, "conv1", 0, &mut layers, true)?;
        self.plain("relu_", &[])?;
        self.plain("max_pool_2", &[3, 3, 2, 2, 0, 0])?;
        for (i, &down) in downs.iter().enumerate() {
            let block = format!("block{}", i + 1);
            let pad = if down { 0 } else { 1 };
            self.convolution(graph, &format!("{block}.conv1"), pad, &mut layers, false)?;
            self.plain("relu_", &[])?;
            self.convolution(graph, &format!("{block}.conv2"), 1, &mut layers, false)?;
            if down {
                self.plain("avg_pool_2", &[2, 2, 2, 2, 0, 0])?;
            }
            self.plain("add_prev_", &[])?;
            self.plain("relu_", &[])?;
        }
        self.plain("avg_pool_2", &[0, 0, 1, 1, 0, 0])?;
        layers.insert("fc".to_owned(), self.dense()?);
        if self.at != self.bytes.len() {
            let rest = self.bytes.len() - self.at;
            return Err(self.fault(format!("{rest} bytes follow the last layer")));
        }
        Ok(layers)
    }

    /// A convolution with the affine layer that follows it.
    fn convolution(
        &mut self,
        graph: &Graph,
        name: &str,
        pad: i64,
        layers: &mut HashMap<String, Layer>,
        first: bool,
    ) -> Result<(), ImportError> {
        let node = graph.find(name).map(|value| &graph.nodes()[value]);
        let (Some(node), Some(Op::Conv { conv, .. })) = (node, node.map(|node| node.op)) else {
            return Err(self.fault(format!("the network has no convolution {name}")));
        };
        let (cout, cin) = (conv.cout, graph.shape(node.inputs[0]).c);
        let [kh, kw] = conv.kernel;
        let taps = cout * cin * kh * kw;
        self.text_is("con_4")?;
        let mut weight = self.tensor([taps + cout, 1, 1, 1])?;
        let bias = weight.split_off(taps);
        let as_i64 = |n: usize| n as i64;
        let [o, i, h, w, stride] = [cout, cin, kh, kw, conv.stride].map(as_i64);
        self.integers_are(&[o, h, w, stride, stride, pad, pad], "sizes of a convolution")?;
        self.integers_are(&[1, o, i, h, w], "shape of the filters")?;
        self.integers_are(&[1, 1, o, 1, 1], "shape of the biases")?;
        self.rates()?;
        self.end_of_layer()?;
        if first {
            self.integer_is(1, "samples for each picture")?;
        }
        self.text_is("affine_")?;
        let mut gamma = self.tensor([2 * cout, 1, 1, 1])?;
        let beta = gamma.split_off(cout);
        self.integers_are(&[1, 1, o, 1, 1], "shape of gamma")?;
        self.integers_are(&[1, 1, o, 1, 1], "shape of beta")?;
        self.integer_is(0, "mode of an affine layer")?;
        self.end_of_layer()?;
        // gamma * x + beta is a batch norm of mean 0 and variance 1.
        let norm =
            Norm { gamma, beta, mean: vec![0.0; cout], variance: vec![1.0; cout], epsilon: 0.0 };
        let weight = net::ohwi_from_oihw(&weight, [cout, cin, kh, kw]);
        layers.insert(name.to_owned(), Layer { weight, bias: Some(bias), norm: Some(norm) });
        Ok(())
    }

    fn plain(&mut self, name: &str, sizes: &[i64]) -> Result<(), ImportError> {
        self.text_is(name)?;
        self.integers_are(sizes, "sizes of a pool")?;
        self.end_of_layer()
    }

    /// The fully connected layer without bias; dlib has `[in, out]`.
    fn dense(&mut self) -> Result<Layer, ImportError> {
        self.text_is("fc_2")?;
        self.integers_are(&[128, 256], "sizes of the last layer")?;
        let weight = self.tensor([256, 128, 1, 1])?;
        self.integers_are(&[1, 256, 128, 1, 1], "shape of the last weights")?;
        self.integers_are(&[1, 0, 0, 0, 0], "shape of the last biases")?;
        self.integer_is(1, "bias mode of the last layer")?;
        self.rates()?;
        self.end_of_layer()?;
        Ok(Layer { weight: fold::output_first(&weight, 128), bias: None, norm: None })
    }

    /// Learning rate and weight decay, of weights and of biases: of no use here.
    fn rates(&mut self) -> Result<(), ImportError> {
        (0..4).try_for_each(|_| self.float().map(drop))
    }

    /// Three flags, and the tensors of training, which are empty in a published file.
    fn end_of_layer(&mut self) -> Result<(), ImportError> {
        for _ in 0..3 {
            let flag = self.take(1)?[0];
            if !matches!(flag, b'0' | b'1') {
                return Err(self.fault(format!("expected a flag, found byte {flag}")));
            }
        }
        (0..3).try_for_each(|_| self.tensor([0; 4]).map(drop))
    }

    fn tensor(&mut self, sizes: [usize; 4]) -> Result<Vec<f32>, ImportError> {
        self.integer_is(2, "version of a tensor")?;
        self.integers_are(&sizes.map(|size| size as i64), "shape of a tensor")?;
        let len: usize = sizes.iter().product();
        let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Ok(self.take(len * 4)?.chunks_exact(4).map(value).collect())
    }

    fn integers_are(&mut self, expected: &[i64], what: &str) -> Result<(), ImportError> {
        expected.iter().try_for_each(|&value| self.integer_is(value, what))
    }

    fn integer_is(&mut self, expected: i64, what: &str) -> Result<(), ImportError> {
        let found = self.integer()?;
        if found == expected {
            return Ok(());
        }
        Err(self.fault(format!("{what}: expected {expected}, found {found}")))
    }

    fn text_is(&mut self, expected: &str) -> Result<(), ImportError> {
        self.integer_is(expected.len() as i64, "length of a layer's name")?;
        let found = self.take(expected.len())?;
        if found == expected.as_bytes() {
            return Ok(());
        }
        let found = found.escape_ascii().to_string();
        Err(self.fault(format!("expected the layer {expected}, found {found}")))
    }

    fn integer(&mut self) -> Result<i64, ImportError> {
        let head = self.take(1)?[0];
        let len = usize::from(head & 0x0f);
        if len == 0 || len > 8 || head & 0x70 != 0 {
            return Err(self.fault(format!("byte {head} starts no integer")));
        }
        let mut wide = [0; 8];
        wide[..len].copy_from_slice(self.take(len)?);
        let value = i64::try_from(u64::from_le_bytes(wide));
        let value = value.map_err(|_| self.fault("an integer is too large".to_owned()))?;
        Ok(if head & 0x80 != 0 { -value } else { value })
    }

    fn float(&mut self) -> Result<f64, ImportError> {
        let (mantissa, exponent) = (self.integer()?, self.integer()?);
        // dlib writes infinities and NaN as exponents from 32000 on.
        let exponent = i32::try_from(exponent).ok().filter(|e| (-1100..=1100).contains(e));
        let exponent = exponent.ok_or_else(|| self.fault("a float is not finite".to_owned()))?;
        Ok(mantissa as f64 * 2.0_f64.powi(exponent))
    }

    fn take(&mut self, len: usize) -> Result<&[u8], ImportError> {
        let rest = &self.bytes[self.at..];
        let part = rest.get(..len);
        let part = part.ok_or_else(|| {
            self.fault(format!("{len} bytes are wanted, {} are left", rest.len()))
        })?;
        self.at += len;
        Ok(part)
    }

    fn fault(&self, fault: String) -> ImportError {
        ImportError::Dlib { offset: self.at, fault }
    }
}
