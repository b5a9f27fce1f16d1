/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND 1e9
#define SILENT_PERIODS 5 /* missed writes before the device model is called silent */

struct view {
	const struct mapcache_published *page;
	const struct sample *before, *now;
	double seconds;  /* between the samples */
	const char *end; /* of a line */
};

static uint64_t now_value(const struct view *view, const char *name)
{
	return page_value(view->page, view->now, name);
}

/* Of a counter that only grows: since the sample before. */
static uint64_t change(const struct view *view, const char *name)
{
	return now_value(view, name) - page_value(view->page, view->before, name);
}

static double rate(const struct view *view, const char *name)
{
	return view->seconds > 0 ? (double)change(view, name) / view->seconds : 0;
}

static void line_rate(const struct view *view, const char *label, const char *name)
{
	printf("  %-34s %12.1f /s %16" PRIu64 "%s", label, rate(view, name), now_value(view, name),
	       view->end);
}

static void line_bytes(const struct view *view, const char *label, const char *name)
{
	printf("  %-34s %12.1f MiB%s", label, (double)now_value(view, name) / (1 << 20), view->end);
}

static void line_count(const struct view *view, const char *label, const char *name)
{
	printf("  %-34s %12" PRIu64 "%s", label, now_value(view, name), view->end);
}

static void title(const struct view *view, const char *text)
{
	printf("%s%s%s", view->end, text, view->end);
}

static void show_rates(const struct view *view)
{
	uint64_t invalidates = change(view, "epoch");

	title(view, "Guest changes its memory                   now              total");
	line_rate(view, "INVALIDATE answered", "epoch");
	line_rate(view, "range invalidations", "range_invalidates");
	if (invalidates)
		printf("  %-34s %12.1f%s", "map calls an INVALIDATE",
		       (double)change(view, "map_calls") / (double)invalidates, view->end);
	title(view, "Look-ups that were no hit");
	line_rate(view, "slow look-ups", "slow_lookups");
	line_rate(view, "misses", "misses");
	line_rate(view, "waits for another thread's map", "waits");
	line_rate(view, "map calls", "map_calls");
	line_rate(view, "pages mapped", "pages_mapped");
	line_rate(view, "evictions", "evictions");
	line_rate(view, "unmap calls", "unmap_calls");
}

static void show_memory(const struct view *view)
{
	title(view, "Memory");
	line_bytes(view, "mapped", "mapped_bytes");
	line_bytes(view, "of it stale", "stale_bytes");
	line_bytes(view, "of it held by pins alone", "pinned_stale_bytes");
	line_count(view, "buckets", "buckets");
	line_count(view, "contiguous pins and kept areas", "spans");
	line_count(view, "kernel mappings", "vmas");
	line_count(view, "clients", "clients");
}

/* What a number alone does not say. Each names the page that helps (mapcache(7)). */
static void show_hints(const struct view *view, uint64_t age_ns)
{
	uint64_t period_ns = view->page->period_ms * UINT64_C(1000000);
	unsigned int hints = 0;

	title(view, "Worth looking at");
#define HINT(condition, ...)                                                                       \
	do {                                                                                       \
		if (condition) {                                                                   \
			printf("  - ");                                                            \
			printf(__VA_ARGS__);                                                       \
			printf("%s", view->end);                                                   \
			hints++;                                                                   \
		}                                                                                  \
	} while (0)
	HINT(period_ns && age_ns > SILENT_PERIODS * period_ns,
	     "nothing was published for %.1f s: the process is stopped or gone",
	     (double)age_ns / NS_PER_SECOND);
	HINT(change(view, "evictions") && change(view, "rescues"),
	     "buckets are given up that are still wanted: max_bytes is too small");
	HINT(change(view, "long_sections"),
	     "a section does not end: stale memory cannot be unmapped (the log names its thread)");
	HINT(now_value(view, "pinned_stale_bytes"),
	     "pins hold memory that the guest gave back (mapcache_dump lists them)");
	HINT(change(view, "map_errors"), "map calls fail: see the log");
	HINT(change(view, "unmap_errors"), "unmapping fails: see the log");
	HINT(change(view, "modified_errors"), "modified pages could not be reported");
	HINT(change(view, "waits") > change(view, "misses") && change(view, "misses"),
	     "threads wait for each other's map calls: smaller buckets may help");
#undef HINT
	if (!hints)
		printf("  nothing%s", view->end);
}

void screen_show(const struct mapcache_published *page, const struct sample *before,
		 const struct sample *now, bool terminal)
{
	struct view view = {
		.page = page,
		.before = before,
		.now = now,
		.seconds = (double)(now->time_ns - before->time_ns) / NS_PER_SECOND,
		.end = terminal ? "\033[K\n" : "\n", /* and clear what was longer before */
	};
	struct timespec clock;
	uint64_t age_ns;

	clock_gettime(CLOCK_MONOTONIC, &clock);
	age_ns = (uint64_t)clock.tv_sec * UINT64_C(1000000000) + (uint64_t)clock.tv_nsec -
		 now->time_ns;
	if (terminal)
		printf("\033[H");
	printf("mapcache-top: process %u, domain %u, libmapcache %s%s", page->pid, page->domid,
	       page->version, view.end);
	show_rates(&view);
	show_memory(&view);
	show_hints(&view, age_ns);
	printf(terminal ? "\033[J" : "\n");
	fflush(stdout);
}
