#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The manual agrees with the headers: every public function and variable has a page that shows
# it as the header declares it, every member of a public struct and every statistic is
# explained, structs are shown as they are defined, references lead somewhere, the examples
# compile, and the formatters find nothing to warn about.

. "$(dirname "$0")/common.sh"

headers="include/mapcache/mapcache.h include/mapcache/backend.h include/mapcache/ioreq.h"

# Comments gone, macros left alone; one declaration a line, in one form.
for header in $headers; do
	gcc -fpreprocessed -dD -E -P "$header"
done | sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' | grep -v '^ *#' | tr '\t\n' '  ' | sed 's/extern "C" {//g; s/MAPCACHE_CHECKED //g; s/[;{}]/\n/g' |
	sed -E 's/^ +//; s/ +/ /g; s/ +$//; s/\* /*/g' >"$work/declarations"
{
	sed -nE 's/^static inline //; /^[a-z].*[ *]mapcache_[a-z_]+\(.*\)$/p' "$work/declarations" |
		grep -vE '^return|='
	grep -E '^extern .*[ *]mapcache_[a-z_]+$' "$work/declarations"
} | sort >"$work/declared"
[ "$(wc -l <"$work/declared")" -gt 20 ] || fail "too few declarations were found"

# The same from the pages.
cat >"$work/synopsis.awk" <<'AWK'
function flush_function() {
	print type (type ~ /\*$/ ? "" : " ") name "(" arguments ")"
}
function quoted(text,  list, part, n, i) {
	list = ""
	n = split(text, part, "\"")
	for (i = 2; i <= n; i += 2)
		list = list (list == "" ? "" : ", ") part[i]
	return n > 1 ? list : text
}
/^\.Sh /  { synopsis = ($2 == "SYNOPSIS") }
!synopsis { next }
/^\.Ft /  { type = substr($0, 5) }
/^\.Fn /  { name = $2; arguments = quoted(substr($0, 6 + length(name))); flush_function() }
/^\.Fo /  { name = $2; arguments = "" }
/^\.Fa /  { arguments = arguments (arguments == "" ? "" : ", ") quoted(substr($0, 5)) }
/^\.Fc/   { flush_function() }
/^\.Vt /  { sub(/ ;$/, ""); print substr($0, 5) }
AWK
for page in man/*.3; do
	awk -f "$work/synopsis.awk" "$page"
done | sed -E 's/ \*$/*/; s/\* /*/g' | sort >"$work/shown"
diff -u "$work/declared" "$work/shown" >"$work/differences" ||
	fail "the headers (-) and the manual (+) differ:" "$(cat "$work/differences")"

# A page is found by what it shows.
for page in man/*.[1-9]; do
	sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([^ ]*\).*/\1/p' "$page" | sort >"$work/names"
	{
		cat "$work/names"
		basename "${page%.*}"
	} | sed "s|^|${page##*.} |" >>"$work/all_names"
	[ "${page##*.}" = 3 ] || continue
	awk -f "$work/synopsis.awk" "$page" | grep -oE 'mapcache_[a-z_]+(\(|$)' | tr -d '(' |
		sort >"$work/functions"
	cmp -s "$work/names" "$work/functions" || fail "$page: NAME is not what SYNOPSIS shows"
done
sed -n 's/^\.Xr \(mapcache[a-z_]*\) \([1-9]\).*/\2 \1/p' man/*.[1-9] | sort -u |
	while read -r reference; do
		grep -qx "$reference" "$work/all_names" || fail "no such page: $reference"
	done

members() # struct, header
{
	gcc -fpreprocessed -dD -E -P "$2" | sed -n "/^struct $1 {/,/^}/p" | tr '\t\n' '  ' |
		sed 's/;/\n/g' | sed -nE 's/.*\(\*+([a-z_]+)\)\(.*/\1/p; t
			s/^.*[ *]([a-z_]+) *$/\1/p' | grep -v '^}'
}

explained() # struct, header, page
{
	for member in $(members "$1" "include/mapcache/$2"); do
		grep -qE "^\.It Va (.* )?$member( |\$)" "man/$3" ||
			fail "man/$3 does not explain $member of struct $1"
	done
}
explained mapcache_options mapcache.h mapcache_open.3
explained mapcache_backend backend.h mapcache_backend.3
explained mapcache_ioreq_options ioreq.h mapcache_ioreq_open.3
explained mapcache_request ioreq.h mapcache_ioreq_handle.3

