"""onnxruntime as a peer of `threshold bench`: single networks, the cascade, and a cold start."""

import json
import statistics
import time

import cv2
import numpy as np
import onnxruntime as ort
from safetensors.numpy import load_file

from cascade import Cascade
from serve import Last, median_ms, serve
from to_onnx import OfPack, Random, to_onnx

models, held = Last(), Last()


def session(model, threads, spinning=True):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    return ort.InferenceSession(model, options, ["CPUExecutionProvider"])


def model_of(definition, items):
    """The model of a definition's file, with random weights, and an input for it."""
    def make():
        with open(definition) as file:
            graph = json.load(file)
        h, w, c = graph["nodes"][0]["shape"]
        data = np.random.default_rng(2).uniform(-1, 1, [items, c, h, w]).astype(np.float32)
        return to_onnx(graph, Random(), items), data
    return models.get((definition, items), make)


def network(definition, items, threads, calls, **_):
    """The median time of a call on `items` inputs."""
    model, data = model_of(definition, items)
    held_session = held.get((definition, items, threads), lambda: session(model, threads))
    return {"ms": median_ms(calls, lambda: held_session.run(None, {"v0": data}))}


def start(definition, threads, **_):
    """From the model's bytes in memory to the first result."""
    model, data = model_of(definition, 1)
    begin = time.perf_counter()
    session(model, threads).run(None, {"v0": data})
    return {"ms": (time.perf_counter() - begin) * 1e3}


def detect(image, min_face, threads, calls, definitions, pack, **_):
    """The median time of a whole detection; `run_ms` of it is spent inside onnxruntime."""
    def make():
        tensors, nets = OfPack(load_file(pack)), []
        for path, batch, dynamic in zip(definitions, (1, "n", "n"), (("h", "w"), (), ())):
            with open(path) as file:
                # Three sessions whose idle threads spin are in each other's way: 226 ms instead of 169 at 1280x720, two
                # threads. A network alone is quicker with spinning.
                model = to_onnx(json.load(file), tensors, batch, dynamic)
                nets.append(session(model, threads, spinning=False))
        frame = cv2.cvtColor(cv2.imread(image, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        return Cascade(*nets, threads), frame
    cascade, frame = held.get((image, threads), make)
    inside, counts = [], []

    def call():
        nonlocal counts
        counts = cascade.detect(frame, min_face)[2]
        inside.append(cascade.run_ms)
    ms = median_ms(calls, call)
    return {"ms": ms, "run_ms": statistics.median(inside[1:]), "faces": counts[-1], "proposals": counts}


def version():
    return {"version": f"onnxruntime {ort.__version__}, numpy {np.__version__}, OpenCV {cv2.__version__}"}


if __name__ == "__main__":
    serve({"version": version, "network": network, "start": start, "detect": detect})
