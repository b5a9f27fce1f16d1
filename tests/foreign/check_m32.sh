#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The unit tests and a short torture as 32-bit programs.
#
# timeout: 600

. "$(dirname "$0")/common.sh"

folder=build/m32
echo 'int main(void) { return sizeof(void *) != 4; }' |
	gcc -m32 -idirafter /usr/include/x86_64-linux-gnu -x c -o /dev/null - 2>/dev/null ||
	skip "this compiler makes no 32-bit programs (lib32gcc-12-dev, libc6-dev-i386)"
mkdir -p "$folder" build/foreign
need_cmocka i386
launcher=(env LD_LIBRARY_PATH="$cmocka")
arguments=(B="$folder" CC=gcc CFLAGS="-m32 -idirafter /usr/include/x86_64-linux-gnu")
chosen=
build

declare -A why=(
	[test_dropin_qemu]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_dropin_qemu7]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_dropin_reports]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_guarantee_i]="asks for addresses past the 2^36 that a table reaches here"
	[test_embedder]="translates addresses past the 2^36 that a table reaches here"
	[test_options]="the limits it tells are those of 64-bit processes"
	[test_seccomp]="its filter names the system calls of 64-bit processes"
	[test_table]="wants a table of 2^52 bytes of guest, more than the address space"
)
run_tests why
torture --accesses 50000
finish
