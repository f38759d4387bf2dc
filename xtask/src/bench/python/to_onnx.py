"""ONNX models of the definitions that `threshold --json model layers` prints, NCHW, f32.

Weights are random in the range of the synthetic ones of `threshold bench`, or those of a pack. A residual's scale is
folded into its weights by whoever uses the model; random weights need no scale.
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPSET = 18


class Random:
    """Uniform weights of variance 2 / inputs, as `threshold bench` makes them: speed does not depend on values."""

    def __init__(self):
        self.rng = np.random.default_rng(1)

    def uniform(self, shape, fan_in):
        bound = min((6.0 / fan_in) ** 0.5, 0.25)
        return self.rng.uniform(-bound, bound, shape).astype(np.float32)

    def conv(self, name, shape):
        return self.uniform(shape, int(np.prod(shape[1:])))

    def dense(self, name, outputs, shape):
        return self.uniform([outputs, int(np.prod(shape))], int(np.prod(shape)))

    def vector(self, name, length):
        return self.uniform([length], 16)


class OfPack:
    """The weights of a pack: [cout, kh, kw, cin] and [out, h w c] become [cout, cin, kh, kw] and [out, c h w]."""

    def __init__(self, tensors):
        self.tensors = tensors

    def of(self, name):
        return np.ascontiguousarray(self.tensors[name].astype(np.float32))

    def conv(self, name, shape):
        return np.ascontiguousarray(self.of(name + ".weight").transpose(0, 3, 1, 2))

    def dense(self, name, outputs, shape):
        weight = self.of(name + ".weight").reshape([outputs, *shape])
        return np.ascontiguousarray(weight.transpose(0, 3, 1, 2)).reshape(outputs, -1)

    def vector(self, name, length):
        return self.of(name)


def to_onnx(definition, source, batch, dynamic=()):
    """The model's bytes. `batch` is a number, or a name if it changes from call to call; `dynamic` names height and
    width if they do."""
    nodes, initializers = [], []

    def weight(name, array):
        initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def emit(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def activate(act, x, y, name, channels, spatial):
        if act == "Relu":
            return emit("Relu", [x], y)
        if act == "PRelu":
            slope = source.vector(name + ".slope", channels).reshape([channels] + [1] * spatial)
            return emit("PRelu", [x, weight(y + ".slope", slope)], y)
        return emit("Identity", [x], y)

    values = definition["nodes"]
    for i, node in enumerate(values):
        op, name, y = node["op"], node["name"], f"v{i}"
        h, w, c = node["shape"]
        x = [f"v{j}" for j in node["inputs"]]
        shapes = [values[j]["shape"] for j in node["inputs"]]
        kind = op["op"]
        if kind == "conv":
            kh, kw = op["kernel"]
            ph, pw = op["pad"]
            inputs = [x[0], weight(y + ".w", source.conv(name, [c, shapes[0][2], kh, kw]))]
            if op["bias"]:
                inputs.append(weight(y + ".b", source.vector(name + ".bias", c)))
            out = emit("Conv", inputs, y + ".conv", kernel_shape=[kh, kw], strides=[op["stride"]] * 2,
                       pads=[ph, pw, ph, pw])
            if len(x) == 2:
                out = emit("Add", [out, x[1]], y + ".sum")
            activate(op["act"], out, y, name, c, 2)
        elif kind == "dense":
            flat = emit("Flatten", [x[0]], y + ".flat", axis=1)
            inputs = [flat, weight(y + ".w", source.dense(name, c, shapes[0]))]
            if op["bias"]:
                inputs.append(weight(y + ".b", source.vector(name + ".bias", c)))
            activate(op["act"], emit("Gemm", inputs, y + ".gemm", transB=1), y, name, c, 0)
        elif kind == "pool":
            window = {"kernel_shape": [op["kernel"]] * 2, "strides": [op["stride"]] * 2, "pads": [op["pad"]] * 4,
                      "ceil_mode": int(op["ceil"])}
            kinds = {"Max": ("MaxPool", {}), "Average": ("AveragePool", {}), "L2": ("LpPool", {"p": 2})}
            onnx_op, more = kinds[op["kind"]]
            emit(onnx_op, [x[0]], y, **window, **more)
        elif kind == "add":
            padded = []
            for part, (ph, pw, pc) in zip(x, shapes):
                if [ph, pw, pc] != [h, w, c]:
                    pads = weight(f"{y}.{part}.pads", np.array([0, 0, 0, 0, 0, c - pc, h - ph, w - pw]))
                    part = emit("Pad", [part, pads], f"{y}.{part}")
                padded.append(part)
            activate(op["act"], emit("Add", padded, y + ".sum"), y, name, c, 2)
        elif kind == "mean":
            emit("GlobalAveragePool", [x[0]], y)
        elif kind == "concat":
            emit("Concat", x, y, axis=1)
        elif kind == "softmax":
            emit("Softmax", [x[0]], y, axis=1)
        elif kind == "l2_norm":
            emit("LpNormalization", [x[0]], y, axis=1, p=2)
        elif kind != "input":
            raise ValueError(f"no ONNX operator is known for {op}")
    h, w, c = values[0]["shape"]
    inputs = [helper.make_tensor_value_info("v0", TensorProto.FLOAT, [batch, c, *(dynamic or (h, w))])]
    outputs = [helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, None) for i in definition["outputs"]]
    graph = helper.make_graph(nodes, "network", inputs, outputs, initializers)
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()
