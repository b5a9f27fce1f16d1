/* SPDX-License-Identifier: MIT */
/*
 * api: what a caller touches first: open and close, options, clients, statistics and dumps, range
 * invalidation, drain. It promises to its callers what mapcache/mapcache.h says, and to the room
 * above: a server is published with its cache; who uses a client, and when his thread ends, is
 * known (F).
 *
 * Locks: the seats', outermost; publication's.
 * Guarantees: D, F, I.
 */
#ifndef MAPCACHE_API_H
#define MAPCACHE_API_H

#include <mapcache/ioreq.h>

#include "lib/cache.h"

/* ---- options.c ------------------------------------------------------------------------------ */

/*
 * Structs of callers that begin with their size: copy what is known of a given one, the rest
 * zero. -EINVAL: too small to hold its size; -E2BIG: an unknown tail is not zero.
 */
int options_copy(const void *given, void *known, size_t known_size);
/* Fill in defaults, refuse what is out of range (-EINVAL, and the log says what), and settle
 * cache->settings. */
int options_check(struct mapcache *cache, struct mapcache_options *options);
/* Where mappings cost the system memory, defaults follow from how much is free; the log says so.
 * The backend is open. asked: the options before they were filled in. */
void options_room(struct mapcache *cache, const struct mapcache_options *asked,
		  struct mapcache_options *options);

/* ---- thread.c -------------------------------------------------------------------------------- */

/*
 * Threads and caches: whose section a client's is, and the client that a thread needs not open.
 * Both want to know when a thread ends. So a thread has a seat in every cache that it has begun a
 * section of, which is found by the destructor of thread-specific data, or by close.
 */
struct thread_seat {
	struct thread_seat *next_own;    /* this thread's others; its thread only */
	struct thread_seat *next, *prev; /* this cache's others; seats lock */
	struct mapcache *cache;
	struct mapcache_client *client; /* mapcache_thread_client()'s, or NULL */
	pid_t pid;                      /* in a child it is nobody's */
	mapcache_atomic_u32 claims;     /* its thread's end or close: who comes first does it */
	mapcache_atomic_u32 left;       /* close has done with it */
};

/* Close threads' own clients: none of them is in a section. Waits for threads that end. */
void thread_close_all(struct mapcache *cache);
/* This thread has no seat in the cache any more. */
void thread_forget(const struct mapcache *cache);
/* Its client is closed by whom it belongs to. */
void thread_client_closed(struct mapcache_client *client);

/* ---- publish.c ------------------------------------------------------------------------------- */

/* An ioreq server of the cache, whose statistics are published with the cache's. */
struct publish_server {
	struct publish_server *next;
	int (*stats)(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats);
	struct mapcache_ioreq *server;
};

/* Of a statistic: of those whose names end in _max the higher, else the sum. */
uint64_t publish_combine(const char *name, uint64_t total, uint64_t one);

/* At close: the thread ends, the file goes. */
void publish_end(struct mapcache *cache);
/* In a child after fork(2): the file is the parent's. */
void publish_abandon(struct mapcache *cache);

/* From its opening to its closing. */
void publish_add_server(struct mapcache *cache, struct publish_server *server);
void publish_remove_server(struct mapcache *cache, struct publish_server *server);

#endif
