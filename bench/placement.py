# SPDX-License-Identifier: Apache-2.0
"""What ONNX Runtime really runs: integer kernels and float leftovers in the graph that it saves after optimizing.

  placement.py [TASK | FILE.onnx ...] [-v]

A task is compiled at -O2 and by the peer, and both files are counted; a file is counted as it is. -v names the float nodes.
"""
import collections
import os
import sys

import onnx

import common

INTEGER = ["QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]
EDGES = ["QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"]
# the same operators under the names that the optimizer gives them
FLOAT = {"Conv": "Conv", "FusedConv": "Conv", "MatMul": "MatMul", "FusedMatMul": "MatMul", "Gemm": "Gemm", "FusedGemm": "Gemm",
         "ConvTranspose": "ConvTranspose", "LSTM": "recurrent", "GRU": "recurrent", "RNN": "recurrent"}
COLUMNS = INTEGER + EDGES + ["other QLinear", "Conv", "MatMul", "Gemm", "ConvTranspose", "recurrent"]


def nodes_of(graph):
    for node in graph.node:
        yield node
        for a in node.attribute:
            for sub in [a.g] if a.type == onnx.AttributeProto.GRAPH else a.graphs:
                yield from nodes_of(sub)


def count(path, optimized):
    """Counts per column and the float nodes by name."""
    common.session(path, optimized)
    counts, left = collections.Counter(), []
    for node in nodes_of(onnx.load(optimized, load_external_data=False).graph):
        op = node.op_type
        if op in INTEGER or op in EDGES:
            counts[op] += 1
        elif op.startswith("QLinear"):
            counts["other QLinear"] += 1
        elif op in FLOAT:
            counts[FLOAT[op]] += 1
            left.append(f"{op} {node.name}")
    return counts, left


def main():
    p = common.parser(__doc__)
    p.add_argument("models", nargs="*", default=["mobilenet_v2", "squeezenet11", "resnet20", "ultraface"])
    p.add_argument("-v", "--verbose", action="store_true")
    args = p.parse_args()
    with common.Bench(args) as bench:
        files = {}
        for model in args.models:
            if model.endswith(".onnx"):
                files[os.path.basename(model)] = os.path.abspath(model)
                continue
            files[model], files[model + " (peer)"] = bench.file(model + ".onnx"), bench.file(model + ".peer.onnx")
            common.run(bench.compile(model, 2, files[model]))
            common.run(bench.peer(model, files[model + " (peer)"]))
        for name, path in files.items():
            counts, left = count(path, bench.file("optimized.onnx"))
            print(f"{name:<24} " + ", ".join(f"{counts[c]} {c}" for c in COLUMNS if counts[c]), flush=True)
            if args.verbose:
                print("".join(f"    float: {n}\n" for n in left), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
