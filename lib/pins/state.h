/* SPDX-License-Identifier: MIT */
/* What pins keeps of a cache and of a client. Its own files only. */
#ifndef MAPCACHE_PINS_STATE_H
#define MAPCACHE_PINS_STATE_H

#include <pthread.h>
#include <stdbool.h>

#include <mapcache/mapcache.h>

#include "lib/pins/report.h"

struct ledger;
struct span;

/* Modified pages on their way to a report; what does not fit is covered by a larger extent. */
#define DIRTY_EXTENTS 32

struct dirty {
	struct mapcache_extent extent[DIRTY_EXTENTS + 1]; /* rising, with gaps between */
	unsigned int count;
};

/* Which parts of the guest a client has mapped by lists in an epoch (sgl.c). */
struct listed {
	uint64_t epoch, seen[8];
};

struct span_key {
	uint64_t gpa;
	struct span *span; /* NULL: a gap, to be closed before the lock is dropped */
};

/* Pins with address space of their own (span.h). */
struct spans {
	pthread_mutex_t lock; /* protects what follows */
	pthread_cond_t moved; /* relocating no more */
	struct span *kept;    /* oldest first */
	struct span *loose;
	struct span_key *index; /* of the kept ones, by rising address */
	uint64_t kept_count, room;
	uint64_t count;        /* of both */
	uint64_t pinned_bytes; /* stale and pinned, at the last reclaim */
	bool relocating;       /* somebody is */
};

struct pins {
	struct ledger *ledger; /* with MAPCACHE_DEBUG; or NULL */
	struct spans spans;
	struct reports reports;
};

#endif
