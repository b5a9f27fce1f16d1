#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The Debian packages in clean chroots of the release that they are for, which have nothing but
# what the packages ask for: built in one of them, with their unit tests, by a user without
# privileges; installed in another one, where their own tests pass; removed again. Takes minutes
# and the network (MIRROR: where Debian is), and therefore has a command of its own:
# make check-deb-chroot. RELEASE: another one than Debian 12.
#
# timeout: 1800

. "$(dirname "$0")/common.sh"
. tests/package/deb_common.sh
. tests/package/chroot_common.sh

release=${RELEASE:-bookworm}
chroot_needs
deb_needs lintian git

try_inside() # root
{
	inside "$1" || fail "$(tail -n 40 "$work/log")"
}

build_packages() # root
{
	mkdir "$1/package"
	git archive --prefix="$deb_source/" HEAD | tar -x -C "$1/package"
	try_inside "$1" <<-END
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
	try_inside "$1" <<-END
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
clean_chroot "$release"
cp -a "$work/clean" "$work/build"
cp -a "$work/clean" "$work/use"
build_packages "$work/build"
deb_check "$work/packages"
try_packages "$work/use"
sed -n '/^== /,/^Reading package lists/p' "$work/log"
