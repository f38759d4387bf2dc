//! A network of `models` in candle: the same graph that the engines run, with gradients.
//!
//! Owns the way from each operation of a graph to tensors. Parameters come and go as [`Tensors`] under the names and in
//! the layout of packs, so that nothing is converted; values are N, H, W, C as in the engines.
//! A layer that has a `<layer>.scale` among its parameters has batch norm behind its sum; what engines run and packs hold has it
//! folded in, by the moments of a batch that is given for it.
//! Refuses to keep parameters: whoever trains does.

use crate::batch::Batch;
use crate::config::Tasks;
use crate::layers;
use crate::loss::{self, Losses};
use candle_core::{Device, Result, Tensor, Var, bail};
use std::collections::BTreeMap;
use threshold_models::graph::{Act, Graph, LocalNorm, Node, Op, Shape, WeightSpec};
use threshold_models::tensor::{Tensor as Plain, Tensors};

/// Least length that a vector is divided by, as the engines have it.
const L2_MIN: f64 = 1e-12;

/// A graph that can be run forwards and backwards.
#[derive(Clone, Debug)]
pub struct Trainable {
    graph: Graph,
}

/// Parameters as candle's variables, by name.
pub type Variables = BTreeMap<String, Var>;

impl Trainable {
    /// Of this graph.
    #[must_use]
    pub fn new(graph: Graph) -> Self {
        Self { graph }
    }

    /// Parameters as variables.
    ///
    /// # Errors
    /// If a tensor is missing or has another shape than the graph says.
    pub fn variables(&self, parameters: &Tensors) -> Result<Variables> {
        let one = |spec: WeightSpec| {
            let found = parameters.get(&spec.name).filter(|tensor| tensor.shape == spec.shape);
            let Some(tensor) = found else {
                bail!("{}: tensor {} is missing or has another shape", self.graph.name(), spec.name)
            };
            let values = Tensor::from_slice(&tensor.data, spec.shape.as_slice(), &Device::Cpu)?;
            Ok((spec.name, Var::from_tensor(&values)?))
        };
        let scale = |node: &Node| {
            let name = scale_of(node);
            let shape = vec![node.shape.c];
            parameters.contains_key(&name).then_some(WeightSpec { name, shape })
        };
        let scales = self.graph.nodes().iter().filter_map(scale);
        self.graph.weights().chain(scales).map(one).collect()
    }

