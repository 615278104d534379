# SPDX-License-Identifier: Apache-2.0
"""Latency in ONNX Runtime, batch 1, one thread: the file of qcc, that of static quantization in ONNX Runtime, and the float file.

  speed.py [TASK ...] [--rounds N]

All three sessions live in one process and take turns, in another order every round; medians. Goal: the file of qcc is at least 0.95
as fast as the peer's.
"""
import itertools
import statistics
import sys
import time

import numpy as np

import common

GOAL = 0.95
ORDERS = list(itertools.permutations(range(3)))


def latencies(paths, samples, rounds):
    """Medians in milliseconds of the three files."""
    sessions = [common.session(p) for p in paths]
    names = [s.get_inputs()[0].name for s in sessions]
    times = [[], [], []]
    for r in range(rounds + 3):
        x = np.ascontiguousarray(samples[r % len(samples)][None])
        for k in ORDERS[r % len(ORDERS)]:
            start = time.perf_counter()
            sessions[k].run(None, {names[k]: x})
            if r >= 3:  # the first rounds warm up
                times[k].append(1e3 * (time.perf_counter() - start))
    return [statistics.median(t) for t in times]


def main():
    p = common.parser(__doc__)
    p.add_argument("tasks", nargs="*", default=["mobilenet_v2", "squeezenet11", "resnet20", "ultraface"])
    p.add_argument("--rounds", type=int, default=100)
    args = p.parse_args()
    slow = []
    with common.Bench(args) as bench:
        print(f"{'task':<18} {'qcc ms':>8} {'peer ms':>8} {'float ms':>8} {'peer/qcc':>9} {'float/qcc':>9}")
        for task in args.tasks:
            paths = [bench.file("qcc.onnx"), bench.file("peer.onnx"), bench.model(task)]
            common.run(bench.compile(task, 2, paths[0]))
            common.run(bench.peer(task, paths[1]))
            ours, peer, plain = latencies(paths, np.load(bench.calib(task), mmap_mode="r"), args.rounds)
            slow += [task] if peer < GOAL * ours else []
            print(f"{task:<18} {ours:8.3f} {peer:8.3f} {plain:8.3f} {peer / ours:9.2f} {plain / ours:9.2f}", flush=True)
    print(f"goal ({GOAL} of the peer's speed): {'MISSED by ' + ' '.join(slow) if slow else 'met'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
