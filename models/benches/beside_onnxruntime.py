#!/usr/bin/env python3
"""Times onnxruntime and this crate's CPU engine on the same networks, in turn, and prints a table of medians.

Needs `pip install onnxruntime onnx numpy` in a virtual environment. Run from the workspace's root:

    cargo bench -p threshold-models --bench networks --no-run
    python models/benches/beside_onnxruntime.py <path of the bench binary> [turns]

The networks come from the binary's own definitions (`graphs`), so both sides compute the same layers at the same
shapes; weights are random on both sides, residual scales are folded into the weights for onnxruntime. Each turn times
every network once on either side (median of a few calls), so that a busy machine slows both.
"""

import json
import statistics
import subprocess
import sys
import time

import numpy as np

import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

BATCH = {"R-Net": 32, "O-Net": 8}
CALLS = 7

def build(graph):
    """An ONNX model of one definition, NCHW."""
    rng = np.random.default_rng(1)
    nodes, weights = [], []

    def weight(name, array):
        weights.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def random(name, shape, fan_in):
        bound = min((6.0 / fan_in) ** 0.5, 0.25)
        return weight(name, rng.uniform(-bound, bound, shape).astype(np.float32))

    def emit(op, inputs, output, **attributes):
        nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def activate(act, x, y, channels, spatial):
        if act == "Relu":
            return emit("Relu", [x], y)
        if act == "PRelu":
            return emit("PRelu", [x, random(y + ".slope", [channels] + [1] * spatial, 16)], y)
        return emit("Identity", [x], y)

    values = graph["nodes"]
    for i, node in enumerate(values):
        op, y = node["op"], f"v{i}"
        h, w, c = node["shape"]
        x = [f"v{j}" for j in node["inputs"]]
        shapes = [values[j]["shape"] for j in node["inputs"]]
        kind = op["op"]
        if kind == "conv":
            kh, kw = op["kernel"]
            ph, pw = op["pad"]
            cin = shapes[0][2]
            inputs = [x[0], random(y + ".w", [c, cin, kh, kw], cin * kh * kw)]
            if op["bias"]:
                inputs.append(random(y + ".b", [c], c))
            out = emit("Conv", inputs, y + ".conv", kernel_shape=[kh, kw], strides=[op["stride"]] * 2,
                       pads=[ph, pw, ph, pw])
            if len(x) == 2:
                out = emit("Add", [out, x[1]], y + ".sum")
            activate(op["act"], out, y, c, 2)
        elif kind == "dense":
            n = int(np.prod(shapes[0]))
            flat = emit("Flatten", [x[0]], y + ".flat", axis=1)
            inputs = [flat, random(y + ".w", [c, n], n)]
            if op["bias"]:
                inputs.append(random(y + ".b", [c], c))
            activate(op["act"], emit("Gemm", inputs, y + ".gemm", transB=1), y, c, 0)
        elif kind == "pool":
            name = "MaxPool" if op["kind"] == "Max" else "AveragePool"
            emit(name, [x[0]], y, kernel_shape=[op["kernel"]] * 2, strides=[op["stride"]] * 2,
                 pads=[op["pad"]] * 4, ceil_mode=int(op["ceil"]))
        elif kind == "add":
            padded = []
            for part, (ph, pw, pc) in zip(x, shapes):
                if [ph, pw, pc] != [h, w, c]:
                    pads = weight(f"{y}.{part}.pads", np.array([0, 0, 0, 0, 0, c - pc, h - ph, w - pw]))
                    part = emit("Pad", [part, pads], f"{y}.{part}")
                padded.append(part)
            activate(op["act"], emit("Add", padded, y + ".sum"), y, c, 2)
        elif kind == "mean":
            emit("GlobalAveragePool", [x[0]], y)
        elif kind == "concat":
            emit("Concat", x, y, axis=1)
        elif kind == "softmax":
            emit("Softmax", [x[0]], y, axis=1)
        elif kind == "l2_norm":
            emit("LpNormalization", [x[0]], y, axis=1, p=2)
        elif kind != "input":
            raise ValueError(kind)
    h, w, c = values[0]["shape"]
    batch = BATCH.get(graph["name"], 1)
    inputs = [helper.make_tensor_value_info("v0", TensorProto.FLOAT, [batch, c, h, w])]
    outputs = [helper.make_tensor_value_info(f"v{i}", TensorProto.FLOAT, None) for i in graph["outputs"]]
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, weights),
                              opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(), rng.uniform(-1, 1, [batch, c, h, w]).astype(np.float32)

def label(graph):
    h, w, _ = graph["nodes"][0]["shape"]
    name = graph["name"]
    if name == "P-Net":
        return f"{name} {w}x{h}"
    return f"{name} n={BATCH[name]}" if name in BATCH else name

def main():
    binary = sys.argv[1]
    turns = int(sys.argv[2]) if len(sys.argv) > 2 else 7
    graphs = json.loads(subprocess.run([binary, "graphs"], check=True, capture_output=True).stdout)
    models = {label(graph): build(graph) for graph in graphs}
    for threads in (1, 2):
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        sessions = {}
        for name, (model, data) in models.items():
            sessions[name] = ort.InferenceSession(model, options, ["CPUExecutionProvider"]), data
        ours, theirs = {}, {}
        for _ in range(turns):
            run = [binary, str(threads), str(CALLS)]
            for line in subprocess.run(run, check=True, capture_output=True, text=True).stdout.splitlines():
                figure = json.loads(line)
                ours.setdefault(figure["name"], []).append(figure["ms"])
            for name, (session, data) in sessions.items():
                times = []
                for _ in range(CALLS + 2):
                    start = time.perf_counter()
                    session.run(None, {"v0": data})
                    times.append((time.perf_counter() - start) * 1e3)
                theirs.setdefault(name, []).append(statistics.median(times[2:]))
        print(f"{threads} thread(s), onnxruntime {ort.__version__}, {turns} turns of {CALLS} calls, medians in ms")
        for name in models:
            a, b = statistics.median(ours[name]), statistics.median(theirs[name])
            print(f"| {name} | {threads} | {a:.2f} | {b:.2f} | {a / b:.2f} |")

if __name__ == "__main__":
    main()
