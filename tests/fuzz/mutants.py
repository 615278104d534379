# SPDX-License-Identifier: Apache-2.0
"""Mutants of real models through the command line: no death by a signal, an exit code of the contract, one line of error, and
nothing written unless the code says so.
usage: mutants.py QCC FUZZ_ONNX COUNT SEED FOLDER...    exit 1 on a breach, 77 when there are no models
"""
import collections
import concurrent.futures
import os
import subprocess
import sys
import tempfile

GOOD, REFUSED = {0, 1}, {3, 4, 5, 7}
SECONDS = 60


def check(program, path):
    folder = path + ".d"
    os.mkdir(folder)
    out = os.path.join(folder, "out.onnx")
    try:
        run = subprocess.run([program, "-O1", path, "-o", out], capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None, "takes too long"
    code, written = run.returncode, os.listdir(folder)
    for name in written:
        os.unlink(os.path.join(folder, name))
    os.rmdir(folder)
    errors = [line for line in run.stderr.splitlines() if "error[" in line]
    if code not in GOOD | REFUSED:
        return code, "exit code: " + run.stderr[-300:]
    if code in GOOD and written != ["out.onnx"]:
        return code, f"wrote {written}"
    if code in REFUSED and written:
        return code, f"left {written}"
    if code in REFUSED and len(errors) != 1:
        return code, f"{len(errors)} lines of error: {run.stderr[-300:]}"
    return code, None


def main():
    program, fuzz, count, seed, folders = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:]
    bad, seen = 0, collections.Counter()
    with tempfile.TemporaryDirectory() as tmp:
        made = subprocess.run([fuzz, "dump", count, seed, tmp, *folders], check=False)
        if made.returncode:
            return made.returncode
        paths = sorted(os.path.join(tmp, name) for name in os.listdir(tmp))
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            for path, (code, breach) in zip(paths, pool.map(lambda path: check(program, path), paths)):
                seen[code] += 1
                if breach:
                    bad += 1
                    print(f"{os.path.basename(path)} (seed {seed}): {code}: {breach}")
    print(f"{len(paths)} mutants:", ", ".join(f"{n} exit {code}" for code, n in sorted(seen.items(), key=str)), f"; {bad} breaches")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
