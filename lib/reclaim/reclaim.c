/* SPDX-License-Identifier: MIT */
/*
 * When stale mappings go: by the reclaim thread, by mapcache_reclaim(), or by the mapping path
 * when there are too many.
 *
 * The thread is never woken by an invalidation, whose answer would pay for that: it looks
 * every few milliseconds while anything is mapped, and sleeps while nothing is. The age of
 * what is stale counts from the first invalidation that has not been swept yet, or a storm
 * would keep cold buckets for ever.
 */
#include "lib/reclaim/reclaim.h"

#include <limits.h>
#include <signal.h>

#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/base/probe.h"
#include "lib/index/index.h"
#include "lib/reclaim/pace.h"

/* Of reclaim_ms: between two looks; from the first look that sees a new epoch to the sweep.
 * The rest is for grace periods and unmapping. */
#define RECLAIM_LOOKS 8
#define RECLAIM_AGE 4
/* Mappings that the mapping path retires when too much is stale and too little on its way. */
#define RECLAIM_HELP 4

int reclaim_init(struct mapcache *cache)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;
	pthread_condattr_t attributes;
	int error;

	reclaim->swept_epoch = 1;
	error = -pthread_mutex_init(&cache->reclaim.retired.lock, NULL);
	if (error)
		return error;
	error = -pthread_mutex_init(&reclaim->lock, NULL);
	if (error)
		goto destroy_retired;
	error = -pthread_condattr_init(&attributes);
	if (error)
		goto destroy_lock;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	error = -pthread_cond_init(&reclaim->wake, &attributes);
	pthread_condattr_destroy(&attributes);
	if (error)
		goto destroy_lock;
	return 0;
destroy_lock:
	pthread_mutex_destroy(&reclaim->lock);
destroy_retired:
	pthread_mutex_destroy(&cache->reclaim.retired.lock);
	return error;
}

void reclaim_destroy(struct mapcache *cache)
{
	pthread_cond_destroy(&cache->reclaim.thread.wake);
	pthread_mutex_destroy(&cache->reclaim.thread.lock);
	pthread_mutex_destroy(&cache->reclaim.retired.lock);
}

void reclaim_stats(struct mapcache *cache, struct mapcache_stats *stats)
{
	stats->evictions = mapcache_load_relaxed(&cache->reclaim.evictions);
	stats->grace_periods = mapcache_load_relaxed(&cache->reclaim.grace_periods);
	stats->pinned_stale_bytes += mapcache_load_relaxed(&cache->reclaim.retired.pinned_bytes);
}

void reclaim_others(struct mapcache *cache, uint64_t (*others)(struct mapcache *cache, bool all))
{
	cache->reclaim.others = others;
}

void reclaim_count_others(struct mapcache *cache, uint64_t slots)
{
	mapcache_add_relaxed(&cache->reclaim.other_slots, slots);
}

/* Returns how many were retired, at most limit. */
static unsigned int reclaim_sweep_stripe(struct mapcache *cache, struct stripe *stripe,
					 uint64_t epoch, unsigned int limit)
{
	struct mapping *mapping, *next;
	unsigned int count = 0;

	pthread_mutex_lock(&stripe->lock);
	for (mapping = stripe_oldest(stripe); mapping && count < limit; mapping = next) {
		next = stripe_newer(mapping);
		if (!mapping->busy && mapcache_load_relaxed(&mapping->epoch) < epoch) {
			retired_add(cache, stripe, mapping);
			count++;
		}
	}
	pthread_mutex_unlock(&stripe->lock);
	return count;
}

void reclaim_sweep(struct mapcache *cache, uint64_t epoch)
{
	for (uint32_t i = 0; i < cache->settings.stripes; i++)
		reclaim_sweep_stripe(cache, stripe_at(cache, i), epoch, UINT_MAX);
}

void reclaim_help(struct mapcache *cache)
{
	uint64_t bytes = UINT64_C(2) << cache->settings.bucket_shift;
	uint64_t known;
	unsigned int left = RECLAIM_HELP;

	if (mapcache_likely(account_stale(cache) <= cache->settings.stale_max))
		return;
	retired_check_pins(cache);
	retired_advance(cache);
	release(cache, bytes, false);
	cache->reclaim.others(cache, false);
	/* Of the rest, what is retired only waits for sections or pins to end. */
	known = mapcache_load_relaxed(&cache->reclaim.retired.pinned_bytes) +
		(retired_pending(cache) << cache->settings.bucket_shift);
	if (account_stale(cache) <= cache->settings.stale_max + known)
		return;
	for (uint32_t i = 0; i < cache->settings.stripes && left; i++) {
		uint64_t turn = mapcache_add_relaxed(&cache->reclaim.help_stripe, 1);

		left -= reclaim_sweep_stripe(cache, stripe_at(cache, turn),
					     epoch_now(&cache->shared), left);
	}
	/* Nothing stale is in the index, but parts of what is current. */
	if (left == RECLAIM_HELP)
		trim(cache, bytes, false);
}

/* Of what is retired, as much as can go; released: what has gone already. Returns the bytes still
 * stale. */
