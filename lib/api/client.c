/* SPDX-License-Identifier: MIT */
/*
 * Clients: one thread's handle each, with its section and its pins. What grace periods ask of
 * all of them together is answered here.
 */
#include "lib/private.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/protocol/grace.h"
#include "lib/space/mapping.h"
#include "lib/protocol/pin_count.h"
#include "lib/protocol/section.h"

static size_t client_pins_bytes(const struct mapcache *cache)
{
	return (size_t)(cache->arena.slots * sizeof(mapcache_atomic_u32));
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
	client->spare = arena_take_spare(&cache->arena);
	client->cache = cache;
	client->owner = pthread_self();
	client->fast.shared = &cache->shared;
	client->fast.table = cache->table.entries;
	client->fast.bucket_mask = (UINT64_C(1) << cache->settings.bucket_shift) - 1;
	client->fast.entry_shift = cache->settings.bucket_shift - MAPCACHE_ENTRY_SHIFT;
	client->fast.granule_shift = cache->settings.granule_shift;
	if (cache->clients.grace.fenced) {
		client->fast.section = MAPCACHE_SECTION_SPECIAL;
		client->fast.nested = MAPCACHE_NESTED_FENCED;
	}

	pthread_mutex_lock(&cache->clients.lock);
	client->next = cache->clients.first;
	if (client->next)
		client->next->previous = client;
	cache->clients.first = client;
	cache->clients.count++;
	pthread_mutex_unlock(&cache->clients.lock);
	*result = client;
	return 0;
free_error:
	free(client->error);
free_client:
	free(client);
	return error;
}

/*
 * In the section of that first pin: who has seen the section end, and so must count the pin,
 * sees the client on the list, too (B).
 */
void client_add_pinner(struct mapcache_client *client)
{
	struct clients *clients = &client->cache->clients;

	pthread_mutex_lock(&clients->lock);
	client->next_pinner = clients->pinners;
	clients->pinners = client;
	pthread_mutex_unlock(&clients->lock);
	client->pinner = true;
}

/* Clients lock held. */
static void client_remove_pinner(struct mapcache_client *client)
{
	struct mapcache_client **link = &client->cache->clients.pinners;

	while (*link != client)
		link = &(*link)->next_pinner;
	*link = client->next_pinner;
}

void client_fold(struct mapcache_client *client, uint64_t slot)
{
	pin_count_fold(&client->pins[slot], &mapping_at(client->cache, slot)->shared_pins);
}

/*
 * What is in the spare slot goes, to its pinners first, if there are any: nobody else would find
 * it when it is stale (E). The client gets an empty one for the next time.
 */
void client_give_spare(struct mapcache_client *client)
{
	struct mapcache *cache = client->cache;
	struct mapping *spare = client->spare;

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
	client->spare = arena_take_spare(&cache->arena);
}

int mapcache_client_close(struct mapcache_client *client)
{
	struct mapcache *cache;
	uint64_t slots;

	if (!client)
		return -EINVAL;
	if (mapcache_inside_inline(client))
		return -EBUSY;
	cache = client->cache;
	slots = arena_beyond(&cache->arena);
	pthread_mutex_lock(&cache->clients.lock);
	for (uint64_t slot = 0; slot < slots; slot++) {
		if (mapcache_load_relaxed(&client->pins[slot]))
			client_fold(client, slot);
	}
	for (int i = 0; i < COUNTERS; i++)
		cache->clients.closed[i] += mapcache_load_relaxed(&client->counters[i]);
	if (client->next)
		client->next->previous = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		cache->clients.first = client->next;
	if (client->pinner)
		client_remove_pinner(client);
	cache->clients.count--;
	pthread_mutex_unlock(&cache->clients.lock);

	if (client->spare)
		slot_put(cache, client->spare);
	munmap(client->pins, client_pins_bytes(cache));
	free(client->error);
	free(client);
	return 0;
}

void client_count(struct mapcache_client *client, enum counter counter, uint64_t n)
{
	uint64_t value = mapcache_load_relaxed(&client->counters[counter]);

	mapcache_store_relaxed(&client->counters[counter], value + n);
}

int client_barrier_register(struct mapcache *cache)
{
	long commands;

	cache->clients.grace.fenced = true;
	if (cache->settings.flags & MAPCACHE_NO_MEMBARRIER)
		return 0;
	commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	if (commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return 0;
	cache->clients.grace.fenced = false;
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
	return grace_barrier(cache, &cache->clients.grace);
}

bool client_sections_passed(struct mapcache *cache, struct epoch_condition condition)
{
	bool passed;

	pthread_mutex_lock(&cache->clients.lock);
	passed = grace_sections_passed(cache->clients.first, condition);
	pthread_mutex_unlock(&cache->clients.lock);
	if (!passed)
		mapcache_add_relaxed(&cache->grace_failures, 1);
	return passed;
}

bool client_quiet(struct mapcache *cache, uint64_t epoch)
{
	return grace_quiet(cache, &cache->clients.grace, epoch);
}

int64_t client_pins_locked(struct mapcache *cache, struct mapping *mapping)
{
	return pin_count_sum(cache->clients.pinners, mapping_slot(cache, mapping),
			     &mapping->shared_pins);
}

int64_t client_pins(struct mapcache *cache, struct mapping *mapping)
{
	int64_t pins;

	pthread_mutex_lock(&cache->clients.lock);
	pins = client_pins_locked(cache, mapping);
	pthread_mutex_unlock(&cache->clients.lock);
	return pins;
}

bool client_in_section(struct mapcache *cache)
{
	struct mapcache_client *client;
	bool inside = false;

	pthread_mutex_lock(&cache->clients.lock);
	/* The refresher was opened by one thread and is used by another: reclaim's. */
	for (client = cache->clients.first; client && !inside; client = client->next)
		inside = client != cache->refresher &&
			 pthread_equal(client->owner, pthread_self()) &&
			 mapcache_inside_inline(client);
	pthread_mutex_unlock(&cache->clients.lock);
	return inside;
}
