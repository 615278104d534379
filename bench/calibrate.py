# SPDX-License-Identifier: Apache-2.0
"""Time and memory of calibration: whole process against whole process, in turns.

  calibrate.py [TASK ...] [--rounds N]          qcc -O2 against static quantization in ONNX Runtime (peer_ort.py)
  calibrate.py [TASK ...] --samples 10 500      only qcc: its memory must not grow with the number of samples

The samples are those reserved for calibration; with --samples they are repeated in a temporary file. Medians over rounds; goals:
at most half of the peer's time and 0.4 of its peak memory in sum.
"""
import statistics
import sys

import numpy as np

import common

GOAL_TIME, GOAL_MEMORY, GOAL_GROWTH = 0.5, 0.4, 1.05


def medians(runs):
    return [statistics.median(r[k] for r in runs) for k in (0, 1)]


def against_peer(bench, tasks, rounds):
    print(f"{'task':<18} {'qcc s':>8} {'peer s':>8} {'ratio':>6} {'qcc MB':>8} {'peer MB':>8} {'ratio':>6}")
    total = np.zeros(4)
    for task in tasks:
        commands = [bench.compile(task, 2, bench.file("qcc.onnx")), bench.peer(task, bench.file("peer.onnx"))]
        runs = [[], []]
        for _ in range(rounds):
            for command, to in zip(commands, runs):
                to.append(common.measured(command))
        (seconds, memory), (peer_seconds, peer_memory) = map(medians, runs)
        total += [seconds, peer_seconds, memory, peer_memory]
        print(row(task, seconds, peer_seconds, memory, peer_memory), flush=True)
    print(row("sum", *total))
    met = total[0] <= GOAL_TIME * total[1] and total[2] <= GOAL_MEMORY * total[3]
    print(f"goal (time {GOAL_TIME}, memory {GOAL_MEMORY}): {'met' if met else 'MISSED'}")
    return 0 if met else 1


def row(name, seconds, peer_seconds, memory, peer_memory):
    return (f"{name:<18} {seconds:8.2f} {peer_seconds:8.2f} {seconds / peer_seconds:6.2f} "
            f"{memory:8.1f} {peer_memory:8.1f} {memory / peer_memory:6.2f}")


def repeat(source, count, out):
    """The first `count` samples, again from the start when there are fewer; written sample by sample."""
    samples = np.load(source, mmap_mode="r")
    to = np.lib.format.open_memmap(out, "w+", samples.dtype, (count, *samples.shape[1:]))
    for i in range(count):
        to[i] = samples[i % len(samples)]
    to.flush()


def growth(bench, tasks, counts, rounds):
    print(f"{'task':<18}" + "".join(f" {str(n) + ' s':>9} {str(n) + ' MB':>9}" for n in counts) + "  growth")
    grown = []
    for task in tasks:
        row = []
        for count in counts:
            repeat(bench.calib(task), count, bench.file("repeated.npy"))
            command = [bench.qcc, "-O2", bench.model(task), "-o", bench.file("qcc.onnx"), "--calib", bench.file("repeated.npy")]
            row.append(medians([common.measured(command) for _ in range(rounds)]))
        factor = max(r[1] for r in row) / row[0][1]
        grown += [task] if factor > GOAL_GROWTH else []
        print(f"{task:<18}" + "".join(f" {s:9.2f} {m:9.1f}" for s, m in row) + f" {factor:7.2f}", flush=True)
    print(f"goal (growth {GOAL_GROWTH}): {'MISSED by ' + ' '.join(grown) if grown else 'met'}")
    return 1 if grown else 0


def main():
    p = common.parser(__doc__)
    p.add_argument("tasks", nargs="*", help="default: all with labelled data")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--samples", type=int, nargs="+", metavar="N", help="numbers of samples to compare")
    args = p.parse_args()
    tasks = args.tasks or list(common.JUDGED)
    with common.Bench(args) as bench:
        if args.samples:
            return growth(bench, tasks, args.samples, args.rounds)
        return against_peer(bench, tasks, args.rounds)


if __name__ == "__main__":
    sys.exit(main())
