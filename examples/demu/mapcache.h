/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for emulators of the DEMU family (vGPU, virtio-disk and other back-ends), by way
 * of libmapcache: what the bodies of demu_map_guest_range() and its sister become, and the page
 * caches mapcache_lookup() and mapcache_invalidate(). One guest in a process at a time. NULL, and
 * errno, when there is no memory; nothing here ends the process. README.md has the steps.
 *
 * The library has a mapcache_invalidate() of its own, hence the macros.
 */
#ifndef DEMU_MAPCACHE_H
#define DEMU_MAPCACHE_H

#include <stdint.h>

struct mapcache_options;

/*
 * At start, before handles are restricted; with options: whatever mapcache_open(3) has. 0 or
 * -errno. Close: -EBUSY as long as something is mapped. On any thread; what others do with the
 * functions below has ended before close. Then the next guest may be opened.
 */
int demu_mapcache_open(uint32_t domid);
int demu_mapcache_open_options(const struct mapcache_options *options);
int demu_mapcache_close(void);

/*
 * [addr, addr + size) in one piece, good until it is unmapped, across INVALIDATE, on any thread.
 * prot as for mmap(2). With bit 63 set the rest of addr is a grant reference and an offset, as
 * virtio with grants has it: that needs DEMU_MAPCACHE_GRANTS, and the memory is given back to the
 * guest by the unmap. Unmap: 0, or -1 and errno; the pointer is any into the first page.
 */
void *demu_mapcache_map(uint64_t addr, uint64_t size, int prot);
int demu_mapcache_unmap(void *ptr, uint64_t size);

/*
 * The same, good until the calling thread's DEMU_MAPCACHE_POINTERS-th next call of this, and
 * never to be given back: for callers that copy and are done. Memory that can only be read is
 * still worth a pointer.
 */
#define DEMU_MAPCACHE_POINTERS 16u
void *demu_mapcache_host(uint64_t addr, uint64_t size);

/* The whole IOREQ_TYPE_INVALIDATE case: answer the request after it. */
void demu_mapcache_invalidate(void);

/* The page caches: mapcache_lookup(addr), or of a disk by its number, with a size. */
uint8_t *demu_mapcache_page(uint64_t addr);
#ifdef DEMU_MAPCACHE_NO_MACROS
/* mapcache.c itself */
#elif defined(DEMU_MAPCACHE_INDEXED)
/* Their queue kicks compare it; it does not change any more. */
extern volatile uint32_t mapcache_inval_cnt;
#define mapcache_lookup(index, addr, size) ((void)(index), demu_mapcache_host(addr, size))
#define mapcache_invalidate(index) ((void)(index), demu_mapcache_invalidate())
#else
#define mapcache_lookup(addr) demu_mapcache_page(addr)
#define mapcache_invalidate() demu_mapcache_invalidate()
#endif

#endif
