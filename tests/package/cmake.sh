#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A CMake project finds the installed library and links it, also when what was installed has been
# moved; a version that it cannot use is refused.

. "$(dirname "$0")/common.sh"

have cmake || {
	echo "cmake is not installed"
	exit 77
}
build_with B="$build" install PREFIX="$work/installed" LIBDIR="$work/installed/lib/some/where"
mv "$work/installed" "$work/prefix"
install_consumer "$work/source"

# Runs cmake and leaves what it said in the log.
configure() # build folder, options...
{
	folder=$1
	shift
	cmake -S "$work/source" -B "$work/$folder" -G "Unix Makefiles" "$@" \
		-Dmapcache_DIR="$work/prefix/lib/some/where/cmake/mapcache" -DCMAKE_C_COMPILER="${CC:-gcc}" \
		>"$work/cmake.log" 2>&1
}
configure peek || fail "cmake failed:" "$(cat "$work/cmake.log")"
cmake --build "$work/peek" >"$work/cmake.log" 2>&1 || fail "$(cat "$work/cmake.log")"
runs "$work/peek/peek"
runs "$work/peek/granted"

# Asked for: too new, and another of those minor versions that promise nothing to each other.
for version in 0.999 99.0 0.0; do
	sed -i "s/find_package(mapcache [0-9.]*/find_package(mapcache $version/" \
		"$work/source/CMakeLists.txt"
	! configure "refused-$version" || fail "version $version was found"
	grep -q "version: $(tools/version)" "$work/cmake.log" ||
		fail "version $version was refused for another reason:" "$(cat "$work/cmake.log")"
done
