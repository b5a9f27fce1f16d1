#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The README's two commands on a fresh Debian that has make and git and nothing else: everything they
# miss they install, everything passes. What is committed is tried. Takes the better part of an
# hour, and therefore has a command of its own: make check-fresh RELEASE=trixie (default: bookworm).
#
# timeout: 7200

. "$(dirname "$0")/common.sh"
. tests/package/chroot_common.sh

release=${RELEASE:-bookworm}
chroot_needs

# The closing line of each command, from the log of it in the chroot.
closing() # command
{
	tail -n 1 "$work/clean/root/$1.log"
}

trap 'rm -rf "$work/clean"' EXIT
clean_chroot "$release"
git clone -q . "$work/clean/root/libmapcache"
inside "$work/clean" <<-END || true
	apt-get update -q
	apt-get install -qy --no-install-recommends make git
	cd /root/libmapcache
	export CI=true MAPCACHE_XEN_REQUIRED=1
	make demo DEMO_ARGS="--seconds 10" >/root/demo.log 2>&1 || echo "make demo: \$?"
	make check >/root/check.log 2>&1 || echo "make check: \$?"
END
mkdir -p "$work/logs"
cp "$work"/clean/root/*.log "$work/logs/" || fail "$(tail -n 20 "$work/log")"
cp -r "$work/clean/root/libmapcache/build/check" "$work/logs/" || true

echo "Debian $(cat "$work/clean/etc/debian_version"):"
echo "make demo: $(closing demo)"
sed -n '/^  \(skip\|FAIL\)/p' "$work/logs/check.log"
! grep -q '^make \(demo\|check\):' "$work/log" || fail "$(grep '^make ' "$work/log")"
closing check
