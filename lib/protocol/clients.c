/* SPDX-License-Identifier: MIT */
/* All clients: whose sections they are, which are over, and what they pin. */
#include "lib/protocol/protocol.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/protocol/grace.h"
#include "lib/protocol/section.h"

void clients_add(struct mapcache_client *client)
{
	struct mapcache *cache = client->cache;
	struct clients *clients = &cache->protocol.clients;

	client->fast.shared = &cache->shared;
	client->fast.table = cache->protocol.table.entries;
	client->fast.bucket_mask = (UINT64_C(1) << cache->settings.bucket_shift) - 1;
	client->fast.entry_shift = cache->settings.bucket_shift - MAPCACHE_ENTRY_SHIFT;
	client->fast.granule_shift = cache->settings.granule_shift;
	client->fast.nested = MAPCACHE_NESTED_UNOWNED;
	/* Begin and end by the slow path. */
	if (clients->grace.fenced || cache->settings.flags & MAPCACHE_DEBUG)
		client->fast.nested |= MAPCACHE_NESTED_FENCED;
	client->fast.section = section_idle(&client->fast);
	pthread_mutex_lock(&clients->lock);
	DL_PREPEND2(clients->first, client, previous, next);
	pthread_mutex_unlock(&clients->lock);
}

void clients_remove_locked(struct mapcache_client *client)
{
	struct clients *clients = &client->cache->protocol.clients;

	for (int i = 0; i < COUNTERS; i++)
		clients->closed[i] += mapcache_load_relaxed(&client->counters[i]);
	DL_DELETE2(clients->first, client, previous, next);
	if (client->pinner)
		LL_DELETE2(clients->pinners, client, next_pinner);
}

bool clients_used(struct mapcache *cache)
{
	struct clients *clients = &cache->protocol.clients;
	struct mapcache_client *client;
	bool used = false;

	pthread_mutex_lock(&clients->lock);
	for (client = clients->first; client && !used; client = client->next)
		used = !client->seat || mapcache_inside_inline(client);
	pthread_mutex_unlock(&clients->lock);
	return used;
}

void clients_own(struct mapcache_client *client)
{
	struct clients *clients = &client->cache->protocol.clients;

	pthread_mutex_lock(&clients->lock);
	client->owned = true;
	client->thread = (int)syscall(SYS_gettid);
	pthread_mutex_unlock(&clients->lock);
}

void clients_disown(struct mapcache *cache)
{
	struct clients *clients = &cache->protocol.clients;
	struct mapcache_client *client;
	int thread = (int)syscall(SYS_gettid);

	pthread_mutex_lock(&clients->lock);
	for (client = clients->first; client; client = client->next) {
		if (!client->owned || client->thread != thread)
			continue;
		client->owned = false;
		client->fast.nested |= MAPCACHE_NESTED_UNOWNED;
		/* One that is open stays so: whoever joins this thread may end it. */
		section_special(&client->fast);
	}
	pthread_mutex_unlock(&clients->lock);
}

/*
 * In the section of that first pin: who has seen the section end, and so must count the pin,
 * sees the client on the list, too (B).
 */
void client_add_pinner(struct mapcache_client *client)
{
	struct clients *clients = &client->cache->protocol.clients;

	pthread_mutex_lock(&clients->lock);
	LL_PREPEND2(clients->pinners, client, next_pinner);
	pthread_mutex_unlock(&clients->lock);
	client->pinner = true;
}

void client_count(struct mapcache_client *client, enum counter counter, uint64_t n)
{
	uint64_t value = mapcache_load_relaxed(&client->counters[counter]);

	mapcache_store_relaxed(&client->counters[counter], value + n);
}

bool client_membarrier(struct mapcache *cache)
{
	/* Pairs with the compiler fence in begin: makes it a full fence on every CPU that
	 * runs a thread of this process now (B). */
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0)
		return true;
	log_message(cache, MAPCACHE_LOG_ERROR,
		    "membarrier is refused since this cache was opened: nothing can be unmapped; "
		    "allow it, or open the cache with MAPCACHE_NO_MEMBARRIER");
	return false;
}

bool client_barrier(struct mapcache *cache)
{
	return grace_barrier(cache, &cache->protocol.clients.grace);
}

bool client_sections_passed(struct mapcache *cache, struct epoch_condition condition)
{
	bool passed;

	pthread_mutex_lock(&cache->protocol.clients.lock);
	passed = grace_sections_passed(cache->protocol.clients.first, condition);
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	if (!passed)
		mapcache_add_relaxed(&cache->protocol.grace_failures, 1);
	return passed;
}

bool client_quiet(struct mapcache *cache, uint64_t epoch)
{
	bool quiet = grace_quiet(cache, &cache->protocol.clients.grace, epoch);

	if (!quiet)
		watch_sections(cache);
	return quiet;
}

int64_t client_pins_of(struct mapcache *cache, uint64_t slot, const mapcache_atomic_u64 *shared)
{
	return pin_count_sum(cache->protocol.clients.pinners, slot, shared);
}

void clients_lock(struct mapcache *cache)
{
	pthread_mutex_lock(&cache->protocol.clients.lock);
}

void clients_unlock(struct mapcache *cache)
{
	pthread_mutex_unlock(&cache->protocol.clients.lock);
}

bool client_in_section(struct mapcache *cache)
{
	struct clients *clients = &cache->protocol.clients;
	struct mapcache_client *client;
	int thread = (int)syscall(SYS_gettid);
	bool inside = false;

	pthread_mutex_lock(&clients->lock);
	for (client = clients->first; client && !inside; client = client->next)
		inside =
			client->owned && client->thread == thread && mapcache_inside_inline(client);
	pthread_mutex_unlock(&clients->lock);
	return inside;
}
