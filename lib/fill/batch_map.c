/* SPDX-License-Identifier: MIT */
/* A batch: what is worth a place in it, and its map call. */
#include "lib/fill/batch.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/filling.h"
#include "lib/protocol/entry.h"
#include "lib/protocol/granule.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/place.h"
#include "lib/space/space.h"

#define BATCH_MIN 2u    /* granules that nobody has asked for yet */
#define BATCH_FIRST 16u /* before it is known what one takes */
#define BATCH_CALLS 4   /* its granules may take as long as so many calls */
#define BATCH_SLOTS 8   /* at most this part of all slots */
#define BATCH_REST 6    /* epochs without, as a power of two, at most */
#define BATCH_LONG_NS NS_PER_SECOND
#define BATCH_LONG_REST (10 * NS_PER_SECOND)

/* ---- what is worth a place; batches lock held ---------------------------------------------- */

static struct hot_cost batch_cost(const struct mapcache *cache)
{
	const struct batches *batches = &cache->fill.batches;
	uint64_t little = mapcache_load_relaxed(&cache->fill.cost.little);
	uint64_t granule = batches->granule_ns ? batches->granule_ns : little / 16;

	return (struct hot_cost){ .call = little > granule ? little - granule : 1,
				  .granule = granule ? granule : 1 };
}

/* What a call for so many has taken, but for what any call does. */
static void batch_learn(struct mapcache *cache, unsigned int granules, uint64_t ns)
{
	struct batches *batches = &cache->fill.batches;
	uint64_t call = batch_cost(cache).call, before = batches->granule_ns, one;

	if (granules < BATCH_LEAST)
		return;
	one = ns > call ? (ns - call) / granules + 1 : 1;
	/* One that was held up does not count for much. */
	if (before)
		one = before - before / 8 + (one < 4 * before ? one : 4 * before) / 8;
	batches->granule_ns = one;
}

static unsigned int batch_room(const struct mapcache *cache)
{
	const struct batches *batches = &cache->fill.batches;
	struct hot_cost cost = batch_cost(cache);
	uint64_t room = BATCH_CALLS * cost.call / cost.granule;

	if (batches->off || batches->hots.epoch < batches->rest_until ||
	    batches->since < batches->away_until ||
	    batches->count >= cache->settings.slots / BATCH_SLOTS)
		return 0;
	/* All that is in use, and unmapping it, must fit into an epoch. */
	if (batches->hots.count * batches->granule_ns > batches->period_ns / 2)
		return 0;
	if (!batches->granule_ns)
		room = BATCH_FIRST;
	room = room > BATCH_LEAST ? room : BATCH_LEAST;
	return room < batches->most ? (unsigned int)room : batches->most;
}

/* An INVALIDATE came before a batch was there, which was in vain: with fewer, or none for a while. */
static void batch_overtaken(struct mapcache *cache, bool overtaken)
{
	struct batches *batches = &cache->fill.batches;
	unsigned int all = cache->settings.granules - 1;

	if (!overtaken) {
		batches->overtaken = 0;
		batches->most = batches->most * 2 < all ? batches->most * 2 : all;
	} else if (batches->most >= 2 * BATCH_LEAST) {
		batches->most /= 2;
	} else {
		if (batches->overtaken < BATCH_REST)
			batches->overtaken++;
		batches->rest_until = batches->hots.epoch + (UINT64_C(1) << batches->overtaken);
	}
}

/* The bucket's entry shows it. */
static bool batch_shown(const struct mapcache *cache, uint64_t granule, uint64_t epoch)
{
	uint32_t shift = cache->settings.bucket_shift - cache->settings.granule_shift;
	const struct mapcache_entry *entry = entry_of(cache, granule >> shift);
	uint64_t bit = granule & ((UINT64_C(1) << shift) - 1);

	return mapcache_load_relaxed(&entry->word) >> MAPCACHE_TAG_SHIFT ==
		       table_word(epoch, 0, false, false) >> MAPCACHE_TAG_SHIFT &&
	       mapcache_load_relaxed(&entry->valid) >> bit & 1;
}

/* The bucket's first granule. */
static uint64_t batch_first(const struct fill *fill)
{
	const struct settings *settings = &fill->cache->settings;

	return fill->request->index << (settings->bucket_shift - settings->granule_shift);
}

/* What the look-up has mapped was asked for; a bucket that was mapped whole is no business of
 * batches. */
static void batch_note(const struct fill *fill, uint64_t epoch)
{
	const struct settings *settings = &fill->cache->settings;
	struct hots *hots = &fill->cache->fill.batches.hots;
	uint64_t first = batch_first(fill);
	uint64_t all = run_mask((struct run){ 0, settings->granules });

	for (unsigned int i = 0; i < settings->granules; i++) {
		if (fill->valid == all)
			hot_forget(hots, first + i);
		else if (fill->valid >> i & 1)
			hot_ask(hots, first + i, epoch);
	}
}

