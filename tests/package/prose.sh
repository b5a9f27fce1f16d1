#!/bin/bash
# SPDX-License-Identifier: MIT
#
# README and docs/ are short enough to be read, no line of a table is too long for it, header and
# manual quote the guarantees as README.md has them, and the tests that the documents name
# are there.

. "$(dirname "$0")/common.sh"

pages=(README.md docs/*.md)
words=$(cat "${pages[@]}" | wc -w)
[ "$words" -le 12000 ] || fail "README.md and docs/*.md have $words words, 12000 are allowed"

# docs/facts.md is what tests/conformance prints.
for page in README.md CONTRIBUTING.md docs/*.md; do
	[ "$page" = docs/facts.md ] && continue
	awk -v page="$page" '/^\|/ && length > 200 { print page ":" FNR ": " length " characters" }' \
		"$page"
done >"$work/long"
[ ! -s "$work/long" ] || fail "table lines of more than 200 characters:" "$(cat "$work/long")"

# Goals in the table of results are those of the benchmark.
bench/results | cut -d '|' -f 2,3 >"$work/goals"
[ "$(wc -l <"$work/goals")" -gt 10 ] || fail "docs/benchmarks.md has no table of results"
sed -n '/^| figures | goal/,/^$/p' docs/benchmarks.md | grep . | cut -d '|' -f 2,3 |
	diff -u "$work/goals" - >"$work/differences" ||
	fail "goals in bench/goals.h (-) and docs/benchmarks.md (+):" "$(cat "$work/differences")"

# One guarantee a line: "LETTER text", without markup.
sed -nE 's/^\| ([A-J]) \| (.*) \|$/\1 \2/p' README.md | tr -d '`' >"$work/readme"
sed -n '/^ \* Guarantees/,/^ \*$/p' include/mapcache/mapcache.h |
	awk '/^ \*   [A-J]  / { if (text) print text; text = $2; $1 = $2 = "" }
		/^ \* Guarantees/ { next }
		text { sub(/^ \*/, ""); text = text " " $0 }
		END { print text }' | tr -s ' ' | sed 's/ $//' >"$work/header"
awk '/^\.Sh/ || /^\.El/ { inside = /GUARANTEES/ }
	!inside || /^\.(Sh|Bl)/ { next }
	/^\.It / { if (text) print text; text = $2; next }
	/^\.Fn / { $2 = $2 "()" }
	/^\./ { $1 = ""; $0 = substr($0, 2); for (i = 2; i <= NF; i++) { $1 = $1 $i; $i = "" } }
	{ text = text " " $0 }
	END { print text }' man/mapcache.7 | tr -s ' ' | sed 's/ $//' >"$work/manual"
[ "$(wc -l <"$work/readme")" -eq 10 ] || fail "README.md has not the ten guarantees"
for copy in header manual; do
	diff -u "$work/readme" "$work/$copy" >"$work/differences" ||
		fail "guarantees in README.md (-) and in the $copy (+):" "$(cat "$work/differences")"
done

# What stands in backquotes and looks like a test or a case of one.
grep -oh '`[a-z0-9][a-z0-9_-]*`' docs/peers.md docs/invariants.md docs/hostile-guest.md docs/adopting.md |
	tr -d '`' | sort -u >"$work/names"
while read -r name; do
	case $name in
	test_*) compgen -G "tests/*/$name.c" >/dev/null || fail "no test $name" ;;
	*_*_*_*) grep -rqw --include='*.[ch]' "$name" tests || fail "no case $name" ;;
	esac
done <"$work/names"
