/* SPDX-License-Identifier: MIT */
/* What api keeps of a cache. Its own files only. */
#ifndef MAPCACHE_API_STATE_H
#define MAPCACHE_API_STATE_H

#include <pthread.h>
#include <sys/types.h>

#include <mapcache/atomic.h>

struct thread_seat;
struct publication;
struct publish_server;

struct api {
	pid_t pid; /* who opened it: a child may only close */
	mapcache_atomic_u64 range_invalidates;
	pthread_mutex_t seats_lock; /* protects the list (thread.c) */
	struct thread_seat *seats;
	pthread_mutex_t servers_lock; /* protects the list (publish.c) */
	struct publish_server *servers;
	struct publication *publication; /* publish.c; NULL: nobody asked for it */
};

#endif
