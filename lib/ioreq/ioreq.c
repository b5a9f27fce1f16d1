/* SPDX-License-Identifier: MIT */
/* The life of a server: open, enable, ranges, other caches, close. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/base.h"
#include "lib/ioreq/ioreq.h"

#define DRAIN_MS_DEFAULT 1000u
#define FLAGS (MAPCACHE_IOREQ_DRAIN | MAPCACHE_IOREQ_BUFFERED | MAPCACHE_IOREQ_ALL_TYPES)

static int check_options(const struct mapcache *cache, struct mapcache_ioreq_options *options)
{
	/* INVALIDATE of another guest would leave this cache stale for ever (A). */
	if (options->domid != cache->settings.domid || options->handler == NULL ||
	    (options->flags & ~FLAGS) || options->drain_ms > INT_MAX)
		return -EINVAL;
	if (options->drain_ms == 0)
		options->drain_ms = DRAIN_MS_DEFAULT;
	return 0;
}

/* A record for each slot, and one for the ring. */
static int make_vcpus(struct mapcache_ioreq *server)
{
	size_t bytes = ((size_t)server->slots + 1) * sizeof(*server->vcpu);

	if (posix_memalign((void **)&server->vcpu, CACHE_LINE, bytes))
		return -ENOMEM;
	memset(server->vcpu, 0, bytes);
	return 0;
}

static int open_server(struct mapcache_ioreq *server)
{
	struct mapcache_ioreq_options *options = &server->options;
	uint32_t pages;
	int error = ioreq_xen_open(&server->link, (domid_t)options->domid);

	if (error)
		return error;
	if (options->vcpus == 0)
		error = ioreq_xen_vcpus(&server->link, &options->vcpus);
	if (!error && (options->vcpus == 0 || options->vcpus > IOREQ_VCPUS_MAX))
		error = -EINVAL;
	if (error)
		goto close;
	pages = (options->vcpus - 1) / (uint32_t)IOREQ_PAGE_SLOTS + 1;
	server->slots = pages * (uint32_t)IOREQ_PAGE_SLOTS;
	error = make_vcpus(server);
	if (error)
		goto close;
	error = ioreq_xen_create(&server->link, pages, options->flags & MAPCACHE_IOREQ_BUFFERED);
	if (error)
		goto free_vcpus;
	return 0;
free_vcpus:
	free(server->vcpu);
close:
	ioreq_xen_close(&server->link);
	return error;
}

int mapcache_ioreq_open(struct mapcache *cache, const struct mapcache_ioreq_options *options,
			struct mapcache_ioreq **server)
{
	struct mapcache_ioreq *opened;
	CANCEL_DEFERRED;
	int error;

	if (cache == NULL || options == NULL || server == NULL)
		return -EINVAL;
	opened = calloc(1, sizeof(*opened));
	if (opened == NULL)
		return -ENOMEM;
	opened->cache = opened->caches[0] = cache;
	opened->pid = getpid();
	error = options_copy(options, &opened->options, sizeof(opened->options));
	if (!error)
		error = check_options(cache, &opened->options);
	if (!error)
		error = open_server(opened);
	if (error) {
		free(opened);
		return error;
	}
	opened->published =
		(struct publish_server){ .stats = mapcache_ioreq_stats, .server = opened };
	publish_add_server(cache, &opened->published);
	*server = opened;
	return 0;
}

static bool deferred(struct mapcache_ioreq *server)
{
	for (uint32_t vcpu = 0; vcpu < server->slots; vcpu++)
		if (!handoff_idle(&server->vcpu[vcpu].word))
			return true;
	return false;
}

int mapcache_ioreq_close(struct mapcache_ioreq *server)
{
	CANCEL_DEFERRED;
	int error = 0, closed;

	if (server == NULL)
		return -EINVAL;
	if (server->pid == getpid()) {
		if (deferred(server))
			return -EBUSY;
		publish_remove_server(server->cache, &server->published);
		error = ioreq_xen_destroy(&server->link);
	}
	closed = ioreq_xen_close(&server->link);
	error = error ? error : closed;
	/* Nothing to do about it, and usual for a guest that is gone: not the caller's error. */
	if (error)
		log_message(server->cache, MAPCACHE_LOG_INFO,
			    "ioreq: server %u was closed with error %d", server->link.id, error);
	free(server->vcpu);
	free(server);
	return 0;
}

int mapcache_ioreq_id(const struct mapcache_ioreq *server)
{
	return server != NULL ? server->link.id : -EINVAL;
}

int mapcache_ioreq_vcpus(const struct mapcache_ioreq *server)
{
	return server != NULL ? (int)server->options.vcpus : -EINVAL;
}

/* ---- INVALIDATE -------------------------------------------------------------------------- */

static void drain(struct mapcache_ioreq *server, struct mapcache *cache, uint64_t epoch)
{
	if (mapcache_drain(cache, epoch, (int)server->options.drain_ms, 0))
		log_message(cache, MAPCACHE_LOG_WARNING,
			    "ioreq: INVALIDATE answered after %u ms with a section still open",
			    server->options.drain_ms);
}

