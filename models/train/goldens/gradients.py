"""Makes `gradients.json` beside it: the losses, gradients and optimiser's steps of PyTorch, in double precision on one thread.

Run with the Python of `cargo xtask bench peers` (torch 2.2.2):

    python gradients.py > gradients.json

The networks are torch's own operations over weights as packs have them (convolutions OHWI, dense layers over H, W, C), so that a gradient
comes back in that layout. Weights, inputs and targets follow from seeds by the rule of `models/src/synthetic.rs`, so that only answers
are kept: of each tensor its length (`norm`), its product with values drawn from its size (`dot`), and values at even distances (`values`).

Where two values of a pool's window, or a value and PReLU's kink, lie within single precision of each other, the gradient jumps from one to
the other, torch's own too. The first `seed` is taken whose first gradients are the same to 1e-5 in both of torch's precisions.
"""

import itertools
import json
import math

import numpy as np
import torch
import torch.nn.functional as F

GAMMA = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1
SAMPLES = 12
# Largest difference between torch's two precisions, of a tensor's largest value, and how far seeds are apart.
CLEAR, SEEDS = 1e-5, 100_000
# The learning rate falls to this part of itself, by half a cosine.
LAST_RATE = 0.01


def drawn(seed, count):
    """`synthetic::input` of a seed: f32 in [-1, 1)."""
    values = np.empty(count, np.float32)
    for i in range(count):
        z = (seed + (i + 1) * GAMMA) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
        values[i] = (z >> 40) / (1 << 23) - 1.0
    return values


