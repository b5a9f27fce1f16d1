#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the Markdown pages link to or name by its path exists, and so do the targets of make that they
# name; the README leads to every folder.

. "$(dirname "$0")/common.sh"

mapfile -t pages < <(find . \( -name .git -o -name build \) -prune -o -name '*.md' -print)
for page in "${pages[@]}"; do
	# Code is not text: what looks like a link there is none.
	sed '/^ *```/,/^ *```/d; s/`[^`]*`//g' "$page" | grep -oE '\]\([^)#]+' |
		sed 's/^](//' >"$work/links" || true
	while read -r link; do
		case $link in
		http:* | https:* | mailto:*) ;;
		*) [ -e "$(dirname "$page")/$link" ] || fail "$page: no $link" ;;
		esac
	done <"$work/links"
done

for folder in include/mapcache */ tests/*/; do
	folder=${folder%/}
	case $folder in build | include | tests) continue ;; esac
	[ -n "$(find "$folder" -type f -print -quit)" ] || continue
	grep -qF "($folder)" README.md || fail "README.md does not mention $folder"
done

grep -ohE '`(tests|tools|bench|examples|docs|lib|include|packaging)/[A-Za-z0-9_./-]+`' "${pages[@]}" |
	tr -d '`' | grep -v '[A-Z]\{5,\}' | sort -u >"$work/paths"
while read -r path; do
	[ -e "$path" ] || fail "a page names $path, which is not there"
done <"$work/paths"

# Targets are what has a colon; the database of make names all of them.
make -npq no-such-target 2>/dev/null | grep -oE '^[a-z][a-z0-9-]*:' | tr -d : | sort -u >"$work/targets"
grep -ohE '`make [a-z][a-z0-9-]*( [a-z][a-z0-9-]*)*[` ]' "${pages[@]}" | sed 's/^`make //' | tr -s '` ' '\n' |
	grep . | sort -u | comm -23 - "$work/targets" >"$work/unknown"
[ ! -s "$work/unknown" ] || fail "pages name targets of make that are not there:" $(cat "$work/unknown")
[ "$(wc -l <"$work/targets")" -gt 20 ] || fail "make names no targets"
