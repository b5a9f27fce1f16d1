# SPDX-License-Identifier: MIT
#
# For the checks that work in clean chroots: to be sourced after common.sh. They need root and the
# network (MIRROR: where Debian is). The log of everything is $work/log.

export DEBIAN_FRONTEND=noninteractive LC_ALL=C

chroot_needs()
{
	[ "$(id -u)" -eq 0 ] || skip "only root can make a chroot"
	have debootstrap || skip "there is no debootstrap here: make deps FOR=chroot"
	unshare --mount true 2>/dev/null || skip "mounting is not allowed here"
}

# Runs in a chroot what the input says, with mounts and processes that nobody else sees and that
# end with it.
inside() # root
{
	unshare --mount --pid --fork --kill-child /bin/sh -euc '
		mount -t proc proc "$1/proc"
		mount -t tmpfs tmpfs "$1/dev/shm"
		exec chroot "$1" /bin/sh -eu' inside "$1" >>"$work/log" 2>&1
}

# A Debian without anything but itself, in $work/clean.
clean_chroot() # release
{
	mkdir -p "$build/debootstrap"
	debootstrap --variant=minbase --cache-dir="$(realpath "$build/debootstrap")" "$1" \
		"$work/clean" ${MIRROR:+"$MIRROR"} >>"$work/log" 2>&1 ||
		fail "debootstrap: $(tail -n 20 "$work/log")"
}
