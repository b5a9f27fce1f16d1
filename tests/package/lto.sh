#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A library that was built with flags for link-time optimization is like any other: only its
# public names are global, and programs link with it, with and without such flags of theirs.

. "$(dirname "$0")/common.sh"

readme_program "$work/peek.c"
xen_libraries="-lxenforeignmemory -lxendevicemodel -pthread"

try() # folder, compiler, flags
{
	build_with B="$work/$1" CC="$2" CFLAGS="$3" LDFLAGS="$3" "$work/$1/libmapcache.a" \
		"$work/$1/libmapcache-grants.a"
	for library in libmapcache libmapcache-grants; do
		${NM:-nm} -g --defined-only "$work/$1/$library.a" |
			awk 'NF == 3 && $3 !~ /^(mapcache_|_\.stapsdt\.base$)/ { print $3 }' >"$work/names"
		[ ! -s "$work/names" ] || fail "$2 $3: global in $library.a:" $(cat "$work/names")
	done
	for flags in '' "$3"; do
		# shellcheck disable=SC2086
		${CC:-gcc} $flags -Wall -Wextra -Werror -Iinclude -o "$work/peek" "$work/peek.c" \
			"$work/$1/libmapcache.a" $xen_libraries ||
			fail "built by $2 $3, it does not link with ${CC:-gcc} $flags"
		runs "$work/peek"
	done
}
try slim "${CC:-gcc}" -flto
! have clang || try clang clang -flto
