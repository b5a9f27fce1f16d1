#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The static probes are in the library with the names and numbers of arguments that
# docs/watching.md gives, the scripts there use no others, and a program that has probes of its
# own can be linked with it.

. "$(dirname "$0")/common.sh"

echo '#include <sys/sdt.h>' | ${CC:-gcc} -E - >/dev/null 2>&1 || {
	echo "there is no sys/sdt.h: the library has no probes"
	exit 77
}
cat >"$work/own.c" <<'C'
#include <sys/sdt.h>
#include <mapcache/mapcache.h>

/* Never run: what counts is that every part of the library is linked. */
int main(void)
{
	DTRACE_PROBE1(own, here, 1);
	return mapcache_open(NULL, NULL) != 0;
}
C
# shellcheck disable=SC2046
${CC:-gcc} -Iinclude -o "$work/own" "$work/own.c" "$build/libmapcache.a" \
	$(pkg-config --libs xenforeignmemory xendevicemodel) -pthread ||
	fail "a program with probes of its own cannot be linked"

probes() # object: "name arguments" of each probe of ours
{
	readelf -n "$1" | awk '/Provider: mapcache$/ { ours = 1 } /Name:/ { name = $2 }
		/Arguments:/ { if (ours) print name, NF - 1; ours = 0 }' | sort -u
}
probes "$build/libmapcache.a" >"$work/library"
probes "$work/own" >"$work/program"
cmp "$work/library" "$work/program" || fail "probes are lost in linking"
readelf -n "$work/own" | grep -q 'Provider: own' || fail "the program's own probe is lost"

documented='s/^\| `([a-z_]+)` \| (cache, [a-z, ]+) \|.*/\1 \2/p'
sed -nE "$documented" docs/watching.md | awk '{ print $1, NF - 1 }' | sort >"$work/documented"
diff -u "$work/documented" "$work/library" >"$work/differences" ||
	fail "probes in docs/watching.md (-) and in the library (+):" "$(cat "$work/differences")"

# An argument past the last one, or a name that there is none of, is found when somebody needs
# the script and not before.
grep -ho 'usdt:[^ ]*' docs/watching.md docs/bpftrace/*.bt | sed 's/.*://' | sort -u |
	while read -r name; do
		[ "$name" = '*' ] || grep -q "^$name " "$work/library" || fail "no probe $name"
	done
# The hit path must have none.
for header in include/mapcache/*.h; do
	! grep -l 'sdt\.h\|PROBE[0-9]' "$header" || fail "a public header has probes"
done
