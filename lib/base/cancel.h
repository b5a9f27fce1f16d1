/* SPDX-License-Identifier: MIT */
/*
 * Cancellation (pthread_cancel(3)). A call that has begun to change something comes to its end
 * first: map calls of Xen's libraries sleep, the embedder's callbacks may do anything, and a
 * thread that left there would keep a bucket busy for ever. Where a call only waits for others
 * it can be left, holding nothing. Costs 20 ns or so; a hit does none of it.
 */
#ifndef MAPCACHE_CANCEL_H
#define MAPCACHE_CANCEL_H

#include <pthread.h>

static inline int cancel_defer(void)
{
	int before;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	return before;
}

static inline void cancel_restore(const int *before)
{
	int deferred;

	pthread_setcancelstate(*before, &deferred);
}

/* A declaration: from here to the end of the block the thread is not cancelled. */
#define CANCEL_DEFERRED                                                                            \
	int cancel_before __attribute__((cleanup(cancel_restore), unused)) = cancel_defer()

#endif
