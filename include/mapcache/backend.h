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

/*
 * The backend can map at an address it is given, over whatever is there. Without it one call maps
 * a bucket, which is a page unless options->bucket_shift says otherwise, wherever the backend
 * likes; mapcache_replace() and mapcache_placeholder() are -EOPNOTSUPP.
 */
#define MAPCACHE_BACKEND_FIXED 0x1u
/* It is only ever asked for PROT_READ: look-ups for writing are -EACCES. */
#define MAPCACHE_BACKEND_READ_ONLY 0x2u

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
	 *          whole (Linux refuses to split a foreign mapping). Always NULL without it.
	 * prot:    PROT_READ, or PROT_READ | PROT_WRITE.
	 * error:   pages entries, filled with 0 or -errno each: -EFAULT for "no memory behind
	 *          this frame", anything else as Xen says it.
	 *
	 * Returns the address, also when some or all pages failed; NULL with errno set when
	 * nothing was mapped. With a place given, the range may then be as it was, or
	 * unmapped, as libxenforeignmemory leaves it: the cache gets it back where no other
	 * thread was faster, and never uses it again where one was. EINTR and EAGAIN, also of
	 * single pages where the place was given, make it call again a few times.
	 */
	void *(*map)(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error);

	/*
	 * Release [address, address + pages * 4096), which covers mappings whole; without
	 * MAPCACHE_BACKEND_FIXED, what one call of map() made. With keep non-zero the range must
	 * stay taken, whatever it shows: the cache maps its reservation over it right afterwards,
	 * so that a backend whose mappings end when they are mapped over has nothing to do.
	 * Else it is given back to the system.
	 * Returns 0 or -errno; on an error the mappings are as before.
	 */
	int (*unmap)(void *state, void *address, size_t pages, int keep);

	/*
	 * These frames have been written: tell whoever keeps the log of modified pages. May be
	 * NULL: mapcache_dirty_log() is then -EOPNOTSUPP. Returns 0, or -errno when any extent was
	 * refused, others perhaps not told: the cache then tells each by itself, and what is
	 * refused in halves. -EAGAIN and -EINTR: again. -EINVAL for a frame alone, none above
	 * which was ever taken, is no error: it is the guest's last, or has no memory.
	 */
	int (*modified)(void *state, const struct mapcache_extent *extents, size_t count);

	/*
	 * As map(), of any frames, one a page: what mapcache_pin_sgl() maps by one call. May be
	 * NULL; not used without MAPCACHE_BACKEND_FIXED.
	 */
	void *(*map_frames)(void *state, void *address, const uint64_t *gfns, size_t pages,
			    int prot, int *error);

	/*
	 * UINT64_MAX where a mapping costs the system no memory of its own; else how many bytes of
	 * it are free. The default of max_bytes is no more than half of that. Called once, after
	 * open(). May be NULL: a mapping costs nothing.
	 */
	uint64_t (*room)(void *state);
};

/* libxenforeignmemory and libxendevicemodel. backend_data is not used. */
extern const struct mapcache_backend mapcache_backend_xen;

/*
 * Pages that the domain has granted, by libxengnttab; link with libmapcache-grants. backend_data is
 * not used. Where others have a frame number these have a grant reference: the address of a byte
 * is mapcache_grant_address(). A cache of its own for what may only be read, and one for the
 * rest; neither is to be told of INVALIDATE, which is not about granted pages. The domain waits
 * to have its pages back: mapcache_unmap() before it is told that its request is done.
 * References that were not granted, or only for reading, are -EFAULT. Neighbouring references
 * can be one bucket, or one contiguous pin: all of them are mapped, or none. Modified pages are
 * Xen's own business here.
 */
extern const struct mapcache_backend mapcache_backend_grants;
extern const struct mapcache_backend mapcache_backend_grants_read_only;

/* The address under which a cache of grants has a byte of a granted page. */
static inline uint64_t mapcache_grant_address(uint32_t reference, uint32_t offset)
{
	return (uint64_t)reference << 12 | (offset & 0xfffu);
}

#ifdef __cplusplus
}
#endif

#endif
