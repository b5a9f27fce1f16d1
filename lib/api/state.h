/* SPDX-License-Identifier: MIT */
/* What api keeps of a cache. Its own files only. */
#ifndef MAPCACHE_API_STATE_H
#define MAPCACHE_API_STATE_H

#include <pthread.h>
#include <sys/types.h>

#include "lib/base/base.h"

struct thread_seat;
struct publish_server;

/* Statistics for other processes (publish.c). */
struct publication {
	struct worker worker; /* its lock: one writer at a time, and the servers */
	struct publish_server *servers;
	struct mapcache_published *page; /* NULL: nobody asked for it */
	char *path;
};

struct api {
	pid_t pid; /* who opened it: a child may only close */
	mapcache_atomic_u64 range_invalidates;
	pthread_mutex_t seats_lock; /* protects the list (thread.c) */
	struct thread_seat *seats;
	struct publication publication;
};

#endif
