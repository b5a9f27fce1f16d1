#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every public header compiles alone and twice over, as strict C11 and as C++17, whatever
# warnings the including program has chosen.

. "$(dirname "$0")/common.sh"

warnings="-Wall -Wextra -Wcast-qual -Wundef -Wpointer-arith -Werror -fsyntax-only"
for header in include/mapcache/*.h; do
	name=mapcache/$(basename "$header")
	printf '#include <%s>\n#include <%s>\nint one_declaration;\n' "$name" "$name" \
		>"$work/alone.c"
	for cc in $(c_compilers); do
		# shellcheck disable=SC2086
		$cc -std=c11 -pedantic-errors $warnings -Wshadow -Wstrict-prototypes -Iinclude \
			"$work/alone.c" || fail "$header is not strict C11 ($cc)"
	done
	for cxx in $(cxx_compilers); do
		# shellcheck disable=SC2086
		$cxx -std=c++17 -pedantic-errors $warnings -Iinclude -x c++ \
			"$work/alone.c" || fail "$header is not C++17 ($cxx)"
	done
done