    /// The parameters as engines have them: the norms of layers with a scale folded into their weights and biases, by the moments
    /// of this input, N, H, W, C.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn folded(&self, parameters: &Tensors, input: &[f32]) -> Result<Tensors> {
        let mut folded = parameters.clone();
        let normed = |node: &&Node| parameters.contains_key(&scale_of(node));
        let nodes: Vec<&Node> = self.graph.nodes().iter().filter(normed).collect();
        if nodes.is_empty() {
            return Ok(folded);
        }
        let variables = self.variables(parameters)?;
        let values = self.forward(&variables, &self.input(input)?)?;
        for node in nodes {
            let layer = Layer { node, variables: &variables };
            let moments = layers::moments(&layer.product(&values[node.inputs[0]])?)?;
            let Some(scale) = folded.remove(&scale_of(node)) else { continue };
            let [weight, bias] = ["weight", "bias"].map(|kind| format!("{}.{kind}", node.name));
            let factor = |i: usize| f64::from(scale.data[i]) * moments[i][1];
            if let Some(weight) = folded.get_mut(&weight) {
                let len = weight.data.len() / moments.len();
                for (i, row) in weight.data.chunks_exact_mut(len).enumerate() {
                    row.iter_mut()
                        .for_each(|value| *value = (f64::from(*value) * factor(i)) as f32);
                }
            }
            if let Some(bias) = folded.get_mut(&bias) {
                for (i, value) in bias.data.iter_mut().enumerate() {
                    *value = (f64::from(*value) - moments[i][0] * factor(i)) as f32;
                }
            }
        }
        Ok(folded)
    }

    fn input(&self, values: &[f32]) -> Result<Tensor> {
        let Shape { h, w, c } = self.graph.shape(self.graph.input());
        Tensor::from_slice(values, (values.len() / (h * w * c), h, w, c), &Device::Cpu)
    }

    /// All values of the graph for an input (N, H, W, C), in the graph's order.
    ///
    /// # Errors
    /// If the input or a variable has another shape than the graph says.
    pub fn forward(&self, variables: &Variables, input: &Tensor) -> Result<Vec<Tensor>> {
        let mut values: Vec<Tensor> = Vec::with_capacity(self.graph.nodes().len());
        for node in self.graph.nodes() {
            let inputs: Vec<&Tensor> = node.inputs.iter().map(|&id| &values[id]).collect();
            let value = match node.op {
                Op::Input => input.clone(),
                _ => self.value(node, variables, &inputs)?,
            };
            values.push(value);
        }
        Ok(values)
    }

    /// The losses of a batch and the gradients of all parameters.
    ///
    /// # Errors
    /// If a shape does not fit, or the graph has no class.
    pub fn gradients(
        &self,
        parameters: &Tensors,
        batch: &Batch,
        tasks: &Tasks,
        share: f32,
    ) -> Result<(Losses, Tensors)> {
        self.gradients_of(parameters, &batch.pixels, |values| {
            // The loss takes the scores before the softmax: the logarithm of a probability of 0 is no number.
            let Some(prob) = self.output("prob") else {
                bail!("{} has no class", self.graph.name())
            };
            let scores = values[self.graph.nodes()[prob].inputs[0]].reshape((batch.n, 2))?;
            let of = |name: &str| self.output(name).map(|id| &values[id]);
            loss::total(&scores, of("reg"), of("landmarks"), batch, tasks, share)
        })
    }

    /// What a loss of the graph's values says, and its gradients by all parameters; `input` is N, H, W, C.
    ///
    /// # Errors
    /// If a shape does not fit, or the loss fails.
    pub fn gradients_of<T>(
        &self,
        parameters: &Tensors,
        input: &[f32],
        loss: impl FnOnce(&[Tensor]) -> Result<(Tensor, T)>,
    ) -> Result<(T, Tensors)> {
        let variables = self.variables(parameters)?;
        let (total, said) = loss(&self.forward(&variables, &self.input(input)?)?)?;
        let store = total.backward()?;
        let mut gradients = Tensors::new();
        for (name, variable) in &variables {
            let shape = variable.dims().to_vec();
            // A head whose task nothing switches on has none.
            let data = match store.get(variable) {
                Some(gradient) => gradient.flatten_all()?.to_vec1()?,
                None => vec![0.0; shape.iter().product()],
            };
            gradients.insert(name.clone(), Plain { shape, data });
        }
        Ok((said, gradients))
    }

    /// The place of an output among the graph's values.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<usize> {
        self.graph.outputs().iter().find(|&&(output, _)| output == name).map(|&(_, id)| id)
    }

    fn value(&self, node: &Node, variables: &Variables, inputs: &[&Tensor]) -> Result<Tensor> {
        let layer = Layer { node, variables };
        let x = inputs[0];
        let n = x.dim(0)?;
        let Shape { h, w, c } = node.shape;
        match node.op {
            Op::Input => Ok(x.clone()),
            Op::Conv { conv, scale } => {
                let mut sum = layer.product(x)?;
                if let Some(scale) = variables.get(&scale_of(node)) {
                    sum = layers::norm(&sum, scale, layer.get("bias")?)?;
                } else if conv.bias && conv.act == Act::PRelu && inputs.len() == 1 {
                    return layers::prelu(&sum, layer.get("bias")?, layer.get("slope")?);
                } else if conv.bias {
                    sum = (&sum + spread(layer.get("bias")?, &sum)?)?;
                }
                if let Some(residual) = inputs.get(1) {
                    sum = ((sum * f64::from(scale))? + *residual)?;
                }
                layer.activated(&sum, conv.act)
            }
            Op::Dense { bias, act, .. } => {
                let mut sum = layer.product(x)?;
                if let Some(scale) = variables.get(&scale_of(node)) {
                    sum = layers::norm(&sum, scale, layer.get("bias")?)?;
                } else if bias && act == Act::PRelu {
                    let value = layers::prelu(&sum, layer.get("bias")?, layer.get("slope")?)?;
                    return value.reshape((n, 1, 1, c));
                } else if bias {
                    sum = (&sum + spread(layer.get("bias")?, &sum)?)?;
                }
                layer.activated(&sum.reshape((n, 1, 1, c))?, act)
            }
            Op::Pool(pool) => layers::pool(x, pool, [h, w]),
            Op::GlobalAverage => x.mean_keepdim(1)?.mean_keepdim(2),
            Op::Concat => Tensor::cat(inputs, 3),
            Op::Add { act } => {
                let extended = |x: &Tensor| -> Result<Tensor> {
                    let (_, from_h, from_w, from_c) = x.dims4()?;
                    x.pad_with_zeros(1, 0, h - from_h)?
                        .pad_with_zeros(2, 0, w - from_w)?
                        .pad_with_zeros(3, 0, c - from_c)
                };
                layer.activated(&(extended(x)? + extended(inputs[1])?)?, act)
            }
            Op::LocalNorm(norm) => local_norm(x, norm),
            Op::Maxout { pieces } => x.reshape((n, h, w, c, pieces))?.max(4),
            Op::Softmax => {
                let exp = x.broadcast_sub(&x.max_keepdim(3)?.detach())?.exp()?;
                exp.broadcast_div(&exp.sum_keepdim(3)?)
            }
            Op::L2Norm => {
                // The square root has no gradient at 0; a vector of zeros stays one either way.
                let squares = x.sqr()?.sum_keepdim(3)?.maximum(L2_MIN * L2_MIN)?;
                x.broadcast_div(&squares.sqrt()?)
            }
        }
    }
}

