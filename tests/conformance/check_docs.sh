#!/bin/bash
# SPDX-License-Identifier: MIT
#
# docs/facts.md is what the table in facts.c says.

set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}

if ! diff -u docs/facts.md <("$B/tests/conformance/facts" --table); then
	echo "docs/facts.md is not what tests/conformance/facts.c says: make facts"
	exit 1
fi
