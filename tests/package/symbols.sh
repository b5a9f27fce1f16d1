#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The library defines what the headers declare and nothing else, and calls nothing that ends
# the process (H); the same for what it has in a library of its own. _.stapsdt.base belongs to the static probes of all objects together.

. "$(dirname "$0")/common.sh"

library=$build/libmapcache.a
grants=$build/libmapcache-grants.a
nm=${NM:-nm}

$nm -g --defined-only "$library" "$grants" | awk 'NF == 3 { print $3 }' | sort -u >"$work/defined"
sed -i '/^_\.stapsdt\.base$/d' "$work/defined"
! grep -v '^mapcache_' "$work/defined" || fail "$library defines names that are not ours"

# Preprocessed, so that comments do not count; a definition inline is in no object.
for header in include/mapcache/*.h; do
	${CC:-gcc} -E -P -Iinclude "$header"
done >"$work/headers"
tr '\n' ' ' <"$work/headers" | sed 's/__attribute__((warn_unused_result)) //g; s/[;{}]/&\n/g' >"$work/declarations"
words='^ *([a-z_][a-z0-9_]* +)+\**'
sed -nE "/static|typedef|return/d; s/${words}(mapcache_[a-z0-9_]+) ?\(.*\);\$/\2/p;
	s/^ *extern ${words#^}(mapcache_[a-z0-9_]+);\$/\2/p" "$work/declarations" |
	sort -u >"$work/declared"
[ -s "$work/declared" ] || fail "no declaration was found"
comm -13 "$work/defined" "$work/declared" >"$work/undefined"
[ ! -s "$work/undefined" ] || fail "declared but not defined:" $(cat "$work/undefined")
comm -23 "$work/defined" "$work/declared" >"$work/hidden"
[ ! -s "$work/hidden" ] || fail "defined but not declared:" $(cat "$work/hidden")

$nm -u "$library" "$grants" | awk '{ print $NF }' |
	grep -Ex 'abort|exit|_exit|quick_exit|__assert_fail|__assert_perror_fail|raise|kill' \
	>"$work/deadly" || true
[ ! -s "$work/deadly" ] || fail "the library calls" $(cat "$work/deadly")

# Who maps no grants needs no libxengnttab.
! $nm -u "$library" | grep xengnttab_ || fail "$library needs libxengnttab"
$nm -u "$grants" | grep -q xengnttab_ || fail "$grants does not use libxengnttab"

# Headers of one version do not link with an archive of another.
version=$(tools/version | sed -E 's/^([0-9]+)\.([0-9]+)\..*/\1_\2/')
grep -qx "mapcache_open_$version" "$work/defined" || fail "mapcache_open is not that of $version"

# No global state: no object that can be written outside of a handle, but for the one key of
# thread-specific data (lib/api/thread.c says why).
${OBJDUMP:-objdump} -t "$library" "$grants" | awk '/ O \.(data|bss|tdata|tbss)\t/ { print $NF }' |
	grep -vxE 'thread_(key|once|error)' >"$work/state" || true
[ ! -s "$work/state" ] || fail "global state:" $(cat "$work/state")
