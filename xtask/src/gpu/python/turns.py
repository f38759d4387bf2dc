"""Turns: ours and the peers are timed one after the other, several times over, so that a card that slows down slows all.

Also what all scripts share: how calls are timed, and what is written. A figure is the median of its turns.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

# Without a card only to see that a script runs; its times then mean nothing.
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def synchronize():
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def milliseconds(call, calls, warm_up):
    """Times of so many calls by the host's clock, each waited for, ascending."""
    for _ in range(warm_up):
        call()
    times = []
    for _ in range(calls):
        synchronize()
        start = time.perf_counter()
        call()
        synchronize()
        times.append((time.perf_counter() - start) * 1e3)
    return sorted(times)


def graphed(network, *inputs):
    """A call without arguments that replays the network over inputs that are on the card already."""
    if DEVICE == "cpu":
        return lambda: network(*inputs)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(5):
            network(*inputs)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        network(*inputs)

    def replay():
        graph.replay()
        return inputs  # Kept alive with the call: the graph reads them.

    return replay


class Row:
    """One thing that is timed: what it is called, as a dictionary, and its times of each turn."""

    def __init__(self, **named):
        self.named, self.turns = named, {}

    def add(self, what, times):
        p50, p95 = times[len(times) // 2], times[int(len(times) * 0.95)]
        self.turns.setdefault(what, []).append((p50, p95))

    def value(self):
        value = dict(self.named)
        for what, turns in self.turns.items():
            p50s, p95s = zip(*turns)
            value[f"{what}p50_ms"], value[f"{what}p95_ms"] = statistics.median(p50s), statistics.median(p95s)
            value[f"{what}turns_ms"] = p50s
        return value


def arguments(*more):
    """--out, --turns, more options with their defaults, and behind `--` our own benchmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--turns", type=int, default=3)
    for name, default in more:
        parser.add_argument(name, type=type(default), default=default)
    parser.add_argument("ours", nargs="*")
    return parser.parse_args()


def ours(typed, turn):
    """Our benchmark's turn; what it writes, or nothing if it failed, which is said."""
    folder = typed.out / f"turn-{turn + 1}"
    folder.mkdir(exist_ok=True)
    if typed.ours and subprocess.run([*typed.ours, "--out", folder]).returncode:
        print(f"failed: {' '.join(typed.ours)}", flush=True)
        sys.exit(1)
    return folder


def write(typed, **lists):
    """After each turn: who breaks off keeps what there is."""
    report = {"device": torch.cuda.get_device_name(0) if DEVICE == "cuda" else "cpu", "torch": torch.__version__}
    for name, rows in lists.items():
        report[name] = [row.value() if isinstance(row, Row) else row for row in rows]
    (typed.out / "peer.json").write_text(json.dumps(report, indent=1))
