#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A Meson project finds the installed library by its pkg-config file, and builds it from source
# as a subproject where it is not installed.

. "$(dirname "$0")/common.sh"

have meson && have ninja || {
	echo "meson is not installed"
	exit 77
}
export CC="${CC:-gcc}"

build_peek() # build folder
{
	meson setup "$work/$1" "$work/source" >"$work/meson.log" 2>&1 &&
		meson compile -C "$work/$1" >>"$work/meson.log" 2>&1 ||
		fail "meson failed:" "$(cat "$work/meson.log")"
	runs "$work/$1/peek"
	runs "$work/$1/granted"
}

build_with B="$build" install PREFIX="$work/prefix"
install_consumer "$work/source"
(
	export PKG_CONFIG_PATH="$work/prefix/lib/pkgconfig"
	build_peek installed
)

# An installed library of the machine's own must not stand in for the source.
mkdir -p "$work/source/subprojects/libmapcache"
cp packaging/libmapcache.wrap "$work/source/subprojects/"
cp -r Makefile meson.build lib include tools packaging "$work/source/subprojects/libmapcache/"
sed -i "s/dependency('[a-z-]*'/&, allow_fallback: true/g" "$work/source/meson.build"
sed -i "s/warning_level=2/&', 'wrap_mode=forcefallback/" "$work/source/meson.build"
build_peek from_source
grep -q 'subprojects/libmapcache' "$work/from_source/compile_commands.json" \
	"$work/from_source/build.ninja" || fail "the subproject was not used"
