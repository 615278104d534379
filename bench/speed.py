# SPDX-License-Identifier: Apache-2.0
"""Speed in ONNX Runtime, batch 1, one thread: the file of qcc, that of static quantization in ONNX Runtime, and the float file.

  speed.py [TASK ...] [--level N] [--prefer WHAT] [--rounds N]

All sessions live in one process and take turns, in another order every round; a turn is as many runs as take a hundredth of a second, in
processor time. Ratios are medians over rounds of the ratios within a round. Goals: as fast as the peer's file where static quantization pays
(the first six tasks), and never slower than float; WAVER is what two sessions of one file differ by on a busy machine.
"""
import os
import random
import statistics
import sys
import time

import numpy as np

import common

WAVER = 0.03
AGAINST_PEER = ["mobilenet_v2", "squeezenet11", "resnet20", "mobilenet_v1_025", "yolox_nano", "ultraface"]
TURN = 0.01


class Racer:
    def __init__(self, path, sample):
        self.session = common.session(path)
        self.feeds = {self.session.get_inputs()[0].name: sample}
        self.seconds = []

    def turn(self, runs):
        start = time.process_time()
        for _ in range(runs):
            self.session.run(None, self.feeds)
        return (time.process_time() - start) / runs


def race(paths, sample, rounds):
    racers = [Racer(p, sample) for p in paths]
    slowest = max(min(r.turn(1) for _ in range(4)) for r in racers)
    runs = max(1, int(TURN / slowest))
    order, shuffle = list(racers), random.Random(1)
    for _ in range(rounds):
        shuffle.shuffle(order)
        for r in order:
            r.seconds.append(r.turn(runs))
    return racers


def ratio(slow, fast):
    return statistics.median(a / b for a, b in zip(slow.seconds, fast.seconds))


def main():
    p = common.parser(__doc__)
    p.add_argument("tasks", nargs="*", default=list(common.JUDGED))
    p.add_argument("--level", type=int, default=2)
    p.add_argument("--prefer", default="speed", choices=["speed", "size", "accuracy"])
    p.add_argument("--rounds", type=int, default=40)
    args = p.parse_args()
    slow = []
    with common.Bench(args) as bench:
        print(f"{'task':<18} {'float ms':>8} {'float/qcc':>9} {'float/peer':>10} {'peer/qcc':>9} {'size':>6}")
        for task in args.tasks:
            paths = [bench.model(task), bench.file("qcc.onnx"), bench.file("peer.onnx")]
            common.run(bench.compile(task, args.level, paths[1], "--prefer", args.prefer))
            common.run(bench.peer(task, paths[2]))
            sample = np.ascontiguousarray(np.load(bench.calib(task), mmap_mode="r")[:1])
            plain, ours, peer = race(paths, sample, args.rounds)
            size = os.path.getsize(paths[1]) / os.path.getsize(paths[0])
            missed = ratio(plain, ours) < 1 - WAVER or (task in AGAINST_PEER and ratio(peer, ours) < 1 - WAVER)
            slow += [task] if missed else []
            print(f"{task:<18} {1e3 * statistics.median(plain.seconds):8.3f} {ratio(plain, ours):9.2f} {ratio(plain, peer):10.2f} "
                  f"{ratio(peer, ours):9.2f} {size:6.2f}", flush=True)
    print(f"goals: {'MISSED by ' + ' '.join(slow) if slow else 'met'}")
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
