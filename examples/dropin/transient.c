/* SPDX-License-Identifier: MIT */
/*
 * Every thread has a ring of pins, each with the generation in which its look-up began.
 *
 *   INVALIDATE    schedules the bottom half;
 *   bottom half   begins a generation, and asks RCU for a grace period;
 *   grace period  is over: pins of older generations are released, in every ring.
 *
 * A look-up reads the generation inside its RCU read section. One that read an older generation
 * than the bottom half began was in its section before that, so that the grace period waits for
 * it: the full barrier between the generation and call_rcu1() pairs with rcu_read_lock()'s, which
 * is before the reading. One that read the new generation began after the INVALIDATE, and what it
 * shows is current (A).
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"

#include <pthread.h>

#include "transient.h"

struct ring {
	pthread_mutex_t lock; /* its thread's, but for the end of a grace period */
	struct {
		void *pointer;
		unsigned int generation;
	} pins[TRANSIENT_POINTERS];
	unsigned int next;
	struct ring *link;
};

static struct {
	struct mapcache *cache;
	pthread_mutex_t lock; /* of the list */
	struct ring *rings;
	pthread_key_t key;
	bool have_key;
	QEMUBH *bottom_half;
	struct rcu_head rcu;
	unsigned int generation; /* atomic */
	bool sweeping;           /* atomic: rcu is with call_rcu1() */
	bool again;              /* atomic: invalidated since */
} transient = { .lock = PTHREAD_MUTEX_INITIALIZER };

static __thread struct ring *mine;

/* Generations wrap: what is older differs by less than half of all. */
static bool is_older(unsigned int generation, unsigned int than)
{
	return (int)(generation - than) < 0;
}

/* Returns how many are left. */
static unsigned int release(struct ring *ring, unsigned int before, bool all)
{
	unsigned int left = 0;

	pthread_mutex_lock(&ring->lock);
	for (unsigned int i = 0; i < TRANSIENT_POINTERS; i++) {
		if (!ring->pins[i].pointer)
			continue;
		if (!all && !is_older(ring->pins[i].generation, before)) {
			left++;
			continue;
		}
		mapcache_unpin(transient.cache, ring->pins[i].pointer, 0);
		ring->pins[i].pointer = NULL;
	}
	pthread_mutex_unlock(&ring->lock);
	return left;
}

static void release_all(unsigned int before, bool all)
{
	pthread_mutex_lock(&transient.lock);
	for (struct ring *ring = transient.rings; ring; ring = ring->link)
		release(ring, before, all);
	pthread_mutex_unlock(&transient.lock);
}

static void grace_period_over(struct rcu_head *rcu)
{
	(void)rcu;
	release_all(__atomic_load_n(&transient.generation, __ATOMIC_RELAXED), false);
	__atomic_store_n(&transient.sweeping, false, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&transient.again, false, __ATOMIC_SEQ_CST))
		qemu_bh_schedule(transient.bottom_half);
}

static void begin_generation(void *opaque)
{
	(void)opaque;
	if (!transient.cache)
		return;
	__atomic_store_n(&transient.again, true, __ATOMIC_SEQ_CST);
	if (__atomic_exchange_n(&transient.sweeping, true, __ATOMIC_SEQ_CST))
		return;
	__atomic_store_n(&transient.again, false, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&transient.generation, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* with rcu_read_lock()'s, see above */
	call_rcu1(&transient.rcu, grace_period_over);
}

static void thread_ends(void *data)
{
	struct ring *ring = data, **link = &transient.rings;

	pthread_mutex_lock(&transient.lock);
	while (*link != ring)
		link = &(*link)->link;
	*link = ring->link;
	pthread_mutex_unlock(&transient.lock);
	release(ring, 0, true);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
	mine = NULL;
}

static struct ring *get_ring(void)
{
	struct ring *ring = mine;

	if (ring)
		return ring;
	ring = transient.have_key ? calloc(1, sizeof(*ring)) : NULL;
	if (!ring || pthread_setspecific(transient.key, ring)) {
		free(ring);
		errno = ENOMEM;
		return NULL;
	}
	pthread_mutex_init(&ring->lock, NULL);
	pthread_mutex_lock(&transient.lock);
	ring->link = transient.rings;
	transient.rings = ring;
	pthread_mutex_unlock(&transient.lock);
	mine = ring;
	return ring;
}

void transient_open(struct mapcache *cache)
{
	if (!transient.have_key)
		transient.have_key = !pthread_key_create(&transient.key, thread_ends);
	if (!transient.bottom_half)
		transient.bottom_half = qemu_bh_new(begin_generation, NULL);
	transient.cache = cache;
}

void *transient_lookup(uint64_t gpa, size_t len, int prot)
{
	struct mapcache_client *client = mapcache_thread_client(transient.cache);
	struct ring *ring = client ? get_ring() : NULL;
	unsigned int generation = __atomic_load_n(&transient.generation, __ATOMIC_ACQUIRE);
	void *pointer, *oldest;

	if (!ring)
		return NULL;
	pointer = mapcache_pin(client, gpa, &len, prot, MAPCACHE_PIN_CONTIGUOUS);
	if (!pointer)
		return NULL;
	pthread_mutex_lock(&ring->lock);
	oldest = ring->pins[ring->next].pointer;
	ring->pins[ring->next].pointer = pointer;
	ring->pins[ring->next].generation = generation;
	ring->next = (ring->next + 1) % TRANSIENT_POINTERS;
	pthread_mutex_unlock(&ring->lock);
	if (oldest)
		mapcache_client_unpin(client, oldest, 0);
	return pointer;
}

void transient_invalidated(void)
{
	qemu_bh_schedule(transient.bottom_half);
}

void transient_close(void)
{
	release_all(0, true);
	transient.cache = NULL;
}
