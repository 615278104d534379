# SPDX-License-Identifier: Apache-2.0
"""Multiply-adds per cycle of the products' innermost loops on processors that are not here, as llvm-mca expects them.

  cycles.py [PROCESSOR ...] [--objects FOLDER] [--mca PROGRAM]

Of every table the loop over six rows is taken from the object file. Figures are those of the arithmetic alone, with all data at hand, and as
good as the tables of that version of LLVM, which differ between versions: an order of magnitude, no measurement.
"""
import argparse
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OBJECTS = os.path.join(ROOT, "build", "release", "backends", "ref", "CMakeFiles", "qcc_ref.dir", "simd")
ROUNDS = 1000
# object, function, instruction that multiplies, its multiply-adds; floats come before the codes that are compared with them
LOOPS = [
    ("simd_avx512", "tile", "vfmadd", 16),
    ("isimd_avx512", "tile_pair", "vpmaddwd", 32),
    ("isimd_vnni", "tile_dot", "vpdpbusd", 64),
    ("simd_avx2", "tile", "vfmadd", 8),
    ("isimd_avx2", "tile_pair", "vpmaddwd", 16),
    ("isimd_avxvnni", "tile_dot", "vpdpbusd", 32),
]


def instructions(path, function):
    """(address, text) of a function."""
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], check=True, capture_output=True, text=True).stdout
    body = re.search(rf"^\w+ <{function}>:\n(.*?)(?:\n\n|\Z)", text, re.M | re.S)
    lines = re.findall(r"^\s+(\w+):\s+(\S.*)$", body.group(1), re.M) if body else []
    return [(int(at, 16), re.sub(r"\s*(#.*|<.*>)", "", code).strip()) for at, code in lines]


def innermost(code):
    """Bodies between a jump and where it goes back to, without other jumps."""
    place = {at: i for i, (at, _) in enumerate(code)}
    for i, (at, text) in enumerate(code):
        jump = re.match(r"j\w+\s+(\w+)$", text)
        to = int(jump.group(1), 16) if jump else at + 1
        body = [t for _, t in code[place[to]:i]] if to <= at and to in place else []
        if body and not any(t.startswith("j") for t in body):
            yield body


def cycles(mca, processor, body):
    """Of one round; None: not an instruction of that processor."""
    done = subprocess.run([mca, f"-mcpu={processor}", f"-iterations={ROUNDS}"], input="\n".join(["again:", *body, "jne again", ""]),
                          capture_output=True, text=True, check=False)
    found = re.search(r"^Total Cycles:\s+(\d+)", done.stdout, re.M)
    return int(found.group(1)) / ROUNDS if done.returncode == 0 and found else None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("processors", nargs="*", default=["icelake-server", "sapphirerapids", "znver3"], metavar="PROCESSOR", help="as LLVM names them")
    p.add_argument("--objects", default=OBJECTS, help="folder with the object files of backends/ref/simd")
    p.add_argument("--mca", default="llvm-mca", help="llvm-mca of another version")
    args = p.parse_args()
    for processor in args.processors:
        floats = None
        for name, function, word, products in LOOPS:
            path = os.path.join(args.objects, name + ".c.o")
            if not os.path.exists(path):
                sys.exit(f"no {path}; cmake --build --preset release builds it")
            body = max(innermost(instructions(path, function)), key=lambda b: sum(word in t for t in b), default=[])
            count = sum(word in t for t in body)
            time = cycles(args.mca, processor, body) if count else None
            rate = count * products / time if time else None
            floats = rate if word == "vfmadd" else floats
            print(f"{processor:<16} {name:<14} " + ("not there" if not rate else f"{rate:6.1f} multiply-adds a cycle" + (
                f", {rate / floats:4.2f} of floats" if word != "vfmadd" and floats else "")), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
