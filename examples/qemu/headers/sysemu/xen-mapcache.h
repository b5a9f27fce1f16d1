/* SPDX-License-Identifier: MIT */
/* The interface of QEMU 7.2. Stands in for QEMU's header of this name, to compile and test the layer here. */
#ifndef XEN_MAPCACHE_H
#define XEN_MAPCACHE_H

#include "qemu/osdep.h"

typedef hwaddr (*phys_offset_to_gaddr_t)(hwaddr phys_offset, ram_addr_t size);

void xen_map_cache_init(phys_offset_to_gaddr_t f, void *opaque);
uint8_t *xen_map_cache(hwaddr phys_addr, hwaddr size, uint8_t lock, bool dma);
ram_addr_t xen_ram_addr_from_mapcache(void *ptr);
void xen_invalidate_map_cache_entry(uint8_t *buffer);
void xen_invalidate_map_cache(void);
uint8_t *xen_replace_cache_entry(hwaddr old_phys_addr, hwaddr new_phys_addr, hwaddr size);
bool xen_map_cache_enabled(void);

#endif
