/* SPDX-License-Identifier: MIT */
/*
 * The reclaim thread. An invalidation never wakes it, whose answer would pay for that (D): it
 * looks. Every quarter of reclaim_ms while it finds something to do; ever more seldom, down to
 * once a second, while it does not; not at all while nothing is mapped. When it looks seldom,
 * whoever maps tells it that the epoch has moved. So an invalidation is noticed at once in a
 * cache that is used, and within a second in one that is not (E).
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "lib/base/base.h"
#include "lib/cache.h"
#include "lib/reclaim/reclaim.h"

/* Looks in reclaim_ms: what is stale and not used is retired by the second, a stale granule beside
 * current ones unmapped by the fourth. */
#define THREAD_LOOKS 4
#define THREAD_IDLE_NS NS_PER_SECOND

int reclaim_init(struct mapcache *cache)
{
	struct worker *worker = &cache->reclaim.thread.worker;
	int error = -pthread_mutex_init(&cache->reclaim.retired.lock, NULL);

	if (error)
		return error;
	error = waiting_init(&worker->lock, &worker->wake);
	if (error)
		pthread_mutex_destroy(&cache->reclaim.retired.lock);
	return error;
}

void reclaim_destroy(struct mapcache *cache)
{
	struct worker *worker = &cache->reclaim.thread.worker;

	waiting_destroy(&worker->lock, &worker->wake);
	pthread_mutex_destroy(&cache->reclaim.retired.lock);
}

static uint64_t thread_period(const struct mapcache *cache)
{
	return cache->settings.reclaim_ms * NS_PER_MS / THREAD_LOOKS;
}

static struct rest_work thread_work(const struct mapcache *cache)
{
	return (struct rest_work){ &cache->shared, &cache->accounts.mapped_bytes,
				   &cache->reclaim.retired.count, &cache->reclaim.retired.pending };
}

bool reclaim_wanted(struct mapcache *cache)
{
	struct rest_work work = thread_work(cache);

	return rest_wanted(&cache->reclaim.thread.rest, &work);
}

uint64_t reclaim_look(struct mapcache *cache)
{
	struct reclaim_thread *thread = &cache->reclaim.thread;
	uint64_t before = mapcache_load_relaxed(&thread->rest.epoch);
	uint64_t period = thread_period(cache);
	uint64_t idle = period > THREAD_IDLE_NS ? period : THREAD_IDLE_NS;
	struct rest_work work = thread_work(cache);
	bool wanted = reclaim_wanted(cache);

	rest_look(&thread->rest, &work);
	if (reclaim_pass(cache, before) || wanted)
		thread->delay = period;
	else
		thread->delay = thread->delay * 2 < idle ? thread->delay * 2 : idle;
	return thread->delay;
}

/* When a look is due. At whole seconds those of all caches, in all processes, are: the machine is
 * woken once for all of them. */
static uint64_t thread_until(uint64_t delay)
{
	uint64_t until = clock_ns() + delay;

	return delay < THREAD_IDLE_NS ? until : until - until % THREAD_IDLE_NS;
}

/* Until the next look is due, or somebody has work. Lock held. */
static void thread_wait(struct mapcache *cache, uint64_t delay)
{
	struct reclaim_thread *thread = &cache->reclaim.thread;
	struct rest_work work = thread_work(cache);
	bool forever =
		!mapcache_load_relaxed(&cache->accounts.mapped_bytes) && retired_empty(cache);

	/* Whatever is mapped next is news. */
	if (forever)
		mapcache_store_relaxed(&thread->rest.epoch, 0);
	if ((forever || delay > thread_period(cache)) && !rest_lie_down(&thread->rest, &work))
		return;
	worker_sleep(&thread->worker, forever ? UINT64_MAX : thread_until(delay));
	rest_get_up(&thread->rest);
}

void reclaim_wake(struct mapcache *cache)
{
	struct reclaim_thread *thread = &cache->reclaim.thread;
	struct rest_work work = thread_work(cache);

	if (mapcache_likely(!rest_needed(&thread->rest, &work)))
		return;
	pthread_mutex_lock(&thread->worker.lock);
	rest_get_up(&thread->rest); /* once is enough */
	pthread_cond_signal(&thread->worker.wake);
	pthread_mutex_unlock(&thread->worker.lock);
}

static void *thread_run(void *data)
{
	struct mapcache *cache = data;
	struct worker *worker = &cache->reclaim.thread.worker;
	uint64_t delay = thread_period(cache);

	/* Its pauses last as long as they say; where it is refused, some 50 us longer. */
	prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
	pthread_mutex_lock(&worker->lock);
	while (!worker->stop) {
		thread_wait(cache, delay);
		pthread_mutex_unlock(&worker->lock);
		delay = reclaim_look(cache);
		pthread_mutex_lock(&worker->lock);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

int reclaim_start(struct mapcache *cache)
{
	if (cache->settings.flags & MAPCACHE_NO_RECLAIM_THREAD)
		return 0;
	return worker_start(&cache->reclaim.thread.worker, thread_run, cache);
}

void reclaim_stop(struct mapcache *cache)
{
	worker_stop(&cache->reclaim.thread.worker);
}
