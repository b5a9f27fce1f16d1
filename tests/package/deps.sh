#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What is missing is named, and nothing else is asked for: a machine without one header is told
# which, and on a Debian on which nothing is installed `make deps` wants what the library takes,
# and no emulator.

. "$(dirname "$0")/common.sh"

# ---- a machine that lacks a header or two

mkdir "$work/include"
ln -s /usr/include/* "$work/include/"
multiarch=$(${CC:-gcc} -print-multiarch)
compiler="${CC:-gcc} -nostdinc -isystem $(${CC:-gcc} -print-file-name=include)"
compiler+=" -isystem $work/include -isystem $work/include/$multiarch"
lacking() # header...
{
	rm "${@/#/$work/include/}"
	! make --no-print-directory -s B="$work/build" "$work/build/libmapcache.a" >"$work/said" 2>&1 \
		CC="$compiler" ||
		fail "it was built without" "$@"
	ln -s "${@/#//usr/include/}" "$work/include/"
}
lacking uthash.h
grep -q '<uthash.h> (Debian: uthash-dev)' "$work/said" || fail "not named:" "$(cat "$work/said")"
! grep -q 'xen[a-z]*\.h' "$work/said" || fail "named, but there:" "$(cat "$work/said")"
! grep -q ' CC ' "$work/said" || fail "compiled before it was named"
lacking xenforeignmemory.h xendevicemodel.h
for header in xenforeignmemory.h xendevicemodel.h; do
	grep -q "<$header> (Debian: libxen-dev)" "$work/said" || fail "not named: $header"
done

# ---- a Debian on which nothing is installed, and somebody who is not root

mkdir "$work/bin"
printf '#!/bin/sh\nexit 0\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
printf '#!/bin/sh\necho " Depends: $2-12"\n' >"$work/bin/apt-cache"
printf '#!/bin/sh\necho "$0 $*" >>%s\n' "$work/installed" >"$work/bin/apt-get"
chmod +x "$work"/bin/*

asked() # target and variables: prints what it wants installed
{
	PATH=$work/bin:$PATH make --no-print-directory -s "$@" 2>&1 |
		sed -n 's/.*--no-install-recommends //p' | tr ' ' '\n'
}
wants() # package; from the input
{
	grep -qx "$1"
}
asked deps >"$work/library"
for package in gcc make libxen-dev uthash-dev; do
	wants "$package" <"$work/library" || fail "make deps does not want $package"
done
! grep -E 'qemu|clang|cmocka|gnuplot|debootstrap|aarch64' "$work/library" ||
	fail "make deps wants more than the library takes"
asked demo | wants qemu-system-x86 && fail "make demo wants an emulator"
for group in xen qemu lint; do
	asked deps FOR=$group >"$work/$group"
done
wants qemu-system-x86 <"$work/xen" || fail "make deps FOR=xen wants no emulator"
wants ninja-build <"$work/qemu" || fail "make deps FOR=qemu wants no ninja"
asked deps FOR=all | sort >"$work/all"
for group in library xen qemu lint; do
	sort "$work/$group" | comm -23 - "$work/all" | grep . && fail "FOR=all has not all of $group"
done
! asked deps FOR=nonsense | grep . || fail "an unknown group was taken"
[ ! -e "$work/installed" ] || fail "packages were installed by somebody who is not root"

# ---- and root is told before it happens: in the README, before the commands

awk '/Run as root, both commands first install/ { told = 1 }
	/^make (demo|check)/ && !told { early = 1 }
	END { exit !told || early }' README.md ||
	fail "README.md does not say before the commands that they install packages"
