#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_ort.py RUN_MODEL MODEL|FOLDER... [-p PASSES]: the built-in runtime against ONNX Runtime on random inputs.

Prints per model the largest difference over the range of the output; exits 1 when one exceeds 1e-4 and nothing is quantized, 77 without models."""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
         "tensor(bool)": np.bool_, "tensor(double)": np.float64}


def make_input(value, rng):
    shape = [d if isinstance(d, int) and d > 0 else guess(value, i) for i, d in enumerate(value.shape)]
    kind = TYPES[value.type]
    if kind is np.int64 or kind is np.int32:
        return np.full(shape, 16000 if not shape else 1, kind)
    return rng.standard_normal(shape).astype(kind) if kind in (np.float32, np.float64) else rng.integers(0, 255, shape).astype(kind)


def guess(value, axis):
    if len(value.shape) == 4 and axis >= 2:
        return 224
    return {"silero": 512}.get(value.name, 512 if value.name == "input" and axis == 1 else 1)


def compare(tool, path, passes):
    model = onnx.load(path)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options)
    rng = np.random.default_rng(5)
    feeds = {i.name: make_input(i, rng) for i in session.get_inputs()}
    want = session.run(None, feeds)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for i, (name, x) in enumerate(feeds.items()):
            files.append(os.path.join(folder, f"in{i}.pb"))
            with open(files[-1], "wb") as f:
                f.write(numpy_helper.from_array(x, name).SerializeToString())
        command = [tool, path, "-o", folder] + (["-p", passes] if passes else []) + files
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{os.path.basename(path)}: exit {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
            return False
        worst = 0.0
        for i, y in enumerate(want):
            got = np.load(os.path.join(folder, f"{i}.npy"))
            if got.shape != y.shape:
                print(f"{os.path.basename(path)}: output {i} has shape {got.shape}, not {y.shape}")
                return False
            span = float(y.max() - y.min()) if y.size else 0.0
            diff = float(np.abs(got.astype(np.float64) - y.astype(np.float64)).max()) if y.size else 0.0
            worst = max(worst, diff / (span or max(1e-30, float(np.abs(y).max()))))
    quantized = any("Quant" in n.op_type for n in model.graph.node)
    ok = worst <= 1e-4 or quantized
    print(f"{os.path.basename(path)}: {worst:.2e} {'' if ok else 'TOO LARGE'}")
    return ok


def main(argv):
    passes = None
    if "-p" in argv:
        at = argv.index("-p")
        passes = argv[at + 1]
        argv = argv[:at] + argv[at + 2:]
    models = []
    for path in argv[2:]:
        models += sorted(glob.glob(os.path.join(path, "*", "*.onnx"))) if os.path.isdir(path) else [path] if os.path.exists(path) else []
    if not models:
        print("skipped: no models in", argv[2:])
        return 77
    return 0 if all([compare(argv[1], m, passes) for m in models]) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv))