/// The name of a layer's factors behind its norm.
#[must_use]
pub fn scale_of(node: &Node) -> String {
    format!("{}.scale", node.name)
}

/// One node with the variables that are named after it.
struct Layer<'a> {
    node: &'a Node,
    variables: &'a Variables,
}

impl Layer<'_> {
    /// The layer's sum, without bias.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        let weight = self.get("weight")?;
        match self.node.op {
            Op::Conv { conv, .. } => layers::conv(x, weight, &conv),
            _ => x.contiguous()?.reshape((x.dim(0)?, ()))?.matmul(&weight.t()?),
        }
    }

    fn get(&self, kind: &str) -> Result<&Tensor> {
        let name = format!("{}.{kind}", self.node.name);
        match self.variables.get(&name) {
            Some(variable) => Ok(variable.as_tensor()),
            None => bail!("variable {name} is missing"),
        }
    }

    fn activated(&self, sum: &Tensor, act: Act) -> Result<Tensor> {
        match act {
            Act::None => Ok(sum.clone()),
            Act::Relu => sum.relu(),
            Act::PRelu => {
                let below = (sum.neg()?.relu()? * spread(self.get("slope")?, sum)?)?;
                sum.relu()? - below
            }
        }
    }
}

/// A channel's value at every position, as a product with ones: candle's own broadcasting walks an index for each value,
/// and its gradient sums by the same walk, which took most of a step.
fn spread(channels: &Tensor, like: &Tensor) -> Result<Tensor> {
    let c = channels.elem_count();
    let ones = Tensor::ones((like.elem_count() / c, 1), like.dtype(), like.device())?;
    ones.matmul(&channels.reshape((1, c))?)?.reshape(like.shape())
}

fn local_norm(x: &Tensor, norm: LocalNorm) -> Result<Tensor> {
    let c = x.dim(3)?;
    let (before, behind) = (norm.size / 2, (norm.size - 1) / 2);
    let squares = x.sqr()?.pad_with_zeros(3, before, behind)?;
    let mut sum = squares.narrow(3, 0, c)?;
    for shift in 1..norm.size {
        sum = (sum + squares.narrow(3, shift, c)?)?;
    }
    let mean = (sum * (f64::from(norm.alpha) / norm.size as f64))?;
    x * (mean + f64::from(norm.k))?.powf(-f64::from(norm.beta))?
}

#[cfg(test)]
pub(crate) mod testing {
    //! What is held against finite differences here and against PyTorch in `goldens`.

    use threshold_models::graph::{Act, Conv, Graph, LocalNorm, Pool as Window, PoolKind, Shape};