# What X(name, "text") says, in the same order.
counted() # header, page, a word of the list's width
{
	sed -nE 's/^[[:space:]]*X\(([a-z_]+), "(.*)"\).*/.It Va \1\n\u\2./p' \
		"include/mapcache/$1" >"$work/statistics"
	[ -s "$work/statistics" ] || fail "no statistics were found in $1"
	sed -n "/^\.Bl .*$3/,/^\.El/p" "man/$2" | sed '1d;$d' |
		diff -u "$work/statistics" - >"$work/differences" ||
		fail "statistics in $1 (-) and in man/$2 (+):" "$(cat "$work/differences")"
}
counted mapcache.h mapcache_stats.3 refreshed
counted ioreq.h mapcache_ioreq_stats.3 invalidate_ns_max

# What a page shows of a struct is its definition.
defined() # struct, header, page
{
	gcc -fpreprocessed -dD -E -P "include/mapcache/$2" | sed -n "/^struct $1 {/,/^}/p" |
		tr -s '\t\n' '  ' >"$work/definition"
	sed -n "/^struct $1 {/,/^}/p" "man/$3" | sed 's|/\*.*\*/||' | tr -s '\t\n' '  ' |
		diff "$work/definition" - >"$work/differences" ||
		fail "struct $1 in $2 (<) and in man/$3 (>):" "$(cat "$work/differences")"
}
defined mapcache_options mapcache.h mapcache_open.3
defined mapcache_range mapcache.h mapcache_pin.3
defined mapcache_backend backend.h mapcache_backend.3
defined mapcache_extent backend.h mapcache_backend.3
defined mapcache_ioreq_options ioreq.h mapcache_ioreq_open.3
defined mapcache_request ioreq.h mapcache_ioreq_handle.3

# Who needs PROT_READ is told where it comes from; flags and levels are explained somewhere.
for page in man/*.3; do
	! sed -n '/^\.Sh SYNOPSIS/,/^\.Sh D/p' "$page" | grep -q 'int prot' ||
		grep -qx '\.In sys/mman\.h' "$page" || fail "$page: no <sys/mman.h> for prot"
done
sed -nE 's/^ *#define (MAPCACHE_[A-Z_]+)[ (].*/\1/p; s/^[[:space:]]+(MAPCACHE_[A-Z_]+) = .*/\1/p' \
	$headers | grep -vxE 'MAPCACHE_(CHECKED|VERSION_NUMBER|.*STATISTICS.*)' >"$work/constants"
while read -r constant; do
	grep -qw "$constant" man/*.[37] || fail "no page explains $constant"
done <"$work/constants"

# Each example is a file that compiles as it stands, and every page of section 3 has one.
cat >"$work/examples.awk" <<'AWK'
/^\.Bd -literal/ { inside = 1; text = ""; next }
/^\.Ed/ {
	if (inside && text ~ /^#(include|define)/) {
		printf "%s", text >(prefix "." ++count ".c")
		close(prefix "." count ".c")
	}
	inside = 0
}
inside { gsub(/\\e/, "\\"); gsub(/\\&/, ""); text = text $0 "\n" }
END { print count + 0 }
AWK
for page in man/*.[37]; do
	name=$work/$(basename "$page")
	count=$(awk -v prefix="$name" -f "$work/examples.awk" "$page")
	[ "$count" -gt 0 ] || fail "$page has no example"
	for example in "$name".*.c; do
		${CC:-gcc} -std=gnu11 -Wall -Wextra -Werror -Iinclude -c -o "$example.o" "$example" ||
			fail "the example in $page does not compile: $example"
	done
done

# The benchmark's page has what its --help has: options, scenarios, contestants.
"$build/bench/mapcache-bench" --help |
	sed -nE 's/^ +(-h, )?(--[a-z-]+).*/\2/p; s/^  ([a-z]+) {5,}.*/\1/p' | sort >"$work/offered"
sed -nE 's/^\.It Fl (h , )?-([a-z-]+).*/--\2/p; s/^\.It Cm ([a-z]+)$/\1/p' man/mapcache-bench.1 |
	sort | diff -u "$work/offered" - >"$work/differences" ||
	fail "mapcache-bench --help (-) and its page (+):" "$(cat "$work/differences")"

# Which other pages are installed is this machine's business.
for page in man/*.[1-9]; do
	! have mandoc || mandoc -Tlint "$page" 2>/dev/null |
		grep -v 'referenced manual not found' >"$work/warnings" || true
	[ ! -s "$work/warnings" ] || fail "$page: mandoc warns: $(cat "$work/warnings")"
	# The groff of Debian 13 says of prototypes that it cannot fill lines with them.
	! have man || man --warnings -E UTF-8 -l "$page" 2>&1 >/dev/null |
		grep -v 'cannot adjust line$' >"$work/warnings" || true
	[ ! -s "$work/warnings" ] || fail "$page: man warns: $(cat "$work/warnings")"
done