def weights(shapes, dtype=torch.float64):
    """`synthetic::weights`: name and shape of each tensor, in the graph's order."""
    parameters = {}
    for seed, (name, shape) in enumerate(shapes):
        inputs = np.float32(math.prod(shape) // shape[0])
        bound = min(np.sqrt(np.float32(6.0) / inputs), np.float32(0.25))
        values = (drawn(seed, math.prod(shape)) * bound).reshape(shape)
        parameters[name] = torch.tensor(values, dtype=dtype, requires_grad=True)
    return parameters


def is_clear(shapes, loss):
    """Whether single precision gives the gradients that double precision gives; `loss` is of parameters of either."""
    both = []
    for dtype in (torch.float64, torch.float32):
        parameters = weights(shapes, dtype)
        loss(parameters).backward()
        both.append([value.grad.double() for value in parameters.values()])
    return all((a - b).abs().max() <= CLEAR * a.abs().max() for a, b in zip(*both))


def inputs(seed, n, shape, parameters):
    """A batch, N, C, H, W, in the parameters' precision."""
    values = np.stack([drawn(seed + i, math.prod(shape)).reshape(shape) for i in range(n)])
    return torch.tensor(values, dtype=precision(parameters)).permute(0, 3, 1, 2)


def precision(parameters):
    return next(iter(parameters.values())).dtype


class Layers:
    """Torch's operations over named weights."""

    def __init__(self, parameters):
        self.parameters = parameters

    def activated(self, name, x):
        slope = self.parameters.get(name + ".slope")
        return x if slope is None else F.prelu(x, slope)

    def sum(self, name, x, stride=1, padding=0):
        weight, bias = self.parameters[name + ".weight"], self.parameters[name + ".bias"]
        return F.conv2d(x, weight.permute(0, 3, 1, 2), bias, stride, padding)

    def conv(self, name, x, stride=1, padding=0):
        return self.activated(name, self.sum(name, x, stride, padding))

    def dense(self, name, x):
        x = x.permute(0, 2, 3, 1).flatten(1) if x.dim() == 4 else x
        return self.activated(name, F.linear(x, self.parameters[name + ".weight"], self.parameters[name + ".bias"]))


def layer(name, weight, prelu=False):
    """The shapes of a layer's tensors."""
    names = ["bias", "slope"] if prelu else ["bias"]
    return [(name + ".weight", weight)] + [(f"{name}.{kind}", [weight[0]]) for kind in names]


PNET = (layer("pnet.conv1", [10, 3, 3, 3], True) + layer("pnet.conv2", [16, 3, 3, 10], True) + layer("pnet.conv3", [32, 3, 3, 16], True)
        + layer("pnet.conv4_1", [2, 1, 1, 32]) + layer("pnet.conv4_2", [4, 1, 1, 32]))
RNET = (layer("rnet.conv1", [28, 3, 3, 3], True) + layer("rnet.conv2", [48, 3, 3, 28], True) + layer("rnet.conv3", [64, 2, 2, 48], True)
        + layer("rnet.dense4", [128, 576], True) + layer("rnet.dense5_1", [2, 128]) + layer("rnet.dense5_2", [4, 128]))
ONET = (layer("onet.conv1", [32, 3, 3, 3], True) + layer("onet.conv2", [64, 3, 3, 32], True) + layer("onet.conv3", [64, 3, 3, 64], True)
        + layer("onet.conv4", [128, 2, 2, 64], True) + layer("onet.dense5", [256, 1152], True) + layer("onet.dense6_1", [2, 256])
        + layer("onet.dense6_2", [4, 256]) + layer("onet.dense6_3", [10, 256]))
EVERY = (layer("a", [4, 3, 3, 3], True) + layer("c", [4, 1, 1, 4]) + layer("d", [5, 3, 3, 4], True) + layer("h", [3, 2, 2, 5])
         + layer("k", [6, 16], True))
HEAD = layer("last_linear", [128, 1792])


def pnet(g, x):
    x = F.max_pool2d(g.conv("pnet.conv1", x), 2, 2, ceil_mode=True)
    x = g.conv("pnet.conv3", g.conv("pnet.conv2", x))
    return g.conv("pnet.conv4_1", x).flatten(1), g.conv("pnet.conv4_2", x).flatten(1), None


def rnet(g, x):
    x = F.max_pool2d(g.conv("rnet.conv1", x), 3, 2, ceil_mode=True)
    x = F.max_pool2d(g.conv("rnet.conv2", x), 3, 2, ceil_mode=True)
    x = g.dense("rnet.dense4", g.conv("rnet.conv3", x))
    return g.dense("rnet.dense5_1", x), g.dense("rnet.dense5_2", x), None


def onet(g, x):
    x = F.max_pool2d(g.conv("onet.conv1", x), 3, 2, ceil_mode=True)
    x = F.max_pool2d(g.conv("onet.conv2", x), 3, 2, ceil_mode=True)
    x = F.max_pool2d(g.conv("onet.conv3", x), 2, 2, ceil_mode=True)
    x = g.dense("onet.dense5", g.conv("onet.conv4", x))
    return g.dense("onet.dense6_1", x), g.dense("onet.dense6_2", x), g.dense("onet.dense6_3", x)


def every_layer(g, x):
    """The graph `every_operation` of `src/trainable.rs`, and the sum of its outputs' cubes."""
    x = F.local_response_norm(g.conv("a", x, padding=1), 4, alpha=0.5, beta=0.75, k=1.0)
    y = 0.3 * g.sum("c", x) + x
    down, skip = g.conv("d", y, stride=2), F.avg_pool2d(x, 2, 2)
    x = F.pad(down, (0, skip.shape[3] - down.shape[3], 0, skip.shape[2] - down.shape[2]))
    x = x + F.pad(skip, (0, 0, 0, 0, 0, down.shape[1] - skip.shape[1]))
    cat = torch.cat([F.max_pool2d(x, 2, 1), g.conv("h", x)], 1)
    n, c, h, w = cat.shape
    flat = g.dense("k", cat.reshape(n, c // 2, 2, h, w).amax(2))
    prob, unit = F.softmax(flat, 1), F.normalize(cat.mean((2, 3)), dim=1)
    return (prob ** 3).sum() + (unit ** 3).sum()


def batch(step, n, dtype):
    """Sample i is a negative, a positive, a part face or a face for its landmarks, in turns."""
    kind = np.arange(n) % 4
    on = lambda kinds: torch.tensor(np.isin(kind, kinds))
    target = lambda seed, values, scale: torch.tensor((drawn(seed, n * values) * np.float32(scale)).reshape(n, values), dtype=dtype)
    return {
        "face": torch.tensor((kind == 1).astype(np.int64)), "face_on": on([0, 1]),
        "reg": target(7000 + step, 4, 0.3), "reg_on": on([1, 2]),
        "landmarks": target(8000 + step, 10, 0.5), "landmarks_on": on([3]),
    }


def losses(outputs, asked, alpha, share):
    """Eq. 1 to 4, each a mean over what is switched on; of the class losses over the largest."""
    scores, reg, landmarks = outputs
    each = F.cross_entropy(scores, asked["face"], reduction="none")[asked["face_on"]]
    found = {"class": each.topk(math.floor(len(each) * share + 0.5)).values.mean()}
    squares = lambda found, name: F.mse_loss(found[asked[name + "_on"]], asked[name][asked[name + "_on"]], reduction="none").sum(1).mean()
    found["bbox"] = squares(reg, "reg")
    if landmarks is not None:
        found["landmarks"] = squares(landmarks, "landmarks")
    found["total"] = sum(alpha[name] * loss for name, loss in found.items())
    return found


def number(value):
    return float(f"{float(value):.8e}")


def told(tensor):
    """What is kept of a tensor."""
    flat = tensor.detach().flatten()
    probe = torch.tensor(drawn(len(flat), len(flat)), dtype=torch.float64)
    count = min(SAMPLES, len(flat))
    places = [i * (len(flat) - 1) // max(count - 1, 1) for i in range(count)]
    return {"norm": number(flat.norm()), "dot": number(flat @ probe), "values": [number(flat[i]) for i in places]}


def descended(shapes, descent, loss_of_step):
    """AdamW with a rate that falls, a decay of weights alone, and a moving average: what each step said, the first one's gradients, how
    far the parameters and their average came."""
    seed = next(seed for seed in itertools.count(0, SEEDS) if is_clear(shapes, lambda parameters: loss_of_step(parameters, 0, seed)[0]))
    parameters = weights(shapes)
    start = {name: value.detach().clone() for name, value in parameters.items()}
    average = {name: value.clone() for name, value in start.items()}
    groups = [
        {"params": [value for name, value in parameters.items() if name.endswith(".weight")], "weight_decay": descent["weight_decay"]},
        {"params": [value for name, value in parameters.items() if not name.endswith(".weight")], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=descent["learning_rate"], betas=(0.9, 0.999), eps=1e-8)
    falling = lambda step: LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * step / descent["steps"])) / 2
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, falling)
    said, gradients = [], {}
    for step in range(descent["steps"]):
        optimiser.zero_grad()
        total, words = loss_of_step(parameters, step, seed)
        total.backward()
        said.append(words)
        if step == 0:
            gradients = {name: told(value.grad) for name, value in parameters.items()}
        optimiser.step()
        schedule.step()
        stays = min(descent["average"], (2 + step) / (11 + step))
        for name, value in parameters.items():
            average[name].lerp_(value.detach(), 1 - stays)
    moved = lambda now: {name: told(now[name] - start[name]) for name in parameters}
    return {"seed": seed, "parameters": shapes, "descent": descent, "steps": said, "gradients": gradients,
            "moved": moved(parameters), "average_moved": moved(average)}


def cascade(network, shapes, side, n, steps):
    alpha, share = {"class": 1.0, "bbox": 0.5, "landmarks": 1.0}, 0.7

    def step(parameters, step, seed):
        outputs = network(Layers(parameters), inputs(seed + 1000 * step, n, (side, side, 3), parameters))
        found = losses(outputs, batch(step, n, precision(parameters)), alpha, share)
        return found["total"], {name: number(loss) for name, loss in found.items()}
    descent = {"learning_rate": 1e-3, "weight_decay": 0.01, "average": 0.9, "steps": steps}
    return {"samples": n, "tasks": alpha, "hard_share": share, **descended(shapes, descent, step)}


def selected(distances, people, negatives, margin):
    """Triplets that have a loss: every anchor with every positive, and of the others the nearest further than the positive, or of all."""
    found = []
    for anchor in range(len(people)):
        for positive in range(len(people)):
            if anchor == positive or people[anchor] != people[positive]:
                continue
            row = distances[anchor]
            fits = torch.tensor([person != people[anchor] for person in people])
            if negatives == "semi-hard":
                fits &= row > row[positive]
            if not fits.any():
                continue
            negative = int(torch.where(fits, row, torch.inf).argmin())
            if row[negative] < row[positive] + margin:
                found.append([anchor, positive, negative])
    return found


def triplets(negatives, margin, steps):
    """FaceNet's last layer: three photos of each of four people."""
    people = [i // 3 for i in range(12)]

    def step(parameters, step, seed):
        features = inputs(seed + 1000 * step, len(people), (1, 1, 1792), parameters).flatten(1)
        unit = F.normalize(Layers(parameters).dense("last_linear", features), dim=1)
        apart = (unit.detach()[:, None] - unit.detach()[None]).square().sum(2)
        chosen = selected(apart, people, negatives, margin)
        a, p, n = (unit[[triplet[i] for triplet in chosen]] for i in range(3))
        squared = lambda x, y: (x - y).square().sum(1)
        loss = F.triplet_margin_with_distance_loss(a, p, n, distance_function=squared, margin=margin)
        return loss, {"loss": number(loss), "triplets": chosen}
    descent = {"learning_rate": 2e-4, "weight_decay": 0.0, "average": 0.0, "steps": steps}
    return {"people": people, "negatives": negatives, "margin": margin, **descended(HEAD, descent, step)}


def layers():
    of = lambda parameters: every_layer(Layers(parameters), inputs(0, 3, (7, 6, 3), parameters))
    assert is_clear(EVERY, of)
    parameters = weights(EVERY)
    total = of(parameters)
    total.backward()
    gradients = {name: told(value.grad) for name, value in parameters.items()}
    return {"samples": 3, "parameters": EVERY, "loss": number(total), "gradients": gradients}


if __name__ == "__main__":
    torch.set_num_threads(1)
    golden = {
        "made_by": f"torch {torch.__version__}, double precision",
        "layers": layers(),
        "pnet": cascade(pnet, PNET, 12, 14, 5),
        "rnet": cascade(rnet, RNET, 24, 10, 4),
        "onet": cascade(onet, ONET, 48, 8, 3),
        "semi_hard": triplets("semi-hard", 0.4, 3),
        "hardest": triplets("hardest", 0.4, 1),
    }
    # A tensor a line.
    text = json.dumps(golden, separators=(", ", ": "))
    print(text.replace('}, "', '},\n"').replace('], ["', '],\n["'))
