#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The Debian packages: built from what is committed, nothing for lintian to complain about, and
# installed on a copy of this system that is thrown away, where their own tests pass.
#
# timeout: 600

. "$(dirname "$0")/common.sh"

for tool in dh lintian git; do
	have $tool || {
		echo "there is no $tool here: make deps"
		exit 77
	}
done
version=$(tools/version)
grep -q "^libmapcache ($version-" debian/changelog ||
	fail "debian/changelog is not about version $version"

tools/deb "$work/packages" >"$work/built" || fail "$(cat "$work/built")"
for package in libmapcache-dev libmapcache-doc mapcache-tools; do
	grep -q "/${package}_$version-" "$work/built" || fail "$package was not built"
done
lintian --allow-root --fail-on error,warning --info --tag-display-limit 0 \
	"$work"/packages/*.changes >"$work/lintian" || fail "$(cat "$work/lintian")"

# Every file of the sources that is for others is in a package.
for deb in "$work"/packages/*.deb; do
	dpkg-deb --contents "$deb"
done >"$work/contents"
for file in include/mapcache/mapcache.h man3/mapcache_close.3.gz man7/mapcache.7.gz \
	man1/mapcache-bench-xen.1.gz bin/mapcache-bench-xen pkgconfig/libmapcache.pc \
	cmake/mapcache/mapcacheConfig.cmake examples/mmio/mmio.c; do
	grep -q "/$file" "$work/contents" || fail "no package has $file"
done

# ---- installed on a copy of this system

try_installed() # the copy's root
{
	mount --rbind /dev "$1/dev"
	mount -t proc proc "$1/proc"
	cp -r "$work/packages" "$1/tmp/packages"
	chroot "$1" /bin/sh -euc '
		unset PKG_CONFIG_PATH
		dpkg --install /tmp/packages/*.deb
		cd /tmp/packages/libmapcache-*/
		man -w 3 mapcache_open 7 mapcache 1 mapcache-bench
		for test in debian/tests/readme debian/tests/bench; do
			$test
		done
		dpkg --purge libmapcache-dev libmapcache-doc mapcache-tools mapcache-tools-dbgsym
		! ls -d /usr/include/mapcache /usr/lib/*/libmapcache.a 2>/dev/null'
}

on_a_copy()
{
	mount -t tmpfs tmpfs "$work/copy"
	mkdir "$work/copy/new" "$work/copy/work" "$work/copy/root"
	mount -t overlay overlay "$work/copy/root" \
		-o "lowerdir=/,upperdir=$work/copy/new,workdir=$work/copy/work"
	try_installed "$work/copy/root"
}

mkdir "$work/copy"
export work
export -f on_a_copy try_installed
if ! unshare --mount mount -t tmpfs tmpfs "$work/copy" 2>/dev/null; then
	echo "built and checked; mounting is not allowed here, so not installed"
	exit 77
fi
unshare --mount bash -euc on_a_copy >"$work/installed" 2>&1 || fail "$(tail -n 30 "$work/installed")"
