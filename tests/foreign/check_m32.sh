#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The unit tests and a short torture as 32-bit programs: some of them, or all with
# MAPCACHE_FOREIGN=all. Buckets are those of 64-bit processes where a test counts in them; 64 KiB, the
# default here, are what the tests of hostile guests and a quarter of the torture's caches have.
#
# timeout: 600
# beside the others

. "$(dirname "$0")/common.sh"

folder=build/m32
echo 'int main(void) { return sizeof(void *) != 4; }' |
	gcc -m32 -idirafter /usr/include/x86_64-linux-gnu -x c -o /dev/null - 2>/dev/null ||
	skip "this compiler makes no 32-bit programs (make deps FOR=check)"
mkdir -p "$folder" build/foreign
need_cmocka i386
launcher=(env LD_LIBRARY_PATH="$cmocka")
arguments=(B="$folder" CC=gcc CFLAGS="-m32 -idirafter /usr/include/x86_64-linux-gnu")
chosen="test_anywhere test_barrier test_batch test_cancel test_client test_grants test_guarantee_a test_guarantee_i test_hostile_guest"
chosen="$chosen test_hostile_requests test_lookup test_pin test_replace test_thread_client test_unmap"
build

declare -A why=(
	[test_dropin_qemu]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_dropin_qemu7]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_dropin_reports]="counts in buckets of 1 MiB, that layer has 64 KiB here"
	[test_dropin_settings]="limits the address space as for 64-bit processes"
	[test_options]="the limits it tells are those of 64-bit processes"
	[test_seccomp]="its filter names the system calls of 64-bit processes"
	[test_table]="wants a table of 2^52 bytes of guest, more than the address space"
)
run_tests why
flavour
torture --accesses 50000
finish
