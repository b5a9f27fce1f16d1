#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Random sequences go on xensim as they did when `traces` was written: the hashes of their traces.
# tests/xen/check random prints the same lines (TRACE) for those that a real Xen goes through in the
# same way.

set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
traces=tests/conformance/traces

if ! diff "$traces" <("$B/tests/conformance/sequence" --hashes 1 "$(wc -l <"$traces")"); then
	echo "a sequence goes another way than before: tests/xen/check random shows which is right"
	exit 1
fi
