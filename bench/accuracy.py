# SPDX-License-Identifier: Apache-2.0
"""Accuracy of every model at every level, as a table that a diff must explain.

  accuracy.py                     run all and rewrite results.csv
  accuracy.py --check [TASK ...]  run again and compare with results.csv; exit 1 on a difference beyond the tolerance

-O1 gets no data, -O2 the samples reserved for calibration. Metric and drop are in points (top-1, or average precision), agreement
and share of multiply-adds in percent, SQNR in dB, size as float file / compiled file. Models without labels have no metric; their
SQNR is that on 8 random inputs. Tolerances absorb what differs from one processor to the next; both directions count.
"""
import csv
import json
import os
import re
import sys

import common

COLUMNS = ["task", "level", "float_metric", "metric", "drop", "agreement", "sqnr_db", "int8_macs", "size_ratio"]
TOLERANCE = {"float_metric": 0.3, "metric": 0.6, "drop": 0.6, "agreement": 1.0, "sqnr_db": 1.0, "int8_macs": 0.5, "size_ratio": 0.03}


def judged(bench, task, out):
    report = bench.file("judge.json")
    bench.judge(task, out, "--ref", bench.model(task), "--split", "eval", "--json", report)
    with open(report) as f:
        r = json.load(f)
    agreement = f"{100 * r['agree']:.2f}" if "agree" in r else ""
    return {"float_metric": f"{100 * r['float']:.2f}", "metric": f"{100 * r['metric']:.2f}", "drop": f"{100 * r['drop']:.2f}",
            "agreement": agreement, "sqnr_db": f"{r['sqnr_db']:.1f}"}


def measure(bench, task, level):
    out = bench.file(f"{task}.O{level}.onnx")
    text = common.run(bench.compile(task, level, out))
    row = {"task": task, "level": f"O{level}"}
    if task in common.JUDGED:
        row.update(judged(bench, task, out))
    else:
        feeds = common.random_feeds(bench.model(task), 8, common.SEED_EVAL)
        row["sqnr_db"] = f"{min(common.distance(bench.model(task), out, feeds), 150.0):.1f}"
    share = re.search(r"^multiply-adds +([0-9.]+) %", text, re.M)
    row["int8_macs"] = share.group(1) if share else ""
    row["size_ratio"] = f"{os.path.getsize(bench.model(task)) / os.path.getsize(out):.2f}"
    return {c: row.get(c, "") for c in COLUMNS}


def differences(old, new):
    for column, tolerance in TOLERANCE.items():
        a, b = old[column], new[column]
        if (a == "") != (b == "") or (a and abs(float(a) - float(b)) > tolerance):
            yield f"{new['task']} {new['level']}: {column} was {a or 'absent'}, is {b or 'absent'} (tolerance {tolerance})"


def check(rows, table):
    with open(table, newline="") as f:
        old = {(r["task"], r["level"]): r for r in csv.DictReader(f)}
    found = []
    for row in rows:
        before = old.get((row["task"], row["level"]))
        found += list(differences(before, row)) if before else [f"{row['task']} {row['level']}: not in {os.path.basename(table)}"]
    print("\n".join(found) if found else f"{len(rows)} rows as in {os.path.basename(table)}")
    return 1 if found else 0


def write(rows, table, partial):
    """All rows, or with `partial` those measured in place of their old ones."""
    merged = {}
    if partial and os.path.exists(table):
        with open(table, newline="") as f:
            merged = {(r["task"], r["level"]): r for r in csv.DictReader(f)}
    merged.update({(r["task"], r["level"]): r for r in rows})
    order = list(common.JUDGED) + list(common.UNLABELLED)
    with open(table, "w", newline="") as f:
        out = csv.DictWriter(f, COLUMNS, lineterminator="\n")
        out.writeheader()
        out.writerows(sorted(merged.values(), key=lambda r: (order.index(r["task"]), r["level"])))


def main():
    p = common.parser(__doc__)
    p.add_argument("tasks", nargs="*", help="default: all")
    p.add_argument("--levels", nargs="+", type=int, default=[1, 2])
    p.add_argument("--csv", default=os.path.join(common.HERE, "results.csv"))
    p.add_argument("--check", action="store_true", help="compare instead of writing")
    args = p.parse_args()
    tasks = args.tasks or list(common.JUDGED) + list(common.UNLABELLED)
    rows = []
    with common.Bench(args) as bench:
        print(" ".join(f"{c:>12}" for c in COLUMNS))
        for task in tasks:
            for level in args.levels:
                rows.append(measure(bench, task, level))
                print(" ".join(f"{rows[-1][c] or '-':>12}" for c in COLUMNS), flush=True)
                if not args.check:
                    write(rows, args.csv, partial=bool(args.tasks) or len(args.levels) < 2)
    return check(rows, args.csv) if args.check else 0


if __name__ == "__main__":
    sys.exit(main())
