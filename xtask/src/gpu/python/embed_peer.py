"""PyTorch's FaceNet on the card in half precision, channels last, as a CUDA graph and compiled: one JSON file."""

import json
import sys
import time
from pathlib import Path

import torch
import torch._dynamo
import torch._inductor.config
from facenet_pytorch import InceptionResnetV1

BATCHES = (1, 4, 8, 32)


def graphed(network, batch):
    """A call without arguments that replays the network over noise that is on the card already."""
    noise = torch.randn(batch, 3, 160, 160, device="cuda", dtype=torch.half).to(memory_format=torch.channels_last)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            network(noise)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(noise)

    def replay():
        graph.replay()
        return noise  # Kept alive with the call: the graph reads it.

    return replay


def microseconds(call, calls):
    for _ in range(20):
        call()
    torch.cuda.synchronize()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    return {"p50_us": times[len(times) // 2], "p95_us": times[int(len(times) * 0.95)]}


def main(out, calls):
    torch.backends.cudnn.benchmark = True
    torch._inductor.config.freezing = True  # Batch norms go into the weights before them, as in ours.
    network = InceptionResnetV1(pretrained=None, classify=False).eval().cuda().half()
    network = network.to(memory_format=torch.channels_last)
    rows = []

    def keep(name, batch, call):
        rows.append({"network": name, "batch": batch, **microseconds(call, calls)})
        print(rows[-1], flush=True)
        # After each: compiling takes minutes, and who breaks off keeps what there is.
        report = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__, "rows": rows}
        Path(out).write_text(json.dumps(report, indent=1))

    with torch.inference_mode():
        for batch in BATCHES:
            keep("FaceNet, CUDA graph", batch, graphed(network, batch))
        for batch in BATCHES:
            try:
                torch._dynamo.reset()
                keep("FaceNet, torch.compile in a CUDA graph", batch, graphed(torch.compile(network), batch))
            except Exception as error:  # It needs a C compiler and triton, which the machine may lack.
                print(f"skipped: torch.compile at batch {batch} ({type(error).__name__}: {error})", flush=True)
                break


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
