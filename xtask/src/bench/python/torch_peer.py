"""facenet-pytorch as a peer of `threshold bench`: its networks and its detector, on torch's CPU kernels."""

import numpy as np
import torch
from facenet_pytorch import MTCNN, InceptionResnetV1
from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
from PIL import Image

from serve import Last, median_ms, serve

held = Last()
NETWORKS = {"facenet": lambda: InceptionResnetV1(pretrained=None), "pnet": PNet, "rnet": RNet, "onet": ONet}


def network(network, size, items, threads, calls, **_):
    """The median time of a call on `items` inputs."""
    torch.set_num_threads(threads)
    model = held.get(network, lambda: NETWORKS[network]().eval())
    w, h = size
    data = torch.rand(items, 3, h, w) * 2 - 1
    with torch.inference_mode():
        return {"ms": median_ms(calls, lambda: model(data))}


def detect(image, min_face, threads, calls, **_):
    """The median time of a whole detection with landmarks."""
    torch.set_num_threads(threads)
    make = lambda: (MTCNN(keep_all=True, min_face_size=min_face), np.array(Image.open(image).convert("RGB")))
    detector, frame = held.get((image, min_face), make)
    boxes = None

    def call():
        nonlocal boxes
        boxes, _, _ = detector.detect(frame, landmarks=True)
    ms = median_ms(calls, call)
    return {"ms": ms, "faces": 0 if boxes is None else len(boxes)}


def version():
    return {"version": f"facenet-pytorch 2.5.3, torch {torch.__version__}"}


if __name__ == "__main__":
    serve({"version": version, "network": network, "detect": detect})
