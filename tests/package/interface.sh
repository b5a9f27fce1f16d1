#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The public interface is the one that tests/package/interface.txt announces, and that list
# breaks no promise of the last release, whose list is the newest of tests/package/releases
# (docs/abi.md): what was there is there unchanged, and nothing is new, unless the version says so.

. "$(dirname "$0")/common.sh"

announced=tests/package/interface.txt

list() # headers' folder
{
	echo "version $(tools/version)"
	tools/interface "$1"
}

# What was in the first list and is not in the second.
gone() # old, new
{
	comm -23 <(sed 1d "$1") <(sed 1d "$2")
}

# Versions between which nothing may go: the first number, and the second before 1.0.
series() # list
{
	sed -nE '1{s/^version 0\.([0-9]+)\..*/0.\1/p; s/^version ([1-9][0-9]*)\..*/\1/p}' "$1"
}

# Versions that have all the same: the first two numbers.
minor() # list
{
	sed -nE '1s/^version ([0-9]+\.[0-9]+)\..*/\1/p' "$1"
}

# Fails, and says why, when the second list breaks what the version of the first one promises.
keeps_promises() # old, new
{
	if [ "$(series "$1")" = "$(series "$2")" ] && [ -n "$(gone "$1" "$2")" ]; then
		echo "gone since $(head -n 1 "$1"), which promises them:"
		gone "$1" "$2"
		return 1
	fi
	if [ "$(minor "$1")" = "$(minor "$2")" ] && [ -n "$(gone "$2" "$1")" ]; then
		echo "new since $(head -n 1 "$1"), and the version does not say so:"
		gone "$2" "$1"
		return 1
	fi
}

export LC_ALL=C
list include/mapcache >"$work/now"
[ "$(wc -l <"$work/now")" -gt 100 ] || fail "tools/interface finds too little"
if ! diff -u "$announced" "$work/now" >"$work/differences"; then
	cat "$work/differences"
	fail "the interface has changed. If it is meant (docs/abi.md), raise the version, add a" \
		"line to CHANGELOG.md, and: (echo version \$(tools/version); tools/interface) >$announced"
fi

# ---- against the last release

release=$(find tests/package/releases -name '*.txt' 2>/dev/null | sort -V | tail -n 1)
if [ -n "$release" ]; then
	keeps_promises "$release" "$work/now" >"$work/differences" ||
		fail "$(cat "$work/differences")" "(docs/abi.md says what to do)"
fi

# ---- that it sees what it is for

change() # headers' expression for sed: the list after it
{
	rm -rf "$work/changed"
	cp -r include/mapcache "$work/changed"
	sed -i "$1" "$work/changed/mapcache.h"
	! cmp -s include/mapcache/mapcache.h "$work/changed/mapcache.h" || fail "no change: $1"
	list "$work/changed" >"$work/then"
}

breaking=(
	'/^int mapcache_gpa(/d'
	's/^int mapcache_close(struct mapcache \*cache);/void mapcache_close(struct mapcache *cache);/'
	's/^\tuint32_t stripes;/\tuint64_t stripes;/'
	's/^\tuint32_t domid;/\tuint32_t first;\n&/'
	's/MAPCACHE_NO_MEMBARRIER 0x2u/MAPCACHE_NO_MEMBARRIER 0x4u/'
	's/MAPCACHE_LOG_INFO = 2/MAPCACHE_LOG_INFO = 3/'
	's/^\tX(misses, /\tX(hits, "none") &/'
)
for expression in "${breaking[@]}"; do
	change "$expression"
	! keeps_promises "$work/now" "$work/then" >/dev/null ||
		fail "not seen as a break: $expression"
	sed 's/^version .*/version 99.0.0/' "$work/then" >"$work/later"
	keeps_promises "$work/now" "$work/later" || fail "a new series may break: $expression"
done

adding=(
	's/^int mapcache_gpa(/int mapcache_more(void);\n&/'
	'/^struct mapcache_options {/,/^};/s/^};/\tuint64_t more;\n};/'
	's/^\tMAPCACHE_LOG_INFO = 2,/&\n\tMAPCACHE_LOG_DEBUG = 3,/'
)
for expression in "${adding[@]}"; do
	change "$expression"
	! keeps_promises "$work/now" "$work/then" >/dev/null || fail "not seen at all: $expression"
	sed 's/^version .*/version 1.1.0/' "$work/then" >"$work/later"
	sed 's/^version .*/version 1.0.7/' "$work/now" >"$work/earlier"
	keeps_promises "$work/earlier" "$work/later" || fail "a new minor may add: $expression"
done

# A word in a comment: nothing to announce.
change 's/^ \* Guarantees/ * Promises/'
cmp -s "$work/now" "$work/then" || fail "a comment counts as interface"
