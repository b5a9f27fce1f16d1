#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/run itself: what it counts as passed, failed and skipped, and that it cannot be
# talked into success.

. "$(dirname "$0")/common.sh"

check() # name, lines of a shell script from the input
{
	{
		echo '#!/bin/sh'
		cat
	} >"$work/$1"
	chmod +x "$work/$1"
}

# The closing line and the exit status of a run of these checks.
expect() # closing line, status, check...
{
	local wanted=$1 wanted_status=$2 status=0 last
	shift 2

	B=$work SAN='' TALLY='' tests/run "${@/#/$build/package/runner/}" >"$work/output" 2>&1 ||
		status=$?
	last=$(tail -n 1 "$work/output")
	[[ $last == "$wanted" && $status -eq $wanted_status ]] || {
		cat "$work/output"
		fail "$*: \"$last\" and status $status instead of \"$wanted\" and $wanted_status"
	}
}

cmocka_output() # announced, passed, failed
{
	echo "echo '[==========] Running $1 test(s).'"
	echo "echo '[  PASSED  ] $2 test(s).'"
	[[ $3 -eq 0 ]] || printf "echo ' %d FAILED TEST(S)'\nexit %d\n" "$3" "$3"
}

check good <<<'exit 0'
check bad <<<'echo the reason; exit 1'
check skipped <<<'echo nothing to run it on; exit 77'
check killed <<<'kill -SEGV $$'
check endless <<<$'# timeout: 1\nsleep 60'
check counts <<<'echo 5 passed, 0 failed, 1 skipped'
check counts_failures <<<'echo 5 passed, 2 failed; exit 1'
check counts_but_fails <<<'echo 5 passed, 0 failed; exit 1'
cmocka_output 3 3 0 | check cases
cmocka_output 3 1 2 | check cases_failing
cmocka_output 3 2 0 | check cases_lost
{ cmocka_output 3 3 0; echo 'exit 1'; } | check cases_and_a_leak

# A case that was skipped, as Debian 12's cmocka tells it and as Debian 13's does.
cmocka_skipped() # what comes before the count
{
	cmocka_output 3 2 0
	printf "echo '[  SKIPPED ] %s1 test(s), listed below:'\n" "$1"
	echo "echo '[  SKIPPED ] it_needs_what_is_not_here'"
}
cmocka_skipped '' | check cases_skipped
cmocka_skipped 'tests: ' | check cases_skipped_13

# Two that wait for each other, and one that only a signal ends.
meet() # own, other
{
	echo "touch $work/$1.here; for i in \$(seq 200); do"
	echo "[ -e $work/$2.here ] && exit 0; sleep 0.1; done; exit 1"
}
meet first second | check meets
{ echo '# beside the others'; meet second first; } | check meets_aside
check bad_aside <<<$'# beside the others\nexit 1'
check endless_aside <<<$'# beside the others\necho $$ >'"$work/pid"$'\nexec sleep 60'

expect '1 passed, 0 failed' 0 good
expect '1 passed, 1 failed' 1 bad good
expect '1 passed, 0 failed, 1 skipped' 0 good skipped
expect '0 passed, 1 failed' 1 killed
expect '0 passed, 1 failed' 1 endless
expect '5 passed, 0 failed, 1 skipped' 0 counts
expect '5 passed, 2 failed' 1 counts_failures
expect '5 passed, 1 failed' 1 counts_but_fails
expect '3 passed, 0 failed' 0 cases
expect '1 passed, 2 failed' 1 cases_failing
expect '2 passed, 1 failed' 1 cases_lost
expect '3 passed, 1 failed' 1 cases_and_a_leak
expect '2 passed, 0 failed, 1 skipped' 0 cases_skipped
expect '2 passed, 0 failed, 1 skipped' 0 cases_skipped_13
grep -c SKIPPED "$work/output" | grep -qx 1 || fail "a skipped case is not told once, by its name"
expect '2 passed, 0 failed' 0 meets meets_aside
expect '1 passed, 1 failed' 1 good bad_aside
expect '0 passed, 1 failed' 1 no_such_file
expect '0 passed, 0 failed' 1

expect '0 passed, 0 failed, 1 skipped' 0 skipped
grep -q 'nothing to run it on' "$work/output" || fail "the reason of a skip is not shown"
expect '0 passed, 1 failed' 1 bad
grep -q 'the reason' "$work/output" || fail "what a failed check printed is not shown"

# Who ends it ends what it has begun.
B=$work tests/run "$build/package/runner/endless_aside" >"$work/output" 2>&1 &
run=$!
for ((i = 0; i < 100; i++)); do
	[[ ! -s $work/pid ]] || break
	sleep 0.1
done
kill "$run"
wait "$run" || true
for ((i = 0; i < 100; i++)); do
	kill -0 "$(cat "$work/pid")" 2>/dev/null || exit 0
	sleep 0.1
done
fail "a check goes on though its run was ended"
