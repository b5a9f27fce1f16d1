#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library builds for Arm, with its own names only.

. "$(dirname "$0")/common.sh"

have aarch64-linux-gnu-gcc || {
	echo "there is no aarch64-linux-gnu-gcc here"
	exit 77
}
unset CC CXX AR NM OBJCOPY CFLAGS LDFLAGS
build_with B="$build/arm" CROSS_COMPILE=aarch64-linux-gnu- all
library=$build/arm/libmapcache.a
aarch64-linux-gnu-objdump -f "$library" | grep -q 'file format elf64-littleaarch64' ||
	fail "$library is not for Arm"
aarch64-linux-gnu-nm -g --defined-only "$library" | awk 'NF == 3 { print $3 }' |
	grep -v '^mapcache_' && fail "$library defines names that are not ours"
true
