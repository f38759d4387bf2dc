"""facenet-pytorch's detector on the card, over the frames that `run.sh bench` times: one JSON file."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image


def main(folder, out, calls):
    rows = []
    for path in sorted(Path(folder).glob("*.png")):
        frame = np.array(Image.open(path).convert("RGB"))
        for min_face in (20, 40, 80):
            detector = MTCNN(keep_all=True, min_face_size=min_face, device="cuda")
            boxes = None
            for _ in range(3):
                boxes, _, _ = detector.detect(frame, landmarks=True)
            times = []
            for _ in range(calls):
                torch.cuda.synchronize()
                start = time.perf_counter()
                detector.detect(frame, landmarks=True)
                torch.cuda.synchronize()
                times.append((time.perf_counter() - start) * 1e3)
            times.sort()
            rows.append({
                "frame": path.stem, "min_face": min_face, "faces": 0 if boxes is None else len(boxes),
                "p50_ms": times[len(times) // 2], "p95_ms": times[int(len(times) * 0.95)],
            })
            print(rows[-1], flush=True)
    report = {"device": torch.cuda.get_device_name(0), "torch": torch.__version__, "frames": rows}
    Path(out).write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
