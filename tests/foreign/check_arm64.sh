#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The unit tests and a short torture for arm64, run by qemu's user emulation on this machine:
# some of them, or all with MAPCACHE_FOREIGN=all.
#
# timeout: 1800
# beside the others

. "$(dirname "$0")/common.sh"

folder=build/cross-aarch64-linux-gnu
have aarch64-linux-gnu-gcc || skip "there is no aarch64-linux-gnu-gcc here"
have qemu-aarch64-static || skip "there is no qemu-aarch64-static here (qemu-user-static)"
mkdir -p "$folder" build/foreign
need_cmocka arm64
launcher=(qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$cmocka")
arguments=(CROSS_COMPILE=aarch64-linux-gnu-)
chosen="test_barrier test_batch test_cancel test_guarantee_c test_guarantee_d test_invalidate test_lookup test_pin"
build

# shellcheck disable=SC2034 # by name
declare -A why=() # nothing is left out; test_seccomp says itself that the emulator has no filters
run_tests why
flavour
torture --accesses 10000
finish
