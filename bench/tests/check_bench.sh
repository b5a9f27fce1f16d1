#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The benchmark program itself: every scenario runs and reports a positive figure for all that
# take part, every kind of nonsense is refused. Figures are not judged.
# timeout: 240

set -u
cd "$(dirname "$0")/../.." || exit 1

if [[ ${SAN:-} == *thread* ]]; then
	echo "skipped: contestants read and write guest memory without order, as devices do"
	exit 77
fi

bench=${B:-build}/bench/mapcache-bench
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
passed=0 failed=0

verdict() # what, status
{
	if [[ $2 -eq 0 ]]; then
		passed=$((passed + 1))
	else
		echo "failed: $1"
		failed=$((failed + 1))
	fi
}

# runs NAME ROWS OPTIONS...: exit status 0 and that many rows at least, none below 0. As short as
# the scenario lets it be.
runs()
{
	local name=$1 rows=$2 csv=$folder/rows.csv short=(--rounds 1 --duration 3)
	shift 2
	case ${!#} in
	miss | refresh | answer | release) short=(--rounds 1) ;;
	footprint | vstorm | budget) short=() ;;
	idle) short=(--duration 100) ;;
	esac
	"$bench" "${short[@]}" --csv "$csv" "$@" >"$folder/out" 2>&1 &&
		awk -F, -v rows="$rows" 'NR > 1 && $8 < 0 { bad = 1 }
			END { exit bad || NR <= rows }' "$csv"
	local status=$?
	[[ $status -eq 0 ]] || cat "$folder/out"
	verdict "$name" "$status"
}

# refuses STATUS OPTIONS...: that exit status and a message.
refuses()
{
	local wanted=$1 message
	shift
	message=$("$bench" "$@" 2>&1 >/dev/null)
	[[ $? -eq $wanted && -n $message ]]
	verdict "refusal of $*" $?
}

runs "hit, every contestant" 7 --working-set 2 --threads 1 \
	--contestants limit,ours,striped,qemu,demu,eager,raw hit
runs "hit, writes, zipf, pinned" 4 --working-set 8 --threads 1,2 --write 50 --pinned 50 \
	--distribution zipf --contestants ours,qemu hit
runs "hit with misses" 1 --working-set 16 --resident 50 --contestants ours --threads 1 hit
runs "pin" 6 --working-set 2 pin
runs "miss" 10 miss
runs "refresh" 3 refresh
runs "answer" 9 --working-set 4,70 answer
runs "storm, every contestant" 60 --working-set 4 --rate 1000 --pattern scattered \
	--contestants limit,ours,striped,qemu,demu,eager storm
runs "storm, two readers that write" 10 --working-set 4 --rate 1000 --pattern rings --write 20 \
	--threads 2 --contestants ours storm
runs "storm with pins" 10 --working-set 4 --rate 1000 --pattern rings --pinned 10 \
	--contestants ours storm
runs "policies" 24 --working-set 4 --rate 1000 --pattern uniform --write 20 --pinned 10 \
	--policies default,granule-64K,reclaim-5 policies
runs "vstorm" 32 --working-set 8 --rate 100 --pattern rings vstorm
runs "release" 6 --working-set 16 release
runs "throughput" 6 --threads 1,2 throughput
runs "reverse" 1 --working-set 16 reverse
runs "dma" 3 --working-set 10 dma
runs "footprint" 4 --working-set 16 footprint
runs "idle" 2 idle
runs "budget" 6 --working-set 64 budget
runs "scale" 13 --threads 1,3 --working-set 4 scale
runs "another bucket size" 2 --bucket-shift 16 --working-set 64 --contestants ours,qemu \
	--threads 1 hit

# A guest whose RAM does not begin at 0 is measured at its own addresses: elsewhere is nothing.
for scenario in hit miss dma release; do
	runs "a guest at 1 GiB: $scenario" 1 --guest-base 0x40000000 "$scenario"
done 2>/dev/null

# What is small is not rounded to nothing.
"$bench" --rounds 1 --duration 3 --working-set 4 --rate 1000 --pattern rings --cost arm \
	--cost-unit 1000000 --contestants demu storm 2>/dev/null |
	awk '/ accesses / { seen = 1; nothing = $(NF - 1) == 0 } END { exit !seen || nothing }'
