/* SPDX-License-Identifier: MIT */
/*
 * Threads and caches: whose section a client's is, and the client that a thread needs not open.
 * Both want to know when a thread ends. So a thread has a seat in every cache that it has begun a
 * section of, which is found by the destructor of thread-specific data, or by close.
 */
#ifndef MAPCACHE_THREAD_H
#define MAPCACHE_THREAD_H

#include "lib/cache.h"

struct thread_seat {
	struct thread_seat *next_own;    /* this thread's others; its thread only */
	struct thread_seat *next, *prev; /* this cache's others; seats lock */
	struct mapcache *cache;
	struct mapcache_client *client; /* mapcache_thread_client()'s, or NULL */
	pid_t pid;                      /* in a child it is nobody's */
	mapcache_atomic_u32 claims;     /* its thread's end or close: who comes first does it */
	mapcache_atomic_u32 left;       /* close has done with it */
};

int thread_init(struct mapcache *cache);
void thread_destroy(struct mapcache *cache);
/* Close threads' own clients: none of them is in a section. Waits for threads that end. */
void thread_close_all(struct mapcache *cache);
/* This thread has no seat in the cache any more. */
void thread_forget(const struct mapcache *cache);
/* Its client is closed by whom it belongs to. */
void thread_client_closed(struct mapcache_client *client);

#endif
