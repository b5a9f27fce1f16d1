/* SPDX-License-Identifier: MIT */
/* The slow side of a look-up: check the request, find the bucket, fill what is missing. */
#include "lib/fill/fill.h"

#include <errno.h>

#include "lib/base/base.h"
#include "lib/base/probe.h"
#include "lib/fill/filling.h"
#include "lib/index/index.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"

/* How long a caller outside of sections waits for others to end theirs. */
#define ACCESS_TRIES 10
#define ACCESS_PAUSE_NS UINT64_C(200000)
/* Times that others may get in between before the caller is told to come back. */
#define LOOKUP_TRIES 64

/* 0 and the request, or -errno as mapcache_ptr(). */
static int lookup_check(const struct mapcache *cache, uint64_t gpa, uint64_t len, int prot,
			struct request *request)
{
	const struct settings *settings = &cache->settings;
	uint64_t bucket = UINT64_C(1) << settings->bucket_shift;
	unsigned int first, last;

	if (len == 0 || prot == 0 || (prot & ~(PROT_READ | PROT_WRITE)))
		return -EINVAL;
	if (!settings_reach(settings, gpa, len))
		return -ERANGE;
	request->gpa = gpa;
	request->index = gpa >> settings->bucket_shift;
	request->offset = gpa & (bucket - 1);
	if (len > bucket - request->offset)
		return -E2BIG;
	request->first_page = (unsigned int)(request->offset >> PAGE_SHIFT);
	request->last_page = (unsigned int)((request->offset + len - 1) >> PAGE_SHIFT);
	first = request->first_page / settings->granule_pages;
	last = request->last_page / settings->granule_pages;
	request->granules = run_mask((struct run){ first, last - first + 1 });
	request->write = prot & PROT_WRITE;
	request->epoch = epoch_now(&cache->shared);
	return 0;
}

void lookup_hide(struct mapcache *cache, uint64_t epoch)
{
	for (uint32_t i = 0; i < cache->settings.stripes; i++) {
		struct stripe *stripe = stripe_at(cache, i);

		pthread_mutex_lock(&stripe->lock);
		for (struct mapping *mapping = stripe->oldest; mapping;
		     mapping = stripe_newer(mapping)) {
			if (mapcache_load_relaxed(&mapping->epoch) < epoch)
				mapping_unpublish(cache, mapping);
		}
		pthread_mutex_unlock(&stripe->lock);
	}
}

/*
 * Entries of stale mappings go from the table, so that their tags cannot be met again when
 * the counter has come round; then the table is opened. If another sweep fell due meanwhile,
 * it is closed again: with 2^24 epochs between two and tags of 2^26, nothing that the first
 * one left can have come round.
 */
static void lookup_open_table(struct mapcache *cache)
{
	uint64_t epoch;

	if (mapcache_likely(mapcache_load_relaxed(&cache->shared.limit)) ||
	    !protocol_sweep_begin(cache, &epoch))
		return;
	batch_retire(cache, epoch);
	lookup_hide(cache, epoch);
	protocol_sweep_end(cache, epoch);
}

/* It serves the request: the newest of its stripe from now on. Stripe lock held. */
static void lookup_found(struct mapcache_client *client, struct stripe *stripe,
			 struct mapping *mapping)
{
	struct mapcache *cache = client->cache;

	if (!mapping_published(cache, mapping))
		client_count(client, COUNTER_RESCUES, 1);
	stripe_touch(stripe, mapping);
	mapping_publish(cache, mapping, mapping_valid(cache, mapping));
}

static void lookup_unlock(void *lock)
{
	pthread_mutex_unlock(lock);
}

/* Until somebody has mapped something. A cancelled thread leaves here, without the lock. */
static void lookup_wait(struct stripe *stripe)
{
	pthread_cleanup_push(lookup_unlock, &stripe->lock);
	pthread_cond_wait(&stripe->filled, &stripe->lock);
	pthread_cleanup_pop(0);
}

