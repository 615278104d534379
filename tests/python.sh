#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs a Python test with the interpreter QCC_PYTHON; skipped (77) when that is not there.
[ -x "$QCC_PYTHON" ] || { echo "skipped: no $QCC_PYTHON"; exit 77; }
exec "$QCC_PYTHON" "$@"
