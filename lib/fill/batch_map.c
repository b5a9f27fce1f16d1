/* SPDX-License-Identifier: MIT */
/* A batch: what is worth a place in it, and its map call. */
#include "lib/fill/filling.h"

#include <stdlib.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/protocol/entry.h"
#include "lib/protocol/table.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

#define BATCH_MIN 2u                /* granules that nobody has asked for yet */
#define BATCH_CALLS 4               /* its granules may take as long as so many calls */
#define BATCH_SLOTS 8               /* at most this part of all slots */
#define BATCH_CALM_NS NS_PER_SECOND /* without an INVALIDATE */
#define BATCH_LONG_NS NS_PER_SECOND
#define BATCH_LONG_REST (10 * NS_PER_SECOND)

/* ---- what is worth a place; batches lock held ---------------------------------------------- */

static struct hot_cost batch_cost(const struct mapcache *cache)
{
	uint64_t little = mapcache_load_relaxed(&cache->fill.cost.little);
	uint64_t granule = mapcache_load_relaxed(&cache->fill.cost.granule);

	granule = granule ? granule : little / 16;
	return (struct hot_cost){ .call = little > granule ? little - granule : 1,
				  .granule = granule ? granule : 1 };
}

static unsigned int batch_room(const struct mapcache *cache)
{
	const struct batches *batches = &cache->fill.batches;
	struct hot_cost cost = batch_cost(cache);
	uint64_t room = BATCH_CALLS * cost.call / cost.granule;
	unsigned int most = cache->settings.granules - 1;

	if (batches->since < batches->away_until ||
	    batches->count >= cache->settings.slots / BATCH_SLOTS)
		return 0;
	/* All that is in use, and unmapping it, must fit into an epoch. */
	if (cost.call + batches->hots.count * cost.granule > batches->period_ns / 2)
		return 0;
	room = room > BATCH_LEAST ? room : BATCH_LEAST;
	return room < most ? (unsigned int)room : most;
}

/* The bucket's first granule. */
static uint64_t batch_first(const struct fill *fill)
{
	const struct settings *settings = &fill->cache->settings;

	return fill->request->index << (settings->bucket_shift - settings->granule_shift);
}

/* ---- a batch on its way -------------------------------------------------------------------- */

struct batch {
	struct mapcache *cache;
	struct mapcache_client *client;
	struct mapping *mapping;
	uint64_t epoch, dropped;
	uint64_t granule[64], whole; /* whole: a mask of them, once they are mapped */
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
	unsigned int room = batch_room(batch->cache), asked = batch->count;

	if (asked + BATCH_MIN > room)
		return false;
	batch->count += hot_take(&batches->hots, batch->granule + asked, room - asked);
	qsort(batch->granule, batch->count, sizeof(*batch->granule), batch_order);
	batch->dropped = batches->dropped;
	return batch->count >= asked + BATCH_MIN;
}

/* A new epoch: what was shown is stale. Batches lock held. */
static void batch_turn(struct mapcache *cache, uint64_t epoch, uint64_t now)
{
	struct batches *batches = &cache->fill.batches;
	struct hot_cost cost = batch_cost(cache);
	uint64_t since = now - batches->since;

	batch_hide_all(cache, epoch, 0, 0);
	/* The last few epochs count. */
	if (batches->hots.epoch)
		since /= epoch - batches->hots.epoch;
	batches->period_ns = batches->period_ns - batches->period_ns / 4 + since / 4;
	batches->since = now;
	hot_begin(&batches->hots, epoch, &cost);
}

/* What the look-up asks for. False: not all of that was in use before. */
static bool batch_ask(const struct fill *fill, struct batch *batch)
{
	uint64_t granule = batch_first(fill);
	bool known = true;

	for (uint64_t asked = fill->request->granules; asked; asked >>= 1, granule++) {
		if (!(asked & 1))
			continue;
		known &= hot_ask(&fill->cache->fill.batches.hots, granule, batch->epoch);
		batch->granule[batch->count++] = granule;
	}
	return known;
}

/* A slot that shows these frames, once they are mapped there: whoever drops what is shown from now
 * on finds it. */
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
	mapcache_store_relaxed(&batch->mapping->index, MAPPING_LISTED);
	mapping_restart(cache, batch->mapping, batch->epoch);
	mapping_set_state(batch->mapping, MAPPING_BATCH);
	batch->mapping->doomed = 0;
	return true;
}

