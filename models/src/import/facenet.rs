//! FaceNet's Inception-ResNet-v1 from TensorFlow names (safetensors) and from facenet-pytorch's (a torch table).
//!
//! Owns the two naming rules; both give the same folded tensors, so the same model id.
//! TensorFlow's batch norms have no gamma (1); epsilon is 0.001 in both.

use super::error::ImportError;
use super::fold::{self, Layer, Norm};
use super::torch::StateDict;
use crate::net;
use crate::tensor::Tensors;
use safetensors::{Dtype, SafeTensors};

const EPSILON: f64 = 1e-3;
const NETWORK: &str = "Inception-ResNet-v1";

/// From facenet-pytorch's table; the classifier's `logits` and the batch counters are left out.
pub(super) fn from_torch(table: &mut StateDict<'_>) -> Result<Tensors, ImportError> {
    fold::tensors(&net::inception_resnet_v1(), |layer, shape, _| {
        let mut get = |name: String, shape: &[usize]| table.floats(NETWORK, &name, shape);
        let cout = shape[0];
        let mut norm = |bn: String| -> Result<Norm, ImportError> {
            Ok(Norm {
                gamma: get(format!("{bn}.weight"), &[cout])?,
                beta: get(format!("{bn}.bias"), &[cout])?,
                mean: get(format!("{bn}.running_mean"), &[cout])?,
                variance: get(format!("{bn}.running_var"), &[cout])?,
                epsilon: EPSILON,
            })
        };
        if layer == "last_linear" {
            let norm = norm("last_bn".to_owned())?;
            let weight = get("last_linear.weight".to_owned(), shape)?;
            return Ok(Layer { weight, bias: None, norm: Some(norm) });
        }
        let oihw = [cout, shape[3], shape[1], shape[2]];
        // The 1 x 1 convolution that joins the branches is a plain one with bias.
        if layer.ends_with(".conv2d") {
            let bias = get(format!("{layer}.bias"), &[cout])?;
            let weight = get(format!("{layer}.weight"), &oihw)?;
            return Ok(Layer {
                weight: net::ohwi_from_oihw(&weight, oihw),
                bias: Some(bias),
                norm: None,
            });
        }
        let norm = norm(format!("{layer}.bn"))?;
        let weight = get(format!("{layer}.conv.weight"), &oihw)?;
        Ok(Layer { weight: net::ohwi_from_oihw(&weight, oihw), bias: None, norm: Some(norm) })
    })
}

/// From the file with TensorFlow's names, kernels HWIO, dense `[in, out]`.
pub(super) fn from_tensorflow(file: &SafeTensors<'_>) -> Result<Tensors, ImportError> {
    fold::tensors(&net::inception_resnet_v1(), |layer, shape, _| {
        let name = tensorflow_name(layer, shape);
        let cout = shape[0];
        let hwio = match shape {
            [cout, kh, kw, cin] => vec![*kh, *kw, *cin, *cout],
            other => other.iter().rev().copied().collect(),
        };
        let kernel = floats(file, &format!("{name}_kernel"), &hwio)?;
        let weight = fold::output_first(&kernel, cout);
        if layer.ends_with(".conv2d") {
            let bias = floats(file, &format!("{name}_bias"), &[cout])?;
            return Ok(Layer { weight, bias: Some(bias), norm: None });
        }
        let norm = |kind| floats(file, &format!("{name}_BatchNorm_{kind}"), &[cout]);
        let norm = Norm {
            gamma: vec![1.0; cout],
            beta: norm("beta")?,
            mean: norm("moving_mean")?,
            variance: norm("moving_variance")?,
            epsilon: EPSILON,
        };
        Ok(Layer { weight, bias: None, norm: Some(norm) })
    })
}

/// TensorFlow's name of a layer: `repeat_2.3.branch1.1`, 1 x 7, is `Block17_4_Branch_1_Conv2d_0b_1x7`.
fn tensorflow_name(layer: &str, shape: &[usize]) -> String {
    if layer == "last_linear" {
        return "Bottleneck".to_owned();
    }
    let kernel = format!("{}x{}", shape[1], shape[2]);
    let parts: Vec<&str> = layer.split('.').collect();
    let number = |text: &str| text.parse::<usize>().map_or(0, |i| i + 1);
    let (block, rest) = match parts.as_slice() {
        ["repeat_1", i, rest @ ..] => (format!("Block35_{}", number(i)), rest),
        ["repeat_2", i, rest @ ..] => (format!("Block17_{}", number(i)), rest),
        ["repeat_3", i, rest @ ..] => (format!("Block8_{}", number(i)), rest),
        ["block8", rest @ ..] => ("Block8_6".to_owned(), rest),
        [mixed @ ("mixed_6a" | "mixed_7a"), rest @ ..] => (mixed.replace("mixed", "Mixed"), rest),
        _ => return format!("{}_{kernel}", layer.replace("conv2d", "Conv2d")),
    };
    let reduction = block.starts_with("Mixed");
    let branch = |name: &str| name.replace("branch", "Branch_");
    match rest {
        // A reduction's last convolution of a branch is the strided one, "1a".
        [name] if name.starts_with("branch") && reduction => {
            format!("{block}_{}_Conv2d_1a_{kernel}", branch(name))
        }
        [name] if name.starts_with("branch") => format!("{block}_{}_Conv2d_{kernel}", branch(name)),
        [name, i] => {
            let last = if *name == "branch0" || (*name == "branch1" && block == "Mixed_7a") {
                "1"
            } else {
                "2"
            };
            let place = match *i {
                i if reduction && i == last => "1a",
                "0" => "0a",
                "1" => "0b",
                _ => "0c",
            };
            format!("{block}_{}_Conv2d_{place}_{kernel}", branch(name))
        }
        _ => format!("{block}_Conv2d_{kernel}"),
    }
}

fn floats(file: &SafeTensors<'_>, name: &str, shape: &[usize]) -> Result<Vec<f32>, ImportError> {
    let missing = |_| ImportError::NoTensor { network: NETWORK, name: name.to_owned() };
    let view = file.tensor(name).map_err(missing)?;
    if view.dtype() != Dtype::F32 {
        let found = view.dtype().to_string();
        return Err(ImportError::ElementType { name: name.to_owned(), found });
    }
    if view.shape() != shape {
        return Err(ImportError::Shape {
            name: name.to_owned(),
            expected: shape.to_vec(),
            found: view.shape().to_vec(),
        });
    }
    let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    Ok(view.data().chunks_exact(4).map(value).collect())
}
