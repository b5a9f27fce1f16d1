/* SPDX-License-Identifier: MIT */
/* Clients: one thread's handle each, with its section and its pins. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/api/api.h"
#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/protocol/protocol.h"
#include "lib/protocol/section.h"
#include "lib/reclaim/reclaim.h"
#include "lib/space/space.h"

static size_t client_pins_bytes(const struct mapcache *cache)
{
	return (size_t)(space_slots_max(cache) * sizeof(mapcache_atomic_u32));
}

int mapcache_client_open(struct mapcache *cache, struct mapcache_client **result)
{
	struct mapcache_client *client;
	size_t bytes;
	int error;

	if (!cache || !result)
		return -EINVAL;
	bytes = sizeof(*client) + cache->settings.bucket_pages * sizeof(*client->error);
	if (posix_memalign((void **)&client, CACHE_LINE, bytes))
		return -ENOMEM;
	memset(client, 0, bytes);
	client->pins = mmap(NULL, client_pins_bytes(cache), PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (client->pins == MAP_FAILED) {
		error = -errno;
		free(client);
		return error;
	}
	client->spare = arena_take_spare(cache);
	client->cache = cache;
	clients_add(client);
	*result = client;
	return 0;
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
	if (client_pins(cache, spare))
		retired_push(cache, spare, spare->mapped);
	else
		slot_put(cache, spare);
	client->spare = arena_take_spare(cache);
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
	slots = space_slots(cache);
	clients_lock(cache);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (mapcache_load_relaxed(&client->pins[slot]))
			client_fold(client, slot);
	}
	clients_remove_locked(client);
	clients_unlock(cache);

	if (client->spare)
		slot_put(cache, client->spare);
	munmap(client->pins, client_pins_bytes(cache));
	free(client);
	return 0;
}