/* False: there is none. */
static bool batch_begin(struct fill *fill, struct batch *batch)
{
	struct batches *batches = &fill->cache->fill.batches;
	uint64_t now;
	bool begun;

	pthread_mutex_lock(&batches->lock);
	now = clock_ns();
	/* The epoch is read before the map call begins (A). */
	batch->epoch = epoch_now(&fill->cache->shared);
	if (batches->hots.epoch != batch->epoch)
		batch_turn(fill->cache, batch->epoch, now);
	fill->calm = now - batches->since >= BATCH_CALM_NS;
	if (batches->used <= fill->request->index)
		batches->used = fill->request->index + 1;
	begun = !fill->read_only && batch_start(fill->cache) && batch_ask(fill, batch) &&
		!fill->calm && !entry_logging(fill->cache) && batch_choose(batch) &&
		batch_prepare(batch);
	pthread_mutex_unlock(&batches->lock);
	return begun;
}

/* Shown, unless that came too late. Batches lock held. */
static void batch_show(struct batch *batch)
{
	struct batches *batches = &batch->cache->fill.batches;
	bool overtaken = epoch_now(&batch->cache->shared) != batch->epoch;
	/* What has been overtaken would never be found, but for a tag that has come round. */
	bool shown = !overtaken && batches->dropped == batch->dropped;

	if (overtaken)
		client_count(batch->client, COUNTER_MAPS_OVERTAKEN, 1);
	for (unsigned int i = 0; i < batch->count; i++) {
		if (!(batch->whole >> i & 1))
			hot_refuse(&batches->hots, batch->granule[i]);
		else if (shown)
			granule_show(&batches->words[batch->granule[i]],
				     batch_word(batch->cache, batch->mapping, i));
	}
	if (!shown) {
		retired_push(batch->cache, batch->mapping, batch->mapping->mapped);
		return;
	}
	batch->mapping->next = batches->first;
	batches->first = batch->mapping;
	batches->count++;
	reclaim_count_others(batch->cache, 1);
}

static bool batch_map(struct batch *batch)
{
	struct mapcache *cache = batch->cache;
	struct batches *batches = &cache->fill.batches;
	struct mapping *mapping = batch->mapping;
	uint64_t begin = clock_ns();
	int pages = fill_call(batch->client, mapping, (struct run){ 0, batch->count },
			      PROT_READ | PROT_WRITE, &batch->whole);

	if (pages < 0) {
		slot_put(cache, mapping);
		return false;
	}
	client_count(batch->client, COUNTER_BATCHES, 1);
	client_count(batch->client, COUNTER_PAGES_BATCHED, (uint64_t)pages);
	pthread_mutex_lock(&batches->lock);
	batch_show(batch);
	/* A page that was away held up who asked for another one: not again for long. */
	if (clock_ns() - begin > BATCH_LONG_NS)
		batches->away_until = batches->since + BATCH_LONG_REST;
	pthread_mutex_unlock(&batches->lock);
	reclaim_wake(cache);
	return true;
}

void batch_forget(const struct fill *fill)
{
	struct batches *batches = &fill->cache->fill.batches;

	if (fill->valid != run_mask(fill_all(fill)))
		return;
	pthread_mutex_lock(&batches->lock);
	for (unsigned int i = 0; i < fill->cache->settings.granules; i++)
		hot_forget(&batches->hots, batch_first(fill) + i);
	pthread_mutex_unlock(&batches->lock);
}

bool batch_serve(struct fill *fill, void **pointer)
{
	struct batch batch = { .cache = fill->cache, .client = fill->client };
	struct run asked = fill_asked(fill);
	uint64_t granule = UINT64_C(1) << fill->cache->settings.granule_shift, first;

	/* Nothing is known before the first INVALIDATE, nor is there anything to do. */
	fill->calm = epoch_now(&fill->cache->shared) == 1;
	if (fill->calm || !batch_begin(fill, &batch) || !batch_map(&batch))
		return false;
	/* Overtaken or not: this section began before. */
	first = batch_first(fill) + asked.first;
	for (asked.first = 0; batch.granule[asked.first] != first; asked.first++)
		;
	if (run_mask(asked) & ~batch.whole)
		return false;
	*pointer = mapping_base(fill->cache, batch.mapping) + asked.first * granule +
		   (fill->request->offset & (granule - 1));
	return true;
}
