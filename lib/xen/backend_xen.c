/* SPDX-License-Identifier: MIT */
/* Foreign memory by libxenforeignmemory, modified pages by libxendevicemodel. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <xen/features.h>
#include <xendevicemodel.h>
#include <xenforeignmemory.h>

#include <mapcache/backend.h>

#define BACKEND_STACK_PAGES 512 /* frame numbers kept on the stack: 4 KiB of it */
#define BACKEND_EXTENTS 64      /* in one report */
#define BACKEND_EXTENT_PAGES UINT32_MAX
#define DOM0_TRIES 4
#define DOM0_LINE 256
/* Where nobody says how much is free. */
#define DOM0_ROOM_UNKNOWN (UINT64_C(64) << 20)
/* No guest has a page there: that a page is needed for the mapping comes before that is seen. */
#define DOM0_NO_FRAME ((xen_pfn_t)0xfffffff0)

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
	if (xen->memory)
		xen->model = xendevicemodel_open(NULL, 0);
	if (!xen->model) {
		error = errno ? -errno : -ENODEV;
		xenforeignmemory_close(xen->memory);
		free(xen);
		return error;
	}
	*state = xen;
	return 0;
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

	for (size_t i = 0; i < count; i++) {
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
	return filled && !error ? backend_xen_report(xen, batch, filled) : error;
}

/* ---- what a mapping costs the domain that we are in, which is dom0 mostly ------------------- */

/* The first line with the word. */
static bool dom0_find(const char *path, const char *word, char *line)
{
	FILE *file = fopen(path, "re");
	bool found = false;

	if (!file)
		return false;
	while (!found && fgets(line, DOM0_LINE, file))
		found = strstr(line, word) != NULL;
	fclose(file);
	return found;
}

/* Whether this domain's kernel knows machine addresses, and so needs nothing for a mapping: PV. */
static bool dom0_is_pv(void)
{
	char line[DOM0_LINE], *end;
	unsigned long long features;

	if (!dom0_find("/sys/hypervisor/properties/features", "", line))
		return false;
	features = strtoull(line, &end, 16);
	return end != line && !(features >> XENFEAT_auto_translated_physmap & 1);
}

/* The space that unpopulated-alloc has taken has this name; it takes some when it needs some. */
static bool dom0_has_unpopulated(xenforeignmemory_handle *memory, uint32_t domid)
{
	const xen_pfn_t frame = DOM0_NO_FRAME;
	char line[DOM0_LINE];
	void *page;
	int error;

	page = xenforeignmemory_map(memory, domid, PROT_READ, 1, &frame, &error);
	/* A kernel mapping that goes whole needs no room for others: refused is refused for a moment. */
	for (int i = 0; page && i < DOM0_TRIES; i++) {
		if (!xenforeignmemory_unmap(memory, page, 1))
			break;
	}
	return dom0_find("/proc/iomem", "Xen scratch", line);
}

static uint64_t dom0_free(void)
{
	static const char name[] = "MemAvailable:";
	char line[DOM0_LINE], *found, *end;
	unsigned long long kib;

	if (!dom0_find("/proc/meminfo", name, line))
		return DOM0_ROOM_UNKNOWN;
	found = strstr(line, name) + sizeof(name) - 1;
	kib = strtoull(found, &end, 10);
	return end == found ? DOM0_ROOM_UNKNOWN : (uint64_t)kib << 10;
}

/*
 * Where a domain's memory is what Xen translates (Arm, PVH), Linux needs a page of its own for each
 * page that it maps. One with unpopulated-alloc takes addresses behind which there is nothing
 * (drivers/xen/unpopulated-alloc.c; of its own choice, on Arm, only where Xen has told of such
 * space); any other gives a page of its memory back to Xen (xen_alloc_ballooned_pages()), until
 * there is none left and processes are killed. What cannot be found out is taken to cost.
 */
static uint64_t backend_xen_room(void *state)
{
	struct backend_xen *xen = state;

	if (dom0_is_pv() || dom0_has_unpopulated(xen->memory, xen->domid))
		return UINT64_MAX;
	return dom0_free();
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
