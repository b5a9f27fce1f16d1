/* SPDX-License-Identifier: MIT */
/*
 * The miss path: map without a lock, show the result. Where: a stale bucket is replaced in its
 * slot where little is mapped in it, or little enough to be released at once; else it moves to a
 * fresh slot. A kernel mapping is only ever replaced or released whole: Linux refuses to split one.
 */
#include "lib/fill/filling.h"

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/index/index.h"
#include "lib/protocol/entry.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

/* Stale kernel mappings that may stay in a slot beside those replaced: each is mostly asked for
 * next. More are released together first. */
#define FILL_SMALL 4
/* Granules that are released on the way to a pointer, at most: a fresh slot costs less than more. */
#define FILL_EMPTY 16

/* A mapping, just taken, becomes this bucket's; it is not in the index yet. */
static void fill_adopt(struct fill *fill, struct mapping *mapping)
{
	mapcache_store_relaxed(&mapping->index, fill->request->index);
	/* The epoch is read before the map call begins (A). */
	mapping_restart(fill->cache, mapping, epoch_now(&fill->cache->shared));
	mapping_set_state(mapping, MAPPING_LIVE);
	mapping->doomed = 0;
	mapping->busy = 1;
	mapping->read_only = !!(fill->cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY);
	fill->mapping = mapping;
	fill->valid = 0;
}

static uint64_t fill_current(const struct fill *fill)
{
	return fill->valid | (fill->mapping->detail ? fill->mapping->detail->partial : 0);
}

/*
 * End of a fill that may have mapped something: show it, wake who waits. A mapping that an
 * invalidation has overtaken is shown with the epoch it was made in, which no later look-up
 * takes for current; its caller began before that, so it may have the pointer (A).
 * old: the mapping that it replaces, or NULL.
 */
static int fill_finish(struct fill *fill, struct mapping *old, int error)
{
	struct mapcache *cache = fill->cache;
	struct mapping *mapping = fill->mapping;
	bool doomed;

	pthread_mutex_lock(&fill->stripe->lock);
	doomed = mapping_doomed(mapping) || (old && mapping_doomed(old));
	mapping->busy = 0;
	if (old) {
		old->busy = 0;
		retired_add(cache, fill->stripe, old);
		stripe_add(cache, fill->stripe, mapping);
	} else {
		stripe_touch(fill->stripe, mapping);
	}
	if (doomed) {
		mapping_unpublish(cache, mapping);
		stripe_remove(cache, fill->stripe, mapping);
		retired_push(cache, mapping, fill_current(fill));
	} else {
		mapping_publish(cache, mapping, fill->valid);
	}
	if (mapcache_load_relaxed(&mapping->epoch) != epoch_now(&cache->shared))
		client_count(fill->client, COUNTER_MAPS_OVERTAKEN, 1);
	pthread_cond_broadcast(&fill->stripe->filled);
	pthread_mutex_unlock(&fill->stripe->lock);
	reclaim_wake(cache);
	return error;
}

/* End of a fill that came to nothing: the mapping in the index is as it was. */
static int fill_release(struct fill *fill, struct mapping *mapping, int error)
{
	pthread_mutex_lock(&fill->stripe->lock);
	retired_settle(fill->cache, fill->stripe, mapping);
	pthread_mutex_unlock(&fill->stripe->lock);
	return error;
}

int fill_take(struct fill *fill)
{
	int error = fill->room ? 0 : slot_room(fill->cache, NULL);

	fill->room = !error;
	fill->full = error;
	return error;
}

/*
 * No slot is to be had: what is asked for goes into the client's own, for this section. It is
 * never shown to anybody else, so nobody else has to be done with it.
 */
static int fill_spare(struct fill *fill, int error)
{
	struct mapping *mapping = slot_spare(fill->client);

	if (!mapping)
		return error;
	if (!fill->room && !space_take(fill->cache, true)) {
		slot_spare_back(fill->client);
		return error;
	}
	fill->room = true;
	fill_adopt(fill, mapping);
	mapping->busy = 0;
	error = fill_map(fill, fill_asked(fill));
	if (!error)
		return 0;
	/* Nobody has a pointer into it: the next attempt, for reading only, may use it. */
	slot_spare_back(fill->client);
	return error;
}

