/* SPDX-License-Identifier: MIT */
/* Queue threads: block on an eventfd, serve the queue until it is empty. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "workers.h"

#define NICE 10

struct worker {
	struct workers *workers;
	struct mapcache_client *client;
	uint32_t queue;
	int wake; /* eventfd */
	bool running;
	int error; /* why the client could not be opened; valid once ready was posted */
	pthread_t thread;
};

struct workers {
	struct virtio_blk *blk;
	struct mapcache *cache;
	bool stop; /* atomic */
	pthread_barrier_t ready;
	struct worker worker[VIRTIO_QUEUES_MAX];
};

static void wake(struct worker *worker)
{
	uint64_t one = 1;

	/* Blocks never: the counter has room for 2^64 - 2 notifications not yet seen. */
	if (write(worker->wake, &one, sizeof(one)) < 0)
		return;
}

static void *work(void *data)
{
	struct worker *worker = data;
	struct workers *workers = worker->workers;
	uint64_t count;

	/* A vCPU stands still while it waits for its request, or for the answer to INVALIDATE;
	 * disk traffic can wait a moment. Of this thread only, on Linux. */
	setpriority(PRIO_PROCESS, 0, NICE);
	worker->error = mapcache_client_open(workers->cache, &worker->client);
	pthread_barrier_wait(&workers->ready);
	if (worker->error)
		return NULL;
	while (!__atomic_load_n(&workers->stop, __ATOMIC_ACQUIRE)) {
		if (virtio_blk_process(workers->blk, worker->client, worker->queue))
			continue;
		if (read(worker->wake, &count, sizeof(count)) < 0 && errno != EINTR)
			break;
	}
	mapcache_client_close(worker->client);
	return NULL;
}

static int start_one(struct workers *workers, uint32_t queue)
{
	struct worker *worker = &workers->worker[queue];
	int error;

	worker->workers = workers;
	worker->queue = queue;
	worker->wake = eventfd(0, EFD_CLOEXEC);
	if (worker->wake < 0)
		return -errno;
	error = -pthread_create(&worker->thread, NULL, work, worker);
	if (!error) {
		worker->running = true;
		pthread_barrier_wait(&workers->ready);
		error = worker->error;
	}
	return error;
}

int workers_start(struct virtio_blk *blk, struct mapcache *cache, struct workers **result)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	uint32_t queue;
	int error = 0;

	if (!workers)
		return -ENOMEM;
	workers->blk = blk;
	workers->cache = cache;
	pthread_barrier_init(&workers->ready, NULL, 2);
	for (queue = 0; queue < VIRTIO_QUEUES_MAX; queue++)
		workers->worker[queue].wake = -1;
	for (queue = 0; queue < blk->device.queue_count && !error; queue++)
		error = start_one(workers, queue);
	if (error)
		workers_stop(workers);
	else
		*result = workers;
	return error;
}

void workers_notify(struct workers *workers, uint32_t queue)
{
	wake(&workers->worker[queue]);
}

void workers_stop(struct workers *workers)
{
	uint32_t queue;

	__atomic_store_n(&workers->stop, true, __ATOMIC_RELEASE);
	for (queue = 0; queue < VIRTIO_QUEUES_MAX; queue++) {
		struct worker *worker = &workers->worker[queue];

		if (worker->running) {
			wake(worker);
			pthread_join(worker->thread, NULL);
		}
		if (worker->wake >= 0)
			close(worker->wake);
	}
	pthread_barrier_destroy(&workers->ready);
	free(workers);
}
