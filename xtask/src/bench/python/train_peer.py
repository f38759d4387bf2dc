"""PyTorch as a peer of `threshold-train pace`: the same networks, losses and optimiser, as its users write them."""

import torch
import torch.nn.functional as F
from torch import nn

from serve import Last, median_ms, serve

held = Last()
HARD_SHARE, PHOTOS, MARGIN, RATE = 0.7, 4, 1.0, 1e-5


class Stage(nn.Module):
    """A network of the cascade: its trunk, then a head for each task, before the softmax."""

    def __init__(self, trunk, width, heads, convolutional=False):
        super().__init__()
        self.trunk = nn.Sequential(*trunk)
        self.heads = nn.ModuleList(nn.Conv2d(width, n, 1) if convolutional else nn.Linear(width, n) for n in heads)

    def forward(self, x):
        x = self.trunk(x)
        return [head(x).flatten(1) for head in self.heads]


def conv(cin, cout, kernel):
    return [nn.Conv2d(cin, cout, kernel), nn.PReLU(cout)]


def pool(kernel):
    return [nn.MaxPool2d(kernel, 2, ceil_mode=True)]


def pnet():
    return Stage(conv(3, 10, 3) + pool(2) + conv(10, 16, 3) + conv(16, 32, 3), 32, [2, 4], convolutional=True)


def rnet():
    trunk = conv(3, 28, 3) + pool(3) + conv(28, 48, 3) + pool(3) + conv(48, 64, 2)
    return Stage(trunk + [nn.Flatten(), nn.Linear(576, 128), nn.PReLU(128)], 128, [2, 4])


def onet():
    trunk = conv(3, 32, 3) + pool(3) + conv(32, 64, 3) + pool(3) + conv(64, 64, 3) + pool(2) + conv(64, 128, 2)
    return Stage(trunk + [nn.Flatten(), nn.Linear(1152, 256), nn.PReLU(256)], 256, [2, 4, 10])


CASCADE = {"pnet": (pnet, 12), "rnet": (rnet, 24), "onet": (onet, 48)}


def cascade_step(network, samples):
    """A step of eq. 1 to 4 with online hard sample mining; every task is switched on for every sample."""
    make, side = CASCADE[network]
    model = make()
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    pixels = torch.rand(samples, 3, side, side) * 2 - 1
    face = torch.arange(samples) % 2
    asked = [torch.full((samples, 4), 0.1), torch.full((samples, 10), 0.5)]
    weights = [0.5, 1.0]

    def step():
        optimiser.zero_grad()
        scores, *found = model(pixels)
        each = F.cross_entropy(scores, face, reduction="none")
        total = each.topk(round(samples * HARD_SHARE)).values.mean()
        for weight, values, target in zip(weights, found, asked):
            total = total + weight * (values - target).square().sum(1).mean()
        total.backward()
        optimiser.step()
    return step


def facenet_step(samples):
    """A step of triplets with semi-hard negatives through a last layer of 128 values: every anchor with every positive."""
    model = nn.Linear(1792, 128)
    optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
    features = torch.rand(samples, 1792) * 2 - 1
    people = torch.arange(samples) // PHOTOS
    same = people[:, None] == people[None]
    anchors, positives = (same & ~torch.eye(samples, dtype=torch.bool)).nonzero(as_tuple=True)

    def step():
        optimiser.zero_grad()
        unit = F.normalize(model(features), dim=1)
        with torch.no_grad():
            distances = (2 - 2 * unit @ unit.T).clamp(min=0)
            rows, to_positive = distances[anchors], distances[anchors, positives][:, None]
            negatives = torch.where(~same[anchors] & (rows > to_positive), rows, torch.inf).min(1)
            kept = negatives.values < to_positive[:, 0] + MARGIN
        a, p, n = unit[anchors[kept]], unit[positives[kept]], unit[negatives.indices[kept]]
        squares = (a - p).square().sum(1) - (a - n).square().sum(1)
        F.relu(squares + MARGIN).mean().backward()
        optimiser.step()
    return step


def step(network, samples, threads, calls, **_):
    """The median time of a step."""
    torch.set_num_threads(threads)
    make = lambda: facenet_step(samples) if network == "facenet" else cascade_step(network, samples)
    return {"ms": median_ms(calls, held.get((network, samples), make))}


def version():
    return {"version": f"torch {torch.__version__}"}


if __name__ == "__main__":
    serve({"version": version, "step": step})