/* A slot for the bucket; -errno. */
static int fill_slot(struct fill *fill)
{
	struct mapping *mapping;
	int error = slot_room(fill->cache, &mapping);

	fill->room = !error;
	fill->full = error;
	if (!error)
		fill_adopt(fill, mapping);
	return error;
}

/* The bucket is in no slot. A placeholder goes into the index before the map call. */
static int fill_cold(struct fill *fill)
{
	struct run run = fill->read_only ? fill_asked(fill) : plan_bucket(fill);
	int error = fill_slot(fill);

	if (error)
		return error;
	error = entry_populate(fill->cache, fill->request->index);
	if (error)
		goto drop;
	pthread_mutex_lock(&fill->stripe->lock);
	if (stripe_find(fill->cache, fill->request->index))
		error = FILL_AGAIN;
	else
		stripe_add(fill->cache, fill->stripe, fill->mapping);
	pthread_mutex_unlock(&fill->stripe->lock);
	if (error)
		goto drop;
	error = fill_map(fill, run);
	if (!error || fill->usable)
		return fill_finish(fill, NULL, error);
	/* Nothing of it could be mapped: no trace of it stays. */
	pthread_mutex_lock(&fill->stripe->lock);
	stripe_remove(fill->cache, fill->stripe, fill->mapping);
	pthread_cond_broadcast(&fill->stripe->filled);
	pthread_mutex_unlock(&fill->stripe->lock);
drop:
	slot_put(fill->cache, fill->mapping);
	reclaim_wake(fill->cache);
	return error;
}

/* What could only be read a moment ago is not tried for writing again but for who asks for that.
 * Without memory to note it, it is. */
static void fill_keep_denied(struct fill *fill, const struct mapping *old)
{
	uint64_t denied = old->detail ? old->detail->denied : 0;

	if (fill->request->write)
		denied &= ~fill->request->granules;
	if (mapcache_load_relaxed(&old->epoch) == mapcache_load_relaxed(&fill->mapping->epoch))
		(void)mapping_deny(fill->cache, fill->mapping, denied);
}

/* The bucket leaves its slot, to its pinners and to reclaim, for a fresh one. */
static int fill_move(struct fill *fill, struct mapping *old, struct run run)
{
	bool whole = run.count == fill->cache->settings.granules, fresh;
	int error = fill_slot(fill);

	if (error)
		return fill_release(fill, old, error);
	fill_keep_denied(fill, old);
	error = fill_map(fill, run);
	/* One that fails has nothing to offer that an old one of this epoch has not. */
	fresh = mapcache_load_relaxed(&old->epoch) < mapcache_load_relaxed(&fill->mapping->epoch);
	if (error && !(whole && fresh && fill->usable)) {
		slot_put(fill->cache, fill->mapping);
		return fill_release(fill, old, error);
	}
	client_count(fill->client, COUNTER_REFRESHED_IN_FRESH_SLOT, 1);
	PROBE3(refresh, fill->cache, fill->request->gpa, 1);
	return fill_finish(fill, old, error);
}

/* Whether what the request lacks can be mapped beside what is current in the slot. */
static bool fill_extends(const struct fill *fill, const struct mapping *mapping)
{
	uint64_t current = mapping_current(fill->cache, mapping);
	uint64_t missing = fill->request->granules & ~current;
	struct request rest = *fill->request;

	/* A hole may have been filled since, but its kernel mapping holds pages in use. */
	if (!missing || (fill->request->write && (missing & mapping_denied(mapping))))
		return false;
	if (mapping->lost_pages)
		return false;
	rest.granules &= current;
	return !rest.granules || mapping_serves(fill->cache, mapping, &rest);
}

/*
 * Whether nobody can be using what the stale mapping shows: no section that began before this
 * epoch is left, ours included, and no pin. Never waits (J). The pins are counted after the
 * sections: a pin is taken inside one (B).
 */
