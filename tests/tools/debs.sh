#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Unpacks packages of Debian, with all that they need, into a folder: without root and without a change to the machine.
#   tests/tools/debs.sh FOLDER ARCHITECTURE SUITE PACKAGE...      SUITE "-": the sources of this machine
set -eu
root=$1 architecture=$2 suite=$3
shift 3
mkdir -p "$root.apt/state/lists/partial" "$root.apt/cache/archives/partial"
: >"$root.apt/status"
cat >"$root.apt/conf" <<END
APT::Architecture "$architecture";
APT::Architectures {"$architecture";};
APT::Install-Recommends "false";
Dir::State "$root.apt/state";
Dir::State::status "$root.apt/status";
Dir::Cache "$root.apt/cache";
END
if [ "$suite" != - ]; then
  echo "deb http://deb.debian.org/debian $suite main" >"$root.apt/sources"
  printf 'Dir::Etc::sourcelist "%s";\nDir::Etc::sourceparts "/dev/null";\n' "$root.apt/sources" >>"$root.apt/conf"
fi
export APT_CONFIG="$root.apt/conf"
apt-get -qq update
apt-get -qq install -y --download-only "$@"
rm -rf "$root.new"
mkdir -p "$root.new"
for deb in "$root.apt"/cache/archives/*.deb; do dpkg-deb -x "$deb" "$root.new"; done
mv "$root.new" "$root"
