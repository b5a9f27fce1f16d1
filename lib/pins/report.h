/* SPDX-License-Identifier: MIT */
/*
 * Reports of modified pages: from when something that is to be reported may be written until Xen
 * has been told. dirty.c says what was written, report.c tells it; drain and the end of the log
 * wait for what is on its way (F). Owns the reports lock, which is taken last of all and never
 * held across the backend's call (G).
 */
#ifndef REPORT_H
#define REPORT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mapcache/atomic.h>
#include <mapcache/backend.h>

struct mapcache;
struct mapcache_stats;

/* One on its way: on the stack of its thread, or a client's own. */
struct report {
	struct report *next, *prev;
	uint64_t number; /* counts reports of this cache */
	uint64_t epoch;  /* in which what it reports began to be used */
};

struct reports {
	pthread_mutex_t lock; /* protects what follows */
	struct report *first; /* as many as threads that report */

	mapcache_atomic_u64 newest; /* its number; written under the lock */
	mapcache_atomic_u64 top;    /* 1 + the highest frame that was ever taken */
	mapcache_atomic_u64 calls, errors, pages, refused; /* statistics */
};

int report_init(struct mapcache *cache);
void report_destroy(struct mapcache *cache);
void report_stats(struct mapcache *cache, struct mapcache_stats *stats);

/* Before what it reports can be seen to be over: before the section ends, before the pin goes. */
void report_begin(struct mapcache *cache, struct report *report, uint64_t epoch);
/* The backend has been told, or there is nothing to tell. */
void report_end(struct mapcache *cache, struct report *report);

/* Whether none is on its way whose number is at most that, and what it reports from before the
 * epoch. UINT64_MAX: of any number, of any epoch. */
bool report_over(struct mapcache *cache, uint64_t epoch, uint64_t number);

/*
 * Tell the backend. One extent that is refused does not lose the others, nor its own pages that
 * are not: 0, or the error of what fails for good, which the embedder has been told.
 */
int report_send(struct mapcache *cache, const struct mapcache_extent *extents, size_t count);

#endif
