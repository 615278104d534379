#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs the loops for AVX-512 on processors that have it: under Bochs, which computes every instruction, with Linux. Inner loops and a whole
# network must have the bits there that this machine gives them, and unit tests must pass.
#   tests/tools/avx512.sh [TEST...]    unit tests by name; default: those of the inner loops
# Bochs 3.0, Linux and what boots it come from Debian 13 into build/avx512-root, without root and without a change to the machine; half an hour
# is normal. What the processors said stays in build/avx512. Exit code 77: something is missing.
set -eu
cd "$(dirname "$0")/../.."
packages="bochs bochs-term bochsbios vgabios linux-image-cloud-amd64 busybox-static isolinux syslinux-common xorriso"
root=$PWD/build/avx512-root to=$PWD/build/avx512 libs=$PWD/build/avx512-root/usr/lib/x86_64-linux-gnu
disk=$to/disk files=$to/files

for tool in apt-get dpkg-deb script timeout; do
  command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
[ "$(uname -m)" = x86_64 ] || { echo "skipped: not on x86-64"; exit 77; }

# shellcheck disable=SC2086
[ -d "$root" ] || sh tests/tools/debs.sh "$root" amd64 trixie $packages || { echo "skipped: no packages of Debian 13"; exit 77; }

[ $# -gt 0 ] || set -- codes grid_codes grid ref
programs="frontends/cli/qcc tests/tools/loops" targets="qcc loops dump_samples"
for name in "$@"; do programs="$programs tests/unit/test_$name" targets="$targets test_$name"; done
cmake --preset release -DQCC_TESTS=ON >/dev/null
# shellcheck disable=SC2086
cmake --build --preset release --target $targets

# Programs of Debian 13 on this machine, with the C library that they were made for.
trixie() { # PROGRAM ARGUMENTS...
  program=$1
  shift
  "$root/usr/lib64/ld-linux-x86-64.so.2" --library-path "$libs" "$root/usr/bin/$program" "$@"
}

# All that is in the memory of the emulated machine: programs with their libraries, and a shell.
make_files() {
  rm -rf "$files"
  mkdir -p "$files/bin" "$files/lib" "$files/lib64" "$files/proc" "$files/dev" "$files/tmp"
  sh tests/tools/digests.sh make build/release "$files/model"
  cp tests/tools/digests.sh "$files/"
  cp "$root/usr/bin/busybox" "$files/bin/"
  for program in $programs; do
    strip -o "$files/bin/$(basename "$program")" "build/release/$program"
    ldd "build/release/$program"
  done | awk '/=> \// { print $3 }' | sort -u | xargs cp -Lt "$files/lib"
  cp -L /lib64/ld-linux-x86-64.so.2 "$files/lib64/"
}

make_disk() { # TEST...
  cat >"$files/init" <<END
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc && mount -t devtmpfs none /dev
echo "== begin"
sh /digests.sh tell /model /bin/loops /bin/qcc
for name in $*; do
  code=0
  "test_\$name" >/tmp/said 2>&1 || code=\$?
  echo "unit \$name \$code \$(grep -c '^\[ *OK' /tmp/said)"
  [ "\$code" = 0 ] || cat /tmp/said
done
echo "== end"
sleep 5
poweroff -f
END
  chmod +x "$files/init"
  rm -rf "$disk"
  mkdir -p "$disk/isolinux"
  (cd "$files" && find . | "$root/usr/bin/busybox" cpio -o -H newc -R 0:0 2>/dev/null) >"$disk/initrd"
  cp "$root"/boot/vmlinuz-* "$disk/vmlinuz"
  cp "$root/usr/lib/ISOLINUX/isolinux.bin" "$root/usr/lib/syslinux/modules/bios/ldlinux.c32" "$disk/isolinux/"
  # without xsaves Linux leaves out the state of AMX, whose layout it does not find as it expects; Bochs cannot leave the mode of 5 levels
  cat >"$disk/isolinux/isolinux.cfg" <<END
DEFAULT qcc
LABEL qcc
 KERNEL /vmlinuz
 INITRD /initrd
 APPEND console=ttyS0 loglevel=1 panic=-1 nosmp mitigations=off nopku noxsaves no5lvl tsc=reliable
END
  trixie xorriso -report_about WARNING -as mkisofs -quiet -o "$to/disk.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
    -boot-load-size 4 -boot-info-table "$disk" 2>/dev/null
}

emulate() { # MODEL
  cat >"$to/bochsrc" <<END
megs: 1024
cpu: model=$1, count=1, ips=200000000, reset_on_triple_fault=0
romimage: file=$root/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$root/usr/share/bochs/VGABIOS-lgpl-latest
display_library: term
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$to/disk.iso, status=inserted
boot: cdrom
clock: sync=none
com1: enabled=1, mode=file, dev=$to/$1.serial
log: $to/$1.log
panic: action=fatal
error: action=ignore
info: action=ignore
END
  echo continue >"$to/debugger"
  LTDL_LIBRARY_PATH=$libs/bochs/plugins BXSHARE=$root/usr/share/bochs TERM=vt100 timeout -k 10 3600 \
    script -qfc "$root/usr/lib64/ld-linux-x86-64.so.2 --library-path $libs $root/usr/bin/bochs-bin -q -unlock -f $to/bochsrc -rc $to/debugger" \
    "$to/$1.screen" </dev/null >/dev/null 2>&1 || : # switched off is a panic, too
  tr -d '\r' <"$to/$1.serial" | sed -n '/^== begin/,/^== end/p' >"$to/$1.txt"
}

judge() { # MODEL SET: the best one that this processor has
  said=$to/$1.txt
  grep -Ev '^(== |codes |floats |unit )' "$said" || :
  awk '/^unit / { print ($3 == 0 ? "ok" : "FAIL") ": unit." $2 ", " $4 " passed"; bad = bad || $3 } END { exit bad }' "$said" || bad=1
  grep -q '^== end' "$said" || { echo "FAIL: $1 did not come to the end, see $to/$1.serial"; bad=1; }
  grep '^codes pair0 ' "$said" | head -1 | grep -q " $2 " || { echo "FAIL: $1 does not choose $2"; bad=1; }
  cat "$to/here.txt" "$said" | sh tests/tools/agree.sh 150 || bad=1
}

run() { # MODEL SET [TEST...]
  echo "-- $1"
  model=$1 set=$2
  shift 2
  make_disk "$@"
  emulate "$model"
  judge "$model" "$set"
}

bad=0
make_files
sh tests/tools/digests.sh tell "$files/model" build/release/tests/tools/loops build/release/frontends/cli/qcc >"$to/here.txt"
run corei7_skylake_x avx512
run sapphire_rapids avx512vnni "$@"
exit $bad
