#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs one case of this folder: run.sh QCC CASE. A case is a function t_CASE of cases_*.sh; it runs in an empty folder with these words:
#   expect CODE COMMAND...   exit code; on failure stdout is empty, stderr is "qcc: ..." without control bytes, no file changed
#   says REGEX               stderr of the last command matches (extended, one line)
#   prints REGEX             so does its stdout
#   golden                   its stdout is expected/CASE.stdout (QCC_BLESS=1 writes that file)
#   net, samples             make net.qir and net.onnx; samples FILE N [DIMS] makes a .npy
set -u
qcc_program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
case_name=$2
here=$(cd "$(dirname "$0")" && pwd)
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
mkdir "$top/in"
cd "$top/in" || exit 1
LC_ALL=C
export LC_ALL

qcc() { "$qcc_program" "$@"; }
fail() {
  echo "FAIL $case_name: $*"
  echo "--- stdout"; cat "$top/stdout" 2>/dev/null
  echo "--- stderr"; cat "$top/stderr" 2>/dev/null
  exit 1
}
# every path with kind, inode, mode, size and time, and the bytes of every file
snapshot() {
  find . -printf '%p %y %i %m %s %T@\n' | sort
  find . -type f -exec sha256sum {} + | sort
}
expect() {
  code=$1
  shift
  snapshot >"$top/before"
  "$@" >"$top/stdout" 2>"$top/stderr"
  got=$?
  [ "$got" = "$code" ] || fail "$* ended with $got, not $code"
  grep -q '[^[:print:]]' "$top/stderr" && fail "control bytes on stderr: $*"
  [ "$code" = 0 ] && return 0
  [ -s "$top/stdout" ] && fail "stdout is not empty: $*"
  head -n 1 "$top/stderr" | grep -q '^qcc: ' || fail "no message that begins with qcc: $*"
  grep -q 'error\[[A-Z]-[0-9]*\]: ' "$top/stderr" || fail "no numbered error: $*"
  snapshot | cmp -s - "$top/before" || fail "files changed although it failed: $*"
}
says() { grep -Eq -- "$1" "$top/stderr" || fail "stderr does not say '$1'"; }
prints() { grep -Eq -- "$1" "$top/stdout" || fail "stdout does not say '$1'"; }
golden() {
  [ -z "${QCC_BLESS:-}" ] || cp "$top/stdout" "$here/expected/$case_name.stdout"
  diff -u "$here/expected/$case_name.stdout" "$top/stdout" || fail "stdout differs from expected/$case_name.stdout"
}
net() {
  cp "$here/net.qir" net.qir
  expect 0 qcc opt net.qir --passes=canonicalize -o net.onnx
}
# float32 of a pattern with a period of 7; DIMS such as "3, 8, 8" are those of one sample
samples() {
  dims=${3:-1, 3, 8, 8}
  count=$(($(echo "$dims" | sed 's/,/*/g')))
  {
    header="{'descr': '<f4', 'fortran_order': False, 'shape': ($2, $dims), }"
    printf '\223NUMPY\1\0v\0%-117s\n' "$header"
    n=0
    while [ $n -lt $(($2 * count / 7 + 1)) ]; do
      printf '\0\0\200\077\0\0\0\277\0\0\200\076\0\0\0\300\0\0\0\0\315\314\314\075\0\0\100\077'
      n=$((n + 1))
    done
  } | head -c $((128 + 4 * $2 * count)) >"$1"
}

for group in "$here"/cases_*.sh; do . "$group"; done
"t_$case_name"
echo "ok $case_name"
