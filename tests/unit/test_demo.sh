#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The demo on a small image: the whole way from a guest's request to the file and back, in
# both answer modes and with big and small buckets; then everything it must refuse.
#
# timeout: 240

set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
demo=$B/examples/demo
good=$B/demo/small.ext4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

if [ ! -x "$demo" ] || [ ! -x "$B/tests/unit/demo_deaf" ] || [ ! -f "$good" ]; then
	echo "not built: $demo, $good"
	exit 1
fi

report() { # NAME RESULT
	if [ "$2" -eq 0 ]; then
		passed=$((passed + 1))
		echo "ok: $1"
	else
		failed=$((failed + 1))
		echo "FAILED: $1"
		sed 's/^/    /' "$work/output"
	fi
}

run() { # ARGUMENT...
	"$demo" "$@" >"$work/output" 2>&1
	status=$?
	verdict=$(tail -n 1 "$work/output")
}

field() { # NAME: of the JSON
	sed -n "s/^  \"$1\": \"\{0,1\}\([^,\"]*\).*/\1/p" "$work/json"
}

serves() { # NAME ARGUMENT...
	local name=$1 result=1
	shift
	run --image "$good" --seconds 1 --json "$work/json" "$@"
	[ "$status" -eq 0 ] && [[ $verdict == "demo: OK"* ]] && [ "$(field verdict)" = OK ] &&
		[ "$(field stale_reads)" = 0 ] && [ "$(field pages_leaked)" = 0 ] &&
		[ "$(field sha256_guest)" = "$(sha256sum <"$good" | cut -d ' ' -f 1)" ] && result=0
	[ "$(field balloon_rate)" = 0 ] || [ "$(field invalidates)" -gt 0 ] || result=1
	report "$name" "$result"
}

refuses() { # NAME PATTERN ARGUMENT...
	local name=$1 pattern=$2 result=1
	shift 2
	run "$@"
	[ "$status" -eq 1 ] && [[ $verdict == "demo: FAILED "*$pattern* ]] && result=0
	report "$name" "$result"
}

before=$(sha256sum <"$good")
serves "serves the image as it is, with default options"
serves "serves it with sections drained before each answer" --ack drained
serves "serves it with buckets of one page" --bucket-shift 12 --balloon-rate 2000
serves "serves it with buckets bigger than the guest" --bucket-shift 24 --balloon-rate 100
serves "serves it without ballooning" --balloon-rate 0
[ "$before" = "$(sha256sum <"$good")" ]
report "leaves the image that was given alone" $?

# The control: stale data, or the device's own rings gone astray, whichever comes first.
demo=$B/tests/unit/demo_deaf
refuses "notices a device model that keeps its old mappings" "" \
	--image "$good" --seconds 1 --balloon-rate 2000
demo=$B/examples/demo

head -c 1000000 "$good" >"$work/cut"
cp "$good" "$work/spoilt"
dd if=/dev/zero of="$work/spoilt" bs=4096 seek=2 count=200 conv=notrunc status=none
head -c 65536 /dev/zero >"$work/zeroes"
refuses "refuses an image that is missing" "No such file" --image "$work/missing"
refuses "refuses a damaged image" "is damaged, says e2fsck" --image "$work/spoilt"
refuses "refuses an image that was cut off" "is damaged, says e2fsck" --image "$work/cut"
refuses "refuses what is no ext4" "not an ext4" --image "$work/zeroes"
refuses "refuses a folder" "not a file" --image "$work"
refuses "refuses an unknown option" "unknown option" --image "$good" --bogus
refuses "refuses a bad number" "--seconds" --image "$good" --seconds 0
refuses "refuses a bucket that is too small" "--bucket-shift" --image "$good" --bucket-shift 11
refuses "refuses an unknown answer mode" "--ack" --image "$good" --ack later
refuses "refuses to run without an image" "no --image"
refuses "says so when the figures cannot be written" "No such file" \
	--image "$good" --seconds 1 --json "$work/no/where"
run --help
[ "$status" -eq 0 ] && grep -q -- --balloon-rate "$work/output"
report "explains itself" $?

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
