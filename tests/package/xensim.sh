#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Who builds on the library can test without Xen: a program outside of the tree, built with what
# pkg-config says of libxensim, runs a guest whose page goes and comes.

. "$(dirname "$0")/common.sh"

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

build_with B="$build" install PREFIX="$outside/prefix"
export PKG_CONFIG_PATH="$outside/prefix/lib/pkgconfig"
cp tests/package/on_xensim.c "$outside/"
for cc in $(c_compilers); do
	# shellcheck disable=SC2046
	(cd "$outside" && $cc -Wall -Wextra -Werror -o on_xensim on_xensim.c \
		$(pkg-config --cflags --libs libxensim)) ||
		fail "a program for xensim does not build ($cc)"
	"$outside/on_xensim" >"$work/output" 2>&1 ||
		fail "a program on xensim failed: $(cat "$work/output")"
done
# The simulator stands for Xen's libraries: none of them is wanted.
! ldd "$outside/on_xensim" | grep libxen || fail "linked with a library of Xen"
[ "$(pkg-config --modversion libxensim)" = "$(tools/version)" ] ||
	fail "libxensim.pc has another version than the header"
true
