/* SPDX-License-Identifier: MIT */
/* What grace periods ask of all clients together: their sections and their pins. */
#include "lib/protocol/protocol.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/protocol/grace.h"
#include "lib/protocol/pin_count.h"
#include "lib/protocol/watch.h"
#include "lib/space/mapping.h"

/*
 * In the section of that first pin: who has seen the section end, and so must count the pin,
 * sees the client on the list, too (B).
 */
void client_add_pinner(struct mapcache_client *client)
{
	struct clients *clients = &client->cache->protocol.clients;

	pthread_mutex_lock(&clients->lock);
	client->next_pinner = clients->pinners;
	clients->pinners = client;
	pthread_mutex_unlock(&clients->lock);
	client->pinner = true;
}

void client_fold(struct mapcache_client *client, uint64_t slot)
{
	pin_count_fold(&client->pins[slot], &mapping_at(client->cache, slot)->shared_pins);
}

void client_count(struct mapcache_client *client, enum counter counter, uint64_t n)
{
	uint64_t value = mapcache_load_relaxed(&client->counters[counter]);

	mapcache_store_relaxed(&client->counters[counter], value + n);
}

int client_barrier_register(struct mapcache *cache)
{
	long commands;

	cache->protocol.clients.grace.fenced = true;
	if (cache->settings.flags & MAPCACHE_NO_MEMBARRIER)
		return 0;
	commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	if (commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return 0;
	cache->protocol.clients.grace.fenced = false;
	return 0;
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
	if (!passed) {
		mapcache_add_relaxed(&cache->protocol.grace_failures, 1);
		watch_sections(cache);
	}
	return passed;
}

bool client_quiet(struct mapcache *cache, uint64_t epoch)
{
	return grace_quiet(cache, &cache->protocol.clients.grace, epoch);
}

int64_t client_pins_locked(struct mapcache *cache, struct mapping *mapping)
{
	return pin_count_sum(cache->protocol.clients.pinners, mapping_slot(cache, mapping),
			     &mapping->shared_pins);
}

void clients_lock(struct mapcache *cache)
{
	pthread_mutex_lock(&cache->protocol.clients.lock);
}

void clients_unlock(struct mapcache *cache)
{
	pthread_mutex_unlock(&cache->protocol.clients.lock);
}

int64_t client_pins(struct mapcache *cache, struct mapping *mapping)
{
	int64_t pins;

	pthread_mutex_lock(&cache->protocol.clients.lock);
	pins = client_pins_locked(cache, mapping);
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	return pins;
}

bool client_in_section(struct mapcache *cache)
{
	struct mapcache_client *client;
	bool inside = false;

	pthread_mutex_lock(&cache->protocol.clients.lock);
	for (client = cache->protocol.clients.first; client && !inside; client = client->next)
		inside = client->owned && pthread_equal(client->owner, pthread_self()) &&
			 mapcache_inside_inline(client);
	pthread_mutex_unlock(&cache->protocol.clients.lock);
	return inside;
}
