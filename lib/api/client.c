/* SPDX-License-Identifier: MIT */
/*
 * Clients: one thread's handle each, with its section and its pins. What grace periods ask of
 * all of them together is answered here.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/thread.h"
#include "lib/base/base.h"
#include "lib/base/cancel.h"
#include "lib/cache.h"
#include "lib/protocol/grace.h"
#include "lib/protocol/pin_count.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/mapping.h"

static size_t client_pins_bytes(const struct mapcache *cache)
{
	return (size_t)(cache->space.arena.slots * sizeof(mapcache_atomic_u32));
}

int mapcache_client_open(struct mapcache *cache, struct mapcache_client **result)
{
	struct mapcache_client *client;
	int error;

	if (!cache || !result)
		return -EINVAL;
	if (posix_memalign((void **)&client, CACHE_LINE, sizeof(*client)))
		return -ENOMEM;
	memset(client, 0, sizeof(*client));
	client->error = malloc(cache->settings.bucket_pages * sizeof(*client->error));
	if (!client->error) {
		error = -ENOMEM;
		goto free_client;
	}
	client->pins = mmap(NULL, client_pins_bytes(cache), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (client->pins == MAP_FAILED) {
		error = -errno;
		goto free_error;
	}
	client->spare = arena_take_spare(&cache->space.arena);
	client->cache = cache;
	client->fast.shared = &cache->shared;
	client->fast.table = cache->protocol.table.entries;
	client->fast.bucket_mask = (UINT64_C(1) << cache->settings.bucket_shift) - 1;
	client->fast.entry_shift = cache->settings.bucket_shift - MAPCACHE_ENTRY_SHIFT;
	client->fast.granule_shift = cache->settings.granule_shift;
	client->fast.nested = MAPCACHE_NESTED_UNOWNED;
	if (cache->protocol.clients.grace.fenced)
		client->fast.nested |= MAPCACHE_NESTED_FENCED;
	client->fast.section = section_idle(&client->fast);

	pthread_mutex_lock(&cache->protocol.clients.lock);
	client->next = cache->protocol.clients.first;
	if (client->next)
		client->next->previous = client;
	cache->protocol.clients.first = client;
	cache->protocol.clients.count++;
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	*result = client;
	return 0;
free_error:
	free(client->error);
free_client:
	free(client);
	return error;
}

/* Clients lock held. */
static void client_remove_pinner(struct mapcache_client *client)
{
	struct mapcache_client **link = &client->cache->protocol.clients.pinners;

	while (*link != client)
		link = &(*link)->next_pinner;
	*link = client->next_pinner;
}

/*
 * What is in the spare slot goes, to its pinners first, if there are any: nobody else would find
 * it when it is stale (E). The client gets an empty one for the next time.
 */
void client_give_spare(struct mapcache_client *client)
{
	struct mapcache *cache = client->cache;
	struct mapping *spare = client->spare;
	CANCEL_DEFERRED;

	if (!spare)
		return;
	client->spare = NULL;
	if (client_pins(cache, spare)) {
		retired_push(cache, spare, spare->mapped);
	} else {
		account_retire(cache, mapcache_load_relaxed(&spare->epoch),
			       mapping_bytes(cache, spare));
		slot_put(cache, spare);
	}
	client->spare = arena_take_spare(&cache->space.arena);
}

int mapcache_client_close(struct mapcache_client *client)
{
	struct mapcache *cache;
	CANCEL_DEFERRED;
	uint64_t slots;

	if (!client)
		return -EINVAL;
	if (mapcache_inside_inline(client))
		return -EBUSY;
	thread_client_closed(client);
	cache = client->cache;
	slots = arena_beyond(&cache->space.arena);
	pthread_mutex_lock(&cache->protocol.clients.lock);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (mapcache_load_relaxed(&client->pins[slot]))
			client_fold(client, slot);
	}
	for (int i = 0; i < COUNTERS; i++)
		cache->protocol.clients.closed[i] += mapcache_load_relaxed(&client->counters[i]);
	if (client->next)
		client->next->previous = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		cache->protocol.clients.first = client->next;
	if (client->pinner)
		client_remove_pinner(client);
	cache->protocol.clients.count--;
	pthread_mutex_unlock(&cache->protocol.clients.lock);

	if (client->spare)
		slot_put(cache, client->spare);
	munmap(client->pins, client_pins_bytes(cache));
	free(client->error);
	free(client);
	return 0;
}
