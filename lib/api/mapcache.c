/* SPDX-License-Identifier: MIT */
/* Opening and closing a cache. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/api/api.h"
#include "lib/base/base.h"
#include "lib/fill/fill.h"
#include "lib/index/index.h"
#include "lib/pins/pins.h"
#include "lib/protocol/protocol.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

#define MAPCACHE_TEXT_OF(x) #x
#define MAPCACHE_TEXT(x) MAPCACHE_TEXT_OF(x)

const char *mapcache_version(void)
{
	return MAPCACHE_TEXT(MAPCACHE_VERSION_MAJOR) "." MAPCACHE_TEXT(
		MAPCACHE_VERSION_MINOR) "." MAPCACHE_TEXT(MAPCACHE_VERSION_PATCH);
}

static int mapcache_take_backend(struct mapcache *cache, const struct mapcache_options *options)
{
	const struct mapcache_backend *backend = options->backend;
	int error;

	/* One made for an older header has fewer pointers, but whole ones; the rest is NULL. */
	backend = backend ? backend : &mapcache_backend_xen;
	if (backend->size < offsetof(struct mapcache_backend, modified) ||
	    backend->size % sizeof(backend->modified))
		return -EINVAL;
	error = options_copy(backend, &cache->embedder.backend_known,
			     sizeof(cache->embedder.backend_known));
	cache->embedder.backend = &cache->embedder.backend_known;
	return error;
}

static int api_init(struct mapcache *cache)
{
	struct worker *worker = &cache->api.publication.worker;
	int error = waiting_init(&worker->lock, &worker->wake);

	if (error)
		return error;
	error = -pthread_mutex_init(&cache->api.seats_lock, NULL);
	if (error)
		waiting_destroy(&worker->lock, &worker->wake);
	return error;
}

static void api_destroy(struct mapcache *cache)
{
	struct worker *worker = &cache->api.publication.worker;

	pthread_mutex_destroy(&cache->api.seats_lock);
	waiting_destroy(&worker->lock, &worker->wake);
}

/* Everything but the struct itself and base; given up in reverse. */
static const struct {
	int (*init)(struct mapcache *cache);
	void (*destroy)(struct mapcache *cache);
} mapcache_rooms[] = {
	{ api_init, api_destroy },         { protocol_init, protocol_destroy },
	{ space_init, space_destroy },     { index_init, index_destroy },
	{ reclaim_init, reclaim_destroy }, { fill_init, fill_destroy },
	{ pins_init, pins_destroy },
};
#define MAPCACHE_ROOMS (sizeof(mapcache_rooms) / sizeof(mapcache_rooms[0]))

static void mapcache_destroy(struct mapcache *cache, size_t rooms)
{
	while (rooms-- > 0)
		mapcache_rooms[rooms].destroy(cache);
}

static int mapcache_init(struct mapcache *cache)
{
	size_t rooms;
	int error;

	cache->api.pid = getpid();
	for (rooms = 0; rooms < MAPCACHE_ROOMS; rooms++) {
		error = mapcache_rooms[rooms].init(cache);
		if (error)
			goto destroy;
	}
	error = reclaim_start(cache);
	if (!error)
		return 0;
destroy:
	mapcache_destroy(cache, rooms);
	return error;
}

/* Every bucket of the range, each in one call. Holes stay holes. */
static int mapcache_map_range(struct mapcache_client *client, const struct mapcache_range *range)
{
	struct mapcache *cache = client->cache;
	uint64_t bucket = UINT64_C(1) << cache->settings.bucket_shift;
	bool read_only = cache->embedder.backend->flags & MAPCACHE_BACKEND_READ_ONLY;
	int prot = read_only ? PROT_READ : PROT_READ | PROT_WRITE, error = 0;

	for (uint64_t gpa = range->gpa & ~(bucket - 1); gpa < range->gpa + range->len && !error;
	     gpa += bucket) {
		mapcache_begin_inline(client);
		/* An error of its first page alone: the others are mapped. */
		if (!lookup_pointer(client, gpa, 1, prot) && errno != EFAULT && errno != EACCES)
			error = -errno;
		mapcache_end_inline(client);
	}
	return error;
}

/* The off switch. */
static int mapcache_map_whole(struct mapcache *cache, const struct mapcache_options *options)
{
	struct mapcache_client *client;
	int error;

	if (!options->whole_count)
		return 0;
	error = mapcache_client_open(cache, &client);
	if (error)
		return error;
	for (size_t i = 0; i < options->whole_count && !error; i++)
		error = mapcache_map_range(client, &options->whole[i]);
	mapcache_client_close(client);
	return error;
}

/* The backend first: the budget may follow from what it finds. */
static int mapcache_start(struct mapcache *cache, struct mapcache_options *options)
{
	struct embedder *embedder = &cache->embedder;
	struct mapcache_options asked = *options;
	int error = options_check(cache, options);

	if (error)
		return error;
	error = embedder->backend->open(options->backend_data, options->domid,
					&embedder->backend_state);
	if (error)
		return error;
	options_room(cache, &asked, options);
	error = mapcache_init(cache);
	if (error)
		embedder->backend->close(embedder->backend_state);
	return error;
}

int mapcache_open(const struct mapcache_options *given, struct mapcache **result)
{
	struct mapcache_options options;
	struct mapcache *cache;
	CANCEL_DEFERRED;
	int error;

	if (!given || !result)
		return -EINVAL;
	error = options_copy(given, &options, sizeof(options));
	if (error)
		return error;
	if (posix_memalign((void **)&cache, CACHE_LINE, sizeof(*cache)))
		return -ENOMEM;
	memset(cache, 0, sizeof(*cache));
	error = base_init(cache, &options);
	if (error)
		goto free_cache;
	error = mapcache_take_backend(cache, &options);
	if (!error)
		error = mapcache_start(cache, &options);
	if (error)
		goto destroy_base;
	error = mapcache_map_whole(cache, &options);
	if (error) {
		mapcache_close(cache);
		return error;
	}
	*result = cache;
	return 0;
destroy_base:
	base_destroy(cache);
free_cache:
	free(cache);
	return error;
}

/*
 * In a child: the lock holders and the thread did not come along. Foreign mappings did not
 * either, but the reservation did. What hangs on lists stays: somebody may have been changing
 * them.
 */
static void mapcache_close_in_a_child(struct mapcache *cache)
{
	cache->embedder.backend->close(cache->embedder.backend_state);
	publish_abandon(cache);
	space_abandon(cache);
	protocol_abandon(cache);
	index_abandon(cache);
	fill_abandon(cache);
	pins_abandon(cache);
	thread_forget(cache);
	free(cache);
}

int mapcache_close(struct mapcache *cache)
{
	CANCEL_DEFERRED;

	if (!cache)
		return -EINVAL;
	if (cache->api.pid != getpid()) {
		mapcache_close_in_a_child(cache);
		return 0;
	}
	if (clients_used(cache) || pins_held(cache, UINT64_MAX))
		return -EBUSY;
	publish_end(cache);
	reclaim_stop(cache);
	thread_close_all(cache);
	span_invalidate(cache, 0, UINT64_MAX);
	/* In pieces: one call for all of it would hold up every other thread's mmap. */
	reclaim_sweep(cache, UINT64_MAX);
	mapcache_reclaim(cache, UINT64_MAX);
	cache->embedder.backend->close(cache->embedder.backend_state);
	mapcache_destroy(cache, MAPCACHE_ROOMS);
	base_destroy(cache);
	free(cache);
	return 0;
}
