#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Random sequences go on xensim as they went on a real Xen: the hashes of their traces are those
# that tests/xen/check random (Xen 4.17, x86) has printed, kept in `traces`.

set -u
cd "$(dirname "$0")/../.." || exit 1
B=${B:-build}
traces=tests/conformance/traces

if ! diff "$traces" <("$B/tests/conformance/sequence" --hashes 1 "$(wc -l <"$traces")"); then
	echo "a sequence goes another way than on a real Xen: tests/xen/check random shows where"
	exit 1
fi
