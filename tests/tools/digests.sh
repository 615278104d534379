#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Digests of what a processor computes, for agree.sh: those of the inner loops, and those of the demo network, float and quantized, in every
# arithmetic. Needs a shell, awk and md5sum.
#   tests/tools/digests.sh make BUILD FOLDER                      writes the models and samples, with the programs of BUILD
#   tests/tools/digests.sh tell FOLDER LOOPS QCC [RUNNER...]      RUNNER: what starts programs for another processor
set -eu

make() { # BUILD FOLDER
  demo=$(dirname "$0")/../../bench/demo
  mkdir -p "$2"
  cp "$demo/shapes.onnx" "$2/float.onnx"
  "$1/frontends/cli/qcc" -q -O2 "$demo/shapes.onnx" -o "$2/int8.onnx" --calib "$demo/calib.npy" --target ort-cpu --prefer size
  "$1/tests/tools/dump_samples" "$2" - 'f32[1,3,32,32]' "$demo/calib.npy" >/dev/null
}

model() { # KIND NAME MODEL [OPTION]
  kind=$1 name=$2 model=$3
  shift 3
  for set in $sets; do
    for sample in 0 1 2; do
      rm -rf "$out"
      # shellcheck disable=SC2086
      $run "$qcc" run -q "$folder/$model" "$@" --isa "$set" --in "image=$folder/$sample.x.npy" --out "$out"
      echo "$kind $name$sample $set $(cat "$out"/*.npy | md5sum | cut -d ' ' -f 1)"
    done
  done
}

case "$1" in
  make) make "$2" "$3" ;;
  tell)
    folder=$2 loops=$3 qcc=$4
    shift 4
    run=$*
    to=$(mktemp -d)
    trap 'rm -rf "$to"' EXIT
    out=$to/out
    # shellcheck disable=SC2086
    $run "$loops" >"$to/loops"
    cat "$to/loops"
    sets=$(awk '$2 == "pair0" { print $3 }' "$to/loops")
    model floats model_float float.onnx
    model floats model_fake int8.onnx
    model codes model_exact int8.onnx --exact
    model codes model_saturating int8.onnx --exact=saturating
    ;;
esac
