# SPDX-License-Identifier: MIT
#
# For the scripts beside it, which source this: the top folder as the current one, and the words
# they share. A script sets folder (built there), arguments (of make), and launcher (which runs a
# program), and chosen (the tests of the short form; none: all).

set -u
cd "$(dirname "$0")/../.." || exit 1
unset B CC CXX AR NM OBJCOPY CROSS_COMPILE SAN CFLAGS LDFLAGS TALLY

skip() # reason
{
	echo "$*"
	exit 77
}

have()
{
	command -v "$1" >/dev/null
}

# Debian's test library for an architecture.
need_cmocka() # architecture
{
	cmocka=$PWD/build/foreign/$1
	tests/foreign/fetch "$1" "$cmocka" >"$cmocka.log" 2>&1 || {
		tail -n 1 "$cmocka.log"
		exit 77
	}
}

build()
{
	[[ ${MAPCACHE_FOREIGN:-} != all ]] || chosen=
	make --no-print-directory -j2 FOREIGN=1 FOREIGN_TESTS="$chosen" "${arguments[@]}" \
		CMOCKA_LIBS="$cmocka/libcmocka.so.0" foreign-programs >"$folder.log" 2>&1 || {
		tail -n 40 "$folder.log"
		echo '0 passed, 1 failed'
		exit 1
	}
}

# Runs programs two at a time. A line for each that failed or was left out.
run_tests() # name of an array: why a test is left out
{
	local -n left_out=$1
	local program name

	results=$(mktemp -d "$folder/results.XXXX")
	for program in "$folder"/tests/unit/test_*; do
		[[ -x $program && -f $program ]] || continue
		name=$(basename "$program")
		[[ -z $chosen || " $chosen " == *" $name "* ]] || continue
		if [[ -n ${left_out[$name]:-} ]]; then
			echo "$name: left out: ${left_out[$name]}"
			echo skipped >"$results/$name.status"
			continue
		fi
		echo "$name"
	done >"$results/list"
	grep 'left out' "$results/list"
	grep -v 'left out' "$results/list" | xargs -P 2 -I NAME bash -c '
		timeout 300 "${@:3}" "$1/tests/unit/NAME" >"$2/NAME.log" 2>&1 </dev/null
		echo $? >"$2/NAME.status"' - "$folder" "$results" "${launcher[@]}"
}

# Which half of the asymmetric fence those tests ran with: the kernel, or its emulation, decides.
flavour()
{
	[[ -e $results/test_barrier.log ]] || return
	if grep -q '\[  SKIPPED \]' "$results/test_barrier.log"; then
		echo 'membarrier(2) is refused here: sections with full fences were tested'
	else
		echo 'membarrier(2) works here: both flavours were tested'
	fi
}

torture() # arguments of the program
{
	timeout 120 "${launcher[@]}" "$folder/tests/torture/torture" "$@" \
		>"$results/torture.log" 2>&1 </dev/null
	echo $? >"$results/torture.status"
	echo "torture $*: $(tail -n 1 "$results/torture.log")"
}

# The last line adds up the programs.
finish()
{
	local file status passed=0 failed=0 skipped=0

	for file in "$results"/*.status; do
		status=$(cat "$file")
		case $status in
		0) passed=$((passed + 1)) ;;
		skipped | 77) skipped=$((skipped + 1)) ;;
		*)
			failed=$((failed + 1))
			echo "---- $(basename "$file" .status): status $status"
			tail -n 20 "${file%.status}.log"
			;;
		esac
	done
	rm -rf "$results"
	echo "$passed passed, $failed failed, $skipped skipped"
	[[ $failed -eq 0 && $passed -gt 0 ]]
}
