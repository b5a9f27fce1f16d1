/* SPDX-License-Identifier: MIT */
/* What pins keeps of a cache and of a client. Its own files only. */
#ifndef MAPCACHE_PINS_STATE_H
#define MAPCACHE_PINS_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include <mapcache/mapcache.h>

struct ledger_entry;
struct span;

/* One on its way: on the stack of its thread, or a client's own. */
struct report {
	struct report *next, *prev;
	uint64_t number; /* counts reports of this cache */
	uint64_t epoch;  /* in which what it reports began to be used */
};

/* Modified pages on their way to a report; what does not fit is covered by a larger extent. */
#define DIRTY_EXTENTS 32

struct dirty {
	struct mapcache_extent extent[DIRTY_EXTENTS + 1]; /* rising, with gaps between */
	unsigned int count;
	struct report report; /* on its way as long as that is not 0 */
};

/* Which parts of the guest a client has mapped by lists in an epoch (sgl.c). */
struct listed {
	uint64_t epoch;
	bool seen[512];
};

struct span_key {
	uint64_t gpa;
	struct span *span;
};

/* Pins with address space of their own (span.h). */
struct spans {
	pthread_mutex_t lock;   /* protects what follows */
	struct span *kept;      /* all of one epoch; who was used lately is nearer to the end */
	uint64_t epoch;         /* of these */
	struct span_key *index; /* of these, by rising address; reserved for as many as can be */
	uint64_t kept_count;
	struct span *loose;
	uint64_t count;        /* of both */
	uint64_t pinned_bytes; /* stale and pinned, at the last reclaim */
};

struct reports {
	pthread_mutex_t lock; /* protects what follows */
	struct report *first; /* as many as threads that report */

	mapcache_atomic_u64 newest; /* its number; written under the lock */
	mapcache_atomic_u64 top;    /* 1 + the highest frame that was ever taken */
	mapcache_atomic_u64 calls, errors, pages, refused; /* statistics */
};

/* With MAPCACHE_DEBUG: what is pinned (ledger.c). */
struct ledger {
	pthread_mutex_t lock; /* protects what follows */
	struct ledger_entry *first;
	bool incomplete; /* memory was missing for an entry: what is not here may be held */
};

struct pins {
	struct ledger ledger;
	struct spans spans;
	struct reports reports;
};

#endif
