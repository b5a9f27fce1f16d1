#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the Markdown pages link to exists, and the README leads to every folder.

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
