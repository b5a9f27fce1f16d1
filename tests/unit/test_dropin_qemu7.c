/* SPDX-License-Identifier: MIT */
/* The same behaviour under the names of QEMU 7.2. */
#define XEN_MAPCACHE_QEMU_7
#include "test_dropin_qemu.c"