/* Returns 0, FILL_AGAIN or -errno. */
static int lookup_try(struct mapcache_client *client, const struct request *request, bool read_only,
		      void **pointer)
{
	struct mapcache *cache = client->cache;
	struct stripe *stripe = stripe_of(cache, request->index);
	struct mapping *mapping;

	pthread_mutex_lock(&stripe->lock);
	for (;;) {
		mapping = stripe_find(cache, request->index);
		if (!mapping || !mapping->busy)
			break;
		client_count(client, COUNTER_WAITS, 1);
		lookup_wait(stripe);
	}
	if (!mapping || !mapping_serves(cache, mapping, request))
		return fill(client, stripe, mapping, request, read_only, pointer);
	lookup_found(client, stripe, mapping);
	*pointer = mapping_base(cache, mapping) + request->offset;
	pthread_mutex_unlock(&stripe->lock);
	return 0;
}

bool lookup_refused(int error)
{
	return error == -EACCES || error == -EPERM || error == -EROFS;
}

/* Inside a section: 0 and the address, or -errno. */
static int lookup_slow(struct mapcache_client *client, const struct request *request,
		       void **pointer)
{
	bool read_only = client->cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY;
	int error = read_only && request->write ? -EACCES : FILL_AGAIN;

	client_count(client, COUNTER_SLOW_LOOKUPS, 1);
	lookup_open_table(client->cache);
	for (int i = 0; i < LOOKUP_TRIES && error == FILL_AGAIN; i++) {
		error = lookup_try(client, request, read_only, pointer);
		if (lookup_refused(error) && !request->write && !read_only) {
			read_only = true;
			error = FILL_AGAIN;
		}
	}
	error = error == FILL_AGAIN ? -EAGAIN : error;
	if (error)
		PROBE3(error, client->cache, request->gpa, error);
	return error;
}

void *lookup_pointer(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	struct request request;
	void *pointer = NULL;
	int error = -EINVAL;

	if (client && mapcache_inside_inline(client))
		error = lookup_check(client->cache, gpa, len, prot, &request);
	if (!error)
		error = lookup_slow(client, &request, &pointer);
	if (error)
		errno = -error;
	return pointer;
}

/* ---- for callers who need not be inside a section --------------------------------------------- */

static void access_end(void *client)
{
	mapcache_end_inline(client);
}

/* The section is ours: a thread that is cancelled while it waits for another one's mapping must not
 * leave it open, for its caller does not know of it. */
static void *access_look_up(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;

	pthread_cleanup_push(access_end, client);
	pointer = lookup_pointer(client, gpa, len, prot);
	pthread_cleanup_pop(0);
	return pointer;
}

void *access_begin_whole(struct mapcache_client *client, uint64_t gpa, size_t len, int prot)
{
	void *pointer;
	int error;

	for (int i = 0;; i++) {
		mapcache_begin_inline(client);
		if (mapcache_ptr_fast(client, gpa, len, prot, &pointer))
			return pointer;
		pointer = access_look_up(client, gpa, len, prot);
		if (pointer)
			return pointer;
		error = errno;
		mapcache_end_inline(client);
		/* Waiting is for those who hold nothing that others wait for (J). */
		if (error != EAGAIN || mapcache_inside_inline(client) || i == ACCESS_TRIES) {
			errno = error;
			return NULL;
		}
		clock_sleep_ns(ACCESS_PAUSE_NS);
	}
}

void *access_begin(struct mapcache_client *client, uint64_t gpa, size_t *len, int prot)
{
	uint64_t rest = client->fast.bucket_mask - (gpa & client->fast.bucket_mask) + 1;
	size_t part = rest < *len ? (size_t)rest : *len;
	size_t page =
		(size_t)((UINT64_C(1) << PAGE_SHIFT) - (gpa & ((UINT64_C(1) << PAGE_SHIFT) - 1)));
	void *pointer = access_begin_whole(client, gpa, part, prot);

	if (!pointer && part > page && errno != EAGAIN && errno != EINVAL) {
		part = page;
		pointer = access_begin_whole(client, gpa, part, prot);
	}
	if (pointer)
		*len = part;
	return pointer;
}
