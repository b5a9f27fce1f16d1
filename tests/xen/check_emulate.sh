#!/bin/bash
# SPDX-License-Identifier: MIT
# beside the others
#
# tests/xen/emulate with machines that are none: it feeds them, tells standing still from being
# slow, passes on how they end, and leaves nothing running.

set -eu
cd "$(dirname "$0")/../.."
work=${B:-build}/check/emulate
mkdir -p "$work"
console=$work/console

fail()
{
	echo "$*" >&2
	[[ ! -s $console ]] || cat "$console" >&2
	exit 1
}

expect() # status, expression for the last line, command...
{
	local wanted=$1 expression=$2 status=0
	shift 2

	XEN_STILL_SECONDS=3 XEN_SECONDS=${XEN_SECONDS:-6} tests/xen/emulate "$@" >"$console" || status=$?
	[[ $status -eq $wanted ]] || fail "$*: status $status, not $wanted"
	tail -n 1 "$console" | grep -qE "^MACHINE $expression" || fail "$*: not told as $expression"
}

gone() # pid
{
	for ((i = 0; i < 50; i++)); do
		[[ -d /proc/$1 ]] || return 0
		sleep 0.1
	done
	return 1
}

expect 3 'ended with status 3' sh -c 'exit 3'
expect 125 'stands still' sleep 60
# shellcheck disable=SC2016
expect 125 'stands still' sh -c 'echo $$; exec sleep 60'
gone "$(head -n 1 "$console")" || fail "a machine that stood still was left running"
XEN_SPIN_SECONDS=1 XEN_SECONDS=60 expect 125 'spins' sh -c 'while :; do :; done'
# Busy without a word, and idle with a sign of life.
expect 124 'is out of time.* ran for' sh -c 'while :; do :; done'
expect 124 'is out of time' sh -c 'while echo ALIVE; do sleep 1; done'

# Two bytes a machine: without them it would wait for ever.
expect 0 'ended with status 0' od -An -tx1 -N 2
grep -q '^ 11 11$' "$console" || fail "the machine was not fed with XON"

# Who ends it ends the machine.
# shellcheck disable=SC2016
tests/xen/emulate sh -c 'echo $$; exec sleep 60' >"$console" &
for ((i = 0; i < 50; i++)); do
	[[ ! -s $console ]] || break
	sleep 0.1
done
kill "$!"
wait "$!" && fail "ended by a signal, and says that all is well"
gone "$(head -n 1 "$console")" || fail "the machine goes on though its watcher was ended"
