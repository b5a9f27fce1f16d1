/* SPDX-License-Identifier: MIT */
/*
 * Statistics in a file that another process maps (mapcache/published.h). A thread of its own
 * writes it, so that neither a request nor reclaim pays for whoever watches, and a device model
 * that stands still is told from one that is idle by the time of the last write.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapcache/published.h>

#include "lib/api/api.h"
#include "lib/base/base.h"
#include "lib/cache.h"

_Static_assert(sizeof(struct mapcache_published) <= MAPCACHE_PUBLISHED_BYTES, "one page");

#define PUBLISH_PERIOD_MAX 3600000u /* ms */

static void publish_count(struct mapcache_published *page, const char *name, uint64_t value)
{
	struct mapcache_published_counter *counter;

	if (page->count == MAPCACHE_PUBLISHED_COUNTERS)
		return;
	counter = &page->counter[page->count++];
	snprintf(counter->name, sizeof(counter->name), "%s", name);
	mapcache_store_relaxed(&counter->value, value);
}

/* The names, once: the reader may rely on their order. */
static void publish_begin(struct mapcache *cache, struct mapcache_published *page)
{
	snprintf(page->version, sizeof(page->version), "%s", mapcache_version());
	page->pid = (uint32_t)getpid();
	page->domid = cache->settings.domid;
#define PUBLISH_NAME(name, text) publish_count(page, #name, 0);
	MAPCACHE_STATISTICS(PUBLISH_NAME)
#undef PUBLISH_NAME
#define PUBLISH_NAME(name, text) publish_count(page, "ioreq_" #name, 0);
	MAPCACHE_IOREQ_STATISTICS(PUBLISH_NAME)
#undef PUBLISH_NAME
	/* Release: who finds the magic finds what it stands for. */
	mapcache_store_release(&page->magic, MAPCACHE_PUBLISHED_MAGIC);
}

void publish_add_server(struct mapcache *cache, struct publish_server *server)
{
	struct publication *publication = &cache->api.publication;

	pthread_mutex_lock(&publication->worker.lock);
	LL_PREPEND(publication->servers, server);
	pthread_mutex_unlock(&publication->worker.lock);
}

void publish_remove_server(struct mapcache *cache, struct publish_server *server)
{
	struct publication *publication = &cache->api.publication;

	pthread_mutex_lock(&publication->worker.lock);
	LL_DELETE(publication->servers, server);
	pthread_mutex_unlock(&publication->worker.lock);
}

uint64_t publish_combine(const char *name, uint64_t total, uint64_t one)
{
	size_t len = strlen(name);

	if (len > 4 && strcmp(name + len - 4, "_max") == 0)
		return one > total ? one : total;
	return total + one;
}

/* Publication's lock held. Of all servers together; of what is a maximum, the highest. */
static void publish_write(struct mapcache *cache)
{
	struct mapcache_stats stats = { .size = sizeof(stats) };
	struct mapcache_ioreq_stats one = { .size = sizeof(one) }, servers = one;
	struct mapcache_published *page = cache->api.publication.page;
	uint64_t sequence = mapcache_load_relaxed(&page->sequence);
	const struct publish_server *server;
	unsigned int i = 0;

	(void)mapcache_stats(cache, &stats);
	for (server = cache->api.publication.servers; server; server = server->next) {
		(void)server->stats(server->server, &one);
#define PUBLISH_ADD(name, text) servers.name = publish_combine(#name, servers.name, one.name);
		MAPCACHE_IOREQ_STATISTICS(PUBLISH_ADD)
#undef PUBLISH_ADD
	}
	mapcache_store_relaxed(&page->sequence, sequence + 1);
	/* Pairs with the reader's acquire fence before its second look at sequence: who has read
	 * one of the values below sees sequence odd or changed. */
	mapcache_fence_release();
	mapcache_store_relaxed(&page->time_ns, clock_ns());
#define PUBLISH_VALUE(name, text) mapcache_store_relaxed(&page->counter[i++].value, stats.name);
	MAPCACHE_STATISTICS(PUBLISH_VALUE)
#undef PUBLISH_VALUE
#define PUBLISH_VALUE(name, text) mapcache_store_relaxed(&page->counter[i++].value, servers.name);
	MAPCACHE_IOREQ_STATISTICS(PUBLISH_VALUE)
#undef PUBLISH_VALUE
	/* Release: pairs with the reader's acquire load of sequence. */
	mapcache_store_release(&page->sequence, sequence + 2);
}

static void *publish_run(void *data)
{
	struct mapcache *cache = data;
	struct publication *publication = &cache->api.publication;
	struct worker *worker = &publication->worker;

	pthread_mutex_lock(&worker->lock);
	while (!worker->stop) {
		uint64_t next = clock_ns() + publication->page->period_ms * NS_PER_MS;

		publish_write(cache);
		worker_sleep(worker, next);
	}
	pthread_mutex_unlock(&worker->lock);
	return NULL;
}

/* NULL: errno. */
static struct mapcache_published *publish_map(const char *path)
{
	void *page = MAP_FAILED;
	int file, failed;

	/* What a device model that died left there is replaced. */
	(void)unlink(path);
	file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (file < 0)
		return NULL;
	/* Not ftruncate alone: a full file system is an error here, not a SIGBUS later. */
	errno = posix_fallocate(file, 0, MAPCACHE_PUBLISHED_BYTES);
	if (!errno)
		page = mmap(NULL, MAPCACHE_PUBLISHED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			    file, 0);
	failed = errno;
	close(file);
	if (page != MAP_FAILED)
		return page;
	unlink(path);
	errno = failed;
	return NULL;
}

int mapcache_publish(struct mapcache *cache, const char *path, uint32_t period_ms)
{
	struct publication *publication;
	CANCEL_DEFERRED;
	int error;

	if (!cache || !path || period_ms > PUBLISH_PERIOD_MAX)
		return -EINVAL;
	publication = &cache->api.publication;
	if (publication->page)
		return -EALREADY;
	publication->path = strdup(path);
	if (!publication->path)
		return -ENOMEM;
	publication->page = publish_map(path);
	if (!publication->page) {
		error = -errno;
		free(publication->path);
		return error;
	}
	publication->page->period_ms = period_ms;
	publish_begin(cache, publication->page);
	error = period_ms ? worker_start(&publication->worker, publish_run, cache)
			  : mapcache_publish_now(cache);
	if (error)
		publish_end(cache);
	return error;
}

int mapcache_publish_now(struct mapcache *cache)
{
	struct publication *publication;

	if (!cache)
		return -EINVAL;
	publication = &cache->api.publication;
	if (!publication->page)
		return -ENOENT;
	pthread_mutex_lock(&publication->worker.lock);
	publish_write(cache);
	pthread_mutex_unlock(&publication->worker.lock);
	return 0;
}

void publish_end(struct mapcache *cache)
{
	struct publication *publication = &cache->api.publication;

	if (!publication->page)
		return;
	worker_stop(&publication->worker);
	publish_abandon(cache);
	publication->page = NULL;
	unlink(publication->path);
	free(publication->path);
}

void publish_abandon(struct mapcache *cache)
{
	if (cache->api.publication.page)
		munmap(cache->api.publication.page, MAPCACHE_PUBLISHED_BYTES);
}
