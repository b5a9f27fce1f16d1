/* SPDX-License-Identifier: MIT */
/*
 * mapcache.h for emulators of the DEMU family: their names, by way of libmapcache, which has a
 * mapcache_invalidate() of its own, hence the macros. With DEMU_MAPCACHE_INDEXED a cache has a
 * number, and a look-up a size.
 *
 * A pointer from a look-up is good until the calling thread's 16th next look-up, whatever is
 * invalidated meanwhile, and never fails silently: NULL means that there is no memory.
 */
#ifndef DEMU_MAPCACHE_H
#define DEMU_MAPCACHE_H

#include <stdint.h>

/* Where the old code had mapcache_open() or filled in its sets: 0 or a negative errno.
 * whole_bytes: map so much of the guest at once, for demu_get_host_addr(); 0: on demand. */
int demu_mapcache_open(uint32_t domid, uint64_t whole_bytes);
/* After the threads that looked up have ended, and everything is unmapped. */
int demu_mapcache_close(void);

uint8_t *demu_mapcache_page(uint64_t addr);
void *demu_mapcache_range(int index, uint64_t addr, uint64_t size);
void demu_mapcache_invalidate(void);

#ifdef DEMU_MAPCACHE_INDEXED
#define mapcache_lookup(index, addr, size) demu_mapcache_range(index, addr, size)
#define mapcache_invalidate(index) ((void)(index), demu_mapcache_invalidate())
#else
#define mapcache_lookup(addr) demu_mapcache_page(addr)
#define mapcache_invalidate() demu_mapcache_invalidate()
#endif

/* Good until unmapped, by any thread. prot as for mmap(2). */
void *demu_map_guest_range(uint64_t addr, uint64_t size, int prot);
/* 0, or -1 with errno. */
int demu_unmap_guest_range(void *ptr, uint64_t size);
void *demu_get_host_addr(uint64_t offset);

#endif
