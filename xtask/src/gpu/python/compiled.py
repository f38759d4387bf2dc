"""torch.compile of FaceNet for one size of batch, in a process of its own, so that one that compiles too long can be ended.

Takes batch, mode and threads; says {"ready": SECONDS} once it can be timed, and then answers each line with a number of calls.
"""

import json
import os
import sys
import time

# Compilers print; what the parent reads is kept apart.
answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)

import torch  # noqa: E402
import torch._inductor.config  # noqa: E402
from facenet_pytorch import InceptionResnetV1  # noqa: E402

from turns import DEVICE, graphed, milliseconds  # noqa: E402


def facenet():
    """FaceNet in half precision, channels last (in f32 without a card, where half is not computed)."""
    network = InceptionResnetV1(pretrained=None, classify=False).eval()
    return network.to(DEVICE, torch.half if DEVICE == "cuda" else torch.float).to(memory_format=torch.channels_last)


def noise(batch):
    values = torch.randn(batch, 3, 160, 160, device=DEVICE, dtype=torch.half if DEVICE == "cuda" else torch.float)
    return values.to(memory_format=torch.channels_last)


def main(batch, mode, threads):
    torch.backends.cudnn.benchmark = True
    torch._inductor.config.freezing = True  # Batch norms go into the weights before them, as in ours.
    torch._inductor.config.compile_threads = threads
    start = time.perf_counter()
    with torch.inference_mode():
        # Without its own graphs: all variants are replayed in the same way.
        call = graphed(torch.compile(facenet(), mode=None if mode == "default" else mode), noise(batch))
        call()
        answers.write(json.dumps({"ready": time.perf_counter() - start}) + "\n")
        for line in sys.stdin:
            answers.write(json.dumps(milliseconds(call, int(line), 20)) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
