"""facenet-pytorch on the card over the frames that `run.sh bench` times: its detector alone, detector and FaceNet as its users
call them, and the three networks of its cascade alone, in half precision in one CUDA graph."""

import json
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from PIL import Image

from turns import DEVICE, Row, arguments, graphed, milliseconds, ours, write

MIN_FACES = (20, 40, 80)
# Frames whose cascade is run as networks alone, and the smallest face then: the crops are as many as ours had.
CASCADES = (("1280x720-1", 40), ("1280x720-20", 40))


def levels(width, height, min_face, factor=0.709):
    """Heights and widths of the pyramid, as facenet-pytorch makes it."""
    scale, sizes = 12 / min_face, []
    side = min(width, height) * scale
    while side >= 12:
        sizes.append((int(height * scale + 1), int(width * scale + 1)))
        scale, side = scale * factor, side * factor
    return sizes


def cascade(size, min_face, crops):
    """A call that runs P-Net on every level, R-Net and O-Net on so many crops: no resizing, no suppression, no choice, all of
    which PyTorch would need besides. That is less than a detection."""
    dtype = torch.half if DEVICE == "cuda" else torch.float

    def noise(*shape):
        return torch.randn(*shape, device=DEVICE, dtype=dtype).to(memory_format=torch.channels_last)

    nets = [net().eval().to(DEVICE, dtype).to(memory_format=torch.channels_last) for net in (PNet, RNet, ONet)]
    pictures = [noise(1, 3, *level) for level in levels(*size, min_face)]
    rnet, onet = noise(max(crops[0], 1), 3, 24, 24), noise(max(crops[1], 1), 3, 48, 48)

    def run(pictures, rnet, onet):
        for picture in pictures:
            nets[0](picture)
        nets[1](rnet)
        nets[2](onet)

    return graphed(run, pictures, rnet, onet)


def main():
    typed = arguments(("--frames", "frames"), ("--calls", 7))
    torch.backends.cudnn.benchmark = False  # As shipped; sizes change with every level.
    frames = {}
    for path in sorted(Path(typed.frames).glob("*.png")):
        frames[path.stem] = Image.open(path).convert("RGB")
    detectors = {
        least: MTCNN(keep_all=True, min_face_size=least, device=DEVICE) for least in MIN_FACES
    }
    facenet = InceptionResnetV1(pretrained=None, classify=False).eval().to(DEVICE)
    rows = {(name, least): Row(frame=name, min_face=least) for name in frames for least in MIN_FACES}
    networks = {}

    def whole(detector, frame):
        with torch.inference_mode():
            faces = detector(frame)
            return None if faces is None else facenet(faces.to(DEVICE)).cpu()

    for turn in range(typed.turns):
        folder = ours(typed, turn)
        for (name, least), row in rows.items():
            detector, frame = detectors[least], frames[name]
            pixels, warm_up = np.array(frame), 1 if turn else 3
            boxes, _, _ = detector.detect(pixels, landmarks=True)
            row.named["faces"] = 0 if boxes is None else len(boxes)
            row.add("", milliseconds(lambda: detector.detect(pixels, landmarks=True), typed.calls, warm_up))
            if boxes is not None:
                row.add("embedded_", milliseconds(lambda: whole(detector, frame), typed.calls, warm_up))
            print(row.value(), flush=True)
        if not networks and (folder / "detect.json").exists():
            torch.backends.cudnn.benchmark = True
            of_ours = json.loads((folder / "detect.json").read_text())["frames"]
            with torch.inference_mode():
                for row in of_ours:
                    if (row["frame"], row["min_face"]) in CASCADES:
                        named = {key: row[key] for key in ("frame", "size", "min_face", "crops")}
                        networks[row["frame"]] = (Row(**named), cascade(row["size"], row["min_face"], row["crops"]))
            torch.backends.cudnn.benchmark = False
        with torch.inference_mode():
            for row, call in networks.values():
                row.add("", milliseconds(call, 20 * typed.calls, 20))
                print(row.value(), flush=True)
        write(typed, frames=rows.values(), networks=[row for row, _ in networks.values()])


if __name__ == "__main__":
    main()
