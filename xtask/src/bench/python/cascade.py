"""The cascade of facenet-pytorch 2.5.3 on onnxruntime: the detector one would write without torch.

Its semantics are that package's, but for the resampling, which is OpenCV's INTER_AREA (boxes move by a pixel or two).
R-Net and O-Net take all proposals of a frame as one batch. `run_ms` is the time inside onnxruntime alone.
"""

import time

import cv2
import numpy as np

FACTOR = 0.709
THRESHOLDS = (0.6, 0.7, 0.7)


class Cascade:
    """The three nets as sessions, each of which gives its outputs in the definition's order: probability, box
    regression, and O-Net's landmarks."""

    def __init__(self, pnet, rnet, onet, threads):
        self.pnet, self.rnet, self.onet = pnet, rnet, onet
        self.run_ms = 0.0
        # OpenCV has threads of its own, and the frame's levels are its only large work here.
        cv2.setNumThreads(threads)

    def run(self, session, x):
        start = time.perf_counter()
        outputs = session.run(None, {"v0": x})
        self.run_ms += (time.perf_counter() - start) * 1e3
        return outputs

    def detect(self, frame, min_face):
        """Boxes, landmarks and the number of proposals after each net of an RGB frame, uint8 [h, w, 3]."""
        self.run_ms = 0.0
        boxes = self.proposals(frame, min_face)
        counts = [len(boxes)]
        score, reg, boxes, _ = self.refine(frame, boxes, self.rnet, 24, THRESHOLDS[1])
        pick = nms(boxes, score, 0.7)
        boxes = square(regress(boxes[pick], reg[pick]))
        counts.append(len(boxes))
        score, reg, boxes, points = self.refine(frame, boxes, self.onet, 48, THRESHOLDS[2])
        side = boxes[:, 2:] - boxes[:, :2] + 1
        landmarks = np.stack([side[:, :1] * points[:, :5] + boxes[:, :1] - 1,
                              side[:, 1:] * points[:, 5:] + boxes[:, 1:2] - 1], axis=2)
        boxes = regress(boxes, reg)
        pick = nms(boxes, score, 0.7, plus=1, minimum=True)
        counts.append(len(pick))
        return boxes[pick], landmarks[pick], counts

    def proposals(self, frame, min_face):
        h, w = frame.shape[:2]
        scale, found = 12.0 / min_face, []
        least = min(h, w) * scale
        while least >= 12:
            level = cv2.resize(frame, (int(w * scale + 1), int(h * scale + 1)), interpolation=cv2.INTER_AREA)
            prob, reg = self.run(self.pnet, to_input(level[None]))
            y, x = np.nonzero(prob[0, 1] >= THRESHOLDS[0])
            corner = np.stack([x, y], axis=1).astype(np.float32) * 2
            boxes = np.floor(np.concatenate([corner + 1, corner + 12], axis=1) / np.float32(scale))
            score, reg = prob[0, 1, y, x], reg[0, :, y, x]
            pick = nms(boxes, score, 0.5)
            found.append((boxes[pick], score[pick], reg[pick]))
            scale *= FACTOR
            least *= FACTOR
        if not found:
            return np.zeros((0, 4), np.float32)
        boxes, score, reg = (np.concatenate(part) for part in zip(*found))
        pick = nms(boxes, score, 0.7)
        return square(regress(boxes[pick], reg[pick], plus=0))

    def refine(self, frame, boxes, session, side, threshold):
        """Score, regression, box and landmarks of the boxes that a net keeps."""
        h, w = frame.shape[:2]
        whole = boxes.astype(np.int64)
        x, y = np.maximum(whole[:, 0], 1), np.maximum(whole[:, 1], 1)
        ex, ey = np.minimum(whole[:, 2], w), np.minimum(whole[:, 3], h)
        kept = np.flatnonzero((ex > x - 1) & (ey > y - 1))
        if len(kept) == 0:
            return (np.zeros(0, np.float32), *(np.zeros((0, n), np.float32) for n in (4, 4, 10)))
        crops = np.empty((len(kept), side, side, 3), np.uint8)
        for crop, i in zip(crops, kept):
            part = frame[y[i] - 1:ey[i], x[i] - 1:ex[i]]
            cv2.resize(part, (side, side), dst=crop, interpolation=cv2.INTER_AREA)
        prob, reg, *points = self.run(session, to_input(crops))
        face = prob[:, 1] > threshold
        points = points[0][face] if points else np.zeros((0, 10), np.float32)
        return prob[face, 1], reg[face], boxes[kept][face], points


def to_input(pictures):
    """[n, h, w, 3] of bytes as [n, 3, h, w], from -1 to 1."""
    x = np.empty((len(pictures), 3, *pictures.shape[1:3]), np.float32)
    np.subtract(pictures.transpose(0, 3, 1, 2), np.float32(127.5), out=x)
    x *= np.float32(0.0078125)
    return x


def nms(boxes, score, limit, plus=0, minimum=False):
    """Indices of the boxes kept, best first; overlap is over the union, or over the smaller area."""
    order = np.argsort(-score, kind="stable")
    area = np.prod(boxes[:, 2:] - boxes[:, :2] + plus, axis=1)
    kept = []
    while order.size:
        best, rest = order[0], order[1:]
        kept.append(best)
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        shared = np.prod(np.maximum(high - low + plus, 0), axis=1)
        other = np.minimum(area[best], area[rest]) if minimum else area[best] + area[rest] - shared
        order = rest[shared <= limit * other]
    return np.array(kept, np.int64)


def regress(boxes, reg, plus=1):
    side = boxes[:, 2:] - boxes[:, :2] + plus
    return boxes + reg * np.concatenate([side, side], axis=1)


def square(boxes):
    side = boxes[:, 2:] - boxes[:, :2]
    longer = side.max(axis=1, keepdims=True)
    corner = boxes[:, :2] + side * 0.5 - longer * 0.5
    return np.concatenate([corner, corner + longer], axis=1)
