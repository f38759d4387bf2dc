"""Joules of a frame and of an embedding, ours and PyTorch's, each over and over for so many seconds: what the card's own counter
of energy says, or the mean of its power where it has none. The whole card's, and above what it takes while nothing runs."""

import argparse
import json
import shutil
import subprocess
import threading
import time
from pathlib import Path

OURS = {
    "detect": {
        "detection": ["detect"],
        "detection, FaceNet and search": ["recognise"],
    },
    "embed": {
        "FaceNet, batch 1": ["facenet", "--batch", "1"],
        "FaceNet, batch 8": ["facenet", "--batch", "8"],
        "FaceNet, batch 32": ["facenet", "--batch", "32"],
    },
}
SAMPLE_S = 0.05


class Nvml:
    """The driver's library, through nvidia-ml-py."""

    def __init__(self):
        import pynvml

        self.nvml = pynvml
        pynvml.nvmlInit()
        self.card = pynvml.nvmlDeviceGetHandleByIndex(0)
        self.watts()
        try:
            self.joules()
            self.has_counter = True
        except pynvml.NVMLError:
            self.has_counter = False

    def watts(self):
        return self.nvml.nvmlDeviceGetPowerUsage(self.card) / 1e3

    def joules(self):
        return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.card) / 1e3


class Smi:
    """`nvidia-smi`, which tells power alone."""

    has_counter = False

    def __init__(self):
        if not shutil.which("nvidia-smi"):
            raise OSError("no nvidia-smi")
        self.watts()

    def watts(self):
        asked = ["nvidia-smi", "--id=0", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
        return float(subprocess.run(asked, check=True, capture_output=True, text=True).stdout)


def sensor():
    why = []
    for kind in (Nvml, Smi):
        try:
            return kind()
        except Exception as error:  # No library, no driver, a board that does not tell.
            why.append(f"{kind.__name__}: {type(error).__name__}: {error}")
    print(f"skipped: energy (nothing here tells power: {'; '.join(why)})", flush=True)
    return None


class Meter:
    """Energy from its making to its reading."""

    def __init__(self, of):
        self.of, self.start, self.samples, self.over = of, time.perf_counter(), [], threading.Event()
        self.joules = of.joules() if of.has_counter else None
        self.thread = threading.Thread(target=self.sample)
        self.thread.start()

    def sample(self):
        while not self.over.wait(SAMPLE_S):
            self.samples.append(self.of.watts())

    def read(self):
        seconds = time.perf_counter() - self.start
        joules = self.of.joules() - self.joules if self.of.has_counter else None
        self.over.set()
        self.thread.join()
        if joules is None:
            joules = seconds * sum(self.samples) / max(len(self.samples), 1)
        return {"seconds": seconds, "watts": joules / seconds, "joules": joules}


def of_ours(of, what, seconds):
    """Our program, metered from its `begin` to its last word."""
    program = ["./bin/steady", *what, "--seconds", str(seconds)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout.readline().strip() != "begin":
            return {"skipped": f"{' '.join(program)} did not begin"}
        meter = Meter(of)
        told = process.stdout.readline()
        metered = meter.read()
    return metered | {"calls": json.loads(told)["calls"]} if told else {"skipped": f"{' '.join(program)} broke off"}


def of_call(of, call, seconds, synchronize):
    for _ in range(10):
        call()
    synchronize()
    meter, calls, start = Meter(of), 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        call()
        synchronize()
        calls += 1
    return meter.read() | {"calls": calls}


def peers(folder):
    """What PyTorch does of the same, as calls without arguments."""
    import torch
    from compiled import facenet, noise
    from turns import DEVICE, graphed

    if folder == "embed":
        with torch.inference_mode():
            network = facenet()
            return {f"FaceNet, batch {n}": ("PyTorch, CUDA graph", graphed(network, noise(n))) for n in (1, 8, 32)}
    from facenet_pytorch import MTCNN, InceptionResnetV1
    from PIL import Image

    frame = Image.open("frames/1280x720-1.png").convert("RGB")
    detector = MTCNN(keep_all=True, min_face_size=40, device=DEVICE)
    network = InceptionResnetV1(pretrained=None, classify=False).eval().to(DEVICE)

    def whole():
        with torch.inference_mode():
            return network(detector(frame).to(DEVICE)).cpu()

    return {
        "detection": ("facenet-pytorch", lambda: detector.detect(frame, landmarks=True)),
        "detection, FaceNet and search": ("facenet-pytorch, without a search", whole),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", choices=OURS)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=5)
    typed = parser.parse_args()
    of = sensor()
    if not of:
        return
    rows = []

    def keep(what, who, metered):
        rows.append({"what": what, "who": who, "counter": of.has_counter, **metered})
        print(rows[-1], flush=True)
        (typed.out / "energy.json").write_text(json.dumps(rows, indent=1))

    def idle(who):
        time.sleep(2)  # The last run's clocks fall first.
        meter = Meter(of)
        time.sleep(typed.seconds)
        keep("idle", who, meter.read())

    idle("no program")
    for what, arguments in OURS[typed.folder].items():
        keep(what, "ours", of_ours(of, arguments, typed.seconds))
    try:
        import torch
        calls = peers(typed.folder)
    except Exception as error:
        print(f"skipped: the peers ({type(error).__name__}: {error})", flush=True)
        return
    idle("PyTorch, doing nothing")
    synchronize = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    for what, (who, call) in calls.items():
        keep(what, who, of_call(of, call, typed.seconds, synchronize))


if __name__ == "__main__":
    main()
