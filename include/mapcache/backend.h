/* SPDX-License-Identifier: MIT */
/*
 * What the cache needs from whatever maps foreign memory. The default is
 * mapcache_backend_xen; an embedder may bring its own (a test, another hypervisor).
 */
#ifndef MAPCACHE_BACKEND_H
#define MAPCACHE_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The backend can map at an address it is given, over whatever is there. */
#define MAPCACHE_BACKEND_FIXED 0x1u

/* Guest frames [gfn, gfn + pages). */
struct mapcache_extent {
	uint64_t gfn;
	uint64_t pages;
};

/*
 * All functions but open and close may be called by any number of threads at once, and
 * are called with no lock held: they may block. Frames are 4 KiB, whatever the host's
 * page size.
 */
struct mapcache_backend {
	size_t size;    /* sizeof(struct mapcache_backend); what is past it is NULL */
	uint32_t flags; /* MAPCACHE_BACKEND_* */

	/*
	 * Called once by mapcache_open(): opens every handle that will ever be needed, so
	 * that the caller can restrict them afterwards. data is options->backend_data.
	 * Returns 0 and *state, or -errno.
	 */
	int (*open)(void *data, uint32_t domid, void **state);

	/* Called once by mapcache_close(), or in a child after fork(2). */
	void (*close)(void *state);

	/*
	 * Map pages frames from gfn upwards, in one piece, all page-table entries filled.
	 *
	 * address: NULL (anywhere), or with MAPCACHE_BACKEND_FIXED the place, which is
	 *          replaced. The cache only ever names a range that covers earlier mappings
	 *          whole (Linux refuses to split a foreign mapping).
	 * prot:    PROT_READ, or PROT_READ | PROT_WRITE.
	 * error:   pages entries, filled with 0 or -errno each: -EFAULT for "no memory behind
	 *          this frame", anything else as Xen says it.
	 *
	 * Returns the address, also when some or all pages failed; NULL with errno set when
	 * nothing was mapped. With a place given, NULL leaves the range in an unknown but
	 * replaceable state.
	 */
	void *(*map)(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error);

	/*
	 * Release [address, address + pages * 4096), which covers mappings whole. With keep
	 * non-zero the range stays reserved (PROT_NONE), else it is given back to the system.
	 * Returns 0 or -errno; on an error the mappings are as before.
	 */
	int (*unmap)(void *state, void *address, size_t pages, int keep);

	/*
	 * These frames have been written: tell whoever keeps the log of modified pages. May be
	 * NULL: mapcache_dirty_log() is then -EOPNOTSUPP. Frames without memory behind them are
	 * not an error. Returns 0 or -errno.
	 */
	int (*modified)(void *state, const struct mapcache_extent *extents, size_t count);
};

/* libxenforeignmemory and libxendevicemodel. backend_data is not used. */
extern const struct mapcache_backend mapcache_backend_xen;

#ifdef __cplusplus
}
#endif

#endif