static bool fill_take_over(struct fill *fill, struct mapping *mapping, uint64_t epoch)
{
	return client_quiet(fill->cache, epoch) && client_pins(fill->cache, mapping) == 0;
}

static int fill_in_place(struct fill *fill, struct mapping *mapping, uint64_t epoch, struct run run)
{
	unsigned int left = (unsigned int)__builtin_popcountll(mapping->starts & ~run_mask(run));
	int error;

	/* Of a kernel mapping nothing stays, and what cannot be mapped over must not stay at all. */
	if (mapping->mapped &&
	    (!space_fixed(fill->cache) || mapping_grow(mapping, run).count > run.count ||
	     left > FILL_SMALL) &&
	    slot_empty(fill->cache, mapping))
		return fill_move(fill, mapping, run);
	error = fill_take(fill);
	if (error)
		return fill_release(fill, mapping, error);
	mapping_restart(fill->cache, mapping, epoch);
	fill->mapping = mapping;
	fill->valid = 0;
	client_count(fill->client, COUNTER_REFRESHED_IN_PLACE, 1);
	PROBE3(refresh, fill->cache, fill->request->gpa, 0);
	return fill_finish(fill, NULL, fill_map(fill, run));
}

/* Mapped before the last invalidation. */
static int fill_refresh(struct fill *fill, struct mapping *mapping, uint64_t epoch)
{
	struct run run = plan_bucket(fill);
	bool little = __builtin_popcountll(mapping->mapped) <= FILL_EMPTY;

	if (run.count == fill->cache->settings.granules)
		client_count(fill->client, COUNTER_MAPPED_WHOLE, 1);
	if ((little || !slot_plenty(fill->cache)) && fill_take_over(fill, mapping, epoch))
		return fill_in_place(fill, mapping, epoch, run);
	return fill_move(fill, mapping, run);
}

/* The bucket is in a slot, which is busy now and ours. */
static int fill_known(struct fill *fill, struct mapping *mapping)
{
	uint64_t epoch = epoch_now(&fill->cache->shared);

	if (fill->read_only)
		return fill_move(fill, mapping, fill_asked(fill));
	if (mapcache_load_relaxed(&mapping->epoch) != epoch)
		return fill_refresh(fill, mapping, epoch);
	if (!fill_extends(fill, mapping))
		return fill_move(fill, mapping, fill_asked(fill));
	if (plan_becomes_whole(fill, mapping)) {
		client_count(fill->client, COUNTER_MAPPED_WHOLE, 1);
		return fill_move(fill, mapping, fill_all(fill));
	}
	fill->mapping = mapping;
	fill->valid = mapping_valid(fill->cache, mapping);
	return fill_finish(fill, NULL, fill_missing(fill, fill_current(fill)));
}

int fill(struct mapcache_client *client, struct stripe *stripe, struct mapping *mapping,
	 const struct request *request, bool read_only, void **pointer)
{
	struct fill fill = {
		.cache = client->cache,
		.client = client,
		.stripe = stripe,
		.request = request,
		.read_only = read_only,
	};
	CANCEL_DEFERRED;
	int error;

	if (mapping)
		mapping->busy = 1;
	pthread_mutex_unlock(&stripe->lock);
	client_count(client, COUNTER_MISSES, 1);
	PROBE2(fill_begin, fill.cache, request->gpa);
	reclaim_help(fill.cache);
	if (batch_serve(&fill, pointer)) {
		error = mapping ? fill_release(&fill, mapping, 0) : 0;
	} else {
		error = mapping ? fill_known(&fill, mapping) : fill_cold(&fill);
		if (fill.full)
			error = fill_spare(&fill, error);
		if (!error)
			*pointer = mapping_base(fill.cache, fill.mapping) + request->offset;
		if (fill.room)
			space_untake(fill.cache);
		batch_forget(&fill);
	}
	PROBE3(fill_end, fill.cache, request->gpa, error);
	return error;
}
