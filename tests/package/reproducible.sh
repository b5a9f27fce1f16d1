#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The same sources give the same library, byte for byte, wherever they lie and whoever builds
# them, and no path of the machine is in it.

. "$(dirname "$0")/common.sh"

outside=$(mktemp -d)
trap 'rm -rf "$outside"' EXIT

for place in one another/place; do
	mkdir -p "$outside/$place"
	cp -r Makefile lib include tools packaging "$outside/$place/"
done
(
	cd "$outside/one"
	export LC_ALL=C TZ=UTC
	umask 022
	build_with build/libmapcache.a
)
(
	cd "$outside/another/place"
	export TZ=Pacific/Auckland USER=somebody
	umask 077
	build_with -j1 B=elsewhere elsewhere/libmapcache.a
)
cmp "$outside/one/build/libmapcache.a" "$outside/another/place/elsewhere/libmapcache.a" ||
	fail "two builds differ"
! grep -a -o -e "$outside[^[:cntrl:]]*" -e "$HOME/[^[:cntrl:]]*" \
	"$outside/one/build/libmapcache.a" || fail "a path of this machine is in the library"
