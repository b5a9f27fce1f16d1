#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The public interface is the one that tests/package/interface.txt announces, and that list
# breaks no promise towards the last release (docs/abi.md): what was there is there unchanged,
# unless the version says that it may not be.

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

breaks() # old, new
{
	[ "$(series "$1")" = "$(series "$2")" ] && [ -n "$(gone "$1" "$2")" ]
}

export LC_ALL=C
list include/mapcache >"$work/now"
[ "$(wc -l <"$work/now")" -gt 100 ] || fail "tools/interface finds too little"
if ! diff -u "$announced" "$work/now" >"$work/differences"; then
	cat "$work/differences"
	fail "the interface has changed. If it is meant (docs/abi.md), raise the version, add a" \
		"line to CHANGELOG.md, and: (echo version \$(tools/version); tools/interface) >$announced"
fi

# ---- against the last release, where it is known

release=$(git describe --tags --match 'v[0-9]*' --abbrev=0 HEAD 2>/dev/null || true)
if [ -n "$release" ] && git show "$release:$announced" >"$work/release" 2>/dev/null; then
	! breaks "$work/release" "$work/now" ||
		fail "gone since $release, whose version promises them:" \
			"$(gone "$work/release" "$work/now")"
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
	breaks "$work/now" "$work/then" || fail "not seen as a break: $expression"
	sed 's/^version .*/version 99.0.0/' "$work/then" >"$work/later"
	! breaks "$work/now" "$work/later" || fail "a new series may break: $expression"
done

harmless=(
	's/^int mapcache_gpa(/int mapcache_more(void);\n&/'
	's/^\tuint64_t whole_bytes;/&\n\tuint64_t more;/'
	's/^\tMAPCACHE_LOG_INFO = 2,/&\n\tMAPCACHE_LOG_DEBUG = 3,/'
)
for expression in "${harmless[@]}"; do
	change "$expression"
	! breaks "$work/now" "$work/then" || fail "taken for a break: $expression"
	[ -n "$(gone "$work/then" "$work/now")" ] || fail "not seen at all: $expression"
done

# A word in a comment, another name of an argument's line break: nothing to announce.
change 's/^ \* Guarantees/ * Promises/'
cmp -s "$work/now" "$work/then" || fail "a comment counts as interface"
