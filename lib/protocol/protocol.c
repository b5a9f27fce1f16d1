/* SPDX-License-Identifier: MIT */
/* What the protocol begins and ends with a cache, and what it counts. */
#include "lib/protocol/protocol.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/protocol/entry.h"

/*
 * The table is reserved for the whole guest space as read-only zero pages, which cost nothing
 * and are not counted by the kernel's overcommit rules, and made writable in chunks where
 * something is mapped. So an index needs no second level and a look-up no bounds but one.
 */
#define TABLE_CHUNK_SHIFT 16 /* entries in a chunk: 1 MiB of table */
#define TABLE_CHUNK_BYTES ((size_t)sizeof(struct mapcache_entry) << TABLE_CHUNK_SHIFT)
#define TABLE_CHUNK_HOLDERS ((size_t)sizeof(uint32_t) << TABLE_CHUNK_SHIFT)

static uint64_t table_chunks(uint64_t buckets)
{
	return ((buckets - 1) >> TABLE_CHUNK_SHIFT) + 1;
}

static uint64_t table_bytes(uint64_t buckets)
{
	return table_chunks(buckets) * (TABLE_CHUNK_BYTES + TABLE_CHUNK_HOLDERS);
}

static int table_init(struct table *table, uint64_t buckets)
{
	if (table_bytes(buckets) > SIZE_MAX)
		return -ENOMEM;
	table->buckets = buckets;
	table->entries = account_reserve(table_bytes(buckets), PROT_READ);
	if (!table->entries)
		return -errno;
	table->holders =
		(uint32_t *)(table->entries + (table_chunks(buckets) << TABLE_CHUNK_SHIFT));
	table->chunks = calloc(1, (size_t)table_chunks(buckets));
	if (table->chunks)
		return 0;
	munmap(table->entries, (size_t)table_bytes(buckets));
	return -ENOMEM;
}

int entry_populate(struct mapcache *cache, uint64_t index)
{
	struct table *table = &cache->protocol.table;
	uint64_t chunk = index >> TABLE_CHUNK_SHIFT;
	int error = 0;

	clients_lock(cache);
	if (!table->chunks[chunk]) {
		if (mprotect((char *)table->entries + chunk * TABLE_CHUNK_BYTES, TABLE_CHUNK_BYTES,
			     PROT_READ | PROT_WRITE) ||
		    mprotect((char *)table->holders + chunk * TABLE_CHUNK_HOLDERS,
			     TABLE_CHUNK_HOLDERS, PROT_READ | PROT_WRITE))
			error = -errno;
		else
			table->chunks[chunk] = 1;
	}
	clients_unlock(cache);
	return error;
}

/* Bytes in memory. Clients lock held. */
static uint64_t table_memory(const struct table *table)
{
	uint64_t memory = table_chunks(table->buckets);

	for (uint64_t chunk = 0; chunk < table_chunks(table->buckets); chunk++) {
		if (!table->chunks[chunk])
			continue;
		memory += account_resident((char *)table->entries + chunk * TABLE_CHUNK_BYTES,
					   TABLE_CHUNK_BYTES);
		memory += account_resident((char *)table->holders + chunk * TABLE_CHUNK_HOLDERS,
					   TABLE_CHUNK_HOLDERS);
	}
	return memory;
}

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
	if (!error)
		return 0;
	pthread_mutex_destroy(&protocol->sweep_lock);
destroy_clients:
	pthread_mutex_destroy(&protocol->clients.lock);
	return error;
}

void protocol_destroy(struct mapcache *cache)
{
	protocol_abandon(cache);
	pthread_mutex_destroy(&cache->protocol.sweep_lock);
	pthread_mutex_destroy(&cache->protocol.clients.lock);
}

void protocol_abandon(struct mapcache *cache)
{
	struct table *table = &cache->protocol.table;

	munmap(table->entries, (size_t)table_bytes(table->buckets));
	free(table->chunks);
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

void protocol_stats(struct mapcache *cache, uint64_t slots, struct mapcache_stats *stats)
{
	struct clients *clients = &cache->protocol.clients;
	struct mapcache_client *client;
	uint64_t sums[COUNTERS];

	pthread_mutex_lock(&clients->lock);
	stats->memory_bytes += table_memory(&cache->protocol.table);
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
	stats->epoch = epoch_now(&cache->shared);
#define STATS(counter, name) stats->name = sums[COUNTER_##counter];
	PROTOCOL_COUNTERS(STATS)
#undef STATS
	stats->grace_failures = mapcache_load_relaxed(&cache->protocol.grace_failures);
	stats->long_sections = mapcache_load_relaxed(&cache->protocol.long_sections);
	stats->table_sweeps = mapcache_load_relaxed(&cache->protocol.table_sweeps);
}
