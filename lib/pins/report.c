/* SPDX-License-Identifier: MIT */
/*
 * Telling Xen which pages were modified. Xen's rule (dm_op modified_memory): it goes through the
 * extents from the last to the first and stops at one that it refuses, so that the rest goes
 * unreported; and it refuses what ends past the guest's highest frame, which it compares as if
 * that frame were not there: the guest's last frame is refused always. Hence one by one, and
 * what is refused in halves.
 */
#include <errno.h>

#include "lib/base/base.h"
#include "lib/pins/pins.h"

#define REPORT_TRIES 4
#define REPORT_PAUSE_NS UINT64_C(50000)
/* Calls of one report that may fail: enough to find what can be told in many extents, and a bound
 * where nothing can be. */
#define REPORT_FAILURES 1024u

struct sending {
	struct mapcache *cache;
	unsigned int failures;
	int error; /* the first that is for good */
};

void report_begin(struct mapcache *cache, struct report *report, uint64_t epoch)
{
	struct reports *reports = &cache->pins.reports;

	pthread_mutex_lock(&reports->lock);
	report->number = mapcache_add_relaxed(&reports->newest, 1) + 1;
	report->epoch = epoch;
	DL_PREPEND(reports->first, report);
	pthread_mutex_unlock(&reports->lock);
}

void report_end(struct mapcache *cache, struct report *report)
{
	struct reports *reports = &cache->pins.reports;

	pthread_mutex_lock(&reports->lock);
	DL_DELETE(reports->first, report);
	pthread_mutex_unlock(&reports->lock);
}

bool report_over(struct mapcache *cache, uint64_t epoch, uint64_t number)
{
	struct reports *reports = &cache->pins.reports;
	const struct report *report;

	pthread_mutex_lock(&reports->lock);
	report = reports->first;
	while (report && (report->epoch >= epoch || report->number > number))
		report = report->next;
	pthread_mutex_unlock(&reports->lock);
	return !report;
}

/* One call; what passes by itself is waited for, a few times. */
static int report_try(struct mapcache *cache, const struct mapcache_extent *extents, size_t count)
{
	int error = -EAGAIN;

	for (int i = 0; (error == -EAGAIN || error == -EINTR) && i < REPORT_TRIES; i++) {
		if (i)
			clock_sleep_ns(REPORT_PAUSE_NS);
		error = cache->embedder.backend->modified(cache->embedder.backend_state, extents,
							  count);
	}
	if (mapcache_unlikely(error == -ESRCH))
		notify_gone(cache);
	return error > 0 ? -error : error;
}

static void report_taken(struct mapcache *cache, const struct mapcache_extent *extent)
{
	uint64_t end = extent->gfn + extent->pages;
	uint64_t top = mapcache_load_relaxed(&cache->pins.reports.top);

	mapcache_add_relaxed(&cache->pins.reports.pages, extent->pages);
	/* Two threads may store in either order: it is only about what is said of one frame. */
	if (top < end)
		mapcache_store_relaxed(&cache->pins.reports.top, end);
}

/* The guest's last frame, or past it, where there is nothing that could have been written. */
static void report_past_the_top(struct mapcache *cache, const struct mapcache_extent *extent)
{
	if (mapcache_add_relaxed(&cache->pins.reports.refused, extent->pages))
		return; /* that was told */
	log_message(cache, MAPCACHE_LOG_INFO,
		    "frame 0x%llx was modified and cannot be reported: Xen does not take the "
		    "guest's last frame, nor what is past it",
		    (unsigned long long)extent->gfn);
}

static void report_lost(struct sending *sending, const struct mapcache_extent *extent, int error)
{
	struct mapcache *cache = sending->cache;

	sending->error = sending->error ? sending->error : error;
	mapcache_add_relaxed(&cache->pins.reports.errors, 1);
	log_message(cache, MAPCACHE_LOG_ERROR,
		    "%llu modified pages from frame 0x%llx could not be reported (error %d)",
		    (unsigned long long)extent->pages, (unsigned long long)extent->gfn, -error);
	if (cache->embedder.options.report_failed)
		cache->embedder.options.report_failed(cache->embedder.options.report_failed_data,
						      extent->gfn, extent->pages, error);
}

/* What every part of it would get as well. */
static bool report_is_hopeless(int error)
{
	return error == -ESRCH || error == -EOPNOTSUPP || error == -ENOSYS || error == -EPERM ||
	       error == -EACCES;
}

/*
 * The upper half first: when a frame alone is refused, it is known whether any above it was
 * taken, and so whether it can be the last. As deep as a number of pages has bits.
 */
static void report_extent(struct sending *sending, struct mapcache_extent extent)
{
	struct mapcache_extent upper = { .pages = extent.pages / 2 };
	struct mapcache *cache = sending->cache;
	int error = report_try(cache, &extent, 1);

	if (!error) {
		report_taken(cache, &extent);
		return;
	}
	sending->failures++;
	if (extent.pages > 1 && !report_is_hopeless(error) && sending->failures < REPORT_FAILURES) {
		extent.pages -= upper.pages;
		upper.gfn = extent.gfn + extent.pages;
		report_extent(sending, upper);
		report_extent(sending, extent);
	} else if (extent.pages == 1 && error == -EINVAL &&
		   extent.gfn >= mapcache_load_relaxed(&cache->pins.reports.top)) {
		report_past_the_top(cache, &extent);
	} else {
		report_lost(sending, &extent, error);
	}
}

int report_send(struct mapcache *cache, const struct mapcache_extent *extents, size_t count)
{
	struct sending sending = { .cache = cache };

	mapcache_add_relaxed(&cache->pins.reports.calls, 1);
	if (!report_try(cache, extents, count)) {
		for (size_t i = 0; i < count; i++)
			report_taken(cache, &extents[i]);
		return 0;
	}
	/* Told twice is as good as once. */
	for (size_t i = count; i-- > 0;)
		report_extent(&sending, extents[i]);
	return sending.error;
}
