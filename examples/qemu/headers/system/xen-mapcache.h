/* SPDX-License-Identifier: MIT */
/* The interface of the map cache. */
#ifndef XEN_MAPCACHE_H
#define XEN_MAPCACHE_H

#include "exec/cpu-common.h"

typedef hwaddr (*phys_offset_to_gaddr_t)(hwaddr phys_offset, ram_addr_t size);

void xen_map_cache_init(phys_offset_to_gaddr_t f, void *opaque);
#if QEMU_VERSION_MAJOR > 9 || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 1)
uint8_t *xen_map_cache(MemoryRegion *mr, hwaddr phys_addr, hwaddr size, ram_addr_t ram_addr_offset,
		       uint8_t lock, bool dma, bool is_write);
#else
uint8_t *xen_map_cache(hwaddr phys_addr, hwaddr size, uint8_t lock, bool dma);
#endif
ram_addr_t xen_ram_addr_from_mapcache(void *ptr);
void xen_invalidate_map_cache_entry(uint8_t *buffer);
void xen_invalidate_map_cache(void);
uint8_t *xen_replace_cache_entry(hwaddr old_phys_addr, hwaddr new_phys_addr, hwaddr size);

#endif
