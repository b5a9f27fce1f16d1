/* SPDX-License-Identifier: MIT */
/* The layer as a QEMU 7.2 tree compiles it. */
#define XEN_MAPCACHE_QEMU_7
#include <examples/qemu/xen-mapcache.c>
