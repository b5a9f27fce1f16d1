/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/filling.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/place.h"

static uint64_t fill_bytes(const struct fill *fill, unsigned int granules)
{
	return (uint64_t)granules << fill->cache->settings.granule_shift;
}

struct run fill_all(const struct fill *fill)
{
	return (struct run){ 0, fill->cache->settings.granules };
}

struct run fill_asked(const struct fill *fill)
{
	uint64_t mask = fill->request->granules;

	return (struct run){ (unsigned int)__builtin_ctzll(mask),
			     (unsigned int)__builtin_popcountll(mask) };
}

/* What was mapped is of no use. What the kernel does not let go is not shown to anybody. */
static void fill_undo(struct fill *fill, struct run run)
{
	if (mapping_release(fill->cache, fill->mapping, 1, run))
		mapping_doom(fill->mapping);
}

static void fill_count(struct fill *fill, size_t pages)
{
	size_t holes = 0;

	for (size_t page = 0; page < pages; page++)
		holes += fill->client->error[page] != 0;
	client_count(fill->client, COUNTER_PAGES_MAPPED, pages - holes);
	client_count(fill->client, COUNTER_HOLES, holes);
}

/* The first error of the request's pages in the call for the run, or 0. */
static int fill_result(const struct fill *fill, struct run run)
{
	const struct request *request = fill->request;
	unsigned int first = run.first * fill->cache->settings.granule_pages;
	unsigned int end = first + run.count * fill->cache->settings.granule_pages;

	for (unsigned int page = request->first_page; page <= request->last_page; page++) {
		if (page >= first && page < end && fill->client->error[page - first])
			return fill->client->error[page - first];
	}
	return 0;
}

/* The run, if it is to be mapped for reading only; or 0. */
static uint64_t fill_denied(const struct fill *fill, struct run run)
{
	uint64_t mask = run_mask(run);

	if (fill->read_only || fill->mapping->read_only)
		return mask;
	return !fill->request->write && (mapping_denied(fill->mapping) & mask) ? mask : 0;
}

int fill_map(struct fill *fill, struct run run)
{
	struct mapcache *cache = fill->cache;
	struct mapping *mapping = fill->mapping;
	const struct settings *settings = &cache->settings;
	size_t pages = (size_t)run.count * settings->granule_pages;
	uint64_t gpa =
		(fill->request->index << settings->bucket_shift) + fill_bytes(fill, run.first);
	uint64_t denied = fill_denied(fill, run);
	int prot = denied ? PROT_READ : PROT_READ | PROT_WRITE;
	char *address;
	uint64_t begin;
	int error;

	error = mapping_deny(cache, mapping, denied);
	if (error)
		return error;
	error = fill->room ? 0 : slot_room(cache);
	if (error)
		return error;
	fill->room = false;
	client_count(fill->client, COUNTER_MAP_CALLS, 1);
	if (mapping->calls < UINT8_MAX)
		mapping->calls++;
	notify_removing_mask(cache, mapping, mapping->mapped & run_mask(run));
	begin = clock_ns();
	address = mapping_map(cache, mapping, run, prot, fill->client->error);
	if (!address) {
		error = errno ? -errno : -ENOMEM;
		client_count(fill->client, COUNTER_MAP_ERRORS, 1);
		PROBE4(map, cache, gpa >> PAGE_SHIFT, pages, error);
		return error;
	}
	/* Release: mapped over comes before it is said. */
	mapcache_store_release(&mapping->was, 0);
	cost_note(cache, &cache->fill.cost, run.count, clock_ns() - begin);
	PROBE4(map, cache, gpa >> PAGE_SHIFT, pages, 0);
	fill_count(fill, pages);
	error = mapping_note(cache, mapping, run, fill->client->error, &fill->valid);
	if (error) {
		account_retire(cache, mapcache_load_relaxed(&mapping->epoch),
			       fill_bytes(fill, run.count));
		fill_undo(fill, run);
		return error;
	}
	notify(cache, MAPCACHE_EVENT_ADDED, gpa, address, fill_bytes(fill, run.count));
	return fill_result(fill, run);
}

int fill_missing(struct fill *fill, uint64_t current)
{
	struct run asked = fill_asked(fill);
	unsigned int end = asked.first + asked.count;
	int error = 0;

	for (unsigned int i = asked.first; i < end && !error; i++) {
		struct run run = { i, 0 };

		while (i < end && !(current >> i & 1)) {
			run.count++;
			i++;
		}
		/* What is stale around it was in one kernel mapping with it, and none of it is in use. */
		if (run.count)
			error = fill_map(fill, mapping_grow(fill->mapping, run));
	}
	return error;
}
