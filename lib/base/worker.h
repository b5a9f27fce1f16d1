/* SPDX-License-Identifier: MIT */
/* Locks with a condition, and threads of ours that work now and then until they are told to stop. */
#ifndef MAPCACHE_WORKER_H
#define MAPCACHE_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* A lock, and a condition whose time-outs are of clock_ns(). -errno: neither. */
int waiting_init(pthread_mutex_t *lock, pthread_cond_t *condition);
void waiting_destroy(pthread_mutex_t *lock, pthread_cond_t *condition);

struct worker {
	pthread_mutex_t lock; /* protects stop, and what whoever has the worker says */
	pthread_cond_t wake;
	pthread_t thread;
	bool running, stop;
};

/* After waiting_init(). -errno: it is not running. */
int worker_start(struct worker *worker, void *(*run)(void *data), void *data);
/* Waits for its end, if it was started. */
void worker_stop(struct worker *worker);
/* Its own, lock held: until then, or it is woken; UINT64_MAX: until it is woken. */
void worker_sleep(struct worker *worker, uint64_t until_ns);

#endif
