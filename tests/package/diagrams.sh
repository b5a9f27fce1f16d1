#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every diagram and figure was drawn from its source as it is now, and is used by a page. Plots call
# designs as the text does, and draw no line through what did not answer what it was asked.

. "$(dirname "$0")/common.sh"

for source in docs/diagrams/*.dot; do
	name=$(basename "$source" .dot)
	sum=$(sha256sum "$source" | cut -c 1-16)
	grep -qF "<!-- $name.dot $sum -->" "docs/diagrams/$name.svg" ||
		fail "docs/diagrams/$name.svg is not drawn from $source: tools/diagrams"
	grep -qF "diagrams/$name.svg" docs/*.md || fail "no page shows docs/diagrams/$name.svg"
done

tools/qemu_figure >"$work/qemu.svg" || fail "no figure of the comparison with QEMU"
cmp -s "$work/qemu.svg" docs/plots/qemu.svg ||
	fail "docs/peers.md has changed: tools/qemu_figure >docs/plots/qemu.svg"
for plot in docs/plots/*.svg; do
	grep -qF "plots/$(basename "$plot")" README.md docs/*.md || fail "no page shows $plot"
done

# The names of docs/benchmarks.md.
sed -nE '/^\| contestant/,/^$/s/^\| (`.*`) \|.*/\1/p' docs/benchmarks.md | grep -o '[a-z]*' |
	sort -u >"$work/contestants"
[ "$(wc -l <"$work/contestants")" -ge 6 ] || fail "docs/benchmarks.md names no contestants"
grep -ho ' title "[a-z]*' bench/plots/*.gnuplot | sed 's/.*"//' | sort -u |
	comm -13 "$work/contestants" - | grep . && fail "names in plots that the text does not have"

for plot in bench/plots/*.gnuplot; do
	plot=docs/plots/$(basename "$plot" .gnuplot).svg
	grep -q '>ours[,<]' "$plot" || fail "$plot was drawn before designs got their names: make bench"
done

have gnuplot || exit 0
{
	echo "scenario,contestant,variant,buckets,threads,rate,metric,value,unit"
	for row in limit,9998 ours,9990 qemu,63; do
		echo "storm,${row%,*},rings,64,1,10000,answered,${row#*,},per s"
		echo "storm,${row%,*},rings,64,1,10000,accesses,5,M/s"
	done
	echo "scale,ours,uniform,64,1,0,access,3,ns"
	echo "scale,ours,uniform,64,8,0,access,9,ns"
} >"$work/rows.csv"
echo '"cpus": 2' >"$work/rows.json"
bench/plots/plot "$work/rows.csv" "$work" >"$work/output" || fail "$(cat "$work/output")"
for name in '>qemu, hollow<' '>ours<'; do
	grep -q "$name" "$work/storm.svg" || fail "the plot of storms has no $name"
done
! grep -qE '>(ours, hollow|qemu)<' "$work/storm.svg" ||
	fail "63 of 10,000 requests are on a line, or 9,990 are not"
grep -q 'more threads than the 2 CPUs' "$work/scale.svg" || fail "threads beyond the CPUs are not marked"
