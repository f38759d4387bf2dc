"""The conversation of a peer with xtask: one JSON object a line in, one JSON object a line out, until the input ends.

A command that fails is answered with {"error": ...}; it ends nothing. Whatever a library prints goes to standard error,
so that the answers stay alone on standard output.
"""

import json
import os
import statistics
import sys
import time


def serve(commands):
    """Answers each line {"do": NAME, ...} with what `commands[NAME]` makes of the other keys."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = commands[command.pop("do")](**command)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


class Last:
    """Holds what the last key made, and makes anew for another key: turns of one workload follow each other."""

    def __init__(self):
        self.key, self.value = None, None

    def get(self, key, make):
        if self.key != key:
            # The old value goes first, so that two never stand side by side.
            self.key, self.value = None, None
            self.value = make()
            self.key = key
        return self.value


def median_ms(calls, call):
    """The median time of a call in ms, after one that warms buffers and caches."""
    call()
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return statistics.median(times)