/* ---- a batch on its way -------------------------------------------------------------------- */

struct batch {
	struct mapcache *cache;
	struct mapcache_client *client;
	struct mapping *mapping;
	uint64_t epoch, dropped;
	uint64_t granule[64];
	bool whole[64];
	unsigned int count;
};

static int batch_order(const void *left, const void *right)
{
	uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;

	return a < b ? -1 : a > b;
}

/* What else is to be mapped, and all by address: neighbours in the guest are neighbours in the slot. */
static bool batch_choose(struct batch *batch)
{
	struct batches *batches = &batch->cache->fill.batches;
	unsigned int room = batch_room(batch->cache), asked = batch->count, count = asked, taken;

	if (asked + BATCH_MIN > room)
		return false;
	taken = hot_take(&batches->hots, batch->granule + asked, room - asked);
	for (unsigned int i = asked; i < asked + taken; i++) {
		if (!batch_shown(batch->cache, batch->granule[i], batch->epoch))
			batch->granule[count++] = batch->granule[i];
	}
	qsort(batch->granule, count, sizeof(*batch->granule), batch_order);
	batch->count = count;
	batch->dropped = batches->dropped;
	return count >= asked + BATCH_MIN;
}

/* A new epoch: what was shown is stale. Batches lock held. */
static void batch_turn(struct mapcache *cache, uint64_t epoch)
{
	struct batches *batches = &cache->fill.batches;
	struct hot_cost cost = batch_cost(cache);
	uint64_t now = clock_ns(), since = now - batches->since;

	batch_hide_all(cache, epoch, 0, 0);
	/* The last few epochs count. */
	if (batches->hots.epoch)
		since /= epoch - batches->hots.epoch;
	batches->period_ns = batches->period_ns - batches->period_ns / 4 + since / 4;
	batches->since = now;
	hot_begin(&batches->hots, epoch, &cost);
}

/* What the look-up asks for, if all of that was in use before. */
static bool batch_ask(const struct fill *fill, struct batch *batch)
{
	struct hots *hots = &fill->cache->fill.batches.hots;
	uint64_t first = batch_first(fill);

	for (unsigned int i = 0; i < fill->cache->settings.granules; i++) {
		if (!(fill->request->granules >> i & 1))
			continue;
		if (!hot_known(hots, first + i))
			return false;
		batch->granule[batch->count++] = first + i;
	}
	for (unsigned int i = 0; i < batch->count; i++)
		hot_ask(hots, batch->granule[i], batch->epoch);
	return true;
}

/* serve: what is asked for is part of it. False: there is none. */
static bool batch_begin(const struct fill *fill, struct batch *batch, bool serve)
{
	struct batches *batches = &fill->cache->fill.batches;
	bool begun = false;

	pthread_mutex_lock(&batches->lock);
	/* The epoch is read before the map call begins (A). */
	batch->epoch = epoch_now(&fill->cache->shared);
	if (!batches->off && batch_start(fill->cache)) {
		if (batches->hots.epoch != batch->epoch)
			batch_turn(fill->cache, batch->epoch);
		if (!serve)
			batch_note(fill, fill->request->epoch);
		if (!fill->calm && !entry_logging(fill->cache) &&
		    (!serve || batch_ask(fill, batch)))
			begun = batch_choose(batch);
	}
	pthread_mutex_unlock(&batches->lock);
	return begun;
}

/* A slot that shows these frames, once they are mapped there. */
static bool batch_prepare(struct batch *batch)
{
	struct mapcache *cache = batch->cache;
	uint64_t pages = cache->settings.granule_pages;
	mapcache_atomic_u64 *list;

	batch->mapping = slot_try(cache);
	if (!batch->mapping)
		return false;
	list = place_list(cache, batch->mapping);
	if (!list) {
		space_untake(cache);
		slot_put(cache, batch->mapping);
		return false;
	}
	for (unsigned int i = 0; i < batch->count; i++)
		for (uint64_t page = 0; page < pages; page++)
			mapcache_store_relaxed(list++, batch->granule[i] * pages + page);
	mapcache_store_relaxed(&batch->mapping->was, 0);
	mapcache_store_relaxed(&batch->mapping->index, MAPPING_LISTED);
	mapping_restart(cache, batch->mapping, batch->epoch);
	mapping_set_state(batch->mapping, MAPPING_BATCH);
	batch->mapping->doomed = 0;
	return true;
}

static bool batch_whole(const struct batch *batch, unsigned int i)
{
	size_t pages = batch->cache->settings.granule_pages;
	const int *error = batch->client->error + i * pages;

	for (size_t page = 0; page < pages; page++) {
		if (error[page])
			return false;
	}
	return true;
}

