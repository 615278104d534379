#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The inner loops of this processor against those for AArch64 under QEMU, bit by bit: floats of the sets with fused multiply-add, codes of all.
#   tests/tools/loops.sh LOOPS      the program built for this processor
# Debian: apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user. Exit code 77: something is missing.
set -eu
cd "$(dirname "$0")/../.."
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
  command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
to=$(mktemp -d)
trap 'rm -rf "$to"' EXIT

compile() { # SOURCE FLAGS...
  from=$1
  shift
  aarch64-linux-gnu-gcc -std=c11 -O3 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno -fno-trapping-math -I. "$@" -c "$from" -o "$to/$(basename "$from").o"
}
simd=backends/ref/simd
for file in tests/tools/loops.c $simd/isa.c $simd/isimd.c $simd/isimd_base.c $simd/simd_base.c; do compile "$file"; done
compile $simd/isimd_dotprod.c -march=armv8.2-a+dotprod
compile $simd/isimd_i8mm.c -march=armv8.2-a+dotprod+i8mm
aarch64-linux-gnu-gcc -static "$to"/*.o -lm -o "$to/loops"

"$1" >"$to/lines"
for cpu in cortex-a57 neoverse-n1 max; do
  qemu-aarch64 -cpu $cpu "$to/loops" >"$to/$cpu"
  cat "$to/$cpu" >>"$to/lines"
done
for pair in cortex-a57:neon neoverse-n1:dotprod max:i8mm; do # what a processor can do is used
  grep -q "^codes pair0 ${pair#*:} " "$to/${pair%:*}" || { echo "FAIL: ${pair%:*} does not run ${pair#*:}"; exit 1; }
done
sh tests/tools/agree.sh 40 <"$to/lines"
