# SPDX-License-Identifier: Apache-2.0
"""Does a file mean the same on every x86 processor? Accuracy of the same file with exact sums and with sums that saturate.

  saturation.py [TASK ...]        default: all classifiers; rewrites saturation.csv, or its rows of these tasks

Before VNNI, x86 adds pairs of u8*s8 products in 16 bits, where they can saturate. Each network is compiled at -O2 for ort-cpu-avx2, whose
weights heed that, as usual and with 8 bit everywhere (--prefer size), and for ort-cpu, which uses all of 8 bits; the last file is the peer's.
Each is judged on the samples that calibration did not see: on the built-in runtime with exact and with saturating sums, and in ONNX Runtime,
which saturates or not as this processor does. Top-1 in percent; `alike`: samples with the same top-1 under both kinds of sums. Exits 1 when
a file for ort-cpu-avx2 differs by more than GOAL points between them.
"""
import csv
import importlib.util
import os
import sys

import numpy as np

import common

COLUMNS = ["task", "file", "samples", "float", "exact", "saturating", "loss", "alike", "ort"]
CLASSIFIERS = ["mobilenet_v2", "mobilenet_v1_025", "squeezenet11", "resnet20", "vww", "ds_cnn_s", "kwt1", "gru_l", "basic_lstm_m", "crnn_m"]
FILES = {"ort-cpu-avx2": [], "everywhere": ["--target", "ort-cpu-avx2", "--prefer", "size"], "ort-cpu": ["--target", "ort-cpu"], "peer": None}
MEANT_FOR_ALL = ("ort-cpu-avx2", "everywhere")
GOAL = 0.2


def judge_of(shared):
    spec = importlib.util.spec_from_file_location("judge", os.path.join(shared, "tools", "judge.py"))
    judge = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(judge)
    return judge


def export(bench, judge, task):
    """Files with the samples for judging, as the model takes them, and with the indices of their classes."""
    shape, first_class = common.session(bench.model(task)).get_inputs()[0].shape, judge.TASKS[task][4]
    samples, labels = bench.file(f"{task}.eval.npy"), bench.file(f"{task}.labels.npy")
    rows, classes = [], []
    for _, label, x in judge.samples(task, os.path.join(bench.shared, "zoo", "data"), "eval"):
        rows.append(judge.fit(x, shape))
        classes.append(label + first_class)
    np.save(samples, np.stack(rows))
    np.save(labels, np.array(classes, np.int64))
    return samples, labels


def compiled(bench, task, kind):
    out = bench.file(f"{task}.{kind}.onnx")
    options = FILES[kind]
    common.run(bench.peer(task, out) if options is None else bench.compile(task, 2, out, *options))
    return out


def evaluated(bench, samples, labels, *models):
    """Accuracy and agreement with the first model, in percent, of each."""
    text = common.run([os.path.join(os.path.dirname(bench.qcc), "..", "..", "bench", "evaluate"), samples, labels, *models])
    return [(float(line.split()[1]), float(line.split()[3])) for line in text.splitlines()[1:]]


def in_ort(path, samples, labels):
    session = common.session(path)
    name = session.get_inputs()[0].name
    top = [int(session.run(None, {name: x[None]})[0].argmax()) for x in np.load(samples, mmap_mode="r")]
    return 100 * float(np.mean(np.array(top) == np.load(labels)))


def measure(bench, task, kinds, samples, labels):
    for kind in kinds:
        path = compiled(bench, task, kind)
        (exact, _), (saturating, alike), (full, _) = evaluated(bench, samples, labels, "exact:" + path, "saturating:" + path, bench.model(task))
        yield {"task": task, "file": kind, "samples": len(np.load(labels)), "float": f"{full:.2f}", "exact": f"{exact:.2f}",
               "saturating": f"{saturating:.2f}", "loss": f"{exact - saturating:.2f}", "alike": f"{alike:.2f}", "ort": f"{in_ort(path, samples, labels):.2f}"}


def write(rows, table):
    merged = {}
    if os.path.exists(table):
        with open(table, newline="") as f:
            merged = {(r["task"], r["file"]): r for r in csv.DictReader(f)}
    merged.update({(r["task"], r["file"]): r for r in rows})
    with open(table, "w", newline="") as f:
        out = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(merged.values(), key=lambda r: (CLASSIFIERS.index(r["task"]), list(FILES).index(r["file"]))))


def main():
    p = common.parser(__doc__)
    p.add_argument("tasks", nargs="*", choices=[[], *CLASSIFIERS], metavar="TASK")
    p.add_argument("--files", nargs="+", choices=FILES, default=list(FILES))
    p.add_argument("--csv", default=os.path.join(common.HERE, "saturation.csv"))
    args = p.parse_args()
    rows = []
    with common.Bench(args) as bench:
        judge = judge_of(bench.shared)
        print(" ".join(f"{c:>12}" for c in COLUMNS))
        for task in args.tasks or CLASSIFIERS:
            samples, labels = export(bench, judge, task)
            for row in measure(bench, task, args.files, samples, labels):
                rows.append(row)
                print(" ".join(f"{row[c]:>12}" for c in COLUMNS), flush=True)
            os.remove(samples)
            write(rows, args.csv)
    worst = {kind: max((abs(float(r["loss"])), r["task"]) for r in rows if r["file"] == kind) for kind in args.files}
    print("largest difference: " + ", ".join(f"{kind} {by:.2f} ({task})" for kind, (by, task) in worst.items()))
    met = all(worst[kind][0] <= GOAL for kind in MEANT_FOR_ALL if kind in worst)
    print(f"goal: {GOAL} for {' and '.join(MEANT_FOR_ALL)}, {'met' if met else 'missed'}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
