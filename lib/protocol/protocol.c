/* SPDX-License-Identifier: MIT */
/* What the protocol begins and ends with a cache, and what it counts. */
#include "lib/protocol/protocol.h"

#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/cache.h"

/* Whether membarrier(2) cannot be had. */
static bool protocol_fenced(const struct mapcache *cache)
{
	long commands;

	if (cache->settings.flags & MAPCACHE_NO_MEMBARRIER)
		return true;
	commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
	return commands < 0 || !(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
	       syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
}

int protocol_init(struct mapcache *cache)
{
	struct protocol *protocol = &cache->protocol;
	const struct settings *settings = &cache->settings;
	int error;

	cache->shared.stamp = 1;
	/* Closed for good, so that every look-up takes the slow path (MAPCACHE_DEBUG). */
	if (!(settings->flags & MAPCACHE_DEBUG))
		cache->shared.limit = settings->guest_limit;
	protocol->clients.grace.fenced = protocol_fenced(cache);
	error = -pthread_mutex_init(&protocol->clients.lock, NULL);
	if (error)
		return error;
	error = -pthread_mutex_init(&protocol->sweep_lock, NULL);
	if (error)
		goto destroy_clients;
	error = table_init(&protocol->table, settings->guest_limit >> settings->bucket_shift);
	if (error)
		goto destroy_sweep;
	return 0;
destroy_sweep:
	pthread_mutex_destroy(&protocol->sweep_lock);
destroy_clients:
	pthread_mutex_destroy(&protocol->clients.lock);
	return error;
}

void protocol_destroy(struct mapcache *cache)
{
	table_free(&cache->protocol.table);
	pthread_mutex_destroy(&cache->protocol.table.lock);
	pthread_mutex_destroy(&cache->protocol.sweep_lock);
	pthread_mutex_destroy(&cache->protocol.clients.lock);
}

void protocol_abandon(struct mapcache *cache)
{
	table_free(&cache->protocol.table);
}

bool protocol_sweep_begin(struct mapcache *cache, uint64_t *epoch)
{
	pthread_mutex_lock(&cache->protocol.sweep_lock);
	*epoch = epoch_now(&cache->shared);
	if (!mapcache_load_relaxed(&cache->shared.limit) &&
	    !(cache->settings.flags & MAPCACHE_DEBUG))
		return true;
	pthread_mutex_unlock(&cache->protocol.sweep_lock);
	return false;
}

void protocol_sweep_end(struct mapcache *cache, uint64_t epoch)
{
	mapcache_add_relaxed(&cache->protocol.table_sweeps, 1);
	table_open(&cache->shared, cache->settings.guest_limit, epoch);
	pthread_mutex_unlock(&cache->protocol.sweep_lock);
}

/* What clients counted, open and closed ones, and the memory they take. */
static void protocol_sum(struct mapcache *cache, uint64_t slots, uint64_t *sums,
			 struct mapcache_stats *stats)
{
	struct clients *clients = &cache->protocol.clients;
	struct mapcache_client *client;

	pthread_mutex_lock(&clients->lock);
	memcpy(sums, clients->closed, sizeof(clients->closed));
	for (client = clients->first; client; client = client->next) {
		for (int i = 0; i < COUNTERS; i++)
			sums[i] += mapcache_load_relaxed(&client->counters[i]);
		stats->clients++;
		stats->memory_bytes +=
			sizeof(*client) + cache->settings.bucket_pages * sizeof(*client->error) +
			account_resident(client->pins, slots * sizeof(*client->pins));
	}
	pthread_mutex_unlock(&clients->lock);
}

void protocol_stats(struct mapcache *cache, uint64_t slots, struct mapcache_stats *stats)
{
	uint64_t sums[COUNTERS];

	protocol_sum(cache, slots, sums, stats);
	stats->epoch = epoch_now(&cache->shared);
#define STATS(counter, name) stats->name = sums[COUNTER_##counter];
	PROTOCOL_COUNTERS(STATS)
#undef STATS
	stats->grace_failures = mapcache_load_relaxed(&cache->protocol.grace_failures);
	stats->long_sections = mapcache_load_relaxed(&cache->protocol.long_sections);
	stats->table_sweeps = mapcache_load_relaxed(&cache->protocol.table_sweeps);
	stats->memory_bytes += table_memory(&cache->protocol.table);
}
