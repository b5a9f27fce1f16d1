/* SPDX-License-Identifier: MIT */
/* Foreign memory by libxenforeignmemory, modified pages by libxendevicemodel. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include <mapcache/backend.h>

#include "lib/xen/dom0.h"

#define BACKEND_STACK_PAGES 512 /* frame numbers kept on the stack: 4 KiB of it */
#define BACKEND_EXTENTS 64      /* in one report */
#define BACKEND_EXTENT_PAGES UINT32_MAX

struct backend_xen {
	xenforeignmemory_handle *memory;
	xendevicemodel_handle *model;
	uint32_t domid;
};

static int backend_xen_open(void *data, uint32_t domid, void **state)
{
	struct backend_xen *xen = calloc(1, sizeof(*xen));
	int error;

	(void)data;
	if (!xen)
		return -ENOMEM;
	xen->domid = domid;
	errno = 0;
	xen->memory = xenforeignmemory_open(NULL, 0);
	if (!xen->memory) {
		error = errno ? -errno : -ENODEV;
		goto free_xen;
	}
	errno = 0;
	xen->model = xendevicemodel_open(NULL, 0);
	if (!xen->model) {
		error = errno ? -errno : -ENODEV;
		goto close_memory;
	}
	*state = xen;
	return 0;
close_memory:
	xenforeignmemory_close(xen->memory);
free_xen:
	free(xen);
	return error;
}

static void backend_xen_close(void *state)
{
	struct backend_xen *xen = state;

	xendevicemodel_close(xen->model);
	xenforeignmemory_close(xen->memory);
	free(xen);
}

/*
 * The header promises errno values, Linux gives them negative: either sign is understood. A
 * frame with no memory behind it is EINVAL there, EFAULT here.
 */
static int backend_xen_error(int error)
{
	if (error == 0)
		return 0;
	error = error < 0 ? error : -error;
	return error == -EINVAL ? -EFAULT : error;
}

/* gfns: of each page; NULL: from gfn upwards. */
static void *backend_xen_call(struct backend_xen *xen, void *address, uint64_t gfn,
			      const uint64_t *gfns, size_t pages, int prot, int *error)
{
	xen_pfn_t stack[BACKEND_STACK_PAGES], *frames = stack;
	void *mapped;
	int saved;

	if (pages == 0) {
		errno = EINVAL;
		return NULL;
	}
	if (pages > BACKEND_STACK_PAGES) {
		frames = malloc(pages * sizeof(*frames));
		if (!frames) {
			errno = ENOMEM;
			return NULL;
		}
	}
	for (size_t i = 0; i < pages; i++)
		frames[i] = (xen_pfn_t)(gfns ? gfns[i] : gfn + i);
	mapped = xenforeignmemory_map2(xen->memory, xen->domid, address, prot,
				       address ? MAP_FIXED : 0, pages, frames, error);
	saved = errno;
	if (frames != stack)
		free(frames);
	for (size_t i = 0; mapped && i < pages; i++)
		error[i] = backend_xen_error(error[i]);
	errno = saved;
	return mapped;
}

static void *backend_xen_map(void *state, void *address, uint64_t gfn, size_t pages, int prot,
			     int *error)
{
	return backend_xen_call(state, address, gfn, NULL, pages, prot, error);
}

static void *backend_xen_map_frames(void *state, void *address, const uint64_t *gfns, size_t pages,
				    int prot, int *error)
{
	return backend_xen_call(state, address, 0, gfns, pages, prot, error);
}

static int backend_xen_unmap(void *state, void *address, size_t pages, int keep)
{
	struct backend_xen *xen = state;

	/* A foreign mapping is undone by whatever is mapped over all of it. */
	if (keep)
		return 0;
	return xenforeignmemory_unmap(xen->memory, address, pages) ? -errno : 0;
}

static int backend_xen_report(struct backend_xen *xen,
			      struct xen_dm_op_modified_memory_extent *extents, uint32_t count)
{
	if (count == 0)
		return 0;
	errno = 0;
	if (xendevicemodel_modified_memory_bulk(xen->model, (domid_t)xen->domid, extents, count))
		return errno ? -errno : -EIO;
	return 0;
}

static int backend_xen_modified(void *state, const struct mapcache_extent *extents, size_t count)
{
	struct xen_dm_op_modified_memory_extent batch[BACKEND_EXTENTS];
	struct backend_xen *xen = state;
	uint32_t filled = 0;
	int error = 0;

	for (size_t i = 0; i < count && !error; i++) {
		uint64_t gfn = extents[i].gfn, left = extents[i].pages;

		while (left && !error) {
			uint64_t pages = left < BACKEND_EXTENT_PAGES ? left : BACKEND_EXTENT_PAGES;

			batch[filled++] =
				(struct xen_dm_op_modified_memory_extent){ .nr = (uint32_t)pages,
									   .first_pfn = gfn };
			gfn += pages;
			left -= pages;
			if (filled < BACKEND_EXTENTS)
				continue;
			error = backend_xen_report(xen, batch, filled);
			filled = 0;
		}
	}
	return error ? error : backend_xen_report(xen, batch, filled);
}

static uint64_t backend_xen_room(void *state)
{
	struct backend_xen *xen = state;

	return dom0_room(xen->memory, xen->domid);
}

const struct mapcache_backend mapcache_backend_xen = {
	.size = sizeof(struct mapcache_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = backend_xen_open,
	.close = backend_xen_close,
	.map = backend_xen_map,
	.unmap = backend_xen_unmap,
	.modified = backend_xen_modified,
	.map_frames = backend_xen_map_frames,
	.room = backend_xen_room,
};
