/* SPDX-License-Identifier: MIT */
/* The layer as a QEMU 7.2 tree compiles it. */
#define QEMU_VERSION_MAJOR 7
#define QEMU_VERSION_MINOR 2
#include <examples/qemu/xen-mapcache.c>
