/* SPDX-License-Identifier: MIT */
/*
 * The cache and its clients, as their rooms. What a room keeps is in its state.h and is named by
 * its own files only; what it does for the rooms above is in the header with its name. Includes
 * go down, from the first of these to the last (make lint looks):
 *
 *   ioreq     the request protocol of one server
 *   api       what a caller touches first: open, close, options, statistics, drain
 *   pins      pins, contiguous pins, relocation, copies, the log of modified pages
 *   fill      the slow side of a look-up: find, decide, map, publish
 *   reclaim   retire, grace periods, release, eviction
 *   index     stripes: lock, which slot a bucket is in, order of use
 *   space     address space, what is mapped in it, and the backend's map and unmap
 *   protocol  epoch, sections, table, pin counts: no locks on the way of a hit
 *   base      settings, clock, log, accounts, callbacks
 *   xen       the only callers of Xen's libraries
 *
 * Locks, outermost first (docs/invariants.md has the table): sweep -> stripe or batches -> retired ->
 * clients, and spans -> clients; the others are taken alone, or last. None is held across a backend call, a
 * callback or a wait for a section.
 */
#ifndef MAPCACHE_CACHE_H
#define MAPCACHE_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <time.h>

#include <mapcache/mapcache.h>

#include "lib/api/state.h"
#include "lib/base/settings.h"
#include "lib/base/state.h"
#include "lib/fill/state.h"
#include "lib/index/state.h"
#include "lib/pins/state.h"
#include "lib/protocol/state.h"
#include "lib/reclaim/state.h"
#include "lib/space/state.h"

struct mapcache {
	struct mapcache_shared shared __attribute__((aligned(CACHE_LINE))); /* protocol's */
	/* From here on nothing that changes often: clients read it on their slow path. */
	struct settings settings __attribute__((aligned(CACHE_LINE)));
	struct embedder embedder;
	struct space space;
	struct index index;
	struct protocol protocol __attribute__((aligned(CACHE_LINE)));
	struct reclaim reclaim __attribute__((aligned(CACHE_LINE)));
	struct fills fill;
	struct pins pins;
	struct api api;
	struct log log;
	struct accounts accounts;
};

struct mapcache_client {
	struct mapcache_client_fast fast; /* first: the inline functions cast to it */
	/* Beside it, in the line that a scan over all clients has loaded. Clients lock. */
	struct mapcache_client *next;
	mapcache_atomic_u32 *pins; /* one for every slot; its thread writes, reclaim reads */
	bool pinner;               /* on the list of those that have pinned; its thread only */
	struct mapcache *cache;
	int thread;               /* the kernel's number of whose sections they are: clients lock */
	bool owned;               /* that thread has begun a section, and has not ended */
	struct thread_seat *seat; /* mapcache_thread_client()'s; or NULL */
	struct watched watched;   /* clients lock */
	struct mapping *spare;    /* a slot that only this client uses; may be NULL */
	mapcache_atomic_u64 counters[COUNTERS];
	struct dirty dirty;               /* of the section that is open */
	struct listed listed;             /* its thread only */
	struct mapcache_client *previous; /* clients lock */
	struct mapcache_client *next_pinner;
	int error[]; /* room for a map call's results: the pages of a bucket */
};

#endif