/* Everything must go: the request carries no range. Epoch 0: no cache. */
static void invalidate_all(struct mapcache_ioreq *server, uint64_t *epoch)
{
	for (unsigned int i = 0; i < IOREQ_CACHES; i++) {
		/* Acquire: pairs with the release in mapcache_ioreq_add_cache(): the cache is
		 * there as it was opened. */
		struct mapcache *cache = mapcache_load_acquire(&server->caches[i]);

		epoch[i] = cache ? mapcache_invalidate(cache) : 0;
	}
}

/* All caches first, then who is waited for. */
void ioreq_invalidate(struct mapcache_ioreq *server)
{
	uint64_t epoch[IOREQ_CACHES];

	invalidate_all(server, epoch);
	for (unsigned int i = 0; i < IOREQ_CACHES; i++)
		if (epoch[i] && server->options.flags & MAPCACHE_IOREQ_DRAIN)
			drain(server, server->caches[i], epoch[i]);
}

/*
 * The order is enable, then invalidate. A frame removed after Xen has enabled the server is
 * told to it: Xen looks who is enabled after it has changed the p2m. So a removal that is not
 * told precedes the enable, and every mapping that still shows its page was begun before the
 * increment below (A). The other way round, a frame mapped and removed between the two would
 * stay in the cache unnoticed.
 */
int mapcache_ioreq_enable(struct mapcache_ioreq *server, bool enable)
{
	uint64_t epoch[IOREQ_CACHES];
	int error;

	if (server == NULL)
		return -EINVAL;
	error = ioreq_xen_set_state(&server->link, enable);
	/* Of a domain that is dying Xen destroys the servers first, and keeps what is mapped. */
	if (error == -ENOENT || error == -ESRCH)
		notify_gone(server->cache);
	if (error || !enable)
		return error;
	invalidate_all(server, epoch);
	/* Release: pairs with the acquire in ioreq_enabled(): the page is read as Xen left it when it enabled the server. */
	mapcache_store_release(&server->enabled_once, 1);
	return 0;
}

/* Puts another one in the place of the cache. */
static bool change_cache(struct mapcache_ioreq *server, struct mapcache *cache,
			 struct mapcache *other)
{
	for (unsigned int i = 0; i < IOREQ_CACHES; i++) {
		struct mapcache *found = cache;

		/* Release: pairs with the acquire in invalidate_all(). */
		if (mapcache_replace_acq_rel(&server->caches[i], &found, other))
			return true;
	}
	return false;
}

/* Added, then invalidated: what was removed before it was told of is not shown either (A). */
int mapcache_ioreq_add_cache(struct mapcache_ioreq *server, struct mapcache *cache)
{
	if (server == NULL || cache == NULL || cache->settings.domid != server->options.domid)
		return -EINVAL;
	if (change_cache(server, cache, cache))
		return -EEXIST;
	if (!change_cache(server, NULL, cache))
		return -ENOSPC;
	mapcache_invalidate(cache);
	return 0;
}

int mapcache_ioreq_remove_cache(struct mapcache_ioreq *server, struct mapcache *cache)
{
	if (server == NULL || cache == NULL)
		return -EINVAL;
	return cache != server->cache && change_cache(server, cache, NULL) ? 0 : -ENOENT;
}

/* ---- ranges ------------------------------------------------------------------------------ */

static int change_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
			uint64_t start, uint64_t end, bool add)
{
	int error;

	if (server == NULL || !ioreq_check_range(type, start, end))
		return -EINVAL;
	error = ioreq_xen_range(&server->link, type, start, end, add);
	if (error == -ESRCH)
		notify_gone(server->cache);
	return error;
}

int mapcache_ioreq_add_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
			     uint64_t start, uint64_t end)
{
	return change_range(server, type, start, end, true);
}

int mapcache_ioreq_remove_range(struct mapcache_ioreq *server, enum mapcache_ioreq_type type,
				uint64_t start, uint64_t end)
{
	return change_range(server, type, start, end, false);
}

/* ---- statistics: each vCPU has counters of its own, which are summed when asked for ----------- */

static void add(struct mapcache_ioreq_stats *stats, const struct ioreq_vcpu *vcpu)
{
#define ADD(name, text)                                                                            \
	stats->name = publish_combine(#name, stats->name, mapcache_load_relaxed(&vcpu->count.name));
	MAPCACHE_IOREQ_STATISTICS(ADD)
#undef ADD
}

int mapcache_ioreq_stats(struct mapcache_ioreq *server, struct mapcache_ioreq_stats *stats)
{
	struct mapcache_ioreq_stats known;
	int error;

	if (server == NULL || stats == NULL)
		return -EINVAL;
	error = options_copy(stats, &known, sizeof(known));
	if (error)
		return error;
	known = (struct mapcache_ioreq_stats){ .size = known.size };
	for (uint32_t i = 0; i <= server->slots; i++)
		add(&known, &server->vcpu[i]);
	memcpy(stats, &known, known.size < sizeof(known) ? known.size : sizeof(known));
	return 0;
}