/* Batches lock held. False: nobody is shown any of it. */
static bool batch_show(struct batch *batch)
{
	struct batches *batches = &batch->cache->fill.batches;
	bool overtaken = epoch_now(&batch->cache->shared) != batch->epoch;

	batch_overtaken(batch->cache, overtaken);
	if (overtaken)
		client_count(batch->client, COUNTER_MAPS_OVERTAKEN, 1);
	for (unsigned int i = 0; i < batch->count; i++) {
		batch->whole[i] = batch_whole(batch, i);
		if (!batch->whole[i])
			hot_refuse(&batches->hots, batch->granule[i]);
	}
	/* What has been overtaken would never be found, but for a tag that has come round. */
	if (overtaken || batches->dropped != batch->dropped)
		return false;
	for (unsigned int i = 0; i < batch->count; i++) {
		if (batch->whole[i])
			granule_show(&batches->words[batch->granule[i]],
				     batch_word(batch->cache, batch->mapping, i));
	}
	batch->mapping->next = batches->first;
	batches->first = batch->mapping;
	batches->count++;
	reclaim_count_others(batch->cache, 1);
	return true;
}

static void batch_count(const struct batch *batch)
{
	struct mapcache_client *client = batch->client;
	size_t pages = (size_t)batch->count * batch->cache->settings.granule_pages, holes = 0;

	for (size_t page = 0; page < pages; page++)
		holes += client->error[page] != 0;
	client_count(client, COUNTER_BATCHES, 1);
	client_count(client, COUNTER_PAGES_BATCHED, pages - holes);
	client_count(client, COUNTER_PAGES_MAPPED, pages - holes);
	client_count(client, COUNTER_HOLES, holes);
}

/* Whoever drops what is shown has either been seen by now, or sees what the slot is to show. */
static bool batch_dropped(const struct batch *batch)
{
	struct batches *batches = &batch->cache->fill.batches;
	bool dropped;

	pthread_mutex_lock(&batches->lock);
	dropped = batches->dropped != batch->dropped;
	pthread_mutex_unlock(&batches->lock);
	return dropped;
}

static int batch_map(struct batch *batch)
{
	struct mapcache *cache = batch->cache;
	struct mapping *mapping = batch->mapping;
	struct run run = { 0, batch->count };
	uint64_t begin = clock_ns();
	char *mapped;
	bool shown;

	if (batch_dropped(batch)) {
		space_untake(cache);
		slot_put(cache, mapping);
		return -EAGAIN;
	}
	client_count(batch->client, COUNTER_MAP_CALLS, 1);
	mapped = mapping_map(cache, mapping, run, PROT_READ | PROT_WRITE, batch->client->error);
	PROBE4(map, cache, batch->granule[0] * cache->settings.granule_pages,
	       batch->count * cache->settings.granule_pages, mapped ? 0 : -errno);
	if (!mapped) {
		client_count(batch->client, COUNTER_MAP_ERRORS, 1);
		slot_put(cache, mapping);
		return -ENOMEM;
	}
	begin = clock_ns() - begin;
	batch_count(batch);
	notify_listed(cache, mapping, MAPCACHE_EVENT_ADDED);
	pthread_mutex_lock(&cache->fill.batches.lock);
	batch_learn(cache, batch->count, begin);
	shown = batch_show(batch);
	/* A page that was away held up who asked for another one: not again for long. */
	if (begin > BATCH_LONG_NS)
		cache->fill.batches.away_until = cache->fill.batches.since + BATCH_LONG_REST;
	pthread_mutex_unlock(&cache->fill.batches.lock);
	if (!shown)
		retired_push(cache, mapping, mapping->mapped);
	reclaim_wake(cache);
	return 0;
}

/* Nothing is known before the first INVALIDATE, nor is there anything to do. */
static bool batch_idle(const struct fill *fill)
{
	return fill->cache->fill.batches.off || epoch_now(&fill->cache->shared) == 1;
}

void batch_follow(struct fill *fill)
{
	struct batch batch = { .cache = fill->cache, .client = fill->client };

	if (!batch_idle(fill) && batch_begin(fill, &batch, false) && batch_prepare(&batch))
		(void)batch_map(&batch);
}

/* Overtaken or not: this section began before. */
bool batch_serve(struct fill *fill, void **pointer)
{
	struct batch batch = { .cache = fill->cache, .client = fill->client };
	const struct settings *settings = &fill->cache->settings;
	uint64_t first = batch_first(fill), granules = fill->request->granules;
	unsigned int i = 0, end;
	uint64_t offset;

	if (batch_idle(fill) || fill->read_only || !batch_begin(fill, &batch, true) ||
	    !batch_prepare(&batch) || batch_map(&batch))
		return false;
	first += (unsigned int)__builtin_ctzll(granules);
	while (batch.granule[i] != first)
		i++;
	offset = (uint64_t)i << settings->granule_shift;
	for (end = i + (unsigned int)__builtin_popcountll(granules); i < end; i++) {
		if (!batch.whole[i])
			return false;
	}
	*pointer = mapping_base(fill->cache, batch.mapping) + offset +
		   (fill->request->offset & ((UINT64_C(1) << settings->granule_shift) - 1));
	return true;
}
