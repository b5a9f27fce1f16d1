/* SPDX-License-Identifier: MIT */
#include <errno.h>

#include <tests/support/spy.h>

static void spy_count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static int spy_open(void *data, uint32_t domid, void **state)
{
	struct spy *spy = data;

	spy_count(&spy->opens);
	spy->domid = domid;
	*state = spy;
	return spy->refuse ? spy->refuse : mapcache_backend_xen.open(NULL, domid, &spy->state);
}

static void spy_close(void *state)
{
	struct spy *spy = state;

	spy_count(&spy->closes);
	mapcache_backend_xen.close(spy->state);
}

static void *spy_map(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error)
{
	struct spy *spy = state;
	struct spy_call call = { true, address, gfn, pages, prot, 0, error, false };
	int refused = spy->before ? spy->before(spy, &call) : 0;

	spy_count(&spy->maps);
	if (refused == 0)
		return mapcache_backend_xen.map(spy->state, address, gfn, pages, prot, error);
	errno = -refused;
	return NULL;
}

static void *spy_map_frames(void *state, void *address, const uint64_t *gfns, size_t pages,
			    int prot, int *error)
{
	struct spy *spy = state;
	struct spy_call call = { true, address, gfns[0], pages, prot, 0, error, true };
	int refused = spy->before ? spy->before(spy, &call) : 0;

	spy_count(&spy->maps);
	if (refused == 0)
		return mapcache_backend_xen.map_frames(spy->state, address, gfns, pages, prot,
						       error);
	errno = -refused;
	return NULL;
}

static int spy_unmap(void *state, void *address, size_t pages, int keep)
{
	struct spy *spy = state;
	struct spy_call call = { false, address, 0, pages, 0, keep, NULL, false };
	int refused = spy->before ? spy->before(spy, &call) : 0;

	spy_count(&spy->unmaps);
	return refused ? refused : mapcache_backend_xen.unmap(spy->state, address, pages, keep);
}

static int spy_modified(void *state, const struct mapcache_extent *extents, size_t count)
{
	struct spy *spy = state;
	int refused = spy->report ? spy->report(spy) : 0;

	spy_count(&spy->modifieds);
	return refused ? refused : mapcache_backend_xen.modified(spy->state, extents, count);
}

const struct mapcache_backend spy_backend = {
	.size = sizeof(struct mapcache_backend),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = spy_open,
	.close = spy_close,
	.map = spy_map,
	.unmap = spy_unmap,
	.modified = spy_modified,
	.map_frames = spy_map_frames,
};

const struct mapcache_backend spy_backend_anywhere = {
	.size = sizeof(struct mapcache_backend),
	.open = spy_open,
	.close = spy_close,
	.map = spy_map,
	.unmap = spy_unmap,
	.modified = spy_modified,
};
