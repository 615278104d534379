#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Builds for AArch64 and runs tests under QEMU on a processor of each kind: without products of bytes, with those of one sign, with all. Unit
# tests must pass there, and inner loops and a whole network must have the bits that this machine gives them.
#   tests/tools/arm64.sh [TEST...]    unit tests by name; default: those of the inner loops
# Debian: apt-get install gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user. The libraries are fetched into build/arm64-root, without root
# and without a change to the machine. Exit code 77: something is missing.
set -eu
cd "$(dirname "$0")/../.."
packages="libprotobuf-c-dev libyaml-dev libopenblas-pthread-dev libjpeg-dev libpng-dev zlib1g-dev libjansson-dev libcmocka-dev"
root=$PWD/build/arm64-root

for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-g++ qemu-aarch64 apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done

# shellcheck disable=SC2086
[ -d "$root" ] || sh tests/tools/debs.sh "$root" arm64 - $packages || { echo "skipped: no packages for arm64"; exit 77; }

[ $# -gt 0 ] || set -- codes ref grid grid_codes
targets= names=
for name in "$@"; do targets="$targets test_$name" names="$names${names:+|}$name"; done
cmake --preset arm64 >/dev/null
cmake --preset release -DQCC_TESTS=ON >/dev/null
# shellcheck disable=SC2086
cmake --build --preset arm64 --target qcc loops $targets
cmake --build --preset release --target qcc loops dump_samples

to=$PWD/build/arm64-digests
sh tests/tools/digests.sh make build/release "$to"
sh tests/tools/digests.sh tell "$to" build/release/tests/tools/loops build/release/frontends/cli/qcc >"$to/here.txt"
for cpu in cortex-a57 neoverse-n1 max; do
  echo "-- $cpu"
  sh tests/tools/digests.sh tell "$to" build/arm64/tests/tools/loops build/arm64/frontends/cli/qcc qemu-aarch64 -cpu $cpu -L "$root" \
    -E "LD_LIBRARY_PATH=$root/usr/lib/aarch64-linux-gnu/openblas-pthread" >"$to/$cpu.txt"
  cat "$to/here.txt" "$to/$cpu.txt" | sh tests/tools/agree.sh 150
  QEMU_CPU=$cpu ctest --preset arm64 -R "^unit\.($names)\$"
done
