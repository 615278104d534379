#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_ort.py QCC [-k WORD] [MODEL...]: `qcc check` against the model that ONNX Runtime saves after its own optimization.

Without models: the one-operator models of ort_models.py. Operators that run must be the same in number: all of them at the level "extended";
at the level "all", where layouts change as well, those that compute on codes or convert. The prediction is asked for the version that is
installed. Models that this version refuses, because their opset is newer, are counted and passed over. Exits 77 without the packages."""
import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile

try:
    import onnx
    import onnxruntime as ort

    import ort_models
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

LEVELS = {"extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED, "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL}


def integer(op):
    return op.startswith(("QLinear", "QGemm", "MatMulInteger", "MatMulNBits", "Dynamic", "ConvInteger", "QAttention", "Quantize", "Dequantize"))


SAME = {"FusedConv": "Conv", "NhwcFusedConv": "Conv", "FusedGemm": "Gemm", "FusedMatMul": "MatMul", "TransposeMatMul": "MatMul"}


def heavy(op):
    return integer(op) or op in ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN")


def computes(op):
    return heavy(op) and not op.startswith(("Quantize", "Dequantize"))


# In whole networks a change of layout moves Transposes, and pairs with them.
WHOLE = {"extended": heavy, "all": computes}


def count(graph, found):
    for node in graph.node:
        found[node.op_type] += 1
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                count(attribute.g, found)


def actual(path, level, folder, signed=False):
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = LEVELS[level]
    if signed:
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    options.optimized_model_filepath = os.path.join(folder, "optimized.onnx")
    ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    found = collections.Counter()
    count(onnx.load(options.optimized_model_filepath, load_external_data=False).graph, found)
    return found


def predicted(qcc, path, signed=False):
    target = ["--target", "ort-arm"] if signed else []
    version = ".".join(ort.__version__.split(".")[:2])
    done = subprocess.run([qcc, "check", path, "--json", "--ort-version", version, *target], capture_output=True, text=True, check=False)
    if done.returncode == 2:  # newer than what is known: it must be as the newest known one
        done = subprocess.run([qcc, "check", path, "--json", *target], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    found = collections.Counter()
    for total in json.loads(done.stdout)["totals"]:
        found[total["kernel"]] += total["count"]
    return found


def joined(found):
    """A float operator and its fused forms are one."""
    sums = collections.Counter()
    for op, number in found.items():
        sums[SAME.get(op, op)] += number
    return sums


def compare(qcc, path, folder, speaks=None, signed=False):
    """Differences by level: {level: {operator: (predicted, actual)}}; None: ONNX Runtime refuses the model. `speaks`: of which operators;
    `signed`: as on ARM, where signed data is allowed."""
    want = predicted(qcc, path, signed)
    differences = {}
    for level in LEVELS:
        try:
            got = actual(path, level, folder, signed)
        except Exception as refused:  # the package has no common base of its errors
            print(f"refused: {str(refused)[:160]}")
            return None
        chosen = speaks[level] if speaks else (lambda op: True) if level == "extended" else integer
        left, right = (joined(want), joined(got)) if speaks else (want, got)
        found = {op: (left[op], right[op]) for op in sorted({*left, *right}) if chosen(op) and left[op] != right[op]}
        if found:
            differences[level] = found
    return differences


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qcc")
    parser.add_argument("models", nargs="*")
    parser.add_argument("-k", default="", help="only names with this word")
    parser.add_argument("--least", type=int, default=0, help="fail when fewer models were compared")
    args = parser.parse_args()
    equal = wrong = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        one = os.path.join(folder, "one.onnx")
        cases = ((os.path.basename(p), p) for p in args.models) if args.models else ((n, m) for n, m in ort_models.models())
        for name, model in cases:
            if args.k not in name:
                continue
            if not isinstance(model, str):
                onnx.save(model, one)
            path = model if isinstance(model, str) else one
            differences = compare(args.qcc, path, folder)
            if differences == {} and any(word in name for word in ("s8", "Relu", "other type")):
                differences = compare(args.qcc, path, folder, signed=True)
            refused += differences is None
            equal += differences == {}
            wrong += bool(differences)
            if differences is None:
                print(f"refused by ONNX Runtime: {name}")
            elif differences:
                print(f"FAIL {name}: {differences}")
    print(f"{equal} models as predicted, {wrong} not, {refused} refused by ONNX Runtime {ort.__version__}")
    sys.exit(bool(wrong or not equal or equal < args.least))


if __name__ == "__main__":
    main()
