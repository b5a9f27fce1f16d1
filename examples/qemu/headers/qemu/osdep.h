/* SPDX-License-Identifier: MIT */
/* Types that every QEMU source sees. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef QEMU_OSDEP_H
#define QEMU_OSDEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;
typedef struct MemoryRegion MemoryRegion;

#define RAM_ADDR_INVALID (~(ram_addr_t)0)

#endif
