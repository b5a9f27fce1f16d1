/* SPDX-License-Identifier: MIT */
#include "screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NS_PER_SECOND 1e9
#define SLOW_US 1000     /* a vCPU that waits so long for a register is noticed */
#define SILENT_PERIODS 5 /* missed writes before the device model is called silent */

struct view {
	const struct mapcache_published *page;
	const struct sample *before, *now;
	double seconds; /* between the samples */
	FILE *file;
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
	fprintf(view->file, "  %-34s %12.1f /s %16" PRIu64 "%s", label, rate(view, name),
		now_value(view, name), view->end);
}

static void line_bytes(const struct view *view, const char *label, const char *name)
{
	fprintf(view->file, "  %-34s %12.1f MiB%s", label,
		(double)now_value(view, name) / (1 << 20), view->end);
}

static void line_count(const struct view *view, const char *label, const char *name)
{
	fprintf(view->file, "  %-34s %12" PRIu64 "%s", label, now_value(view, name), view->end);
}

static void title(const struct view *view, const char *text)
{
	fprintf(view->file, "%s%s%s", view->end, text, view->end);
}

static void show_rates(const struct view *view)
{
	uint64_t invalidates = change(view, "epoch");

	title(view, "Guest changes its memory                   now              total");
	line_rate(view, "INVALIDATE answered", "epoch");
	line_rate(view, "range invalidations", "range_invalidates");
	if (invalidates)
		fprintf(view->file, "  %-34s %12.1f%s", "map calls an INVALIDATE",
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

static double per(uint64_t ns, uint64_t count)
{
	return count ? (double)ns / (double)count / 1000 : 0;
}

/* The mean time of one since the last screen, and the longest ever. */
static void line_time(const struct view *view, const char *text, const char *ns, const char *units,
		      const char *longest)
{
	fprintf(view->file, "  %-34s %12.1f us %13.1f us at most%s", text,
		per(change(view, ns), change(view, units)), (double)now_value(view, longest) / 1000,
		view->end);
}

/* Where there is an ioreq server of the library's. */
static void show_requests(const struct view *view)
{
	if (!now_value(view, "ioreq_requests") && !now_value(view, "ioreq_invalidates"))
		return;
	title(view, "Requests");
	line_rate(view, "requests answered", "ioreq_requests");
	line_time(view, "answering one", "ioreq_request_ns", "ioreq_requests",
		  "ioreq_request_ns_max");
	line_time(view, "inside the handler, a call", "ioreq_handler_ns", "ioreq_items",
		  "ioreq_handler_ns_max");
	line_time(view, "answering INVALIDATE", "ioreq_invalidate_ns", "ioreq_invalidates",
		  "ioreq_invalidate_ns_max");
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
			fprintf(view->file, "  - ");                                               \
			fprintf(view->file, __VA_ARGS__);                                          \
			fprintf(view->file, "%s", view->end);                                      \
			hints++;                                                                   \
		}                                                                                  \
	} while (0)
	HINT(period_ns && age_ns > SILENT_PERIODS * period_ns,
	     "nothing was published for %.1f s: the process is stopped or gone",
	     (double)age_ns / NS_PER_SECOND);
	HINT(per(change(view, "ioreq_handler_ns"), change(view, "ioreq_items")) > SLOW_US,
	     "the handler is slow, and INVALIDATE waits for it: defer (mapcache_ioreq_defer)");
	HINT(change(view, "ioreq_refused"), "the guest makes requests that are refused");
	HINT(change(view, "evictions") && (change(view, "rescues") ||
					   2 * change(view, "evictions") > change(view, "misses")),
	     "buckets are given up and mapped again: max_bytes is too small");
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
		fprintf(view->file, "  nothing%s", view->end);
}

void screen_show(const struct mapcache_published *page, const struct sample *before,
		 const struct sample *now, FILE *file, bool terminal)
{
	struct view view = {
		.file = file,
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
		fprintf(file, "\033[H");
	fprintf(file, "mapcache-top: process %u, domain %u, libmapcache %s%s", page->pid,
		page->domid, page->version, view.end);
	show_rates(&view);
	show_requests(&view);
	show_memory(&view);
	show_hints(&view, age_ns);
	fprintf(file, terminal ? "\033[J" : "\n");
	fflush(file);
}
