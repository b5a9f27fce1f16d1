/* SPDX-License-Identifier: MIT */
/*
 * What the drop-in layers share: a client for every thread that comes along, and pointers that
 * nobody gives back.
 *
 * The old interfaces hand out pointers without being told when they are done with. Here such a
 * pointer is a pin that its thread releases TRANSIENT_POINTERS look-ups later: until then it
 * stays mapped, whatever is invalidated, and it keeps no more than its own bucket.
 */
#ifndef EXAMPLES_DROPIN_TRANSIENT_H
#define EXAMPLES_DROPIN_TRANSIENT_H

#include <mapcache/mapcache.h>

#define TRANSIENT_POINTERS 16u
#define TRANSIENT_CACHES 3u /* that a thread can have clients of */

/* This thread's client of a cache, opened at its first call and closed when it ends; NULL with
 * errno. */
struct mapcache_client *transient_client(struct mapcache *cache);

/* A pointer good until this thread's TRANSIENT_POINTERS-th next call of this; NULL with errno. One
 * cache in a process. */
void *transient_lookup(struct mapcache *cache, uint64_t gpa, size_t len, int prot);

/* This thread is done with all of its pointers. Also before the cache is closed, on each thread
 * that looked something up and has not ended; its client is closed, too. */
void transient_done(void);
void transient_close(void);

#endif
