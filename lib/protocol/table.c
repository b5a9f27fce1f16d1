/* SPDX-License-Identifier: MIT */
#include "lib/protocol/table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lib/base/base.h"

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

int table_init(struct table *table, uint64_t buckets)
{
	int error;

	if (table_bytes(buckets) > SIZE_MAX)
		return -ENOMEM;
	table->buckets = buckets;
	table->chunks = calloc(1, (size_t)table_chunks(buckets));
	if (!table->chunks)
		return -ENOMEM;
	table->entries = account_reserve(table_bytes(buckets), PROT_READ);
	if (!table->entries) {
		error = -errno;
		free(table->chunks);
		return error;
	}
	table->holders =
		(uint32_t *)(table->entries + (table_chunks(buckets) << TABLE_CHUNK_SHIFT));
	error = -pthread_mutex_init(&table->lock, NULL);
	if (error)
		table_free(table);
	return error;
}

void table_free(struct table *table)
{
	munmap(table->entries, (size_t)table_bytes(table->buckets));
	free(table->chunks);
}

int table_populate(struct table *table, uint64_t index)
{
	uint64_t chunk = index >> TABLE_CHUNK_SHIFT;
	int error = 0;

	pthread_mutex_lock(&table->lock);
	if (!table->chunks[chunk]) {
		if (mprotect((char *)table->entries + chunk * TABLE_CHUNK_BYTES, TABLE_CHUNK_BYTES,
			     PROT_READ | PROT_WRITE) ||
		    mprotect((char *)table->holders + chunk * TABLE_CHUNK_HOLDERS,
			     TABLE_CHUNK_HOLDERS, PROT_READ | PROT_WRITE))
			error = -errno;
		else
			table->chunks[chunk] = 1;
	}
	pthread_mutex_unlock(&table->lock);
	return error;
}

uint64_t table_memory(struct table *table)
{
	uint64_t memory = table_chunks(table->buckets);

	pthread_mutex_lock(&table->lock);
	for (uint64_t chunk = 0; chunk < table_chunks(table->buckets); chunk++) {
		if (!table->chunks[chunk])
			continue;
		memory += account_resident((char *)table->entries + chunk * TABLE_CHUNK_BYTES,
					   TABLE_CHUNK_BYTES);
		memory += account_resident((char *)table->holders + chunk * TABLE_CHUNK_HOLDERS,
					   TABLE_CHUNK_HOLDERS);
	}
	pthread_mutex_unlock(&table->lock);
	return memory;
}
