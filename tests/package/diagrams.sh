#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every diagram was drawn from its source as it is now, and is used by a page.

. "$(dirname "$0")/common.sh"

for source in docs/diagrams/*.dot; do
	name=$(basename "$source" .dot)
	sum=$(sha256sum "$source" | cut -c 1-16)
	grep -qF "<!-- $name.dot $sum -->" "docs/diagrams/$name.svg" ||
		fail "docs/diagrams/$name.svg is not drawn from $source: tools/diagrams"
	grep -qF "diagrams/$name.svg" docs/*.md || fail "no page shows docs/diagrams/$name.svg"
done
