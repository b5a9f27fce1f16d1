/* SPDX-License-Identifier: MIT */
/* See the header. One guest is measured at a time. */
#include "bench/backend_base.h"

#include <errno.h>
#include <stdlib.h>

static uint64_t base_gfn;

void backend_base_set(uint64_t base)
{
	base_gfn = base >> 12;
}

static int base_open(void *data, uint32_t domid, void **state)
{
	return mapcache_backend_xen.open(data, domid, state);
}

static void base_close(void *state)
{
	mapcache_backend_xen.close(state);
}

static void *base_map(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error)
{
	return mapcache_backend_xen.map(state, address, base_gfn + gfn, pages, prot, error);
}

static void *base_map_frames(void *state, void *address, const uint64_t *gfns, size_t pages,
			     int prot, int *error)
{
	uint64_t *moved = malloc(pages * sizeof(*moved));
	void *mapped;

	if (!moved) {
		errno = ENOMEM;
		return NULL;
	}
	for (size_t i = 0; i < pages; i++)
		moved[i] = base_gfn + gfns[i];
	mapped = mapcache_backend_xen.map_frames(state, address, moved, pages, prot, error);
	free(moved);
	return mapped;
}

static int base_unmap(void *state, void *address, size_t pages, int keep)
{
	return mapcache_backend_xen.unmap(state, address, pages, keep);
}

static uint64_t base_room(void *state)
{
	return mapcache_backend_xen.room(state);
}

const struct mapcache_backend backend_base = {
	.size = sizeof(backend_base),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = base_open,
	.close = base_close,
	.map = base_map,
	.unmap = base_unmap,
	.map_frames = base_map_frames,
	.room = base_room,
};
