# SPDX-License-Identifier: Apache-2.0
# What works: compiling, running, comparing, text in and out, the same bytes every time.

t_compile_O1() {
  net
  expect 0 qcc -O1 net.onnx -o out.onnx
  prints '^level +-O1$'
  prints '^weights .* -> '
  expect 0 qcc compile -q -O1 net.onnx -o again.onnx
  [ -s "$top/stdout" ] && fail "--quiet prints"
  cmp out.onnx again.onnx || fail "the word compile changes the result"
}
t_compile_O2() {
  net
  samples calib.npy 6
  expect 0 qcc --prefer size -O2 net.onnx -o out.onnx --calib calib.npy
  prints '^multiply-adds +[1-9][0-9.]* % in int8'
  prints '^output SQNR +[0-9.]+ dB'
  expect 0 qcc dump out.onnx
  prints 'QuantizeLinear'
}
t_no_data() {
  net
  expect 0 qcc -O2 net.onnx -o out.onnx
  says 'warning.*NO CALIBRATION DATA'
  prints 'SYNTHETIC'
  expect 0 qcc -q --prefer size -O2 net.onnx -o out.onnx
  says 'warning.*NO CALIBRATION DATA'
}
t_deterministic() {
  net
  samples calib.npy 6
  expect 0 qcc -q --prefer size -O2 net.onnx -o one.onnx --calib calib.npy --threads 1
  expect 0 qcc -q --prefer size -O2 net.onnx -o two.onnx --calib calib.npy --threads 2
  expect 0 qcc -q --prefer size -O2 net.onnx -o again.onnx --calib calib.npy --threads 2
  cmp one.onnx two.onnx && cmp two.onnx again.onnx || fail "not the same bytes"
  cp calib.npy elsewhere.npy
  expect 0 qcc -q --prefer size -O2 net.onnx -o moved.onnx --calib elsewhere.npy
  cmp one.onnx moved.onnx || fail "the result depends on where the samples lie"
}
t_spill() {
  cat >large.qir <<END
graph @large(%x: f32[2,1024]) -> (%y) opset 13 {
  %w = const f32[1024,600] rand(1)
  %k = const f32[600] rand(2)
  %p = MatMul(%x, %w) "product"
  %y = Mul(%p, %k) "scale"
}
END
  mkdir folder
  expect 0 qcc -q -O1 large.qir -o memory.onnx --spill off
  expect 0 qcc -q -O1 large.qir -o spilled.onnx --spill folder
  TMPDIR=$PWD/missing expect 0 qcc -v -O1 large.qir -o fallen.onnx
  says 'large constants stay in memory'
  cmp memory.onnx spilled.onnx && cmp memory.onnx fallen.onnx || fail "spilling changes the model"
  [ -z "$(ls -A folder)" ] || fail "something was left in the folder"
  expect 6 qcc -q -O1 large.qir -o out.onnx --spill missing
  says 'missing.*cannot spill'
}
t_quantized_stays() {
  net
  samples calib.npy 6
  expect 0 qcc -q --prefer size -O2 net.onnx -o once.onnx --calib calib.npy
  expect 0 qcc --prefer size -O2 once.onnx -o twice.onnx --calib calib.npy
  says 'quantized already'
  expect 0 qcc dump once.onnx
  grep -v '^  file' "$top/stdout" >once.qir
  expect 0 qcc dump twice.onnx
  grep -v '^  file' "$top/stdout" | cmp - once.qir || fail "a quantized model was changed"
}
t_formats() {
  net
  samples calib.npy 6
  expect 0 qcc -q --prefer size -O2 net.onnx -o codes.onnx --calib calib.npy --format qoperator
  expect 0 qcc dump codes.onnx
  prints 'QLinearConv'
  expect 0 qcc codes.onnx -o pairs.onnx --format qdq
  says 'quantized already; it is written in the format "qdq"'
  expect 0 qcc dump pairs.onnx
  prints ' Conv'
  grep -q QLinearConv "$top/stdout" && fail "an operator on codes is left"
  expect 0 qcc -q pairs.onnx -o again.onnx --format qoperator
  samples x.npy 1 "3, 8, 8"
  expect 0 qcc run codes.onnx --in x=x.npy --out one --exact
  expect 0 qcc run again.onnx --in x=x.npy --out two --exact
  cmp one/y.npy two/y.npy || fail "there and back is another network"
  expect 0 qcc -q --prefer size -O1 net.onnx -o integer.onnx --format integer
  expect 0 qcc dump integer.onnx
  prints 'MatMulInteger'
  expect 2 qcc net.onnx -o no.onnx --format qop
  says 'unknown format "qop"'
}
t_floats() {
  net
  samples calib.npy 6
  expect 0 qcc -q -O0 net.onnx -o half.onnx --float f16 --calib calib.npy
  expect 0 qcc info half.onnx
  prints 'input +x f32'
  prints '2 Cast'
  expect 0 qcc -q -O0 net.onnx -o all.onnx --float f16 --float-io
  expect 0 qcc info all.onnx
  prints 'input +x f16'
  prints 'output +y f16'
  grep -q Cast "$top/stdout" && fail "a Cast where everything is f16"
  expect 0 qcc diff net.onnx half.onnx --calib calib.npy
  prints '^ *[5-9][0-9]\.[0-9]+ .*\(output\)'
  expect 0 qcc -q --prefer size -O2 net.onnx -o small.onnx --calib calib.npy
  expect 0 qcc small.onnx -o mixed.onnx --float bf16
  says 'float parts are converted to bf16'
  expect 2 qcc net.onnx -o no.onnx --float f8
  says 'unknown type of floats'
}
t_blocks() {
  net
  expect 0 qcc -q -O1 net.onnx -o out.onnx --weights int4 --save-plan plan.json
  expect 0 qcc dump out.onnx
  prints 's4\['
  prints 'block_size=32'
  expect 0 qcc -q -O1 net.onnx -o again.onnx --weights int4 --plan plan.json
  cmp out.onnx again.onnx || fail "the plan does not give the same model"
  expect 0 qcc -q -O1 net.onnx -o packed.onnx --weights uint4 --block 16 --nbits-contrib
  expect 0 qcc dump packed.onnx
  prints 'com.microsoft.MatMulNBits.*block_size=16'
  prints 'opset 13'
  expect 2 qcc net.onnx -o no.onnx --weights int4 --block 24
  says 'powers of two'
  expect 2 qcc net.onnx -o no.onnx --weights float4
  says 'weights: "float4" is no type; allowed are'
}
t_float8() {
  net
  samples calib.npy 6
  expect 0 qcc -O1 net.onnx -o out.onnx --weights f8e4m3
  prints '3 with small weights'
  expect 0 qcc dump out.onnx
  prints 'opset 19'
  prints 'f8e4m3fn\[8,3,3,3\]'
  prints 'f32\[8\]'
  expect 0 qcc diff net.onnx out.onnx --calib calib.npy
  prints '^ *[23][0-9]\.[0-9]+ .*y  \(output\)$'
  expect 0 qcc -q -O1 net.onnx -o two.onnx --weights f8e5m2 --per-tensor --calib calib.npy --save-plan plan.json --save-overrides o.json
  expect 0 qcc dump two.onnx
  prints 'f8e5m2\[8,3,3,3\]'
  grep -q 'f32\[8\].*_scale' "$top/stdout" && fail "a scale for each channel"
  expect 0 qcc -q -O1 net.onnx -o again.onnx --weights f8e5m2 --per-tensor --calib calib.npy --plan plan.json
  expect 0 qcc diff two.onnx again.onnx --calib calib.npy
  prints '^ +inf .*y  \(output\)$'
  expect 2 qcc net.onnx -o no.onnx --weights f8e4m3 --reduce-range
  says 'floats: they have no 7 bits'
  expect 2 qcc net.onnx -o no.onnx --weights f8e4m3 --target tensorrt
  says 'takes no weights "f8e4m3"; it takes s8'
  expect 2 qcc net.onnx -o no.onnx --activations f8e4m3
  says 'activations: "f8e4m3" is no type'
  printf '{"w1": [{"scale": 0.0125, "zero_point": 0}]}\n' >mine.json
  expect 2 qcc -O1 net.onnx -o no.onnx --weights f8e4m3 --overrides mine.json
  says 'stored in floats, whose scales cannot be given'
}
t_types() {
  net
  samples calib.npy 6
  printf 'extends: ort-cpu\nint8: {static: {default: {activation: {dtype: [uint8, uint16]}}}}\n' >wide.yaml
  expect 0 qcc -q --prefer size -O2 net.onnx -o out.onnx --calib calib.npy --activations s8:sym --weights uint8 --per-tensor
  expect 0 qcc dump out.onnx
  prints 'zero_point = const s8\[\] \[0\]'
  prints 'zero_point = const u8\[\] \[128\]'
  prints 'qcc.options.*--per-tensor --activations s8:sym --weights uint8'
  grep -E 'zero_point = const [us]8\[[0-9]' "$top/stdout" && fail "a scale for each channel"
  expect 0 qcc -q --prefer size -O2 net.onnx -o out.onnx --calib calib.npy --activations u16 --target wide.yaml --reduce-range
  expect 0 qcc dump out.onnx
  prints 'opset 21'
  prints "zero_point = const u16"
  expect 0 qcc -q --prefer size -O2 net.onnx -o out.onnx --calib calib.npy --pow2
  expect 2 qcc --prefer size -O2 net.onnx -o no.onnx --calib calib.npy --activations u16
  says 'target "ort-cpu-avx2" takes no activations "u16"; it takes u8, s8 with'
  expect 2 qcc -O2 net.onnx -o no.onnx --activations f32
  says 'activations: "f32" is no type; allowed are u8, s8, u16, s16'
  expect 2 qcc -O2 net.onnx -o no.onnx --weights u8:asym
  says 'zero stands in the middle'
}
t_plan() {
  net
  samples calib.npy 6
  expect 0 qcc -q -O2 net.onnx -o one.onnx --calib calib.npy --save-plan plan.json
  expect 0 qcc -q -O2 net.onnx -o two.onnx --calib calib.npy --plan plan.json --save-plan again.json
  cmp plan.json again.json || fail "a plan changes when it is used"
  cmp one.onnx two.onnx || fail "the plan does not give the same model"
}
t_overrides() {
  net
  samples calib.npy 6
  printf '{"x": [{"quant_type": "QUInt8", "scale": 0.0125, "zero_point": 130}]}\n' >mine.json
  expect 0 qcc -q -O1 net.onnx -o one.onnx --calib calib.npy --overrides mine.json --save-overrides o.json --save-encodings e.json
  grep -q '"scale": 0.0125,' o.json || fail "the scale that was given is not saved"
  grep -q '"offset": -130,' e.json || fail "the zero point that was given is not among the encodings"
  expect 0 qcc dump one.onnx
  prints 'const f32\[\] .*0\.0125'
  expect 0 qcc -q -O1 net.onnx -o two.onnx --calib calib.npy --overrides o.json --save-overrides again.json
  cmp o.json again.json || fail "overrides change when they are used"
  expect 0 qcc -q -O1 net.onnx -o two.onnx --calib calib.npy --encodings e.json --save-encodings again.json
  cmp e.json again.json || fail "encodings change when they are used"
  printf '{"x": [{"scale": 0.0125}]}\n' >bad.json
  expect 2 qcc -O1 net.onnx -o new.onnx --calib calib.npy --overrides bad.json
  says 'overrides: "x"\[0\]: "scale" stands alone'
  expect 2 qcc -O1 net.onnx -o new.onnx --calib calib.npy --encodings bad.json
  says 'neither "activation_encodings" nor'
  expect 6 qcc -O1 net.onnx -o new.onnx --overrides none.json
}
t_run_and_diff() {
  net
  samples calib.npy 6
  samples x.npy 1 "3, 8, 8"
  expect 0 qcc -q --prefer size -O2 net.onnx -o out.onnx --calib calib.npy
  expect 0 qcc run net.onnx --in x=x.npy --out float
  prints '^float/y.npy$'
  expect 0 qcc run out.onnx --in x=x.npy --out small
  [ "$(wc -c <small/y.npy)" = 168 ] || fail "y.npy is not 1 x 10 floats"
  cmp -s float/y.npy small/y.npy && fail "the quantized model computes in float"
  for how in --exact --exact=saturating; do
    expect 0 qcc run out.onnx --in x=x.npy --out codes "$how"
    [ "$(wc -c <codes/y.npy)" = 168 ] || fail "$how: y.npy is not 1 x 10 floats"
    expect 0 qcc diff net.onnx out.onnx --calib calib.npy "$how"
    prints '^ *[34][0-9]\.[0-9]+ .*y  \(output\)$'
  done
  for command in "run out.onnx --in x=x.npy --out no" "diff net.onnx out.onnx --calib calib.npy" "-O2 net.onnx -o no.onnx"; do
    expect 2 qcc $command --exact=almost
    says 'it is --exact or --exact=saturating'
  done
  expect 0 qcc run net.onnx --in x=x.npy --out codes --exact
  cmp float/y.npy codes/y.npy || fail "--exact changes a model without codes"
  expect 0 qcc diff net.onnx out.onnx --calib calib.npy
  prints 'worst tensors'
  prints '\(output\)'
}
# A real network in codes: the tensors that are compared in floats are compared as codes, too, and what is tried can be judged by them.
t_exact() {
  file=${QCC_SHARED:-}/zoo/models/resnet20_cifar/resnet20.onnx
  [ -f "$file" ] || exit 77
  samples calib.npy 8 "3, 32, 32"
  for how in "" --exact --exact=saturating; do
    expect 0 qcc -v -O2 "$file" -o out.onnx --calib calib.npy --prefer size $how
    sed -n 's/^\(step.*\), [0-9.]* s$/\1/p' "$top/stdout" >"judged$how"
    expect 0 qcc diff "$file" out.onnx --calib calib.npy $how
    prints '^ *[2-9][0-9]\.[0-9]+ .*logits  \(output\)$'
    sed -n '2,/^$/p' "$top/stdout" >"rows$how"
    [ "$(wc -l <"rows$how")" -ge 30 ] || fail "$how: fewer than 30 tensors are compared"
    awk 'NF && $1 < 10 { exit 1 }' "rows$how" || fail "$how: a tensor is compared with something else"
  done
  [ "$(wc -l <rows)" = "$(wc -l <rows--exact)" ] || fail "codes of some tensors are not found"
  grep -q '^ .*Relu  *relu_3$' rows--exact || fail "codes above zero are not compared with what Relu makes"
  cmp -s rows rows--exact && fail "--exact compares floats"
  cmp -s judged judged--exact && fail "what is tried is not judged by codes"
}
# A real network whose BatchNormalizations are folded: names of the file select what became of them.
t_selectors_after_fusion() {
  file=${QCC_SHARED:-}/zoo/models/resnet20_cifar/resnet20.onnx
  [ -f "$file" ] || exit 77
  for selector in bn1 conv1 first:1 between:input..bn1 're:^bn1$'; do
    expect 0 qcc -O1 "$file" -o out.onnx --exclude "$selector"
    prints '^kept float +conv1: excluded by a selector'
    [ "$(grep -c '^kept float' "$top/stdout")" = 1 ] || fail "$selector keeps more than one float"
  done
  expect 0 qcc -O1 "$file" -o out.onnx --only between:input..layer1.0.bn1 --save-plan plan.json
  [ "$(grep -c '"mode": "weight"\|"mode": "static"\|"mode": "dynamic"' plan.json)" = 2 ] || fail "not two convolutions"
  expect 2 qcc -O1 "$file" -o new.onnx --only layer1.0.bn9
  says 'did you mean "layer1.0.bn[12]"'
}
t_lists() {
  for table in passes ops targets capability estimators levels limits tables; do
    expect 0 qcc list "$table"
    [ "$(wc -l <"$top/stdout")" -ge 1 ] || fail "table $table is empty"
  done
  expect 0 qcc list
  golden
}
# yaml/capability.md is made from the schema (QCC_BLESS=1 writes it)
t_capability_reference() {
  reference="$here/../../yaml/capability.md"
  expect 0 qcc list capability
  {
    sed -n '1,/^```$/p' "$reference"
    cat "$top/stdout"
    echo '```'
  } >"$top/made"
  [ -z "${QCC_BLESS:-}" ] || cp "$top/made" "$reference"
  diff -u "$reference" "$top/made" || fail "yaml/capability.md is not what the schema says"
}
# every shipped target as the library understands it (QCC_BLESS=1 writes expected/targets)
t_shipped_targets() {
  expect 0 qcc list targets
  cut -d ' ' -f 1 "$top/stdout" >"$top/names"
  [ "$(wc -l <"$top/names")" = "$(ls "$here/../../yaml"/*.yaml | wc -l)" ] || fail "a file of yaml/ is not shipped"
  while read -r target; do
    expect 0 qcc capability --target "$target"
    [ -z "${QCC_BLESS:-}" ] || cp "$top/stdout" "$here/expected/targets/$target.json"
    diff "$here/expected/targets/$target.json" "$top/stdout" || fail "$target is not expected/targets/$target.json"
  done <"$top/names"
}
t_capability_model() {
  net
  expect 0 qcc capability net.onnx --target generic
  prints '"name": "conv1", "type": "Conv", "default": "static", "ways": \["static", "weight_only", "float"\]'
  expect 0 qcc capability net.onnx --patterns
  prints '"kernel": "int8", "ops": \["Conv", "Relu"\], "nodes": \["conv1", "relu1"\]'
  expect 2 qcc capability net.onnx --target genric
  says 'did you mean "generic"'
}
t_target_files() {
  net
  printf 'extends: ort-cpu\nint8: {static: {Conv: null}, weight_only: {Conv: null}}\n' >mine.yaml
  samples x.npy 4
  expect 0 qcc --prefer size -O2 net.onnx -o out.onnx --calib x.npy --target mine.yaml
  prints '^kept float .*no 8-bit kernel'
  expect 0 qcc --prefer size -O2 net.onnx -o out.onnx --calib x.npy --target ort-cpu@1.20
  expect 0 qcc dump out.onnx
  prints 'b1.*_quantized = const s32'
  printf 'extends: ort-cpu\nopset: {min: 7, max: 12}\n' >mine.yaml
  expect 0 qcc -O1 net.onnx -o out.onnx --target mine.yaml
  says '^qcc: net.onnx: warning\[U-321\]: opset 13, but target "mine" takes 7 to 12'
  printf 'extends: ort-cpu\nbias: float\n' >mine.yaml
  expect 0 qcc --prefer size -O2 net.onnx -o out.onnx --calib x.npy --target mine.yaml
  expect 0 qcc dump out.onnx
  prints 'b1.* = const f32'
  grep -q 'const s32' "$top/stdout" && fail "a bias is int32 although the target wants float"
  printf 'extends: ort-cpu\nint8:\n  static:\n    Convv: {}\n' >mine.yaml
  expect 2 qcc -O2 net.onnx -o new.onnx --target mine.yaml
  says '^qcc: mine.yaml:4:5: error\[A-225\]: operator "Convv" is not known; did you mean "Conv"'
  expect 6 qcc -O1 net.onnx -o new.onnx --target none.yaml
}
t_list_levels() {
  expect 0 qcc list levels
  golden
}
t_dump() {
  net
  expect 0 qcc dump net.qir
  golden
}
t_dump_around() {
  net
  expect 0 qcc dump net.qir --around relu2
  golden
  expect 0 qcc dump net.onnx --around conv1
  prints 'conv1'
  expect 2 qcc dump net.onnx --around nobody
  says 'nobody'
}
t_opt() {
  printf '%s\n' 'graph @two(%x: f32[2,3]) -> (%z) opset 13 {' '  %a = Identity(%x) "same"' '  %y = Relu(%a) "r1"' \
    '  %z = Relu(%y) "r2"' '  %dead = Abs(%x) "dead"' '}' >two.qir
  expect 0 qcc opt two.qir --passes=infer-shapes,canonicalize,eliminate,dce
  golden
  expect 0 qcc opt two.qir --passes=infer-shapes,canonicalize,eliminate,dce -o out.qir
  expect 0 qcc opt out.qir --passes=dce -o again.qir
  cmp out.qir again.qir || fail "text does not survive a second reading"
}
t_standard_output_full() {
  [ -w /dev/full ] || exit 77
  net
  qcc dump net.qir >/dev/full 2>"$top/stderr" && fail "writing to a full disk succeeds"
  says 'error\['
}
t_diff_other_inputs() {
  net
  samples calib.npy 2
  printf '%s\n' 'graph @two(%x: f32[1,3,8,8], %z: f32[1,3,8,8]) -> (%y) opset 13 {' '  %y: f32[1,3,8,8] = Add(%x, %z) "add"' '}' >two.qir
  expect 2 qcc diff net.onnx two.qir --calib calib.npy
  says 'for 1 inputs, the model has 2'
}
t_run_measured() {
  net
  samples x.npy 1 "3, 8, 8"
  expect 0 qcc run net.onnx --in x=x.npy --out plain
  expect 0 qcc run net.onnx --in x=x.npy --out measured --profile --stats --trace trace.json --repeat 3 --warmup 2 --threads 1
  cmp plain/y.npy measured/y.npy || fail "measuring changes the result"
  prints '^measured/y.npy$'
  prints ' Conv\+Relu +conv1, relu1$'
  prints '^time +[0-9.]+ s for 3 samples: [0-9.]+ ms a sample, [0-9.]+ samples/s$'
  prints '^plans +1$'
  [ "$(grep -c '"name": "conv1"' trace.json)" = 3 ] || fail "not three runs in the trace"
  expect 0 qcc run net.onnx --profile
  prints 'means of 1 samples'
  expect 2 qcc run net.onnx --repeat 0
  expect 6 qcc run net.onnx --trace no/such/folder/trace.json --out other --in x=x.npy
}
t_info() {
  net
  expect 0 qcc info net.onnx
  golden
  printf '%s\n' 'graph @g(%x: f32[N,4,?]) -> (%y) opset 13 {' '  %y = Relu(%x) "r"' '}' >open.qir
  expect 0 qcc info open.qir
  prints '^input +x f32\[N,4,\?\]$'
  expect 6 qcc info missing.onnx
  expect 2 qcc info net.onnx other.onnx
}
t_check() {
  expect 0 qcc check "$here/qdq.qir"
  golden
}
t_check_all() {
  expect 0 qcc check -v "$here/qdq.qir" --target ort-cpu
  golden
}
t_check_json() {
  expect 0 qcc check --json "$here/qdq.qir"
  golden
}
t_check_older() {
  expect 0 qcc check "$here/qdq.qir" --ort-version 1.17
  prints '^ +1  +MaxPool on codes$'
  prints 'Flatten flatten$'
  expect 0 qcc check --json "$here/qdq.qir" --target ort-cpu@1.22
  prints '"ort_version": "1.22"'
}
t_check_float() {
  net
  expect 0 qcc check net.onnx
  prints 'not-quantized: nothing around it is quantized'
}
t_check_wrong() {
  expect 2 qcc check "$here/qdq.qir" --ort-version 2.0
  says 'A-190'
  expect 2 qcc check "$here/qdq.qir" --target nowhere
  says 'A-110'
  expect 2 qcc check "$here/qdq.qir" -o out.onnx
}
t_check_fix() {
  expect 0 qcc check "$here/untidy.qir" --fix -o tidy.onnx
  golden
  expect 0 qcc check tidy.onnx --fix -o again.onnx
  prints '^repaired +2 -> 2 nodes in int8 or moving codes, 2 -> 2 converting, 1 -> 1 float$'
  expect 2 qcc check "$here/untidy.qir" --fix
  says 'A-001'
}
t_io_int8() {
  net
  samples calib.npy 6
  expect 0 qcc -O2 net.onnx -o out.onnx --calib calib.npy --io-int8
  prints '^as codes +x: u8 input, scale [0-9.e-]+, zero point [0-9]+$'
  prints '^as codes +y: u8 output, scale [0-9.e-]+, zero point [0-9]+$'
  expect 0 qcc info out.onnx
  prints '^input +x u8\[1,3,8,8\], scale [0-9.e-]+, zero point [0-9]+$'
  prints '^output +y u8\[1,10\], scale [0-9.e-]+, zero point [0-9]+$'
  expect 0 qcc diff net.onnx out.onnx --calib calib.npy
  prints '^ *[34][0-9]\.[0-9]+ .*y  \(output\)$'
  expect 0 qcc diff out.onnx net.onnx --calib calib.npy
  prints 'y  \(output\)$'
  expect 0 qcc check -v out.onnx
  prints 'QGemm'
  expect 0 qcc run out.onnx --profile
  # a model that is quantized already takes codes, too, and gives them back
  expect 0 qcc -q --prefer size -O2 net.onnx -o floats.onnx --calib calib.npy --format qoperator
  expect 0 qcc floats.onnx -o codes.onnx --io-int8
  says 'its inputs and outputs become codes'
  prints '^as codes +x: u8 input'
  prints '^kept as it was +y: it is not made from codes$'
  expect 0 qcc opt codes.onnx --passes='infer-shapes,io-codes{to=float}' -o back.onnx
  expect 0 qcc diff floats.onnx back.onnx --calib calib.npy
  prints '^ +inf .*y  \(output\)$'
  expect 0 qcc -q -O2 net.onnx -o half.onnx --calib calib.npy --exclude conv2 --io-int8 --float f16
  expect 0 qcc info half.onnx
  prints '^input +x u8'
  prints '^output +y u8'
  prints ' Cast$'
  expect 0 qcc diff out.onnx half.onnx --calib calib.npy
  expect 0 qcc -O0 net.onnx -o out.onnx --io-int8
  prints '^kept as it was +x: it is read in float$'
  samples x.npy 1 "3, 8, 8"
  expect 5 qcc run codes.onnx --in x=x.npy --out no
  says 'another element type'
  expect 2 qcc opt codes.onnx --passes='io-codes{to=u8}'
  says 'io-codes.*codes or float'
}
