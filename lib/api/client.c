/* SPDX-License-Identifier: MIT */
/* Clients: one thread's handle each, with its section and its pins; and for threads without one at
 * hand, which name memory as a guest does in its rings. */
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
	client->pins = account_reserve(client_pins_bytes(cache), PROT_READ | PROT_WRITE);
	if (!client->pins) {
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

struct mapcache_client *mapcache_address_client(struct mapcache *guest,
						struct mapcache *const grants[2], uint64_t *address,
						int prot)
{
	bool granted = address && (*address & MAPCACHE_ADDRESS_GRANT);
	struct mapcache *cache = guest;
	struct mapcache_client *client;

	if (granted)
		cache = grants ? grants[(prot & PROT_WRITE) != 0] : NULL;
	if (!address || !cache) {
		errno = granted ? ENODEV : EINVAL;
		return NULL;
	}
	client = mapcache_thread_client(cache);
	if (client)
		*address &= ~MAPCACHE_ADDRESS_GRANT;
	return client;
}

int mapcache_address_unpin(struct mapcache *guest, struct mapcache *const grants[2], void *ptr,
			   size_t len, size_t written, int timeout_ms)
{
	struct mapcache_client *client;
	uint64_t gpa;
	int error;

	if (!guest || !ptr || !len || written > len)
		return -EINVAL;
	if (!mapcache_gpa(guest, ptr, &gpa)) {
		client = mapcache_thread_client(guest);
		return client ? mapcache_client_unpin(client, ptr, written)
			      : mapcache_unpin(guest, ptr, written);
	}
	for (int i = 0; grants && i < 2; i++) {
		if (!grants[i] || mapcache_gpa(grants[i], ptr, &gpa))
			continue;
		error = mapcache_unpin(grants[i], ptr, 0);
		/* The guest waits to have it back, and cannot take it while it is mapped. */
		return error ? error : mapcache_unmap(grants[i], gpa, len, timeout_ms);
	}
	return -EINVAL;
}
