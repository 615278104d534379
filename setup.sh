#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The two commands of README.md, for Debian 12 and its relatives:
#   ./setup.sh demo   install what is needed, build, quantize the demo and print what it did
#   ./setup.sh test   install what is needed, build with sanitizers, run every test
set -eu
cd "$(dirname "$0")"

packages="build-essential cmake ninja-build pkg-config libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libyaml-dev
libopenblas-pthread-dev libjpeg-dev libpng-dev zlib1g-dev libjansson-dev"
test_packages="libcmocka-dev libonnx-dev clang clang-format python3 python3-venv"
python_packages="numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 opencv-python-headless==5.0.0.93 pillow==13.0.0"

install_packages() {
  missing=""
  for name in "$@"; do
    dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
  done
  [ -n "$missing" ] || return 0
  as_root=""
  [ "$(id -u)" = 0 ] || as_root="sudo"
  $as_root apt-get update
  # shellcheck disable=SC2086
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

# Judges that are not ours. Without a network the tests that need them are reported as skipped.
make_venv() {
  [ -x build/venv/bin/python ] || python3 -m venv build/venv
  # shellcheck disable=SC2086
  build/venv/bin/python -m pip install --quiet --disable-pip-version-check $python_packages ||
    echo "setup: no Python packages; the tests that need them will be skipped" >&2
}

case "${1:-}" in
  demo)
    # shellcheck disable=SC2086
    install_packages $packages
    cmake --preset release -DQCC_TESTS=OFF
    cmake --build --preset release
    exec bench/demo/run build/release/frontends/cli/qcc
    ;;
  test)
    # shellcheck disable=SC2086
    install_packages $packages $test_packages
    make_venv
    cmake --preset dev
    cmake --build --preset dev
    exec ctest --preset dev -j "$(nproc)"
    ;;
  *)
    echo "usage: ./setup.sh demo|test" >&2
    exit 2
    ;;
esac