    /// A small network of every operation.
    pub(crate) fn every_operation() -> Graph {
        let mut g = Graph::new("every operation", Shape { h: 7, w: 6, c: 3 });
        let x = g.conv("a", g.input(), Conv::new(4, 3, 3).same().act(Act::PRelu));
        let x = g.local_norm("b", x, LocalNorm { size: 4, alpha: 0.5, ..LocalNorm::new() });
        let y = g.conv_residual("c", x, Conv::new(4, 1, 1), 0.3, x);
        let down = g.conv("d", y, Conv::new(5, 3, 3).stride(2).act(Act::PRelu));
        let skip = g.pool("e", x, Window::new(PoolKind::Average, 2, 2));
        let x = g.add("f", down, skip, Act::None);
        let peak = g.pool("g", x, Window::new(PoolKind::Max, 2, 1));
        let side = g.conv("h", x, Conv::new(3, 2, 2));
        let cat = g.concat("i", &[peak, side]);
        let x = g.maxout("j", cat, 2);
        let flat = g.dense("k", x, 6, true, Act::PRelu);
        let mean = g.global_average("l", cat);
        let prob = g.softmax("m", flat);
        let unit = g.l2_norm("n", mean);
        g.output("prob", prob);
        g.output("embedding", unit);
        g
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::testing::every_operation;
    use super::*;
    use crate::layers::testing::{check as check_gradients, variable};
    use crate::stage::Stage;
    use std::sync::Arc;
    use threshold_models::cpu::{Network, Pool, Simd};
    use threshold_models::{net, synthetic};

    /// Runs a graph of synthetic weights here and on the CPU engine.
    fn check_parity(graph: &Graph, n: usize) {
        let weights = synthetic::weights([graph]);
        let shape = graph.shape(graph.input());
        let input: Vec<f32> = (0..n as u64).flat_map(|i| synthetic::input(i, shape)).collect();
        let trainable = Trainable::new(graph.clone());
        let variables = trainable.variables(&weights).unwrap();
        let Shape { h, w, c } = shape;
        let tensor = Tensor::from_slice(&input, (n, h, w, c), &Device::Cpu).unwrap();
        let values = trainable.forward(&variables, &tensor).unwrap();
        let pool = Arc::new(Pool::new(1));
        let mut network = Network::new(graph, &weights, Simd::detect(), pool).unwrap();
        network.run(&input).unwrap();
        for &(name, id) in graph.outputs() {
            let found = values[id].flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let expected = network.output(name).unwrap();
            assert_eq!(found.len(), expected.len(), "{} {name}", graph.name());
            let largest = expected.iter().fold(1.0f32, |a, b| a.max(b.abs()));
            let far = threshold_models::tensor::max_abs_diff(&found, expected);
            assert!(far <= 1e-4 * largest, "{} {name}: {far} off", graph.name());
        }
    }

    #[test]
    fn every_stage_gives_what_the_engine_gives() {
        for stage in Stage::ALL {
            check_parity(&stage.graph(), 3);
        }
        check_parity(&net::pnet(19, 24), 2);
    }

    #[test]
    fn a_narrow_nn2_with_norms_gives_what_the_engine_gives_with_them_folded() {
        let graph = net::nn2_of(net::ResnetSize { side_px: 64, width: 8, len: 8 });
        let mut weights = synthetic::weights([&graph]);
        let nodes = graph.nodes().iter();
        for node in nodes
            .filter(|node| weights.contains_key(&format!("{}.weight", node.name)))
            .cloned()
            .collect::<Vec<_>>()
        {
            let data = synthetic::input(7, Shape { h: 1, w: 1, c: node.shape.c });
            let data = data.into_iter().map(|value| 1.0 + 0.2 * value).collect();
            weights.insert(scale_of(&node), Plain { shape: vec![node.shape.c], data });
        }
        let trainable = Trainable::new(graph.clone());
        let shape = graph.shape(graph.input());
        let input: Vec<f32> = (0..12).flat_map(|i| synthetic::input(i, shape)).collect();
        let variables = trainable.variables(&weights).unwrap();
        let values = trainable.forward(&variables, &trainable.input(&input).unwrap()).unwrap();
        let id = graph.outputs()[0].1;
        let found = values[id].flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let folded = trainable.folded(&weights, &input).unwrap();
        assert!(folded.keys().all(|name| !name.ends_with(".scale")));
        let pool = Arc::new(Pool::new(1));
        let mut network = Network::new(&graph, &folded, Simd::detect(), pool).unwrap();
        network.run(&input).unwrap();
        let expected = network.output("embedding").unwrap();
        let far = threshold_models::tensor::max_abs_diff(&found, expected);
        assert!(far < 1e-3, "{far}");
    }

    #[test]
    fn embedders_give_what_the_engine_gives() {
        for graph in [net::inception_resnet_v1(), net::dlib_resnet29(), net::nn2()] {
            check_parity(&graph, 1);
        }
    }

    #[test]
    fn every_operation_gives_what_the_engine_gives_and_its_finite_differences() {
        let graph = every_operation();
        check_parity(&graph, 2);
        let trainable = Trainable::new(graph.clone());
        let specs: Vec<_> = graph.weights().enumerate().collect();
        let variables: Variables = specs
            .into_iter()
            .map(|(i, spec)| (spec.name, variable(&spec.shape, 10 + i as u64)))
            .collect();
        let input = variable(&[2, 7, 6, 3], 9);
        let all: Vec<&Var> = variables.values().chain([&input]).collect();
        check_gradients("every operation", &all, || {
            let values = trainable.forward(&variables, &input)?;
            let mut sum = Tensor::zeros((), input.dtype(), &Device::Cpu)?;
            for &(_, id) in graph.outputs() {
                // Cubes, so that no output's sum is fixed by its norm.
                let value = &values[id];
                sum = (sum + (value.sqr()? * value)?.sum_all()?)?;
            }
            Ok(sum)
        });
    }
}