static uint64_t reclaim_release(struct mapcache *cache, uint64_t budget, uint64_t released)
{
	uint64_t stale;

	retired_check_pins(cache);
	retired_advance(cache);
	if (released < budget)
		released += release(cache, budget - released, true);
	released += cache->reclaim.others(cache, false);
	stale = account_stale(cache);
	PROBE3(reclaim, cache, released, stale);
	return stale;
}

uint64_t mapcache_reclaim(struct mapcache *cache, uint64_t budget_bytes)
{
	CANCEL_DEFERRED;

	if (!cache)
		return 0;
	reclaim_sweep(cache, epoch_now(&cache->shared));
	return reclaim_release(cache, budget_bytes, trim(cache, budget_bytes, true));
}

/* There is something stale. */
static void reclaim_note(struct reclaim_thread *reclaim, uint64_t now, uint64_t epoch)
{
	if (reclaim->stale_since)
		return;
	reclaim->stale_since = now;
	reclaim->stale_epoch = epoch;
}

/* The epoch to sweep up to now, or 0. */
static uint64_t reclaim_due(struct mapcache *cache, uint64_t now)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;
	uint64_t age = cache->settings.reclaim_ms * NS_PER_MS / RECLAIM_AGE;
	uint64_t epoch = epoch_now(&cache->shared), due = 0;

	if (reclaim->stale_since && now - reclaim->stale_since >= age) {
		due = reclaim->stale_epoch;
		reclaim->swept_epoch = due;
		reclaim->stale_since = 0;
	}
	if (epoch > reclaim->swept_epoch)
		reclaim_note(reclaim, now, epoch);
	return due;
}

static void reclaim_pass(struct mapcache *cache)
{
	uint64_t now = clock_ns(), due = reclaim_due(cache, now), trimmed = 0;

	if (due) {
		reclaim_sweep(cache, due);
		trimmed = trim_old(cache);
		if (trim_mark(cache))
			reclaim_note(&cache->reclaim.thread, now, epoch_now(&cache->shared));
	}
	reclaim_release(cache, UINT64_MAX, trimmed);
	if (cache->settings.refresh_bytes)
		refresh_ahead(cache, epoch_now(&cache->shared));
}

/* Wait for the next look, or until something is mapped. Lock held. */
static void reclaim_wait(struct mapcache *cache)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;
	uint64_t until = clock_ns() + cache->settings.reclaim_ms * NS_PER_MS / RECLAIM_LOOKS;
	struct timespec time = { .tv_sec = (time_t)(until / NS_PER_SECOND),
				 .tv_nsec = (long)(until % NS_PER_SECOND) };

	mapcache_store_relaxed(&reclaim->asleep, 1);
	/* Pairs with the fence in reclaim_wake(): either we see what was mapped, or its mapper
	 * sees us asleep (E). */
	mapcache_fence_seq_cst();
	if (mapcache_load_relaxed(&cache->accounts.mapped_bytes) == 0 && retired_empty(cache)) {
		pthread_cond_wait(&reclaim->wake, &reclaim->lock);
	} else {
		mapcache_store_relaxed(&reclaim->asleep, 0);
		pthread_cond_timedwait(&reclaim->wake, &reclaim->lock, &time);
	}
	mapcache_store_relaxed(&reclaim->asleep, 0);
}

void reclaim_wake(struct mapcache *cache)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;

	mapcache_fence_seq_cst(); /* pairs with the fence in reclaim_wait() */
	if (mapcache_likely(!mapcache_load_relaxed(&reclaim->asleep)))
		return;
	pthread_mutex_lock(&reclaim->lock);
	pthread_cond_signal(&reclaim->wake);
	pthread_mutex_unlock(&reclaim->lock);
}

static void *reclaim_run(void *data)
{
	struct mapcache *cache = data;
	struct reclaim_thread *reclaim = &cache->reclaim.thread;

	pace_prepare_thread();
	pthread_mutex_lock(&reclaim->lock);
	while (!reclaim->stop) {
		reclaim_wait(cache);
		pthread_mutex_unlock(&reclaim->lock);
		reclaim_pass(cache);
		pthread_mutex_lock(&reclaim->lock);
	}
	pthread_mutex_unlock(&reclaim->lock);
	return NULL;
}

int reclaim_start(struct mapcache *cache)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;
	sigset_t all, before;
	int error;

	if (cache->settings.flags & MAPCACHE_NO_RECLAIM_THREAD)
		return 0;
	/* The embedder's signals are for the embedder's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&reclaim->thread, NULL, reclaim_run, cache);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	reclaim->running = !error;
	return error;
}

void reclaim_stop(struct mapcache *cache)
{
	struct reclaim_thread *reclaim = &cache->reclaim.thread;

	if (!reclaim->running)
		return;
	pthread_mutex_lock(&reclaim->lock);
	reclaim->stop = true;
	pthread_cond_signal(&reclaim->wake);
	pthread_mutex_unlock(&reclaim->lock);
	pthread_join(reclaim->thread, NULL);
	reclaim->running = false;
}
