/* SPDX-License-Identifier: MIT */
/* What the protocol keeps of a cache. Its own files only. */
#ifndef MAPCACHE_PROTOCOL_STATE_H
#define MAPCACHE_PROTOCOL_STATE_H

#include <pthread.h>

#include "lib/protocol/epoch.h"
#include "lib/protocol/protocol.h"

struct table {
	struct mapcache_entry *entries; /* reserved whole, made writable in chunks */
	uint32_t *holders; /* beside each entry: slot + 1 of its bucket; 0: none (stripe.c) */
	uint64_t buckets;
	uint8_t *chunks; /* 1: writable; clients lock */
};

/* A section that holds others back (watch.c). */
struct watched {
	uint64_t section; /* its word; 0: none */
	uint64_t since_ns;
	bool told;
};

struct clients {
	pthread_mutex_t lock; /* protects the lists and closed[] */
	struct mapcache_client *first;
	struct mapcache_client *pinners; /* the others' counts are all 0 and not looked at */
	uint64_t closed[COUNTERS];       /* of clients that are gone */
	struct grace grace;
};

struct protocol {
	struct table table;
	struct clients clients;
	pthread_mutex_t sweep_lock;  /* one sweep of a closed table at a time */
	mapcache_atomic_u32 logging; /* entry.h */
	mapcache_atomic_u64 long_sections;
	mapcache_atomic_u64 table_sweeps, grace_failures;
};

#endif
