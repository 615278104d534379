# SPDX-License-Identifier: Apache-2.0
# Files that are missing, wrong, or in the way. `expect` sees to it that nothing is written by a command that fails.

t_no_model() {
  expect 6 qcc -O1 absent.onnx -o out.onnx
  says 'absent.onnx'
  expect 6 qcc dump absent.qir
  mkdir folder.onnx
  expect 6 qcc -O1 folder.onnx -o out.onnx
}
t_garbage_model() {
  printf 'this is no model at all\n' >text.onnx
  expect 3 qcc -O1 text.onnx -o out.onnx
  : >empty.onnx
  expect 3 qcc -O1 empty.onnx -o out.onnx
  net
  head -c 700 net.onnx >cut.onnx
  expect 3 qcc -O1 cut.onnx -o out.onnx
  printf 'graph @x(%%a: f32[1]) -> (%%b) opset 13 {\n  %%b = Relu(%%nobody)\n}\n' >bad.qir
  expect 3 qcc dump bad.qir
  says 'bad.qir:2:'
}
t_output_folder_absent() {
  net
  expect 6 qcc -O1 net.onnx -o absent/out.onnx
  says 'absent/out.onnx'
  expect 6 qcc opt net.qir --passes=canonicalize -o absent/out.qir
  expect 6 qcc -O1 net.onnx -o out.onnx --save-plan absent/plan.json
}
t_output_is_folder() {
  net
  mkdir folder folder.onnx folder.qir
  expect 2 qcc -O1 net.onnx -o folder
  expect 2 qcc -O1 net.onnx -o folder.onnx
  expect 6 qcc opt net.qir --passes=canonicalize -o folder.qir
}
t_output_untouched() {
  net
  samples wrong.npy 4 "1, 3, 4, 16"
  echo precious >out.onnx
  echo precious >plan.json
  expect 5 qcc -O2 net.onnx -o out.onnx --calib wrong.npy --save-plan plan.json
  expect 2 qcc -O3 net.onnx -o out.onnx
  expect 7 qcc -O1 net.onnx -o out.onnx --limit max-nodes=2
  says 'max-nodes'
  expect 6 qcc -O1 net.onnx -o out.onnx --save-plan absent/plan.json
  expect 0 qcc -q -O1 net.onnx -o out.onnx
  expect 0 qcc dump out.onnx
}
t_output_over_input() {
  net
  cp net.onnx copy.onnx
  expect 0 qcc -q -O1 net.onnx -o out.onnx
  expect 0 qcc -q -O1 copy.onnx -o copy.onnx
  cmp out.onnx copy.onnx || fail "another model when the output replaces the input"
}
t_wrong_calibration() {
  net
  samples wrong.npy 4 "1, 3, 4, 16"
  expect 5 qcc -O2 net.onnx -o out.onnx --calib wrong.npy
  says 'wrong.npy'
  expect 6 qcc -O2 net.onnx -o out.onnx --calib absent.npy
  echo no array >text.npy
  expect 5 qcc -O2 net.onnx -o out.onnx --calib text.npy
  samples cut.npy 4
  head -c 500 cut.npy >short.npy
  expect 5 qcc -O2 net.onnx -o out.onnx --calib short.npy
  expect 6 qcc -O2 net.onnx -o out.onnx --calib nobody=cut.npy
  says 'nobody'
  mkdir empty
  expect 5 qcc -O2 net.onnx -o out.onnx --calib empty
}
t_run_writes_nothing_on_failure() {
  net
  samples wrong.npy 1 "3, 4, 16"
  expect 2 qcc run net.onnx --out results
  says 'input x is missing'
  expect 2 qcc run net.onnx --in z=wrong.npy --out results
  expect 6 qcc run net.onnx --in x=absent.npy --out results
  expect 5 qcc run net.onnx --in x=wrong.npy --out results
}
t_bad_plan() {
  net
  echo '{"what": 1' >plan.json
  expect 2 qcc -O2 net.onnx -o out.onnx --plan plan.json
  expect 6 qcc -O2 net.onnx -o out.onnx --plan absent.json
}
t_escapes() {
  name=$(printf 'evil\033[2J\001name')
  expect 6 qcc -O1 "$name.onnx" -o out.onnx
  expect 6 qcc dump "$name.qir"
  net
  expect 2 qcc -O1 net.onnx -o out.onnx "--$name"
  expect 2 qcc -O1 net.onnx -o out.onnx --only "name:$name"
  sed 's/"conv2"/"ev\\x1b[2Jil"/; s/%p\b/%"p\\x1b[2J"/g' net.qir >evil.qir
  samples calib.npy 4
  expect 0 qcc -v -O2 evil.qir -o out.onnx --calib calib.npy --exclude type:Conv
  grep -q '[^[:print:]]' "$top/stdout" && fail "control bytes on stdout"
  expect 0 qcc diff evil.qir out.onnx --calib calib.npy
  grep -q '[^[:print:]]' "$top/stdout" && fail "control bytes on stdout"
  expect 0 qcc dump out.onnx
  grep -q '[^[:print:]]' "$top/stdout" && fail "control bytes on stdout"
  true
}
