#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_openvino.py QCC MODELS [--calib FOLDER] [--least SHARE] [--target NAME] [--samples N] [NAME...]: models for OpenVINO, there and here.

Compiles the models below the folder MODELS for the target openvino, runs them on OpenVINO's CPU plugin (in f32 where it does not compute in
8 bit) and in the built-in runtime, and counts what OpenVINO says it executes in 8 bit: the share LEAST of convolutions and products must be.
Then every layer, from codes to codes, runs alone in OpenVINO on the codes that it had here. But for one code in TIES, which stood so close to a
tie that the order of float operations decides, it must give the same. In the whole network such codes grow: ResNet-20 agrees to 40 dB
and, where there is none, to 90; in MobileNet v2 one makes 31 in the next layer, and its end is nearly as far from itself as from the float
model (NEARER_DB). Samples are moved to codes of the input: pixels of whole numbers may lie on ties of their own grid
(MobileNet v2: k - 127.5), and OpenVINO multiplies by the inverse of a scale. Exits 1 when not so, 77 without models or packages."""
import collections
import os
import sys

try:
    import numpy as np
    import onnx
    import openvino
    from onnx import TensorProto, helper, numpy_helper

    import two_runtimes
    from two_runtimes import sqnr
    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = zoo.pick("resnet20", "mobilenet_v2")
NEARER_DB = {"resnet20": 6, "mobilenet_v2": 0}  # to each other than to the float model
TIES = 10000
PRODUCTS = ("Convolution", "FullyConnected", "MatMul")


def load(path, shape=None):
    core = openvino.Core()
    model = core.read_model(path)
    if shape:
        model.reshape(shape)
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def kernels(compiled):
    """How often each kind of layer ran in which kernel."""
    count = collections.Counter()
    for op in compiled.get_runtime_model().get_ops():
        info = op.get_rt_info()
        count[str(info["layerType"].value), str(info["primitiveType"].value)] += 1
    return count


class Coded:
    """A model and its pairs of QuantizeLinear and DequantizeLinear."""

    def __init__(self, path):
        self.model = onnx.load(path)
        self.constant = {t.name: numpy_helper.to_array(t) for t in self.model.graph.initializer}
        self.made = {y: n for n in self.model.graph.node for y in n.output}
        self.pairs = {n.output[0]: self.made[n.input[0]] for n in self.model.graph.node
                      if n.op_type == "DequantizeLinear" and n.input[0] in self.made and self.made[n.input[0]].op_type == "QuantizeLinear"}

    def on_codes(self, x):
        """The nearest values that the model's input has codes for."""
        entry = next(q for q in self.pairs.values() if q.input[0] == self.model.graph.input[0].name)
        scale, zero = (self.constant[i] for i in entry.input[1:3])
        info = np.iinfo(zero.dtype)
        return (np.clip(np.rint(x / scale), info.min - int(zero), info.max - int(zero)) * scale).astype(np.float32)

    def part(self, path, nodes, inputs, outputs):
        """Writes a model of some of the nodes."""
        used = {i for n in nodes for i in n.input}
        graph = helper.make_graph(nodes, "part", inputs, [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs],
                                  [t for t in self.model.graph.initializer if t.name in used])
        onnx.save(helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=self.model.ir_version), path)

    def layer(self, end):
        """Nodes that make a dequantized tensor from others, in order, and those others with the tensors that their QuantizeLinear reads."""
        wanted, inside, borders = [end], set(), {}
        while wanted:
            y = wanted.pop()
            n = self.made.get(y)
            if n is None or n.name in inside:
                continue
            inside.add(n.name)
            if y in self.pairs and y != end:
                inside.add(self.pairs[y].name)
                borders[self.pairs[y].input[0]] = y
            else:
                wanted += n.input
        return [n for n in self.model.graph.node if n.name in inside], borders


def differing_layers(args, coded, x, folder):
    """Layers that alone, on the codes that they had here, give other codes in OpenVINO; what was compared."""
    path, given = os.path.join(folder, "part.onnx"), coded.model.graph.input[0]
    coded.part(path, list(coded.model.graph.node), [given], list(coded.pairs))
    known = dict(zip(coded.pairs, two_runtimes.here(args, path, given.name, x)))
    bad, layers, ties, count = [], 0, 0, 0
    for end, quantizer in coded.pairs.items():
        nodes, borders = coded.layer(end)
        if not borders:
            continue
        coded.part(path, nodes, [helper.make_tensor_value_info(i, TensorProto.FLOAT, known[y].shape) for i, y in borders.items()], [end])
        theirs = load(path)({i: known[y] for i, y in borders.items()})[0]
        steps = np.abs(np.rint((theirs - known[end]) / coded.constant[quantizer.input[1]]))
        layers, ties, count = layers + 1, ties + np.count_nonzero(steps), count + steps.size
        if steps.max() > 1 or np.count_nonzero(steps) > 1 + steps.size / TIES:
            bad.append(f"{end}: {np.count_nonzero(steps)} of {steps.size} codes differ, by at most {steps.max():.0f}")
    return bad, f"{layers} layers alone, {ties} of {count} codes beside a tie"


def check(args, name, folder):
    source, path = os.path.join(args.models, MODELS[name]), os.path.join(folder, "out.onnx")
    reference = load(source)
    value = reference.inputs[0]
    shape = [d.get_length() if d.is_static else 1 for d in value.get_partial_shape()]
    data = two_runtimes.samples(args, name, shape)
    two_runtimes.compiled(args, source, data, path, "--target", args.target)
    small = load(path)
    layers = kernels(small)
    products = sum(n for (kind, _), n in layers.items() if kind in PRODUCTS)
    in_8_bit = sum(n for (kind, kernel), n in layers.items() if kind in PRODUCTS and kernel.endswith(("_I8", "_U8", "_i8", "_u8")))
    coded = Coded(path)
    inputs = [coded.on_codes(np.ascontiguousarray(x.reshape(shape))) for x in data[:4]]
    quality, agreement, theirs_db = [], [], []
    for x in inputs:
        ours, theirs, wanted = two_runtimes.here(args, path, value.get_any_name(), x)[0], small(x)[0], reference(x)[0]
        quality.append(sqnr(wanted, ours))
        theirs_db.append(sqnr(wanted, theirs))
        agreement.append(sqnr(theirs, ours))
    quality, agreement, theirs_db = (float(np.median(x)) for x in (quality, agreement, theirs_db))
    differing, alone = differing_layers(args, coded, inputs[0], folder)
    ok = agreement >= quality + NEARER_DB[name] and not differing and in_8_bit >= args.least * products
    print(f"{name:14} {in_8_bit} of {products} convolutions and products in 8 bit, {quality:.1f} dB from float here, {theirs_db:.1f} there, "
          f"{agreement:.1f} dB between them; {alone}{'' if ok else '  WRONG'}", flush=True)
    for line in differing[:6]:
        print(f"    {line}")
    return ok


if __name__ == "__main__":
    sys.exit(two_runtimes.main(MODELS, check, least=1.0, target="openvino"))
