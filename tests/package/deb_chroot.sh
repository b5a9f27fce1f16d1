#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The Debian packages in clean chroots of the release that they are for, which have nothing but
# what the packages ask for: built in one of them, with their unit tests, by a user without
# privileges; installed in another one, where their own tests pass; removed again. Takes minutes
# and the network (MIRROR: where Debian is), and therefore has a command of its own:
# make check-deb-chroot.
#
# timeout: 1800

. "$(dirname "$0")/common.sh"
. tests/package/deb_common.sh

release=bookworm
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

[ "$(id -u)" -eq 0 ] || skip "only root can make a chroot"
deb_needs debootstrap lintian git
unshare --mount true 2>/dev/null || skip "mounting is not allowed here"

# Runs in a chroot what the input says, with mounts that nobody else sees and that end with it.
inside() # root
{
	unshare --mount --pid --fork --kill-child /bin/sh -euc '
		mount -t proc proc "$1/proc"
		mount -t tmpfs tmpfs "$1/dev/shm"
		exec chroot "$1" /bin/sh -eu' inside "$1" >>"$work/log" 2>&1 ||
		fail "$(tail -n 40 "$work/log")"
}

clean_chroots() # folder...
{
	local folder

	mkdir -p "$build/debootstrap"
	debootstrap --variant=minbase --cache-dir="$(realpath "$build/debootstrap")" "$release" \
		"$work/clean" ${MIRROR:+"$MIRROR"} >>"$work/log" 2>&1 ||
		fail "debootstrap: $(tail -n 20 "$work/log")"
	for folder in "$@"; do
		cp -a "$work/clean" "$work/$folder"
	done
}

build_packages() # root
{
	mkdir "$1/package"
	git archive --prefix="$deb_source/" HEAD | tar -x -C "$1/package"
	inside "$1" <<-END
		apt-get update -q
		apt-get install -qy --no-install-recommends build-essential
		cd /package/$deb_source
		apt-get build-dep -qy --no-install-recommends ./
		useradd --create-home builder
		chown -R builder: /package
		setpriv --reuid=builder --regid=builder --clear-groups --no-new-privs \
			env HOME=/home/builder DEB_BUILD_OPTIONS=parallel=$(nproc) \
			dpkg-buildpackage -us -uc -b
	END
	cp "$1"/package/*.{deb,changes,buildinfo} "$work/packages/"
}

# What a test of the package says it needs, without the packages themselves.
test_depends()
{
	sed -n 's/^Depends: //p' debian/tests/control | tr -d ',' | tr ' ' '\n' |
		grep -v mapcache | sort -u | paste -sd ' '
}

try_packages() # root
{
	mkdir "$1/package"
	cp "$work"/packages/*.deb "$1/package/"
	cp -r debian/tests README.md "$1/package/"
	inside "$1" <<-END
		apt-get update -q
		apt-get install -qy --no-install-recommends /package/*.deb $(test_depends)
		cd /package
		for test in \$(sed -n 's/^Tests: //p' tests/control); do
			echo "== \$test"
			setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs tests/\$test
		done
		apt-get purge -qy $deb_packages
		! ls -d /usr/include/mapcache /usr/lib/*/libmapcache.a /usr/share/doc/libmapcache* 2>/dev/null
	END
}

trap 'rm -rf "$work/clean" "$work/build" "$work/use"' EXIT
mkdir "$work/packages"
clean_chroots build use
build_packages "$work/build"
deb_check "$work/packages"
try_packages "$work/use"
sed -n '/^== /,/^Reading package lists/p' "$work/log"
