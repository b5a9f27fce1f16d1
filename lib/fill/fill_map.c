/* SPDX-License-Identifier: MIT */

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/filling.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

struct run fill_all(const struct fill *fill)
{
	return (struct run){ 0, fill->cache->settings.granules };
}

struct run fill_asked(const struct fill *fill)
{
	return run_first(fill->request->granules);
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

int fill_call(struct mapcache_client *client, struct mapping *mapping, struct run run, int prot,
	      uint64_t *whole)
{
	struct mapcache *cache = client->cache;
	uint64_t offset = (uint64_t)run.first << cache->settings.granule_shift, begin;
	size_t pages = (size_t)run.count * cache->settings.granule_pages, holes = 0;
	int error = 0;

	client_count(client, COUNTER_MAP_CALLS, 1);
	notify_mask(cache, mapping, mapping->mapped & run_mask(run), MAPCACHE_EVENT_REMOVING);
	begin = clock_ns();
	if (!mapping_map(cache, mapping, run, prot, client->error))
		error = errno ? -errno : -ENOMEM;
	PROBE4(map, cache, place_gpa(cache, mapping, offset) >> PAGE_SHIFT, pages, error);
	if (error) {
		client_count(client, COUNTER_MAP_ERRORS, 1);
		return error;
	}
	cost_note(cache, &cache->fill.cost, run.count, clock_ns() - begin);
	for (size_t page = 0; page < pages; page++)
		holes += client->error[page] != 0;
	client_count(client, COUNTER_PAGES_MAPPED, pages - holes);
	client_count(client, COUNTER_HOLES, holes);
	error = mapping_note(cache, mapping, run, client->error, whole);
	/* What the kernel does not let go is not shown to anybody. */
	if (error && mapping_release(cache, mapping, 1, run))
		mapping_doom(mapping);
	else if (error)
		account_retire(cache, mapcache_load_relaxed(&mapping->epoch),
			       (uint64_t)run.count << cache->settings.granule_shift);
	else
		notify_mask(cache, mapping, run_mask(run), MAPCACHE_EVENT_ADDED);
	return error ? error : (int)(pages - holes);
}

int fill_map(struct fill *fill, struct run run)
{
	struct mapping *mapping = fill->mapping;
	uint64_t denied = fill_denied(fill, run);
	int error = mapping_deny(fill->cache, mapping, denied);

	if (!error)
		error = fill_take(fill);
	if (error)
		return error;
	fill->room = false;
	if (mapping->calls < UINT8_MAX)
		mapping->calls++;
	error = fill_call(fill->client, mapping, run, denied ? PROT_READ : PROT_READ | PROT_WRITE,
			  &fill->valid);
	fill->usable |= error > 0;
	return error < 0 ? error : fill_result(fill, run);
}

int fill_missing(struct fill *fill, uint64_t current)
{
	uint64_t rest = fill->request->granules & ~current;
	int error = 0;

	while (rest && !error) {
		struct run run = run_first(rest);

		rest &= ~run_mask(run);
		/* What is stale around it was in one kernel mapping with it, and none of it is in use. */
		error = fill_map(fill, mapping_grow(fill->mapping, run));
	}
	return error;
}
