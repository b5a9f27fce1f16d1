/* SPDX-License-Identifier: MIT */

#include <signal.h>

#include "lib/base/base.h"
#include "lib/cache.h"

int waiting_init(pthread_mutex_t *lock, pthread_cond_t *condition)
{
	pthread_condattr_t attributes;
	int error = -pthread_condattr_init(&attributes);

	if (error)
		return error;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	error = -pthread_cond_init(condition, &attributes);
	pthread_condattr_destroy(&attributes);
	if (error)
		return error;
	error = -pthread_mutex_init(lock, NULL);
	if (error)
		pthread_cond_destroy(condition);
	return error;
}

void waiting_destroy(pthread_mutex_t *lock, pthread_cond_t *condition)
{
	pthread_cond_destroy(condition);
	pthread_mutex_destroy(lock);
}

int worker_start(struct worker *worker, void *(*run)(void *data), void *data)
{
	sigset_t all, before;
	int error;

	/* The embedder's signals are for the embedder's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = -pthread_create(&worker->thread, NULL, run, data);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	worker->running = !error;
	return error;
}

void worker_stop(struct worker *worker)
{
	if (!worker->running)
		return;
	pthread_mutex_lock(&worker->lock);
	worker->stop = true;
	pthread_cond_signal(&worker->wake);
	pthread_mutex_unlock(&worker->lock);
	pthread_join(worker->thread, NULL);
	worker->running = false;
}

void worker_sleep(struct worker *worker, uint64_t until_ns)
{
	struct timespec time = { .tv_sec = (time_t)(until_ns / NS_PER_SECOND),
				 .tv_nsec = (long)(until_ns % NS_PER_SECOND) };

	if (until_ns == UINT64_MAX)
		pthread_cond_wait(&worker->wake, &worker->lock);
	else
		pthread_cond_timedwait(&worker->wake, &worker->lock, &time);
}
