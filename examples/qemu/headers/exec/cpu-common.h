/* SPDX-License-Identifier: MIT */
/* Addresses, and the list of RAM blocks. */
#ifndef CPU_COMMON_H
#define CPU_COMMON_H

#include "qemu/osdep.h"

typedef uint64_t hwaddr;
typedef uint64_t ram_addr_t;

#define RAM_ADDR_INVALID (~(ram_addr_t)0)

void *qemu_ram_get_host_addr(RAMBlock *rb);
ram_addr_t qemu_ram_get_offset(RAMBlock *rb);
ram_addr_t qemu_ram_get_max_length(RAMBlock *rb);

typedef int(RAMBlockIterFunc)(RAMBlock *rb, void *opaque);

/* Ends with the first that is not 0. */
int qemu_ram_foreach_block(RAMBlockIterFunc func, void *opaque);

#ifndef STAND_INS_OF_MY_OWN
/* There are none. */
STAND_IN int qemu_ram_foreach_block(RAMBlockIterFunc func, void *opaque)
{
	(void)func;
	(void)opaque;
	return 0;
}

STAND_IN void *qemu_ram_get_host_addr(RAMBlock *rb)
{
	return rb;
}

STAND_IN ram_addr_t qemu_ram_get_offset(RAMBlock *rb)
{
	(void)rb;
	return 0;
}

STAND_IN ram_addr_t qemu_ram_get_max_length(RAMBlock *rb)
{
	(void)rb;
	return 0;
}
#endif

#endif
