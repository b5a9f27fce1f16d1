#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Explores every interleaving of tests/model/ioreq.pml within the bounds of each line below
# (README.md), and checks that each mistake that can be switched on is found.
#
# timeout: 600
# beside the others

set -u
cd "$(dirname "$0")/../.." || exit 1
model=$PWD/tests/model/ioreq.pml
work=${B:-build}/model/spin
compiler=${SPIN_CC:-gcc}

for tool in spin "$compiler"; do
	if ! command -v "$tool" >/dev/null; then
		echo "$tool is not installed"
		exit 77
	fi
done
mkdir -p "$work"
passed=0 failed=0

# Builds the verifier of one variant in its own folder and runs it. What it says goes to $log.
explore() # compiler flags, verifier flags, model flags...
{
	local flags=$1 options=$2 folder
	shift 2

	folder=$(mktemp -d "$PWD/$work/XXXXXX")
	log=$folder.log
	(
		cd "$folder" || exit 1
		spin -a "$@" "$model" &&
			"$compiler" -w -DMEMLIM=1024 $flags -o verify pan.c &&
			./verify -m100000 $options
	) >"$log" 2>&1
	rm -rf "$folder"
}

report() # verdict, what
{
	local states

	states=$(sed -n 's/^ *\([0-9]*\) states, stored.*/\1/p' "$log")
	if [[ $1 == ok ]]; then
		passed=$((passed + 1))
		rm -f "$log"
	else
		failed=$((failed + 1))
		cat "$log"
	fi
	echo "$1: $2 (${states:-no} states)"
}

complete()
{
	grep -q 'errors: 0$' "$log" && ! grep -qE 'Search not completed|depth too small' "$log"
}

# Safety: no assertion fails, and nobody is left waiting at the end.
holds() # what, model flags...
{
	local what=$1
	shift

	explore '-O1 -DSAFETY' '' "$@"
	if complete; then report ok "$what"; else report FAILED "$what"; fi
}

# Liveness, with weak fairness: every request is answered.
lives()
{
	local what=$1
	shift

	explore '-O1 -DNFAIR=3' '-a -f' -DLIVENESS "$@"
	if complete; then report ok "$what"; else report FAILED "$what"; fi
}

# The mistake is found, in the way that the pattern says.
caught() # pattern, what, model flags...
{
	local pattern=$1 what=$2
	shift 2

	explore -DSAFETY '' "$@"
	if grep -qE "^pan:1: $pattern" "$log"; then
		report ok "found: $what"
	else
		report FAILED "found: $what"
	fi
}

caught_by_liveness()
{
	local what=$1
	shift

	explore -DNFAIR=3 '-a -f' -DLIVENESS "$@"
	if grep -q '^pan:1: acceptance cycle' "$log"; then
		report ok "found: $what"
	else
		report FAILED "found: $what"
	fi
}

stale='assertion violated .*shown>=need'
in_use='assertion violated .*shown>=must_see'

holds 'flag per vCPU: 2 vCPUs' -DVCPUS=2 -DCHANGES=2 -DMMIO
holds 'flag per vCPU: 3 vCPUs' -DVCPUS=3 -DMMIO
holds 'flag per vCPU: 2 vCPUs, 2 servers' -DVCPUS=2 -DSERVERS=2 -DMMIO
holds 'flag per vCPU: 2 vCPUs, one change from outside' -DVCPUS=2 -DOUTSIDE=1 -DMMIO
holds 'flag per vCPU: 2 vCPUs, two changes from outside' -DCHANGES=0 -DOUTSIDE=2 -DMMIO
holds 'flag per vCPU: 2 vCPUs, I/O thread' -DVCPUS=2 -DMMIO -DIO
holds 'server enabled meanwhile, twice' -DVCPUS=2 -DIO -DLATE
holds 'answer after a drain' -DVCPUS=2 -DMMIO -DIO -DDRAIN
holds 'one thread for two vCPUs, two items a request' -DVCPUS=2 -DMMIO -DSHARED -DITEMS=2
holds 'answers by a worker, one thread for two vCPUs' -DVCPUS=2 -DMMIO -DSHARED -DDEFER
holds 'answers by a worker, two items a request' -DVCPUS=2 -DMMIO -DDEFER -DITEMS=2
holds 'answers by a worker, two servers' -DVCPUS=2 -DSERVERS=2 -DMMIO -DSHARED -DDEFER

caught "$stale" 'flag per domain: two vCPUs give pages away at once' -DFLAG_PER_DOMAIN -DMMIO
caught "$stale" 'flag per domain: a change from outside' \
	-DFLAG_PER_DOMAIN -DCHANGES=0 -DOUTSIDE=1 -DMMIO
caught "$stale" 'a change from outside flags one vCPU only' \
	-DCHANGES=0 -DOUTSIDE=1 -DMMIO -DBUG_OUTSIDE_FLAGS_ONE
caught "$stale" 'answer before the epoch has moved' -DMMIO -DIO -DBUG_ANSWER_FIRST
caught "$stale" 'epoch sampled after the map call' -DMMIO -DIO -DBUG_STAMP_AFTER_MAP
caught "$stale" 'enable without invalidate' -DIO -DLATE -DBUG_ENABLE_ONLY
caught "$stale" 'invalidate before enable' -DIO -DLATE -DBUG_INVALIDATE_THEN_ENABLE
caught "$in_use" 'no drain although it was asked for' -DMMIO -DIO -DDRAIN -DBUG_NO_DRAIN
caught 'invalid end state' 'drain inside a section' -DMMIO -DDRAIN -DBUG_DRAIN_IN_SECTION
caught 'invalid end state' 'a request that is not answered' -DMMIO -DBUG_NO_ANSWER
caught 'invalid end state' 'a handler that waits for what another vCPU does after INVALIDATE' \
	-DMMIO -DSHARED -DDEFER -DBUG_HANDLER_WAITS
caught 'assertion violated' 'a request that is completed twice' -DMMIO -DDEFER -DBUG_COMPLETE_TWICE

lives 'every request is answered: 2 vCPUs' -DVCPUS=2 -DMMIO -DIO
lives 'every request is answered: 2 servers' -DVCPUS=1 -DSERVERS=2 -DMMIO -DIO
lives 'every request is answered, after a drain' -DVCPUS=2 -DMMIO -DIO -DDRAIN
lives 'every request is answered, by a worker' -DVCPUS=2 -DMMIO -DSHARED -DDEFER
caught_by_liveness 'a request that is not answered' -DMMIO -DIO -DBUG_NO_ANSWER
caught_by_liveness 'drain inside a section' -DMMIO -DIO -DDRAIN -DBUG_DRAIN_IN_SECTION

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
