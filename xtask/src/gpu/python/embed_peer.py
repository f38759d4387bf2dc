"""FaceNet of the peers on the card, over noise that is there already: PyTorch as shipped, in half precision as a CUDA graph and
compiled, and onnxruntime on the card (through TensorRT too) where it is installed for one."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import torch
from facenet_pytorch import InceptionResnetV1

from compiled import facenet, noise
from turns import DEVICE, Row, arguments, graphed, milliseconds, ours, write

BATCHES = (1, 4, 8, 32)
# PyTorch's default, and that which tries most; both as a CUDA graph.
MODES = ("default", "max-autotune-no-cudagraphs")


class Compiled:
    """A process that compiles, and is timed when it has."""

    def __init__(self, batch, mode, threads):
        self.row = Row(network=f"FaceNet, torch.compile ({mode}) in a CUDA graph", batch=batch)
        script = Path(__file__).with_name("compiled.py")
        self.process = subprocess.Popen(
            [sys.executable, script, str(batch), mode, str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            # What it says of its compiling is of use only where it fails.
            stderr=subprocess.PIPE, text=True, start_new_session=True,
        )
        self.lines, self.said = queue.Queue(), []
        threading.Thread(target=self.read, args=(self.process.stdout, self.lines.put), daemon=True).start()
        threading.Thread(target=self.read, args=(self.process.stderr, self.said.append), daemon=True).start()

    @staticmethod
    def read(stream, put):
        for line in stream:
            put(line)
        put("")

    def answer(self, until):
        """The next, as JSON; nothing if it has ended or does not come in time."""
        try:
            line = self.lines.get(timeout=max(until - time.monotonic(), 0.01))
            return json.loads(line) if line else None
        except queue.Empty:
            return None

    def wait(self, start, limit):
        """Whether it has compiled within so many seconds; ended if it has not, and why is kept."""
        ready = self.answer(start + limit)
        if ready:
            self.row.named["compiled_s"] = ready["ready"]
            return True
        running = self.process.poll() is None
        why = f"compiling took more than {limit} s" if running else "".join(self.said).strip()[-300:]
        self.row.named["skipped"] = why or "it ended without a word"
        self.end()
        return False

    def time(self, calls):
        self.process.stdin.write(f"{calls}\n")
        self.process.stdin.flush()
        return self.answer(time.monotonic() + 60)

    def end(self):
        # With the compilers that it started: the process leads a session of its own.
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


def onnxruntime(folder):
    """(name, batch) and a call for each engine that onnxruntime has for this card; says what is not there."""
    try:
        import numpy as np
        import onnxruntime as ort
    except ImportError as error:
        print(f"skipped: onnxruntime ({error})", flush=True)
        return {}
    cache = str(folder)
    engines = {
        "CUDAExecutionProvider": {"enable_cuda_graph": "1"},
        "TensorrtExecutionProvider": {"trt_fp16_enable": "1", "trt_cuda_graph_enable": "1", "trt_engine_cache_path": cache},
    }
    calls = {}
    for provider, options in engines.items():
        if provider not in ort.get_available_providers():
            print(f"skipped: {provider} (onnxruntime {ort.__version__} here has {ort.get_available_providers()})", flush=True)
            continue
        for batch in BATCHES:
            try:
                path, x = folder / f"facenet-{batch}.onnx", noise(batch).contiguous()
                if not path.exists():
                    torch.onnx.export(facenet(), (x,), str(path), input_names=["x"], output_names=["y"], dynamo=False)
                y = torch.empty(batch, 512, device=DEVICE, dtype=x.dtype)
                session = ort.InferenceSession(str(path), providers=[(provider, options)])
                io = session.io_binding()
                io.bind_input("x", "cuda", 0, np.float16, list(x.shape), x.data_ptr())
                io.bind_output("y", "cuda", 0, np.float16, list(y.shape), y.data_ptr())

                def call(session=session, io=io, kept=(x, y)):
                    session.run_with_iobinding(io)
                    return kept

                call()
                calls[f"FaceNet, onnxruntime {ort.__version__} {provider}", batch] = call
            except Exception as error:
                print(f"skipped: {provider} at batch {batch} ({type(error).__name__}: {error})", flush=True)
                break
    return calls


def main():
    seconds = int(os.environ.get("THRESHOLD_COMPILE_SECONDS", "150"))
    typed = arguments(("--calls", 300), ("--modes", ",".join(MODES)), ("--batches", ",".join(map(str, BATCHES))))
    modes, batches = [mode for mode in typed.modes.split(",") if mode], [int(n) for n in typed.batches.split(",")]
    torch.backends.cudnn.benchmark = True
    threads = max((os.cpu_count() or 1) // max(len(batches) * len(modes), 1), 1)
    start = time.monotonic()
    compiled = [Compiled(batch, mode, threads) for mode in modes for batch in batches]
    try:
        calls = {}
        with torch.inference_mode():
            shipped = InceptionResnetV1(pretrained=None, classify=False).eval().to(DEVICE)
            for batch in batches:
                x = torch.randn(batch, 3, 160, 160, device=DEVICE)
                calls["FaceNet, f32 as shipped", batch] = lambda x=x: shipped(x)
            network = facenet()
            for batch in batches:
                calls["FaceNet, f16 channels last in a CUDA graph", batch] = graphed(network, noise(batch))
        calls |= onnxruntime(typed.out)
        rows = {key: Row(network=key[0], batch=key[1]) for key in calls}
        ready = [one for one in compiled if one.wait(start, seconds)]
        for turn in range(typed.turns):
            ours(typed, turn)
            with torch.inference_mode():
                for key, call in calls.items():
                    rows[key].add("", milliseconds(call, typed.calls, 20))
            for one in list(ready):
                times = one.time(typed.calls)
                if times:
                    one.row.add("", times)
                else:
                    # A later answer would be taken for that of the next question.
                    one.row.named["skipped"] = "it gave no times within 60 s"
                    one.end()
                    ready.remove(one)
            everything = [*rows.values(), *(one.row for one in compiled)]
            write(typed, rows=everything)
        for row in everything:
            print(row.value(), flush=True)
    finally:
        for one in compiled:
            one.end()
        for path in typed.out.glob("facenet-*.onnx"):
            path.unlink()


if __name__ == "__main__":
    main()
