/* SPDX-License-Identifier: MIT */
/* See the header. One set of notes for the process: one cache at a time is watched. */
#include "bench/backend_timed.h"

#include <pthread.h>

#include "bench/backend_base.h"
#include "bench/clock.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct backend_times times;

static int timed_open(void *data, uint32_t domid, void **state)
{
	return backend_base.open(data, domid, state);
}

static void timed_close(void *state)
{
	backend_base.close(state);
}

static void *timed_map(void *state, void *address, uint64_t gfn, size_t pages, int prot, int *error)
{
	return backend_base.map(state, address, gfn, pages, prot, error);
}

static int timed_unmap(void *state, void *address, size_t pages, int keep)
{
	uint64_t begin = clock_now(), end;
	int error = backend_base.unmap(state, address, pages, keep);

	end = clock_now();
	pthread_mutex_lock(&mutex);
	if (!times.first_begin || begin < times.first_begin)
		times.first_begin = begin;
	if (end > times.last_end)
		times.last_end = end;
	times.calls++;
	times.pages += pages;
	pthread_mutex_unlock(&mutex);
	return error;
}

const struct mapcache_backend backend_timed = {
	.size = sizeof(backend_timed),
	.flags = MAPCACHE_BACKEND_FIXED,
	.open = timed_open,
	.close = timed_close,
	.map = timed_map,
	.unmap = timed_unmap,
};

void backend_timed_reset(void)
{
	pthread_mutex_lock(&mutex);
	times = (struct backend_times){ 0 };
	pthread_mutex_unlock(&mutex);
}

struct backend_times backend_timed_read(void)
{
	struct backend_times copy;

	pthread_mutex_lock(&mutex);
	copy = times;
	pthread_mutex_unlock(&mutex);
	return copy;
}
