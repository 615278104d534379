# SPDX-License-Identifier: Apache-2.0
# The command line itself: help, version, options that are wrong.

t_help() {
  expect 0 qcc --help
  golden
}
t_help_command() {
  expect 0 qcc dump --help
  golden
}
t_version() {
  expect 0 qcc --version
  prints '^qcc [0-9]+\.[0-9]+\.[0-9]+$'
}
t_no_arguments() {
  expect 2 qcc
  says 'missing argument'
}
t_unknown_option() {
  net
  expect 2 qcc net.onnx -o out.onnx --frobnicate
  says 'unknown option --frobnicate'
  expect 2 qcc net.onnx -o out.onnx -x
  expect 2 qcc net.onnx -o out.onnx -Ofast
}
t_option_of_other_command() {
  net
  expect 2 qcc dump net.onnx --calib x.npy
  says 'does not belong'
}
t_bad_values() {
  net
  expect 2 qcc net.onnx -o out.onnx --threads many
  says 'needs a number'
  expect 2 qcc net.onnx -o out.onnx --threads -1
  expect 2 qcc net.onnx -o out.onnx --threads 99999999999999999999
  expect 2 qcc net.onnx -o out.onnx --threads 1 --threads 2
  says 'given twice'
  expect 2 qcc net.onnx -o
  says 'needs a value'
  expect 2 qcc net.onnx other.onnx -o out.onnx
  says 'too many arguments'
  expect 2 qcc run net.onnx --in x=x.npy --out results --exact=often
  says 'it is --exact or --exact=saturating'
  expect 2 qcc net.onnx -o out.onnx --quiet=yes
  says 'takes no value'
  expect 2 qcc net.onnx -o out.onnx --limit max-nodes
  says 'NAME=NUMBER'
  expect 2 qcc net.onnx -o out.onnx --limit no-such-limit=1
}
t_missing_output() {
  net
  expect 2 qcc -O1 net.onnx
  says 'give -o'
  expect 2 qcc run net.onnx
  says 'give --out'
  expect 2 qcc opt net.qir
  says 'give --passes'
  expect 2 qcc diff net.onnx net.onnx
  says 'give --calib'
}
t_level3() {
  net
  expect 2 qcc -O3 net.onnx -o out.onnx
  says '-O3 .* not there yet'
  expect 2 qcc -O7 net.onnx -o out.onnx
  says 'level 7'
}
t_unknown_names() {
  net
  expect 2 qcc -O1 net.onnx -o out.onnx --target abacus
  says 'abacus'
  expect 2 qcc -O1 net.onnx -o out.onnx --estimator guess
  says 'guess'
  expect 2 qcc list nothing
  says 'qcc list tables'
  expect 2 qcc opt net.qir --passes=canonicalize,frobnicate
  says 'frobnicate'
}
t_selectors() {
  net
  expect 2 qcc -O1 net.onnx -o out.onnx --only Conv
  expect 2 qcc -O1 net.onnx -o out.onnx --only color:red
  says 'color'
  expect 2 qcc -O1 net.onnx -o out.onnx --only type:NoSuchOperator
  says 'NoSuchOperator'
  expect 2 qcc -O1 net.onnx -o out.onnx --exclude 'name:no/such/*'
  says 'no/such'
  expect 2 qcc -O1 net.onnx -o out.onnx --only 're:(['
  says 'regular expression'
  expect 2 qcc -O1 net.onnx -o out.onnx --only conv22
  says 'did you mean "conv2"'
  expect 2 qcc -O1 net.onnx -o out.onnx --only between:x..yy
  says 'no tensor "yy"; did you mean "y"'
  expect 0 qcc -O1 net.onnx -o out.onnx --exclude type:Gemm --only type:Conv --only name:logits
  expect 0 qcc -O1 net.onnx -o out.onnx --only conv1 --only 'log*' --exclude last:1
  prints 'kept float .*logits.*selector'
}
