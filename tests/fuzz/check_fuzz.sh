#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Builds the fuzz targets and runs each on the inputs kept in tests/fuzz/corpus/NAME and then
# on new ones. FUZZ_TARGETS="name ..." chooses targets; FUZZ_SEED another seed.
#
#	tests/fuzz/check_fuzz.sh [RUNS]
#
# Leaks are what a target finds at its exit: the leak detector cannot see pointers in memory that
# was mapped, and so cannot look after each input.
#
# timeout: 600

set -u
cd "$(dirname "$0")/../.." || exit 1
seed=${FUZZ_SEED:-1}
compiler=${FUZZ_CC:-clang}
sanitizers=address,undefined,fuzzer-no-link
build=build/san-${sanitizers//,/-}

if ! command -v "$compiler" >/dev/null; then
	echo "$compiler is not installed"
	exit 77
fi
if ! echo 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n < 0; }' |
	"$compiler" -x c -fsanitize=fuzzer,address -o /dev/null - 2>/dev/null; then
	echo "$compiler has no libFuzzer here (libclang-rt-dev)"
	exit 77
fi
unset B
# Where something was allocated is told by its innermost callers; more cost a tenth of the time.
export ASAN_OPTIONS=malloc_context_size=4${ASAN_OPTIONS:+:$ASAN_OPTIONS}
# Two at a time would build over what the other one runs.
mkdir -p "$build"
exec 9>"$build/lock"
flock 9
if ! make --no-print-directory -j2 CC="$compiler" SAN="$sanitizers" fuzz-programs >"/dev/null"; then
	echo '0 passed, 1 failed'
	exit 1
fi

passed=0 failed=0
for source in tests/fuzz/fuzz_*.c; do
	name=$(basename "$source" .c)
	[[ " ${FUZZ_TARGETS:-$name} " == *" $name "* ]] || continue
	corpus=$build/corpus/$name
	known=tests/fuzz/corpus/$name
	mkdir -p "$corpus" "$build/findings"
	inputs=("$corpus")
	[[ ! -d $known ]] || inputs+=("$known")
	log=$build/findings/$name.log
	# What a target does in about ten seconds: its line "short run: N", else 20000. Longer
	# inputs than "longest input: N", else 256, show nothing more.
	short=$(sed -n 's/^ \* short run: \([0-9]*\)$/\1/p' "$source")
	longest=$(sed -n 's/^ \* longest input: \([0-9]*\)$/\1/p' "$source")
	runs=${1:-${short:-20000}}
	if "$build/tests/fuzz/$name" -runs="$runs" -seed="$seed" -max_len="${longest:-256}" \
		-len_control=0 -entropic=0 -timeout=20 -detect_leaks=0 -rss_limit_mb=4096 \
		-artifact_prefix="$build/findings/$name-" "${inputs[@]}" >"$log" 2>&1; then
		echo "$name: $runs runs, seed $seed: $(grep -oE 'cov: [0-9]+ ft: [0-9]+' "$log" | tail -n 1)"
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		tail -n 60 "$log"
		echo "$name: failed; the input is in $build/findings"
	fi
done
echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