verdict "no accesses are 0.00 M/s" $?

# Somebody else at work is noticed, and told; figures are given all the same.
for ((i = 0; i < 2 * $(nproc); i++)); do
	timeout 20 sh -c 'while :; do :; done' &
done
"$bench" --rounds 3 --duration 50 --working-set 4 --threads 1 --contestants ours \
	--json "$folder/busy.json" hit >/dev/null 2>"$folder/busy"
status=$?
kill $(jobs -p)
[[ $status -eq 0 ]] && grep -q 'not quiet: meanwhile other programs had [0-9]* %' "$folder/busy" &&
	grep -qE '"others_percent": [0-9]' "$folder/busy.json"
verdict "a warning when the machine is not quiet" $?

"$bench" --rounds 1 --duration 1 --working-set 1024 --json "$folder/out.json" reverse \
	>/dev/null 2>&1 && grep -Eq '^  "reverse_ns": [0-9.]+,$' "$folder/out.json"
verdict "figures at the top level of the JSON" $?

# Every figure that has a goal is measured somewhere, and stands in docs/benchmarks.md.
sed -nE 's/^\tX\(([a-z0-9_]+),.*/\1/p' bench/goals.h | sort >"$folder/keys"
[[ $(wc -l <"$folder/keys") -ge 44 ]]
verdict "the keys of goals.h" $?
while read -r key; do
	grep -qw "GOAL_$key" bench/*.c
	verdict "$key is measured" $?
done <"$folder/keys"
sed -nE '/^\| figures/,/^$/s/^\| (`[^|]*) \|.*/\1/p' docs/benchmarks.md | grep -o '[a-z0-9_]*' |
	sort >"$folder/named"
diff -u "$folder/keys" "$folder/named"
verdict "the keys of docs/benchmarks.md" $?

! nm "$bench" | grep -E ' (mapcache_ptr_(fast|bucket)|(ours|limit|qemu)_(read|write|pointer))$'
verdict "no look-up of a timed loop is a call" $?

for scenario in scale refresh footprint; do
	rounds=(--rounds 1)
	[[ $scenario != footprint ]] || rounds=()
	"$bench" "${rounds[@]}" --csv "$folder/one.csv" "$scenario" >/dev/null 2>&1
	cat "$folder/one.csv"
done >"$folder/all.csv"
bench/model "$folder/all.csv" | awk '$1 == "256" && $2 > 0 { found = 1 } END { exit !found }'
verdict "the model of larger machines" $?
LOADS=one COSTS=none PATTERNS=rings RATES=1000 ROUNDS=1 MS=2 POLICIES=default,reclaim-5 \
	bench/storms "$folder" 2>/dev/null | grep -q '^| none | rings | 1000 |'
verdict "the tables of storms" $?
"$bench" --help | grep -q "usage: mapcache-bench"
verdict "help" $?

refuses 2
refuses 2 nonsense
refuses 2 hit pin
refuses 2 --rounds 0 hit
refuses 2 --rounds 1x hit
refuses 2 --working-set 1,,2 hit
refuses 2 --working-set -1 hit
refuses 2 --threads 1000 hit
refuses 2 --skew nan hit
refuses 2 --pattern squares hit
refuses 2 --bucket-shift 11 hit
refuses 2 --granule-shift 12 hit
refuses 2 --contestants ours,nobody hit
refuses 2 --policies default,none policies
refuses 2 --seed hit
refuses 2 --json /nonexistent/folder/file hit
refuses 1 --working-set 1048576 hit
refuses 1 --contestants demu pin
refuses 1 --contestants demu --pinned 10 --rate 1000 --pattern rings storm
refuses 2 --contestants qemu reverse
refuses 2 --rate 100 hit
refuses 2 --policies default storm
refuses 2 --write 50 pin
refuses 2 --duration 10 miss
refuses 2 --working-set 64 quick
refuses 2 --cost pv vstorm
refuses 2 --domid 3 hit
refuses 2 --skew 0.5 hit
refuses 2 --cost-unit 500 hit
refuses 2 --guest-base 100 hit

echo "$passed passed, $failed failed"
[[ $failed -eq 0 ]]
