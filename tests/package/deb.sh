#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The Debian packages: built from what is committed, nothing for lintian to complain about, and
# installed on a copy of this system that is thrown away, where their own tests pass.
#
# timeout: 600

. "$(dirname "$0")/common.sh"

. tests/package/deb_common.sh

deb_needs dh lintian git
tools/deb "$work/packages" >"$work/built" || fail "$(cat "$work/built")"
deb_check "$work/packages"

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
	skip "built and checked; mounting is not allowed here, so not installed"
fi
unshare --mount bash -euc on_a_copy >"$work/installed" 2>&1 || fail "$(tail -n 30 "$work/installed")"
