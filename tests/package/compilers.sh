#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Everything builds with the other compiler, too, without a warning.
#
# timeout: 900

. "$(dirname "$0")/common.sh"

other=clang
case ${CC:-gcc} in *clang*) other=gcc ;; esac
have $other || {
	echo "$other is not installed"
	exit 77
}
build_with B="$build/$other" CC=$other all programs
