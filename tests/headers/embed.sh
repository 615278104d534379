#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs this build into a prefix below it, and uses it as a stranger would: by pkg-config (shared and static) and as a CMake package.
# The program in the head of qcc.h is taken out of it, compiled and run. embed.sh BUILD CC CXX [flags...]
set -eu
build=$1 cc=$2 cxx=$3
shift 3
here=$(cd "$(dirname "$0")" && pwd)
prefix=$build/embed/prefix out=$build/embed
rm -rf "$out"
mkdir -p "$out"
cmake --install "$build" --prefix "$prefix" >"$out/install.log"
headers=$(find "$prefix/include" -type f | wc -l)
[ "$headers" = 1 ] || { echo "FAIL $headers headers were installed, not 1"; exit 1; }

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name qcc.pc)")
export PKG_CONFIG_PATH
strict="-Wall -Wextra -pedantic -Werror"
sed -n '/\* example-begin/,/\* example-end/p' "$prefix/include/qcc.h" | sed '1d;$d' >"$out/example.c"
lines=$(wc -l <"$out/example.c")
[ "$lines" -gt 10 ] || { echo "FAIL no example in qcc.h"; exit 1; }

# shellcheck disable=SC2046,SC2086
{
  $cc -std=c99 $strict "$@" "$here/build_model.c" -o "$out/build_model" $(pkg-config --cflags --libs qcc) -Wl,-rpath,$(pkg-config --variable=libdir qcc)
  $cc -std=c99 $strict "$@" "$out/example.c" -o "$out/example_shared" $(pkg-config --cflags --libs qcc) -Wl,-rpath,$(pkg-config --variable=libdir qcc)
  $cc -std=c99 $strict "$@" "$out/example.c" -o "$out/example_static" $(pkg-config --cflags qcc) \
    $(pkg-config --static --libs qcc | sed 's/-lqcc/-l:libqcc.a/')
}
mkdir "$out/package"
cat >"$out/package/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(stranger CXX)
find_package(qcc 0.1 REQUIRED)
add_executable(compare $here/compare.cpp)
target_compile_features(compare PRIVATE cxx_std_17)
target_compile_options(compare PRIVATE -Wall -Wextra -pedantic -Werror $*)
target_link_options(compare PRIVATE $*)
target_link_libraries(compare PRIVATE qcc::qcc)
END
cmake -S "$out/package" -B "$out/package/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$cxx" >"$out/package.log"
cmake --build "$out/package/build" >>"$out/package.log" || { cat "$out/package.log"; exit 1; }

"$out/build_model" "$out/model.onnx" "$out/samples.npy"
"$out/example_shared" "$out/model.onnx" "$out/samples.npy" "$out/shared.onnx"
"$out/example_static" "$out/model.onnx" "$out/samples.npy" "$out/static.onnx"
cmp "$out/shared.onnx" "$out/static.onnx"
"$out/package/build/compare" "$out/model.onnx" "$out/shared.onnx"
