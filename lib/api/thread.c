/* SPDX-License-Identifier: MIT */
/*
 * The one thing of the library that is the process' and not a cache's is the key of thread-specific
 * data: a key a cache would leave its values behind when the cache is closed, since nobody can
 * know whether a thread is just about to look at one.
 */
#include "lib/api/api.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/protocol/section.h"

#define THREAD_PAUSE_NS UINT64_C(50000)

static pthread_once_t thread_once = PTHREAD_ONCE_INIT;
static pthread_key_t thread_key; /* the first of the thread's seats */
static int thread_error;         /* why there is none */

/* Seq_cst: what the first one has done is seen by the other, and the reverse. */
static bool thread_claim(struct thread_seat *seat)
{
	return mapcache_add_seq_cst(&seat->claims, 1) == 0;
}

static void thread_leave(struct thread_seat *seat)
{
	struct mapcache_client *client = seat->client;
	struct mapcache *cache = seat->cache;

	/* The thread was cancelled, or forgot: nobody else can end its section. */
	while (client && mapcache_inside_inline(client))
		mapcache_end_inline(client);
	if (client)
		mapcache_client_close(client);
	clients_disown(cache);
	pthread_mutex_lock(&cache->api.seats_lock);
	DL_DELETE(cache->api.seats, seat);
	/* From here on the cache may be gone. */
	pthread_mutex_unlock(&cache->api.seats_lock);
}

static void thread_end(void *data)
{
	struct thread_seat *seat = data, *next;

	for (; seat; seat = next) {
		next = seat->next_own;
		if (seat->pid == getpid()) {
			if (thread_claim(seat))
				thread_leave(seat);
			else
				while (!mapcache_load_acquire(&seat->left))
					clock_sleep_ns(THREAD_PAUSE_NS);
		}
		free(seat);
	}
}

static void thread_make_key(void)
{
	thread_error = pthread_key_create(&thread_key, thread_end);
}

static bool thread_has_key(void)
{
	pthread_once(&thread_once, thread_make_key);
	return !thread_error;
}

/* Where the library is part of one that is unloaded, threads that end later must not find it. */
static __attribute__((destructor)) void thread_drop_key(void)
{
	if (thread_has_key())
		pthread_key_delete(thread_key);
	thread_error = EAGAIN;
}

static bool thread_is_of(const struct thread_seat *seat, const struct mapcache *cache)
{
	/* Another cache may lie where one was closed, or where a parent's was. */
	return seat->cache == cache && seat->pid == cache->api.pid &&
	       !mapcache_load_relaxed(&seat->left);
}

/* Nor those that close has left behind. */
void thread_forget(const struct mapcache *cache)
{
	struct thread_seat *first, *seat, **link = &first;

	if (!thread_has_key())
		return;
	first = pthread_getspecific(thread_key);
	while ((seat = *link)) {
		if (seat->cache != cache && !mapcache_load_acquire(&seat->left)) {
			link = &seat->next_own;
			continue;
		}
		*link = seat->next_own;
		free(seat);
	}
	pthread_setspecific(thread_key, first);
}

static struct thread_seat *thread_take_seat(struct mapcache *cache)
{
	struct thread_seat *seat = calloc(1, sizeof(*seat));

	if (!seat)
		return NULL;
	thread_forget(NULL);
	seat->cache = cache;
	seat->pid = getpid();
	seat->next_own = pthread_getspecific(thread_key);
	if (pthread_setspecific(thread_key, seat)) {
		free(seat);
		return NULL;
	}
	pthread_mutex_lock(&cache->api.seats_lock);
	DL_PREPEND(cache->api.seats, seat);
	pthread_mutex_unlock(&cache->api.seats_lock);
	return seat;
}

/* This thread's, or NULL: its end will not be noticed. */
static struct thread_seat *thread_seat(struct mapcache *cache)
{
	struct thread_seat *seat;

	if (!thread_has_key())
		return NULL;
	seat = pthread_getspecific(thread_key);
	while (seat && !thread_is_of(seat, cache))
		seat = seat->next_own;
	return seat ? seat : thread_take_seat(cache);
}

void section_adopt(struct mapcache_client *client)
{
	bool noticed = thread_seat(client->cache) != NULL;

	clients_own(client);
	/* Else every section says anew whose it is. */
	if (noticed)
		client->fast.nested &= ~MAPCACHE_NESTED_UNOWNED;
}

void thread_close_all(struct mapcache *cache)
{
	struct mapcache_client *client;
	struct thread_seat *seat;
	bool claimed;

	do {
		client = NULL;
		pthread_mutex_lock(&cache->api.seats_lock);
		seat = cache->api.seats;
		claimed = seat && thread_claim(seat);
		if (claimed) {
			client = seat->client;
			DL_DELETE(cache->api.seats, seat);
			/* Its thread may free it now. */
			mapcache_store_release(&seat->left, 1);
		}
		pthread_mutex_unlock(&cache->api.seats_lock);
		if (client) {
			client->seat = NULL;
			mapcache_client_close(client);
		}
		if (seat && !claimed)
			clock_sleep_ns(THREAD_PAUSE_NS);
	} while (seat);
	thread_forget(cache);
}

void thread_client_closed(struct mapcache_client *client)
{
	if (client->seat)
		client->seat->client = NULL;
}

struct mapcache_client *mapcache_thread_client(struct mapcache *cache)
{
	struct thread_seat *seat;
	int error;

	if (!cache) {
		errno = EINVAL;
		return NULL;
	}
	seat = thread_seat(cache);
	if (!seat) {
		errno = thread_error ? thread_error : ENOMEM;
		return NULL;
	}
	if (mapcache_likely(seat->client))
		return seat->client;
	error = mapcache_client_open(cache, &seat->client);
	if (error) {
		seat->client = NULL;
		errno = -error;
		return NULL;
	}
	seat->client->seat = seat;
	return seat->client;
}
