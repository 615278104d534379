#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Holds digests of several instruction sets against each other: lines "floats|codes LOOP SET DIGEST" from standard input, others are passed
# over. Equal are the digests of one loop: floats of the sets with fused multiply-add, codes of all. Exit code 1: some differ, or are missing.
#   tests/tools/agree.sh LEAST      how many results there must be at least
set -eu
grep -E '^(floats|codes) ' | grep -Ev '^floats [a-z0-9_]+ (sse2|c) ' | sort -u | awk -v least="$1" '
  { loop = $1 " " $2; if (loop in digest && digest[loop] != $4) { print "FAIL: " loop " of " $3 " differs"; bad = 1 } digest[loop] = $4; ++n }
  END {
    if (n < least) { print "FAIL: " n + 0 " results, expected " least; bad = 1 }
    if (!bad) print n " results agree"
    exit bad
  }'
