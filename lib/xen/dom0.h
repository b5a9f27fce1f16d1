/* SPDX-License-Identifier: MIT */
/* What a mapping costs the domain that we are in, which is dom0 mostly. */
#ifndef DOM0_H
#define DOM0_H

#include <stdint.h>

#include <xenforeignmemory.h>

/*
 * Where a domain's memory is what Xen translates (Arm, PVH), Linux needs a page of its own for each
 * page that it maps. One with unpopulated-alloc takes addresses behind which there is nothing
 * (drivers/xen/unpopulated-alloc.c; of its own choice, on Arm, only where Xen has told of such
 * space); any other gives a page of its memory back to Xen (xen_alloc_ballooned_pages()), until
 * there is none left and processes are killed.
 * Returns UINT64_MAX where a mapping costs nothing, else the bytes that are free now; also
 * where it cannot be found out. domid: any domain that may be mapped.
 */
uint64_t dom0_room(xenforeignmemory_handle *memory, uint32_t domid);

#endif
