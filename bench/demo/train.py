#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the demo: draws images, trains a small network on them, writes model and data. Needs numpy, torch, onnx.

    python3 train.py [--out FOLDER] [--steps N]

The task: which of ten shapes is on a noisy 32 x 32 picture. The network: inverted bottlenecks with depthwise convolutions and ReLU6. After
training, channels between linear layers are rescaled by powers of two (and the next layer scaled back, so the float function is the same):
that is how networks in the wild are, and what naive quantization stumbles over. Same seed, same files (on the same processor).
"""
import argparse
import os

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

SIZE, SEED = 32, 20240229
SHAPES = ["disc", "ring", "square", "frame", "triangle", "cross", "bars", "checker", "diamond", "crescent"]


def mask(kind, x, y, r):
    """Coverage of a shape of radius r around the origin, on coordinate grids x and y, in [0, 1]."""
    soft = lambda d: np.clip(0.5 - d, 0, 1)
    far, box = np.hypot(x, y), np.maximum(abs(x), abs(y))
    if kind == "disc":
        return soft(far - r)
    if kind == "ring":
        return soft(abs(far - 0.75 * r) - 0.22 * r)
    if kind == "square":
        return soft(box - 0.85 * r)
    if kind == "frame":
        return soft(abs(box - 0.7 * r) - 0.2 * r)
    if kind == "triangle":
        return soft(np.maximum(y - 0.6 * r, abs(x) * 1.6 - (y + r) * 0.8))
    if kind == "cross":
        return soft(np.maximum(np.minimum(abs(x), abs(y)) - 0.28 * r, box - r))
    if kind == "bars":
        return soft(box - r) * (np.sin(x * 7.5 / r) > 0)
    if kind == "checker":
        return soft(box - r) * ((np.sin(x * 5.5 / r) > 0) ^ (np.sin(y * 5.5 / r) > 0))
    if kind == "diamond":
        return soft((abs(x) + abs(y) - 1.15 * r) * 0.7)
    return soft(far - r) * (1 - soft(np.hypot(x - 0.5 * r, y) - 0.85 * r))


def picture(rng, label):
    gy, gx = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)
    r, turn = rng.uniform(5, 12), rng.uniform(-0.45, 0.45)
    cx, cy = rng.uniform(r * 0.8, SIZE - r * 0.8, 2)
    dx, dy = gx - cx, gy - cy
    m = mask(SHAPES[label], dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn), r)[..., None]
    back, front = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    front += np.sign(front.mean() - back.mean()) * 15
    slope = (gx * rng.normal(0, 1.5) + gy * rng.normal(0, 1.5))[..., None]
    img = back + slope + m * (front - back) + rng.normal(0, rng.uniform(5, 45), (SIZE, SIZE, 3))
    return np.clip(img, 0, 255).astype(np.uint8).transpose(2, 0, 1)


def draw(seed, count):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(SHAPES), count)
    return np.stack([picture(rng, k) for k in labels]), labels.astype(np.int64)


# ---- network: a list of (kind, in, out, kernel, stride, groups, activation)
LAYERS = [("conv", 3, 16, 3, 2, 1, True)]
for c_in, c_out, stride in ((16, 16, 1), (16, 24, 2), (24, 24, 1), (24, 40, 2), (40, 40, 1)):
    wide = 4 * c_in
    LAYERS += [("conv", c_in, wide, 1, 1, 1, True), ("conv", wide, wide, 3, stride, wide, True), ("conv", wide, c_out, 1, 1, 1, False)]
LAYERS += [("conv", 40, 128, 1, 1, 1, True)]


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = torch.nn.ModuleList(torch.nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False) for _, i, o, k, s, g, _ in LAYERS)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(layer[2]) for layer in LAYERS)
        self.head = torch.nn.Linear(LAYERS[-1][2], len(SHAPES))

    def forward(self, x):
        x = x / 64
        for conv, norm, layer in zip(self.convs, self.norms, LAYERS):
            x = norm(conv(x))
            if layer[6]:
                x = torch.clamp(x, 0, 6)
        return self.head(x.mean((2, 3)))


def train(steps):
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    net = Net()
    x, y = draw(SEED, 12000)
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y)
    best = torch.optim.lr_scheduler.OneCycleLR(o := torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=1e-2), 4e-3, steps)
    order = torch.Generator().manual_seed(SEED)
    for step in range(steps):
        pick = torch.randint(0, len(x), (96,), generator=order)
        loss = torch.nn.functional.cross_entropy(net(x[pick]), y[pick])
        o.zero_grad()
        loss.backward()
        o.step()
        best.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return net.eval()


def unbalance(net):
    """Scale channels behind linear layers by 2^-2..2^2, and the next layer's inputs back."""
    rng = np.random.default_rng(SEED)
    for k, layer in enumerate(LAYERS[:-1]):
        if layer[6]:
            continue
        gain = torch.from_numpy(2.0 ** rng.integers(-2, 3, layer[2])).float()
        net.norms[k].weight.data *= gain
        net.norms[k].bias.data *= gain
        net.convs[k + 1].weight.data /= gain[None, :, None, None]


def export(net, path):
    consts, nodes, x = [], [], "scaled"

    def const(name, value):
        consts.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    nodes.append(helper.make_node("Div", ["image", const("range", 64.0)], [x], "normalize"))
    const("zero", 0.0), const("six", 6.0)
    for k, (conv, norm, (_, _, _, kernel, stride, groups, act)) in enumerate(zip(net.convs, net.norms, LAYERS)):
        w = const(f"w{k}", conv.weight.detach())
        pads = [kernel // 2] * 4
        nodes.append(helper.make_node("Conv", [x, w], [f"c{k}"], f"conv{k}", kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads, group=groups))
        stats = [const(f"{n}{k}", v.detach()) for n, v in zip(("gamma", "beta", "mean", "var"), (norm.weight, norm.bias, norm.running_mean, norm.running_var))]
        x = f"n{k}"
        nodes.append(helper.make_node("BatchNormalization", [f"c{k}"] + stats, [x], f"norm{k}", epsilon=norm.eps))
        if act:
            nodes.append(helper.make_node("Clip", [x, "zero", "six"], [f"r{k}"], f"relu6_{k}"))
            x = f"r{k}"
    nodes.append(helper.make_node("GlobalAveragePool", [x], ["pooled"], "pool"))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["features"], "flatten"))
    nodes.append(helper.make_node("Gemm", ["features", const("hw", net.head.weight.detach()), const("hb", net.head.bias.detach())], ["logits"], "head", transB=1))
    graph = helper.make_graph(nodes, "shapes", [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(SHAPES)])], consts)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8, producer_name="qcc demo")
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
    ap.add_argument("--steps", type=int, default=1500)
    a = ap.parse_args()
    net = train(a.steps)
    unbalance(net)
    x, y = draw(SEED + 1, 600)
    with torch.no_grad():
        top = net(torch.from_numpy(x).float()).argmax(1).numpy()
    print(f"accuracy on {len(y)} pictures that training did not see: {100 * np.mean(top == y):.1f} %")
    export(net, os.path.join(a.out, "shapes.onnx"))
    np.save(os.path.join(a.out, "calib.npy"), draw(SEED + 2, 64)[0])
    np.save(os.path.join(a.out, "eval.npy"), x)
    np.save(os.path.join(a.out, "labels.npy"), y)


if __name__ == "__main__":
    main()
